/*
 * GNU libmicrohttpd behind http.h. One thread of the library polls all sockets; a request whose
 * answer takes longer is suspended, so that it costs nothing but its memory, and resumed when the
 * answer, or the next piece of it, comes.
 *
 * The library reports neither slow clients nor those that leave while suspended: http_watch does.
 */
#include "server/http_mhd.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/http_framing.h"
#include "server/http_raw.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* Headers and one read's worth of body; the library keeps both in this. */
    CONNECTION_BYTES = GI_HTTP_HEADER_BYTES_MAX + 16384,
    LISTEN_BACKLOG = 256,
    /* At 1 the library would refuse a missing Host and spaces in the target by itself, and send the
     * head of that answer twice (0.9.75). http_framing refuses both. */
    STRICTNESS = 0,
    CLOSE_POLL_MS = 5,
};

/* ---- requests ---- */

static enum MHD_Result check_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    size_t n_name, const char *value, size_t n_value) {
    (void)kind;
    gi_http_framing_header(ctx, name, n_name, value ? value : "", n_value);
    return MHD_YES;
}

/* First call: the headers are complete. */
static enum MHD_Result on_head(gi_http_request *r, const char *target, const char *method,
                               const char *version) {
    gi_http *h = r->http;
    gi_http_framing f = {0};
    MHD_get_connection_values_n(r->connection->mhd, MHD_HEADER_KIND, check_header, &f);
    gi_http_framing_end(&f, method, target, version);
    /* The library takes chunk lines that end in a bare LF, and what a proxy may read otherwise in
     * chunk extensions: what then looks like a next request is never read. */
    r->is_last = f.is_chunked;
    if (f.fault != GI_API_OK) {
        /* Where this request ends is not certain, so neither is where the next one begins. */
        r->is_last = true;
        gi_http_refuse(r, f.fault);
        const bool has_body = f.n_content_length > 0 || f.n_transfer_encoding > 0;
        return has_body ? gi_http_reply_queue(r) : MHD_YES;
    }
    h->config.ops.on_headers(h->config.ctx, r);
    if (f.content_length > 0 && (r->is_answered || f.content_length > r->body_bytes_max)) {
        if (!r->is_answered)
            gi_http_refuse(r, r->body_bytes_max ? GI_API_BODY_TOO_LARGE : GI_API_BODY_NOT_ALLOWED);
        /* A client that asked first has sent nothing yet, and one that announces more than any
         * route takes is not listened to; else the body is read and dropped. */
        r->is_last |= f.expects_continue;
        if (f.expects_continue) return gi_http_reply_queue(r);
        if (f.content_length > h->config.body_bytes_max)
            gi_http_reply_raw(r, GI_API_BODY_TOO_LARGE);
    }
    return MHD_YES;
}

/* Part of the body. */
static enum MHD_Result on_body(gi_http_request *r, const char *data, size_t *n) {
    gi_http *h = r->http;
    const size_t n_bytes = *n;
    *n = 0;
    gi_http_watch_lock(h->watch);
    const bool is_dropped = r->is_answered || r->is_raw;
    if (!is_dropped) r->record.body_bytes += n_bytes;
    gi_http_watch_unlock(h->watch);
    if (is_dropped) return MHD_YES;
    if (n_bytes > r->body_bytes_max - r->body.len) {
        gi_http_reply_raw(r, r->body_bytes_max ? GI_API_BODY_TOO_LARGE : GI_API_BODY_NOT_ALLOWED);
        return MHD_YES;
    }
    const size_t total = atomic_fetch_add(&h->body_bytes, n_bytes) + n_bytes;
    atomic_fetch_add(&h->body_bytes_in, n_bytes);
    r->body_counted += n_bytes;
    if (total > h->config.body_bytes_total_max ||
        gi_buf_push(&r->body, data, n_bytes, NULL) != GLINT_OK)
        gi_http_reply_raw(r, GI_API_OVERLOADED);
    return MHD_YES;
}

/* The request is whole, or its answer has come. */
static enum MHD_Result on_whole(gi_http_request *r) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    const bool is_new = !r->is_answered && !r->is_raw && !r->is_suspended;
    if (is_new) gi_http_set_phase(r->connection, GI_HTTP_HANDLING, 0);
    gi_http_watch_unlock(h->watch);
    if (is_new) {
        r->received_ms = gi_clock_ms();
        h->config.ops.on_request(h->config.ctx, r);
    }
    gi_http_watch_lock(h->watch);
    const bool is_over = r->is_raw || r->is_gone;
    const bool is_held = r->is_held && !r->stream.is_begun;
    const bool must_wait = !is_over && (!r->is_answered || is_held || r->stream.is_held);
    if (must_wait && !r->is_suspended) {
        r->is_suspended = true;
        MHD_suspend_connection(r->connection->mhd);
        if (is_held)
            gi_http_set_phase(r->connection, GI_HTTP_SETTLING, 0);
        else if (r->connection->is_half_closed)
            gi_http_request_gone(r);
    }
    gi_http_watch_unlock(h->watch);
    if (must_wait) return MHD_YES;
    return is_over ? MHD_NO : gi_http_reply_queue(r);
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *mhd, const char *target,
                                 const char *method, const char *version, const char *data,
                                 size_t *n, void **request) {
    if (*request) return *n > 0 ? on_body(*request, data, n) : on_whole(*request);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    gi_http_connection *c = info ? info->socket_context : NULL;
    gi_http_request *r = c ? gi_http_request_begin(ctx, c, target, method) : NULL;
    if (!r) return MHD_NO;
    *request = r;
    return on_head(r, target, method, version);
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode why) {
    (void)ctx;
    (void)mhd;
    (void)why;
    if (*request) gi_http_request_end(*request);
    *request = NULL;
}

/* ---- connections ---- */

static enum MHD_Result on_accept(void *ctx, const struct sockaddr *address, socklen_t n) {
    (void)n;
    gi_http *h = ctx;
    if (gi_http_peers_may(h->peers, gi_http_peer_key_of(address))) return MHD_YES;
    atomic_fetch_add(&h->n_connections_refused, 1);
    return MHD_NO;
}

static gi_http_connection *connection_of(gi_http_watched *watched) {
    return (gi_http_connection *)(void *)((char *)watched - offsetof(gi_http_connection, watched));
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode what) {
    gi_http *h = ctx;
    gi_http_connection *c = *socket_context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (!c) return;
        gi_http_watch_lock(h->watch);
        gi_http_watch_remove(h->watch, &c->watched);
        gi_http_watch_unlock(h->watch);
        gi_http_peers_remove(h->peers, c->peer);
        gi_free(c);
        *socket_context = NULL;
        atomic_fetch_sub(&h->n_connections, 1);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *client =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    c = gi_calloc(1, sizeof *c);
    if (!c || !info || !client) {
        gi_free(c);
        return; /* its requests are closed unanswered: see on_access */
    }
    c->mhd = mhd;
    c->watched.fd = info->connect_fd;
    c->peer = gi_http_peer_key_of(client->client_addr);
    gi_http_peers_add(h->peers, c->peer);
    gi_http_watch_lock(h->watch);
    gi_http_set_phase(c, GI_HTTP_FIRST, h->config.header_ms);
    gi_http_watch_add(h->watch, &c->watched);
    atomic_fetch_add(&h->n_connections, 1);
    atomic_fetch_add(&h->n_connections_taken, 1);
    gi_http_watch_unlock(h->watch);
    *socket_context = c;
}

/* A deadline passed; under the watch's lock. */
static void on_due(void *ctx, gi_http_watched *watched) {
    gi_http *h = ctx;
    gi_http_connection *c = connection_of(watched);
    char made[GI_HTTP_ID_BYTES];
    gi_api_error error = {0};
    switch (c->phase) {
    case GI_HTTP_FIRST:
    case GI_HTTP_BODY:
        gi_http_make_id(h, made);
        /* Who was refused already learns why, rather than that the rest came too late. */
        gi_api_fail(&error,
                    c->request && c->request->reply.code ? c->request->reply.code
                                                         : GI_API_REQUEST_TIMEOUT,
                    NULL);
        gi_http_raw_answer(watched->fd, &error, c->request ? c->request->id : made);
        if (c->request) {
            c->request->is_raw = true;
            c->request->reply.status = gi_api_error_get(error.code)->status;
            if (gi_http_request_record(c->request, error.code))
                gi_http_request_tell(c->request, false);
        }
        gi_http_set_phase(c, GI_HTTP_LINGER, GI_HTTP_LINGER_MS);
        break;
    case GI_HTTP_HANDLING:
    case GI_HTTP_SETTLING:
        break;
    case GI_HTTP_STREAMING:
        gi_http_stream_due(c->request);
        break;
    case GI_HTTP_IDLE:
    case GI_HTTP_REPLYING:
    case GI_HTTP_LINGER:
        /* The library sees the end of the stream and closes. */
        shutdown(watched->fd, SHUT_RDWR);
        break;
    }
}

/* The client closed its half; under the watch's lock. */
static void on_hangup(void *ctx, gi_http_watched *watched) {
    (void)ctx;
    gi_http_connection *c = connection_of(watched);
    c->is_half_closed = true;
    const double soon_ms = gi_clock_ms() + GI_HTTP_HALF_CLOSED_MS;
    switch (c->phase) {
    case GI_HTTP_FIRST:
    case GI_HTTP_IDLE:
    case GI_HTTP_BODY:
        if (watched->deadline_ms > soon_ms) watched->deadline_ms = soon_ms;
        break;
    case GI_HTTP_HANDLING:
        if (c->request->is_suspended) gi_http_request_gone(c->request);
        break;
    case GI_HTTP_STREAMING:
        gi_http_stream_break(c->request);
        break;
    case GI_HTTP_SETTLING:
    case GI_HTTP_REPLYING:
    case GI_HTTP_LINGER:
        break;
    }
}

/* ---- start and end ---- */

__attribute__((format(printf, 2, 0))) static void log_line(void *ctx, const char *fmt,
                                                           va_list args) {
    (void)ctx;
    char line[512];
    vsnprintf(line, sizeof line, fmt, args);
    gi_log(GI_LOG_DEBUG, "http", "%s", line);
}

/* Targets stay as they were sent: a path has one spelling. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *mhd, char *s) {
    (void)ctx;
    (void)mhd;
    return strlen(s);
}

/* What is there besides the library. */
static void free_http(gi_http *h) {
    gi_http_watch_free(h->watch);
    gi_http_peers_free(h->peers);
    gi_free(h);
}

glint_status gi_http_open(const gi_http_config *config, gi_http **ret, glint_error *err) {
    gi_http *h = gi_calloc(1, sizeof *h);
    if (!h) return gi_fail(err, GLINT_ERR_MEMORY, "http: no memory");
    h->config = *config;
    if (getrandom(&h->boot_id, sizeof h->boot_id, 0) != sizeof h->boot_id)
        h->boot_id = gi_clock_ns() ^ (uint64_t)getpid() << 32;
    const gi_http_watch_ops ops = {.on_due = on_due, .on_hangup = on_hangup};
    glint_status st =
        gi_http_peers_create((size_t)config->connections_max,
                             (size_t)config->connections_per_address_max, &h->peers, err);
    if (st == GLINT_OK) st = gi_http_watch_create(ops, h, &h->watch, err);
    if (st != GLINT_OK) {
        free_http(h);
        return st;
    }
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, on_accept,
        h, on_access, h, MHD_OPTION_EXTERNAL_LOGGER, log_line, h, MHD_OPTION_LISTEN_SOCKET,
        config->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
        h, MHD_OPTION_STRICT_FOR_CLIENT, STRICTNESS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)config->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)LISTEN_BACKLOG,
        MHD_OPTION_END);
    if (!h->daemon) {
        free_http(h);
        return gi_fail(err, GLINT_ERR_IO, "http: the HTTP library cannot start");
    }
    *ret = h;
    return GLINT_OK;
}

gi_http_stats gi_http_get_stats(const gi_http *h) {
    return (gi_http_stats){.n_connections_taken = atomic_load(&h->n_connections_taken),
                           .n_connections_refused = atomic_load(&h->n_connections_refused),
                           .body_bytes_in = atomic_load(&h->body_bytes_in),
                           .body_bytes_out = atomic_load(&h->body_bytes_out),
                           .n_connections = atomic_load(&h->n_connections),
                           .n_requests = atomic_load(&h->n_requests),
                           .body_bytes_held = atomic_load(&h->body_bytes)};
}

void gi_http_begin_drain(gi_http *h) {
    atomic_store(&h->draining, true);
}

void gi_http_close(gi_http *h, double grace_ms) {
    if (!h) return;
    gi_http_begin_drain(h);
    const int fd = MHD_quiesce_daemon(h->daemon);
    while (atomic_load(&h->n_held) > 0) usleep(CLOSE_POLL_MS * 1000);
    const double until_ms = gi_clock_ms() + grace_ms;
    while (atomic_load(&h->n_requests) > 0 && gi_clock_ms() < until_ms)
        usleep(CLOSE_POLL_MS * 1000);
    gi_http_watch_lock(h->watch);
    h->is_closing = true;
    gi_http_watch_unlock(h->watch);
    /* The library would abort over a suspended request. */
    while (atomic_load(&h->n_held) > 0) usleep(CLOSE_POLL_MS * 1000);
    MHD_stop_daemon(h->daemon);
    if (fd >= 0) close(fd);
    free_http(h);
}
