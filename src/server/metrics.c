/*
 * Counters are atomic integers, of microseconds where they are times; a reader may see a request in
 * one metric and not yet in another, which Prometheus expects. Histograms of a route and task are
 * made when the first of their requests ends.
 */
#include "server/metrics.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* Upper ends in seconds. */
static const double BUCKETS_S[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3,
                                   0.5,   0.75,   1,     2.5,  5,     10,   30,  60};

enum {
    N_BUCKETS = sizeof BUCKETS_S / sizeof BUCKETS_S[0],
    N_KINDS = 5,
    N_CODES = GI_API_CODE_COUNT + 1, /* the last: the client was gone */
    CODE_GONE = GI_API_CODE_COUNT,
    N_TASKS = GI_METRICS_TASKS_MAX + 2, /* "" first, "other" last */
    LABELS_BYTES = 256,
};

typedef struct histogram {
    _Atomic uint64_t n[N_BUCKETS + 1], sum_us;
} histogram;

/* Requests of one route and task. */
typedef struct cell {
    histogram total, stages[GI_RECORD_STAGES];
} cell;

struct gi_metrics {
    const char **routes; /* [n_routes] constant texts */
    size_t n_routes;
    char tasks[GI_METRICS_TASKS_MAX][GI_RECORD_TASK_BYTES];
    _Atomic size_t n_tasks;
    _Atomic uint64_t tokens[N_KINDS];
    _Atomic uint64_t *requests; /* [n_routes + 1][N_CODES] */
    _Atomic(cell *) *cells;     /* [n_routes + 1][N_TASKS] */
};

static const char *const KINDS[N_KINDS] = {"prompt", "image", "completion", "forced", "cached"};

/* ---- the table ---- */

static const struct {
    const char *name, *labels, *type, *help;
} SERIES[GI_SERIES_COUNT] = {
#define ROW(id, name, labels, type, help) {name, labels, type, help},
    GI_METRICS_SERIES(ROW)
#undef ROW
};

enum { OWN_BUILD, OWN_REQUESTS, OWN_TOTAL, OWN_STAGES, OWN_TOKENS, OWN_AUTH, N_OWN };

static const gi_metrics_info OWN[N_OWN] = {
    [OWN_BUILD] = {"glint_build_info", "gauge", "version, model, device", "What runs; always 1."},
    [OWN_REQUESTS] = {"glint_requests_total", "counter", "route, status, code",
                      "Requests by answer; code is the error's, empty where there is none, "
                      "client_gone when nobody waited for it."},
    [OWN_TOTAL] = {"glint_request_seconds", "histogram", "route, task",
                   "From a request's headers to its answer."},
    [OWN_STAGES] = {"glint_stage_seconds", "histogram", "stage, route, task",
                    "The parts of it that answers call timing_ms; queue and fetch also of requests "
                    "that gave up or failed while they waited."},
    [OWN_TOKENS] = {"glint_tokens_total", "counter", "kind",
                    "Tokens; image and cached are among prompt, forced among completion."},
    [OWN_AUTH] = {"glint_auth_failures_total", "counter", "reason",
                  "Credentials that were refused."},
};

bool gi_metrics_get(size_t i, gi_metrics_info *ret) {
    if (i < N_OWN) {
        *ret = OWN[i];
        return true;
    }
    size_t n = N_OWN;
    for (size_t s = 0; s < GI_SERIES_COUNT; s++) {
        if (s > 0 && strcmp(SERIES[s].name, SERIES[s - 1].name) == 0) continue;
        if (n++ < i) continue;
        const size_t n_label = strcspn(SERIES[s].labels, "=");
        static const char *const LABELS[] = {"state", "cache", "outcome", "kind"};
        *ret = (gi_metrics_info){SERIES[s].name, SERIES[s].type, "", SERIES[s].help};
        for (size_t l = 0; l < sizeof LABELS / sizeof LABELS[0]; l++)
            if (n_label > 0 && strncmp(LABELS[l], SERIES[s].labels, n_label) == 0)
                ret->labels = LABELS[l];
        return true;
    }
    return false;
}

/* ---- life ---- */

glint_status gi_metrics_create(const char *const *routes, size_t n_routes, gi_metrics **ret,
                               glint_error *err) {
    gi_metrics *m = gi_calloc(1, sizeof *m);
    if (m) {
        m->routes = gi_calloc(n_routes, sizeof *m->routes);
        m->n_routes = n_routes;
        m->requests = gi_calloc((n_routes + 1) * N_CODES, sizeof *m->requests);
        m->cells = gi_calloc((n_routes + 1) * N_TASKS, sizeof *m->cells);
    }
    if (!m || !m->routes || !m->requests || !m->cells) {
        gi_metrics_free(m);
        return gi_fail(err, GLINT_ERR_MEMORY, "metrics: no memory");
    }
    memcpy(m->routes, routes, n_routes * sizeof *routes);
    *ret = m;
    return GLINT_OK;
}

void gi_metrics_free(gi_metrics *m) {
    if (!m) return;
    for (size_t i = 0; m->cells && i < (m->n_routes + 1) * N_TASKS; i++)
        gi_free(atomic_load(&m->cells[i]));
    gi_free(m->cells);
    gi_free(m->requests);
    gi_free(m->routes);
    gi_free(m);
}

void gi_metrics_add_task(gi_metrics *m, const char *name) {
    const size_t n = atomic_load(&m->n_tasks);
    for (size_t i = 0; i < n; i++)
        if (strcmp(m->tasks[i], name) == 0) return;
    if (n == GI_METRICS_TASKS_MAX || strlen(name) >= GI_RECORD_TASK_BYTES) return;
    memcpy(m->tasks[n], name, strlen(name) + 1);
    atomic_store(&m->n_tasks, n + 1);
}

/* ---- counting ---- */

static size_t route_of(const gi_metrics *m, const char *route) {
    size_t i = 0;
    while (i < m->n_routes && strcmp(m->routes[i], route) != 0) i++;
    return i;
}

static size_t task_of(const gi_metrics *m, const char *task) {
    if (!task[0]) return 0;
    const size_t n = atomic_load(&m->n_tasks);
    for (size_t i = 0; i < n; i++)
        if (strcmp(m->tasks[i], task) == 0) return i + 1;
    return N_TASKS - 1;
}

/* The cell, made if it was not there; NULL without memory. */
static cell *cell_of(gi_metrics *m, size_t i_route, size_t i_task) {
    _Atomic(cell *) *at = &m->cells[i_route * N_TASKS + i_task];
    cell *there = atomic_load(at);
    if (there) return there;
    cell *made = gi_calloc(1, sizeof *made);
    if (!made || atomic_compare_exchange_strong(at, &there, made)) return made;
    gi_free(made);
    return there;
}

static void observe(histogram *h, double ms) {
    const double seconds = ms > 0 ? ms / 1e3 : 0;
    size_t i = 0;
    while (i < N_BUCKETS && seconds > BUCKETS_S[i]) i++;
    atomic_fetch_add_explicit(&h->n[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, (uint64_t)(seconds * 1e6), memory_order_relaxed);
}

static void count_tokens(gi_metrics *m, const glint_usage *u) {
    const int counts[N_KINDS] = {u->prompt_tokens, u->image_tokens, u->completion_tokens,
                                 u->forced_tokens, u->cached_tokens};
    for (size_t i = 0; i < N_KINDS; i++)
        atomic_fetch_add(&m->tokens[i], (uint64_t)(counts[i] > 0 ? counts[i] : 0));
}

void gi_metrics_count(gi_metrics *m, const gi_record *r) {
    const size_t i_route = route_of(m, r->route);
    const size_t i_code = r->status == GI_RECORD_CLIENT_GONE ? CODE_GONE : (size_t)r->code;
    atomic_fetch_add(&m->requests[i_route * N_CODES + i_code], 1);
    cell *c = cell_of(m, i_route, task_of(m, r->task));
    if (!c) return;
    observe(&c->total, r->total_ms);
    double stages_ms[GI_RECORD_STAGES];
    gi_record_stages(r->queue_ms, r->fetch_ms, &r->timing, stages_ms);
    /* A kept answer went through none of the model's stages. */
    const bool was_run = r->has_result && !r->is_kept;
    const size_t i_begin = r->has_waited ? 0 : GI_RECORD_STAGES_SERVER;
    const size_t i_end = was_run ? GI_RECORD_STAGES : GI_RECORD_STAGES_SERVER;
    for (size_t i = i_begin; i < i_end; i++) observe(&c->stages[i], stages_ms[i]);
    if (r->has_result) count_tokens(m, &r->usage);
}

/* ---- writing ---- */

static glint_status put_head(gi_buf *b, const gi_metrics_info *info, glint_error *err) {
    return gi_buf_printf(b, err, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
                         info->type);
}

/* Append label="value", escaped as the format wants it. */
static glint_status put_label(gi_buf *b, const char *label, const char *value, glint_error *err) {
    GI_TRY(gi_buf_printf(b, err, "%s=\"", label));
    for (const char *p = value; *p; p++) {
        if (*p == '\n')
            GI_TRY(gi_buf_puts(b, "\\n", err));
        else if (*p == '"' || *p == '\\')
            GI_TRY(gi_buf_printf(b, err, "\\%c", *p));
        else
            GI_TRY(gi_buf_push(b, p, 1, err));
    }
    return gi_buf_puts(b, "\"", err);
}

static glint_status put_build(const gi_metrics_view *v, gi_buf *b, glint_error *err) {
    const struct {
        const char *label, *value;
    } rows[] = {{"version", v->version}, {"model", v->model}, {"device", v->device}};
    GI_TRY(put_head(b, &OWN[OWN_BUILD], err));
    GI_TRY(gi_buf_printf(b, err, "%s{", OWN[OWN_BUILD].name));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (i > 0) GI_TRY(gi_buf_puts(b, ",", err));
        GI_TRY(put_label(b, rows[i].label, rows[i].value ? rows[i].value : "", err));
    }
    return gi_buf_puts(b, "} 1\n", err);
}

static const char *route_name(const gi_metrics *m, size_t i) {
    return i < m->n_routes ? m->routes[i] : "-";
}

static const char *task_name(const gi_metrics *m, size_t i) {
    return i == 0 ? "" : i == N_TASKS - 1 ? "other" : m->tasks[i - 1];
}

static glint_status put_requests(const gi_metrics *m, gi_buf *b, glint_error *err) {
    GI_TRY(put_head(b, &OWN[OWN_REQUESTS], err));
    for (size_t r = 0; r <= m->n_routes; r++)
        for (size_t c = 0; c < N_CODES; c++) {
            const uint64_t n = atomic_load(&m->requests[r * N_CODES + c]);
            if (n == 0) continue;
            const gi_api_error_info *info = gi_api_error_get((gi_api_code)c);
            const bool is_gone = c == CODE_GONE;
            GI_TRY(gi_buf_printf(b, err, "%s{route=\"%s\",status=\"%d\",code=\"%s\"} %" PRIu64 "\n",
                                 OWN[OWN_REQUESTS].name, route_name(m, r),
                                 is_gone ? GI_RECORD_CLIENT_GONE : info->status,
                                 is_gone ? "client_gone" : info->code, n));
        }
    return GLINT_OK;
}

static glint_status put_histogram(const char *name, const char *labels, const histogram *h,
                                  gi_buf *b, glint_error *err) {
    uint64_t n = 0;
    for (size_t i = 0; i < N_BUCKETS; i++) {
        n += atomic_load(&h->n[i]);
        GI_TRY(gi_buf_printf(b, err, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
                             BUCKETS_S[i], n));
    }
    n += atomic_load(&h->n[N_BUCKETS]);
    return gi_buf_printf(b, err,
                         "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n%s_sum{%s} %.6f\n"
                         "%s_count{%s} %" PRIu64 "\n",
                         name, labels, n, name, labels, (double)atomic_load(&h->sum_us) / 1e6, name,
                         labels, n);
}

static bool is_empty(const histogram *h) {
    for (size_t i = 0; i <= N_BUCKETS; i++)
        if (atomic_load(&h->n[i]) > 0) return false;
    return true;
}

/* Of one cell: the total, or its stages. Names of tasks have no characters to be escaped. */
static glint_status put_cell(const gi_metrics *m, size_t r, size_t t, bool is_total, gi_buf *b,
                             glint_error *err) {
    const cell *c = atomic_load(&m->cells[r * N_TASKS + t]);
    if (!c) return GLINT_OK;
    gi_buf labels;
    gi_buf_init(&labels, LABELS_BYTES);
    glint_status st = GLINT_OK;
    for (size_t i = 0; st == GLINT_OK && i < (is_total ? 1 : GI_RECORD_STAGES); i++) {
        const histogram *h = is_total ? &c->total : &c->stages[i];
        if (is_empty(h)) continue;
        gi_buf_clear(&labels);
        if (!is_total) st = gi_buf_printf(&labels, err, "stage=\"%s\",", gi_record_stage_names[i]);
        if (st == GLINT_OK)
            st = gi_buf_printf(&labels, err, "route=\"%s\",task=\"%s\"", route_name(m, r),
                               task_name(m, t));
        if (st == GLINT_OK)
            st = put_histogram(OWN[is_total ? OWN_TOTAL : OWN_STAGES].name,
                               (const char *)labels.data, h, b, err);
    }
    gi_buf_done(&labels);
    return st;
}

static glint_status put_times(const gi_metrics *m, bool is_total, gi_buf *b, glint_error *err) {
    GI_TRY(put_head(b, &OWN[is_total ? OWN_TOTAL : OWN_STAGES], err));
    for (size_t r = 0; r <= m->n_routes; r++)
        for (size_t t = 0; t < N_TASKS; t++) GI_TRY(put_cell(m, r, t, is_total, b, err));
    return GLINT_OK;
}

static glint_status put_tokens(const gi_metrics *m, gi_buf *b, glint_error *err) {
    GI_TRY(put_head(b, &OWN[OWN_TOKENS], err));
    for (size_t i = 0; i < N_KINDS; i++)
        GI_TRY(gi_buf_printf(b, err, "%s{kind=\"%s\"} %" PRIu64 "\n", OWN[OWN_TOKENS].name,
                             KINDS[i], atomic_load(&m->tokens[i])));
    return GLINT_OK;
}

static glint_status put_auth(const gi_metrics_view *v, gi_buf *b, glint_error *err) {
    GI_TRY(put_head(b, &OWN[OWN_AUTH], err));
    for (size_t i = 0; i < v->n_auth_failures; i++) {
        GI_TRY(gi_buf_printf(b, err, "%s{", OWN[OWN_AUTH].name));
        GI_TRY(put_label(b, "reason", v->auth_failures[i].reason, err));
        GI_TRY(gi_buf_printf(b, err, "} %" PRIu64 "\n", v->auth_failures[i].n));
    }
    return GLINT_OK;
}

static glint_status put_series(const gi_metrics_view *v, gi_buf *b, glint_error *err) {
    const char *head = "";
    for (size_t i = 0; i < GI_SERIES_COUNT; i++) {
        if (isnan(v->values[i])) continue;
        if (strcmp(head, SERIES[i].name) != 0) {
            size_t first = i;
            while (first > 0 && strcmp(SERIES[first - 1].name, SERIES[i].name) == 0) first--;
            head = SERIES[i].name;
            const gi_metrics_info info = {head, SERIES[i].type, "", SERIES[first].help};
            GI_TRY(put_head(b, &info, err));
        }
        const char *const braces[] = {SERIES[i].labels[0] ? "{" : "",
                                      SERIES[i].labels[0] ? "}" : ""};
        GI_TRY(gi_buf_printf(b, err, "%s%s%s%s %.15g\n", SERIES[i].name, braces[0],
                             SERIES[i].labels, braces[1], v->values[i]));
    }
    return GLINT_OK;
}

void gi_metrics_view_init(gi_metrics_view *v) {
    *v = (gi_metrics_view){0};
    for (size_t i = 0; i < GI_SERIES_COUNT; i++) v->values[i] = (double)NAN;
}

glint_status gi_metrics_write(const gi_metrics *m, const gi_metrics_view *v, gi_buf *b,
                              glint_error *err) {
    GI_TRY(put_build(v, b, err));
    GI_TRY(put_requests(m, b, err));
    GI_TRY(put_times(m, true, b, err));
    GI_TRY(put_times(m, false, b, err));
    GI_TRY(put_tokens(m, b, err));
    GI_TRY(put_auth(v, b, err));
    return put_series(v, b, err);
}
