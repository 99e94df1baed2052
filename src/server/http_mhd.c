/*
 * GNU libmicrohttpd behind http.h. One thread of the library polls all sockets; a request whose
 * answer takes longer is suspended, so that it costs nothing but its memory, and resumed when
 * gi_http_respond comes. Lock order: the watch's lock, then the library's own.
 *
 * The library reports neither slow clients nor those that leave while suspended: http_watch does.
 * It answers in the middle of a body only by itself: http_raw does it for us, and what the client
 * still sends is then read and dropped until it ends or LINGER_MS pass.
 */
#include "server/http.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/header_value.h"
#include "server/http_framing.h"
#include "server/http_raw.h"
#include "server/http_watch.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
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
    LINGER_MS = 2000,
    /* After the client's FIN: for what it sent before to be read and make a request. The library
     * itself would keep some of these connections for ever. */
    HALF_CLOSED_MS = 1000,
    ERROR_BYTES_MAX = 2048,
    CLOSE_POLL_MS = 5,
    STATUS_CLIENT_GONE = 499, /* in the log only */
};

/* Where a connection stands; says what its deadline means. */
typedef enum phase {
    PHASE_FIRST,    /* connected, first request's headers not complete */
    PHASE_IDLE,     /* between requests */
    PHASE_BODY,     /* headers complete, body not */
    PHASE_HANDLING, /* being worked on */
    PHASE_REPLYING, /* answer given to the library */
    PHASE_LINGER,   /* answered raw, the rest is thrown away */
} phase;

typedef struct connection {
    gi_http_watched watched;
    struct MHD_Connection *mhd;
    gi_http_request *request; /* NULL between requests */
    phase phase;
    bool is_half_closed; /* the client will send nothing more */
} connection;

struct gi_http {
    gi_http_config config;
    struct MHD_Daemon *daemon;
    gi_http_watch *watch;
    uint64_t boot_id; /* first half of the ids made here */
    _Atomic uint64_t n_ids;
    _Atomic size_t body_bytes; /* of all requests */
    _Atomic int n_requests;
    _Atomic bool draining;
};

struct gi_http_request {
    gi_http *http;
    connection *connection;
    void *user;
    const char *method, *path, *route;
    char id[GI_HTTP_ID_BYTES];
    gi_buf body;
    size_t body_counted; /* bytes of it in http->body_bytes */
    size_t body_bytes_max;
    double begun_ms, received_ms;
    bool is_head;
    /* Under the watch's lock. The status stays 0 when the library ended the request by itself. */
    bool is_answered, is_raw, is_suspended, is_gone;
    gi_http_reply reply;
};

/* Enter a phase that may take `ms`. Under the watch's lock. */
static void set_phase(connection *c, phase to, double ms) {
    c->phase = to;
    const bool waits_for_client = to == PHASE_FIRST || to == PHASE_IDLE || to == PHASE_BODY;
    if (waits_for_client && c->is_half_closed && ms > HALF_CLOSED_MS) ms = HALF_CLOSED_MS;
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

void gi_http_drop_body(gi_http_request *r) {
    gi_buf_done(&r->body);
    atomic_fetch_sub(&r->http->body_bytes, r->body_counted);
    r->body_counted = 0;
}

/* ---- answers ---- */

void gi_http_respond(gi_http_request *r, gi_http_reply *reply) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    gi_assert(!r->is_answered);
    r->reply = *reply;
    r->is_answered = true;
    if (r->connection->phase == PHASE_HANDLING) {
        set_phase(r->connection, PHASE_REPLYING, h->config.idle_ms);
        if (r->is_suspended) MHD_resume_connection(r->connection->mhd);
    }
    gi_http_watch_unlock(h->watch);
    *reply = (gi_http_reply){0};
}

void gi_http_respond_error(gi_http_request *r, const gi_api_error *error, const char *allow) {
    const gi_api_error_info *info = gi_api_error_get(error->code);
    gi_http_reply reply = {
        .status = info->status,
        .allow = allow,
        .retry_after_s = error->retry_after_s ? error->retry_after_s : info->retry_after_s,
    };
    gi_buf_init(&reply.body, ERROR_BYTES_MAX);
    /* Without memory even for this the body is empty and the status speaks. */
    if (gi_api_error_write(error, r->id, &reply.body, NULL) != GLINT_OK) gi_buf_done(&reply.body);
    gi_http_respond(r, &reply);
}

static void add_header(struct MHD_Response *response, const char *name, const char *value) {
    /* A header that cannot be added for want of memory is left out. */
    MHD_add_response_header(response, name, value);
}

static void free_body(void *data) {
    gi_free(data);
}

/* From here on the library writes to the socket; false when somebody already did. */
static bool begin_reply(gi_http_request *r) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    const bool ok = !r->is_raw;
    if (ok) set_phase(r->connection, PHASE_REPLYING, h->config.idle_ms);
    gi_http_watch_unlock(h->watch);
    return ok;
}

/* Hand the answer to the library. */
static enum MHD_Result queue_reply(gi_http_request *r, bool close) {
    if (!begin_reply(r)) return MHD_NO;
    size_t n = 0;
    void *data = gi_buf_take(&r->reply.body, &n);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(n, data, free_body);
    if (!response) {
        gi_free(data);
        return MHD_NO;
    }
    add_header(response, "Content-Type", "application/json");
    add_header(response, "X-Request-Id", r->id);
    add_header(response, "Cache-Control", "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
    if (r->reply.allow) add_header(response, "Allow", r->reply.allow);
    if (r->reply.retry_after_s > 0) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%d", r->reply.retry_after_s);
        add_header(response, "Retry-After", seconds);
    }
    if (close || atomic_load(&r->http->draining)) add_header(response, "Connection", "close");
    const enum MHD_Result result =
        MHD_queue_response(r->connection->mhd, (unsigned)r->reply.status, response);
    MHD_destroy_response(response);
    return result;
}

/* Answer past the library, in the middle of a body. */
static void answer_raw(gi_http_request *r, gi_api_code code) {
    gi_http *h = r->http;
    gi_api_error error = {0};
    gi_api_fail(&error, code, NULL);
    gi_http_drop_body(r);
    gi_http_watch_lock(h->watch);
    if (!r->is_raw) {
        r->is_raw = true;
        r->reply.status = gi_api_error_get(code)->status;
        set_phase(r->connection, PHASE_LINGER, LINGER_MS);
        gi_http_raw_answer(r->connection->watched.fd, &error, r->id);
    }
    gi_http_watch_unlock(h->watch);
}

/* ---- requests ---- */

static bool is_id_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
}

static void make_id(gi_http *h, char out[GI_HTTP_ID_BYTES]) {
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
        make_id(r->http, r->id);
}

static enum MHD_Result check_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    size_t n_name, const char *value, size_t n_value) {
    (void)kind;
    gi_http_framing_header(ctx, name, n_name, value ? value : "", n_value);
    return MHD_YES;
}

/* The path of an absolute-form target ("http://host/path") is what follows the authority. */
static const char *path_of(const char *target) {
    const char *authority = strstr(target, "://");
    if (target[0] == '/' || !authority) return target;
    const char *slash = strchr(authority + 3, '/');
    return slash ? slash : "/";
}

static gi_http_request *begin_request(gi_http *h, connection *c, const char *target,
                                      const char *method) {
    gi_http_request *r = gi_calloc(1, sizeof *r);
    if (!r) return NULL;
    /* Whoever was told that the headers came too late gets nothing done by sending them still. */
    gi_http_watch_lock(h->watch);
    const bool is_late = c->phase == PHASE_LINGER;
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
    gi_buf_init(&r->body, h->config.body_bytes_max);
    set_id(r);
    atomic_fetch_add(&h->n_requests, 1);
    gi_http_watch_lock(h->watch);
    c->request = r;
    set_phase(c, PHASE_BODY, h->config.body_ms);
    gi_http_watch_unlock(h->watch);
    return r;
}

static void end_request(gi_http_request *r) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    r->connection->request = NULL;
    set_phase(r->connection, PHASE_IDLE, h->config.idle_ms);
    const int status = r->is_gone ? STATUS_CLIENT_GONE : r->reply.status;
    gi_http_watch_unlock(h->watch);
    gi_log(GI_LOG_INFO, "http", "id=%s method=%s route=%s status=%d ms=%.1f", r->id,
           gi_is_token(r->method, strnlen(r->method, 16)) ? r->method : "-", r->route,
           status ? status : STATUS_CLIENT_GONE, gi_clock_ms() - r->begun_ms);
    gi_http_drop_body(r);
    gi_buf_done(&r->reply.body);
    gi_free(r);
    atomic_fetch_sub(&h->n_requests, 1);
}

/* First call: the headers are complete. */
static enum MHD_Result on_head(gi_http_request *r, const char *target, const char *method,
                               const char *version) {
    gi_http *h = r->http;
    gi_http_framing f = {0};
    MHD_get_connection_values_n(r->connection->mhd, MHD_HEADER_KIND, check_header, &f);
    gi_http_framing_end(&f, method, target, version);
    if (f.fault != GI_API_OK) {
        /* Where this request ends is not certain, so neither is where the next one begins. */
        gi_api_error error = {0};
        gi_api_fail(&error, f.fault, NULL);
        gi_http_respond_error(r, &error, NULL);
        return queue_reply(r, true);
    }
    h->config.ops.on_headers(h->config.ctx, r);
    if (f.content_length > 0 && (r->is_answered || f.content_length > r->body_bytes_max)) {
        if (!r->is_answered) {
            gi_api_error error = {0};
            gi_api_fail(&error, r->body_bytes_max ? GI_API_BODY_TOO_LARGE : GI_API_BODY_NOT_ALLOWED,
                        NULL);
            gi_http_respond_error(r, &error, NULL);
        }
        /* A client that asked first has sent nothing yet, and one that announces more than any
         * route takes is not listened to; else the body is read and dropped. */
        if (f.expects_continue) return queue_reply(r, true);
        if (f.content_length > h->config.body_bytes_max) answer_raw(r, GI_API_BODY_TOO_LARGE);
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
    gi_http_watch_unlock(h->watch);
    if (is_dropped) return MHD_YES;
    if (n_bytes > r->body_bytes_max - r->body.len) {
        answer_raw(r, r->body_bytes_max ? GI_API_BODY_TOO_LARGE : GI_API_BODY_NOT_ALLOWED);
        return MHD_YES;
    }
    const size_t total = atomic_fetch_add(&h->body_bytes, n_bytes) + n_bytes;
    r->body_counted += n_bytes;
    if (total > h->config.body_bytes_total_max ||
        gi_buf_push(&r->body, data, n_bytes, NULL) != GLINT_OK)
        answer_raw(r, GI_API_OVERLOADED);
    return MHD_YES;
}

/* The client left while its answer is worked out. Under the watch's lock. */
static void tell_gone(gi_http *h, gi_http_request *r) {
    r->is_gone = true;
    h->config.ops.on_hangup(h->config.ctx, r);
}

/* The request is whole, or its answer has come. */
static enum MHD_Result on_whole(gi_http_request *r) {
    gi_http *h = r->http;
    gi_http_watch_lock(h->watch);
    const bool is_new = !r->is_answered && !r->is_raw && !r->is_suspended;
    if (is_new) set_phase(r->connection, PHASE_HANDLING, 0);
    gi_http_watch_unlock(h->watch);
    if (is_new) {
        r->received_ms = gi_clock_ms();
        h->config.ops.on_request(h->config.ctx, r);
    }
    gi_http_watch_lock(h->watch);
    const bool is_over = r->is_raw || r->is_gone, must_wait = !is_over && !r->is_answered;
    if (must_wait && !r->is_suspended) {
        r->is_suspended = true;
        MHD_suspend_connection(r->connection->mhd);
        if (r->connection->is_half_closed) tell_gone(h, r);
    }
    gi_http_watch_unlock(h->watch);
    if (must_wait) return MHD_YES;
    return is_over ? MHD_NO : queue_reply(r, false);
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *mhd, const char *target,
                                 const char *method, const char *version, const char *data,
                                 size_t *n, void **request) {
    if (*request) return *n > 0 ? on_body(*request, data, n) : on_whole(*request);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    connection *c = info ? info->socket_context : NULL;
    gi_http_request *r = c ? begin_request(ctx, c, target, method) : NULL;
    if (!r) return MHD_NO;
    *request = r;
    return on_head(r, target, method, version);
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode why) {
    (void)ctx;
    (void)mhd;
    (void)why;
    if (*request) end_request(*request);
    *request = NULL;
}

/* ---- connections ---- */

static connection *connection_of(gi_http_watched *watched) {
    return (connection *)(void *)((char *)watched - offsetof(connection, watched));
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode what) {
    gi_http *h = ctx;
    connection *c = *socket_context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (!c) return;
        gi_http_watch_lock(h->watch);
        gi_http_watch_remove(h->watch, &c->watched);
        gi_http_watch_unlock(h->watch);
        gi_free(c);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    c = gi_calloc(1, sizeof *c);
    if (!c || !info) {
        gi_free(c);
        return; /* its requests are closed unanswered: see on_access */
    }
    c->mhd = mhd;
    c->watched.fd = info->connect_fd;
    gi_http_watch_lock(h->watch);
    set_phase(c, PHASE_FIRST, h->config.header_ms);
    gi_http_watch_add(h->watch, &c->watched);
    gi_http_watch_unlock(h->watch);
    *socket_context = c;
}

/* A deadline passed; under the watch's lock. */
static void on_due(void *ctx, gi_http_watched *watched) {
    gi_http *h = ctx;
    connection *c = connection_of(watched);
    char made[GI_HTTP_ID_BYTES];
    gi_api_error error = {0};
    switch (c->phase) {
    case PHASE_FIRST:
    case PHASE_BODY:
        make_id(h, made);
        gi_api_fail(&error, GI_API_REQUEST_TIMEOUT, NULL);
        gi_http_raw_answer(watched->fd, &error, c->request ? c->request->id : made);
        if (c->request) {
            c->request->is_raw = true;
            c->request->reply.status = gi_api_error_get(error.code)->status;
        }
        set_phase(c, PHASE_LINGER, LINGER_MS);
        break;
    case PHASE_HANDLING:
        break;
    case PHASE_IDLE:
    case PHASE_REPLYING:
    case PHASE_LINGER:
        /* The library sees the end of the stream and closes. */
        shutdown(watched->fd, SHUT_RDWR);
        break;
    }
}

/* The client closed its half; under the watch's lock. */
static void on_hangup(void *ctx, gi_http_watched *watched) {
    gi_http *h = ctx;
    connection *c = connection_of(watched);
    c->is_half_closed = true;
    const double soon_ms = gi_clock_ms() + HALF_CLOSED_MS;
    switch (c->phase) {
    case PHASE_FIRST:
    case PHASE_IDLE:
    case PHASE_BODY:
        if (watched->deadline_ms > soon_ms) watched->deadline_ms = soon_ms;
        break;
    case PHASE_HANDLING:
        if (c->request->is_suspended) tell_gone(h, c->request);
        break;
    case PHASE_REPLYING:
    case PHASE_LINGER:
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

glint_status gi_http_open(const gi_http_config *config, gi_http **ret, glint_error *err) {
    gi_http *h = gi_calloc(1, sizeof *h);
    if (!h) return gi_fail(err, GLINT_ERR_MEMORY, "http: no memory");
    h->config = *config;
    if (getrandom(&h->boot_id, sizeof h->boot_id, 0) != sizeof h->boot_id)
        h->boot_id = gi_clock_ns() ^ (uint64_t)getpid() << 32;
    const gi_http_watch_ops ops = {.on_due = on_due, .on_hangup = on_hangup};
    glint_status st = gi_http_watch_create(ops, h, &h->watch, err);
    if (st != GLINT_OK) {
        gi_free(h);
        return st;
    }
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_access, h, MHD_OPTION_EXTERNAL_LOGGER, log_line, h, MHD_OPTION_LISTEN_SOCKET,
        config->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
        h, MHD_OPTION_STRICT_FOR_CLIENT, STRICTNESS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)config->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)LISTEN_BACKLOG,
        MHD_OPTION_END);
    if (!h->daemon) {
        gi_http_watch_free(h->watch);
        gi_free(h);
        return gi_fail(err, GLINT_ERR_IO, "http: the HTTP library cannot start");
    }
    *ret = h;
    return GLINT_OK;
}

void gi_http_begin_drain(gi_http *h) {
    atomic_store(&h->draining, true);
}

void gi_http_close(gi_http *h, double grace_ms) {
    if (!h) return;
    gi_http_begin_drain(h);
    const int fd = MHD_quiesce_daemon(h->daemon);
    const double until_ms = gi_clock_ms() + grace_ms;
    while (atomic_load(&h->n_requests) > 0 && gi_clock_ms() < until_ms)
        usleep(CLOSE_POLL_MS * 1000);
    MHD_stop_daemon(h->daemon);
    if (fd >= 0) close(fd);
    gi_http_watch_free(h->watch);
    gi_free(h);
}
