/*
 * src/server/audit: every line is written once and told about once, syncs are shared, failures are
 * told and healed from; and the metrics' counting by many threads.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "server/audit.h"
#include "server/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, LINES = 500, LINES_MAX = THREADS * LINES };

static char path[64];
static atomic_int n_ok, n_failed;

static void on_done(void *ctx, void *token, bool ok) {
    assert_ptr_equal(ctx, &n_ok);
    assert_ptr_equal(token, &n_failed);
    atomic_fetch_add(ok ? &n_ok : &n_failed, 1);
}

static int setup(void **state) {
    memcpy(path, "/tmp/glint-audit-XXXXXX", sizeof "/tmp/glint-audit-XXXXXX");
    const int fd = mkstemp(path);
    close(fd);
    atomic_store(&n_ok, 0);
    atomic_store(&n_failed, 0);
    return fd < 0;
}

static int teardown(void **state) {
    return unlink(path);
}

static gi_audit *open_log(bool is_durable, size_t lines_max) {
    gi_audit *a = NULL;
    const gi_audit_settings settings = {.path = path, .is_durable = is_durable};
    assert_int_equal(gi_audit_open(&settings, lines_max, on_done, &n_ok, &a, NULL), GLINT_OK);
    return a;
}

static bool push(gi_audit *a, const char *text) {
    gi_buf line;
    gi_buf_init(&line, 1024);
    const bool ok =
        gi_buf_puts(&line, text, NULL) == GLINT_OK && gi_audit_push(a, &line, &n_failed);
    gi_buf_done(&line);
    return ok;
}

static void *push_many(void *arg) {
    for (int i = 0; i < LINES; i++) assert_true(push(arg, "{\"a line of some length\":true}"));
    return NULL;
}

static void test_many_threads(void **state) {
    gi_audit *a = open_log(true, LINES_MAX);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, push_many, a);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    while (atomic_load(&n_ok) < THREADS * LINES) usleep(1000);
    const gi_audit_stats stats = gi_audit_get_stats(a);
    assert_int_equal(stats.n_lines, THREADS * LINES);
    assert_int_equal(stats.n_lost, 0);
    assert_true(stats.n_syncs < stats.n_lines); /* lines that came meanwhile shared one */
    gi_audit_close(a);
    FILE *file = fopen(path, "r");
    char line[128];
    int n = 0;
    while (fgets(line, sizeof line, file)) {
        assert_string_equal(line, "{\"a line of some length\":true}\n");
        n++;
    }
    fclose(file);
    assert_int_equal(n, THREADS * LINES);
    assert_int_equal(atomic_load(&n_failed), 0);
}

static void test_bounded(void **state) {
    gi_audit *a = open_log(false, 0);
    assert_false(push(a, "x"));
    assert_int_equal(gi_audit_get_stats(a).n_lost, 1);
    gi_audit_close(a);
    assert_int_equal(atomic_load(&n_ok) + atomic_load(&n_failed), 0);
}

static void test_close_writes_what_waits(void **state) {
    gi_audit *a = open_log(false, LINES_MAX);
    push_many(a);
    gi_audit_close(a);
    assert_int_equal(atomic_load(&n_ok), LINES);
}

static void test_no_memory(void **state) {
    gi_audit *a = NULL;
    const gi_audit_settings settings = {.path = path};
    uint64_t n = 0;
    do {
        gi_alloc_fail_at(++n);
    } while (gi_audit_open(&settings, 8, on_done, &n_ok, &a, NULL) == GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    assert_non_null(a);
    assert_true(n > 1);
    gi_buf line;
    gi_buf_init(&line, 64);
    assert_int_equal(gi_buf_puts(&line, "x", NULL), GLINT_OK);
    gi_alloc_fail_at(1);
    assert_false(gi_audit_push(a, &line, &n_failed));
    gi_alloc_fail_at(0);
    gi_buf_done(&line);
    gi_audit_close(a);
}

/* ---- metrics ---- */

static const char *const ROUTES[] = {"/a", "/b"};

static void *count_many(void *arg) {
    gi_record r = {.route = "/b", .status = 200, .total_ms = 20, .has_result = true};
    memcpy(r.task, "ask", sizeof "ask");
    r.usage.prompt_tokens = 3;
    for (int i = 0; i < LINES; i++) gi_metrics_count(arg, &r);
    return NULL;
}

static void test_metrics(void **state) {
    gi_metrics *m = NULL;
    uint64_t n = 0;
    do {
        gi_alloc_fail_at(++n);
    } while (gi_metrics_create(ROUTES, 2, &m, NULL) == GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    assert_true(n > 3);
    gi_metrics_add_task(m, "ask");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, count_many, m);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    const gi_record gone = {.route = "/zzz", .status = GI_RECORD_CLIENT_GONE};
    gi_metrics_count(m, &gone);
    gi_metrics_view view;
    gi_metrics_view_init(&view);
    view.model = "a \"b\" \\ c\n";
    view.values[GI_SERIES_URL_HITS] = 7; /* not the first of its metric */
    gi_buf out;
    gi_buf_init(&out, GI_METRICS_BYTES_MAX);
    assert_int_equal(gi_metrics_write(m, &view, &out, NULL), GLINT_OK);
    const char *text = (const char *)out.data;
    static const char *const LINES_WANTED[] = {
        "glint_requests_total{route=\"/b\",status=\"200\",code=\"\"} 2000\n",
        "glint_requests_total{route=\"-\",status=\"499\",code=\"client_gone\"} 1\n",
        "glint_request_seconds_count{route=\"/b\",task=\"ask\"} 2000\n",
        "glint_request_seconds_sum{route=\"/b\",task=\"ask\"} 40.000000\n",
        "glint_request_seconds_bucket{route=\"/b\",task=\"ask\",le=\"0.01\"} 0\n",
        "glint_request_seconds_bucket{route=\"/b\",task=\"ask\",le=\"0.025\"} 2000\n",
        "glint_tokens_total{kind=\"prompt\"} 6000\n",
        "model=\"a \\\"b\\\" \\\\ c\\n\"",
        "# TYPE glint_cache_hits_total counter\nglint_cache_hits_total{cache=\"url\"} 7\n",
    };
    for (size_t i = 0; i < sizeof LINES_WANTED / sizeof LINES_WANTED[0]; i++)
        if (!strstr(text, LINES_WANTED[i])) fail_msg("no %s in\n%s", LINES_WANTED[i], text);
    assert_null(strstr(text, "glint_steps_total"));
    gi_buf_done(&out);
    gi_buf_init(&out, 100);
    assert_int_equal(gi_metrics_write(m, &view, &out, NULL), GLINT_ERR_LIMIT);
    gi_buf_done(&out);
    gi_metrics_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_writes_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
