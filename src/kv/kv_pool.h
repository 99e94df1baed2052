/**
 * @file
 * Which KV blocks belong to which sequences. Pure bookkeeping: the keys and values themselves live
 * in the device's KV store, block by block.
 *
 *     pool     free list: 7 3 9 ...
 *     sequence blocks:    4 1 8        position p lies in blocks[p / block_tokens]
 *     sequence blocks:    4 1 5        the first two are shared: the same prompt begins both
 *
 * A sequence is filled so, where keys are those of its prompt (kv/prompt_keys.h):
 *
 *     n = gi_kv_sequence_adopt(seq, keys, (n_prompt - 1) / block_tokens);
 *     gi_kv_sequence_reserve(seq, n_prompt), run tokens n..n_prompt, seq->n_tokens = n_prompt
 *     gi_kv_sequence_publish(seq, keys, n_prompt / block_tokens);
 *
 * Only full blocks are shared, and nothing writes to a full block, so sharing needs no copies.
 *
 * Invariant: free + referenced + cached = n_blocks; each block is exactly one of them.
 *     free        nobody uses it, nothing is known of it
 *     referenced  held by one or more sequences
 *     cached      held by none, but found by its key; given up when a reserve needs it
 *
 * Nothing is allocated after init. Threads: a pool and its sequences are used by one at a time.
 */
#ifndef GI_KV_KV_POOL_H
#define GI_KV_KV_POOL_H

#include "base/fail.h"
#include "kv/kv_prefix.h"

#include <stddef.h>
#include <stdint.h>

/** What the prefix index has done so far. */
typedef struct gi_kv_stats {
    uint64_t n_lookups;    /**< calls of gi_kv_sequence_adopt with any keys */
    uint64_t n_hit_tokens; /**< tokens adopted */
    uint64_t n_evictions;  /**< blocks that were cached and were given up */
} gi_kv_stats;

typedef struct gi_kv_pool {
    size_t n_blocks, block_tokens;
    size_t n_free;
    int32_t *free_blocks; /**< [n_blocks], the first n_free are free */
    uint32_t *n_refs;     /**< [n_blocks] sequences that hold the block */
    gi_kv_prefix prefix;
    gi_kv_stats stats;
} gi_kv_pool;

/** The blocks of one sequence. */
typedef struct gi_kv_sequence {
    gi_kv_pool *pool;
    size_t n_tokens;     /**< positions whose keys and values are stored */
    size_t n_blocks;     /**< blocks held */
    size_t n_blocks_max; /**< room in `blocks` */
    int32_t *blocks;     /**< [n_blocks_max] */
} gi_kv_sequence;

/**
 * A pool of free blocks.
 *
 * @param n_cached_max  blocks kept for their keys at most when nobody uses them; 0 = off: nothing
 *                      is published or adopted. More than n_blocks means all of them.
 * @return GLINT_ERR_MEMORY.
 */
glint_status gi_kv_pool_init(gi_kv_pool *pool, size_t n_blocks, size_t block_tokens,
                             size_t n_cached_max, glint_error *err);

/** Free the lists. Every sequence must have been released. NULL is fine. */
void gi_kv_pool_done(gi_kv_pool *pool);

/** Blocks that hold n_tokens positions. */
size_t gi_kv_pool_blocks_for(const gi_kv_pool *pool, size_t n_tokens);

/** Blocks that a reserve could have now: free ones and cached ones. */
size_t gi_kv_pool_available(const gi_kv_pool *pool);

/** Blocks that are cached now. */
size_t gi_kv_pool_cached(const gi_kv_pool *pool);

/**
 * Check the invariant and everything that must agree with it.
 *
 * @param seqs  [n_seqs] all sequences of the pool that may hold blocks.
 * @return true if it holds. For tests: slow.
 */
bool gi_kv_pool_is_sound(const gi_kv_pool *pool, const gi_kv_sequence *seqs, size_t n_seqs);

/** An empty sequence that may grow to tokens_max. GLINT_ERR_MEMORY. */
glint_status gi_kv_sequence_init(gi_kv_sequence *seq, gi_kv_pool *pool, size_t tokens_max,
                                 glint_error *err);

/**
 * Take shared references on the longest known prefix: the blocks of keys[0], keys[1], ... up to the
 * first that is not known, and no more than the sequence has room for. The sequence must be empty.
 * A prompt whose logits are wanted must leave its last token out (see above).
 *
 * @return tokens adopted, a multiple of block_tokens; also the new seq->n_tokens.
 */
size_t gi_kv_sequence_adopt(gi_kv_sequence *seq, const gi_kv_key *keys, size_t n_keys);

/**
 * Make the full, stored blocks of a sequence findable: blocks[i] under keys[i], for all i below
 * both n_keys and n_tokens / block_tokens. May be called again as the sequence grows. A key that is
 * known already keeps its block, and this sequence keeps its own.
 */
void gi_kv_sequence_publish(gi_kv_sequence *seq, const gi_kv_key *keys, size_t n_keys);

/**
 * Hold enough blocks for n_tokens positions in all. Either all are had or none is taken. Free
 * blocks go first, then the cached ones that were used least recently.
 * GLINT_ERR_LIMIT (past tokens_max), GLINT_ERR_BUSY (all others are referenced).
 */
glint_status gi_kv_sequence_reserve(gi_kv_sequence *seq, size_t n_tokens, glint_error *err);

/**
 * Give the references back; the sequence is empty and may grow again. Published blocks that nobody
 * else holds become cached, a prompt's last block as the first to go.
 */
void gi_kv_sequence_release(gi_kv_sequence *seq);

/** Release and free the sequence. A zeroed one and NULL are fine. */
void gi_kv_sequence_done(gi_kv_sequence *seq);

#endif
