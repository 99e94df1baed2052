/*
 * A URL is cut at its delimiters once, from the left, and each part is then held against the set of
 * bytes it may have. There is no repair: whatever the URL Standard would silently strip or turn
 * round is refused here, apart from the two rewrites the header names.
 */
#include "fetch/url.h"

#include "base/ascii.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_BYTES_MAX = 63, PORT_DIGITS_MAX = 5, PORT_MAX = 65535 };

static glint_status refuse(glint_error *err, const char *why) {
    return gi_fail(err, GLINT_ERR_ARG, "address of a picture: %s", why);
}

/* ---- hosts ---- */

/* Four decimal numbers without leading zeros; anything else that the URL Standard takes for an IPv4
 * address, because its last label is a number, is no host here. */
static bool parse_v4(const char *name, gi_ip *ret) {
    gi_ip ip = {0};
    char again[INET_ADDRSTRLEN];
    if (inet_pton(AF_INET, name, ip.bytes) != 1) return false;
    if (!inet_ntop(AF_INET, ip.bytes, again, sizeof again) || strcmp(name, again) != 0)
        return false;
    *ret = ip;
    return true;
}

/* Whether the last label is a number, decimal or hexadecimal: then the whole is an address. */
static bool ends_in_number(const char *name) {
    const char *dot = strrchr(name, '.');
    const char *label = dot ? dot + 1 : name;
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

static glint_status parse_v6(const char *s, size_t n, gi_url_host *ret, glint_error *err) {
    char text[INET6_ADDRSTRLEN];
    gi_ip ip = {.is_v6 = true};
    if (n < 2 || n - 2 >= sizeof text || s[n - 1] != ']')
        return refuse(err, "not an IPv6 address in brackets");
    memcpy(text, s + 1, n - 2);
    text[n - 2] = '\0';
    if (strlen(text) != n - 2 || inet_pton(AF_INET6, text, ip.bytes) != 1)
        return refuse(err, "not an IPv6 address in brackets");
    *ret = (gi_url_host){.is_ip = true, .ip = ip};
    gi_ip_format(&ip, ret->name);
    return GLINT_OK;
}

glint_status gi_url_parse_host(const char *s, size_t n, gi_url_host *ret, glint_error *err) {
    if (n > 0 && s[0] == '[') return parse_v6(s, n, ret, err);
    gi_url_host host = {0};
    size_t n_label = 0;
    if (n == 0 || n >= sizeof host.name) return refuse(err, "the host is empty or too long");
    for (size_t i = 0; i < n; i++) {
        const char c = gi_ascii_lower(s[i]);
        if (c == '.') {
            if (n_label == 0) return refuse(err, "the host has an empty label");
            n_label = 0;
        } else if (gi_ascii_is_alnum(c) || c == '-' || c == '_') {
            if (++n_label > LABEL_BYTES_MAX) return refuse(err, "a label of the host is too long");
        } else {
            return refuse(err, "the host has a character outside letters, digits, '-', '_', '.'");
        }
        host.name[i] = c;
    }
    if (n_label == 0) return refuse(err, "the host ends in a dot");
    if (ends_in_number(host.name)) {
        if (!parse_v4(host.name, &host.ip))
            return refuse(err, "the host is a number, but not an IPv4 address in plain form");
        host.is_ip = true;
    }
    *ret = host;
    return GLINT_OK;
}

static glint_status parse_port(const char *s, size_t n, uint16_t *ret, glint_error *err) {
    unsigned port = 0;
    if (n == 0 || n > PORT_DIGITS_MAX || s[0] == '0') return refuse(err, "not a port");
    for (size_t i = 0; i < n; i++) {
        if (!gi_ascii_is_digit(s[i])) return refuse(err, "not a port");
        port = port * 10 + (unsigned)(s[i] - '0');
    }
    if (port > PORT_MAX) return refuse(err, "not a port");
    *ret = (uint16_t)port;
    return GLINT_OK;
}

/* ---- path and query ---- */

/* The rewritten text, being written. */
typedef struct writer {
    gi_url *url;
    bool full;
} writer;

static void put(writer *w, const char *s, size_t n) {
    if (n > GI_URL_BYTES_MAX - w->url->n) {
        w->full = true;
        return;
    }
    memcpy(w->url->text + w->url->n, s, n);
    w->url->n += n;
    w->url->text[w->url->n] = '\0';
}

static void put_encoded(writer *w, unsigned char c) {
    static const char HEX[] = "0123456789ABCDEF";
    put(w, (const char[]){'%', HEX[c >> 4], HEX[c & 15]}, 3);
}

/* The characters of RFC 3986's `pchar` and '/', apart from '%'. */
static bool is_path_char(char c) {
    return gi_ascii_is_alnum(c) || (c && strchr("-._~!$&'()*+,;=:@/", c));
}

/* Copy a path segment or a query. */
static bool put_part(writer *w, const char *s, size_t n, bool is_query) {
    for (size_t i = 0; i < n; i++) {
        const char c = s[i];
        if (c == '%') {
            if (n - i < 3 || gi_ascii_hex_value(s[i + 1]) < 0 || gi_ascii_hex_value(s[i + 2]) < 0)
                return false;
            put(w, &c, 1);
        } else if ((unsigned char)c >= 0x80 || (is_query && c == '\'')) {
            put_encoded(w, (unsigned char)c);
        } else if (is_path_char(c) || (is_query && c == '?')) {
            put(w, &c, 1);
        } else {
            return false;
        }
    }
    return true;
}

/* Number of dots if the segment is "." or "..", however it is encoded; else 0. */
static int count_dots(const char *s, size_t n) {
    int n_dots = 0;
    for (size_t i = 0; i < n; n_dots++) {
        if (s[i] == '.')
            i++;
        else if (n - i >= 3 && s[i] == '%' && s[i + 1] == '2' && gi_ascii_lower(s[i + 2]) == 'e')
            i += 3;
        else
            return 0;
    }
    return n_dots <= 2 ? n_dots : 0;
}

/* Take the last segment off, as ".." asks; the path then ends without its slash. */
static void drop_segment(gi_url *url) {
    while (url->n > url->origin_n && url->text[url->n - 1] != '/') url->n--;
    if (url->n > url->origin_n) url->n--;
    url->text[url->n] = '\0';
}

/* Write the path, which is empty or begins with '/', without dot segments. */
static bool put_path(writer *w, const char *s, size_t n) {
    const char *end = s + n;
    if (n == 0) put(w, "/", 1);
    while (s < end) {
        s++; /* the slash */
        const char *slash = memchr(s, '/', (size_t)(end - s));
        const char *stop = slash ? slash : end;
        const int n_dots = count_dots(s, (size_t)(stop - s));
        if (n_dots == 2) drop_segment(w->url);
        if (n_dots == 0) {
            put(w, "/", 1);
            if (!put_part(w, s, (size_t)(stop - s), false)) return false;
        } else if (!slash) {
            put(w, "/", 1);
        }
        s = stop;
    }
    return true;
}

/* ---- the whole ---- */

/* What must not occur anywhere, not even in the fragment that is thrown away. */
static bool has_forbidden_byte(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= 0x20 || s[i] == 0x7f || s[i] == '\\') return true;
    return false;
}

static size_t scheme_length(const char *s, size_t n, const char *want) {
    const size_t n_want = strlen(want);
    if (n < n_want) return 0;
    for (size_t i = 0; i < n_want; i++)
        if (gi_ascii_lower(s[i]) != want[i]) return 0;
    return n_want;
}

/* "host" or "host:port". */
static glint_status parse_authority(const char *s, size_t n, gi_url *url, glint_error *err) {
    if (memchr(s, '@', n)) return refuse(err, "it has a user name or password");
    const char *bracket = memchr(s, ']', n);
    const char *from = bracket ? bracket : s;
    const char *colon = memchr(from, ':', (size_t)(s + n - from));
    const size_t n_host = colon ? (size_t)(colon - s) : n;
    url->port = url->is_https ? 443 : 80;
    GI_TRY(gi_url_parse_host(s, n_host, &url->host, err));
    return colon ? parse_port(colon + 1, n - n_host - 1, &url->port, err) : GLINT_OK;
}

static void put_origin(writer *w) {
    const gi_url *url = w->url;
    const char *scheme = url->is_https ? "https://" : "http://";
    put(w, scheme, strlen(scheme));
    put(w, url->host.name, strlen(url->host.name));
    if (url->port != (url->is_https ? 443 : 80)) {
        char port[8];
        const int n = snprintf(port, sizeof port, ":%u", (unsigned)url->port);
        put(w, port, (size_t)n);
    }
    w->url->origin_n = w->url->n;
}

glint_status gi_url_parse(const char *s, size_t n, gi_url *ret, glint_error *err) {
    gi_url url = {0};
    if (n > GI_URL_BYTES_MAX) return refuse(err, "longer than 4096 bytes");
    if (has_forbidden_byte(s, n))
        return refuse(err, "it has a space, a control character or a backslash");
    const size_t n_https = scheme_length(s, n, "https://");
    const size_t n_scheme = n_https ? n_https : scheme_length(s, n, "http://");
    if (!n_scheme) return refuse(err, "it does not begin with http:// or https://");
    url.is_https = n_https > 0;
    s += n_scheme;
    n -= n_scheme;

    const char *fragment = memchr(s, '#', n);
    if (fragment) n = (size_t)(fragment - s);
    const char *query = memchr(s, '?', n), *end = s + n;
    const char *path_end = query ? query : end;
    const char *slash = memchr(s, '/', (size_t)(path_end - s));
    const char *path = slash ? slash : path_end;
    GI_TRY(parse_authority(s, (size_t)(path - s), &url, err));

    writer w = {.url = &url};
    put_origin(&w);
    bool ok = put_path(&w, path, (size_t)(path_end - path));
    url.path_n = url.n - url.origin_n;
    if (ok && query) {
        put(&w, "?", 1);
        ok = put_part(&w, query + 1, (size_t)(end - query - 1), true);
    }
    if (!ok) return refuse(err, "a character that must be percent-encoded");
    if (w.full) return refuse(err, "longer than 4096 bytes");
    *ret = url;
    return GLINT_OK;
}

/* Whether the reference begins with a scheme. */
static bool has_scheme(const char *s, size_t n) {
    if (n == 0 || !gi_ascii_is_alpha(s[0])) return false;
    for (size_t i = 1; i < n; i++) {
        if (s[i] == ':') return true;
        if (!gi_ascii_is_alnum(s[i]) && !strchr("+-.", s[i])) return false;
    }
    return false;
}

glint_status gi_url_resolve(const gi_url *base, const char *s, size_t n, gi_url *ret,
                            glint_error *err) {
    char text[GI_URL_BYTES_MAX];
    if (n == 0 || s[0] == '#') return refuse(err, "it stays where it is");
    if (has_scheme(s, n)) return gi_url_parse(s, n, ret, err);
    size_t keep;
    if (n >= 2 && s[0] == '/' && s[1] == '/') {
        keep = base->is_https ? strlen("https:") : strlen("http:");
    } else if (s[0] == '/') {
        keep = base->origin_n;
    } else {
        keep = base->origin_n + base->path_n;
        if (s[0] != '?')
            while (base->text[keep - 1] != '/') keep--;
    }
    if (n > sizeof text - keep) return refuse(err, "longer than 4096 bytes");
    memcpy(text, base->text, keep);
    memcpy(text + keep, s, n);
    return gi_url_parse(text, keep + n, ret, err);
}
