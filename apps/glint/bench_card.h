/**
 * @file
 * The machine card: what a figure must carry to mean anything later.
 */
#ifndef APPS_GLINT_BENCH_CARD_H
#define APPS_GLINT_BENCH_CARD_H

#include "base/clock.h"
#include "base/fail.h"
#include "kernels/x86/cpu.h"

#include <jansson.h>

typedef struct gi_bench_card {
    char cpu[GI_CPU_BRAND_BYTES];
    unsigned cpu_flags; /**< gi_cpu_flag bits of the machine that the mask allows */
    const char *tier;   /**< the best tier in cpu_flags */
    int n_cpus_online, n_cpus_usable, n_threads;
    char governor[32]; /**< of CPU 0; "not shown" where the system does not say */
    uint64_t memory_bytes;
    double load; /**< mean of runnable tasks over the last minute, before measuring */
    char system[160];
    const char *compiler;
    const char *revision; /**< commit, with -dirty when the tree had changes */
    char time[GI_CLOCK_ISO8601_BYTES];
} gi_bench_card;

/**
 * Fill in the card.
 *
 * @param n_threads of the measurement; 0 = all CPUs this process may use.
 * @param tier_max  best tier allowed, NULL = any.
 * @return GLINT_ERR_ARG: no such tier.
 */
glint_status gi_bench_card_read(int n_threads, const char *tier_max, gi_bench_card *ret,
                                glint_error *err);

/** Three lines for people on stdout; more when the figures are not to be trusted. */
void gi_bench_card_print(const gi_bench_card *c);

/** The same as JSON; NULL when memory is short. */
json_t *gi_bench_card_json(const gi_bench_card *c);

#endif
