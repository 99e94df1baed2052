/**
 * @file
 * The report of `glint bench quality`, for people and as JSON.
 */
#ifndef APPS_GLINT_BENCH_QUALITY_REPORT_H
#define APPS_GLINT_BENCH_QUALITY_REPORT_H

#include "bench_card.h"
#include "bench_quality_tally.h"

typedef struct gi_quality_report {
    gi_bench_card card;
    const char *dir, *url;
    const gi_quality_tally *tally;
} gi_quality_report;

/** Print on stdout. */
void gi_quality_report_print(const gi_quality_report *r, bool verbose);

/** As JSON, with every wrong answer; NULL when memory is short. */
json_t *gi_quality_report_json(const gi_quality_report *r);

#endif
