/**
 * @file
 * The machine's measured ceilings: arithmetic from registers and reading from memory.
 */
#ifndef APPS_GLINT_BENCH_CEILINGS_H
#define APPS_GLINT_BENCH_CEILINGS_H

#include "bench_card.h"
#include "bench_series.h"
#include "kernels/peak/peak.h"

#include <stdbool.h>

typedef struct gi_bench_ceilings {
    const gi_bench_card *card;
    gi_bench_series one[GI_PEAKS_N]; /**< 10^9 operations/s of one thread; empty = not here */
    gi_bench_series all[GI_PEAKS_N]; /**< of card->n_threads threads */
    gi_bench_series read_one[GI_PEAK_READINGS_N]; /**< GB/s, by pattern; empty = not here */
    gi_bench_series read_all[GI_PEAK_READINGS_N];
    size_t read_bytes; /**< memory read */
} gi_bench_ceilings;

/**
 * Measure. All kinds take turns in every round, so that a busy neighbour meets all alike.
 *
 * @param card       says which tiers and how many threads; kept in ret.
 * @param rounds     1..GI_BENCH_ROUNDS_MAX.
 * @param sample_ms  length of one arithmetic sample.
 * @param read_bytes memory to read; several times the last-level cache.
 * GLINT_ERR_MEMORY, GLINT_ERR_IO (threads), GLINT_ERR_INTERNAL (a sum was wrong).
 */
glint_status gi_bench_ceilings_measure(const gi_bench_card *card, size_t rounds, double sample_ms,
                                       size_t read_bytes, gi_bench_ceilings *ret, glint_error *err);

/** Index in gi_peaks of the fastest kind whose key begins with `prefix` ("s8", "bf16"); -1: none.
 */
int gi_bench_ceilings_find(const gi_bench_ceilings *c, const char *prefix);

/** Median of the fastest reading pattern, GB/s, with all threads. */
double gi_bench_ceilings_read_gb_per_s(const gi_bench_ceilings *c);

/** A table on stdout. */
void gi_bench_ceilings_print(const gi_bench_ceilings *c);

/** The same as JSON; NULL when memory is short. */
json_t *gi_bench_ceilings_json(const gi_bench_ceilings *c);

#endif
