/*
 * src/kv/kv_pool: every block is in exactly one place at any time, whatever the history, and a
 * refusal changes nothing.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "kv/kv_pool.h"

#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 12, BLOCKS_MAX = 64 };

/* Every block once, in the free list or in a live sequence; tables hold what they say. */
static void assert_conserved(const gi_kv_pool *pool, const gi_kv_sequence *seqs, size_t n_seqs) {
    int seen[BLOCKS_MAX] = {0};
    size_t n_held = 0;
    assert_true(pool->n_free <= pool->n_blocks && pool->n_blocks <= BLOCKS_MAX);
    for (size_t i = 0; i < pool->n_free; i++) {
        assert_in_range(pool->free_blocks[i], 0, pool->n_blocks - 1);
        seen[pool->free_blocks[i]]++;
    }
    for (size_t s = 0; s < n_seqs; s++) {
        assert_true(seqs[s].n_blocks <= seqs[s].n_blocks_max);
        n_held += seqs[s].n_blocks;
        for (size_t i = 0; i < seqs[s].n_blocks; i++) {
            assert_in_range(seqs[s].blocks[i], 0, pool->n_blocks - 1);
            seen[seqs[s].blocks[i]]++;
        }
    }
    assert_int_equal(pool->n_free + n_held, pool->n_blocks);
    for (size_t i = 0; i < pool->n_blocks; i++) assert_int_equal(seen[i], 1);
    assert_true(gi_kv_pool_is_sound(pool, seqs, n_seqs));
}

static void reserves_whole_blocks(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence seq;
    assert_int_equal(gi_kv_pool_init(&pool, 10, 16, 0, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_init(&seq, &pool, 100, NULL), GLINT_OK);
    assert_int_equal(seq.n_blocks_max, 7);
    static const struct {
        size_t n_tokens, n_blocks;
    } rows[] = {{0, 0}, {1, 1}, {16, 1}, {17, 2}, {5, 2}, {32, 2}, {33, 3}, {100, 7}, {112, 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(gi_kv_sequence_reserve(&seq, rows[i].n_tokens, NULL), GLINT_OK);
        assert_int_equal(seq.n_blocks, rows[i].n_blocks);
        assert_conserved(&pool, &seq, 1);
    }
    glint_error err = {0};
    assert_int_equal(gi_kv_sequence_reserve(&seq, 113, &err), GLINT_ERR_LIMIT);
    assert_int_equal(err.code, GLINT_ERR_LIMIT);
    assert_int_equal(gi_kv_sequence_reserve(&seq, SIZE_MAX, NULL), GLINT_ERR_LIMIT);
    assert_int_equal(seq.n_blocks, 7);
    gi_kv_sequence_done(&seq);
    gi_kv_pool_done(&pool);
}

/* A table's older blocks stay what they were while it grows. */
static void growing_keeps_what_is_held(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence a, b;
    int32_t before[8];
    assert_int_equal(gi_kv_pool_init(&pool, 16, 4, 0, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_init(&a, &pool, 32, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_init(&b, &pool, 32, NULL), GLINT_OK);
    for (size_t n = 1; n <= 32; n++) {
        const size_t held = a.n_blocks;
        memcpy(before, a.blocks, held * sizeof *before);
        assert_int_equal(gi_kv_sequence_reserve(&a, n, NULL), GLINT_OK);
        assert_int_equal(gi_kv_sequence_reserve(&b, n, NULL), GLINT_OK);
        assert_memory_equal(a.blocks, before, held * sizeof *before);
    }
    assert_int_equal(pool.n_free, 0);
    gi_kv_sequence_done(&a);
    gi_kv_sequence_done(&b);
    gi_kv_pool_done(&pool);
}

/* All or nothing when the pool runs dry. */
static void an_empty_pool_refuses_and_changes_nothing(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence seqs[2];
    assert_int_equal(gi_kv_pool_init(&pool, 5, 8, 0, NULL), GLINT_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(gi_kv_sequence_init(&seqs[i], &pool, 1000, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_reserve(&seqs[0], 3 * 8, NULL), GLINT_OK);
    glint_error err = {0};
    assert_int_equal(gi_kv_sequence_reserve(&seqs[1], 3 * 8, &err), GLINT_ERR_BUSY);
    assert_int_equal(err.code, GLINT_ERR_BUSY);
    assert_int_equal(seqs[1].n_blocks, 0);
    assert_int_equal(pool.n_free, 2);
    assert_int_equal(gi_kv_sequence_reserve(&seqs[1], 2 * 8, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_reserve(&seqs[1], 2 * 8 + 1, NULL), GLINT_ERR_BUSY);
    assert_int_equal(gi_kv_sequence_reserve(&seqs[0], 3 * 8, NULL), GLINT_OK); /* has them */
    assert_conserved(&pool, seqs, 2);
    gi_kv_sequence_release(&seqs[0]);
    gi_kv_sequence_release(&seqs[0]);
    assert_int_equal(seqs[0].n_tokens, 0);
    assert_int_equal(gi_kv_sequence_reserve(&seqs[1], 5 * 8, NULL), GLINT_OK);
    assert_conserved(&pool, seqs, 2);
    for (size_t i = 0; i < 2; i++) gi_kv_sequence_done(&seqs[i]);
    gi_kv_pool_done(&pool);
}

static void takes_nothing_at_all(void **state) {
    (void)state;
    gi_kv_pool pool = {0};
    gi_kv_sequence seq = {0};
    gi_kv_sequence_done(&seq);
    gi_kv_sequence_done(NULL);
    gi_kv_pool_done(&pool);
    gi_kv_pool_done(NULL);
    assert_int_equal(gi_kv_pool_init(&pool, 0, 16, 0, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_init(&seq, &pool, 0, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_reserve(&seq, 0, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_reserve(&seq, 1, NULL), GLINT_ERR_LIMIT);
    gi_kv_sequence_done(&seq);
    gi_kv_pool_done(&pool);
}

static void short_of_memory(void **state) {
    (void)state;
    gi_kv_pool pool = {0};
    gi_kv_sequence seq = {0};
    uint64_t n = 0;
    do {
        gi_alloc_fail_at(++n);
    } while (gi_kv_pool_init(&pool, 4, 16, 4, NULL) == GLINT_ERR_MEMORY);
    assert_int_equal(n, 5); /* the free list, the counts, and the index's two tables */
    assert_int_equal(pool.n_free, 4);
    gi_alloc_fail_at(1);
    assert_int_equal(gi_kv_sequence_init(&seq, &pool, 64, NULL), GLINT_ERR_MEMORY);
    assert_null(seq.blocks);
    gi_alloc_fail_at(0);
    gi_kv_pool_done(&pool);
}

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* One random history; a model in plain numbers says what each call must answer. */
static void random_history(uint64_t seed) {
    uint64_t rng = seed;
    const size_t n_blocks = 1 + next_random(&rng) % BLOCKS_MAX;
    const size_t block = 1 + next_random(&rng) % 40;
    gi_kv_pool pool;
    gi_kv_sequence seqs[SEQUENCES] = {0};
    size_t limits[SEQUENCES], held[SEQUENCES] = {0}, n_free = n_blocks;
    assert_int_equal(gi_kv_pool_init(&pool, n_blocks, block, 0, NULL), GLINT_OK);
    for (size_t i = 0; i < SEQUENCES; i++) {
        limits[i] = next_random(&rng) % (n_blocks * block + block);
        assert_int_equal(gi_kv_sequence_init(&seqs[i], &pool, limits[i], NULL), GLINT_OK);
    }
    for (int step = 0; step < 200; step++) {
        const size_t i = next_random(&rng) % SEQUENCES;
        if (next_random(&rng) % 5 == 0) {
            gi_kv_sequence_release(&seqs[i]);
            n_free += held[i];
            held[i] = 0;
        } else {
            const size_t n = next_random(&rng) % (limits[i] + 2 * block);
            const size_t need = (n + block - 1) / block, most = (limits[i] + block - 1) / block;
            glint_status want = GLINT_OK;
            if (need > most)
                want = GLINT_ERR_LIMIT;
            else if (need > held[i] && need - held[i] > n_free)
                want = GLINT_ERR_BUSY;
            assert_int_equal(gi_kv_sequence_reserve(&seqs[i], n, NULL), want);
            if (want == GLINT_OK && need > held[i]) {
                n_free -= need - held[i];
                held[i] = need;
            }
        }
        assert_int_equal(pool.n_free, n_free);
        assert_int_equal(seqs[i].n_blocks, held[i]);
        assert_conserved(&pool, seqs, SEQUENCES);
    }
    for (size_t i = 0; i < SEQUENCES; i++) gi_kv_sequence_done(&seqs[i]);
    assert_int_equal(pool.n_free, n_blocks);
    gi_kv_pool_done(&pool);
}

static void random_histories(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) random_history(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserves_whole_blocks),
        cmocka_unit_test(growing_keeps_what_is_held),
        cmocka_unit_test(an_empty_pool_refuses_and_changes_nothing),
        cmocka_unit_test(takes_nothing_at_all),
        cmocka_unit_test(short_of_memory),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
