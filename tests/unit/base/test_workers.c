/*
 * src/base/workers: each index runs exactly once, whatever the crew, the count and the pieces.
 */
#include "../cm.h"

#include "base/cpus.h"
#include "base/thread.h"
#include "base/workers.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { COUNT_MAX = 700, ROUNDS = 3000 };

typedef struct tally {
    _Atomic uint8_t runs[COUNT_MAX];
    _Atomic size_t worst_piece;
    _Atomic int worst_worker;
} tally;

static void mark(void *ctx, size_t begin, size_t end, int i_worker) {
    tally *t = ctx;
    if (i_worker > atomic_load(&t->worst_worker)) atomic_store(&t->worst_worker, i_worker);
    for (size_t i = begin; i < end; i++) atomic_fetch_add(&t->runs[i], 1);
    size_t worst = atomic_load(&t->worst_piece);
    while (end - begin > worst &&
           !atomic_compare_exchange_weak(&t->worst_piece, &worst, end - begin)) {
    }
}

static void each_index_runs_once(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
        gi_workers *w = NULL;
        assert_int_equal(gi_workers_create(n_threads, &w, NULL), GLINT_OK);
        assert_int_equal(gi_workers_count(w), n_threads);
        tally t = {.worst_worker = 0};
        for (size_t round = 0; round < ROUNDS; round++) {
            const size_t count = round * 7919 % COUNT_MAX, grain = 1 + round * 31 % 97;
            for (size_t i = 0; i < COUNT_MAX; i++) atomic_store(&t.runs[i], 0);
            atomic_store(&t.worst_piece, 0);
            gi_workers_run(w, count, grain, mark, &t);
            for (size_t i = 0; i < COUNT_MAX; i++)
                assert_int_equal(atomic_load(&t.runs[i]), i < count);
            if (n_threads > 1) assert_true(atomic_load(&t.worst_piece) <= grain);
        }
        assert_true(atomic_load(&t.worst_worker) < n_threads);
        gi_workers_free(w);
    }
}

/* Long pieces: each index once, the first piece a third of all for two threads, the last ones 1. */
static void long_pieces_become_short(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
        gi_workers *w = NULL;
        assert_int_equal(gi_workers_create(n_threads, &w, NULL), GLINT_OK);
        tally t = {.worst_worker = 0};
        for (size_t round = 0; round < ROUNDS; round++) {
            const size_t count = round * 7919 % COUNT_MAX;
            for (size_t i = 0; i < COUNT_MAX; i++) atomic_store(&t.runs[i], 0);
            atomic_store(&t.worst_piece, 0);
            gi_workers_run_long(w, count, mark, &t);
            for (size_t i = 0; i < COUNT_MAX; i++)
                assert_int_equal(atomic_load(&t.runs[i]), i < count);
            if (n_threads == 1 || count < 2) continue;
            const size_t first = count / ((size_t)n_threads * 3 / 2);
            assert_int_equal(atomic_load(&t.worst_piece), first > 1 ? first : 1);
        }
        assert_true(atomic_load(&t.worst_worker) < n_threads);
        gi_workers_free(w);
    }
}

typedef struct masks {
    pthread_t caller;
    _Atomic int n_seen, n_wrong;
} masks;

/* Long enough that no thread runs them all. */
static void look_at_mask(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)begin, (void)end, (void)i_worker;
    masks *m = ctx;
    sigset_t now;
    usleep(2000);
    if (pthread_equal(pthread_self(), m->caller)) return;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    const bool is_right = sigismember(&now, SIGTERM) == 1 && sigismember(&now, SIGINT) == 1 &&
                          sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGSEGV) == 0;
    atomic_fetch_add(&m->n_wrong, !is_right);
    atomic_fetch_add(&m->n_seen, 1);
}

/* Signals are the program's: a handler of it must not run on a thread of the crew. */
static void signals_reach_no_worker(void **state) {
    (void)state;
    gi_workers *w = NULL;
    masks m = {.caller = pthread_self()};
    assert_int_equal(gi_workers_create(3, &w, NULL), GLINT_OK);
    for (int i = 0; i < 100 && atomic_load(&m.n_seen) == 0; i++)
        gi_workers_run(w, 12, 1, look_at_mask, &m);
    assert_true(atomic_load(&m.n_seen) > 0);
    assert_int_equal(atomic_load(&m.n_wrong), 0);
    gi_workers_free(w);
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    assert_int_equal(sigismember(&now, SIGTERM), 0); /* the caller's own mask is as it was */
}

static void *nothing(void *arg) {
    return arg;
}

/* No address space for a stack: the reason is told, as errno and in the crew's message. */
static void a_thread_that_cannot_be_had_says_why(void **state) {
    (void)state;
    pthread_attr_t attr, before;
    gi_workers *w = NULL;
    glint_error err = {0};
    pthread_t thread;
    assert_int_equal(pthread_getattr_default_np(&before), 0);
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 47), 0); /* all there is */
    assert_int_equal(pthread_setattr_default_np(&attr), 0);
    errno = 0;
    const bool is_started = gi_thread_start(&thread, nothing, NULL);
    const int reason = errno;
    const glint_status st = gi_workers_create(2, &w, &err);
    assert_int_equal(pthread_setattr_default_np(&before), 0);
    assert_false(is_started);
    assert_int_equal(reason, EAGAIN);
    assert_int_equal(st, GLINT_ERR_IO);
    assert_string_equal(err.message, "cannot start thread 1: Resource temporarily unavailable");
    pthread_attr_destroy(&attr);
}

/* The affinity mask bounds it; a quota may bound it further. */
static void usable_cpus_follow_the_mask(void **state) {
    (void)state;
    cpu_set_t before[8], one;
    assert_int_equal(sched_getaffinity(0, sizeof before, before), 0);
    assert_in_range(gi_cpus_usable(), 1, CPU_COUNT_S(sizeof before, before));
    int first = 0;
    while (!CPU_ISSET_S((size_t)first, sizeof before, before)) first++;
    CPU_ZERO(&one);
    CPU_SET((size_t)first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    const int n = gi_cpus_usable();
    assert_int_equal(sched_setaffinity(0, sizeof before, before), 0);
    assert_int_equal(n, 1);
}

static void refuses_silly_sizes(void **state) {
    (void)state;
    gi_workers *w = NULL;
    assert_int_equal(gi_workers_create(0, &w, NULL), GLINT_ERR_ARG);
    assert_int_equal(gi_workers_create(GI_WORKERS_MAX + 1, &w, NULL), GLINT_ERR_ARG);
    assert_null(w);
    gi_workers_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_runs_once),
        cmocka_unit_test(long_pieces_become_short),
        cmocka_unit_test(signals_reach_no_worker),
        cmocka_unit_test(a_thread_that_cannot_be_had_says_why),
        cmocka_unit_test(usable_cpus_follow_the_mask),
        cmocka_unit_test(refuses_silly_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
