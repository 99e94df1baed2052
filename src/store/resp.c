/*
 * A reply is a line, and for a string the bytes it announces. Nothing is kept between calls: a
 * reply that is not whole is read again from its beginning, which is cheap because the length of a
 * string is in its first line.
 */
#include "store/resp.h"

#include <stdio.h>
#include <string.h>

static glint_status push_count(gi_buf *out, char mark, size_t n, glint_error *err) {
    char line[32];
    const int len = snprintf(line, sizeof line, "%c%zu\r\n", mark, n);
    return gi_buf_push(out, line, (size_t)len, err);
}

glint_status gi_resp_command(gi_buf *out, const gi_resp_arg *args, size_t n, glint_error *err) {
    GI_TRY(push_count(out, '*', n, err));
    for (size_t i = 0; i < n; i++) {
        GI_TRY(push_count(out, '$', args[i].n, err));
        if (args[i].n > 0) GI_TRY(gi_buf_push(out, args[i].bytes, args[i].n, err));
        GI_TRY(gi_buf_push(out, "\r\n", 2, err));
    }
    return GLINT_OK;
}

/* All of text[n], an optional '-' and 1 to 19 digits. */
static bool read_integer(const uint8_t *text, size_t n, int64_t *ret) {
    const bool is_negative = n > 0 && text[0] == '-';
    size_t i = is_negative;
    int64_t value = 0;
    if (i == n || n - i > 19) return false;
    for (; i < n; i++) {
        const int64_t digit = (int64_t)text[i] - '0';
        if (digit < 0 || digit > 9) return false;
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_sub_overflow(value, digit, &value)) return false; /* below 0: one more fits */
    }
    if (!is_negative && __builtin_sub_overflow(0, value, &value)) return false;
    *ret = value;
    return true;
}

/* A line without its end; MORE when that is not there yet. */
static gi_resp_outcome read_line(const uint8_t *data, size_t n, size_t *ret_n_line) {
    const size_t n_look = n < GI_RESP_LINE_BYTES_MAX + 2 ? n : GI_RESP_LINE_BYTES_MAX + 2;
    const uint8_t *end = memchr(data, '\n', n_look);
    if (!end) return n_look == GI_RESP_LINE_BYTES_MAX + 2 ? GI_RESP_BAD : GI_RESP_MORE;
    const size_t n_line = (size_t)(end - data);
    if (n_line < 2 || end[-1] != '\r') return GI_RESP_BAD;
    *ret_n_line = n_line - 1;
    return GI_RESP_DONE;
}

/* A string of `length` bytes whose first line is `n_line` long without its end. */
static gi_resp_outcome read_bulk(const uint8_t *data, size_t n, size_t n_line, int64_t length,
                                 size_t bulk_bytes_max, gi_resp_reply *ret, size_t *ret_n) {
    if (length == -1) {
        *ret = (gi_resp_reply){.type = GI_RESP_NIL};
        *ret_n = n_line + 2;
        return GI_RESP_DONE;
    }
    if (length < 0 || (uint64_t)length > bulk_bytes_max) return GI_RESP_BAD;
    const size_t begin = n_line + 2, n_all = begin + (size_t)length + 2;
    *ret_n = n_all;
    if (n < n_all) return GI_RESP_MORE;
    if (data[n_all - 2] != '\r' || data[n_all - 1] != '\n') return GI_RESP_BAD;
    *ret = (gi_resp_reply){.type = GI_RESP_BULK, .bytes = data + begin, .n = (size_t)length};
    return GI_RESP_DONE;
}

gi_resp_outcome gi_resp_read(const uint8_t *data, size_t n, size_t bulk_bytes_max,
                             gi_resp_reply *ret, size_t *ret_n) {
    size_t n_line;
    int64_t number = 0;
    *ret_n = n + 1;
    if (n == 0) return GI_RESP_MORE;
    const uint8_t mark = data[0];
    if (mark != '+' && mark != '-' && mark != ':' && mark != '$') return GI_RESP_BAD;
    const gi_resp_outcome line = read_line(data, n, &n_line);
    if (line != GI_RESP_DONE) return line;
    const bool is_number = mark == ':' || mark == '$';
    if (is_number && !read_integer(data + 1, n_line - 1, &number)) return GI_RESP_BAD;
    if (mark == '$') return read_bulk(data, n, n_line, number, bulk_bytes_max, ret, ret_n);
    const gi_resp_type type = mark == '+'   ? GI_RESP_STATUS
                              : mark == '-' ? GI_RESP_ERROR
                                            : GI_RESP_INT;
    *ret = (gi_resp_reply){.type = type, .integer = number, .bytes = data + 1, .n = n_line - 1};
    *ret_n = n_line + 2;
    return GI_RESP_DONE;
}

bool gi_resp_is_ok(const gi_resp_reply *r) {
    return r->type == GI_RESP_STATUS && r->n == 2 && memcmp(r->bytes, "OK", 2) == 0;
}
