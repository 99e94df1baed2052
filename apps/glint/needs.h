/**
 * @file
 * The memory that serving a checkpoint takes.
 */
#ifndef APPS_GLINT_NEEDS_H
#define APPS_GLINT_NEEDS_H

#include "model/checkpoint.h"

#include <glint/glint.h>

#include <stdint.h>

/** Bytes a server holds, by purpose. */
typedef struct gi_needs {
    int64_t n_seqs, n_tokens;
    uint64_t weights; /**< as the products use them: packed, or mapped */
    uint64_t kv;      /**< keys and values of all sequences */
    uint64_t scratch; /**< activations of one batch and one picture */
    uint64_t total;
} gi_needs;

/** For n_seqs sequences of n_tokens each and pictures of at most max_side_px. */
gi_needs gi_needs_compute(const gi_checkpoint *k, glint_dtype dtype, glint_dtype kv_dtype,
                          int64_t n_seqs, int64_t n_tokens, uint32_t max_side_px);

#endif
