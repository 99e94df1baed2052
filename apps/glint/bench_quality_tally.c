/*
 * Counting, and nothing else: what an answer is compared with stands in the case, what is printed
 * in the report. An answer that never came is wrong in every respect but has no confidence.
 */
#include "bench_quality_tally.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The task's row; when there are too many, the last one, "other". */
static gi_quality_task *task_row(gi_quality_tally *t, const char *name) {
    for (size_t i = 0; i < t->n_tasks; i++)
        if (strcmp(t->tasks[i].name, name) == 0) return &t->tasks[i];
    if (t->n_tasks == GI_QUALITY_TASKS_MAX) return &t->tasks[GI_QUALITY_TASKS_MAX - 1];
    gi_quality_task *row = &t->tasks[t->n_tasks++];
    snprintf(row->name, sizeof row->name, "%s",
             t->n_tasks == GI_QUALITY_TASKS_MAX ? "other" : name);
    return row;
}

static size_t label_index(gi_quality_tally *t, const char *label) {
    if (t->n_labels == 0) snprintf(t->labels[t->n_labels++], GI_QUALITY_WORD_BYTES, "none");
    if (!label) return 0;
    for (size_t i = 1; i < t->n_labels; i++)
        if (strcmp(t->labels[i], label) == 0) return i;
    if (t->n_labels == GI_QUALITY_LABELS_MAX) return GI_QUALITY_LABELS_MAX - 1;
    const bool is_last = t->n_labels == GI_QUALITY_LABELS_MAX - 1;
    snprintf(t->labels[t->n_labels], GI_QUALITY_WORD_BYTES, "%s", is_last ? "other" : label);
    return t->n_labels++;
}

static void count_end(gi_quality_tally *t, const char *word) {
    for (size_t i = 0; i < t->n_ends; i++) {
        if (strcmp(t->ends[i].word, word) != 0) continue;
        t->ends[i].n++;
        return;
    }
    if (t->n_ends < GI_QUALITY_ENDS_MAX) {
        const bool is_last = t->n_ends == GI_QUALITY_ENDS_MAX - 1;
        gi_quality_count *end = &t->ends[t->n_ends++];
        snprintf(end->word, sizeof end->word, "%s", is_last ? "other" : word);
    }
    t->ends[t->n_ends - 1].n++;
}

static void calibrate(gi_quality_calibration *c, double confidence, bool right) {
    if (!(confidence >= 0 && confidence <= 1)) return;
    const size_t bin = (size_t)(confidence * GI_QUALITY_BINS);
    const size_t i = bin < GI_QUALITY_BINS ? bin : GI_QUALITY_BINS - 1;
    c->bins[i].n++;
    c->bins[i].n_right += right;
    c->bins[i].confidence_sum += confidence;
}

static glint_status note_wrong(gi_quality_tally *t, const gi_quality_case *c,
                               const gi_quality_answer *a, glint_error *err) {
    if (!t->wrong) t->wrong = json_array();
    json_t *entry =
        json_pack("{ss ss ss ss ss* ss}", "image", c->image, "task", c->task, "prompt", c->prompt,
                  "want", c->want, "got", a->text, "finish_reason", a->finish);
    if (entry && a->confidence >= 0)
        (void)json_object_set_new(entry, "confidence", json_real(a->confidence));
    if (t->wrong && json_array_append_new(t->wrong, entry) == 0) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a wrong answer");
}

static void add_right(gi_quality_task *row, bool right, size_t distance, size_t n_chars) {
    row->n++;
    row->n_right += right;
    row->distance += distance;
    row->n_chars += n_chars;
}

glint_status gi_quality_tally_add(gi_quality_tally *t, const gi_quality_case *c,
                                  const gi_quality_answer *a, glint_error *err) {
    const bool right = a->text && strcmp(a->text, c->want) == 0;
    size_t distance = 0, n_chars = 0;
    if (!c->label)
        GI_TRY(gi_quality_distance(a->text ? a->text : "", c->want, &distance, &n_chars, err));
    add_right(task_row(t, c->task), right, distance, n_chars);
    add_right(&t->total, right, distance, n_chars);
    t->n_unanswered += !a->text;
    count_end(t, a->finish);
    if (c->label) {
        const size_t want = label_index(t, c->label), got = label_index(t, a->label);
        t->verdicts[want][got]++;
        if (a->text) calibrate(&t->of_verdicts, a->confidence, want == got);
    } else if (a->text) {
        calibrate(&t->of_texts, a->confidence, right);
    }
    return right ? GLINT_OK : note_wrong(t, c, a, err);
}

void gi_quality_tally_done(gi_quality_tally *t) {
    json_decref(t->wrong);
    *t = (gi_quality_tally){0};
}

void gi_quality_interval(size_t n_right, size_t n, double ret[2]) {
    const double z = 1.959964, count = (double)n, p = (double)n_right / count;
    const double middle = p + z * z / (2 * count), scale = 1 + z * z / count;
    const double half = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count));
    ret[0] = fmax((middle - half) / scale, 0);
    ret[1] = fmin((middle + half) / scale, 1);
}

double gi_quality_ece(const gi_quality_calibration *c) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < GI_QUALITY_BINS; i++) {
        sum += fabs(c->bins[i].confidence_sum - (double)c->bins[i].n_right);
        n += (double)c->bins[i].n;
    }
    return n > 0 ? sum / n : -1;
}
