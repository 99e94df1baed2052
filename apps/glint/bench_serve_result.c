/*
 * What counts where. Latencies, statuses and errors belong to the requests that were due in the
 * window, however long they took; throughput to the answers that came in it, whenever they were
 * asked for, because load goes on before the window begins.
 */
#include "bench_serve_result.h"

#include <stdio.h>
#include <string.h>

enum { STATUS_OK = 200 };

void gi_load_tally_add(gi_load_tally *t, const char *word) {
    char key[GI_LOAD_WORD_BYTES];
    snprintf(key, sizeof key, "%s", word);
    size_t i = 0;
    while (i < t->n_rows && strcmp(t->rows[i].word, key) != 0) i++;
    if (i == t->n_rows) {
        if (t->n_rows == GI_LOAD_TALLY_MAX) {
            i = GI_LOAD_TALLY_MAX - 1;
            memcpy(t->rows[i].word, "others", sizeof "others");
        } else {
            memcpy(t->rows[t->n_rows++].word, key, sizeof key);
        }
    }
    t->rows[i].n++;
}

json_t *gi_load_tally_json(const gi_load_tally *t) {
    json_t *o = json_object();
    for (size_t i = 0; i < t->n_rows; i++)
        json_object_set_new(o, t->rows[i].word, json_integer((json_int_t)t->rows[i].n));
    return o;
}

bool gi_load_outcome_is_ok(const gi_load_outcome *o) {
    return !o->failure && o->status == STATUS_OK && o->answer->complete && !o->answer->error[0];
}

/* A stream may end without its end, and an error may come in one: then the status says too much. */
static const char *error_word(const gi_load_outcome *o) {
    if (o->failure) return o->failure;
    if (o->answer->error[0]) return o->answer->error;
    return o->status == STATUS_OK ? "incomplete answer" : "no error code";
}

static glint_status add_ok(gi_load_result *r, const gi_load_window *w, const gi_load_outcome *o,
                           glint_error *err) {
    const gi_load_answer *a = o->answer;
    const double latency_ms = o->end_ms - o->due_ms;
    r->n_ok++;
    r->n_in_time += w->deadline_ms <= 0 || latency_ms <= w->deadline_ms;
    if (o->want) {
        r->n_checked++;
        r->n_right += gi_load_answer_is_right(a, o->want);
    }
    if (a->finish[0]) gi_load_tally_add(&r->finishes, a->finish);
    GI_TRY(gi_load_samples_push(&r->latency_ms, latency_ms, err));
    for (size_t i = 0; i < GI_LOAD_N_TIMINGS; i++)
        if (a->timing_ms[i] >= 0)
            GI_TRY(gi_load_samples_push(&r->timing_ms[i], a->timing_ms[i], err));
    for (size_t i = 0; i < GI_LOAD_N_COUNTS; i++)
        if (a->counts[i] >= 0) {
            r->counts[i] += a->counts[i];
            r->n_counted[i]++;
        }
    if (!o->was_stream || a->n_pieces == 0) return GLINT_OK;
    GI_TRY(gi_load_samples_push(&r->first_token_ms, a->first_ms - o->due_ms, err));
    /* Pieces may hold several tokens; where the server counts them, its count is the better one. */
    const double told = a->counts[GI_LOAD_COMPLETION];
    const double tokens = told > 0 ? told : (double)a->n_pieces;
    if (tokens < 2 || a->n_pieces < 2) return GLINT_OK;
    return gi_load_samples_push(&r->per_token_ms, (a->last_ms - a->first_ms) / (tokens - 1), err);
}

glint_status gi_load_result_add(gi_load_result *r, const gi_load_window *w,
                                const gi_load_outcome *o, glint_error *err) {
    const bool ok = gi_load_outcome_is_ok(o);
    if (ok && o->end_ms >= w->begin_ms && o->end_ms < w->end_ms) {
        r->n_answers++;
        const double tokens = o->answer->counts[GI_LOAD_COMPLETION];
        if (tokens > 0) r->n_tokens += tokens;
    }
    if (o->due_ms < w->begin_ms || o->due_ms >= w->end_ms) return GLINT_OK;
    r->n_due++;
    r->n_connections += o->n_connections;
    if (o->status) {
        char word[24];
        snprintf(word, sizeof word, "%ld", o->status);
        gi_load_tally_add(&r->status, word);
    }
    GI_TRY(gi_load_samples_push(&r->late_ms, o->sent_ms - o->due_ms, err));
    if (ok) return add_ok(r, w, o, err);
    gi_load_tally_add(&r->errors, error_word(o));
    return GLINT_OK;
}

void gi_load_result_done(gi_load_result *r) {
    gi_load_samples_done(&r->latency_ms);
    gi_load_samples_done(&r->first_token_ms);
    gi_load_samples_done(&r->per_token_ms);
    gi_load_samples_done(&r->late_ms);
    for (size_t i = 0; i < GI_LOAD_N_TIMINGS; i++) gi_load_samples_done(&r->timing_ms[i]);
}
