/*
 * A socket that never blocks, and poll with what is left of the deadline. Debian 12's hiredis has
 * no TLS, bounds single reads but not replies, accepts strings of any length and ends the process
 * when memory is short; see docs/adr/0006.
 */
#include "store/redis_conn.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "store/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 * 1024, /* room made for one read when nobody knows how much comes */
    IN_BYTES_KEPT = 256 * 1024,
    LOGIN_BYTES_MAX = 4096,
};

struct gi_redis_conn {
    int fd;
    SSL *ssl; /* NULL without TLS */
    size_t reply_bytes_max;
    gi_buf in;
};

/* ---- TLS settings ---- */

glint_status gi_redis_target_init_tls(gi_redis_target *t, const char *ca_file, glint_error *err) {
    if (!t->url.is_tls) return GLINT_OK;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) return gi_fail(err, GLINT_ERR_MEMORY, "Redis: no memory for TLS");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const int ok = ca_file ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
                           : SSL_CTX_set_default_verify_paths(ctx);
    if (ok != 1) {
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return gi_fail(err, GLINT_ERR_IO, "%s: no certificates could be read",
                       ca_file ? ca_file : "the system's roots");
    }
    t->tls = ctx;
    return GLINT_OK;
}

void gi_redis_target_done(gi_redis_target *t) {
    SSL_CTX_free(t->tls);
    OPENSSL_cleanse(t->url.password, sizeof t->url.password);
    t->tls = NULL;
}

/* ---- waiting ---- */

static glint_status late(glint_error *err) {
    return gi_fail(err, GLINT_ERR_DEADLINE, "no answer in time");
}

static glint_status wait_for(int fd, short events, double until_ms, glint_error *err) {
    for (;;) {
        const double left_ms = until_ms - gi_clock_ms();
        if (left_ms <= 0) return late(err);
        struct pollfd p = {.fd = fd, .events = events};
        const int n = poll(&p, 1, (int)fmin(ceil(left_ms), 60000));
        if (n > 0) return GLINT_OK;
        if (n < 0 && errno != EINTR) return gi_fail(err, GLINT_ERR_IO, "poll: %s", strerror(errno));
    }
}

/* What TLS wants before `result` can be asked for again. */
static glint_status wait_tls(const gi_redis_conn *c, int result, double until_ms,
                             glint_error *err) {
    const int why = SSL_get_error(c->ssl, result);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ) return wait_for(c->fd, POLLIN, until_ms, err);
    if (why == SSL_ERROR_WANT_WRITE) return wait_for(c->fd, POLLOUT, until_ms, err);
    return gi_fail(err, GLINT_ERR_IO, why == SSL_ERROR_ZERO_RETURN ? "closed" : "TLS failed");
}

/* ---- bytes ---- */

static glint_status send_all(gi_redis_conn *c, const uint8_t *data, size_t n, double until_ms,
                             glint_error *err) {
    while (n > 0) {
        size_t done = 0;
        if (c->ssl) {
            const int result = SSL_write_ex(c->ssl, data, n, &done);
            if (result != 1) {
                GI_TRY(wait_tls(c, result, until_ms, err));
                continue;
            }
        } else {
            const ssize_t sent = send(c->fd, data, n, MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0 && errno == EAGAIN) {
                GI_TRY(wait_for(c->fd, POLLOUT, until_ms, err));
                continue;
            }
            if (sent < 0) return gi_fail(err, GLINT_ERR_IO, "send: %s", strerror(errno));
            done = (size_t)sent;
        }
        data += done;
        n -= done;
    }
    return GLINT_OK;
}

/* Read something into the buffer, which must come to n_needed bytes. */
static glint_status receive(gi_redis_conn *c, size_t n_needed, double until_ms, glint_error *err) {
    size_t n_more = n_needed > c->in.len ? n_needed - c->in.len : 1;
    if (n_more < READ_BYTES) n_more = READ_BYTES;
    GI_TRY(gi_buf_reserve(&c->in, n_more, err));
    for (;;) {
        uint8_t *to = c->in.data + c->in.len;
        size_t done = 0;
        if (c->ssl) {
            const int result = SSL_read_ex(c->ssl, to, n_more, &done);
            if (result != 1) {
                GI_TRY(wait_tls(c, result, until_ms, err));
                continue;
            }
        } else {
            const ssize_t n = recv(c->fd, to, n_more, 0);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && errno == EAGAIN) {
                GI_TRY(wait_for(c->fd, POLLIN, until_ms, err));
                continue;
            }
            if (n < 0) return gi_fail(err, GLINT_ERR_IO, "receive: %s", strerror(errno));
            if (n == 0) return gi_fail(err, GLINT_ERR_IO, "closed");
            done = (size_t)n;
        }
        c->in.len += done;
        c->in.data[c->in.len] = '\0';
        /* A stream of bytes that never ends a reply must not outrun the clock. */
        return gi_clock_ms() < until_ms ? GLINT_OK : late(err);
    }
}

/* ---- exchanges ---- */

glint_status gi_redis_conn_exchange(gi_redis_conn *c, const gi_buf *commands, size_t n_replies,
                                    double until_ms, gi_resp_reply *replies, glint_error *err) {
    size_t starts[GI_REDIS_REPLIES_MAX + 1] = {0}, n_needed = 1;
    gi_assert(n_replies >= 1 && n_replies <= GI_REDIS_REPLIES_MAX);
    if (c->in.cap > IN_BYTES_KEPT)
        gi_buf_done(&c->in);
    else
        gi_buf_clear(&c->in);
    GI_TRY(send_all(c, commands->data, commands->len, until_ms, err));
    for (size_t i = 0; i < n_replies;) {
        if (c->in.len < starts[i] + n_needed)
            GI_TRY(receive(c, starts[i] + n_needed, until_ms, err));
        const gi_resp_outcome outcome = gi_resp_read(c->in.data + starts[i], c->in.len - starts[i],
                                                     c->reply_bytes_max, &replies[i], &n_needed);
        if (outcome == GI_RESP_BAD)
            return gi_fail(err, GLINT_ERR_FORMAT, "a reply that is none of Redis' protocol");
        if (outcome == GI_RESP_MORE) continue;
        starts[i + 1] = starts[i] + n_needed;
        n_needed = 1;
        i++;
    }
    if (c->in.len != starts[n_replies])
        return gi_fail(err, GLINT_ERR_FORMAT, "more replies than commands");
    /* The buffer has moved while it grew: now it stays. */
    for (size_t i = 0; i < n_replies; i++)
        gi_resp_read(c->in.data + starts[i], c->in.len - starts[i], c->reply_bytes_max, &replies[i],
                     &n_needed);
    return GLINT_OK;
}

void gi_redis_conn_take(gi_redis_conn *c, gi_buf *ret) {
    const size_t max_bytes = c->in.max_bytes;
    *ret = c->in;
    gi_buf_init(&c->in, max_bytes);
}

bool gi_redis_conn_is_quiet(const gi_redis_conn *c) {
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (c->ssl && SSL_pending(c->ssl) > 0) return false;
    if (poll(&p, 1, 0) <= 0) return true;
    /* TLS 1.3 servers send tickets after the handshake; they are read with the next reply. */
    char byte;
    return c->ssl && (p.revents & (POLLHUP | POLLERR)) == 0 &&
           recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* ---- connecting ---- */

static glint_status connect_to(const struct sockaddr *address, socklen_t n, double until_ms,
                               int *ret, glint_error *err) {
    const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return gi_fail(err, GLINT_ERR_IO, "socket: %s", strerror(errno));
    glint_status st = GLINT_OK;
    int code = connect(fd, address, n) == 0 ? 0 : errno;
    if (code == EINPROGRESS) {
        socklen_t n_code = sizeof code;
        st = wait_for(fd, POLLOUT, until_ms, err);
        if (st == GLINT_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n_code) != 0)
            code = errno;
    }
    if (st == GLINT_OK && code != 0) st = gi_fail(err, GLINT_ERR_IO, "%s", strerror(code));
    if (st != GLINT_OK) {
        close(fd);
        return st;
    }
    *ret = fd;
    return GLINT_OK;
}

static glint_status connect_tcp(const gi_redis_url *url, double until_ms, int *ret,
                                glint_error *err) {
    gi_lookup_address found[GI_LOOKUP_MAX];
    size_t n;
    GI_TRY(gi_lookup(url->host, url->port, until_ms, found, &n, err));
    glint_status st = GLINT_ERR_IO;
    for (size_t i = 0; i < n && st != GLINT_OK && st != GLINT_ERR_DEADLINE; i++)
        st = connect_to(&found[i].at.sa, found[i].n, until_ms, ret, err);
    if (st != GLINT_OK) return st;
    const int one = 1;
    setsockopt(*ret, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return GLINT_OK;
}

static glint_status connect_unix(const gi_redis_url *url, double until_ms, int *ret,
                                 glint_error *err) {
    union {
        struct sockaddr sa;
        struct sockaddr_un un;
    } at = {.un.sun_family = AF_UNIX};
    memcpy(at.un.sun_path, url->path, strlen(url->path) + 1);
    return connect_to(&at.sa, sizeof at.un, until_ms, ret, err);
}

static glint_status shake_hands(gi_redis_conn *c, const gi_redis_target *t, double until_ms,
                                glint_error *err) {
    char host[GI_REDIS_HOST_BYTES]; /* OpenSSL's macro wants it writable */
    memcpy(host, t->url.host, sizeof host);
    c->ssl = SSL_new(t->tls);
    if (!c->ssl) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for TLS");
    X509_VERIFY_PARAM *check = SSL_get0_param(c->ssl);
    const bool is_ip = X509_VERIFY_PARAM_set1_ip_asc(check, host) == 1;
    if ((!is_ip &&
         (SSL_set1_host(c->ssl, host) != 1 || SSL_set_tlsext_host_name(c->ssl, host) != 1)) ||
        SSL_set_fd(c->ssl, c->fd) != 1) {
        ERR_clear_error();
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for TLS");
    }
    ERR_clear_error();
    for (int result; (result = SSL_connect(c->ssl)) != 1;) {
        const long verify = SSL_get_verify_result(c->ssl);
        if (verify != X509_V_OK) {
            ERR_clear_error();
            return gi_fail(err, GLINT_ERR_IO, "its certificate is refused: %s",
                           X509_verify_cert_error_string(verify));
        }
        GI_TRY(wait_tls(c, result, until_ms, err));
    }
    return GLINT_OK;
}

/* AUTH, SELECT and PING in one go. */
static glint_status log_in(gi_redis_conn *c, const gi_redis_url *url, double until_ms,
                           glint_error *err) {
    gi_buf out;
    gi_resp_reply replies[3];
    size_t n = 0;
    char db[16];
    glint_status st = GLINT_OK;
    gi_buf_init(&out, LOGIN_BYTES_MAX);
    snprintf(db, sizeof db, "%u", (unsigned)url->db);
    const gi_resp_arg auth[] = {GI_RESP_TEXT("AUTH"), GI_RESP_TEXT(url->user),
                                GI_RESP_TEXT(url->password)};
    const gi_resp_arg short_auth[] = {auth[0], auth[2]},
                      select[] = {GI_RESP_TEXT("SELECT"), GI_RESP_TEXT(db)};
    const gi_resp_arg ping[] = {GI_RESP_TEXT("PING")};
    if (url->user[0] || url->password[0]) {
        n++;
        GI_TRY_DONE(url->user[0] ? gi_resp_command(&out, auth, 3, err)
                                 : gi_resp_command(&out, short_auth, 2, err));
    }
    if (url->db > 0) {
        n++;
        GI_TRY_DONE(gi_resp_command(&out, select, 2, err));
    }
    n++;
    GI_TRY_DONE(gi_resp_command(&out, ping, 1, err));
    GI_TRY_DONE(gi_redis_conn_exchange(c, &out, n, until_ms, replies, err));
    for (size_t i = 0; i < n && st == GLINT_OK; i++) {
        const gi_resp_reply *r = &replies[i];
        const bool is_pong = r->type == GI_RESP_STATUS && r->n == 4 && !memcmp(r->bytes, "PONG", 4);
        if (i + 1 == n ? is_pong : gi_resp_is_ok(r)) continue;
        st = r->type == GI_RESP_ERROR
                 ? gi_fail(err, GLINT_ERR_FORMAT, "it says: %.*s", (int)(r->n < 80 ? r->n : 80),
                           (const char *)r->bytes)
                 : gi_fail(err, GLINT_ERR_FORMAT, "a reply that makes no sense");
    }
done:
    gi_buf_wipe(&out);
    return st;
}

glint_status gi_redis_conn_open(const gi_redis_target *target, double until_ms, gi_redis_conn **ret,
                                glint_error *err) {
    gi_redis_conn *c = gi_calloc(1, sizeof *c);
    if (!c) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a connection");
    c->fd = -1;
    c->reply_bytes_max = target->reply_bytes_max;
    gi_buf_init(&c->in, GI_REDIS_REPLIES_MAX * (size_t)(GI_RESP_LINE_BYTES_MAX + 2) +
                            target->reply_bytes_max + READ_BYTES);
    const gi_redis_url *url = &target->url;
    glint_status st = url->is_unix ? connect_unix(url, until_ms, &c->fd, err)
                                   : connect_tcp(url, until_ms, &c->fd, err);
    if (st == GLINT_OK && url->is_tls) st = shake_hands(c, target, until_ms, err);
    if (st == GLINT_OK) st = log_in(c, url, until_ms, err);
    if (st != GLINT_OK) {
        gi_redis_conn_close(c);
        return st;
    }
    *ret = c;
    return GLINT_OK;
}

void gi_redis_conn_close(gi_redis_conn *c) {
    if (!c) return;
    SSL_free(c->ssl);
    if (c->fd >= 0) close(c->fd);
    gi_buf_done(&c->in);
    gi_free(c);
}
