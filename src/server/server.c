/*
 * Routes and states. A route that is not in the table does not exist; what a client may reach is
 * this table and nothing else.
 */
#include "server/server.h"

#include "base/alloc.h"
#include "server/access.h"
#include "server/http.h"
#include "server/infer.h"
#include "server/listen.h"
#include "server/store_hooks.h"
#include "server/models.h"
#include "server/observer.h"
#include "server/openapi.h"
#include "server/page.h"
#include "server/server_view.h"
#include "server/task_list.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CLOSE_GRACE_MS = 2000,
    STATE_BYTES_MAX = 256,
    JSON_BYTES_MAX = 256 * 1024,        /* of what the server says about itself */
    TASKS_BYTES_MAX = 32 * 1024 * 1024, /* the engine bounds them; escaped, they grow */
    /* A stream is silent for this long at most, and for half the idle timeout where that is less:
     * who sets a short one has proxies with short ones. */
    KEEP_ALIVE_MS = 10000,
    AUDIT_LINES_MORE = 1024,
};

#define MODEL_PREFIX "/v1/models/"
#define PAGE_PREFIX  "/page/"

/* LEAVING: nobody should send more, but what comes is still taken. */
typedef enum state { STATE_LOADING, STATE_READY, STATE_LEAVING, STATE_DRAINING } state;

struct gi_server {
    gi_server_settings settings;
    _Atomic(gi_http *) http; /* its thread may ask for it before it is there */
    gi_store *store;         /* NULL: no Redis */
    gi_access *access;
    gi_page *page;
    gi_fetcher *fetcher; /* NULL: no picture URLs */
    gi_observer *observer;
    _Atomic uint64_t n_reloads[2]; /* failed, ok */
    glint_engine *engine;
    _Atomic(gi_infer *) infer; /* NULL until the model is loaded */
    _Atomic int state;         /* enum state */
    int64_t loaded_s;          /* seconds since 1970; set before infer */
    char address[GI_LISTEN_TEXT_BYTES];
};

/* ---- routes ---- */

/* A path that ends in {...} stands for all that have a word there. */
typedef struct route {
    const char *method, *path;
    gi_access_level access;
    const char *allow;                                    /* Allow header of a 405 */
    void (*check_head)(gi_server *s, gi_http_request *r); /* NULL: no body, nothing to check */
    void (*serve)(gi_server *s, gi_http_request *r);
} route;

static state state_of(gi_server *s) {
    return (state)atomic_load(&s->state);
}

static const char *state_name(state at) {
    switch (at) {
    case STATE_LOADING:
        return "loading";
    case STATE_READY:
        return "ok";
    case STATE_LEAVING:
    case STATE_DRAINING:
        return "draining";
    }
    return "unknown";
}

/* True while /ready says 200. */
static bool is_ready(gi_server *s) {
    return state_of(s) == STATE_READY && !gi_observer_is_blocked(s->observer);
}

static void reply_state(gi_http_request *r, gi_api_code code, const char *json) {
    const gi_api_error_info *info = gi_api_error_get(code);
    gi_http_reply reply = {
        .status = info->status, .retry_after_s = info->retry_after_s, .code = code};
    gi_buf_init(&reply.body, STATE_BYTES_MAX);
    if (gi_buf_puts(&reply.body, json, NULL) != GLINT_OK) reply.status = 503;
    gi_http_respond(r, &reply);
}

/* The process lives and says what it has; 200 in every state, for people and liveness probes. */
static void serve_health(gi_server *s, gi_http_request *r) {
    char json[STATE_BYTES_MAX];
    snprintf(json, sizeof json, "{\"status\":\"%s\",\"model_loaded\":%s}", state_name(state_of(s)),
             atomic_load(&s->infer) ? "true" : "false");
    reply_state(r, GI_API_OK, json);
}

static void serve_live(gi_server *s, gi_http_request *r) {
    (void)s;
    reply_state(r, GI_API_OK, "{\"status\":\"ok\"}");
}

static void serve_ready(gi_server *s, gi_http_request *r) {
    const state at = state_of(s);
    const bool is_blocked = gi_observer_is_blocked(s->observer);
    char json[STATE_BYTES_MAX];
    snprintf(json, sizeof json, "{\"status\":\"%s\"}",
             at == STATE_READY && is_blocked ? "audit_unavailable" : state_name(at));
    gi_api_code code = at == STATE_LOADING ? GI_API_LOADING : GI_API_DRAINING;
    if (at == STATE_READY) code = is_blocked ? GI_API_AUDIT_UNAVAILABLE : GI_API_OK;
    reply_state(r, code, json);
}

static void serve_metrics(gi_server *s, gi_http_request *r) {
    gi_infer *infer = atomic_load(&s->infer);
    const gi_server_parts parts = {.http = atomic_load(&s->http),
                                   .access = s->access,
                                   .fetcher = s->fetcher,
                                   .store = s->store,
                                   .infer = infer,
                                   .engine = infer ? s->engine : NULL};
    gi_metrics_reason reasons[GI_SERVER_REASONS_MAX];
    gi_metrics_view view;
    gi_metrics_view_init(&view);
    gi_server_view(&parts, reasons, &view);
    gi_observer_view(s->observer, &view);
    view.values[GI_SERIES_READY] = is_ready(s);
    view.values[GI_SERIES_RELOADS_FAILED] = (double)atomic_load(&s->n_reloads[0]);
    view.values[GI_SERIES_RELOADS_OK] = (double)atomic_load(&s->n_reloads[1]);
    gi_http_reply reply = {.status = 200, .media_type = GI_METRICS_MEDIA_TYPE};
    gi_buf_init(&reply.body, GI_METRICS_BYTES_MAX);
    if (gi_metrics_write(gi_observer_metrics(s->observer), &view, &reply.body, NULL) == GLINT_OK) {
        gi_http_respond(r, &reply);
        return;
    }
    gi_buf_done(&reply.body);
    gi_api_error error = {0};
    gi_api_fail(&error, GI_API_OVERLOADED, NULL);
    gi_http_respond_error(r, &error, NULL);
}

/* True when requests are taken; else the request is answered. */
static bool check_ready(gi_server *s, gi_http_request *r) {
    const state at = state_of(s);
    const bool is_blocked = gi_observer_is_blocked(s->observer);
    if ((at == STATE_READY || at == STATE_LEAVING) && !is_blocked) return true;
    gi_api_error error = {0};
    gi_api_code code = is_blocked ? GI_API_AUDIT_UNAVAILABLE : GI_API_DRAINING;
    if (at == STATE_LOADING) code = GI_API_LOADING;
    gi_api_fail(&error, code, NULL);
    gi_http_respond_error(r, &error, NULL);
    return false;
}

static void check_infer(gi_server *s, gi_http_request *r) {
    if (check_ready(s, r)) gi_infer_check_head(&gi_infer_multimodal, r);
}

static void serve_infer(gi_server *s, gi_http_request *r) {
    if (check_ready(s, r)) gi_infer_submit(atomic_load(&s->infer), &gi_infer_multimodal, r);
}

static void check_chat(gi_server *s, gi_http_request *r) {
    if (check_ready(s, r)) gi_infer_check_head(&gi_infer_chat, r);
}

static void serve_chat(gi_server *s, gi_http_request *r) {
    if (check_ready(s, r)) gi_infer_submit(atomic_load(&s->infer), &gi_infer_chat, r);
}

/* The JSON that was written, or word that there was no memory for it. */
static void reply_written(gi_http_request *r, gi_http_reply *reply, glint_status st) {
    if (st == GLINT_OK) {
        gi_http_respond(r, reply);
        return;
    }
    gi_api_error error = {0};
    gi_buf_done(&reply->body);
    gi_api_fail(&error, GI_API_OVERLOADED, NULL);
    gi_http_respond_error(r, &error, NULL);
}

/* The model, or NULL: then the request is answered. */
static const glint_engine_info *model_info(gi_server *s, gi_http_request *r) {
    const glint_engine_info *info = gi_server_info(s);
    if (info) return info;
    gi_api_error error = {0};
    gi_api_fail(&error, GI_API_LOADING, NULL);
    gi_http_respond_error(r, &error, NULL);
    return NULL;
}

static void serve_models(gi_server *s, gi_http_request *r) {
    const glint_engine_info *info = model_info(s, r);
    if (!info) return;
    gi_http_reply reply = {.status = 200};
    gi_buf_init(&reply.body, JSON_BYTES_MAX);
    const gi_model_entry model = {.name = info->model_name, .created_s = s->loaded_s};
    reply_written(r, &reply, gi_models_write_list(&model, &reply.body, NULL));
}

static void serve_model(gi_server *s, gi_http_request *r) {
    const glint_engine_info *info = model_info(s, r);
    if (!info) return;
    if (strcmp(gi_http_path(r) + strlen(MODEL_PREFIX), info->model_name) != 0) {
        gi_api_error error = {0};
        gi_api_fail(&error, GI_API_UNKNOWN_MODEL, "model");
        gi_http_respond_error(r, &error, NULL);
        return;
    }
    gi_http_reply reply = {.status = 200};
    gi_buf_init(&reply.body, JSON_BYTES_MAX);
    const gi_model_entry model = {.name = info->model_name, .created_s = s->loaded_s};
    reply_written(r, &reply, gi_models_write_one(&model, &reply.body, NULL));
}

static gi_field_limits field_limits(const gi_server *s) {
    return (gi_field_limits){.max_side_px = s->settings.engine.max_side_px,
                             .timeout_ms = s->settings.timeout_ms};
}

static void serve_openapi(gi_server *s, gi_http_request *r) {
    const gi_openapi_limits limits = {.fields = field_limits(s),
                                      .body_bytes_max = s->settings.body_bytes_max};
    gi_http_reply reply = {.status = 200};
    gi_buf_init(&reply.body, JSON_BYTES_MAX);
    reply_written(r, &reply, gi_openapi_write(&limits, &reply.body, NULL));
}

static void serve_tasks(gi_server *s, gi_http_request *r) {
    if (!model_info(s, r)) return;
    const gi_field_limits fields = field_limits(s);
    glint_tasks *tasks = glint_engine_tasks(s->engine);
    gi_http_reply reply = {.status = 200};
    gi_buf_init(&reply.body, TASKS_BYTES_MAX);
    reply_written(
        r, &reply,
        gi_task_list_write(tasks, &fields, s->settings.body_bytes_max, &reply.body, NULL));
    glint_tasks_unref(tasks);
}

static void serve_page(gi_server *s, gi_http_request *r) {
    gi_page_serve(s->page, GI_PAGE_INDEX, r);
}

static void serve_page_file(gi_server *s, gi_http_request *r) {
    gi_page_serve(s->page, gi_http_path(r) + strlen(PAGE_PREFIX), r);
}

static const route ROUTES[] = {
    {"GET", "/", GI_ACCESS_OPEN, "GET, HEAD", NULL, serve_page},
    {"GET", PAGE_PREFIX "{file}", GI_ACCESS_OPEN, "GET, HEAD", NULL, serve_page_file},
    {"GET", "/health", GI_ACCESS_OPEN, "GET, HEAD", NULL, serve_health},
    {"GET", "/live", GI_ACCESS_OPEN, "GET, HEAD", NULL, serve_live},
    {"GET", "/ready", GI_ACCESS_OPEN, "GET, HEAD", NULL, serve_ready},
    {"GET", "/metrics", GI_ACCESS_METRICS, "GET, HEAD", NULL, serve_metrics},
    {"POST", "/v1/multimodal/inference", GI_ACCESS_INFER, "POST", check_infer, serve_infer},
    {"POST", "/v1/chat/completions", GI_ACCESS_INFER, "POST", check_chat, serve_chat},
    {"GET", "/v1/models", GI_ACCESS_ANYONE, "GET, HEAD", NULL, serve_models},
    {"GET", MODEL_PREFIX "{model}", GI_ACCESS_ANYONE, "GET, HEAD", NULL, serve_model},
    {"GET", "/v1/tasks", GI_ACCESS_ANYONE, "GET, HEAD", NULL, serve_tasks},
    {"GET", "/openapi.json", GI_ACCESS_ANYONE, "GET, HEAD", NULL, serve_openapi},
};

enum { N_ROUTES = sizeof ROUTES / sizeof ROUTES[0] };

static const route *find_route(const char *path) {
    for (size_t i = 0; i < N_ROUTES; i++) {
        const char *word = strchr(ROUTES[i].path, '{');
        const size_t n = word ? (size_t)(word - ROUTES[i].path) : 0;
        if (word ? strncmp(ROUTES[i].path, path, n) == 0 && path[n] && !strchr(path + n, '/')
                 : strcmp(ROUTES[i].path, path) == 0)
            return &ROUTES[i];
    }
    return NULL;
}

/* ---- what the HTTP layer calls ---- */

static void refuse(gi_http_request *r, gi_api_code code, const char *allow) {
    gi_api_error error = {0};
    gi_api_fail(&error, code, NULL);
    gi_http_respond_error(r, &error, allow);
}

static void on_headers(void *ctx, gi_http_request *r) {
    gi_server *s = ctx;
    const route *to = find_route(gi_http_path(r));
    /* Whoever may not come in does not learn what exists. */
    if (!gi_access_check(s->access, r, to ? to->access : GI_ACCESS_ANYONE)) return;
    if (!to) {
        refuse(r, GI_API_NOT_FOUND, NULL);
        return;
    }
    gi_http_set_route(r, to->path);
    if (strcmp(gi_http_method(r), to->method) != 0)
        refuse(r, GI_API_METHOD_NOT_ALLOWED, to->allow);
    else if (gi_access_take_request(s->access, r, to->access) && to->check_head)
        to->check_head(s, r);
}

static void on_request(void *ctx, gi_http_request *r) {
    const route *to = find_route(gi_http_path(r));
    if (to)
        to->serve(ctx, r);
    else
        refuse(r, GI_API_NOT_FOUND, NULL);
}

static void on_hangup(void *ctx, gi_http_request *r) {
    gi_server *s = ctx;
    gi_infer_hangup(atomic_load(&s->infer), r);
}

/* Probes and pages do not wait for the audit log: whether the process lives is not for a disk to
 * say. */
static bool on_answer(void *ctx, gi_http_request *r, bool may_hold) {
    gi_server *s = ctx;
    const route *to = find_route(gi_http_record(r)->route);
    const bool is_open = to && to->access == GI_ACCESS_OPEN;
    return gi_observer_on_answer(s->observer, r, may_hold && !is_open);
}

/* ---- life ---- */

static glint_status check_address(const gi_server_settings *settings, const gi_listen_address *a,
                                  bool has_auth, glint_error *err) {
    if (a->is_loopback || has_auth || settings->allow_public_no_auth) return GLINT_OK;
    return gi_fail(
        err, GLINT_ERR_ARG,
        "%s can be reached from other machines, and nothing would ask them who they "
        "are. Name keys with --jwt-keys or --api-keys (glint token makes some), or allow "
        "it with --insecure-no-auth",
        settings->listen);
}

/* Lines of the audit log that may wait: one for each connection, and of those that are gone. */
static glint_status create_observer(gi_server *s, glint_error *err) {
    const char *paths[N_ROUTES];
    for (size_t i = 0; i < N_ROUTES; i++) paths[i] = ROUTES[i].path;
    const size_t lines_max = 2 * (size_t)s->settings.connections_max + AUDIT_LINES_MORE;
    return gi_observer_create(&s->settings.audit, lines_max, paths, N_ROUTES, &s->observer, err);
}

static glint_status open_http(gi_server *s, int fd, glint_error *err) {
    const gi_server_settings *g = &s->settings;
    const gi_http_config config = {
        .listen_fd = fd,
        .connections_max = (int)g->connections_max,
        .body_bytes_max = (size_t)g->body_bytes_max,
        .body_bytes_total_max = (size_t)g->body_bytes_total_max,
        .header_ms = (double)g->header_timeout_ms,
        .body_ms = (double)g->body_timeout_ms,
        .idle_ms = (double)g->idle_timeout_ms,
        .keep_alive_ms = fmin(KEEP_ALIVE_MS, (double)g->idle_timeout_ms / 2),
        .ops = {.on_headers = on_headers,
                .on_request = on_request,
                .on_hangup = on_hangup,
                .on_answer = on_answer},
        .ctx = s,
    };
    gi_http *http = NULL;
    GI_TRY(gi_http_open(&config, &http, err));
    atomic_store(&s->http, http);
    return GLINT_OK;
}

/* What a refused start and a closed server have in common. */
static void free_parts(gi_server *s) {
    gi_observer_free(s->observer);
    gi_fetcher_free(s->fetcher);
    gi_access_free(s->access);
    gi_page_free(s->page);
    gi_store_free(s->store); /* the others use it */
    gi_free(s);
}

static glint_status make_parts(gi_server *s, const gi_listen_address *a, glint_error *err) {
    const gi_server_settings *g = &s->settings;
    gi_fetch_config fetch = g->fetch;
    if (g->store.url) GI_TRY(gi_store_create(&g->store, &s->store, err));
    GI_TRY(gi_access_create(&g->access, g->stores_limits ? s->store : NULL, &s->access, err));
    GI_TRY(check_address(g, a, gi_access_has_auth(s->access), err));
    fetch.has_tenants = gi_access_has_auth(s->access);
    if (s->store && g->stores_fetched) fetch.store = gi_store_hook_fetched(s->store);
    return fetch.n_hosts > 0 ? gi_fetcher_create(&fetch, &s->fetcher, err) : GLINT_OK;
}

glint_status gi_server_open(const gi_server_settings *settings, gi_server **ret, glint_error *err) {
    gi_listen_address a;
    GI_TRY(gi_listen_parse(settings->listen, &a, err));
    gi_server *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "server: no memory");
    s->settings = *settings;
    int fd = -1;
    glint_status st = gi_page_create(&s->page, err);
    if (st == GLINT_OK) st = make_parts(s, &a, err);
    if (st == GLINT_OK) st = create_observer(s, err);
    if (st == GLINT_OK) st = gi_listen_open(&a, &fd, s->address, err);
    if (st == GLINT_OK) st = open_http(s, fd, err);
    if (st != GLINT_OK) {
        if (fd >= 0) close(fd);
        free_parts(s);
        return st;
    }
    *ret = s;
    return GLINT_OK;
}

bool gi_server_get_route(size_t i, gi_server_route *ret) {
    if (i >= N_ROUTES) return false;
    *ret = (gi_server_route){.method = ROUTES[i].method,
                             .path = ROUTES[i].path,
                             .access = gi_access_level_name(ROUTES[i].access)};
    return true;
}

bool gi_server_has_auth(const gi_server *s) {
    return gi_access_has_auth(s->access);
}

glint_status gi_server_reopen_audit(gi_server *s, glint_error *err) {
    return gi_observer_reopen(s->observer, err);
}

void gi_server_set_image_urls(gi_server *s, bool is_on) {
    if (s->fetcher) gi_fetcher_set_off(s->fetcher, !is_on);
}

void gi_server_count_reload(gi_server *s, bool ok) {
    atomic_fetch_add(&s->n_reloads[ok], 1);
}

glint_status gi_server_reload(gi_server *s, glint_error *err) {
    return gi_access_reload(s->access, err);
}

const char *gi_server_address(const gi_server *s) {
    return s->address;
}

/* Give every task figures of its own; those of tasks that are gone stay. */
static void count_tasks(gi_server *s) {
    glint_tasks *tasks = glint_engine_tasks(s->engine);
    glint_task_info task;
    for (size_t i = 0; glint_tasks_get(tasks, i, &task); i++)
        gi_metrics_add_task(gi_observer_metrics(s->observer), task.name);
    glint_tasks_unref(tasks);
}

glint_status gi_server_reload_tasks(gi_server *s, glint_error *err) {
    if (!atomic_load(&s->infer)) return gi_fail(err, GLINT_ERR_BUSY, "the model is still loading");
    GI_TRY(glint_engine_reload_tasks(s->engine, err));
    count_tasks(s);
    return GLINT_OK;
}

glint_status gi_server_load(gi_server *s, glint_error *err) {
    const gi_server_settings *g = &s->settings;
    glint_engine *engine = NULL;
    gi_infer *infer = NULL;
    glint_engine_options options = g->engine;
    glint_picture_store pictures;
    if (s->store && g->stores_pictures) {
        pictures = gi_store_hook_pictures(s->store);
        options.picture_store = &pictures;
    }
    GI_TRY(glint_engine_open(&options, &engine, err));
    const gi_infer_config config = {
        .engine = engine,
        .access = s->access,
        .fetcher = s->fetcher,
        .audit_notes = gi_observer_notes(s->observer),
        .queue_max = (size_t)g->queue_max,
        .has_tenants = gi_access_has_auth(s->access),
        .ready_max = (size_t)(g->ready_max < g->queue_max ? g->ready_max : g->queue_max),
        .n_crew = (int)g->n_crew,
        .answer_cache_bytes = (size_t)g->answer_cache_bytes,
        .answer_store = g->stores_answers ? s->store : NULL,
        .limits = field_limits(s),
    };
    const glint_status st = gi_infer_create(&config, &infer, err);
    if (st != GLINT_OK) {
        glint_engine_close(engine);
        return st;
    }
    s->engine = engine;
    count_tasks(s);
    s->loaded_s = (int64_t)time(NULL);
    atomic_store(&s->infer, infer);
    int expected = STATE_LOADING;
    atomic_compare_exchange_strong(&s->state, &expected, STATE_READY);
    return GLINT_OK;
}

const glint_engine_info *gi_server_info(const gi_server *s) {
    return atomic_load(&s->infer) ? glint_engine_get_info(s->engine) : NULL;
}

static void drain(gi_server *s, double grace_ms) {
    gi_http_begin_drain(s->http); /* first: who is told to leave is told to hang up, too */
    atomic_store(&s->state, STATE_DRAINING);
    gi_infer *infer = atomic_load(&s->infer);
    if (infer) gi_infer_drain(infer, grace_ms);
}

void gi_server_drain(gi_server *s) {
    gi_http_begin_drain(s->http);
    atomic_store(&s->state, STATE_LEAVING);
    usleep((unsigned)s->settings.drain_delay_ms * 1000);
    drain(s, (double)s->settings.drain_ms);
}

void gi_server_close(gi_server *s) {
    if (!s) return;
    drain(s, 0);
    gi_http_close(s->http, CLOSE_GRACE_MS);
    gi_infer_free(atomic_load(&s->infer));
    glint_engine_close(s->engine);
    free_parts(s);
}
