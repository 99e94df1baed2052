/**
 * @file
 * When requests arrive in an open-loop load: a Poisson process, as of many people who know nothing
 * of each other. The gaps are exponential: -ln(u) / rate, u uniform (Knuth, TAOCP 2, 3.4.1).
 */
#ifndef APPS_GLINT_BENCH_SERVE_PLAN_H
#define APPS_GLINT_BENCH_SERVE_PLAN_H

#include "base/fail.h"

#include <stddef.h>
#include <stdint.h>

/** Most arrivals of one plan. */
#define GI_LOAD_PLAN_MAX ((size_t)4 << 20)

/** A seeded generator (splitmix64: Steele, Lea, Flood 2014). Any state is a good one. */
typedef struct gi_load_random {
    uint64_t state;
} gi_load_random;

/** The next 64 bits. */
uint64_t gi_load_random_next(gi_load_random *r);

/** Uniform in (0, 1], so that its logarithm is finite. */
double gi_load_random_unit(gi_load_random *r);

/** Arrivals in milliseconds from the plan's begin, rising. Zero-initialised is none. */
typedef struct gi_load_plan {
    double *due_ms; /**< [n] */
    size_t n;
} gi_load_plan;

/**
 * Draw the arrivals of `duration_ms`. The same seed gives the same plan.
 *
 * @param rate_per_s above 0.
 * @return GLINT_ERR_LIMIT: more than GI_LOAD_PLAN_MAX; GLINT_ERR_MEMORY. The caller frees the plan
 *         with gi_load_plan_done.
 */
glint_status gi_load_plan_poisson(double rate_per_s, double duration_ms, uint64_t seed,
                                  gi_load_plan *ret, glint_error *err);

/** Free. */
void gi_load_plan_done(gi_load_plan *p);

#endif
