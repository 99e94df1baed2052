/*
 * glint bench serve: arrivals are a Poisson process, percentiles are the nearest rank, and
 * server-sent events come out the same however their bytes are cut.
 */
#include "../cm.h"

#include "../../../apps/glint/bench_serve_plan.h"
#include "../../../apps/glint/bench_serve_samples.h"
#include "../../../apps/glint/bench_serve_sse.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- plan ---- */

/* Gaps of an exponential distribution: mean and standard deviation 1/rate, memoryless. */
static void arrivals_are_poisson(void **state) {
    gi_load_plan p = {0};
    assert_int_equal(gi_load_plan_poisson(1000, 100e3, 7, &p, NULL), GLINT_OK);
    assert_true(fabs((double)p.n - 100000) < 5 * sqrt(100000));
    double sum = 0, squares = 0, before = 0;
    size_t n_long = 0, n_busy = 0, in_bin = 0, bin = 0;
    for (size_t i = 0; i < p.n; i++) {
        const double gap = p.due_ms[i] - before;
        assert_true(gap > 0 && p.due_ms[i] < 100e3);
        before = p.due_ms[i];
        sum += gap;
        squares += gap * gap;
        n_long += gap > 3;
        if ((size_t)p.due_ms[i] != bin) in_bin = 0;
        bin = (size_t)p.due_ms[i];
        n_busy += ++in_bin == 3; /* at least three in one millisecond */
    }
    const double n = (double)p.n, mean = sum / n;
    assert_true(fabs(mean - 1) < 0.02);
    assert_true(fabs(sqrt(squares / n - mean * mean) - 1) < 0.03);
    assert_true(fabs((double)n_long / n - exp(-3)) < 0.003);
    assert_true(fabs((double)n_busy / 100000 - (1 - 2.5 * exp(-1))) < 0.01);
    gi_load_plan_done(&p);
}

static void a_seed_is_a_plan(void **state) {
    gi_load_plan a = {0}, b = {0}, c = {0};
    assert_int_equal(gi_load_plan_poisson(50, 10e3, 1, &a, NULL), GLINT_OK);
    assert_int_equal(gi_load_plan_poisson(50, 10e3, 1, &b, NULL), GLINT_OK);
    assert_int_equal(gi_load_plan_poisson(50, 10e3, 2, &c, NULL), GLINT_OK);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.due_ms, b.due_ms, a.n * sizeof *a.due_ms);
    assert_true(a.due_ms[0] != c.due_ms[0]);
    gi_load_plan_done(&a);
    gi_load_plan_done(&b);
    gi_load_plan_done(&c);
    assert_int_equal(gi_load_plan_poisson(0.001, 1, 1, &a, NULL), GLINT_OK);
    assert_int_equal(a.n, 0);
    glint_error err = {0};
    assert_int_equal(gi_load_plan_poisson(1e6, 1e6, 1, &a, &err), GLINT_ERR_LIMIT);
    assert_null(a.due_ms);
    gi_alloc_fail_at(1);
    assert_int_equal(gi_load_plan_poisson(1000, 1000, 1, &a, &err), GLINT_ERR_MEMORY);
    gi_alloc_fail_at(3);
    assert_int_equal(gi_load_plan_poisson(1e4, 1000, 1, &a, &err), GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
}

static void random_units_fill_their_range(void **state) {
    gi_load_random r = {0};
    double least = 1, most = 0;
    for (int i = 0; i < 100000; i++) {
        const double u = gi_load_random_unit(&r);
        assert_true(u > 0 && u <= 1);
        least = fmin(least, u);
        most = fmax(most, u);
    }
    assert_true(least < 1e-4 && most > 1 - 1e-4);
    /* The published first outputs of splitmix64 from 1234567. */
    r.state = 1234567;
    assert_true(gi_load_random_next(&r) == 6457827717110365317u);
    assert_true(gi_load_random_next(&r) == 3203168211198807973u);
}

/* ---- samples ---- */

static void percentiles_are_nearest_ranks(void **state) {
    gi_load_samples s = {0};
    assert_true(gi_load_samples_at(&s, 0.5) == 0 && gi_load_samples_mean(&s) == 0);
    for (int i = 0; i < 1000; i++) /* 1..1000, shuffled: 7 and 1000 have no common divisor */
        assert_int_equal(gi_load_samples_push(&s, i * 7 % 1000 + 1, NULL), GLINT_OK);
    static const struct {
        double share, value;
    } rows[] = {{0, 1},     {0.0001, 1}, {0.001, 1},   {0.0011, 2},    {0.5, 500}, {0.501, 501},
                {0.9, 900}, {0.99, 990}, {0.999, 999}, {0.9991, 1000}, {1, 1000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(gi_load_samples_at(&s, rows[i].share) == rows[i].value);
    assert_true(gi_load_samples_mean(&s) == 500.5);
    assert_int_equal(gi_load_samples_push(&s, 0.5, NULL), GLINT_OK); /* sorted again */
    assert_true(gi_load_samples_at(&s, 0) == 0.5);
    json_t *json = gi_load_samples_json(&s), *cdf = gi_load_samples_cdf_json(&s);
    assert_true(json_real_value(json_object_get(json, "p999")) == 999);
    assert_int_equal(json_integer_value(json_object_get(json, "n")), 1001);
    double before = 0;
    for (size_t i = 0; i < json_array_size(cdf); i++) {
        const double value = json_real_value(json_array_get(json_array_get(cdf, i), 1));
        assert_true(value >= before);
        before = value;
    }
    assert_true(before == 1000);
    json_decref(json);
    json_decref(cdf);
    gi_load_samples_done(&s);
    gi_alloc_fail_at(1);
    assert_int_equal(gi_load_samples_push(&s, 1, NULL), GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    assert_int_equal(s.n, 0);
}

/* ---- server-sent events ---- */

static const char STREAM[] = "\xef\xbb\xbf"
                             ": a comment\n"
                             "data: one\n\n"
                             "event: delta\r\ndata:{\"a\": 1}\r\n\r\n"
                             "data: first\rdata:  second\rid: 7\rdata\r\r"
                             "event: no data, no event\n\n"
                             "unknown: x\nretry: 5\ndata: [DONE]\n\n"
                             "data: cut off";
static const char EVENTS[] =
    "message|one;delta|{\"a\": 1};message|first\n second\n;message|[DONE];";

static glint_status note(void *ctx, const char *name, const char *data, size_t n_bytes,
                         glint_error *err) {
    assert_int_equal(strlen(data), n_bytes);
    return gi_buf_printf(ctx, err, "%s|%s;", name, data);
}

static void events_survive_every_cut(void **state) {
    gi_buf seen;
    gi_load_sse sse;
    gi_buf_init(&seen, 4096);
    gi_load_sse_init(&sse, note, &seen);
    const size_t n = sizeof STREAM - 1;
    for (size_t a = 0; a <= n; a++)
        for (size_t b = a; b <= n; b++) {
            gi_buf_clear(&seen);
            gi_load_sse_clear(&sse);
            assert_int_equal(gi_load_sse_feed(&sse, STREAM, a, NULL), GLINT_OK);
            assert_int_equal(gi_load_sse_feed(&sse, STREAM + a, b - a, NULL), GLINT_OK);
            assert_int_equal(gi_load_sse_feed(&sse, STREAM + b, n - b, NULL), GLINT_OK);
            assert_string_equal((char *)seen.data, EVENTS);
        }
    gi_buf_clear(&seen);
    gi_load_sse_clear(&sse);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(gi_load_sse_feed(&sse, STREAM + i, 1, NULL), GLINT_OK);
    assert_string_equal((char *)seen.data, EVENTS);
    gi_load_sse_done(&sse);
    gi_buf_done(&seen);
}

static glint_status refuse(void *ctx, const char *name, const char *data, size_t n_bytes,
                           glint_error *err) {
    return gi_fail(err, GLINT_ERR_CANCELLED, "enough");
}

static void events_can_fail(void **state) {
    gi_load_sse sse;
    gi_load_sse_init(&sse, refuse, NULL);
    assert_int_equal(gi_load_sse_feed(&sse, "data: x\n", 8, NULL), GLINT_OK);
    assert_int_equal(gi_load_sse_feed(&sse, "\n", 1, NULL), GLINT_ERR_CANCELLED);
    gi_load_sse_done(&sse);
    enum { PIECE = 1 << 16 };
    static char piece[PIECE];
    memset(piece, 'x', sizeof piece);
    gi_load_sse_init(&sse, refuse, NULL);
    glint_status st = GLINT_OK;
    for (size_t fed = 0; st == GLINT_OK; fed += PIECE) {
        assert_true(fed <= GI_LOAD_SSE_BYTES_MAX);
        st = gi_load_sse_feed(&sse, piece, PIECE, NULL);
    }
    assert_int_equal(st, GLINT_ERR_LIMIT);
    gi_load_sse_done(&sse);
    for (uint64_t n = 1; n <= 2; n++) { /* the line, then the data */
        gi_load_sse_init(&sse, refuse, NULL);
        gi_alloc_fail_at(n);
        assert_int_equal(gi_load_sse_feed(&sse, "data: x\n\n", 9, NULL), GLINT_ERR_MEMORY);
        gi_alloc_fail_at(0);
        gi_load_sse_done(&sse);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrivals_are_poisson),
        cmocka_unit_test(a_seed_is_a_plan),
        cmocka_unit_test(random_units_fill_their_range),
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(events_survive_every_cut),
        cmocka_unit_test(events_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
