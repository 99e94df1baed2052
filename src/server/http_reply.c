/*
 * Answers that are sent whole: kept until the network thread asks for them, then the library's.
 * It answers in the middle of a body only by itself: http_raw does it for us, and what the client
 * still sends is then read and dropped until it ends or GI_HTTP_LINGER_MS pass.
 */
#include "server/http_mhd.h"

#include "base/alloc.h"
#include "server/http_raw.h"

#include <inttypes.h>
#include <stdio.h>

enum { ERROR_BYTES_MAX = 2048 };

void gi_http_respond(gi_http_request *r, gi_http_reply *reply) {
    gi_http *h = r->http;
    const gi_api_code code = reply->code;
    gi_http_watch_lock(h->watch);
    gi_assert(!r->is_answered);
    r->reply = *reply;
    *reply = (gi_http_reply){0};
    r->is_answered = true;
    gi_http_hold(r, &r->is_held);
    const bool is_mine = gi_http_request_record(r, code);
    if (r->connection->phase == GI_HTTP_HANDLING)
        gi_http_set_phase(r->connection, GI_HTTP_SETTLING, 0);
    gi_http_watch_unlock(h->watch);
    if (is_mine && gi_http_request_tell(r, true)) return;
    gi_http_release(r, true);
}

/* What is sent when the answer may not be. Without memory for it the status speaks, or a stream's
 * missing end. */
static void replace_answer(gi_http_request *r, gi_buf *body) {
    gi_api_error error = {0};
    gi_api_fail(&error, GI_API_AUDIT_UNAVAILABLE, NULL);
    gi_buf_init(body, ERROR_BYTES_MAX);
    const glint_status st = r->stream.is_begun
                                ? gi_http_write_stream_error(&error, r->id, body, NULL)
                                : gi_api_error_write(&error, r->id, body, NULL);
    if (st != GLINT_OK) gi_buf_done(body);
}

void gi_http_release(gi_http_request *r, bool ok) {
    gi_http *h = r->http;
    gi_buf body = {0};
    if (!ok) replace_answer(r, &body);
    gi_http_watch_lock(h->watch);
    gi_assert(r->is_held);
    r->is_held = false;
    if (!ok && !r->is_queued) {
        const gi_api_error_info *info = gi_api_error_get(GI_API_AUDIT_UNAVAILABLE);
        const gi_buf old = r->reply.body;
        if (!r->stream.is_begun)
            r->reply =
                (gi_http_reply){.status = info->status, .retry_after_s = info->retry_after_s};
        r->reply.body = body;
        body = old;
    }
    if (r->stream.is_begun) gi_http_stream_finish(r, &r->reply.body);
    gi_http_connection *c = r->connection;
    if (c && c->phase == GI_HTTP_SETTLING) {
        gi_http_set_phase(c, GI_HTTP_REPLYING, h->config.idle_ms);
        if (r->is_suspended) MHD_resume_connection(c->mhd);
    }
    const bool is_over = !c && !r->stream.is_held;
    gi_http_watch_unlock(h->watch);
    gi_buf_done(&body);
    if (is_over) gi_http_request_free(r);
    atomic_fetch_sub(&h->n_held, 1);
}

void gi_http_respond_error(gi_http_request *r, const gi_api_error *error, const char *allow) {
    const gi_api_error_info *info = gi_api_error_get(error->code);
    gi_http_reply reply = {
        .status = info->status,
        .allow = allow,
        .retry_after_s = error->retry_after_s ? error->retry_after_s : info->retry_after_s,
        .code = error->code,
    };
    gi_buf_init(&reply.body, ERROR_BYTES_MAX);
    /* Without memory even for this the body is empty and the status speaks. */
    if (gi_api_error_write(error, r->id, &reply.body, NULL) != GLINT_OK) gi_buf_done(&reply.body);
    gi_http_respond(r, &reply);
}

void gi_http_refuse(gi_http_request *r, gi_api_code code) {
    gi_api_error error = {0};
    gi_api_fail(&error, code, NULL);
    gi_http_respond_error(r, &error, NULL);
}

static void add_header(struct MHD_Response *response, const char *name, const char *value) {
    /* A header that cannot be added for want of memory is left out. */
    MHD_add_response_header(response, name, value);
}

static void free_body(void *data) {
    gi_free(data);
}

static void add_number(struct MHD_Response *response, const char *name, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    add_header(response, name, digits);
}

static void add_access_headers(struct MHD_Response *response, const gi_http_request *r) {
    if (r->reply.status == MHD_HTTP_UNAUTHORIZED)
        add_header(response, "WWW-Authenticate", "Bearer");
    if (r->rate_limit == 0) return;
    add_number(response, "X-RateLimit-Limit", r->rate_limit);
    add_number(response, "X-RateLimit-Remaining", r->rate_remaining);
    add_number(response, "X-RateLimit-Reset", r->rate_reset_s);
}

/* From here on the library writes to the socket; false when somebody already did. */
static bool begin_reply(gi_http_request *r, bool *ret_is_stream) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    const bool ok = !r->is_raw;
    *ret_is_stream = r->stream.is_begun && !r->stream.is_refused;
    r->is_queued = ok && !r->stream.is_begun;
    if (ok)
        gi_http_set_phase(r->connection, *ret_is_stream ? GI_HTTP_STREAMING : GI_HTTP_REPLYING,
                          h->config.idle_ms);
    gi_http_watch_unlock(h->watch);
    return ok;
}

static struct MHD_Response *whole_response(gi_http_request *r) {
    size_t n = 0;
    void *data = gi_buf_take(r->stream.is_refused ? &r->stream.bytes : &r->reply.body, &n);
    atomic_fetch_add(&r->http->body_bytes_out, n);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(n, data, free_body);
    if (!response) gi_free(data);
    return response;
}

enum MHD_Result gi_http_reply_queue(gi_http_request *r) {
    bool is_stream;
    if (!begin_reply(r, &is_stream)) return MHD_NO;
    struct MHD_Response *response = is_stream ? gi_http_stream_response(r) : whole_response(r);
    if (!response) return MHD_NO;
    const char *whole_type = r->reply.media_type ? r->reply.media_type : "application/json";
    char trace[GI_TRACE_HEADER_BYTES];
    gi_trace_write(&r->record.trace, trace);
    add_header(response, "Content-Type", is_stream ? r->stream.media_type : whole_type);
    add_header(response, "X-Request-Id", r->id);
    add_header(response, "traceresponse", trace);
    add_header(response, "Cache-Control", r->reply.caching ? r->reply.caching : "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
    /* Proxies that gather an answer before they send it on (nginx) do not gather this one. */
    if (is_stream) add_header(response, "X-Accel-Buffering", "no");
    if (r->reply.allow) add_header(response, "Allow", r->reply.allow);
    for (const gi_http_header_line *line = r->reply.headers; line && line->name; line++)
        add_header(response, line->name, line->value);
    add_access_headers(response, r);
    if (r->reply.retry_after_s > 0) add_number(response, "Retry-After", r->reply.retry_after_s);
    if (r->is_last || atomic_load(&r->http->draining)) add_header(response, "Connection", "close");
    const enum MHD_Result result =
        MHD_queue_response(r->connection->mhd, (unsigned)r->reply.status, response);
    MHD_destroy_response(response);
    return result;
}

void gi_http_reply_raw(gi_http_request *r, gi_api_code code) {
    gi_http *h = r->http;
    gi_api_error error = {0};
    gi_api_fail(&error, code, NULL);
    gi_http_drop_body(r);
    gi_http_watch_lock(h->watch);
    if (!r->is_raw) {
        r->is_raw = true;
        r->reply.status = gi_api_error_get(code)->status;
        gi_http_set_phase(r->connection, GI_HTTP_LINGER, GI_HTTP_LINGER_MS);
        gi_http_raw_answer(r->connection->watched.fd, &error, r->id);
        if (gi_http_request_record(r, code)) gi_http_request_tell(r, false);
    }
    gi_http_watch_unlock(h->watch);
}
