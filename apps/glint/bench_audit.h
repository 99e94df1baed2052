/**
 * @file
 * Whole audits through the public API: encoded picture in, answer out. One client, no server.
 */
#ifndef APPS_GLINT_BENCH_AUDIT_H
#define APPS_GLINT_BENCH_AUDIT_H

#include "base/buf.h"
#include "bench_series.h"

#include <glint/glint.h>

/** A picture file, and what its audits took. */
typedef struct gi_bench_audit {
    const char *path; /**< borrowed */
    gi_buf picture;
    gi_bench_series ms;  /**< job created to answer complete */
    glint_timing timing; /**< of the last run */
    glint_usage usage;   /**< of the last run */
} gi_bench_audit;

/** Read the picture. GLINT_ERR_IO, _LIMIT, _MEMORY. The caller calls _done always. */
glint_status gi_bench_audit_init(gi_bench_audit *a, const char *path, glint_error *err);

/** Free. A zeroed audit is fine. */
void gi_bench_audit_done(gi_bench_audit *a);

/** Audit the picture once; the time goes into `ms` unless warm_up. Errors of glint_job_*. */
glint_status gi_bench_audit_run(gi_bench_audit *a, glint_engine *engine, bool warm_up,
                                glint_error *err);

/** {"picture", "ms", "usage", "timing_ms"}; NULL when memory is short. */
json_t *gi_bench_audit_json(const gi_bench_audit *a);

#endif
