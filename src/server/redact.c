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
    LABEL_GAP_MAX = 6,
    FULL_WIDTH_BYTES = 3, /* U+FF10..U+FF19 */
};

/* A text. Who looks back sees as far as `from`: what is before was taken out. */
typedef struct reader {
    const unsigned char *s;
    size_t n, from;
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

/* Bytes of one of the marks at `at`; 0 when there is none. */
static size_t mark_bytes(const reader *r, size_t at, const char *const *marks, size_t n_marks) {
    for (size_t i = 0; at < r->n && i < n_marks; i++) {
        if (r->s[at] != (unsigned char)marks[i][0]) continue;
        const size_t n = strlen(marks[i]);
        if (r->n - at >= n && memcmp(r->s + at, marks[i], n) == 0) return n;
    }
    return 0;
}

static const char *const DEGREES[] = {"\xC2\xB0", "\xE5\xBA\xA6"};

static bool is_north(char direction) {
    return direction == 'N' || direction == 'S';
}

/* N, S, E or W at `at`, else 0. */
static char direction_at(const reader *r, size_t at) {
    return at < r->n && r->s[at] != '\0' && strchr("NSEW", r->s[at]) ? (char)r->s[at] : 0;
}

/* The same as a word of its own right before `at`, or before a space there. */
static char direction_before(const reader *r, size_t at) {
    if (at > r->from && r->s[at - 1] == ' ') at--;
    const char to = at > r->from ? direction_at(r, at - 1) : 0;
    return at > r->from + 1 && gi_ascii_is_alpha(r->s[at - 2]) ? 0 : to;
}

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

/* A decimal with what belongs to it: a degree sign, and a direction where one is asked for. Its
 * end, or `at`. */
static size_t coordinate_end(const reader *r, size_t at, double *ret, char *ret_direction) {
    const size_t number = decimal_end(r, at, ret);
    if (ret_direction) *ret_direction = 0;
    if (number == at) return at;
    const size_t sign = number + mark_bytes(r, number, DEGREES, 2);
    const size_t p = sign < r->n && r->s[sign] == ' ' && sign > number ? sign + 1 : sign;
    const char to = ret_direction ? direction_at(r, p) : 0;
    if (!to || (p + 1 < r->n && gi_ascii_is_alpha(r->s[p + 1]))) return sign;
    *ret_direction = to;
    return p + 1;
}

/* Behind a comma, a semicolon (both also full-width), white space, or some of them. */
static size_t skip_between(const reader *r, size_t at) {
    static const char *const MARKS[] = {" ", ",", ";", "\t", "\xEF\xBC\x8C", "\xEF\xBC\x9B"};
    size_t p = at, n;
    for (size_t i = 0; i < 4 && (n = mark_bytes(r, p, MARKS, sizeof MARKS / sizeof MARKS[0])); i++)
        p += n;
    return p;
}

/* Two coordinates, each with or without a degree sign and a direction: 39.9, 116.4 (with more
 * decimals), N39.9 E116.4, 39.9N 116.4E; but "1.234W 2.345W" are watts. */
static size_t pair_end(const reader *r, size_t at) {
    double a = 0, b = 0;
    char to_a = direction_before(r, at), to_b = 0;
    const bool is_before = to_a != 0;
    const size_t first = coordinate_end(r, at, &a, is_before ? NULL : &to_a);
    if (first == at) return at;
    size_t second = skip_between(r, first);
    const bool is_apart = second > first;
    if (is_before) to_b = direction_at(r, second);
    if (is_before && !to_b) to_a = 0; /* a letter that only happened to stand there */
    if (is_before && to_b) second += second + 1 < r->n && r->s[second + 1] == ' ' ? 2 : 1;
    if (!is_apart && !to_a) return at;
    const size_t end = coordinate_end(r, second, &b, is_before ? NULL : &to_b);
    if (end == second || (to_a && (!to_b || is_north(to_a) == is_north(to_b)))) return at;
    const bool is_on_earth = (a <= 90 && b <= 180) || (a <= 180 && b <= 90);
    return is_on_earth ? end : at;
}

/* True when `lower` ends at `at`, in letters of either case. */
static bool is_text_before(const reader *r, size_t at, const char *lower) {
    const size_t n = strlen(lower);
    if (at - r->from < n) return false;
    for (size_t i = 0; i < n; i++) {
        if (gi_ascii_lower((char)r->s[at - n + i]) != lower[i]) return false;
    }
    return true;
}

/* What may stand between a label and its number: "lat": 39.9042, 纬度：39.9042, lat = '39.9042'. */
static size_t skip_back(const reader *r, size_t at) {
    static const char *const MARKS[] = {" ",
                                        "\"",
                                        "'",
                                        ":",
                                        "=",
                                        "\\",
                                        "(",
                                        "[",
                                        ".",
                                        "\t",
                                        "\xEF\xBC\x9A",  /* full-width colon */
                                        "\xEF\xBC\x88",  /* full-width parenthesis */
                                        "\xE4\xB8\xBA",  /* 为 */
                                        "\xE6\x98\xAF",  /* 是 */
                                        "\xE7\xBA\xA6"}; /* 约 */
    for (size_t i = 0; i < LABEL_GAP_MAX; i++) {
        const size_t before = at;
        for (size_t k = 0; k < sizeof MARKS / sizeof MARKS[0] && at == before; k++)
            if (is_text_before(r, at, MARKS[k])) at -= strlen(MARKS[k]);
        if (at == before) break;
    }
    return at;
}

/* True when the number at `at` is said to be a latitude or longitude. A word begins at its first
 * letter or, as in "userLat", at a capital one. */
static bool has_label(const reader *r, size_t at) {
    static const char *const WORDS[] = {"lat", "lon", "lng", "latitude", "longitude"};
    static const char *const SIGNS[] = {
        "\xE7\xBA\xAC\xE5\xBA\xA6", "\xE7\xBB\x8F\xE5\xBA\xA6", /* 纬度 经度 */
        "\xE7\xB7\xAF\xE5\xBA\xA6", "\xE7\xB6\x93\xE5\xBA\xA6", /* the same, traditional */
        "\xE5\x8C\x97\xE7\xBA\xAC", "\xE5\x8D\x97\xE7\xBA\xAC", /* 北纬 南纬 */
        "\xE4\xB8\x9C\xE7\xBB\x8F", "\xE8\xA5\xBF\xE7\xBB\x8F", /* 东经 西经 */
        "\xE5\x8C\x97\xE7\xB7\xAF", "\xE5\x8D\x97\xE7\xB7\xAF", /* the same, traditional */
        "\xE6\x9D\xB1\xE7\xB6\x93", "\xE8\xA5\xBF\xE7\xB6\x93"};
    at = skip_back(r, at);
    for (size_t i = 0; i < sizeof SIGNS / sizeof SIGNS[0]; i++)
        if (is_text_before(r, at, SIGNS[i])) return true;
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (!is_text_before(r, at, WORDS[i])) continue;
        const size_t begin = at - strlen(WORDS[i]);
        if (begin == r->from || !gi_ascii_is_alpha(r->s[begin - 1])) return true;
        if (r->s[begin] < 'a' && r->s[begin - 1] >= 'a') return true;
    }
    return false;
}

static size_t labelled_end(const reader *r, size_t at) {
    double value = 0;
    char to = 0;
    const size_t end = coordinate_end(r, at, &value, &to);
    return end > at && value <= 180 && has_label(r, at) ? end : at;
}

/* Bytes of a digit, or of a dot behind one; 0 when there is neither. */
static size_t number_char_bytes(const reader *r, size_t at, bool may_be_dot) {
    size_t n;
    if (digit_at(r, at, &n) >= 0) return n;
    return may_be_dot && at < r->n && r->s[at] == '.';
}

/* 39°54'20"N, 39度54分, 39.9°N: degrees, then minutes or a direction. */
static size_t degrees_end(const reader *r, size_t at) {
    static const char *const MINUTES[] = {"'", "\xE2\x80\xB2", "\xE2\x80\x99", "\xE5\x88\x86"};
    static const char *const SECONDS[] = {"\"", "\xE2\x80\xB3", "\xE2\x80\x9D", "\xE7\xA7\x92"};
    static const struct {
        const char *const *marks;
        size_t n_marks;
    } PARTS[] = {{DEGREES, 2}, {MINUTES, 4}, {SECONDS, 4}};
    size_t p = at, n_parts = 0;
    for (; n_parts < 3; n_parts++) {
        size_t q = p, n_chars = 0;
        for (size_t n; n_chars < 12 && (n = number_char_bytes(r, q, n_chars > 0)) > 0; n_chars++)
            q += n;
        if (n_chars == 0 || q >= r->n) break;
        const size_t n_mark = mark_bytes(r, q, PARTS[n_parts].marks, PARTS[n_parts].n_marks);
        if (n_mark == 0) break;
        p = q + n_mark;
    }
    const size_t q = p < r->n && r->s[p] == ' ' ? p + 1 : p;
    const bool has_direction = direction_at(r, q) != 0;
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
    size_t n_marks;       /* gaps that are a dot or a dash of print */
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

/* True when groups from the i-th on have these many digits, and there is none behind. */
static bool is_grouped(const digits *v, size_t i, const size_t *sizes, size_t n_sizes) {
    if (v->n_groups != i + n_sizes) return false;
    for (size_t k = 0; k < n_sizes; k++)
        if (v->groups[i + k] != sizes[k]) return false;
    return true;
}

/* With a dot or a dash of print between its groups a number may as well be a decimal, a version, an
 * address, a date or a range: only what is grouped as telephone numbers and cards are, is one. */
static const char *name_of_marked(const digits *v) {
    static const size_t MOBILE[] = {3, 4, 4}, AMERICAN[] = {3, 3, 4}, CARD[] = {4, 4, 4, 4};
    static const size_t AREA_AND_NUMBER[][2] = {{3, 8}, {4, 7}, {4, 8}};
    const int *d = v->d;
    const size_t n_country = v->n_groups == 4 && d[0] == 8 && d[1] == 6 ? v->groups[0] : 0;
    if (v->n_marks + 1 != v->n_groups || v->has_x) return NULL;
    if (is_grouped(v, 0, CARD, 4)) return is_card(v) ? "[card]" : NULL;
    if (v->has_plus && v->n_groups >= 3 && v->n >= 8 && v->n <= 15) return "[phone]";
    if (n_country == 2 && is_grouped(v, 1, MOBILE, 3) && is_mobile(d + 2, 11)) return "[phone]";
    if (is_grouped(v, 0, MOBILE, 3) && is_mobile(d, 11)) return "[phone]";
    if (is_grouped(v, 0, AMERICAN, 3)) return "[phone]";
    for (size_t i = 0; i < 3; i++)
        if (d[0] == 0 && is_grouped(v, 0, AREA_AND_NUMBER[i], 2)) return "[phone]";
    return NULL;
}

static const char *name_of(const digits *v) {
    if (v->n_marks > 0) return name_of_marked(v);
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

/* Behind what may stand between two groups; *ret_is_mark when that is a dot or a dash of print. */
static size_t skip_gap(const reader *r, size_t at, bool *ret_is_mark) {
    static const char *const MARKS[] = {
        ".",
        "\xE2\x80\x90",
        "\xE2\x80\x91",
        "\xE2\x80\x92", /* ‐ ‑ ‒ */
        "\xE2\x80\x93",
        "\xE2\x80\x94",
        "\xE2\x88\x92",
        "\xEF\xBC\x8D", /* – — − － */
    };
    size_t p = at;
    const size_t n_mark = mark_bytes(r, at, MARKS, sizeof MARKS / sizeof MARKS[0]);
    *ret_is_mark = n_mark > 0;
    if (n_mark > 0) return at + n_mark;
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
    bool is_mark = false;
    for (size_t p = begin, end; (end = add_group(r, p, &v)) > p;
         p = skip_gap(r, end, &is_mark), v.n_marks += is_mark) {
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
    if ((end = pair_end(r, at)) > at || (end = labelled_end(r, at)) > at ||
        (end = degrees_end(r, at)) > at) {
        *ret_end = end;
        return "[gps]";
    }
    return c == '-' ? NULL : number_at(r, at, ret_end);
}

glint_status gi_redact(const char *text, size_t n_bytes, gi_buf *ret, glint_error *err) {
    reader r = {.s = (const unsigned char *)text, .n = n_bytes};
    size_t looked = 0, end;
    for (size_t at = 0; at < n_bytes; at = end) {
        const char *name = look(&r, at, &looked, &end);
        if (!name) continue;
        GI_TRY(gi_buf_push(ret, text + r.from, at - r.from, err));
        GI_TRY(gi_buf_puts(ret, name, err));
        r.from = end;
    }
    return gi_buf_push(ret, text + r.from, n_bytes - r.from, err);
}
