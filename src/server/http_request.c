/*
 * One request: what its worker may ask about it, how it begins, and how it ends once both the
 * library and the worker have let go.
 */
#include "server/http_mhd.h"

#include "base/alloc.h"
#include "base/ascii.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void gi_http_set_phase(gi_http_connection *c, gi_http_phase to, double ms) {
    c->phase = to;
    const bool waits_for_client = to == GI_HTTP_FIRST || to == GI_HTTP_IDLE || to == GI_HTTP_BODY;
    if (waits_for_client && c->is_half_closed && ms > GI_HTTP_HALF_CLOSED_MS)
        ms = GI_HTTP_HALF_CLOSED_MS;
    c->watched.deadline_ms = ms > 0 ? gi_clock_ms() + ms : 0;
}

/* ---- accessors ---- */

const char *gi_http_method(const gi_http_request *r) {
    return r->method;
}

const char *gi_http_path(const gi_http_request *r) {
    return r->path;
}

const char *gi_http_request_id(const gi_http_request *r) {
    return r->id;
}

double gi_http_received_ms(const gi_http_request *r) {
    return r->received_ms;
}

gi_buf *gi_http_body(gi_http_request *r) {
    return &r->body;
}

gi_record *gi_http_record(gi_http_request *r) {
    return &r->record;
}

void gi_http_set_user(gi_http_request *r, void *user) {
    r->user = user;
}

void *gi_http_get_user(const gi_http_request *r) {
    return r->user;
}

void gi_http_set_route(gi_http_request *r, const char *route) {
    r->route = route;
}

void gi_http_allow_body(gi_http_request *r, size_t n_bytes) {
    const size_t max = r->http->config.body_bytes_max;
    r->body_bytes_max = n_bytes < max ? n_bytes : max;
}

/* The values of one header. */
typedef struct lookup {
    const char *name, *value;
    int n;
} lookup;

static enum MHD_Result look(void *ctx, enum MHD_ValueKind kind, const char *name,
                            const char *value) {
    (void)kind;
    lookup *l = ctx;
    if (strcasecmp(name, l->name) == 0) {
        l->value = value;
        l->n++;
    }
    return MHD_YES;
}

const char *gi_http_header(const gi_http_request *r, const char *name) {
    lookup l = {.name = name};
    MHD_get_connection_values(r->connection->mhd, MHD_HEADER_KIND, look, &l);
    return l.n == 1 ? l.value : NULL;
}

size_t gi_http_header_count(const gi_http_request *r, const char *name) {
    lookup l = {.name = name};
    MHD_get_connection_values(r->connection->mhd, MHD_HEADER_KIND, look, &l);
    return (size_t)l.n;
}

/* The values of one header, one behind the other. */
typedef struct joining {
    const char *name;
    char *out;
    size_t n, len;
    bool is_full;
} joining;

static enum MHD_Result join(void *ctx, enum MHD_ValueKind kind, const char *name,
                            const char *value) {
    (void)kind;
    joining *j = ctx;
    if (strcasecmp(name, j->name) != 0 || j->is_full) return MHD_YES;
    const int len = snprintf(j->out + j->len, j->n - j->len, "%s%s", j->len > 0 ? ", " : "", value);
    j->is_full = len < 0 || (size_t)len >= j->n - j->len;
    if (!j->is_full) j->len += (size_t)len;
    return MHD_YES;
}

bool gi_http_header_list(const gi_http_request *r, const char *name, char *out, size_t n) {
    joining j = {.name = name, .out = out, .n = n};
    MHD_get_connection_values(r->connection->mhd, MHD_HEADER_KIND, join, &j);
    return j.len > 0 && !j.is_full;
}

void gi_http_peer(const gi_http_request *r, char out[GI_HTTP_PEER_BYTES]) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const socklen_t n = info && info->client_addr->sa_family == AF_INET6
                            ? sizeof(struct sockaddr_in6)
                            : sizeof(struct sockaddr_in);
    if (!info ||
        getnameinfo(info->client_addr, n, out, GI_HTTP_PEER_BYTES, NULL, 0, NI_NUMERICHOST) != 0)
        memcpy(out, "?", sizeof "?");
}

void gi_http_set_principal(gi_http_request *r, const gi_principal *p) {
    r->principal = *p;
}

const gi_principal *gi_http_principal(const gi_http_request *r) {
    return &r->principal;
}

void gi_http_set_rate(gi_http_request *r, int64_t limit, int64_t remaining, int64_t reset_s) {
    r->rate_limit = limit;
    r->rate_remaining = remaining;
    r->rate_reset_s = reset_s;
}

void gi_http_drop_body(gi_http_request *r) {
    gi_buf_done(&r->body);
    atomic_fetch_sub(&r->http->body_bytes, r->body_counted);
    r->body_counted = 0;
}

/* ---- life ---- */

static bool is_id_char(char c) {
    return gi_ascii_is_alnum(c) || c == '-' || c == '_' || c == '.';
}

void gi_http_make_id(gi_http *h, char out[GI_HTTP_ID_BYTES]) {
    snprintf(out, GI_HTTP_ID_BYTES, "%016" PRIx64 "%08" PRIx64, h->boot_id,
             atomic_fetch_add(&h->n_ids, 1));
}

static void set_id(gi_http_request *r) {
    const char *given = gi_http_header(r, "X-Request-Id");
    const size_t n = given ? strlen(given) : 0;
    bool ok = n >= 1 && n <= GI_HTTP_ID_BYTES_MAX;
    for (size_t i = 0; ok && i < n; i++) ok = is_id_char(given[i]);
    if (ok)
        memcpy(r->id, given, n + 1);
    else
        gi_http_make_id(r->http, r->id);
}

/* A method's name as constant text, for what outlives the request. */
static const char *known_method(const char *method) {
    static const char *const KNOWN[] = {"GET",   "HEAD",    "POST",    "PUT",  "DELETE",
                                        "PATCH", "OPTIONS", "CONNECT", "TRACE"};
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        if (strcmp(KNOWN[i], method) == 0) return KNOWN[i];
    return "other";
}

/* The path of an absolute-form target ("http://host/path") is what follows the authority. */
static const char *path_of(const char *target) {
    const char *authority = strstr(target, "://");
    if (target[0] == '/' || !authority) return target;
    const char *slash = strchr(authority + 3, '/');
    return slash ? slash : "/";
}

gi_http_request *gi_http_request_begin(gi_http *h, gi_http_connection *c, const char *target,
                                       const char *method) {
    gi_http_request *r = gi_calloc(1, sizeof *r);
    if (!r) return NULL;
    /* Whoever was told that the headers came too late gets nothing done by sending them still. */
    gi_http_watch_lock(h->watch);
    const bool is_late = c->phase == GI_HTTP_LINGER;
    gi_http_watch_unlock(h->watch);
    if (is_late) {
        gi_free(r);
        return NULL;
    }
    *r = (gi_http_request){.http = h,
                           .connection = c,
                           .route = "-",
                           .begun_ms = gi_clock_ms(),
                           .is_head = strcmp(method, "HEAD") == 0,
                           .path = path_of(target)};
    r->method = r->is_head ? "GET" : method;
    r->record.method = known_method(method);
    gi_trace_begin(gi_http_header(r, "traceparent"), &r->record.trace);
    gi_buf_init(&r->body, h->config.body_bytes_max);
    set_id(r);
    atomic_fetch_add(&h->n_requests, 1);
    gi_http_watch_lock(h->watch);
    c->request = r;
    gi_http_set_phase(c, GI_HTTP_BODY, h->config.body_ms);
    gi_http_watch_unlock(h->watch);
    return r;
}

void gi_http_request_gone(gi_http_request *r) {
    gi_http *h = r->http;
    const bool is_known = r->is_gone || r->stream.is_ended || r->is_held;
    r->is_gone = true;
    if (!is_known) h->config.ops.on_hangup(h->config.ctx, r);
}

/* True when nobody got the answer. A stream that was refused has sent one, whatever follows. */
static bool is_lost(const gi_http_request *r) {
    return r->is_gone && !r->stream.is_refused;
}

bool gi_http_request_record(gi_http_request *r, gi_api_code code) {
    if (r->is_recorded) return false;
    gi_record *record = &r->record;
    r->is_recorded = true;
    record->route = r->route;
    record->code = is_lost(r) ? GI_API_OK : code; /* what ended it is nobody's answer then */
    record->status = is_lost(r) ? GI_RECORD_CLIENT_GONE
                                : (code ? gi_api_error_get(code)->status : r->reply.status);
    record->total_ms = gi_clock_ms() - r->begun_ms;
    return true;
}

void gi_http_hold(gi_http_request *r, bool *ret_is_held) {
    atomic_fetch_add(&r->http->n_held, 1);
    *ret_is_held = true;
    /* It would be too late to wait for it: who asked in the last moment is not answered. */
    if (r->http->is_closing) r->is_gone = true;
}

bool gi_http_request_tell(gi_http_request *r, bool may_hold) {
    const gi_http_config *config = &r->http->config;
    return config->ops.on_answer && config->ops.on_answer(config->ctx, r, may_hold);
}

void gi_http_request_free(gi_http_request *r) {
    gi_http *h = r->http;
    gi_http_drop_body(r);
    gi_buf_done(&r->reply.body);
    gi_buf_done(&r->stream.bytes);
    gi_record_done(&r->record);
    gi_free(r);
    atomic_fetch_sub(&h->n_requests, 1);
}

void gi_http_request_end(gi_http_request *r) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    r->connection->request = NULL;
    gi_http_set_phase(r->connection, GI_HTTP_IDLE, h->config.idle_ms);
    const bool is_open_stream = r->stream.is_begun && !r->stream.is_ended;
    if (is_open_stream) gi_http_request_gone(r);
    /* Broken off, and ended before the watch saw it. */
    if (r->stream.bytes.len > r->stream.n_taken) r->is_gone = true;
    if (!r->is_recorded && !is_open_stream) {
        r->is_gone = true;
        if (gi_http_request_record(r, GI_API_OK)) gi_http_request_tell(r, false);
    }
    const int status = is_lost(r) ? GI_RECORD_CLIENT_GONE : r->reply.status;
    gi_log(GI_LOG_INFO, "http", "id=%s trace=%s method=%s route=%s status=%d ms=%.1f", r->id,
           r->record.trace.trace_id, r->record.method, r->route,
           status ? status : GI_RECORD_CLIENT_GONE, gi_clock_ms() - r->begun_ms);
    const bool is_held = is_open_stream || r->is_held || r->stream.is_held;
    r->connection = NULL; /* from here on the worker may free it */
    gi_http_watch_unlock(h->watch);
    if (!is_held) gi_http_request_free(r);
}
