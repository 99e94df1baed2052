/*
 * Answers that come piece by piece. The worker fills a buffer; the library's reader empties it on
 * the network thread and suspends the connection when there is nothing to take, so that a stream
 * that waits for the model costs nothing but its memory.
 *
 * A stream is broken off, never slowed down: whoever writes does not wait for whoever reads. The
 * buffers between (ours, the kernel's) are bounded, and a client that takes nothing for idle_ms is
 * gone by definition, whether its kernel still answers or not.
 */
#include "server/http_mhd.h"

#include "base/clock.h"
#include "server/sse.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* What the library may ask for at once; chunks are cut to its own buffer. */
    BLOCK_BYTES = 8192,
    /* The kernel's share of what waits for a slow client; it takes twice that for its own needs. */
    SOCKET_BYTES = 64 * 1024,
};

bool gi_http_stream_begin(gi_http_request *r, int status, const char *media_type,
                          const char *keep_alive) {
    gi_http *h = r->http;
    gi_http_stream *s = &r->stream;
    gi_buf_init(&s->bytes, GI_HTTP_STREAM_BYTES_MAX);
    /* All at once: writing must not allocate. The pages cost nothing until they are written to. */
    if (gi_buf_reserve(&s->bytes, GI_HTTP_STREAM_BYTES_MAX, NULL) != GLINT_OK) return false;
    gi_http_watch_lock(h->watch);
    gi_assert(!r->is_answered);
    r->is_answered = true;
    r->reply.status = status;
    r->record.route = r->route;
    r->record.status = status;
    s->is_begun = true;
    s->media_type = media_type;
    s->keep_alive = keep_alive;
    gi_http_hold(r, &s->is_held);
    gi_http_watch_unlock(h->watch);
    const gi_http_config *config = &h->config;
    switch (config->ops.on_stream ? config->ops.on_stream(config->ctx, r) : GI_HTTP_BEGINS_NOW) {
    case GI_HTTP_BEGINS_NOW:
        gi_http_stream_release(r, true);
        return true;
    case GI_HTTP_BEGINS_HELD:
        return true;
    case GI_HTTP_BEGINS_REFUSED:
        break;
    }
    gi_http_watch_lock(h->watch);
    r->is_answered = s->is_begun = s->is_held = false;
    gi_buf_done(&s->bytes);
    gi_http_watch_unlock(h->watch);
    atomic_fetch_sub(&h->n_held, 1);
    return false;
}

/* The answer in place of a stream, in memory that is there. Under the lock. */
static void refuse_stream(gi_http_request *r) {
    const gi_api_error_info *info = gi_api_error_get(GI_API_AUDIT_UNAVAILABLE);
    gi_api_error error = {0};
    gi_api_fail(&error, GI_API_AUDIT_UNAVAILABLE, NULL);
    r->stream.is_refused = true;
    r->reply.status = info->status;
    r->reply.retry_after_s = info->retry_after_s;
    gi_buf_clear(&r->stream.bytes);
    gi_api_error_write(&error, r->id, &r->stream.bytes, NULL);
}

void gi_http_stream_release(gi_http_request *r, bool ok) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    gi_assert(r->stream.is_held);
    r->stream.is_held = false;
    if (!ok) refuse_stream(r);
    gi_http_connection *c = r->connection;
    if (c && c->phase == GI_HTTP_HANDLING) {
        gi_http_set_phase(c, ok ? GI_HTTP_STREAMING : GI_HTTP_REPLYING, h->config.idle_ms);
        if (r->is_suspended) MHD_resume_connection(c->mhd);
    }
    const bool is_over = !c && r->stream.is_ended && !r->is_held;
    gi_http_watch_unlock(h->watch);
    if (is_over) gi_http_request_free(r);
    atomic_fetch_sub(&h->n_held, 1);
}

/* Something new is there for the reader. Under the lock. */
static void wake_reader(gi_http_request *r) {
    if (!r->connection || !r->stream.is_waiting) return;
    r->stream.is_waiting = false;
    gi_http_set_phase(r->connection, GI_HTTP_STREAMING, r->http->config.idle_ms);
    MHD_resume_connection(r->connection->mhd);
}

/* Append to what waits; false when it would be too much. Under the lock. */
static bool push(gi_http_stream *s, const char *bytes, size_t n) {
    if (n > GI_HTTP_STREAM_BYTES_MAX - (s->bytes.len - s->n_taken)) return false;
    if (n > GI_HTTP_STREAM_BYTES_MAX - s->bytes.len) {
        memmove(s->bytes.data, s->bytes.data + s->n_taken, s->bytes.len - s->n_taken);
        s->bytes.len -= s->n_taken;
        s->n_taken = 0;
    }
    return gi_buf_push(&s->bytes, bytes, n, NULL) == GLINT_OK;
}

/* False: the client is too slow, and is left to the watch's thread: that may call on_hangup, this
 * one may hold locks. Under the lock. */
static bool send_or_break(gi_http_request *r, const void *bytes, size_t n_bytes) {
    if (push(&r->stream, bytes, n_bytes)) return true;
    shutdown(r->connection->watched.fd, SHUT_RDWR);
    r->connection->watched.deadline_ms = gi_clock_ms();
    return false;
}

bool gi_http_stream_write(gi_http_request *r, const void *bytes, size_t n_bytes) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    const bool ok =
        !r->is_gone && !r->stream.is_refused && r->connection && send_or_break(r, bytes, n_bytes);
    if (ok) wake_reader(r);
    gi_http_watch_unlock(h->watch);
    return ok;
}

void gi_http_stream_end(gi_http_request *r, gi_api_code code, gi_buf *tail) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    gi_assert(r->stream.is_begun && !r->stream.is_ended && !r->is_held);
    r->reply.body = *tail;
    *tail = (gi_buf){.max_bytes = tail->max_bytes};
    gi_http_hold(r, &r->is_held);
    if (r->stream.is_refused) code = GI_API_AUDIT_UNAVAILABLE;
    const bool is_mine = gi_http_request_record(r, code);
    gi_http_watch_unlock(h->watch);
    if (!is_mine || !gi_http_request_tell(r, true)) gi_http_release(r, true);
}

void gi_http_stream_finish(gi_http_request *r, const gi_buf *tail) {
    const bool is_taken = r->connection && !r->is_gone && !r->stream.is_refused;
    if (is_taken && tail->len > 0) send_or_break(r, tail->data, tail->len);
    r->stream.is_ended = true;
    wake_reader(r);
}

glint_status gi_http_write_stream_error(const gi_api_error *error, const char *request_id,
                                        gi_buf *ret, glint_error *err) {
    GI_TRY(gi_sse_open(ret, "error", err));
    GI_TRY(gi_api_error_write(error, request_id, ret, err));
    GI_TRY(gi_sse_close(ret, err));
    return gi_sse_done(ret, err);
}

/* ---- network thread and watch ---- */

static ssize_t take(gi_http_stream *s, char *out, size_t n_max) {
    size_t n = s->bytes.len - s->n_taken;
    if (n > n_max) n = n_max;
    memcpy(out, s->bytes.data + s->n_taken, n);
    s->n_taken += n;
    if (s->n_taken == s->bytes.len) {
        gi_buf_clear(&s->bytes);
        s->n_taken = 0;
    }
    return (ssize_t)n;
}

/* The library has sent what it had, and asks for more. */
static ssize_t read_stream(void *ctx, uint64_t at, char *out, size_t n_max) {
    (void)at;
    gi_http_request *r = ctx;
    gi_http_connection *c = r->connection;
    const gi_http_config *config = &r->http->config;
    gi_http_stream *s = &r->stream;
    ssize_t n = 0;
    gi_http_watch_lock(r->http->watch);
    if (r->is_gone) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (s->bytes.len > s->n_taken) {
        n = take(s, out, n_max);
        atomic_fetch_add(&r->http->body_bytes_out, (size_t)n);
        gi_http_set_phase(c, GI_HTTP_STREAMING, config->idle_ms);
    } else if (s->is_ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
        gi_http_set_phase(c, GI_HTTP_REPLYING, config->idle_ms);
    } else {
        s->is_waiting = true;
        gi_http_set_phase(c, GI_HTTP_STREAMING, s->keep_alive ? config->keep_alive_ms : 0);
        MHD_suspend_connection(c->mhd);
    }
    gi_http_watch_unlock(r->http->watch);
    return n;
}

/* A slow client's bytes wait in our buffer, where they are counted, not in the kernel's; and the
 * kernel gives up on one that acknowledges nothing. Where this fails, the defaults hold. */
static void bound_socket(const gi_http_request *r) {
    const int fd = r->connection->watched.fd;
    const int bytes = SOCKET_BYTES;
    const unsigned ms = (unsigned)r->http->config.idle_ms;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

struct MHD_Response *gi_http_stream_response(gi_http_request *r) {
    bound_socket(r);
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, r, NULL);
}

void gi_http_stream_break(gi_http_request *r) {
    shutdown(r->connection->watched.fd, SHUT_RDWR);
    gi_http_request_gone(r);
    wake_reader(r);
}

void gi_http_stream_due(gi_http_request *r) {
    gi_http_stream *s = &r->stream;
    if (s->is_waiting && s->keep_alive && push(s, s->keep_alive, strlen(s->keep_alive)))
        wake_reader(r);
    else
        gi_http_stream_break(r);
}
