/**
 * @file
 * What `glint bench quality` counts: right answers by task, verdicts against the right ones, how
 * far confidences can be believed, why answers ended.
 */
#ifndef APPS_GLINT_BENCH_QUALITY_TALLY_H
#define APPS_GLINT_BENCH_QUALITY_TALLY_H

#include "bench_quality_cases.h"

#include <stdbool.h>

/** Different tasks, verdicts and reasons to finish that are told apart; the last is "other". */
#define GI_QUALITY_TASKS_MAX  32
#define GI_QUALITY_LABELS_MAX 9
#define GI_QUALITY_ENDS_MAX   16
#define GI_QUALITY_WORD_BYTES 48
#define GI_QUALITY_BINS       10

/** An answer as it came. */
typedef struct gi_quality_answer {
    const char *text;   /**< of a verdict as gi_quality_verdict writes it; NULL = no answer */
    const char *label;  /**< of a verdict; NULL = none */
    double confidence;  /**< negative: not told */
    const char *finish; /**< finish_reason, or why there is no answer */
} gi_quality_answer;

typedef struct gi_quality_task {
    char name[GI_QUALITY_WORD_BYTES];
    size_t n, n_right;
    size_t n_chars, distance; /**< of free text: characters of right answers, and errors */
} gi_quality_task;

/** Answers by their confidence: bin i is [i / 10, (i + 1) / 10), the last one closed. */
typedef struct gi_quality_calibration {
    struct {
        size_t n, n_right;
        double confidence_sum;
    } bins[GI_QUALITY_BINS];
} gi_quality_calibration;

typedef struct gi_quality_count {
    char word[GI_QUALITY_WORD_BYTES];
    size_t n;
} gi_quality_count;

/** Zero-initialise. */
typedef struct gi_quality_tally {
    gi_quality_task tasks[GI_QUALITY_TASKS_MAX]; /**< [n_tasks], in the order they came */
    size_t n_tasks;
    gi_quality_task total;
    size_t n_unanswered;
    char labels[GI_QUALITY_LABELS_MAX]
               [GI_QUALITY_WORD_BYTES]; /**< [n_labels]; the first is "none" */
    size_t n_labels;
    size_t verdicts[GI_QUALITY_LABELS_MAX][GI_QUALITY_LABELS_MAX]; /**< [right][answered] */
    gi_quality_calibration of_verdicts;                            /**< right: the label */
    gi_quality_calibration of_texts;                               /**< right: every character */
    gi_quality_count ends[GI_QUALITY_ENDS_MAX];
    size_t n_ends;
    json_t *wrong; /**< array of the questions with a wrong answer */
} gi_quality_tally;

/** Count one answer. GLINT_ERR_MEMORY. */
glint_status gi_quality_tally_add(gi_quality_tally *t, const gi_quality_case *c,
                                  const gi_quality_answer *a, glint_error *err);

/** Free. */
void gi_quality_tally_done(gi_quality_tally *t);

/** Wilson's interval of 95 % for the share of n_right in n, in [0, 1]; n > 0. */
void gi_quality_interval(size_t n_right, size_t n, double ret[2]);

/** Expected calibration error: the mean distance of confidence and share of right answers, bins
 * weighted by their answers. Negative: no answer had a confidence. */
double gi_quality_ece(const gi_quality_calibration *c);

#endif
