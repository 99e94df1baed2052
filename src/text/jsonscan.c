/*
 * The scanner knows as much JSON as walking needs. What it hands out as a span may be malformed
 * inside; the reader of the span (gi_json_parse, or this scanner again) finds that out.
 */
#include "text/jsonscan.h"

#include "base/ascii.h"
#include "base/utf8.h"

#include <string.h>

void gi_jsonscan_init(gi_jsonscan *s, const void *data, size_t n_bytes, const char *what) {
    static const uint8_t nothing[1] = {0};
    s->data = data ? data : nothing;
    s->at = s->data;
    s->end = s->data + n_bytes;
    s->what = what;
}

static glint_status expected(const gi_jsonscan *s, const char *thing, glint_error *err) {
    return gi_fail(err, GLINT_ERR_FORMAT, "%s: byte %zu: expected %s", s->what,
                   (size_t)(s->at - s->data), thing);
}

uint8_t gi_jsonscan_peek(gi_jsonscan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
    return s->at < s->end ? *s->at : 0;
}

glint_status gi_jsonscan_open(gi_jsonscan *s, char bracket, glint_error *err) {
    if (gi_jsonscan_peek(s) != (uint8_t)bracket)
        return expected(s, bracket == '{' ? "an object" : "an array", err);
    s->at++;
    return GLINT_OK;
}

glint_status gi_jsonscan_next(gi_jsonscan *s, char bracket, size_t i, bool *ret_more,
                              glint_error *err) {
    const uint8_t c = gi_jsonscan_peek(s);
    if (c == (uint8_t)bracket) {
        s->at++;
        *ret_more = false;
        return GLINT_OK;
    }
    if (i > 0) {
        if (c != ',') return expected(s, "a comma or a closing bracket", err);
        s->at++;
    }
    *ret_more = true;
    return GLINT_OK;
}

/* Four hexadecimal digits at `at`, or -1. */
static int32_t hex4(const uint8_t *at, const uint8_t *end) {
    if (end - at < 4) return -1;
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        const int d = gi_ascii_hex_value(at[i]);
        if (d < 0) return -1;
        v = v << 4 | d;
    }
    return v;
}

/* The escape whose backslash lies at s->at, as UTF-8; 0 when it is none. Moves past it. */
static size_t unescape(gi_jsonscan *s, uint8_t out[4]) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->end - s->at < 2) return 0;
    const uint8_t c = s->at[1];
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        s->at += 2;
        out[0] = (uint8_t)to[simple - from];
        return 1;
    }
    int32_t cp = c == 'u' ? hex4(s->at + 2, s->end) : -1;
    if (cp < 0) return 0;
    size_t n = 6;
    if (cp >= 0xD800 && cp < 0xDC00) {
        if (s->end - s->at < 12 || s->at[6] != '\\' || s->at[7] != 'u') return 0;
        const int32_t low = hex4(s->at + 8, s->end);
        if (low < 0xDC00 || low > 0xDFFF) return 0;
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        n = 12;
    } else if (cp >= 0xDC00 && cp < 0xE000) {
        return 0;
    }
    s->at += n;
    return (size_t)gi_utf8_encode((uint32_t)cp, out);
}

glint_status gi_jsonscan_string(gi_jsonscan *s, uint8_t *out, size_t cap, size_t *ret_n,
                                glint_error *err) {
    if (gi_jsonscan_peek(s) != '"') return expected(s, "a string", err);
    s->at++;
    size_t n = 0;
    while (s->at < s->end && *s->at != '"') {
        uint8_t code[4] = {*s->at};
        size_t n_code = 1;
        if (*s->at < 0x20) return expected(s, "no control character in a string", err);
        if (*s->at != '\\')
            s->at++;
        else if ((n_code = unescape(s, code)) == 0)
            return expected(s, "a valid escape", err);
        if (n_code > cap - n)
            return gi_fail(err, GLINT_ERR_LIMIT, "%s: byte %zu: string longer than %zu bytes",
                           s->what, (size_t)(s->at - s->data), cap);
        for (size_t i = 0; i < n_code; i++) out[n++] = code[i];
    }
    if (s->at == s->end) return expected(s, "the end of a string", err);
    s->at++;
    *ret_n = n;
    return GLINT_OK;
}

glint_status gi_jsonscan_key(gi_jsonscan *s, uint8_t *out, size_t cap, size_t *ret_n,
                             glint_error *err) {
    GI_TRY(gi_jsonscan_string(s, out, cap, ret_n, err));
    if (gi_jsonscan_peek(s) != ':') return expected(s, "a colon", err);
    s->at++;
    return GLINT_OK;
}

glint_status gi_jsonscan_int(gi_jsonscan *s, uint32_t max, uint32_t *ret, glint_error *err) {
    const uint8_t first = gi_jsonscan_peek(s);
    if (!gi_ascii_is_digit(first)) return expected(s, "a whole number, not negative", err);
    uint64_t v = 0;
    const uint8_t *const begin = s->at;
    while (s->at < s->end && gi_ascii_is_digit(*s->at) && v <= max)
        v = v * 10 + (uint64_t)(*s->at++ - '0');
    if (v > max)
        return gi_fail(err, GLINT_ERR_LIMIT, "%s: byte %zu: number above %u", s->what,
                       (size_t)(begin - s->data), max);
    const bool goes_on = s->at < s->end && (*s->at == '.' || *s->at == 'e' || *s->at == 'E');
    if (goes_on || (first == '0' && s->at - begin > 1)) return expected(s, "a whole number", err);
    *ret = (uint32_t)v;
    return GLINT_OK;
}

/* Past the string that begins at s->at. */
static bool skip_string(gi_jsonscan *s) {
    for (s->at++; s->at < s->end; s->at++) {
        if (*s->at == '"') {
            s->at++;
            return true;
        }
        if (*s->at == '\\' && ++s->at == s->end) break;
    }
    return false;
}

glint_status gi_jsonscan_span(gi_jsonscan *s, const uint8_t **ret, size_t *ret_n,
                              glint_error *err) {
    gi_jsonscan_peek(s);
    const uint8_t *const begin = s->at;
    size_t depth = 0;
    while (s->at < s->end) {
        const uint8_t c = *s->at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
        if (c == '"') {
            if (!skip_string(s)) return expected(s, "the end of a string", err);
            continue;
        }
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        s->at++;
    }
    const uint8_t *last = s->at;
    while (last > begin && last[-1] <= ' ') last--;
    if (depth > 0 || last == begin) return expected(s, "a value", err);
    *ret = begin;
    *ret_n = (size_t)(last - begin);
    return GLINT_OK;
}
