/*
 * Free list of KV blocks. Last released, first taken: a warm block is the likeliest in cache.
 */
#include "kv/kv_pool.h"

#include "base/alloc.h"

glint_status gi_kv_pool_init(gi_kv_pool *pool, size_t n_blocks, size_t block_tokens,
                             glint_error *err) {
    gi_assert(n_blocks <= INT32_MAX && block_tokens > 0);
    int32_t *list = gi_calloc(n_blocks, sizeof *list);
    if (!list) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu KV blocks", n_blocks);
    for (size_t i = 0; i < n_blocks; i++) list[i] = (int32_t)(n_blocks - 1 - i);
    *pool = (gi_kv_pool){.n_blocks = n_blocks,
                         .block_tokens = block_tokens,
                         .n_free = n_blocks,
                         .free_blocks = list};
    return GLINT_OK;
}

void gi_kv_pool_done(gi_kv_pool *pool) {
    if (!pool) return;
    gi_assert(pool->n_free == pool->n_blocks);
    gi_free(pool->free_blocks);
    *pool = (gi_kv_pool){0};
}

static size_t blocks_for(const gi_kv_pool *pool, size_t n_tokens) {
    return n_tokens / pool->block_tokens + (n_tokens % pool->block_tokens != 0);
}

glint_status gi_kv_sequence_init(gi_kv_sequence *seq, gi_kv_pool *pool, size_t tokens_max,
                                 glint_error *err) {
    const size_t n = blocks_for(pool, tokens_max);
    int32_t *blocks = gi_calloc(n, sizeof *blocks);
    if (!blocks) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a sequence's block table");
    *seq = (gi_kv_sequence){.pool = pool, .n_blocks_max = n, .blocks = blocks};
    return GLINT_OK;
}

glint_status gi_kv_sequence_reserve(gi_kv_sequence *seq, size_t n_tokens, glint_error *err) {
    const size_t need = blocks_for(seq->pool, n_tokens);
    if (need > seq->n_blocks_max)
        return gi_fail(err, GLINT_ERR_LIMIT, "sequence would pass %zu tokens",
                       seq->n_blocks_max * seq->pool->block_tokens);
    if (need <= seq->n_blocks) return GLINT_OK;
    if (need - seq->n_blocks > seq->pool->n_free)
        return gi_fail(err, GLINT_ERR_BUSY, "the KV cache is full");
    while (seq->n_blocks < need)
        seq->blocks[seq->n_blocks++] = seq->pool->free_blocks[--seq->pool->n_free];
    return GLINT_OK;
}

void gi_kv_sequence_release(gi_kv_sequence *seq) {
    while (seq->n_blocks > 0)
        seq->pool->free_blocks[seq->pool->n_free++] = seq->blocks[--seq->n_blocks];
    seq->n_tokens = 0;
}

void gi_kv_sequence_done(gi_kv_sequence *seq) {
    if (!seq) return;
    gi_kv_sequence_release(seq);
    gi_free(seq->blocks);
    *seq = (gi_kv_sequence){0};
}
