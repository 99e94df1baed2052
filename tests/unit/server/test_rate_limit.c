/*
 * src/server/rate_limit: arithmetic of one bucket against time given by the test, many buckets
 * against a plain array, the bound on their number, threads.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "server/rate_limit.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static gi_rate_limiter *make(size_t n) {
    gi_rate_limiter *l = NULL;
    assert_int_equal(gi_rate_limiter_create_local(n, &l, NULL), GLINT_OK);
    return l;
}

static void near(double got, double want) {
    if (fabs(got - want) > 1e-6) fail_msg("%.9f, wanted %.9f", got, want);
}

static void one_bucket(void **state) {
    const gi_rate_rule rule = {.per_s = 2, .burst = 3};
    gi_rate_limiter *l = make(4);
    double now = 1000;
    for (int left = 2; left >= 0; left--) {
        const gi_rate_verdict v = l->take(l, "a", rule, 1, now);
        assert_true(v.is_allowed);
        near(v.remaining, left);
        near(v.until_full_ms, (3 - left) * 500);
    }
    gi_rate_verdict v = l->take(l, "a", rule, 1, now);
    assert_false(v.is_allowed);
    near(v.retry_ms, 500);
    near(v.remaining, 0);
    /* A refusal takes nothing, and the time it names is exact. */
    assert_false(l->take(l, "a", rule, 1, now + 499.9).is_allowed);
    near(l->peek(l, "a", rule, 1, now + 499.9).retry_ms, 0.1);
    assert_true(l->take(l, "a", rule, 1, now + 500).is_allowed);
    assert_false(l->take(l, "a", rule, 1, now + 500).is_allowed);
    /* Never more than the burst, and a clock that stands or steps back gives nothing. */
    now = 1e9;
    for (int i = 0; i < 3; i++) assert_true(l->take(l, "a", rule, 1, now).is_allowed);
    assert_false(l->take(l, "a", rule, 1, now - 1e6).is_allowed);
    assert_false(l->take(l, "a", rule, 1, now).is_allowed);
    /* Others are not touched, and no rule is no limit. */
    assert_true(l->take(l, "b", rule, 1, now).is_allowed);
    for (int i = 0; i < 100; i++)
        assert_true(l->take(l, "a", (gi_rate_rule){0}, 1e9, now).is_allowed);
    l->free(l);
}

static void more_than_the_burst(void **state) {
    const gi_rate_rule rule = {.per_s = 1, .burst = 4};
    gi_rate_limiter *l = make(4);
    gi_rate_verdict v = l->take(l, "a", rule, 10, 0);
    assert_true(v.is_allowed);
    near(v.remaining, -6);
    v = l->take(l, "a", rule, 1, 0);
    assert_false(v.is_allowed);
    near(v.retry_ms, 7000);
    /* Another large one waits for a full bucket. */
    near(l->take(l, "a", rule, 10, 0).retry_ms, 10000);
    assert_false(l->take(l, "a", rule, 10, 9999).is_allowed);
    assert_true(l->take(l, "a", rule, 10, 10000).is_allowed);
    l->free(l);
}

/* A rule may change while its bucket lives. */
static void rule_changes(void **state) {
    gi_rate_limiter *l = make(4);
    assert_true(l->take(l, "a", (gi_rate_rule){1, 10}, 1, 0).is_allowed);
    near(l->peek(l, "a", (gi_rate_rule){1, 2}, 1, 0).remaining, 2);
    assert_true(l->take(l, "a", (gi_rate_rule){1, 2}, 2, 0).is_allowed);
    near(l->take(l, "a", (gi_rate_rule){100, 50}, 5, 0).retry_ms, 50);
    l->free(l);
}

static void peeking_makes_no_bucket(void **state) {
    const gi_rate_rule rule = {.per_s = 0.001, .burst = 1};
    gi_rate_limiter *l = make(2);
    char name[16];
    assert_true(l->take(l, "kept", rule, 1, 0).is_allowed);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_true(l->peek(l, name, rule, 1, 0).is_allowed);
    }
    assert_false(l->take(l, "kept", rule, 1, 0).is_allowed);
    l->free(l);
}

/* Random use of 40 names in 16 buckets, against a list in order of use. */
static void bounded(void **state) {
    enum { N = 16, NAMES = 40, STEPS = 20000 };
    const gi_rate_rule rule = {.per_s = 0.001, .burst = 5};
    gi_rate_limiter *l = make(N);
    int used[N], n_used = 0; /* newest last */
    double left[NAMES] = {0};
    uint32_t seed = 3;
    for (int step = 0; step < STEPS; step++) {
        const int name = (int)((seed = seed * 1664525u + 1013904223u) >> 16) % NAMES;
        char key[16];
        int at = 0;
        while (at < n_used && used[at] != name) at++;
        if (at == n_used) left[name] = 5; /* new, or forgotten */
        if (at == n_used && n_used == N) at = 0;
        if (at < n_used) {
            memmove(used + at, used + at + 1, (size_t)(n_used - at - 1) * sizeof *used);
            n_used--;
        }
        used[n_used++] = name;
        snprintf(key, sizeof key, "name-%d", name);
        const bool want = left[name] >= 1;
        assert_int_equal(l->take(l, key, rule, 1, 0).is_allowed, want);
        left[name] -= want;
    }
    l->free(l);
}

typedef struct share {
    gi_rate_limiter *l;
    int n_allowed;
} share;

static void *take_many(void *arg) {
    share *s = arg;
    for (int i = 0; i < 5000; i++)
        s->n_allowed += s->l->take(s->l, "all", (gi_rate_rule){1e-6, 1000}, 1, 0).is_allowed;
    return NULL;
}

static void threads(void **state) {
    gi_rate_limiter *l = make(4);
    pthread_t thread[4];
    share shares[4];
    int n_allowed = 0;
    for (int i = 0; i < 4; i++) {
        shares[i] = (share){.l = l};
        assert_int_equal(pthread_create(&thread[i], NULL, take_many, &shares[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        n_allowed += shares[i].n_allowed;
    }
    assert_int_equal(n_allowed, 1000);
    l->free(l);
}

static void out_of_memory(void **state) {
    glint_status st = GLINT_ERR_MEMORY;
    int n = 0;
    while (st != GLINT_OK) {
        gi_rate_limiter *l = NULL;
        gi_alloc_fail_at((uint64_t)++n);
        st = gi_rate_limiter_create_local(8, &l, NULL);
        gi_alloc_fail_at(0);
        if (st == GLINT_OK)
            l->free(l);
        else
            assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_in_range(n, 3, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_bucket),    cmocka_unit_test(more_than_the_burst),
        cmocka_unit_test(rule_changes),  cmocka_unit_test(peeking_makes_no_bucket),
        cmocka_unit_test(bounded),       cmocka_unit_test(threads),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
