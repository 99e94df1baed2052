/*
 * Checked number parsing. Integers are read digit by digit. For floating point the grammar is
 * checked first and the conversion is libc's, which rounds correctly; the grammar leaves it no
 * room for its own extensions. Programs here never call setlocale, so the point is a '.'.
 */
#include "base/parse.h"

#include "base/ascii.h"
#include "base/checked.h"

#include <math.h>
#include <stdlib.h>

bool gi_parse_u64(const char *s, uint64_t *ret) {
    uint64_t v = 0;
    if (!*s) return false;
    for (; *s; s++) {
        if (!gi_ascii_is_digit(*s)) return false;
        if (!gi_mul_u64(v, 10, &v) || !gi_add_u64(v, (uint64_t)(*s - '0'), &v)) return false;
    }
    *ret = v;
    return true;
}

bool gi_parse_i64(const char *s, int64_t *ret) {
    const bool negative = *s == '-';
    uint64_t v;
    if (!gi_parse_u64(s + negative, &v)) return false;
    if (v > (uint64_t)INT64_MAX + negative) return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static const char *skip_digits(const char *s) {
    while (gi_ascii_is_digit(*s)) s++;
    return s;
}

/* -? digits (. digits)? ([eE] [+-]? digits)? */
static bool is_decimal(const char *s) {
    if (*s == '-') s++;
    if (!gi_ascii_is_digit(*s)) return false;
    s = skip_digits(s);
    if (*s == '.') {
        if (!gi_ascii_is_digit(s[1])) return false;
        s = skip_digits(s + 1);
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-') s++;
        if (!gi_ascii_is_digit(*s)) return false;
        s = skip_digits(s);
    }
    return *s == '\0';
}

bool gi_parse_double(const char *s, double *ret) {
    if (!is_decimal(s)) return false;
    const double v = strtod(s, NULL);
    if (!isfinite(v)) return false;
    *ret = v;
    return true;
}
