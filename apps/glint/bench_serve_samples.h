/**
 * @file
 * Every value of a load, kept: percentiles are exact, no histogram's bins round a tail.
 */
#ifndef APPS_GLINT_BENCH_SERVE_SAMPLES_H
#define APPS_GLINT_BENCH_SERVE_SAMPLES_H

#include "base/fail.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** Most values of one kind. */
#define GI_LOAD_SAMPLES_MAX ((size_t)16 << 20)

/** Zero-initialise. */
typedef struct gi_load_samples {
    double *values; /**< [n]; in order of size once sorted */
    size_t n, cap;
    bool sorted;
} gi_load_samples;

/** Add a value. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_load_samples_push(gi_load_samples *s, double value, glint_error *err);

/**
 * The smallest value that `share` (0..1] of all do not exceed: the nearest rank, never a mean of
 * two. 0 when empty. Sorts what is not sorted.
 */
double gi_load_samples_at(gi_load_samples *s, double share);

/** Their mean; 0 when empty. */
double gi_load_samples_mean(const gi_load_samples *s);

/** {"n", "mean", "min", "p50", "p90", "p99", "p999", "max"}; null when empty. NULL: no memory. */
json_t *gi_load_samples_json(gi_load_samples *s);

/** [[share, value], ...] for a plot of the distribution, dense towards 1. NULL: no memory. */
json_t *gi_load_samples_cdf_json(gi_load_samples *s);

/** Free. */
void gi_load_samples_done(gi_load_samples *s);

#endif
