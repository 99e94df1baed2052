/*
 * Capped buffer. Doubles while it grows, so pushing is linear in the bytes pushed.
 */
#include "base/buf.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAP_BYTES = 256 };

void gi_buf_init(gi_buf *b, size_t max_bytes) {
    *b = (gi_buf){.max_bytes = max_bytes};
}

void gi_buf_done(gi_buf *b) {
    if (!b) return;
    gi_free(b->data);
    gi_buf_init(b, b->max_bytes);
}

void gi_buf_wipe(gi_buf *b) {
    if (b && b->data) OPENSSL_cleanse(b->data, b->cap);
    gi_buf_done(b);
}

void gi_buf_clear(gi_buf *b) {
    b->len = 0;
    if (b->data) b->data[0] = 0;
}

glint_status gi_buf_reserve(gi_buf *b, size_t n_bytes, glint_error *err) {
    size_t need;
    if (!gi_add_size(b->len, n_bytes, &need) || need > b->max_bytes)
        return gi_fail(err, GLINT_ERR_LIMIT, "buffer would pass its limit of %zu bytes",
                       b->max_bytes);
    if (need < b->cap) return GLINT_OK;
    size_t cap = b->cap ? b->cap : FIRST_CAP_BYTES;
    while (cap <= need) cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    if (cap > b->max_bytes && b->max_bytes < SIZE_MAX) cap = b->max_bytes + 1;
    uint8_t *data = gi_realloc_array(b->data, cap, 1);
    if (!data) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a buffer of %zu bytes", cap);
    b->data = data;
    b->cap = cap;
    b->data[b->len] = 0;
    return GLINT_OK;
}

glint_status gi_buf_push(gi_buf *b, const void *src, size_t n_bytes, glint_error *err) {
    GI_TRY(gi_buf_reserve(b, n_bytes, err));
    if (n_bytes) memcpy(b->data + b->len, src, n_bytes);
    b->len += n_bytes;
    b->data[b->len] = 0;
    return GLINT_OK;
}

glint_status gi_buf_puts(gi_buf *b, const char *s, glint_error *err) {
    return gi_buf_push(b, s, strlen(s), err);
}

glint_status gi_buf_printf(gi_buf *b, glint_error *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) return gi_fail(err, GLINT_ERR_INTERNAL, "text could not be formatted");
    GI_TRY(gi_buf_reserve(b, (size_t)n, err));
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return GLINT_OK;
}

uint8_t *gi_buf_take(gi_buf *b, size_t *ret_len) {
    uint8_t *data = b->data;
    if (ret_len) *ret_len = b->len;
    gi_buf_init(b, b->max_bytes);
    return data;
}
