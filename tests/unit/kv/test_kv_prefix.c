/*
 * src/kv/kv_prefix and the sharing half of src/kv/kv_pool: what is found is what was published, the
 * least recently used goes first, and no block is lost, given twice or written while it is shared.
 */
#include "../cm.h"

#include "kv/kv_pool.h"

#include <string.h>

enum { BLOCK = 4, SEQUENCES = 8, BLOCKS_MAX = 48, CHAIN_MAX = 10 };

/* A key whose first bytes, which choose the slot, are those of `slot`. */
static gi_kv_key key_of(uint64_t slot, uint64_t id) {
    gi_kv_key key = {0};
    memcpy(key.bytes, &slot, sizeof slot);
    memcpy(key.bytes + 24, &id, sizeof id);
    return key;
}

/* The chain of keys of prompt number `prompt`. */
static void make_chain(uint64_t prompt, gi_kv_key keys[CHAIN_MAX]) {
    for (uint64_t i = 0; i < CHAIN_MAX; i++) keys[i] = key_of(prompt * 31 + i, prompt << 32 | i);
}

static void begin(gi_kv_pool *pool, size_t n_blocks, size_t n_cached_max, gi_kv_sequence *seqs,
                  size_t n_seqs) {
    assert_int_equal(gi_kv_pool_init(pool, n_blocks, BLOCK, n_cached_max, NULL), GLINT_OK);
    for (size_t i = 0; i < n_seqs; i++)
        assert_int_equal(gi_kv_sequence_init(&seqs[i], pool, CHAIN_MAX * BLOCK, NULL), GLINT_OK);
}

static void end(gi_kv_pool *pool, gi_kv_sequence *seqs, size_t n_seqs) {
    for (size_t i = 0; i < n_seqs; i++) gi_kv_sequence_done(&seqs[i]);
    assert_true(gi_kv_pool_is_sound(pool, NULL, 0));
    gi_kv_pool_done(pool);
}

/* A sequence that has run a prompt of n_tokens. Returns what it had not to run. */
static size_t run_prompt(gi_kv_sequence *seq, const gi_kv_key *keys, size_t n_tokens) {
    const size_t n_adopted = gi_kv_sequence_adopt(seq, keys, (n_tokens - 1) / BLOCK);
    assert_int_equal(gi_kv_sequence_reserve(seq, n_tokens, NULL), GLINT_OK);
    seq->n_tokens = n_tokens;
    gi_kv_sequence_publish(seq, keys, n_tokens / BLOCK);
    return n_adopted;
}

static void the_second_finds_what_the_first_left(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence s[3];
    gi_kv_key keys[CHAIN_MAX], other[CHAIN_MAX];
    make_chain(1, keys);
    make_chain(2, other);
    begin(&pool, 16, SIZE_MAX, s, 3);
    assert_int_equal(run_prompt(&s[0], keys, 14), 0);
    assert_int_equal(run_prompt(&s[1], keys, 15), 12); /* while the first is at work */
    assert_memory_equal(s[0].blocks, s[1].blocks, 3 * sizeof *s[0].blocks);
    assert_int_not_equal(s[0].blocks[3], s[1].blocks[3]); /* the one still written to is its own */
    assert_int_equal(gi_kv_pool_available(&pool), 16 - 5);
    assert_true(gi_kv_pool_is_sound(&pool, s, 3));
    for (size_t i = 0; i < 2; i++) gi_kv_sequence_release(&s[i]);
    assert_int_equal(gi_kv_pool_cached(&pool), 3);
    assert_int_equal(gi_kv_pool_available(&pool), 16);
    assert_int_equal(run_prompt(&s[2], keys, 12), 8); /* the last token runs, whatever is known */
    assert_int_equal(run_prompt(&s[0], other, 12), 0);
    assert_int_equal(pool.stats.n_lookups, 4);
    assert_int_equal(pool.stats.n_hit_tokens, 20);
    assert_int_equal(pool.stats.n_evictions, 0);
    end(&pool, s, 3);
}

static void publishing_twice_changes_nothing(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence s[2];
    gi_kv_key keys[CHAIN_MAX];
    make_chain(7, keys);
    begin(&pool, 16, SIZE_MAX, s, 2);
    assert_int_equal(gi_kv_sequence_reserve(&s[0], 20, NULL), GLINT_OK);
    gi_kv_sequence_publish(&s[0], keys, 5);
    assert_int_equal(pool.prefix.n_known, 0); /* held, but nothing is stored yet */
    s[0].n_tokens = 11;
    for (int i = 0; i < 3; i++) gi_kv_sequence_publish(&s[0], keys, 5);
    assert_int_equal(pool.prefix.n_known, 2); /* the third block is not full */
    /* The same prompt at the same time: the first block stays, the other sequence keeps its own. */
    assert_int_equal(gi_kv_sequence_reserve(&s[1], 20, NULL), GLINT_OK);
    s[1].n_tokens = 20;
    gi_kv_sequence_publish(&s[1], keys, 5);
    assert_int_equal(pool.prefix.n_known, 5);
    assert_int_equal(gi_kv_prefix_find(&pool.prefix, &keys[0]), s[0].blocks[0]);
    assert_int_equal(gi_kv_prefix_find(&pool.prefix, &keys[2]), s[1].blocks[2]);
    assert_int_not_equal(s[0].blocks[0], s[1].blocks[0]);
    gi_kv_sequence_release(&s[1]);
    assert_int_equal(gi_kv_pool_cached(&pool), 3);
    gi_kv_sequence_release(&s[0]);
    assert_int_equal(gi_kv_pool_cached(&pool), 5);
    assert_int_equal(gi_kv_sequence_adopt(&s[0], keys, CHAIN_MAX), 20); /* from both */
    end(&pool, s, 2);
}

static void off_means_off(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence s[2];
    gi_kv_key keys[CHAIN_MAX];
    make_chain(1, keys);
    begin(&pool, 8, 0, s, 2);
    assert_int_equal(run_prompt(&s[0], keys, 12), 0);
    assert_int_equal(run_prompt(&s[1], keys, 12), 0);
    gi_kv_sequence_release(&s[0]);
    assert_int_equal(gi_kv_pool_cached(&pool), 0);
    assert_int_equal(pool.n_free, 5);
    assert_int_equal(pool.stats.n_lookups, 0);
    end(&pool, s, 2);
}

/* A reserve takes free blocks first, then the end of the prompt that was let go first. */
static void the_oldest_goes_first_children_before_parents(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence s[3];
    gi_kv_key a[CHAIN_MAX], b[CHAIN_MAX];
    make_chain(1, a);
    make_chain(2, b);
    begin(&pool, 8, SIZE_MAX, s, 3);
    run_prompt(&s[0], a, 12);
    run_prompt(&s[1], b, 12);
    gi_kv_sequence_release(&s[1]);
    gi_kv_sequence_release(&s[0]); /* b is older, though a ran first */
    const size_t left_of_b[] = {3, 3, 3, 2, 1, 0, 0, 0, 0};
    const size_t left_of_a[] = {3, 3, 3, 3, 3, 3, 2, 1, 0};
    for (size_t n = 0; n <= 8; n++) {
        assert_int_equal(gi_kv_sequence_reserve(&s[2], n * BLOCK, NULL), GLINT_OK);
        for (size_t i = 0; i < 3; i++) {
            const bool has_a = gi_kv_prefix_find(&pool.prefix, &a[i]) != GI_KV_NO_BLOCK;
            const bool has_b = gi_kv_prefix_find(&pool.prefix, &b[i]) != GI_KV_NO_BLOCK;
            assert_int_equal(has_a, i < left_of_a[n]);
            assert_int_equal(has_b, i < left_of_b[n]);
        }
        assert_true(gi_kv_pool_is_sound(&pool, s, 3));
    }
    assert_int_equal(pool.stats.n_evictions, 6);
    assert_int_equal(gi_kv_sequence_reserve(&s[0], 1, NULL), GLINT_ERR_BUSY);
    end(&pool, s, 3);
}

/* Being adopted is being used: what was oldest is newest when it is let go again. */
static void adopting_makes_new(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence s[3];
    gi_kv_key a[CHAIN_MAX], b[CHAIN_MAX];
    make_chain(1, a);
    make_chain(2, b);
    begin(&pool, 4, SIZE_MAX, s, 3);
    run_prompt(&s[0], a, 8);
    run_prompt(&s[1], b, 8);
    gi_kv_sequence_release(&s[0]);
    gi_kv_sequence_release(&s[1]);
    assert_int_equal(gi_kv_sequence_adopt(&s[0], a, 2), 8);
    /* All that is left is b, and what s[0] holds cannot be had. */
    assert_int_equal(gi_kv_sequence_reserve(&s[2], 3 * BLOCK, NULL), GLINT_ERR_BUSY);
    assert_int_equal(gi_kv_pool_cached(&pool), 2); /* refusing evicted nothing */
    gi_kv_sequence_release(&s[0]);
    assert_int_equal(gi_kv_sequence_reserve(&s[2], 2 * BLOCK, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_adopt(&s[1], b, 2), 0);
    assert_int_equal(gi_kv_sequence_adopt(&s[0], a, 2), 8);
    end(&pool, s, 3);
}

static void no_more_are_cached_than_allowed(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence s[2];
    gi_kv_key a[CHAIN_MAX], b[CHAIN_MAX];
    make_chain(1, a);
    make_chain(2, b);
    begin(&pool, 16, 3, s, 2);
    run_prompt(&s[0], a, 5 * BLOCK);
    assert_int_equal(pool.prefix.n_known, 5); /* in use they do not count */
    gi_kv_sequence_release(&s[0]);
    assert_int_equal(gi_kv_pool_cached(&pool), 3);
    assert_int_equal(pool.n_free, 13);
    assert_int_equal(gi_kv_sequence_adopt(&s[1], a, 5), 3 * BLOCK); /* its beginning was kept */
    gi_kv_sequence_release(&s[1]);
    run_prompt(&s[0], b, 2 * BLOCK);
    gi_kv_sequence_release(&s[0]);
    assert_int_equal(gi_kv_sequence_adopt(&s[0], a, 5), BLOCK);
    assert_int_equal(pool.stats.n_evictions, 4);
    end(&pool, s, 2);
}

/* Only what comes without a gap is adopted, and no more than the sequence has room for. */
static void prefixes_have_no_gaps(void **state) {
    (void)state;
    gi_kv_pool pool;
    gi_kv_sequence s[2], short_one;
    gi_kv_key keys[CHAIN_MAX], gap[CHAIN_MAX];
    make_chain(1, keys);
    make_chain(1, gap);
    gap[2].bytes[31] ^= 1; /* the last of the 256 bits */
    begin(&pool, 16, SIZE_MAX, s, 2);
    run_prompt(&s[0], keys, 6 * BLOCK);
    assert_int_equal(gi_kv_sequence_adopt(&s[1], gap, 6), 2 * BLOCK);
    assert_int_equal(gi_kv_sequence_init(&short_one, &pool, 3 * BLOCK, NULL), GLINT_OK);
    assert_int_equal(gi_kv_sequence_adopt(&short_one, keys, 6), 3 * BLOCK);
    assert_int_equal(gi_kv_sequence_reserve(&short_one, 3 * BLOCK + 1, NULL), GLINT_ERR_LIMIT);
    gi_kv_sequence_done(&short_one);
    end(&pool, s, 2);
}

/* Keys that all want the same few slots, put in and taken out again, at the table's end too. */
static void colliding_keys(void **state) {
    (void)state;
    enum { N = 16 };
    gi_kv_prefix p;
    assert_int_equal(gi_kv_prefix_init(&p, N, SIZE_MAX, NULL), GLINT_OK);
    for (uint64_t round = 0; round < 64; round++) {
        gi_kv_key keys[N];
        for (uint64_t i = 0; i < N; i++) {
            keys[i] = key_of(p.n_slots - 3 + (i * 7 + round) % 5, round << 8 | i);
            assert_true(gi_kv_prefix_add(&p, &keys[i], (int32_t)i));
            assert_false(gi_kv_prefix_add(&p, &keys[i], (int32_t)i));
        }
        for (uint64_t i = 0; i < N; i++) {
            const uint64_t gone = (i * 5 + round) % N;
            gi_kv_prefix_keep(&p, (int32_t)gone);
            assert_int_equal(gi_kv_prefix_evict(&p), gone);
            assert_int_equal(gi_kv_prefix_find(&p, &keys[gone]), GI_KV_NO_BLOCK);
            assert_true(gi_kv_prefix_is_sound(&p));
        }
    }
    assert_int_equal(gi_kv_prefix_evict(&p), GI_KV_NO_BLOCK);
    gi_kv_prefix_done(&p);
}

/* ---- random histories ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/*
 * A second account of the pool, kept in the plainest way: which key each block holds (0 = none),
 * when it was let go, and who holds it. Prompts are paths in a tree, so that they share beginnings:
 * the key of block i of prompt p is made of p's lowest bits.
 */
typedef struct model {
    gi_kv_pool pool;
    gi_kv_sequence seqs[SEQUENCES];
    uint64_t prompts[SEQUENCES];
    uint64_t ids[BLOCKS_MAX];   /* what the block holds, as written by the last who had it */
    uint64_t known[BLOCKS_MAX]; /* id it is published under, or 0 */
    uint64_t let_go[BLOCKS_MAX];
    uint64_t clock;
    size_t n_cached_max;
    uint64_t rng;
} model;

static uint64_t id_of(uint64_t prompt, size_t i) {
    return (prompt & ((1u << (i + 1)) - 1)) << 8 | (i + 1);
}

static gi_kv_key key_of_id(uint64_t id) {
    return key_of(id % 5, id); /* five chains of collisions */
}

static size_t refs_of(const model *m, int32_t block) {
    size_t n = 0;
    for (size_t s = 0; s < SEQUENCES; s++)
        for (size_t i = 0; i < m->seqs[s].n_blocks; i++) n += m->seqs[s].blocks[i] == block;
    return n;
}

static int32_t known_block(const model *m, uint64_t id) {
    for (size_t b = 0; b < m->pool.n_blocks; b++)
        if (m->known[b] == id) return (int32_t)b;
    return GI_KV_NO_BLOCK;
}

static size_t cached_blocks(const model *m) {
    size_t n = 0;
    for (size_t b = 0; b < m->pool.n_blocks; b++) n += m->known[b] && !refs_of(m, (int32_t)b);
    return n;
}

/* The model gives up the cached block that was let go first. */
static void forget_oldest(model *m) {
    size_t oldest = SIZE_MAX;
    for (size_t b = 0; b < m->pool.n_blocks; b++)
        if (m->known[b] && !refs_of(m, (int32_t)b) &&
            (oldest == SIZE_MAX || m->let_go[b] < m->let_go[oldest]))
            oldest = b;
    assert_true(oldest != SIZE_MAX);
    m->known[oldest] = 0;
}

static void random_adopt(model *m, gi_kv_sequence *seq, uint64_t *prompt) {
    gi_kv_key keys[CHAIN_MAX];
    *prompt = next_random(&m->rng) % 16;
    const size_t n_keys = next_random(&m->rng) % (CHAIN_MAX + 1);
    size_t want = 0;
    for (size_t i = 0; i < n_keys; i++) keys[i] = key_of_id(id_of(*prompt, i));
    while (want < n_keys && known_block(m, id_of(*prompt, want)) != GI_KV_NO_BLOCK) want++;
    assert_int_equal(gi_kv_sequence_adopt(seq, keys, n_keys), want * BLOCK);
    assert_int_equal(seq->n_tokens, want * BLOCK);
    for (size_t i = 0; i < want; i++) {
        assert_int_equal(seq->blocks[i], known_block(m, id_of(*prompt, i)));
        assert_int_equal(m->ids[seq->blocks[i]], id_of(*prompt, i)); /* what it holds */
    }
}

/* Grow by some tokens, "write" them, and check that nobody else saw the written blocks. */
static void random_grow(model *m, gi_kv_sequence *seq, uint64_t prompt) {
    const size_t n_tokens = next_random(&m->rng) % (CHAIN_MAX * BLOCK + 1);
    if (n_tokens <= seq->n_tokens) return;
    const size_t held = seq->n_blocks, need = (n_tokens + BLOCK - 1) / BLOCK;
    const size_t n_free = m->pool.n_free, n_cached = cached_blocks(m);
    const size_t n_new = need > held ? need - held : 0;
    const glint_status want = n_new > n_free + n_cached ? GLINT_ERR_BUSY : GLINT_OK;
    assert_int_equal(gi_kv_sequence_reserve(seq, n_tokens, NULL), want);
    assert_int_equal(seq->n_blocks, want == GLINT_OK && need > held ? need : held);
    if (want != GLINT_OK) return;
    /* The new ones hold references by now, so that the model must look at the state before. */
    const size_t now_held = seq->n_blocks;
    seq->n_blocks = held;
    for (size_t i = n_free; i < n_new; i++) forget_oldest(m);
    seq->n_blocks = now_held;
    for (size_t i = held; i < now_held; i++) assert_int_equal(m->known[seq->blocks[i]], 0);
    for (size_t i = seq->n_tokens / BLOCK; i < now_held; i++) {
        assert_int_equal(refs_of(m, seq->blocks[i]), 1);
        m->ids[seq->blocks[i]] = id_of(prompt, i);
    }
    seq->n_tokens = n_tokens;
}

static void random_publish(model *m, gi_kv_sequence *seq, uint64_t prompt) {
    gi_kv_key keys[CHAIN_MAX];
    const size_t n_keys = next_random(&m->rng) % (CHAIN_MAX + 1);
    for (size_t i = 0; i < n_keys; i++) keys[i] = key_of_id(id_of(prompt, i));
    gi_kv_sequence_publish(seq, keys, n_keys);
    for (size_t i = 0; m->n_cached_max > 0 && i < n_keys && i < seq->n_tokens / BLOCK; i++)
        if (known_block(m, id_of(prompt, i)) == GI_KV_NO_BLOCK)
            m->known[seq->blocks[i]] = id_of(prompt, i);
}

static void random_release(model *m, gi_kv_sequence *seq) {
    int32_t blocks[CHAIN_MAX];
    const size_t n = seq->n_blocks;
    memcpy(blocks, seq->blocks, n * sizeof *blocks);
    gi_kv_sequence_release(seq);
    for (size_t i = n; i-- > 0;)
        if (m->known[blocks[i]] && !refs_of(m, blocks[i])) m->let_go[blocks[i]] = ++m->clock;
    while (cached_blocks(m) > m->n_cached_max) forget_oldest(m);
}

static void assert_agrees(const model *m) {
    assert_true(gi_kv_pool_is_sound(&m->pool, m->seqs, SEQUENCES));
    assert_int_equal(gi_kv_pool_cached(&m->pool), cached_blocks(m));
    for (size_t b = 0; b < m->pool.n_blocks; b++) {
        if (m->n_cached_max == 0) continue;
        assert_int_equal(m->pool.prefix.blocks[b].is_known, m->known[b] != 0);
        if (!m->known[b]) continue;
        const gi_kv_key key = key_of_id(m->known[b]);
        assert_int_equal(gi_kv_prefix_find(&m->pool.prefix, &key), b);
    }
}

static void random_history(uint64_t seed) {
    model m = {.rng = seed};
    const size_t n_blocks = 1 + next_random(&m.rng) % BLOCKS_MAX;
    m.n_cached_max = next_random(&m.rng) % 3 ? n_blocks : next_random(&m.rng) % n_blocks;
    begin(&m.pool, n_blocks, m.n_cached_max, m.seqs, SEQUENCES);
    for (int step = 0; step < 300; step++) {
        const size_t s = next_random(&m.rng) % SEQUENCES;
        gi_kv_sequence *seq = &m.seqs[s];
        const uint64_t what = next_random(&m.rng) % 8;
        if (seq->n_blocks == 0)
            random_adopt(&m, seq, &m.prompts[s]);
        else if (what < 2)
            random_release(&m, seq);
        else if (what < 4)
            random_publish(&m, seq, m.prompts[s]);
        random_grow(&m, seq, m.prompts[s]);
        assert_agrees(&m);
    }
    end(&m.pool, m.seqs, SEQUENCES);
}

static void random_histories(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) random_history(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_finds_what_the_first_left),
        cmocka_unit_test(publishing_twice_changes_nothing),
        cmocka_unit_test(off_means_off),
        cmocka_unit_test(the_oldest_goes_first_children_before_parents),
        cmocka_unit_test(adopting_makes_new),
        cmocka_unit_test(no_more_are_cached_than_allowed),
        cmocka_unit_test(prefixes_have_no_gaps),
        cmocka_unit_test(colliding_keys),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
