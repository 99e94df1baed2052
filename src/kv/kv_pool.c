/*
 * Free list and reference counts of KV blocks. Last released, first taken: a warm block is the
 * likeliest in cache. What a block holds is the prefix index's business (kv_prefix.c); the two meet
 * where a reference comes or goes.
 */
#include "kv/kv_pool.h"

#include "base/alloc.h"

glint_status gi_kv_pool_init(gi_kv_pool *pool, size_t n_blocks, size_t block_tokens,
                             size_t n_cached_max, glint_error *err) {
    gi_assert(n_blocks <= INT32_MAX && block_tokens > 0);
    gi_kv_prefix prefix;
    GI_TRY(gi_kv_prefix_init(&prefix, n_blocks, n_cached_max, err));
    int32_t *list = gi_calloc(n_blocks, sizeof *list);
    uint32_t *refs = gi_calloc(n_blocks, sizeof *refs);
    if (!list || !refs) {
        gi_free(list);
        gi_free(refs);
        gi_kv_prefix_done(&prefix);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu KV blocks", n_blocks);
    }
    for (size_t i = 0; i < n_blocks; i++) list[i] = (int32_t)(n_blocks - 1 - i);
    *pool = (gi_kv_pool){.n_blocks = n_blocks,
                         .block_tokens = block_tokens,
                         .n_free = n_blocks,
                         .free_blocks = list,
                         .n_refs = refs,
                         .prefix = prefix};
    return GLINT_OK;
}

void gi_kv_pool_done(gi_kv_pool *pool) {
    if (!pool) return;
    gi_assert(gi_kv_pool_available(pool) == pool->n_blocks);
    gi_free(pool->free_blocks);
    gi_free(pool->n_refs);
    gi_kv_prefix_done(&pool->prefix);
    *pool = (gi_kv_pool){0};
}

size_t gi_kv_pool_available(const gi_kv_pool *pool) {
    return pool->n_free + pool->prefix.n_cached;
}

size_t gi_kv_pool_cached(const gi_kv_pool *pool) {
    return pool->prefix.n_cached;
}

/* ---- blocks ---- */

static bool is_known(const gi_kv_pool *pool, int32_t block) {
    return pool->prefix.blocks && pool->prefix.blocks[block].is_known;
}

static int32_t evict(gi_kv_pool *pool) {
    const int32_t block = gi_kv_prefix_evict(&pool->prefix);
    gi_assert(block != GI_KV_NO_BLOCK);
    pool->stats.n_evictions++;
    return block;
}

/* A block for one sequence to write to. The caller has made sure that there is one. */
static int32_t take_block(gi_kv_pool *pool) {
    const int32_t block = pool->n_free > 0 ? pool->free_blocks[--pool->n_free] : evict(pool);
    pool->n_refs[block] = 1;
    return block;
}

static void share_block(gi_kv_pool *pool, int32_t block) {
    if (pool->n_refs[block]++ == 0) gi_kv_prefix_take(&pool->prefix, block);
}

static void unref_block(gi_kv_pool *pool, int32_t block) {
    gi_assert(pool->n_refs[block] > 0);
    if (--pool->n_refs[block] > 0) return;
    if (!is_known(pool, block)) {
        pool->free_blocks[pool->n_free++] = block;
        return;
    }
    gi_kv_prefix_keep(&pool->prefix, block);
    if (pool->prefix.n_cached > pool->prefix.n_cached_max)
        pool->free_blocks[pool->n_free++] = evict(pool);
}

/* ---- sequences ---- */

size_t gi_kv_pool_blocks_for(const gi_kv_pool *pool, size_t n_tokens) {
    return n_tokens / pool->block_tokens + (n_tokens % pool->block_tokens != 0);
}

glint_status gi_kv_sequence_init(gi_kv_sequence *seq, gi_kv_pool *pool, size_t tokens_max,
                                 glint_error *err) {
    const size_t n = gi_kv_pool_blocks_for(pool, tokens_max);
    int32_t *blocks = gi_calloc(n, sizeof *blocks);
    if (!blocks) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a sequence's block table");
    *seq = (gi_kv_sequence){.pool = pool, .n_blocks_max = n, .blocks = blocks};
    return GLINT_OK;
}

size_t gi_kv_sequence_adopt(gi_kv_sequence *seq, const gi_kv_key *keys, size_t n_keys) {
    gi_kv_pool *pool = seq->pool;
    gi_assert(seq->n_blocks == 0 && seq->n_tokens == 0);
    if (n_keys == 0 || pool->prefix.n_cached_max == 0) return 0;
    pool->stats.n_lookups++;
    while (seq->n_blocks < n_keys && seq->n_blocks < seq->n_blocks_max) {
        const int32_t block = gi_kv_prefix_find(&pool->prefix, &keys[seq->n_blocks]);
        if (block == GI_KV_NO_BLOCK) break;
        share_block(pool, block);
        seq->blocks[seq->n_blocks++] = block;
    }
    seq->n_tokens = seq->n_blocks * pool->block_tokens;
    pool->stats.n_hit_tokens += seq->n_tokens;
    return seq->n_tokens;
}

void gi_kv_sequence_publish(gi_kv_sequence *seq, const gi_kv_key *keys, size_t n_keys) {
    const size_t n_full = seq->n_tokens / seq->pool->block_tokens;
    gi_assert(n_full <= seq->n_blocks);
    for (size_t i = 0; i < n_keys && i < n_full; i++)
        gi_kv_prefix_add(&seq->pool->prefix, &keys[i], seq->blocks[i]);
}

glint_status gi_kv_sequence_reserve(gi_kv_sequence *seq, size_t n_tokens, glint_error *err) {
    const size_t need = gi_kv_pool_blocks_for(seq->pool, n_tokens);
    if (need > seq->n_blocks_max)
        return gi_fail(err, GLINT_ERR_LIMIT, "sequence would pass %zu tokens",
                       seq->n_blocks_max * seq->pool->block_tokens);
    if (need <= seq->n_blocks) return GLINT_OK;
    if (need - seq->n_blocks > gi_kv_pool_available(seq->pool))
        return gi_fail(err, GLINT_ERR_BUSY, "the KV cache is full");
    while (seq->n_blocks < need) seq->blocks[seq->n_blocks++] = take_block(seq->pool);
    return GLINT_OK;
}

void gi_kv_sequence_release(gi_kv_sequence *seq) {
    /* From the end: a block is of no use without those before it, so it must be evicted first. */
    while (seq->n_blocks > 0) unref_block(seq->pool, seq->blocks[--seq->n_blocks]);
    seq->n_tokens = 0;
}

void gi_kv_sequence_done(gi_kv_sequence *seq) {
    if (!seq) return;
    gi_kv_sequence_release(seq);
    gi_free(seq->blocks);
    *seq = (gi_kv_sequence){0};
}

/* ---- checks ---- */

/* How many of the sequences' references are to this block. */
static size_t count_refs(const gi_kv_sequence *seqs, size_t n_seqs, int32_t block) {
    size_t n = 0;
    for (size_t s = 0; s < n_seqs; s++)
        for (size_t i = 0; i < seqs[s].n_blocks; i++) n += seqs[s].blocks[i] == block;
    return n;
}

static size_t count_free(const gi_kv_pool *pool, int32_t block) {
    size_t n = 0;
    for (size_t i = 0; i < pool->n_free; i++) n += pool->free_blocks[i] == block;
    return n;
}

bool gi_kv_pool_is_sound(const gi_kv_pool *pool, const gi_kv_sequence *seqs, size_t n_seqs) {
    size_t n_referenced = 0;
    if (pool->n_free > pool->n_blocks || !gi_kv_prefix_is_sound(&pool->prefix)) return false;
    for (size_t i = 0; i < pool->n_blocks; i++) {
        const int32_t block = (int32_t)i;
        const bool is_cached = pool->prefix.blocks && pool->prefix.blocks[i].is_cached;
        const size_t n_refs = count_refs(seqs, n_seqs, block), n_free = count_free(pool, block);
        if (n_refs != pool->n_refs[i] || (n_refs > 0) + n_free + is_cached != 1) return false;
        if (n_free > 0 && is_known(pool, block)) return false;
        n_referenced += n_refs > 0;
    }
    for (size_t s = 0; s < n_seqs; s++)
        if (seqs[s].n_blocks > seqs[s].n_blocks_max ||
            gi_kv_pool_blocks_for(pool, seqs[s].n_tokens) > seqs[s].n_blocks)
            return false;
    return pool->n_free + n_referenced + pool->prefix.n_cached == pool->n_blocks;
}
