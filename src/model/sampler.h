/**
 * @file
 * From logits to the next token: greedy, or temperature with top-k and top-p.
 */
#ifndef GI_MODEL_SAMPLER_H
#define GI_MODEL_SAMPLER_H

#include "base/fail.h"

#include <stddef.h>
#include <stdint.h>

/** One sequence's sampler. The same seed and logits give the same tokens. */
typedef struct gi_sampler {
    double temperature; /**< 0 = greedy */
    double top_p;       /**< (0, 1] */
    size_t top_k;       /**< 0 = no limit */
    uint64_t state;     /**< of the random numbers (splitmix64) */
    size_t vocab;
    struct gi_sampler_entry *entries; /**< [vocab] scratch, NULL when greedy */
} gi_sampler;

/** GLINT_ERR_MEMORY. */
glint_status gi_sampler_init(gi_sampler *s, size_t vocab, double temperature, double top_p,
                             size_t top_k, uint64_t seed, glint_error *err);

/** Free the scratch. A zeroed sampler is fine. */
void gi_sampler_done(gi_sampler *s);

/**
 * Choose a token.
 *
 * Greedy takes the largest logit, the lowest id among equals. Otherwise: divide by the
 * temperature, softmax, keep the top_k most likely, then the fewest that reach top_p of the
 * kept mass, and draw.
 *
 * @param logits  f32 [vocab]; NaN counts as least likely.
 * @param allowed bitset over the vocabulary (bit id % 32 of word id / 32); NULL: all.
 * @return -1 when none is allowed.
 */
int32_t gi_sampler_next(gi_sampler *s, const float *logits, const uint32_t *allowed);

/** log(sum(exp(logits))) over n of them; NaN counts as least likely. */
double gi_logits_log_sum(const float *logits, size_t n);

#endif
