/**
 * @file
 * A growable byte buffer that is born with a maximum. There is no way to make one without.
 */
#ifndef GI_BASE_BUF_H
#define GI_BASE_BUF_H

#include "base/fail.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Invariants: len <= cap <= max_bytes + 1; data is NULL only while cap is 0; when data is set,
 * data[len] is a zero byte, so that text can be read as a C string.
 */
typedef struct gi_buf {
    uint8_t *data;
    size_t len;       /**< bytes used */
    size_t cap;       /**< bytes allocated */
    size_t max_bytes; /**< growing past this is GLINT_ERR_LIMIT */
} gi_buf;

/** An empty buffer; allocates nothing. */
void gi_buf_init(gi_buf *b, size_t max_bytes);

/** Free the bytes; the buffer is empty and may be used again. NULL is fine. */
void gi_buf_done(gi_buf *b);

/** The same for what held secrets: every byte of its memory is overwritten before it is freed. What
 * earlier, smaller memory held while the buffer grew is not reached: reserve first. */
void gi_buf_wipe(gi_buf *b);

/** Forget the contents, keep the memory. */
void gi_buf_clear(gi_buf *b);

/** Make room for n more bytes. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY; contents stay on failure. */
glint_status gi_buf_reserve(gi_buf *b, size_t n_bytes, glint_error *err);

/** Append n bytes. Same errors. `src` must not point into the buffer. */
glint_status gi_buf_push(gi_buf *b, const void *src, size_t n_bytes, glint_error *err);

/** Append a zero-terminated string (without its zero). Same errors. */
glint_status gi_buf_puts(gi_buf *b, const char *s, glint_error *err);

/** Append printf output. Same errors. */
glint_status gi_buf_printf(gi_buf *b, glint_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Take the bytes: the caller owns them (gi_free), the buffer is empty. May be NULL if empty. */
uint8_t *gi_buf_take(gi_buf *b, size_t *ret_len);

#endif
