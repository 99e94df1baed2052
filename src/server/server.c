/*
 * The life of a server: its parts are made before it listens and freed after its last connection is
 * closed; the model comes while it listens already. What clients may reach is in routes.c.
 */
#include "server/server.h"

#include "base/alloc.h"
#include "server/routes.h"
#include "server/store_hooks.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CLOSE_GRACE_MS = 2000,
    /* A stream is silent for this long at most, and for half the idle timeout where that is less:
     * who sets a short one has proxies with short ones. */
    KEEP_ALIVE_MS = 10000,
    AUDIT_LINES_MORE = 1024,
};

gi_field_limits gi_server_field_limits(const gi_server *s) {
    return (gi_field_limits){.max_side_px = s->settings.engine.max_side_px,
                             .timeout_ms = atomic_load(&s->timeout_ms)};
}

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
    const char *paths[GI_ROUTES];
    gi_server_route route;
    for (size_t i = 0; gi_server_get_route(i, &route); i++) paths[i] = route.path;
    const size_t lines_max = 2 * (size_t)s->settings.connections_max + AUDIT_LINES_MORE;
    return gi_observer_create(&s->settings.audit, lines_max, paths, GI_ROUTES, &s->observer, err);
}

static glint_status open_http(gi_server *s, int fd, glint_error *err) {
    const gi_server_settings *g = &s->settings;
    const gi_http_config config = {
        .listen_fd = fd,
        .connections_max = (int)g->connections_max,
        /* Proxies speak for many. */
        .connections_per_address_max =
            g->access.n_proxies > 0 ? 0 : (int)g->connections_per_address_max,
        .body_bytes_max = (size_t)g->body_bytes_max,
        .body_bytes_total_max = (size_t)g->body_bytes_total_max,
        .header_ms = (double)g->header_timeout_ms,
        .body_ms = (double)g->body_timeout_ms,
        .idle_ms = (double)g->idle_timeout_ms,
        .keep_alive_ms = fmin(KEEP_ALIVE_MS, (double)g->idle_timeout_ms / 2),
        .ops = gi_routes_ops,
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
    pthread_mutex_destroy(&s->limits_lock);
    gi_free(s);
}

static glint_status make_parts(gi_server *s, const gi_listen_address *a, glint_error *err) {
    const gi_server_settings *g = &s->settings;
    gi_fetch_config fetch = g->fetch;
    gi_access_settings access = g->access;
    access.checks_host = a->is_loopback;
    if (g->store.url) GI_TRY(gi_store_create(&g->store, &s->store, err));
    GI_TRY(gi_access_create(&access, g->stores_limits ? s->store : NULL, &s->access, err));
    GI_TRY(check_address(g, a, gi_access_has_auth(s->access), err));
    fetch.has_tenants = gi_access_has_auth(s->access);
    if (s->store && g->stores_fetched) fetch.store = gi_store_hook_fetched(s->store);
    return fetch.n_hosts > 0 ? gi_fetcher_create(&fetch, &s->fetcher, err) : GLINT_OK;
}

/* Under limits_lock, once there is more than one thread. */
static void take_limits(gi_server *s, const gi_server_settings *settings) {
    const int64_t queue_max = settings->queue_max, ready_max = settings->ready_max;
    s->limits = (gi_server_limits){.queue_max = queue_max,
                                   .ready_max = ready_max < queue_max ? ready_max : queue_max,
                                   .drain_ms = settings->drain_ms,
                                   .drain_delay_ms = settings->drain_delay_ms};
    atomic_store(&s->timeout_ms, settings->timeout_ms);
}

static void tell_limits(gi_server *s, gi_infer *infer) {
    gi_infer_set_limits(infer, (size_t)s->limits.queue_max, (size_t)s->limits.ready_max,
                        atomic_load(&s->timeout_ms));
}

glint_status gi_server_open(const gi_server_settings *settings, gi_server **ret, glint_error *err) {
    gi_listen_address a;
    GI_TRY(gi_listen_parse(settings->listen, &a, err));
    gi_server *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "server: no memory");
    s->settings = *settings;
    pthread_mutex_init(&s->limits_lock, NULL);
    take_limits(s, settings);
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

bool gi_server_has_auth(const gi_server *s) {
    return gi_access_has_auth(s->access);
}

glint_status gi_server_reopen_audit(gi_server *s, glint_error *err) {
    return gi_observer_reopen(s->observer, err);
}

void gi_server_set_image_urls(gi_server *s, bool is_on) {
    if (s->fetcher) gi_fetcher_set_off(s->fetcher, !is_on);
}

void gi_server_change(gi_server *s, const gi_server_settings *settings) {
    gi_access_change(s->access, &settings->access);
    pthread_mutex_lock(&s->limits_lock);
    take_limits(s, settings);
    gi_infer *infer = atomic_load(&s->infer);
    if (infer) tell_limits(s, infer);
    pthread_mutex_unlock(&s->limits_lock);
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
        .limits = gi_server_field_limits(s),
    };
    const glint_status st = gi_infer_create(&config, &infer, err);
    if (st != GLINT_OK) {
        glint_engine_close(engine);
        return st;
    }
    s->engine = engine;
    count_tasks(s);
    s->loaded_s = (int64_t)time(NULL);
    pthread_mutex_lock(&s->limits_lock);
    tell_limits(s, infer); /* they may have changed meanwhile */
    atomic_store(&s->infer, infer);
    pthread_mutex_unlock(&s->limits_lock);
    int expected = GI_SERVER_LOADING;
    atomic_compare_exchange_strong(&s->state, &expected, GI_SERVER_READY);
    return GLINT_OK;
}

const glint_engine_info *gi_server_info(const gi_server *s) {
    return atomic_load(&s->infer) ? glint_engine_get_info(s->engine) : NULL;
}

static void drain(gi_server *s, double grace_ms) {
    gi_http_begin_drain(s->http); /* first: who is told to leave is told to hang up, too */
    atomic_store(&s->state, GI_SERVER_DRAINING);
    gi_infer *infer = atomic_load(&s->infer);
    if (infer) gi_infer_drain(infer, grace_ms);
}

void gi_server_drain(gi_server *s) {
    gi_http_begin_drain(s->http);
    atomic_store(&s->state, GI_SERVER_LEAVING);
    usleep((unsigned)s->limits.drain_delay_ms * 1000);
    drain(s, (double)s->limits.drain_ms);
}

void gi_server_close(gi_server *s) {
    if (!s) return;
    drain(s, 0);
    gi_http_close(s->http, CLOSE_GRACE_MS);
    gi_infer_free(atomic_load(&s->infer));
    glint_engine_close(s->engine);
    free_parts(s);
}
