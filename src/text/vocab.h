/**
 * @file
 * The vocabulary: id -> bytes, and bytes -> id for the tokens that text can become.
 *
 *     entries  [count] {offset, length, kind}  ->  blob: the bytes of all tokens, end to end
 *     slots    open addressing, id + 1 or 0, hashed by bytes; ordinary tokens only
 */
#ifndef GI_TEXT_VOCAB_H
#define GI_TEXT_VOCAB_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Ids are below this; the largest published vocabularies have a quarter of it. */
#define GI_VOCAB_MAX       (1u << 20)
/** Longest token in bytes. */
#define GI_TOKEN_BYTES_MAX 4096u

typedef enum gi_token_kind {
    GI_TOKEN_HOLE,    /**< no token has this id */
    GI_TOKEN_TEXT,    /**< ordinary: text can become it */
    GI_TOKEN_LITERAL, /**< in the vocabulary, but not written in the byte alphabet: unreachable */
    GI_TOKEN_ADDED,   /**< an added token: put in by structure only */
    GI_TOKEN_SPECIAL, /**< an added token marked special: never shown */
} gi_token_kind;

typedef struct gi_vocab_entry {
    uint32_t offset; /**< in blob */
    uint16_t n_bytes;
    uint8_t kind; /**< gi_token_kind */
} gi_vocab_entry;

/** Zero-initialise; gi_vocab_done frees. Read-only, and safe from any thread, once indexed. */
typedef struct gi_vocab {
    gi_vocab_entry *entries; /**< [count] */
    uint8_t *blob;           /**< [n_blob] */
    uint32_t *slots;         /**< [n_slots], a power of two */
    size_t n_blob, cap_blob, cap_entries, n_slots;
    uint32_t count;         /**< highest id + 1 */
    uint32_t longest_bytes; /**< bytes of the longest token */
} gi_vocab;

/**
 * Set the token of `id`. A later call may replace a token of the same id (an added token that is
 * in the vocabulary too). GLINT_ERR_LIMIT, GLINT_ERR_MEMORY.
 */
glint_status gi_vocab_put(gi_vocab *v, uint32_t id, const uint8_t *bytes, size_t n_bytes,
                          gi_token_kind kind, glint_error *err);

/**
 * Build the slots from the entries of kind GI_TOKEN_TEXT; call once all are put. GLINT_ERR_FORMAT
 * when two tokens have the same bytes, GLINT_ERR_MEMORY.
 */
glint_status gi_vocab_index(gi_vocab *v, glint_error *err);

/** Id of the ordinary token with these bytes, or -1. Call after gi_vocab_index. */
int32_t gi_vocab_find(const gi_vocab *v, const uint8_t *bytes, size_t n_bytes);

/** Free. NULL is fine. */
void gi_vocab_done(gi_vocab *v);

#endif
