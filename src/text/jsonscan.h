/**
 * @file
 * A pull scanner for large JSON text that is already in memory: values are walked in place and
 * nothing is kept. tokenizer.json of a published checkpoint is 20 MB with a million strings; a
 * tree of it would cost more than the rest of loading. Small parts are handed to gi_json_parse as
 * spans.
 *
 *     gi_jsonscan s;
 *     gi_jsonscan_init(&s, data, n, path);
 *     GI_TRY(gi_jsonscan_open(&s, '{', err));
 *     bool more;
 *     for (size_t i = 0; ; i++) {
 *         GI_TRY(gi_jsonscan_next(&s, '}', i, &more, err));
 *         if (!more) break;
 *         GI_TRY(gi_jsonscan_key(&s, key, sizeof key, &n_key, err));
 *         GI_TRY(gi_jsonscan_span(&s, &value, &n_value, err));
 *     }
 *
 * Failures are GLINT_ERR_FORMAT with the byte offset, GLINT_ERR_LIMIT for a string too long.
 */
#ifndef GI_TEXT_JSONSCAN_H
#define GI_TEXT_JSONSCAN_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gi_jsonscan {
    const uint8_t *data, *at, *end; /**< borrowed */
    const char *what;               /**< names the source in messages, borrowed */
} gi_jsonscan;

/** Scan n bytes. */
void gi_jsonscan_init(gi_jsonscan *s, const void *data, size_t n_bytes, const char *what);

/** Expect `bracket` ('{' or '[') next. */
glint_status gi_jsonscan_open(gi_jsonscan *s, char bracket, glint_error *err);

/** Before element `i`, counted from 0: eats the comma, or the closing bracket (*ret_more false). */
glint_status gi_jsonscan_next(gi_jsonscan *s, char bracket, size_t i, bool *ret_more,
                              glint_error *err);

/**
 * Decode a string into out; *ret_n bytes, at most cap. Escapes are resolved; whether other bytes
 * are UTF-8 is not checked.
 */
glint_status gi_jsonscan_string(gi_jsonscan *s, uint8_t *out, size_t cap, size_t *ret_n,
                                glint_error *err);

/** A string followed by a colon. */
glint_status gi_jsonscan_key(gi_jsonscan *s, uint8_t *out, size_t cap, size_t *ret_n,
                             glint_error *err);

/** An integer in 0..max, written without sign, fraction or exponent. */
glint_status gi_jsonscan_int(gi_jsonscan *s, uint32_t max, uint32_t *ret, glint_error *err);

/** The bytes of the next value, whose inside is only followed as far as brackets and strings. */
glint_status gi_jsonscan_span(gi_jsonscan *s, const uint8_t **ret, size_t *ret_n, glint_error *err);

/** The next byte that is not white space, 0 at the end; does not move. */
uint8_t gi_jsonscan_peek(gi_jsonscan *s);

#endif
