/*
 * src/model/sampler: which tokens can come, and with what chance. No statistics of luck: what is
 * asked of random draws holds for every seed, or is compared with the exact share.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "model/sampler.h"

#include <math.h>
#include <stdbool.h>

enum { VOCAB = 8 };

static gi_sampler make(size_t vocab, double temperature, double top_p, size_t top_k,
                       uint64_t seed) {
    gi_sampler s;
    assert_int_equal(gi_sampler_init(&s, vocab, temperature, top_p, top_k, seed, NULL), GLINT_OK);
    return s;
}

static void greedy_takes_the_largest(void **state) {
    (void)state;
    static const struct {
        float logits[VOCAB];
        int32_t id;
    } rows[] = {
        {{0, 1, 2, 3, 4, 5, 6, 7}, 7},
        {{7, 6, 5, 4, 3, 2, 1, 0}, 0},
        {{1, 5, 5, 5, 0, 5, 2, 3}, 1}, /* the lowest id among equals */
        {{-3, -3, -3, -3, -3, -3, -3, -3}, 0},
        {{-1e38f, -2, -3, -4, -INFINITY, -5, -6, -7}, 1},
        {{0, 1, INFINITY, 3, 4, 5, 6, 7}, 2},
        {{-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -9}, 7},
        {{-0.0f, 0.0f, -1, -1, -1, -1, -1, -1}, 0}, /* -0 and 0 are equal */
        {{NAN, NAN, 1, 0, NAN, 2, NAN, 0}, 5},
        {{3, NAN, 1, 0, NAN, 2, NAN, 0}, 0},
        {{NAN, NAN, NAN, NAN, NAN, NAN, NAN, -INFINITY}, 7},
    };
    gi_sampler s = make(VOCAB, 0, 1, 0, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(gi_sampler_next(&s, rows[i].logits, NULL), rows[i].id);
    gi_sampler_done(&s);
}

/* Whatever the logits, an id of the vocabulary comes back. */
static void broken_logits_give_some_id(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 0};
    for (size_t a = 0; a < 6; a++)
        for (size_t b = 0; b < 6; b++)
            for (int greedy = 0; greedy < 2; greedy++) {
                float logits[VOCAB];
                for (size_t i = 0; i < VOCAB; i++) logits[i] = values[i % 2 ? a : b];
                gi_sampler s = make(VOCAB, greedy ? 0 : 0.7, 0.9, 5, 3);
                for (int i = 0; i < 10; i++)
                    assert_in_range(gi_sampler_next(&s, logits, NULL), 0, VOCAB - 1);
                gi_sampler_done(&s);
            }
}

/* Draws many times; the set of ids that came. */
static unsigned drawn(const float *logits, double temperature, double top_p, size_t top_k) {
    unsigned set = 0;
    for (uint64_t seed = 0; seed < 4; seed++) {
        gi_sampler s = make(VOCAB, temperature, top_p, top_k, seed);
        for (int i = 0; i < 500; i++) set |= 1u << gi_sampler_next(&s, logits, NULL);
        gi_sampler_done(&s);
    }
    return set;
}

/* logits = log p: the chances are these. */
static void set_chances(float logits[VOCAB], const double p[VOCAB]) {
    for (size_t i = 0; i < VOCAB; i++) logits[i] = (float)log(p[i]);
}

static void top_k_keeps_the_k_likeliest(void **state) {
    (void)state;
    float logits[VOCAB];
    set_chances(logits, (const double[]){.05, .1, .15, .2, .2, .15, .1, .05});
    assert_int_equal(drawn(logits, 1, 1, 0), 0xFF);
    assert_int_equal(drawn(logits, 1, 1, VOCAB), 0xFF);
    assert_int_equal(drawn(logits, 1, 1, 100), 0xFF);
    assert_int_equal(drawn(logits, 1, 1, 1), 1 << 3); /* of two equals the lower id */
    assert_int_equal(drawn(logits, 1, 1, 2), 1 << 3 | 1 << 4);
    assert_int_equal(drawn(logits, 1, 1, 3), 1 << 2 | 1 << 3 | 1 << 4);
    assert_int_equal(drawn(logits, 1, 1, 6), 0x7E);
}

static void top_p_keeps_the_fewest_that_reach_it(void **state) {
    (void)state;
    float logits[VOCAB];
    set_chances(logits, (const double[]){.4, .3, .1, .1, .05, .03, .01, .01});
    assert_int_equal(drawn(logits, 1, 1e-6, 0), 0x1); /* always at least one */
    assert_int_equal(drawn(logits, 1, 0.39, 0), 0x1);
    assert_int_equal(drawn(logits, 1, 0.41, 0), 0x3);
    assert_int_equal(drawn(logits, 1, 0.69, 0), 0x3);
    assert_int_equal(drawn(logits, 1, 0.71, 0), 0x7);
    assert_int_equal(drawn(logits, 1, 0.85, 0), 0xF);
    assert_int_equal(drawn(logits, 1, 1, 0), 0xFF);
    /* top_p counts within what top_k left: .4 / .7 = 57 %. */
    assert_int_equal(drawn(logits, 1, 0.56, 2), 0x1);
    assert_int_equal(drawn(logits, 1, 0.58, 2), 0x3);
}

/* Over many draws each share is the token's chance, within 5 standard deviations. */
static void shares_are_the_chances(void **state) {
    (void)state;
    enum { DRAWS = 100000 };
    const double p[VOCAB] = {.4, .3, .1, .1, .05, .03, .01, .01};
    float logits[VOCAB];
    set_chances(logits, p);
    static const double temperatures[] = {1, 0.5, 2};
    for (size_t t = 0; t < 3; t++) {
        int n[VOCAB] = {0};
        double sum = 0;
        gi_sampler s = make(VOCAB, temperatures[t], 1, 0, 12345);
        for (int i = 0; i < DRAWS; i++) n[gi_sampler_next(&s, logits, NULL)]++;
        gi_sampler_done(&s);
        for (size_t i = 0; i < VOCAB; i++) sum += pow(p[i], 1 / temperatures[t]);
        for (size_t i = 0; i < VOCAB; i++) {
            const double want = pow(p[i], 1 / temperatures[t]) / sum;
            const double deviation = sqrt(want * (1 - want) / DRAWS);
            assert_true(fabs((double)n[i] / DRAWS - want) < 5 * deviation);
        }
    }
}

static void a_seed_fixes_the_draws(void **state) {
    (void)state;
    enum { DRAWS = 64 };
    float logits[VOCAB] = {0};
    int32_t first[DRAWS] = {0}, again[DRAWS];
    int n_equal_to_seed_0 = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        gi_sampler a = make(VOCAB, 1, 1, 0, seed), b = make(VOCAB, 1, 1, 0, seed);
        bool same = true;
        for (int i = 0; i < DRAWS; i++) {
            again[i] = gi_sampler_next(&a, logits, NULL);
            assert_int_equal(again[i], gi_sampler_next(&b, logits, NULL));
            if (seed == 0) first[i] = again[i];
            same &= first[i] == again[i];
        }
        n_equal_to_seed_0 += same;
        gi_sampler_done(&a);
        gi_sampler_done(&b);
    }
    assert_int_equal(n_equal_to_seed_0, 1);
}

/* A greedy token does not use up a random number, and one draw uses one. */
static void the_state_advances_by_draws(void **state) {
    (void)state;
    float logits[VOCAB] = {0};
    gi_sampler greedy = make(VOCAB, 0, 1, 0, 9), drawing = make(VOCAB, 1, 1, 0, 9);
    (void)gi_sampler_next(&greedy, logits, NULL);
    assert_int_equal(greedy.state, 9);
    (void)gi_sampler_next(&drawing, logits, NULL);
    assert_true(drawing.state == 9 + 0x9E3779B97F4A7C15u);
    gi_sampler_done(&greedy);
    gi_sampler_done(&drawing);
}

/* What is not allowed never comes, however likely it is. */
static void only_what_is_allowed(void **state) {
    (void)state;
    enum { N = 100 };
    float logits[N];
    uint32_t allowed[(N + 31) / 32] = {0};
    for (size_t i = 0; i < N; i++) logits[i] = (float)(i % 7);
    allowed[0] = 1u << 5 | 1u << 9;
    allowed[3] = 1u << 1; /* id 97 */
    gi_sampler greedy = make(N, 0, 1, 0, 1), drawing = make(N, 1.5, 0.99, 50, 1);
    assert_int_equal(gi_sampler_next(&greedy, logits, allowed), 97); /* 5: 5, 9: 2, 97: 6 */
    bool seen[N] = {false};
    for (int i = 0; i < 500; i++) seen[gi_sampler_next(&drawing, logits, allowed)] = true;
    for (size_t i = 0; i < N; i++) assert_int_equal(seen[i], i == 5 || i == 9 || i == 97);
    allowed[0] = allowed[3] = 0;
    assert_int_equal(gi_sampler_next(&greedy, logits, allowed), -1);
    gi_sampler_done(&greedy);
    gi_sampler_done(&drawing);
}

/* Classes change nothing: the set that top-k and top-p leave is that of sorting everything. */
static void many_tokens_are_cut_as_few(void **state) {
    (void)state;
    enum { N = 5000 };
    static float logits[N];
    uint32_t x = 7;
    for (size_t i = 0; i < N; i++) {
        x = x * 1664525u + 1013904223u;
        logits[i] = (float)(x >> 8) / 8e5f; /* 0..21 */
    }
    double sorted[N], total = 0;
    size_t n = 0;
    for (size_t i = 0; i < N; i++) total += exp((double)logits[i]);
    for (size_t i = 0; i < N; i++) { /* insertion sort, likeliest first */
        size_t at = n++;
        const double p = exp((double)logits[i]) / total;
        for (; at > 0 && sorted[at - 1] < p; at--) sorted[at] = sorted[at - 1];
        sorted[at] = p;
    }
    static const double top_ps[] = {0.1, 0.5, 0.9, 0.999, 1};
    static const size_t top_ks[] = {0, 1, 10, 1000};
    for (size_t a = 0; a < 5; a++)
        for (size_t b = 0; b < 4; b++) {
            const size_t k = top_ks[b] ? top_ks[b] : N;
            double mass = 0, kept = 0;
            size_t n_kept = 0;
            for (size_t i = 0; i < k; i++) mass += sorted[i];
            while (n_kept < k && kept < top_ps[a] * mass) kept += sorted[n_kept++];
            gi_sampler s = make(N, 1, top_ps[a], top_ks[b], a * 10 + b);
            for (int i = 0; i < 200; i++) {
                const int32_t id = gi_sampler_next(&s, logits, NULL);
                assert_true(exp((double)logits[id]) / total >=
                            sorted[n_kept > 0 ? n_kept - 1 : 0] * (1 - 1e-9));
            }
            gi_sampler_done(&s);
        }
}

static void low_temperature_is_greedy(void **state) {
    (void)state;
    const float logits[VOCAB] = {0, 0.5f, 1, 0.999f, -4, 0.2f, 0, 0};
    static const double temperatures[] = {1e-6, 1e-30, 1e-300, 5e-324};
    for (size_t t = 0; t < 4; t++) assert_int_equal(drawn(logits, temperatures[t], 1, 0), 1 << 2);
}

static double probability(const float *logits, int32_t id) {
    return exp((double)logits[id] - gi_logits_log_sum(logits, VOCAB));
}

static void log_sum_is_that_of_softmax(void **state) {
    (void)state;
    const double p[VOCAB] = {.4, .3, .1, .1, .05, .03, .01, .01};
    float logits[VOCAB];
    set_chances(logits, p);
    for (size_t i = 0; i < VOCAB; i++) logits[i] += 300; /* no overflow */
    for (int32_t i = 0; i < VOCAB; i++) assert_true(fabs(probability(logits, i) - p[i]) < 1e-4);
    const float masked[VOCAB] = {1, -INFINITY, 1, NAN, -INFINITY, -INFINITY, NAN, -INFINITY};
    assert_true(fabs(probability(masked, 0) - 0.5) < 1e-12);
    assert_true(probability(masked, 1) == 0);
}

static void short_of_memory(void **state) {
    (void)state;
    gi_sampler s;
    gi_alloc_fail_at(1);
    assert_int_equal(gi_sampler_init(&s, VOCAB, 1, 1, 0, 0, NULL), GLINT_ERR_MEMORY);
    gi_sampler_done(&s);
    gi_alloc_fail_at(1); /* a greedy one needs none */
    assert_int_equal(gi_sampler_init(&s, VOCAB, 0, 1, 0, 0, NULL), GLINT_OK);
    gi_alloc_fail_at(0);
    gi_sampler_done(&s);
    s = (gi_sampler){0};
    gi_sampler_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_largest),
        cmocka_unit_test(broken_logits_give_some_id),
        cmocka_unit_test(top_k_keeps_the_k_likeliest),
        cmocka_unit_test(top_p_keeps_the_fewest_that_reach_it),
        cmocka_unit_test(shares_are_the_chances),
        cmocka_unit_test(a_seed_fixes_the_draws),
        cmocka_unit_test(the_state_advances_by_draws),
        cmocka_unit_test(low_temperature_is_greedy),
        cmocka_unit_test(only_what_is_allowed),
        cmocka_unit_test(many_tokens_are_cut_as_few),
        cmocka_unit_test(log_sum_is_that_of_softmax),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
