/**
 * @file
 * Repeated measurements of one thing. What is reported is the median: on a shared machine the mean
 * belongs to the worst neighbour and the best run to luck.
 */
#ifndef APPS_GLINT_BENCH_SERIES_H
#define APPS_GLINT_BENCH_SERIES_H

#include <jansson.h>
#include <stddef.h>

/** Most rounds of a measurement. */
#define GI_BENCH_ROUNDS_MAX 64

/** Zero-initialise. */
typedef struct gi_bench_series {
    double values[GI_BENCH_ROUNDS_MAX]; /**< in the order measured */
    size_t n;
} gi_bench_series;

/** Add a value; at most GI_BENCH_ROUNDS_MAX. */
void gi_bench_series_push(gi_bench_series *s, double value);

/** The middle value, or the mean of the two middle ones; 0 when empty. */
double gi_bench_series_median(const gi_bench_series *s);

/** Smallest and largest value; 0 when empty. */
double gi_bench_series_min(const gi_bench_series *s);
double gi_bench_series_max(const gi_bench_series *s);

/** {"median", "min", "max", "runs": [...]}; NULL when memory is short. */
json_t *gi_bench_series_json(const gi_bench_series *s);

#endif
