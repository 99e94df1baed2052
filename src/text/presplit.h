/**
 * @file
 * Pre-tokenization: text is cut into pieces that merging never crosses. Each stage cuts the
 * pieces of the stage before by a pattern; matches and what lies between them both become pieces
 * (Hugging Face's Split with behavior Isolated).
 */
#ifndef GI_TEXT_PRESPLIT_H
#define GI_TEXT_PRESPLIT_H

#include "base/buf.h"
#include "base/json.h"

/** Most patterns one after another. */
#define GI_PRESPLIT_STAGES_MAX 8

/** Immutable once loaded; any number of threads. */
typedef struct gi_presplit gi_presplit;

/**
 * Read the "pre_tokenizer" of a tokenizer.json: ByteLevel, Split, or a Sequence of Splits that
 * ends in ByteLevel. GLINT_ERR_FORMAT, _UNSUPPORTED (the message names what is not understood),
 * _LIMIT, _MEMORY.
 */
glint_status gi_presplit_load(const json_t *pre_tokenizer, const char *what, gi_presplit **ret,
                              glint_error *err);

/** Free. NULL is fine. */
void gi_presplit_free(gi_presplit *p);

/** Takes each piece, in order. */
typedef glint_status (*gi_piece_fn)(void *ctx, const uint8_t *piece, size_t n_bytes,
                                    glint_error *err);

/** Memory for cutting, so that cutting itself takes none. One per thread; zero-initialise. */
typedef struct gi_presplit_memory {
    void *match, *limits; /**< PCRE2's */
    gi_buf prefixed;      /**< a piece with a space put before it */
} gi_presplit_memory;

/** Memory for texts of at most n bytes. GLINT_ERR_MEMORY. */
glint_status gi_presplit_memory_init(gi_presplit_memory *m, const gi_presplit *p, size_t n_bytes,
                                     glint_error *err);

/** Free. NULL is fine. */
void gi_presplit_memory_done(gi_presplit_memory *m);

/** As gi_presplit_run, with memory taken before. */
glint_status gi_presplit_run_in(const gi_presplit *p, gi_presplit_memory *m, const uint8_t *text,
                                size_t n_bytes, gi_piece_fn fn, void *ctx, glint_error *err);

/**
 * Cut n bytes of valid UTF-8. GLINT_ERR_LIMIT when a pattern needs too much work or memory,
 * GLINT_ERR_MEMORY, or what fn returns.
 */
glint_status gi_presplit_run(const gi_presplit *p, const uint8_t *text, size_t n_bytes,
                             gi_piece_fn fn, void *ctx, glint_error *err);

#endif
