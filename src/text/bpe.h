/**
 * @file
 * Byte-pair merging. A piece starts as one token per byte; the pair of neighbours with the lowest
 * rank is merged, leftmost first, until no pair has a rank. Sennrich et al., arXiv:1508.07909,
 * section 3.2, over bytes.
 *
 * Neighbours form a linked list and candidate pairs a binary heap, so a piece of n bytes costs
 * O(n log n) whatever it holds: a megabyte of one letter is one piece.
 */
#ifndef GI_TEXT_BPE_H
#define GI_TEXT_BPE_H

#include "text/tokenizer.h"

/** Most merges in a table. */
#define GI_MERGES_MAX (1u << 21)

/** One merge: left and right neighbour, and what they become. */
typedef struct gi_merge {
    int32_t left, right, whole;
} gi_merge;

typedef struct gi_merge_slot {
    int32_t left, right;
    uint32_t rank; /**< GI_MERGES_MAX: free */
} gi_merge_slot;

/** Zero-initialise; gi_merges_done frees. Read-only, and safe from any thread, once built. */
typedef struct gi_merges {
    gi_merge_slot *slots; /**< [n_slots], a power of two, open addressing */
    int32_t *whole;       /**< [n] token made by the merge of each rank */
    size_t n_slots, n;
} gi_merges;

/**
 * Build the table; list[i] has rank i. GLINT_ERR_FORMAT when a pair comes twice,
 * GLINT_ERR_MEMORY.
 */
glint_status gi_merges_build(gi_merges *m, const gi_merge *list, size_t n, glint_error *err);

/** Free. NULL is fine. */
void gi_merges_done(gi_merges *m);

/** A token in the list of neighbours. */
typedef struct gi_bpe_symbol {
    int32_t id;          /**< -1 once merged into its left neighbour */
    uint32_t prev, next; /**< UINT32_MAX past the ends */
} gi_bpe_symbol;

/** Memory for merging, reused from piece to piece. One per thread. */
typedef struct gi_bpe {
    gi_bpe_symbol *symbols; /**< [cap] */
    uint64_t *heap;         /**< [2 * cap] rank << 32 | position */
    size_t cap, n_heap;
    uint64_t n_work; /**< heap comparisons and table lookups so far: what the cost is made of */
} gi_bpe;

/** Free. NULL is fine. */
void gi_bpe_done(gi_bpe *b);

/**
 * Append the tokens of a piece. byte_ids: token of each single byte.
 * GLINT_ERR_LIMIT, GLINT_ERR_MEMORY.
 */
glint_status gi_bpe_encode(gi_bpe *b, const gi_merges *m, const int32_t byte_ids[256],
                           const uint8_t *piece, size_t n_bytes, gi_ids *ids, glint_error *err);

#endif
