/*
 * Four characters to three bytes through a table; the table's 0x80 bit marks what is not in the
 * alphabet, so one test serves four characters. Pictures of 10 MB pass through here, so the loop
 * is kept free of branches on data.
 */
#include "server/base64.h"

#define X 0x80

static const uint8_t VALUE[256] = {
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  62, X,  X,  X,  63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X,  X,  X,  X,  X,  X,  X,  0,  1,  2,  3,  4,  5,  6,
    7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X,  X,  X,  X,  X,
    X,  26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
    49, 50, 51, X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
};

static size_t padding_of(const char *s, size_t n) {
    if (n >= 2 && s[n - 1] == '=' && s[n - 2] == '=') return 2;
    return n >= 1 && s[n - 1] == '=';
}

glint_status gi_base64_decoded_bytes(const char *s, size_t n, size_t *ret, glint_error *err) {
    if (n % 4 != 0)
        return gi_fail(err, GLINT_ERR_FORMAT, "base64: the length is not a multiple of 4");
    *ret = n / 4 * 3 - padding_of(s, n);
    return GLINT_OK;
}

glint_status gi_base64_decode(const char *s, size_t n, uint8_t *out, glint_error *err) {
    size_t n_bytes = 0;
    GI_TRY(gi_base64_decoded_bytes(s, n, &n_bytes, err));
    const uint8_t *p = (const uint8_t *)s;
    const size_t n_whole = n_bytes / 3;
    uint8_t bad = 0;
    for (size_t i = 0; i < n_whole; i++) {
        const uint8_t a = VALUE[p[4 * i]], b = VALUE[p[4 * i + 1]];
        const uint8_t c = VALUE[p[4 * i + 2]], d = VALUE[p[4 * i + 3]];
        bad |= a | b | c | d;
        out[3 * i] = (uint8_t)(a << 2 | b >> 4);
        out[3 * i + 1] = (uint8_t)(b << 4 | c >> 2);
        out[3 * i + 2] = (uint8_t)(c << 6 | d);
    }
    const size_t rest = n_bytes - 3 * n_whole;
    if (rest > 0) {
        const uint8_t a = VALUE[p[n - 4]], b = VALUE[p[n - 3]];
        const uint8_t c = rest == 2 ? VALUE[p[n - 2]] : 0;
        bad |= a | b | c;
        /* The bits that reach past the last byte must be zero. */
        if ((rest == 1 ? b & 0x0F : c & 0x03) != 0) bad |= X;
        out[3 * n_whole] = (uint8_t)(a << 2 | b >> 4);
        if (rest == 2) out[3 * n_whole + 1] = (uint8_t)(b << 4 | c >> 2);
    }
    if (bad & X) return gi_fail(err, GLINT_ERR_FORMAT, "base64: a character is not allowed");
    return GLINT_OK;
}
