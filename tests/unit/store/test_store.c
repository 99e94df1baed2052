/*
 * src/store/store without a Redis: settings are checked, nobody waits, and memory that fails is an
 * error and no leak. With one, tests/store asks.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char secret_path[] = "/tmp/glint-secret-XXXXXX";

static int make_secret(void **state) {
    const int fd = mkstemp(secret_path);
    static const char secret[] = "0123456789abcdef0123456789abcdef\n";
    gi_log_set_level(GI_LOG_OFF);
    if (fd < 0 || write(fd, secret, sizeof secret - 1) != sizeof secret - 1) return -1;
    return close(fd);
}

static int remove_secret(void **state) {
    return unlink(secret_path);
}

static gi_store_settings settings(void) {
    gi_store_settings s = gi_store_settings_default();
    s.url = "unix:///nowhere/redis.sock";
    s.secret_file = secret_path;
    return s;
}

static void test_without_redis(void **state) {
    const gi_store_settings s = settings();
    const gi_digest key = {{1}};
    gi_store *store = NULL;
    gi_store_found found;
    gi_store_tally tally = {.key = key, .add = 1, .ttl_ms = 1000};
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_OK);
    const double begin_ms = gi_clock_ms();
    for (int i = 0; i < 1000; i++) {
        assert_false(gi_store_get(store, GI_STORE_ANSWER, &key, &found));
        gi_store_put(store, GI_STORE_ANSWER, &key, "x", 1, 1000);
        assert_false(gi_store_tally_add(store, &tally, 1));
    }
    /* Not 1,000 times the timeout. */
    assert_true(gi_clock_ms() - begin_ms < 10000);
    assert_false(gi_store_takes(store, 1));
    const gi_store_stats stats = gi_store_get_stats(store);
    assert_int_equal(stats.kinds[GI_STORE_ANSWER].n_misses, 1000);
    assert_int_equal(stats.n_dropped, 1000);
    assert_int_equal(stats.n_tally_failures, 1000);
    assert_int_equal(stats.n_skipped, 2000);
    assert_true(stats.pool.state != GI_BREAKER_CLOSED);
    assert_int_equal(stats.queue_bytes, 0);
    gi_store_free(store);
}

static void test_settings(void **state) {
    gi_store *store = NULL;
    gi_store_settings s = settings();
    s.url = NULL;
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_ARG);
    s = settings();
    s.secret_file = "/nowhere/secret";
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_IO);
    s = settings();
    s.ca_file = "/nowhere/ca";
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_ARG);
    s.url = "rediss://localhost";
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_IO);
    s = settings();
    s.prefix = "a b";
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_ARG);
    s.prefix = "";
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_ARG);
    s = settings();
    s.n_connections = GI_REDIS_CONNECTIONS_MAX + 1;
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_ARG);
    s = settings();
    s.value_bytes_max = GI_STORE_HEADER_BYTES;
    assert_int_equal(gi_store_create(&s, &store, NULL), GLINT_ERR_ARG);
    assert_null(store);
}

static void test_memory(void **state) {
    const gi_store_settings s = settings();
    glint_status st = GLINT_ERR_MEMORY;
    for (uint64_t n = 1; st != GLINT_OK; n++) {
        gi_store *store = NULL;
        gi_alloc_fail_at(n);
        st = gi_store_create(&s, &store, NULL);
        gi_alloc_fail_at(0);
        assert_true(st == GLINT_OK || st == GLINT_ERR_MEMORY);
        assert_int_equal(store != NULL, st == GLINT_OK);
        gi_store_free(store);
        assert_true(n < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_redis),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make_secret, remove_secret);
}
