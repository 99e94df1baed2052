/*
 * src/fetch/fetcher over the loopback interface: settings, both ways of waiting, and memory that
 * runs out at every moment once. What needs a network is in tests/fetch.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "fetch/fetcher.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char REPLY[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"a\"\r\n\r\nfour";
static const char SAME[] = "HTTP/1.1 304 Same\r\n\r\n";

/* A server of one file; /silence says nothing. */
static struct {
    int fd, stop_fd[2];
    int port;
    pthread_t thread;
} origin;

static void serve(int fd) {
    char head[2048];
    size_t n = 0;
    while (n < sizeof head - 1) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = origin.stop_fd[0], .events = POLLIN}};
        poll(fds, 2, -1);
        const ssize_t more = fds[0].revents ? read(fd, head + n, sizeof head - 1 - n) : 0;
        if (more <= 0) return;
        n += (size_t)more;
        head[n] = '\0';
        if (!strstr(head, "\r\n\r\n") || strstr(head, "/silence")) continue;
        const char *reply = strstr(head, "If-None-Match: \"a\"") ? SAME : REPLY;
        if (write(fd, reply, strlen(reply)) < 0) return;
        n = 0;
    }
}

static void *serve_one(void *arg) {
    int *fd = arg;
    serve(*fd);
    close(*fd);
    gi_free(fd);
    return NULL;
}

static void *origin_main(void *arg) {
    pthread_t threads[4096];
    size_t n = 0;
    for (;;) {
        struct pollfd fds[] = {{.fd = origin.fd, .events = POLLIN},
                               {.fd = origin.stop_fd[0], .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[1].revents || n == sizeof threads / sizeof threads[0]) break;
        int *fd = NULL;
        while (!fd) fd = gi_alloc(sizeof *fd); /* the allocation that fails may be this one */
        *fd = accept(origin.fd, NULL, NULL);
        if (pthread_create(&threads[n], NULL, serve_one, fd) == 0) n++;
    }
    while (n) pthread_join(threads[--n], NULL);
    return NULL;
}

static int start_origin(void **state) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    origin.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(origin.fd, (const struct sockaddr *)&a, sizeof a) != 0 || listen(origin.fd, 64) != 0 ||
        getsockname(origin.fd, (struct sockaddr *)&a, &n) != 0 || pipe(origin.stop_fd) != 0)
        return -1;
    origin.port = ntohs(a.sin_port);
    return pthread_create(&origin.thread, NULL, origin_main, NULL);
}

static int stop_origin(void **state) {
    close(origin.stop_fd[1]); /* readable from now on */
    pthread_join(origin.thread, NULL);
    close(origin.stop_fd[0]);
    close(origin.fd);
    return 0;
}

static glint_status create_shared(int64_t transfers_max, bool has_tenants, gi_fetcher **ret,
                                  glint_error *err) {
    static const char *const hosts[] = {"127.0.0.1"};
    const int64_t ports[] = {origin.port};
    gi_fetch_config c = gi_fetch_config_default();
    c.hosts = hosts;
    c.n_hosts = 1;
    c.ports = ports;
    c.n_ports = 1;
    c.allow_http = c.allow_private = true;
    c.transfers_max = transfers_max;
    c.has_tenants = has_tenants;
    return gi_fetcher_create(&c, ret, err);
}

static glint_status create(gi_fetcher **ret, glint_error *err) {
    return create_shared(32, false, ret, err);
}

typedef struct rendezvous {
    pthread_mutex_t lock;
    pthread_cond_t cv;
    bool is_done;
    gi_fetch_result result;
} rendezvous;

static void meet(void *ctx, const gi_fetch_result *result) {
    rendezvous *r = ctx;
    pthread_mutex_lock(&r->lock);
    r->result = *result;
    r->is_done = true;
    pthread_cond_signal(&r->cv);
    pthread_mutex_unlock(&r->lock);
}

/* Fetch and wait; `cancelled` is looked at every 20 ms. */
static glint_status fetch_wait(gi_fetcher *f, const char *scope, const char *url, size_t n,
                               double timeout_ms, const atomic_bool *cancelled,
                               gi_fetch_bytes **ret_bytes, glint_error *err) {
    rendezvous r = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gi_fetch *fetch = NULL;
    gi_cond_init(&r.cv);
    const gi_fetch_request request = {
        .scope = scope, .url = url, .n = n, .timeout_ms = timeout_ms, .on_done = meet, .ctx = &r};
    GI_TRY(gi_fetch_begin(f, &request, &fetch, err));
    pthread_mutex_lock(&r.lock);
    while (!r.is_done) {
        if (cancelled && atomic_load(cancelled)) gi_fetch_cancel(fetch);
        gi_cond_wait_until(&r.cv, &r.lock, gi_clock_ms() + 20);
    }
    pthread_mutex_unlock(&r.lock);
    gi_fetch_free(fetch);
    pthread_cond_destroy(&r.cv);
    pthread_mutex_destroy(&r.lock);
    if (r.result.status == GLINT_OK)
        *ret_bytes = r.result.bytes;
    else if (err)
        *err = r.result.err;
    return r.result.status;
}

static glint_status get(gi_fetcher *f, const char *path, double ms, const atomic_bool *cancelled,
                        gi_fetch_bytes **ret, glint_error *err) {
    char url[64];
    const int n = snprintf(url, sizeof url, "http://127.0.0.1:%d%s", origin.port, path);
    return fetch_wait(f, "", url, (size_t)n, ms, cancelled, ret, err);
}

static void waits(void **state) {
    gi_fetcher *f = NULL;
    glint_error err = {0};
    assert_int_equal(create(&f, &err), GLINT_OK);
    for (int i = 0; i < 3; i++) {
        gi_fetch_bytes *b = NULL;
        assert_int_equal(get(f, "/x", 60000, NULL, &b, &err), GLINT_OK);
        assert_int_equal(b->n, 4);
        assert_memory_equal(b->data, "four", 4);
        gi_fetch_bytes_unref(gi_fetch_bytes_ref(b));
        gi_fetch_bytes_unref(b);
    }
    const gi_fetch_stats s = gi_fetcher_get_stats(f);
    assert_int_equal(s.n_begun, 3);
    assert_int_equal(s.n_transfers, 3);
    assert_int_equal(s.n_kept_used, 2);
    assert_int_equal(s.n_kept_missed, 1);
    assert_true(s.kept_bytes > 4);
    assert_int_equal(s.n_lookups, 0);
    assert_int_equal(s.used_bytes, 4);
    gi_fetcher_free(f);
}

static void *cancel_soon(void *arg) {
    usleep(50000);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

static void waits_no_longer_than_told(void **state) {
    gi_fetcher *f = NULL;
    gi_fetch_bytes *b = NULL;
    glint_error err = {0};
    atomic_bool cancelled = false;
    pthread_t thread;
    assert_int_equal(create(&f, NULL), GLINT_OK);
    double begin_ms = gi_clock_ms();
    assert_int_equal(get(f, "/silence", 80, NULL, &b, &err), GLINT_ERR_DEADLINE);
    assert_int_equal(err.code, GLINT_ERR_DEADLINE);
    assert_true(gi_clock_ms() - begin_ms >= 79);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancelled), 0);
    begin_ms = gi_clock_ms();
    assert_int_equal(get(f, "/silence", 60000, &cancelled, &b, &err), GLINT_ERR_CANCELLED);
    assert_true(gi_clock_ms() - begin_ms < 4000); /* the fetcher's own limit is 5 s */
    pthread_join(thread, NULL);
    assert_null(b);
    gi_fetcher_free(f);
}

static void count_end(void *ctx, const gi_fetch_result *result) {
    assert_int_equal(result->status, GLINT_ERR_CANCELLED);
    assert_null(result->bytes);
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static glint_status begin_counted(gi_fetcher *f, const char *scope, const char *url,
                                  atomic_int *n_ends, gi_fetch **ret) {
    const gi_fetch_request request = {.scope = scope,
                                      .url = url,
                                      .n = strlen(url),
                                      .timeout_ms = 60000,
                                      .on_done = count_end,
                                      .ctx = n_ends};
    return gi_fetch_begin(f, &request, ret, NULL);
}

static void free_ends_what_is_under_way(void **state) {
    gi_fetcher *f = NULL;
    gi_fetch *fetches[5];
    atomic_int n_ends = 0;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/silence", origin.port);
    assert_int_equal(create(&f, NULL), GLINT_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(begin_counted(f, "", url, &n_ends, &fetches[i]), GLINT_OK);
    gi_fetch_cancel(fetches[0]);
    gi_fetcher_free(f);
    assert_int_equal(n_ends, 5);
    for (int i = 0; i < 5; i++) gi_fetch_free(fetches[i]);
    gi_fetch_free(NULL);
    gi_fetcher_free(NULL);
}

/* One who asks for what never comes takes all transfers, but where tenants share them. */
static void no_tenant_takes_all_transfers(void **state) {
    enum { N_SILENT = 6 };
    for (int shares = 0; shares < 2; shares++) {
        gi_fetcher *f = NULL;
        gi_fetch *silent[N_SILENT];
        gi_fetch_bytes *b = NULL;
        atomic_int n_ends = 0;
        char url[64];
        assert_int_equal(create_shared(4, shares, &f, NULL), GLINT_OK);
        for (int i = 0; i < N_SILENT; i++) {
            snprintf(url, sizeof url, "http://127.0.0.1:%d/silence/%d", origin.port, i);
            assert_int_equal(begin_counted(f, "greedy", url, &n_ends, &silent[i]), GLINT_OK);
        }
        const int n = snprintf(url, sizeof url, "http://127.0.0.1:%d/x", origin.port);
        /* Less than the 5 s after which those that are silent are given up. */
        const glint_status st =
            fetch_wait(f, "other", url, (size_t)n, shares ? 4000 : 300, NULL, &b, NULL);
        assert_int_equal(st, shares ? GLINT_OK : GLINT_ERR_DEADLINE);
        /* A greedy one's second is let in by the half that is free, its third is not. */
        assert_int_equal(gi_fetcher_get_stats(f).n_transfers, shares ? 3 : 4);
        gi_fetch_bytes_unref(b);
        gi_fetcher_free(f);
        assert_int_equal(n_ends, N_SILENT);
        for (int i = 0; i < N_SILENT; i++) gi_fetch_free(silent[i]);
    }
}

static void refuses_settings(void **state) {
    const char *hosts[] = {"example.com", "not a host"};
    const int64_t ports[] = {8080, 65536};
    gi_fetcher *f = NULL;
    gi_fetch_config c = gi_fetch_config_default();
    assert_int_equal(gi_fetcher_create(&c, &f, NULL), GLINT_ERR_ARG); /* no host */
    c.hosts = hosts;
    c.n_hosts = 2;
    assert_int_equal(gi_fetcher_create(&c, &f, NULL), GLINT_ERR_ARG);
    c.n_hosts = 1;
    c.ports = ports;
    c.n_ports = 2;
    assert_int_equal(gi_fetcher_create(&c, &f, NULL), GLINT_ERR_ARG);
    c.n_ports = 1;
    c.ca_file = "/nonexistent.pem";
    assert_int_equal(gi_fetcher_create(&c, &f, NULL), GLINT_ERR_IO);
    c.ca_file = NULL;
    c.held_bytes_max = c.file_bytes_max - 1;
    assert_int_equal(gi_fetcher_create(&c, &f, NULL), GLINT_ERR_ARG);
    assert_null(f);
}

static void refuses_urls_before_anything(void **state) {
    static const char *const urls[] = {"http://127.0.0.1/", "http://example.com/", "nothing",
                                       "ftp://127.0.0.1/", "http://127.0.0.1:22/"};
    static const char *const hosts[] = {"127.0.0.1"};
    gi_fetch_config c = gi_fetch_config_default();
    gi_fetcher *f = NULL;
    c.hosts = hosts;
    c.n_hosts = 1;
    c.allow_http = true; /* but nothing private */
    assert_int_equal(gi_fetcher_create(&c, &f, NULL), GLINT_OK);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        gi_fetch_bytes *b = NULL;
        glint_error err = {0};
        assert_int_equal(fetch_wait(f, "", urls[i], strlen(urls[i]), 1000, NULL, &b, &err),
                         GLINT_ERR_ARG);
        assert_int_equal(err.code, GLINT_ERR_ARG);
    }
    const gi_fetch_stats s = gi_fetcher_get_stats(f);
    assert_int_equal(s.n_begun, sizeof urls / sizeof urls[0]);
    assert_int_equal(s.n_failed, s.n_begun);
    assert_int_equal(s.n_waiting, 0);
    gi_fetcher_free(f);
}

/* Everything from start to end, twice over, so that a kept copy is confirmed too. */
static glint_status whole_life(void) {
    gi_fetcher *f = NULL;
    glint_status st = create(&f, NULL);
    for (int i = 0; i < 2 && st == GLINT_OK; i++) {
        gi_fetch_bytes *b = NULL;
        st = get(f, "/x", 60000, NULL, &b, NULL);
        if (st == GLINT_OK) assert_memory_equal(b->data, "four", 4);
        gi_fetch_bytes_unref(b);
    }
    gi_fetcher_free(f);
    return st;
}

static void memory_runs_out_once(void **state) {
    const uint64_t before = gi_alloc_count();
    assert_int_equal(whole_life(), GLINT_OK);
    const uint64_t n = gi_alloc_count() - before;
    int n_failed = 0;
    for (uint64_t i = 1; i <= n; i++) {
        gi_alloc_fail_at(i);
        const glint_status st = whole_life();
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
        n_failed += st != GLINT_OK;
    }
    assert_true(n_failed >
                5); /* some are the origin's, and a copy that is not kept is no failure */
    assert_int_equal(whole_life(), GLINT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits),
        cmocka_unit_test(waits_no_longer_than_told),
        cmocka_unit_test(free_ends_what_is_under_way),
        cmocka_unit_test(no_tenant_takes_all_transfers),
        cmocka_unit_test(refuses_settings),
        cmocka_unit_test(refuses_urls_before_anything),
        cmocka_unit_test(memory_runs_out_once),
    };
    return cmocka_run_group_tests(tests, start_origin, stop_origin);
}
