/*
 * src/server/audit: every line is written once and told about once, syncs are shared, failures are
 * told and healed from, a disk that hangs (a pipe that nobody reads, an fdatasync that does not
 * come back) is noticed and gone on with; and the metrics' counting by many threads.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "server/audit.h"
#include "server/metrics.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 4, LINES = 500, LINES_MAX = THREADS * LINES };
enum {
    PATIENT_MS = 60000,
    TIMEOUT_MS = 1000,
    PIPE_BYTES = 4096,
    LONG_BYTES = 6000, /* does not fit */
};

static char path[64];
static atomic_int n_ok, n_failed;

static void on_done(void *ctx, void *token, bool ok) {
    assert_ptr_equal(ctx, &n_ok);
    assert_ptr_equal(token, &n_failed);
    atomic_fetch_add(ok ? &n_ok : &n_failed, 1);
}

/* In place of the C library's: a disk that takes its time. */
static atomic_bool syncs_hang;

int fdatasync(int fildes) {
    while (atomic_load(&syncs_hang)) usleep(1000);
    return fsync(fildes);
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

static gi_audit *open_with(gi_audit_settings settings, size_t lines_max) {
    gi_audit *a = NULL;
    settings.path = path;
    assert_int_equal(gi_audit_open(&settings, lines_max, &n_ok, &a, NULL), GLINT_OK);
    return a;
}

static gi_audit *open_log(bool is_durable, size_t lines_max) {
    return open_with((gi_audit_settings){.is_durable = is_durable, .timeout_ms = PATIENT_MS},
                     lines_max);
}

static gi_audit_fate push(gi_audit *a, const char *text) {
    gi_buf line;
    gi_buf_init(&line, 2 * LONG_BYTES);
    assert_int_equal(gi_buf_puts(&line, text, NULL), GLINT_OK);
    const gi_audit_fate fate = gi_audit_push(a, &line, on_done, &n_failed);
    gi_buf_done(&line);
    return fate;
}

static void *push_many(void *arg) {
    for (int i = 0; i < LINES; i++)
        assert_int_equal(push(arg, "{\"a line of some length\":true}"), GI_AUDIT_TOLD);
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
    assert_int_equal(push(a, "x"), GI_AUDIT_LOST);
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
    const gi_audit_settings settings = {.path = path, .timeout_ms = PATIENT_MS};
    uint64_t n = 0;
    do {
        gi_alloc_fail_at(++n);
    } while (gi_audit_open(&settings, 8, &n_ok, &a, NULL) == GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    assert_non_null(a);
    assert_true(n > 2);
    gi_buf line;
    gi_buf_init(&line, 64);
    assert_int_equal(gi_buf_puts(&line, "x", NULL), GLINT_OK);
    gi_alloc_fail_at(1);
    assert_int_equal(gi_audit_push(a, &line, on_done, &n_failed), GI_AUDIT_LOST);
    gi_alloc_fail_at(1);
    assert_int_equal(gi_audit_reopen(a, NULL), GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    assert_int_equal(push(a, "y"), GI_AUDIT_TOLD);
    gi_buf_done(&line);
    gi_audit_close(a);
    assert_int_equal(atomic_load(&n_ok), 1);
}

/* ---- a disk that hangs ---- */

static char long_line[LONG_BYTES + 1];

/* A pipe in place of the file; what is returned can be read from. */
static int make_pipe(void) {
    memset(long_line, 'x', LONG_BYTES);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    const int fd = open(path, O_RDWR | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
    return fd;
}

static void wait_for(atomic_int *n, int want) {
    for (int i = 0; atomic_load(n) != want; i++) {
        assert_true(i < PATIENT_MS);
        usleep(1000);
    }
}

static void wait_health(gi_audit *a, bool want) {
    for (int i = 0; gi_audit_is_healthy(a) != want; i++) {
        assert_true(i < PATIENT_MS);
        usleep(1000);
    }
}

/* Read exactly these lines from the pipe. */
static void read_lines(int fd, const char *const *want, size_t n_want) {
    static char text[8 * LONG_BYTES];
    size_t n = 0, n_lines = 0;
    for (int i = 0; n_lines < n_want; i++) {
        assert_true(i < PATIENT_MS);
        const ssize_t got = read(fd, text + n, sizeof text - 1 - n);
        if (got <= 0) usleep(1000);
        for (ssize_t k = 0; k < got; k++) n_lines += text[n + (size_t)k] == '\n';
        n += got > 0 ? (size_t)got : 0;
    }
    text[n] = '\0';
    const char *at = text;
    for (size_t i = 0; i < n_want; i++) {
        const size_t n_line = strlen(want[i]);
        assert_int_equal(strncmp(at, want[i], n_line), 0);
        assert_int_equal(at[n_line], '\n');
        at += n_line + 1;
    }
    assert_int_equal(*at, '\0');
}

static gi_audit *open_hanging(bool serves) {
    gi_audit *a =
        open_with((gi_audit_settings){.serves_unrecorded = serves, .timeout_ms = TIMEOUT_MS}, 8);
    assert_int_equal(push(a, "first"), GI_AUDIT_TOLD);
    wait_for(&n_ok, 1);
    assert_int_equal(push(a, long_line), GI_AUDIT_TOLD);
    while (gi_audit_get_stats(a).n_waiting > 0) usleep(1000);
    assert_int_equal(push(a, "behind"), GI_AUDIT_TOLD);
    wait_for(&n_failed, 2);
    assert_false(gi_audit_is_healthy(a));
    return a;
}

static void test_hang_refuses(void **state) {
    const int fd = make_pipe();
    gi_audit *a = open_hanging(false);
    assert_int_equal(push(a, "late"), GI_AUDIT_LOST);
    assert_int_equal(gi_audit_get_stats(a).n_lost, 2);
    /* Opened again it would be the same pipe, and lines would mix. */
    const double begun_ms = gi_clock_ms();
    assert_int_equal(gi_audit_reopen(a, NULL), GLINT_ERR_IO);
    assert_true(gi_clock_ms() - begun_ms < PATIENT_MS / 2.0);
    read_lines(fd, (const char *const[]){"first", long_line}, 2);
    wait_health(a, true);
    assert_int_equal(push(a, "later"), GI_AUDIT_TOLD);
    wait_for(&n_ok, 2);
    assert_int_equal(gi_audit_reopen(a, NULL), GLINT_OK);
    assert_int_equal(push(a, "last"), GI_AUDIT_TOLD);
    wait_for(&n_ok, 3);
    read_lines(fd, (const char *const[]){"later", "last"}, 2);
    const gi_audit_stats stats = gi_audit_get_stats(a);
    assert_int_equal(stats.n_lines, 4);
    assert_int_equal(stats.n_lost, 2);
    assert_int_equal(atomic_load(&n_failed), 2);
    gi_audit_close(a);
    close(fd);
}

static void test_hang_serves(void **state) {
    const int fd = make_pipe();
    gi_audit *a = open_hanging(true);
    assert_int_equal(push(a, "late"), GI_AUDIT_TAKEN);
    for (int i = 2; i < 8; i++) assert_int_equal(push(a, "more"), GI_AUDIT_TAKEN);
    assert_int_equal(push(a, "too many"), GI_AUDIT_LOST);
    assert_int_equal(gi_audit_get_stats(a).n_waiting, 8);
    read_lines(fd,
               (const char *const[]){"first", long_line, "behind", "late", "more", "more", "more",
                                     "more", "more", "more"},
               10);
    wait_health(a, true);
    assert_int_equal(push(a, "later"), GI_AUDIT_TOLD);
    wait_for(&n_ok, 2);
    read_lines(fd, (const char *const[]){"later"}, 1);
    assert_int_equal(gi_audit_get_stats(a).n_lost, 1);
    gi_audit_close(a);
    close(fd);
}

static void test_hang_in_sync(void **state) {
    gi_audit *a = open_with((gi_audit_settings){.is_durable = true, .timeout_ms = TIMEOUT_MS}, 8);
    atomic_store(&syncs_hang, true);
    assert_int_equal(push(a, "one"), GI_AUDIT_TOLD);
    wait_for(&n_failed, 1);
    assert_false(gi_audit_is_healthy(a));
    assert_int_equal(atomic_load(&n_ok), 0);
    atomic_store(&syncs_hang, false);
    wait_health(a, true);
    assert_int_equal(push(a, "two"), GI_AUDIT_TOLD);
    wait_for(&n_ok, 1);
    gi_audit_close(a);
    const int fd = open(path, O_RDONLY);
    read_lines(fd, (const char *const[]){"one", "two"}, 2);
    close(fd);
}

/* Another file under the name ends it; the one that hangs goes on for itself. */
static void test_hang_until_reopened(void **state) {
    const int fd = make_pipe();
    gi_audit *a = open_hanging(false);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(gi_audit_reopen(a, NULL), GLINT_OK);
    assert_int_equal(push(a, "elsewhere"), GI_AUDIT_TOLD);
    wait_for(&n_ok, 2);
    assert_true(gi_audit_is_healthy(a));
    read_lines(fd, (const char *const[]){"first", long_line}, 2);
    gi_audit_close(a);
    const int file = open(path, O_RDONLY);
    read_lines(file, (const char *const[]){"elsewhere"}, 1);
    close(file);
    close(fd);
}

static void test_hang_and_close(void **state) {
    const int fd = make_pipe();
    gi_audit *a = open_hanging(true);
    const double begun_ms = gi_clock_ms();
    gi_audit_close(a);
    assert_true(gi_clock_ms() - begun_ms < PATIENT_MS / 2.0);
    /* The thread that hung ends on its own. */
    read_lines(fd, (const char *const[]){"first", long_line}, 2);
    usleep(50000);
    close(fd);
}

static void test_hang_at_open(void **state) {
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    gi_audit *a = NULL;
    glint_error err = {0};
    const gi_audit_settings settings = {.path = path, .timeout_ms = TIMEOUT_MS};
    assert_int_equal(gi_audit_open(&settings, 8, &n_ok, &a, &err), GLINT_ERR_IO);
    assert_non_null(strstr(err.message, path));
    assert_null(a);
    const int fd = open(path, O_RDONLY); /* lets the thread's open come back */
    usleep(50000);
    close(fd);
}

/* ---- metrics ---- */

static const char *const ROUTES[] = {"/a", "/b"};

static void *count_many(void *arg) {
    gi_record r = {
        .route = "/b", .status = 200, .total_ms = 20, .has_waited = true, .has_result = true};
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
    gi_record late = {.route = "/a", .status = 504, .code = GI_API_DEADLINE, .has_waited = true};
    late.queue_ms = 1500;
    late.fetch_ms = 5000;
    gi_metrics_count(m, &late);
    gi_record refused = {.route = "/a", .status = 400, .code = GI_API_INVALID_JSON};
    gi_metrics_count(m, &refused);
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
        "glint_stage_seconds_count{stage=\"decode\",route=\"/b\",task=\"ask\"} 2000\n",
        "glint_request_seconds_count{route=\"/a\",task=\"\"} 2\n",
        "glint_stage_seconds_count{stage=\"queue\",route=\"/a\",task=\"\"} 1\n",
        "glint_stage_seconds_sum{stage=\"queue\",route=\"/a\",task=\"\"} 1.500000\n",
        "glint_stage_seconds_sum{stage=\"fetch\",route=\"/a\",task=\"\"} 5.000000\n",
        "glint_tokens_total{kind=\"prompt\"} 6000\n",
        "model=\"a \\\"b\\\" \\\\ c\\n\"",
        "# TYPE glint_cache_hits_total counter\nglint_cache_hits_total{cache=\"url\"} 7\n",
    };
    for (size_t i = 0; i < sizeof LINES_WANTED / sizeof LINES_WANTED[0]; i++)
        if (!strstr(text, LINES_WANTED[i])) fail_msg("no %s in\n%s", LINES_WANTED[i], text);
    assert_null(strstr(text, "glint_steps_total"));
    assert_null(strstr(text, "stage=\"decode\",route=\"/a\""));
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
        cmocka_unit_test_setup_teardown(test_hang_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang_serves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang_in_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang_until_reopened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang_and_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang_at_open, setup, teardown),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
