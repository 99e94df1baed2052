/**
 * @file
 * Which KV blocks belong to which sequence. Pure bookkeeping: the keys and values themselves live
 * in the device's KV store, block by block.
 *
 *     pool     free list: 7 3 9 ...
 *     sequence blocks:    4 1 8        position p lies in blocks[p / block_tokens]
 *
 * Invariant: blocks in the free list + blocks of all live sequences = n_blocks, each once.
 */
#ifndef GI_KV_KV_POOL_H
#define GI_KV_KV_POOL_H

#include "base/fail.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gi_kv_pool {
    size_t n_blocks, block_tokens;
    size_t n_free;
    int32_t *free_blocks; /**< [n_blocks], the first n_free are free */
} gi_kv_pool;

/** The blocks of one sequence. */
typedef struct gi_kv_sequence {
    gi_kv_pool *pool;
    size_t n_tokens;     /**< positions whose keys and values are stored */
    size_t n_blocks;     /**< blocks held */
    size_t n_blocks_max; /**< room in `blocks` */
    int32_t *blocks;     /**< [n_blocks_max] */
} gi_kv_sequence;

/** GLINT_ERR_MEMORY. */
glint_status gi_kv_pool_init(gi_kv_pool *pool, size_t n_blocks, size_t block_tokens,
                             glint_error *err);

/** Free the lists. NULL is fine. */
void gi_kv_pool_done(gi_kv_pool *pool);

/** An empty sequence that may grow to tokens_max. GLINT_ERR_MEMORY. */
glint_status gi_kv_sequence_init(gi_kv_sequence *seq, gi_kv_pool *pool, size_t tokens_max,
                                 glint_error *err);

/**
 * Hold enough blocks for n_tokens positions in all. Either all are had or none is taken.
 * GLINT_ERR_LIMIT (past tokens_max), GLINT_ERR_BUSY (the pool is empty).
 */
glint_status gi_kv_sequence_reserve(gi_kv_sequence *seq, size_t n_tokens, glint_error *err);

/** Give the blocks back; the sequence is empty and may grow again. */
void gi_kv_sequence_release(gi_kv_sequence *seq);

/** Give the blocks back and free the sequence. A zeroed one and NULL are fine. */
void gi_kv_sequence_done(gi_kv_sequence *seq);

#endif
