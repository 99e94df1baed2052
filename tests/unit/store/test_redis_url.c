/* src/store/redis_url: what is read, what is refused, and that no password is ever shown. */
#include "../cm.h"

#include "store/redis_url.h"

#include <string.h>

typedef struct row {
    const char *text, *shown, *user, *password;
    uint32_t db;
} row;

static const row GOOD[] = {
    {"redis://localhost", "redis://localhost:6379", "", "", 0},
    {"redis://10.0.0.1:7000/3", "redis://10.0.0.1:7000", "", "", 3},
    {"redis://[::1]:7000", "redis://[::1]:7000", "", "", 0},
    {"redis://[fe80::1]/", "redis://[fe80::1]:6379", "", "", 0},
    {"rediss://glint:p%40%3aw@cache.example.com/0", "rediss://cache.example.com:6379", "glint",
     "p@:w", 0},
    {"redis://:pass@h", "redis://h:6379", "", "pass", 0},
    {"redis://u@h:1", "redis://h:1", "u", "", 0},
    {"redis://u:a:b@c@h", "redis://h:6379", "u", "a:b@c", 0},
    {"unix:///run/redis.sock", "unix:///run/redis.sock", "", "", 0},
    {"unix:///run/redis.sock?db=15", "unix:///run/redis.sock", "", "", 15},
};

static const char *const BAD[] = {
    "",
    "localhost:6379",
    "http://localhost",
    "redis://",
    "redis://:6379",
    "redis://h:",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:1x",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/65536",
    "redis://h/1/2",
    "redis://secret!word",
    "redis://u:secret%zz@h",
    "redis://u:secret%00@h",
    "redis://[::1",
    "redis://[::1]x",
    "redis://[]",
    "redis://h h",
    "unix://run/redis.sock",
    "unix:///s?db=",
    "unix:///s?x=1",
};

static void test_good(void **state) {
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        gi_redis_url u;
        char shown[GI_REDIS_HOST_BYTES + 16];
        assert_int_equal(gi_redis_url_parse(GOOD[i].text, &u, NULL), GLINT_OK);
        gi_redis_url_format(&u, shown, sizeof shown);
        assert_string_equal(shown, GOOD[i].shown);
        assert_string_equal(u.user, GOOD[i].user);
        assert_string_equal(u.password, GOOD[i].password);
        assert_int_equal(u.db, GOOD[i].db);
    }
}

static void test_bad(void **state) {
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        gi_redis_url u;
        glint_error err = {0};
        assert_int_equal(gi_redis_url_parse(BAD[i], &u, &err), GLINT_ERR_ARG);
        assert_null(strstr(err.message, "secret"));
    }
}

static void test_too_long(void **state) {
    char text[GI_REDIS_PASSWORD_BYTES + 64] = "redis://u:";
    gi_redis_url u;
    memset(text + 10, 'p', GI_REDIS_PASSWORD_BYTES);
    memcpy(text + 10 + GI_REDIS_PASSWORD_BYTES, "@h", 3);
    assert_int_equal(gi_redis_url_parse(text, &u, NULL), GLINT_ERR_ARG);
    memcpy(text + 10 + GI_REDIS_PASSWORD_BYTES - 1, "@h", 3);
    assert_int_equal(gi_redis_url_parse(text, &u, NULL), GLINT_OK);
    char path[7 + GI_REDIS_PATH_BYTES + 1] = "unix:///";
    memset(path + 8, 's', GI_REDIS_PATH_BYTES - 1);
    assert_int_equal(gi_redis_url_parse(path, &u, NULL), GLINT_ERR_ARG);
    path[7 + GI_REDIS_PATH_BYTES - 1] = '\0';
    assert_int_equal(gi_redis_url_parse(path, &u, NULL), GLINT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
