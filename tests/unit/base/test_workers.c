/*
 * src/base/workers: each index runs exactly once, whatever the crew, the count and the pieces.
 */
#include "../cm.h"

#include "base/workers.h"

#include <stdatomic.h>

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

static void refuses_silly_sizes(void **state) {
    (void)state;
    gi_workers *w = NULL;
    assert_int_equal(gi_workers_create(0, &w, NULL), GLINT_ERR_ARG);
    assert_int_equal(gi_workers_create(GI_WORKERS_MAX + 1, &w, NULL), GLINT_ERR_ARG);
    assert_null(w);
    gi_workers_free(NULL);
    assert_in_range(gi_workers_cpus_usable(), 1, GI_WORKERS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_runs_once),
        cmocka_unit_test(long_pieces_become_short),
        cmocka_unit_test(refuses_silly_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
