/*
 * One pass. At each place the longest thing that begins there is taken: an address, a pair of
 * coordinates, or some groups of digits; else one group, or one byte, stays. A look ahead is
 * bounded by DIGITS_MAX digits or covers bytes that are not looked at again, so time is linear.
 */
#include "server/redact.h"

#include "base/ascii.h"

#include <stdbool.h>
#include <string.h>

enum {
    DIGITS_MAX = 19, /* of a card */
    ID_DIGITS = 18,
    COORDINATE_BYTES_MAX = 24,
    FULL_WIDTH_BYTES = 3, /* U+FF10..U+FF19 */
};

/* A text and a place in it. */
typedef struct reader {
    const unsigned char *s;
    size_t n;
} reader;

/* The digit at `at`, with its length; -1 when there is none. */
static int digit_at(const reader *r, size_t at, size_t *ret_n) {
    const unsigned char *s = r->s + at;
    if (at < r->n && gi_ascii_is_digit(s[0])) {
        *ret_n = 1;
        return s[0] - '0';
    }
    if (at + FULL_WIDTH_BYTES <= r->n && s[0] == 0xEF && s[1] == 0xBC && s[2] >= 0x90 &&
        s[2] <= 0x99) {
        *ret_n = FULL_WIDTH_BYTES;
        return s[2] - 0x90;
    }
    return -1;
}

/* ---- addresses ---- */

static bool is_local(unsigned char c) {
    return gi_ascii_is_alnum(c) || (c != '\0' && strchr("._%+-", c) != NULL);
}

/* The end of name.name at `at`, or `at`. */
static size_t domain_end(const reader *r, size_t at) {
    size_t end = at;
    while (end < r->n && (gi_ascii_is_alnum(r->s[end]) || r->s[end] == '-' || r->s[end] == '.'))
        end++;
    while (end > at && !gi_ascii_is_alnum(r->s[end - 1])) end--;
    const void *dot = end > at ? memchr(r->s + at + 1, '.', end - at - 1) : NULL;
    return dot && gi_ascii_is_alnum(r->s[at]) ? end : at;
}

/* The end of the run of bytes of a local part at `at`; *ret_address its end with a domain, or 0. */
static size_t local_end(const reader *r, size_t at, size_t *ret_address) {
    size_t end = at;
    while (end < r->n && is_local(r->s[end])) end++;
    *ret_address = 0;
    if (end == at || end >= r->n || r->s[end] != '@') return end;
    const size_t domain = domain_end(r, end + 1);
    if (domain > end + 1) *ret_address = domain;
    return end;
}

/* ---- coordinates ---- */

/* A signed decimal with at least three decimals; its end, or `at`. */
static size_t decimal_end(const reader *r, size_t at, double *ret) {
    size_t p = at, n, n_whole = 0, n_decimals = 0;
    double value = 0, unit = 1;
    if (p < r->n && (r->s[p] == '-' || r->s[p] == '+')) p++;
    for (int d; n_whole < 4 && (d = digit_at(r, p, &n)) >= 0; p += n, n_whole++)
        value = 10 * value + d;
    if (n_whole < 1 || n_whole > 3 || p >= r->n || r->s[p] != '.') return at;
    p++;
    for (int d; n_decimals < COORDINATE_BYTES_MAX && (d = digit_at(r, p, &n)) >= 0;
         p += n, n_decimals++)
        value += d * (unit /= 10);
    if (n_decimals < 3) return at;
    *ret = value;
    return p;
}

/* Behind a comma (also U+FF0C), white space, or both. */
static size_t skip_between(const reader *r, size_t at) {
    size_t p = at;
    for (size_t i = 0; i < 4 && p < r->n; i++) {
        if (r->s[p] == ' ' || r->s[p] == ',' || r->s[p] == '\t')
            p++;
        else if (r->n - p >= 3 && memcmp(r->s + p, "\xEF\xBC\x8C", 3) == 0)
            p += 3;
        else
            break;
    }
    return p;
}

static size_t pair_end(const reader *r, size_t at) {
    double a = 0, b = 0;
    const size_t first = decimal_end(r, at, &a);
    if (first == at) return at;
    const size_t second = skip_between(r, first);
    if (second == first) return at;
    const size_t end = decimal_end(r, second, &b);
    if (end == second) return at;
    const bool is_on_earth = (a <= 90 && b <= 180) || (a <= 180 && b <= 90);
    return is_on_earth ? end : at;
}

/* Bytes of one of the marks at `at`, white space before it taken along; 0 when there is none. */
static size_t mark_bytes(const reader *r, size_t at, const char *const *marks, size_t n_marks) {
    for (size_t i = 0; i < n_marks; i++) {
        const size_t n = strlen(marks[i]);
        if (r->n - at >= n && memcmp(r->s + at, marks[i], n) == 0) return n;
    }
    return 0;
}

/* 39°54'20"N, 39度54分, 39.9°N: degrees, then minutes or a direction. */
static size_t degrees_end(const reader *r, size_t at) {
    static const char *const DEGREES[] = {"\xC2\xB0", "\xE5\xBA\xA6"};
    static const char *const MINUTES[] = {"'", "\xE2\x80\xB2", "\xE2\x80\x99", "\xE5\x88\x86"};
    static const char *const SECONDS[] = {"\"", "\xE2\x80\xB3", "\xE2\x80\x9D", "\xE7\xA7\x92"};
    static const struct {
        const char *const *marks;
        size_t n_marks;
    } PARTS[] = {{DEGREES, 2}, {MINUTES, 4}, {SECONDS, 4}};
    size_t p = at, n_parts = 0;
    for (; n_parts < 3; n_parts++) {
        size_t q = p, n, n_digits = 0;
        while (n_digits < 12 && (digit_at(r, q, &n) >= 0 ||
                                 (n_digits > 0 && q < r->n && r->s[q] == '.' && (n = 1) == 1))) {
            q += n;
            n_digits++;
        }
        if (n_digits == 0 || q >= r->n) break;
        const size_t n_mark = mark_bytes(r, q, PARTS[n_parts].marks, PARTS[n_parts].n_marks);
        if (n_mark == 0) break;
        p = q + n_mark;
    }
    const size_t q = p < r->n && r->s[p] == ' ' ? p + 1 : p;
    const bool has_direction = q < r->n && r->s[q] != '\0' && strchr("NSEW", r->s[q]);
    if (n_parts < 1 || (n_parts < 2 && !has_direction)) return at;
    return has_direction ? q + 1 : p;
}

/* ---- numbers ---- */

/* Digits of some groups, and what is known of them. */
typedef struct digits {
    int d[DIGITS_MAX + 1];
    size_t n;
    size_t groups[DIGITS_MAX + 1]; /* digits of each */
    size_t n_groups;
    bool has_plus, has_x; /* + before, X behind */
} digits;

/* The weights are powers of 2 modulo 11. */
static bool is_identity(const digits *v) {
    static const int WEIGHTS[] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    static const int CHECKS[] = {1, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2};
    if (v->n + v->has_x != ID_DIGITS) return false;
    int sum = 0;
    for (size_t i = 0; i < ID_DIGITS - 1; i++) sum += WEIGHTS[i] * v->d[i];
    return CHECKS[sum % 11] == (v->has_x ? 10 : v->d[ID_DIGITS - 1]);
}

static bool is_card(const digits *v) {
    if (v->n < 13 || v->has_x) return false;
    int sum = 0;
    for (size_t i = 0; i < v->n; i++) {
        int d = v->d[v->n - 1 - i];
        if (i % 2 == 1) d = 2 * d > 9 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10 == 0;
}

static bool is_mobile(const int *d, size_t n) {
    return n == 11 && d[0] == 1 && d[1] >= 3;
}

static bool is_phone(const digits *v) {
    const int *d = v->d;
    if (v->has_x) return false;
    if (v->has_plus) return v->n >= 8 && v->n <= 15;
    if (is_mobile(d, v->n)) return true;
    if (v->n == 13 && d[0] == 8 && d[1] == 6 && is_mobile(d + 2, 11)) return true;
    if (v->n == 15 && d[0] == 0 && d[1] == 0 && d[2] == 8 && d[3] == 6 && is_mobile(d + 4, 11))
        return true;
    if (v->n >= 10 && v->n <= 12 && d[0] == 0) return true; /* area code and number */
    if (v->n == 10 && (d[0] == 4 || d[0] == 8) && d[1] == 0 && d[2] == 0) return true;
    return v->n_groups == 3 && v->groups[0] == 3 && v->groups[1] == 3 && v->groups[2] == 4;
}

static const char *name_of(const digits *v) {
    if (is_identity(v)) return "[id]";
    if (is_phone(v)) return "[phone]";
    return is_card(v) ? "[card]" : NULL;
}

/* The end of the digits at `at`, and their number. */
static size_t group_end(const reader *r, size_t at, size_t *ret_n_digits) {
    size_t n, n_digits = 0;
    for (; digit_at(r, at, &n) >= 0; at += n) n_digits++;
    *ret_n_digits = n_digits;
    return at;
}

/* Behind what may stand between two groups. */
static size_t skip_gap(const reader *r, size_t at) {
    size_t p = at;
    while (p < at + 2 && p < r->n && r->s[p] != '\0' && strchr(" -()", r->s[p])) p++;
    return p;
}

/* Add the group at `at` while there is room. Its end, or `at`. */
static size_t add_group(const reader *r, size_t at, digits *v) {
    size_t n, p = at;
    const size_t n_before = v->n;
    for (int d; (d = digit_at(r, p, &n)) >= 0; p += n) {
        if (v->n == DIGITS_MAX) return at;
        v->d[v->n++] = d;
    }
    if (p > at) v->groups[v->n_groups++] = v->n - n_before;
    return p;
}

/* What groups of digits at `at` are, by the longest that are something; NULL with *ret_end behind
 * the first group when they are nothing. */
static const char *number_at(const reader *r, size_t at, size_t *ret_end) {
    const bool has_plus = r->s[at] == '+';
    const size_t begin = at + has_plus;
    size_t n_digits;
    *ret_end = group_end(r, begin, &n_digits);
    if (n_digits > DIGITS_MAX) return "[number]";
    digits v = {.has_plus = has_plus};
    const char *name = NULL;
    for (size_t p = begin, end; (end = add_group(r, p, &v)) > p; p = skip_gap(r, end)) {
        const char *found = name_of(&v);
        size_t behind = end;
        if (!found && end < r->n && (r->s[end] | 0x20) == 'x') {
            v.has_x = true;
            found = name_of(&v);
            v.has_x = false;
            behind = end + 1;
        }
        if (!found) continue;
        name = found;
        *ret_end = behind;
    }
    return name;
}

/* ---- the pass ---- */

/* What begins at `at` and must go, NULL when *ret_end - at bytes may stay. *io_looked is where the
 * last run of bytes of a local part ends: one that began earlier is not looked at again. */
static const char *look(const reader *r, size_t at, size_t *io_looked, size_t *ret_end) {
    size_t n, end;
    const unsigned char c = r->s[at];
    const bool is_digit = digit_at(r, at, &n) >= 0;
    if (at >= *io_looked && is_local(c)) {
        *io_looked = local_end(r, at, ret_end);
        if (*ret_end > 0) return "[email]";
    }
    const bool is_signed = (c == '+' || c == '-') && at + 1 < r->n && digit_at(r, at + 1, &n) >= 0;
    *ret_end = at + 1;
    if (!is_digit && !is_signed) return NULL;
    if ((end = pair_end(r, at)) > at || (end = degrees_end(r, at)) > at) {
        *ret_end = end;
        return "[gps]";
    }
    return c == '-' ? NULL : number_at(r, at, ret_end);
}

glint_status gi_redact(const char *text, size_t n_bytes, gi_buf *ret, glint_error *err) {
    const reader r = {(const unsigned char *)text, n_bytes};
    size_t from = 0, looked = 0, end;
    for (size_t at = 0; at < n_bytes; at = end) {
        const char *name = look(&r, at, &looked, &end);
        if (!name) continue;
        GI_TRY(gi_buf_push(ret, text + from, at - from, err));
        GI_TRY(gi_buf_puts(ret, name, err));
        from = end;
    }
    return gi_buf_push(ret, text + from, n_bytes - from, err);
}
