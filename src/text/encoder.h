/**
 * @file
 * Encoding short texts again and again without allocating.
 */
#ifndef GI_TEXT_ENCODER_H
#define GI_TEXT_ENCODER_H

#include "text/tokenizer.h"

/** One per thread. Borrows the tokenizer. */
typedef struct gi_encoder gi_encoder;

/** An encoder for texts of at most n_bytes_max. GLINT_ERR_MEMORY. */
glint_status gi_encoder_create(const gi_tokenizer *t, size_t n_bytes_max, gi_encoder **ret,
                               glint_error *err);

/** Free. NULL is fine. */
void gi_encoder_free(gi_encoder *e);

/** What came out; valid until the next call. */
typedef struct gi_encoded {
    const int32_t *ids;         /**< [n] */
    const uint32_t *piece_ends; /**< [n] bytes of the text up to the end of each token's piece */
    size_t n;
} gi_encoded;

/**
 * The ids that gi_tokenizer_encode gives. Allocates nothing (but a pattern that PCRE2 cannot make
 * machine code of may do so on its first texts). GLINT_ERR_ARG: not UTF-8; _LIMIT: too long, or too
 * much work; _MEMORY.
 */
glint_status gi_encoder_run(gi_encoder *e, const char *text, size_t n_bytes, gi_encoded *ret,
                            glint_error *err);

#endif
