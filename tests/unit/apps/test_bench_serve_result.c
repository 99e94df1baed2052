/*
 * glint bench serve: which request counts where. The window's edges are the point.
 */
#include "../cm.h"

#include "../../../apps/glint/bench_serve_result.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

static const gi_load_window WINDOW = {.begin_ms = 100, .end_ms = 200, .deadline_ms = 50};

static gi_load_answer answer_of(double tokens) {
    gi_load_answer a;
    gi_load_answer_init(&a, GI_LOAD_API_GLINT);
    a.complete = true;
    a.counts[GI_LOAD_COMPLETION] = tokens;
    return a;
}

static void add(gi_load_result *r, double due_ms, double end_ms, long status,
                const gi_load_answer *a) {
    const gi_load_outcome o = {.due_ms = due_ms,
                               .sent_ms = due_ms + 1,
                               .end_ms = end_ms,
                               .status = status,
                               .failure = status ? NULL : "timeout",
                               .answer = a};
    assert_int_equal(gi_load_result_add(r, &WINDOW, &o, NULL), GLINT_OK);
}

static void windows_have_edges(void **state) {
    gi_load_result r = {0};
    gi_load_answer a = answer_of(10);
    add(&r, 90, 99, 200, &a); /* before: counts nowhere */
    assert_true(r.n_due == 0 && r.n_answers == 0);
    add(&r, 90, 120, 200, &a); /* due before, answered within: throughput only */
    assert_true(r.n_due == 0 && r.n_answers == 1 && r.n_tokens == 10);
    add(&r, 100, 150, 200, &a); /* in time to the millisecond */
    add(&r, 199, 260, 200, &a); /* due within, answered after: latency only, and late */
    assert_true(r.n_due == 2 && r.n_ok == 2 && r.n_answers == 2 && r.n_in_time == 1);
    add(&r, 200, 201, 200, &a); /* due after */
    assert_int_equal(r.n_due, 2);
    assert_true(gi_load_samples_at(&r.latency_ms, 1) == 61);
    assert_true(gi_load_samples_at(&r.latency_ms, 0) == 50);
    gi_load_result_done(&r);
}

static void failures_have_names_and_no_latency(void **state) {
    gi_load_result r = {0};
    gi_load_answer whole = answer_of(1), refused = answer_of(-1), cut = answer_of(-1);
    refused.complete = cut.complete = false;
    memcpy(refused.error, "queue_full", sizeof "queue_full");
    add(&r, 100, 110, 200, &whole);
    add(&r, 100, 110, 429, &refused);
    add(&r, 100, 110, 429, &refused);
    add(&r, 100, 110, 200, &cut);
    add(&r, 100, 110, 0, &cut);
    add(&r, 100, 110, 502, &cut);
    assert_true(r.n_due == 6 && r.n_ok == 1 && r.n_in_time == 1 && r.latency_ms.n == 1);
    json_t *status = gi_load_tally_json(&r.status), *errors = gi_load_tally_json(&r.errors);
    json_t *want = json_pack("{si si si}", "200", 2, "429", 2, "502", 1);
    assert_true(json_equal(status, want));
    json_decref(want);
    want = json_pack("{si si si si}", "queue_full", 2, "incomplete answer", 1, "timeout", 1,
                     "no error code", 1);
    assert_true(json_equal(errors, want));
    json_decref(want);
    json_decref(status);
    json_decref(errors);
    gi_load_result_done(&r);
}

static void streams_have_token_times(void **state) {
    gi_load_result r = {0};
    gi_load_answer a = answer_of(11);
    a.n_pieces = 5;
    a.first_ms = 130;
    a.last_ms = 180;
    gi_load_outcome o = {.due_ms = 110,
                         .sent_ms = 112,
                         .end_ms = 181,
                         .status = 200,
                         .answer = &a,
                         .was_stream = true};
    assert_int_equal(gi_load_result_add(&r, &WINDOW, &o, NULL), GLINT_OK);
    assert_true(gi_load_samples_at(&r.first_token_ms, 1) == 20);
    assert_true(gi_load_samples_at(&r.per_token_ms, 1) == 5); /* 50 ms for ten more tokens */
    a.counts[GI_LOAD_COMPLETION] = -1;                        /* not told: pieces stand for it */
    assert_int_equal(gi_load_result_add(&r, &WINDOW, &o, NULL), GLINT_OK);
    assert_true(gi_load_samples_at(&r.per_token_ms, 1) == 12.5);
    a.n_pieces = 1; /* one token has no time between tokens */
    assert_int_equal(gi_load_result_add(&r, &WINDOW, &o, NULL), GLINT_OK);
    assert_true(r.per_token_ms.n == 2 && r.first_token_ms.n == 3);
    o.was_stream = false;
    assert_int_equal(gi_load_result_add(&r, &WINDOW, &o, NULL), GLINT_OK);
    assert_int_equal(r.first_token_ms.n, 3);
    gi_load_result_done(&r);
}

static void tallies_have_a_last_row(void **state) {
    gi_load_tally t = {0};
    for (int i = 0; i < 2 * GI_LOAD_TALLY_MAX; i++) {
        char word[100];
        snprintf(word, sizeof word, "%d %080d", i, 0);
        gi_load_tally_add(&t, word);
    }
    assert_int_equal(t.n_rows, GI_LOAD_TALLY_MAX);
    assert_string_equal(t.rows[GI_LOAD_TALLY_MAX - 1].word, "others");
    size_t sum = 0;
    for (size_t i = 0; i < t.n_rows; i++) sum += t.rows[i].n;
    assert_int_equal(sum, 2 * GI_LOAD_TALLY_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_have_edges),
        cmocka_unit_test(failures_have_names_and_no_latency),
        cmocka_unit_test(streams_have_token_times),
        cmocka_unit_test(tallies_have_a_last_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
