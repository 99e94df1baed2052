/*
 * Strict UTF-8. The second byte's range depends on the lead (Unicode 15, table 3-7); checking it
 * there rejects overlong forms, surrogates and values above U+10FFFF in one place.
 */
#include "base/utf8.h"

int gi_utf8_decode(const uint8_t *s, size_t n, uint32_t *ret_cp) {
    if (n == 0) return -1;
    const uint8_t a = s[0];
    if (a < 0x80) {
        *ret_cp = a;
        return 1;
    }
    if (a < 0xC2 || a > 0xF4) return 0;
    const int len = a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
    const uint8_t low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    uint32_t cp = a & (0x7Fu >> len);
    for (int i = 1; i < len; i++) {
        if ((size_t)i >= n) return -1;
        const uint8_t b = s[i];
        if (b < (i == 1 ? low : 0x80) || b > (i == 1 ? high : 0xBF)) return 0;
        cp = cp << 6 | (b & 0x3Fu);
    }
    *ret_cp = cp;
    return len;
}

int gi_utf8_encode(uint32_t cp, uint8_t out[4]) {
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    const int len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = len - 1; i > 0; i--, cp >>= 6) out[i] = (uint8_t)(0x80 | (cp & 0x3F));
    out[0] = (uint8_t)(cp | (0xF00u >> len & 0xFFu));
    return len;
}

bool gi_utf8_is_valid(const uint8_t *s, size_t n, size_t *ret_bad) {
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        const int len = gi_utf8_decode(s + i, n - i, &cp);
        if (len <= 0) {
            if (ret_bad) *ret_bad = i;
            return false;
        }
        i += (size_t)len;
    }
    return true;
}

size_t gi_utf8_complete_prefix(const uint8_t *s, size_t n) {
    uint32_t cp;
    const size_t back_max = n < 3 ? n : 3;
    for (size_t back = 1; back <= back_max; back++)
        if (gi_utf8_decode(s + n - back, back, &cp) == -1) return n - back;
    return n;
}
