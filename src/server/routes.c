/*
 * What clients may reach. A route that is not in the table does not exist; the table and the checks
 * before it are all there is.
 */
#include "server/routes.h"

#include "server/models.h"
#include "server/openapi.h"
#include "server/server_view.h"
#include "server/task_list.h"

#include <stdio.h>
#include <string.h>

enum {
    STATE_BYTES_MAX = 256,
    JSON_BYTES_MAX = 256 * 1024,        /* of what the server says about itself */
    TASKS_BYTES_MAX = 32 * 1024 * 1024, /* the engine bounds them; escaped, they grow */
};

#define MODEL_PREFIX "/v1/models/"
#define PAGE_PREFIX  "/page/"

/* A path that ends in {...} stands for all that have a word there. */
typedef struct route {
    const char *method, *path;
    gi_access_level access;
    const char *allow;                                    /* Allow header of a 405 */
    void (*check_head)(gi_server *s, gi_http_request *r); /* NULL: no body, nothing to check */
    void (*serve)(gi_server *s, gi_http_request *r);
} route;

static gi_server_state state_of(const gi_server *s) {
    return (gi_server_state)atomic_load(&s->state);
}

static const char *state_name(gi_server_state at) {
    switch (at) {
    case GI_SERVER_LOADING:
        return "loading";
    case GI_SERVER_READY:
        return "ok";
    case GI_SERVER_LEAVING:
    case GI_SERVER_DRAINING:
        return "draining";
    }
    return "unknown";
}

/* A step of the model does not come back: a device or its driver hangs, most likely. */
static bool is_stuck(gi_server *s) {
    gi_infer *infer = atomic_load(&s->infer);
    return infer && s->settings.step_max_ms > 0 &&
           gi_infer_step_ms(infer) > (double)s->settings.step_max_ms;
}

/* Why nothing can be answered now, whatever else; or GI_API_OK. */
static gi_api_code trouble(gi_server *s) {
    if (gi_observer_is_blocked(s->observer)) return GI_API_AUDIT_UNAVAILABLE;
    return is_stuck(s) ? GI_API_STUCK : GI_API_OK;
}

/* Why nobody should send requests; GI_API_OK while /ready says 200. */
static gi_api_code unready(gi_server *s) {
    switch (state_of(s)) {
    case GI_SERVER_LOADING:
        return GI_API_LOADING;
    case GI_SERVER_LEAVING:
    case GI_SERVER_DRAINING:
        return GI_API_DRAINING;
    case GI_SERVER_READY:
        break;
    }
    return trouble(s);
}

/* {"status": "ok"}, or what is the matter. */
static void reply_state(gi_http_request *r, gi_api_code code) {
    const gi_api_error_info *info = gi_api_error_get(code);
    gi_http_reply reply = {
        .status = info->status, .retry_after_s = info->retry_after_s, .code = code};
    gi_buf_init(&reply.body, STATE_BYTES_MAX);
    if (gi_buf_printf(&reply.body, NULL, "{\"status\":\"%s\"}",
                      code == GI_API_OK ? "ok" : info->code) != GLINT_OK)
        reply.status = 503;
    gi_http_respond(r, &reply);
}

/* The JSON that was written, or word that there was no memory for it. */
static void reply_written(gi_http_request *r, gi_http_reply *reply, glint_status st) {
    if (st == GLINT_OK) {
        gi_http_respond(r, reply);
        return;
    }
    gi_buf_done(&reply->body);
    gi_http_refuse(r, GI_API_OVERLOADED);
}

/* The process lives and says what it has; 200 in every state, for people and liveness probes. */
static void serve_health(gi_server *s, gi_http_request *r) {
    gi_http_reply reply = {.status = 200};
    gi_buf_init(&reply.body, STATE_BYTES_MAX);
    reply_written(r, &reply,
                  gi_buf_printf(&reply.body, NULL, "{\"status\":\"%s\",\"model_loaded\":%s}",
                                state_name(state_of(s)),
                                atomic_load(&s->infer) ? "true" : "false"));
}

static void serve_live(gi_server *s, gi_http_request *r) {
    reply_state(r, is_stuck(s) ? GI_API_STUCK : GI_API_OK);
}

static void serve_ready(gi_server *s, gi_http_request *r) {
    reply_state(r, unready(s));
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
    view.values[GI_SERIES_READY] = unready(s) == GI_API_OK;
    view.values[GI_SERIES_RELOADS_FAILED] = (double)atomic_load(&s->n_reloads[0]);
    view.values[GI_SERIES_RELOADS_OK] = (double)atomic_load(&s->n_reloads[1]);
    gi_http_reply reply = {.status = 200, .media_type = GI_METRICS_MEDIA_TYPE};
    gi_buf_init(&reply.body, GI_METRICS_BYTES_MAX);
    if (gi_metrics_write(gi_observer_metrics(s->observer), &view, &reply.body, NULL) == GLINT_OK) {
        gi_http_respond(r, &reply);
        return;
    }
    gi_buf_done(&reply.body);
    gi_http_refuse(r, GI_API_OVERLOADED);
}

/* True when requests are taken; else the request is answered. */
static bool check_ready(gi_server *s, gi_http_request *r) {
    const gi_api_code code = state_of(s) == GI_SERVER_LEAVING ? trouble(s) : unready(s);
    if (code == GI_API_OK) return true;
    gi_http_refuse(r, code);
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

/* The model, or NULL: then the request is answered. */
static const glint_engine_info *model_info(gi_server *s, gi_http_request *r) {
    const glint_engine_info *info = gi_server_info(s);
    if (info) return info;
    gi_http_refuse(r, GI_API_LOADING);
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

static void serve_openapi(gi_server *s, gi_http_request *r) {
    const gi_openapi_limits limits = {.fields = gi_server_field_limits(s),
                                      .body_bytes_max = s->settings.body_bytes_max};
    gi_http_reply reply = {.status = 200};
    gi_buf_init(&reply.body, JSON_BYTES_MAX);
    reply_written(r, &reply, gi_openapi_write(&limits, &reply.body, NULL));
}

static void serve_tasks(gi_server *s, gi_http_request *r) {
    if (!model_info(s, r)) return;
    const gi_field_limits fields = gi_server_field_limits(s);
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

_Static_assert(sizeof ROUTES / sizeof ROUTES[0] == GI_ROUTES, "GI_ROUTES counts the table");

static const route *find_route(const char *path) {
    for (size_t i = 0; i < GI_ROUTES; i++) {
        const char *word = strchr(ROUTES[i].path, '{');
        const size_t n = word ? (size_t)(word - ROUTES[i].path) : 0;
        if (word ? strncmp(ROUTES[i].path, path, n) == 0 && path[n] && !strchr(path + n, '/')
                 : strcmp(ROUTES[i].path, path) == 0)
            return &ROUTES[i];
    }
    return NULL;
}

/* ---- what the HTTP layer calls ---- */

static void refuse_method(gi_http_request *r, const route *to) {
    gi_api_error error = {0};
    gi_api_fail(&error, GI_API_METHOD_NOT_ALLOWED, NULL);
    gi_http_respond_error(r, &error, to->allow);
}

static void on_headers(void *ctx, gi_http_request *r) {
    gi_server *s = ctx;
    const route *to = find_route(gi_http_path(r));
    /* Whoever may not come in does not learn what exists. */
    if (!gi_access_check(s->access, r, to ? to->access : GI_ACCESS_ANYONE)) return;
    if (!to) {
        gi_http_refuse(r, GI_API_NOT_FOUND);
        return;
    }
    gi_http_set_route(r, to->path);
    if (strcmp(gi_http_method(r), to->method) != 0)
        refuse_method(r, to);
    else if (gi_access_take_request(s->access, r, to->access) && to->check_head)
        to->check_head(s, r);
}

static void on_request(void *ctx, gi_http_request *r) {
    const route *to = find_route(gi_http_path(r));
    if (to)
        to->serve(ctx, r);
    else
        gi_http_refuse(r, GI_API_NOT_FOUND);
}

static void on_hangup(void *ctx, gi_http_request *r) {
    (void)ctx;
    gi_infer_hangup(r);
}

static gi_http_beginning on_stream(void *ctx, gi_http_request *r) {
    const gi_server *s = ctx;
    return gi_observer_on_stream(s->observer, r);
}

/* Probes, pages and figures do not wait for the audit log: whether the process lives, and whether
 * the log does, is not for a disk to say. */
static bool on_answer(void *ctx, gi_http_request *r, bool may_hold) {
    gi_server *s = ctx;
    const gi_record *record = gi_http_record(r);
    const route *to = find_route(record->route);
    const bool is_open = to && (to->access == GI_ACCESS_OPEN ||
                                (to->access == GI_ACCESS_METRICS && record->code == GI_API_OK));
    return gi_observer_on_answer(s->observer, r, may_hold && !is_open);
}

const gi_http_ops gi_routes_ops = {.on_headers = on_headers,
                                   .on_request = on_request,
                                   .on_hangup = on_hangup,
                                   .on_stream = on_stream,
                                   .on_answer = on_answer};

bool gi_server_get_route(size_t i, gi_server_route *ret) {
    if (i >= GI_ROUTES) return false;
    *ret = (gi_server_route){.method = ROUTES[i].method,
                             .path = ROUTES[i].path,
                             .access = gi_access_level_name(ROUTES[i].access)};
    return true;
}
