/*
 * Figures of a tally, laid out. Shares carry Wilson's interval, because a share of sixty answers
 * says less than its decimals pretend.
 */
#include "bench_quality_report.h"

#include <stdio.h>
#include <string.h>

static double share(size_t n, size_t of) {
    return of ? (double)n / (double)of : 0;
}

/* ---- for people ---- */

static void print_task(const gi_quality_task *t) {
    double interval[2];
    gi_quality_interval(t->n_right, t->n, interval);
    printf("  %-14s %6zu %8.1f %%   %5.1f to %5.1f", t->name, t->n, 100 * share(t->n_right, t->n),
           100 * interval[0], 100 * interval[1]);
    if (t->n_chars) printf("   %8.2f %%", 100 * share(t->distance, t->n_chars));
    putchar('\n');
}

static void print_verdicts(const gi_quality_tally *t) {
    size_t n_answered_none = 0;
    for (size_t i = 0; i < t->n_labels; i++) n_answered_none += t->verdicts[i][0];
    const size_t first = n_answered_none ? 0 : 1;
    printf("\nVerdicts: right ones in rows, answered ones in columns\n  %-12s", "");
    for (size_t j = first; j < t->n_labels; j++) printf(" %8.8s", t->labels[j]);
    putchar('\n');
    for (size_t i = 1; i < t->n_labels; i++) {
        printf("  %-12.12s", t->labels[i]);
        for (size_t j = first; j < t->n_labels; j++) printf(" %8zu", t->verdicts[i][j]);
        putchar('\n');
    }
}

static void print_calibration(const char *name, const gi_quality_calibration *c) {
    const double ece = gi_quality_ece(c);
    if (ece < 0) return;
    printf("\nConfidence of %s; expected calibration error %.3f\n"
           "  confidence   answers     mean    right\n",
           name, ece);
    for (size_t i = 0; i < GI_QUALITY_BINS; i++) {
        const size_t n = c->bins[i].n;
        if (n == 0) continue;
        printf("  %.1f to %.1f   %7zu    %.3f    %.3f\n", (double)i / GI_QUALITY_BINS,
               (double)(i + 1) / GI_QUALITY_BINS, n, c->bins[i].confidence_sum / (double)n,
               share(c->bins[i].n_right, n));
    }
}

/* On one line: line feeds as \n. */
static void print_escaped(const char *name, const char *text) {
    printf("  %-6s", name);
    for (const char *p = text ? text : "(no answer)"; *p; p++) {
        if (*p == '\n')
            fputs("\\n", stdout);
        else
            putchar(*p);
    }
    putchar('\n');
}

static void print_wrong(const json_t *wrong) {
    size_t i;
    json_t *entry;
    puts("\nWrong answers:");
    json_array_foreach(wrong, i, entry) {
        const json_t *confidence = json_object_get(entry, "confidence");
        printf("%s, %s", json_string_value(json_object_get(entry, "image")),
               json_string_value(json_object_get(entry, "task")));
        if (confidence) printf(", confidence %.3f", json_number_value(confidence));
        putchar('\n');
        print_escaped("asked", json_string_value(json_object_get(entry, "prompt")));
        print_escaped("right", json_string_value(json_object_get(entry, "want")));
        print_escaped("got", json_string_value(json_object_get(entry, "got")));
    }
}

void gi_quality_report_print(const gi_quality_report *r, bool verbose) {
    const gi_quality_tally *t = r->tally;
    gi_bench_card_print(&r->card);
    printf("\n%s, %s: %zu questions\n\n", r->url, r->dir, t->total.n);
    printf("  %-14s %6s %10s   %14s   %10s\n", "task", "asked", "right", "95 %", "char. err.");
    for (size_t i = 0; i < t->n_tasks; i++) print_task(&t->tasks[i]);
    if (t->n_tasks > 1) print_task(&t->total);
    if (t->n_labels > 1) print_verdicts(t);
    print_calibration("verdicts (right: the label)", &t->of_verdicts);
    print_calibration("texts (right: every character)", &t->of_texts);
    printf("\nFinished because of:");
    for (size_t i = 0; i < t->n_ends; i++)
        printf("%s %s %zu", i ? "," : "", t->ends[i].word, t->ends[i].n);
    putchar('\n');
    if (t->n_unanswered) printf("Not answered: %zu\n", t->n_unanswered);
    if (verbose && t->wrong) print_wrong(t->wrong);
}

/* ---- JSON ---- */

static json_t *task_json(const gi_quality_task *t) {
    double interval[2] = {0, 1};
    if (t->n) gi_quality_interval(t->n_right, t->n, interval);
    json_t *task =
        json_pack("{sI sI sf s[ff]}", "asked", (json_int_t)t->n, "right", (json_int_t)t->n_right,
                  "share", share(t->n_right, t->n), "interval", interval[0], interval[1]);
    if (task && t->n_chars)
        (void)json_object_set_new(task, "char_error_rate",
                                  json_real(share(t->distance, t->n_chars)));
    return task;
}

static json_t *tasks_json(const gi_quality_tally *t) {
    json_t *tasks = json_object();
    for (size_t i = 0; i < t->n_tasks; i++)
        if (json_object_set_new(tasks, t->tasks[i].name, task_json(&t->tasks[i])) != 0) break;
    return tasks;
}

static json_t *verdicts_json(const gi_quality_tally *t) {
    json_t *rows = json_object();
    for (size_t i = 1; i < t->n_labels; i++) {
        json_t *row = json_object();
        for (size_t j = 0; j < t->n_labels; j++)
            (void)json_object_set_new(row, t->labels[j],
                                      json_integer((json_int_t)t->verdicts[i][j]));
        if (json_object_set_new(rows, t->labels[i], row) != 0) break;
    }
    return rows;
}

static json_t *calibration_json(const gi_quality_calibration *c) {
    const double ece = gi_quality_ece(c);
    if (ece < 0) return json_null();
    json_t *bins = json_array();
    for (size_t i = 0; i < GI_QUALITY_BINS; i++) {
        const size_t n = c->bins[i].n;
        if (n == 0) continue;
        (void)json_array_append_new(
            bins, json_pack("{sf sf sI sf sf}", "from", (double)i / GI_QUALITY_BINS, "to",
                            (double)(i + 1) / GI_QUALITY_BINS, "answers", (json_int_t)n,
                            "confidence", c->bins[i].confidence_sum / (double)n, "right",
                            share(c->bins[i].n_right, n)));
    }
    return json_pack("{sf so}", "ece", ece, "bins", bins);
}

static json_t *ends_json(const gi_quality_tally *t) {
    json_t *ends = json_object();
    for (size_t i = 0; i < t->n_ends; i++)
        (void)json_object_set_new(ends, t->ends[i].word, json_integer((json_int_t)t->ends[i].n));
    return ends;
}

json_t *gi_quality_report_json(const gi_quality_report *r) {
    const gi_quality_tally *t = r->tally;
    return json_pack("{ss so ss ss so so sI so so so so sO*}", "kind", "quality", "card",
                     gi_bench_card_json(&r->card), "scenes", r->dir, "url", r->url, "tasks",
                     tasks_json(t), "total", task_json(&t->total), "unanswered",
                     (json_int_t)t->n_unanswered, "verdicts", verdicts_json(t),
                     "verdict_calibration", calibration_json(&t->of_verdicts), "text_calibration",
                     calibration_json(&t->of_texts), "finish_reasons", ends_json(t), "wrong",
                     t->wrong);
}
