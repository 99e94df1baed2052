/**
 * @file
 * What `glint bench serve` prints: a text for people, JSON for programs.
 */
#ifndef APPS_GLINT_BENCH_SERVE_REPORT_H
#define APPS_GLINT_BENCH_SERVE_REPORT_H

#include "bench_card.h"
#include "bench_serve_load.h"

/** Most loads of one run. */
#define GI_LOAD_STAGES_MAX 64

/** More of one core than this, and the generator disturbs what it measures. */
#define GI_LOAD_CPU_SHARE_MAX 0.2

typedef struct gi_load_report {
    gi_bench_card card;
    const gi_load_settings *settings;
    size_t n_warm_up;        /**< requests before the first load */
    double first_answer_ms;  /**< of the very first one; negative = there was none */
    gi_load_result *results; /**< [n_results]; their samples get sorted */
    size_t n_results;
    size_t n_idle, n_idle_left; /**< idle connections opened, and open at the end */
} gi_load_report;

/** On stdout. */
void gi_load_report_print(gi_load_report *r);

/** NULL when memory is short. */
json_t *gi_load_report_json(gi_load_report *r);

#endif
