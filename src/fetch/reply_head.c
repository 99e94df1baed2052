/*
 * Fields are compared without case and read leniently towards the strict side: a number that cannot
 * be read is 0 seconds, a word that is not known changes nothing. Heuristic freshness is not
 * computed; without a stated age a body is asked about each time.
 */
#include "fetch/reply_head.h"

#include "base/ascii.h"

#include <string.h>

enum { FRESH_S_MAX = 86400 };

/* A piece of a line. */
typedef struct span {
    const char *s;
    size_t n;
} span;

static bool equals(span a, const char *word) {
    if (a.n != strlen(word)) return false;
    for (size_t i = 0; i < a.n; i++)
        if (gi_ascii_lower(a.s[i]) != word[i]) return false;
    return true;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static span trim(span a) {
    while (a.n > 0 && is_space(a.s[0])) a = (span){a.s + 1, a.n - 1};
    while (a.n > 0 && is_space(a.s[a.n - 1])) a.n--;
    return a;
}

/* Cut at the first `c`; what follows it goes to *ret_rest. */
static span cut(span a, char c, span *ret_rest) {
    const char *at = memchr(a.s, c, a.n);
    if (!at) {
        *ret_rest = (span){a.s + a.n, 0};
        return a;
    }
    *ret_rest = (span){at + 1, (size_t)(a.s + a.n - at - 1)};
    return (span){a.s, (size_t)(at - a.s)};
}

static int64_t seconds(span a) {
    int64_t s = 0;
    for (size_t i = 0; i < a.n; i++) {
        if (!gi_ascii_is_digit(a.s[i])) return 0;
        s = s * 10 + (a.s[i] - '0');
        if (s > FRESH_S_MAX) s = FRESH_S_MAX;
    }
    return s;
}

/* A validator goes back to the server as it came, or not at all. */
static void keep(span value, char *out, size_t n_out) {
    out[0] = '\0';
    if (value.n >= n_out) return;
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.s[i] < 0x20 || (unsigned char)value.s[i] >= 0x7f) return;
    memcpy(out, value.s, value.n);
    out[value.n] = '\0';
}

static void read_cache_control(gi_reply_head *h, span value) {
    while (value.n > 0) {
        span argument, directive = cut(value, ',', &value);
        const span name = trim(cut(directive, '=', &argument));
        if (equals(name, "no-store") || equals(name, "private")) h->no_store = true;
        if (equals(name, "no-cache")) h->no_cache = true;
        if (equals(name, "max-age")) {
            h->has_max_age = true;
            h->max_age_s = seconds(trim(argument));
        }
        if (equals(name, "s-maxage")) {
            h->has_shared_max_age = true;
            h->shared_max_age_s = seconds(trim(argument));
        }
    }
}

static void read_location(gi_reply_head *h, span value) {
    h->n_location++;
    h->location_n = value.n < sizeof h->location ? value.n : 0;
    memcpy(h->location, value.s, h->location_n);
    h->location[h->location_n] = '\0';
}

bool gi_reply_head_line(gi_reply_head *h, const char *line, size_t n) {
    if (n > GI_REPLY_HEAD_BYTES_MAX - h->n_bytes) return false;
    h->n_bytes += n;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        *h = (gi_reply_head){.n_bytes = h->n_bytes};
        return true;
    }
    if (n > 0 && (line[0] == ' ' || line[0] == '\t')) return false;
    if (!memchr(line, ':', n)) return true; /* no field */
    span value;
    const span name = cut((span){line, n}, ':', &value);
    value = trim(value);
    if (equals(name, "location")) read_location(h, value);
    if (equals(name, "etag")) keep(value, h->validators.etag, sizeof h->validators.etag);
    if (equals(name, "last-modified"))
        keep(value, h->validators.last_modified, sizeof h->validators.last_modified);
    if (equals(name, "cache-control")) read_cache_control(h, value);
    if (equals(name, "age")) h->age_s = seconds(value);
    if (equals(name, "vary") && memchr(value.s, '*', value.n)) h->no_store = true;
    return !equals(name, "transfer-encoding") || equals(value, "chunked");
}

bool gi_reply_head_may_keep(const gi_reply_head *h, int64_t *ret_fresh_s) {
    int64_t fresh_s = h->has_shared_max_age ? h->shared_max_age_s
                      : h->has_max_age      ? h->max_age_s
                                            : 0;
    fresh_s = h->no_cache || fresh_s < h->age_s ? 0 : fresh_s - h->age_s;
    const bool can_ask = h->validators.etag[0] || h->validators.last_modified[0];
    if (h->no_store || (fresh_s == 0 && !can_ask)) return false;
    *ret_fresh_s = fresh_s;
    return true;
}
