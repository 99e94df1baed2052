/*
 * Strict: what is not understood is refused, so that a mistake in a password does not become a host
 * name that is looked up in public.
 */
#include "store/redis_url.h"

#include "base/ascii.h"
#include "base/parse.h"

#include <stdio.h>
#include <string.h>

enum { PORT_DEFAULT = 6379, DB_MAX = 65535, NUMBER_BYTES = 8 };

static glint_status bad(glint_error *err, const char *what) {
    return gi_fail(err, GLINT_ERR_ARG,
                   "Redis: %s; expected redis://HOST:PORT, rediss://HOST:PORT "
                   "or unix:///PATH",
                   what);
}

/* from[n] with %XX decoded; false when it does not fit or holds a zero. */
static bool decode(const char *from, size_t n, char *out, size_t out_bytes) {
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)from[i];
        if (c == '%') {
            const int high = n - i >= 3 ? gi_ascii_hex_value(from[i + 1]) : -1;
            const int low = n - i >= 3 ? gi_ascii_hex_value(from[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || len + 1 >= out_bytes) return false;
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return true;
}

static bool copy(const char *from, size_t n, char *out, size_t out_bytes) {
    if (n + 1 > out_bytes) return false;
    memcpy(out, from, n);
    out[n] = '\0';
    return true;
}

static bool read_number(const char *from, size_t n, uint64_t max, uint64_t *ret) {
    char text[NUMBER_BYTES];
    uint64_t value;
    if (n == 0 || !copy(from, n, text, sizeof text) || !gi_parse_u64(text, &value) || value > max)
        return false;
    *ret = value;
    return true;
}

static glint_status parse_unix(const char *at, gi_redis_url *u, glint_error *err) {
    const size_t n_path = strcspn(at, "?");
    uint64_t db = 0;
    u->is_unix = true;
    if (at[0] != '/' || !copy(at, n_path, u->path, sizeof u->path))
        return bad(err, "the socket's path must begin with / and have less than 108 bytes");
    if (at[n_path] != '\0') {
        if (strncmp(at + n_path, "?db=", 4) != 0 ||
            !read_number(at + n_path + 4, strlen(at + n_path + 4), DB_MAX, &db))
            return bad(err, "behind the socket's path there may be ?db=NUMBER");
    }
    u->db = (uint32_t)db;
    return GLINT_OK;
}

/* HOST[:PORT], all of from[n]. */
static bool parse_host(const char *from, size_t n, gi_redis_url *u) {
    size_t n_host = 0;
    uint64_t port = PORT_DEFAULT;
    const bool has_brackets = n > 0 && from[0] == '[';
    if (has_brackets) {
        const char *close = memchr(from, ']', n);
        if (!close) return false;
        n_host = (size_t)(close - from) - 1;
        if (strspn(from + 1, "0123456789abcdefABCDEF:.") < n_host) return false;
        if (!copy(from + 1, n_host, u->host, sizeof u->host)) return false;
        n_host += 2;
    } else {
        while (n_host < n && from[n_host] != ':') n_host++;
        if (!copy(from, n_host, u->host, sizeof u->host)) return false;
        if (strspn(u->host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") <
            n_host)
            return false;
    }
    if (u->host[0] == '\0') return false;
    if (n_host < n &&
        (from[n_host] != ':' || !read_number(from + n_host + 1, n - n_host - 1, 65535, &port)))
        return false;
    u->port = (uint16_t)port;
    return port > 0;
}

static glint_status parse_tcp(const char *at, gi_redis_url *u, glint_error *err) {
    const size_t n_authority = strcspn(at, "/");
    size_t n_login = n_authority;
    uint64_t db = 0;
    while (n_login > 0 && at[n_login - 1] != '@') n_login--;
    if (n_login > 0) {
        const char *colon = memchr(at, ':', n_login - 1);
        const size_t n_user = colon ? (size_t)(colon - at) : n_login - 1;
        if (!decode(at, n_user, u->user, sizeof u->user))
            return bad(err, "the user's name cannot be read");
        if (colon && !decode(colon + 1, n_login - n_user - 2, u->password, sizeof u->password))
            return bad(err, "the password cannot be read");
    }
    if (!parse_host(at + n_login, n_authority - n_login, u))
        return bad(err, "the host or port cannot be read");
    const char *path = at + n_authority;
    if (path[0] == '/' && path[1] != '\0' && !read_number(path + 1, strlen(path + 1), DB_MAX, &db))
        return bad(err, "behind the host there may be /NUMBER, the database");
    u->db = (uint32_t)db;
    return GLINT_OK;
}

glint_status gi_redis_url_parse(const char *text, gi_redis_url *ret, glint_error *err) {
    gi_redis_url u = {0};
    glint_status st;
    if (strncmp(text, "unix://", 7) == 0) {
        st = parse_unix(text + 7, &u, err);
    } else if (strncmp(text, "redis://", 8) == 0) {
        st = parse_tcp(text + 8, &u, err);
    } else if (strncmp(text, "rediss://", 9) == 0) {
        u.is_tls = true;
        st = parse_tcp(text + 9, &u, err);
    } else {
        st = bad(err, "an unknown kind of address");
    }
    if (st == GLINT_OK) *ret = u;
    return st;
}

void gi_redis_url_format(const gi_redis_url *url, char *out, size_t out_bytes) {
    if (url->is_unix)
        snprintf(out, out_bytes, "unix://%s", url->path);
    else
        snprintf(out, out_bytes, strchr(url->host, ':') ? "redis%s://[%s]:%u" : "redis%s://%s:%u",
                 url->is_tls ? "s" : "", url->host, (unsigned)url->port);
}
