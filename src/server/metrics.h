/**
 * @file
 * Figures about the server in Prometheus' text format 0.0.4, for GET /metrics.
 *
 * Two kinds: what is counted as requests end (gi_metrics_count, lock-free), and what others count
 * and is read when somebody asks (the series of metrics_table.h). Metrics have one table,
 * gi_metrics_get, which docs/operations.md is compared with.
 */
#ifndef GI_SERVER_METRICS_H
#define GI_SERVER_METRICS_H

#include "server/metrics_table.h"
#include "server/record.h"

#include <stdbool.h>

#define GI_METRICS_MEDIA_TYPE "text/plain; version=0.0.4; charset=utf-8"

/** Longest output. */
#define GI_METRICS_BYTES_MAX (4 * 1024 * 1024)

/** Most tasks with figures of their own; those of others are task="other". */
#define GI_METRICS_TASKS_MAX 32

typedef struct gi_metrics gi_metrics;

/** @param routes [n_routes] constant texts; other routes are counted as "-". GLINT_ERR_MEMORY. */
glint_status gi_metrics_create(const char *const *routes, size_t n_routes, gi_metrics **ret,
                               glint_error *err);

/** NULL is fine. */
void gi_metrics_free(gi_metrics *m);

/** Give a task figures of its own; it keeps them. One thread at a time, beside any number of others
 * in gi_metrics_count. */
void gi_metrics_add_task(gi_metrics *m, const char *name);

/** A request has ended. Any thread. */
void gi_metrics_count(gi_metrics *m, const gi_record *r);

/** A counter with a label that is known only while the program runs. */
typedef struct gi_metrics_reason {
    const char *reason;
    uint64_t n;
} gi_metrics_reason;

/** What others count, read at one moment. */
typedef struct gi_metrics_view {
    double values[GI_SERIES_COUNT]; /**< NAN: not there, left out */
    const gi_metrics_reason *auth_failures;
    size_t n_auth_failures;
    const char *version, *model, *device; /**< NULL: not known */
} gi_metrics_view;

/** A view in which nothing is there. */
void gi_metrics_view_init(gi_metrics_view *view);

/** Append all of it. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_metrics_write(const gi_metrics *m, const gi_metrics_view *view, gi_buf *b,
                              glint_error *err);

/** A metric, for people. */
typedef struct gi_metrics_info {
    const char *name, *type, *labels, *help;
} gi_metrics_info;

/** The i-th metric; false behind the last. */
bool gi_metrics_get(size_t i, gi_metrics_info *ret);

#endif
