/**
 * @file
 * Which KV block holds the end of which prefix: an index from keys to blocks, and the order in
 * which blocks that nobody uses any more are given up. Used by kv_pool.c alone; pure bookkeeping.
 *
 *     a block is   unknown                nothing is looked up here
 *                  known, in use          found, referenced by a sequence
 *                  known, cached          found, referenced by nobody, in the list below
 *
 *     oldest <-> ... <-> newest           the next to go <-> ... <-> the last to go
 *
 * Nothing is allocated after init. Threads: one at a time.
 */
#ifndef GI_KV_KV_PREFIX_H
#define GI_KV_KV_PREFIX_H

#include "base/sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * SHA-256 over all that the keys and values of a full block depend on: model and tenant, and every
 * token and picture from the start of the prompt to the end of the block (kv/prompt_keys.h). Equal
 * keys mean equal contents; all 256 bits are compared.
 */
typedef gi_digest gi_kv_key;

/** No block. */
#define GI_KV_NO_BLOCK (-1)

/** What the index knows of one block. */
typedef struct gi_kv_known {
    gi_kv_key key;        /**< valid while is_known */
    int32_t older, newer; /**< neighbours while is_cached, or GI_KV_NO_BLOCK */
    bool is_known, is_cached;
} gi_kv_known;

typedef struct gi_kv_prefix {
    size_t n_blocks;
    size_t n_cached_max;    /**< blocks kept at most; 0 = no index at all */
    size_t n_known;         /**< blocks with a key, in use or cached */
    size_t n_cached;        /**< of them, those that nobody uses */
    int32_t oldest, newest; /**< ends of the list of cached blocks, or GI_KV_NO_BLOCK */
    gi_kv_known *blocks;    /**< [n_blocks] */
    int32_t *slots;         /**< [n_slots] open addressing: a block, or GI_KV_NO_BLOCK */
    size_t n_slots;         /**< a power of two, at least 2 * n_blocks */
} gi_kv_prefix;

/** An index over n_blocks blocks that keeps up to n_cached_max unused ones. GLINT_ERR_MEMORY. */
glint_status gi_kv_prefix_init(gi_kv_prefix *p, size_t n_blocks, size_t n_cached_max,
                               glint_error *err);

/** Free. A zeroed one is fine. */
void gi_kv_prefix_done(gi_kv_prefix *p);

/** The block with this key, or GI_KV_NO_BLOCK. */
int32_t gi_kv_prefix_find(const gi_kv_prefix *p, const gi_kv_key *key);

/** Make a block findable. False, and nothing changes, if the key or the block is known already. */
bool gi_kv_prefix_add(gi_kv_prefix *p, const gi_kv_key *key, int32_t block);

/** A known block in use lost its last reference: it is the newest of the cached ones now. */
void gi_kv_prefix_keep(gi_kv_prefix *p, int32_t block);

/** A cached block is in use again. */
void gi_kv_prefix_take(gi_kv_prefix *p, int32_t block);

/** Forget the oldest cached block and return it, or GI_KV_NO_BLOCK if none is cached. */
int32_t gi_kv_prefix_evict(gi_kv_prefix *p);

/** True if index, list and counts agree with each other. For tests: looks at everything. */
bool gi_kv_prefix_is_sound(const gi_kv_prefix *p);

#endif
