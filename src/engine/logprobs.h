/**
 * @file
 * The tokens of an answer with their probabilities, for those who ask.
 */
#ifndef GI_ENGINE_LOGPROBS_H
#define GI_ENGINE_LOGPROBS_H

#include <glint/glint.h>

#include "text/tokenizer.h"

/** Fixed size once created. Zeroed: nobody asked. */
typedef struct gi_logprobs {
    const gi_tokenizer *tokenizer;
    glint_token *tokens; /**< [n_max] */
    glint_token *top;    /**< [n_max][n_top] */
    size_t n, n_max, n_top;
} gi_logprobs;

/** Make room for n_max tokens with n_top alternatives each. GLINT_ERR_MEMORY. */
glint_status gi_logprobs_init(gi_logprobs *l, const gi_tokenizer *tokenizer, size_t n_max,
                              size_t n_top, glint_error *err);

/** Free. A zeroed one is fine. */
void gi_logprobs_done(gi_logprobs *l);

/**
 * Note the next token. Does nothing when nobody asked. Allocates nothing.
 *
 * @param logits f32 [n_logits] it was chosen from; NULL: it was forced.
 */
void gi_logprobs_push(gi_logprobs *l, const float *logits, size_t n_logits, int32_t id);

#endif
