/*
 * The same figures twice. Where a figure can be misread, the text says how it was taken.
 */
#include "bench_serve_report.h"

#include <inttypes.h>
#include <stdio.h>

static double per_s(double n, double window_ms) {
    return 1e3 * n / window_ms;
}

static double share(size_t part, size_t of) {
    return of ? (double)part / (double)of : 0;
}

static double mean_count(const gi_load_result *r, gi_load_count c) {
    return r->n_counted[c] ? r->counts[c] / (double)r->n_counted[c] : -1;
}

static void name_stage(const gi_load_stage *s, char *out, size_t n) {
    if (s->rate_per_s > 0)
        snprintf(out, n, "%g requests/s", s->rate_per_s);
    else
        snprintf(out, n, "%zu client%s", s->n_clients, s->n_clients == 1 ? "" : "s");
}

/* ---- text ---- */

static const char *what_is_sent(const gi_load_recipe *r) {
    if (r->same_request) return "always the same request";
    if (r->same_picture) return "always the same picture, a new question each time";
    return r->vary ? "every picture with a mark of its own" : "in turns, as they are";
}

static void print_head(const gi_load_report *r) {
    const gi_load_settings *o = r->settings;
    const gi_load_recipe *q = o->recipe;
    gi_bench_card_print(&r->card);
    printf("\nPOST %s%s, %s%s\n", o->url, gi_load_body_path(q),
           q->form ? "multipart/form-data" : "JSON", q->stream ? ", streamed" : "");
    printf("%zu pictures, %.1f KiB on average, %s\n", q->pictures->n,
           (double)q->pictures->bytes / 1024 / (double)q->pictures->n, what_is_sent(q));
    if (r->n_warm_up)
        printf("not counted: %zu requests to warm up (the first took %.1f ms)", r->n_warm_up,
               r->first_answer_ms);
    else
        printf("no request to warm up: a cold start counts");
    printf("%s %g s of load before each window\n", r->n_warm_up ? ", and" : ";",
           o->settle_ms / 1e3);
    printf("latency: from when a request was due (%s) to the last byte of its answer\n",
           r->n_results && r->results[0].stage.rate_per_s > 0
               ? "its place in the schedule, whether or not it could be sent"
               : "the client's last answer and its time to think");
}

static void print_tally(const char *name, const gi_load_tally *t) {
    if (t->n_rows == 0) return;
    printf("  %-22s", name);
    for (size_t i = 0; i < t->n_rows; i++)
        printf("%s%s: %zu", i ? ", " : "", t->rows[i].word, t->rows[i].n);
    putchar('\n');
}

static void print_samples(const char *name, gi_load_samples *s) {
    if (s->n == 0 || gi_load_samples_at(s, 1) <= 0) return;
    printf("  %-22s%9.1f%10.1f%10.1f%10.1f%10.1f%10.1f\n", name, gi_load_samples_at(s, 0.5),
           gi_load_samples_at(s, 0.9), gi_load_samples_at(s, 0.99), gi_load_samples_at(s, 0.999),
           gi_load_samples_at(s, 1), gi_load_samples_mean(s));
}

static void print_tokens(const gi_load_result *r) {
    if (r->n_counted[GI_LOAD_COMPLETION] == 0) return;
    printf("  %-22s%.0f/s; an answer has %.1f", "tokens", per_s(r->n_tokens, r->window_ms),
           mean_count(r, GI_LOAD_COMPLETION));
    if (r->n_counted[GI_LOAD_FORCED]) printf(" (forced %.1f)", mean_count(r, GI_LOAD_FORCED));
    if (r->n_counted[GI_LOAD_PROMPT]) printf(", a prompt %.1f", mean_count(r, GI_LOAD_PROMPT));
    if (r->n_counted[GI_LOAD_CACHED]) printf(" (cached %.1f)", mean_count(r, GI_LOAD_CACHED));
    putchar('\n');
}

static void print_generator(gi_load_result *r) {
    printf("  %-22s%.1f %% of a core; sent P99 %.2f ms, at most %.2f ms late; %zu under way at "
           "most, %zu new connections\n",
           "generator", 100 * r->cpu_share, gi_load_samples_at(&r->late_ms, 0.99),
           gi_load_samples_at(&r->late_ms, 1), r->n_under_way_max, r->n_connections);
    if (r->cpu_share > GI_LOAD_CPU_SHARE_MAX)
        printf("  WARNING: the generator used more than %.0f %% of a core: on the server's own "
               "machine it disturbs what it measures\n",
               100 * GI_LOAD_CPU_SHARE_MAX);
}

static void print_result(const gi_load_report *rep, gi_load_result *r) {
    char name[64];
    name_stage(&r->stage, name, sizeof name);
    printf("\n%s, %g s\n", name, r->window_ms / 1e3);
    printf("  %-22s%zu, %zu answered; %.2f answers/s\n", "requests", r->n_due, r->n_ok,
           per_s((double)r->n_answers, r->window_ms));
    if (r->n_checked)
        printf("  %-22s%.1f %% of %zu\n", "right answers", 100 * share(r->n_right, r->n_checked),
               r->n_checked);
    if (rep->settings->deadline_ms > 0)
        printf("  %-22s%.1f %% within %g ms\n", "goodput", 100 * share(r->n_in_time, r->n_due),
               rep->settings->deadline_ms);
    print_tally("status", &r->status);
    print_tally("errors", &r->errors);
    print_tally("finish_reason", &r->finishes);
    printf("  %-22s%9s%10s%10s%10s%10s%10s\n", "ms", "P50", "P90", "P99", "P99.9", "max", "mean");
    print_samples("latency", &r->latency_ms);
    print_samples("to first token", &r->first_token_ms);
    print_samples("per token", &r->per_token_ms);
    for (size_t i = 0; i < GI_LOAD_N_TIMINGS; i++) {
        char label[32];
        snprintf(label, sizeof label, "server: %s", gi_load_timing_names[i]);
        print_samples(label, &r->timing_ms[i]);
    }
    print_tokens(r);
    print_generator(r);
}

static void print_summary(const gi_load_report *rep) {
    if (rep->n_results < 2) return;
    printf("\n  %-20s%12s%10s%10s%10s%10s%10s\n", "load", "answers/s", "P50 ms", "P90 ms", "P99 ms",
           "max ms", "failed");
    for (size_t i = 0; i < rep->n_results; i++) {
        gi_load_result *r = &rep->results[i];
        char name[64];
        name_stage(&r->stage, name, sizeof name);
        printf("  %-20s%12.2f%10.1f%10.1f%10.1f%10.1f%10zu\n", name,
               per_s((double)r->n_answers, r->window_ms), gi_load_samples_at(&r->latency_ms, 0.5),
               gi_load_samples_at(&r->latency_ms, 0.9), gi_load_samples_at(&r->latency_ms, 0.99),
               gi_load_samples_at(&r->latency_ms, 1), r->n_due - r->n_ok);
    }
}

/* Bytes a cache has seen before may be answered from it: a figure must not hide that. */
static void print_repeats(const gi_load_report *r) {
    const gi_load_recipe *q = r->settings->recipe;
    size_t n = r->n_warm_up;
    for (size_t i = 0; i < r->n_results; i++) n += r->results[i].n_due;
    if (q->vary || q->same_picture || q->same_request || n <= q->pictures->n) return;
    printf("\nNote: %zu requests had %zu pictures between them; those that came again may have "
           "been answered from a cache (--vary makes each one new)\n",
           n, q->pictures->n);
}

void gi_load_report_print(gi_load_report *r) {
    print_head(r);
    for (size_t i = 0; i < r->n_results; i++) print_result(r, &r->results[i]);
    print_summary(r);
    print_repeats(r);
    if (r->n_idle)
        printf("\nidle connections: %zu opened, %zu still open at the end\n", r->n_idle,
               r->n_idle_left);
}

/* ---- JSON ---- */

static json_t *timings_json(gi_load_result *r) {
    json_t *o = json_object();
    for (size_t i = 0; i < GI_LOAD_N_TIMINGS; i++)
        if (r->timing_ms[i].n)
            json_object_set_new(o, gi_load_timing_names[i], gi_load_samples_json(&r->timing_ms[i]));
    return o;
}

static json_t *usage_json(const gi_load_result *r) {
    json_t *o = json_object();
    for (size_t i = 0; i < GI_LOAD_N_COUNTS; i++)
        if (r->n_counted[i])
            json_object_set_new(o, gi_load_count_names[i],
                                json_pack("{sf sI}", "mean", mean_count(r, (gi_load_count)i),
                                          "answers", (json_int_t)r->n_counted[i]));
    return o;
}

static json_t *result_json(const gi_load_report *rep, gi_load_result *r) {
    const bool open = r->stage.rate_per_s > 0;
    json_t *o = json_pack("{so* so* sf sI sI sI sf sf}", "rate_per_s",
                          open ? json_real(r->stage.rate_per_s) : NULL, "clients",
                          open ? NULL : json_integer((json_int_t)r->stage.n_clients), "window_s",
                          r->window_ms / 1e3, "requests", (json_int_t)r->n_due, "answered",
                          (json_int_t)r->n_ok, "answers_in_window", (json_int_t)r->n_answers,
                          "answers_per_s", per_s((double)r->n_answers, r->window_ms),
                          "tokens_per_s", per_s(r->n_tokens, r->window_ms));
    if (r->n_checked)
        json_object_set_new(
            o, "right",
            json_pack("{sI sI}", "n", (json_int_t)r->n_right, "of", (json_int_t)r->n_checked));
    if (rep->settings->deadline_ms > 0)
        json_object_set_new(o, "goodput", json_real(share(r->n_in_time, r->n_due)));
    json_object_set_new(o, "status", gi_load_tally_json(&r->status));
    json_object_set_new(o, "errors", gi_load_tally_json(&r->errors));
    json_object_set_new(o, "finish_reasons", gi_load_tally_json(&r->finishes));
    json_object_set_new(o, "latency_ms", gi_load_samples_json(&r->latency_ms));
    json_object_set_new(o, "latency_cdf", gi_load_samples_cdf_json(&r->latency_ms));
    json_object_set_new(o, "first_token_ms", gi_load_samples_json(&r->first_token_ms));
    json_object_set_new(o, "per_token_ms", gi_load_samples_json(&r->per_token_ms));
    json_object_set_new(o, "timing_ms", timings_json(r));
    json_object_set_new(o, "usage", usage_json(r));
    json_object_set_new(o, "generator",
                        json_pack("{sf so sI sI}", "cpu_share", r->cpu_share, "late_ms",
                                  gi_load_samples_json(&r->late_ms), "under_way_max",
                                  (json_int_t)r->n_under_way_max, "connections",
                                  (json_int_t)r->n_connections));
    return o;
}

json_t *gi_load_report_json(gi_load_report *r) {
    const gi_load_settings *s = r->settings;
    const gi_load_recipe *q = s->recipe;
    json_t *loads = json_array();
    for (size_t i = 0; i < r->n_results; i++)
        json_array_append_new(loads, result_json(r, &r->results[i]));
    return json_pack("{ss so ss ss ss ss sb s{sI sI} s{sI sf sf} sf sf so s{sI sI}}", "kind",
                     "serve", "card", gi_bench_card_json(&r->card), "url", s->url, "route",
                     gi_load_body_path(q), "body", q->form ? "form" : "json", "sent",
                     what_is_sent(q), "stream", (int)q->stream, "pictures", "n",
                     (json_int_t)q->pictures->n, "bytes", (json_int_t)q->pictures->bytes, "warm_up",
                     "requests", (json_int_t)r->n_warm_up, "first_answer_ms", r->first_answer_ms,
                     "settle_s", s->settle_ms / 1e3, "think_ms", s->think_ms, "deadline_ms",
                     s->deadline_ms, "loads", loads, "idle_connections", "opened",
                     (json_int_t)r->n_idle, "open_at_end", (json_int_t)r->n_idle_left);
}
