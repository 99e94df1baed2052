/**
 * @file
 * Byte-level BPE exactly as a checkpoint's tokenizer.json says.
 */
#ifndef GI_TEXT_TOKENIZER_H
#define GI_TEXT_TOKENIZER_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gi_tokenizer gi_tokenizer;

/** Token ids with room to grow, up to a maximum. */
typedef struct gi_ids {
    int32_t *ids; /**< [n] */
    size_t n, cap, n_max;
} gi_ids;

/** An empty list that may hold n_max ids. */
void gi_ids_init(gi_ids *ids, size_t n_max);

/** Append one id `count` times. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_ids_push(gi_ids *ids, int32_t id, size_t count, glint_error *err);

/** Free. NULL is fine. */
void gi_ids_done(gi_ids *ids);

/**
 * Load DIR/tokenizer.json. The message of a failure names the file and the part that is not
 * understood. GLINT_ERR_IO, _FORMAT, _UNSUPPORTED, _LIMIT, _MEMORY.
 */
glint_status gi_tokenizer_load(const char *path, gi_tokenizer **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_tokenizer_free(gi_tokenizer *t);

/** Ids are 0..count-1 (holes between vocabulary and added tokens have empty bytes). */
int32_t gi_tokenizer_count(const gi_tokenizer *t);

/** Id of the added token whose content is exactly `content`; -1 when there is none. */
int32_t gi_tokenizer_special(const gi_tokenizer *t, const char *content);

/** True for added tokens marked special. */
bool gi_tokenizer_is_special(const gi_tokenizer *t, int32_t id);

/** True for ordinary tokens: those that text can become. */
bool gi_tokenizer_is_text(const gi_tokenizer *t, int32_t id);

/**
 * The bytes a token stands for (an added token: its content), not zero-terminated, valid as long
 * as the tokenizer. NULL and *ret_n_bytes = 0 for an id that does not exist.
 */
const uint8_t *gi_tokenizer_bytes(const gi_tokenizer *t, int32_t id, size_t *ret_n_bytes);

/** Bytes of the longest token. */
size_t gi_tokenizer_longest_bytes(const gi_tokenizer *t);

/**
 * Append the ids of plain text: added tokens are NOT matched, so "<|image|>" typed by a user stays
 * text. Linear in n_bytes. GLINT_ERR_ARG when the bytes are not UTF-8; _LIMIT, _MEMORY.
 * Threads: any number at once on one tokenizer.
 */
glint_status gi_tokenizer_encode(const gi_tokenizer *t, const char *text, size_t n_bytes,
                                 gi_ids *ids, glint_error *err);

#endif
