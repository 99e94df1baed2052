/*
 * src/server/json_lift: with and without lifting, a text means the same.
 */
#include "../cm.h"

#include "server/json_lift.h"

#include <stdio.h>
#include <string.h>

enum { LONG = GI_JSON_LIFT_BYTES_MIN };

static char plain[LONG + 1], text[64 * 1024];

static void fill(void) {
    for (int i = 0; i < LONG; i++) plain[i] = "AZaz09+/=:;,.-"[i % 14];
    plain[LONG] = '\0';
}

static gi_json_lifted parse(const char *s) {
    gi_json_lifted j = {0};
    glint_error err = {0};
    if (gi_json_lift_parse(s, strlen(s), &j, &err) != GLINT_OK) fail_msg("%s", err.message);
    return j;
}

static void assert_span(const gi_json_lifted *j, const json_t *v, const char *want) {
    const gi_json_span span = gi_json_lift_string(j, v);
    assert_int_equal(span.n, strlen(want));
    assert_memory_equal(span.s, want, span.n);
}

static void lifts(void **state) {
    fill();
    snprintf(text, sizeof text,
             "{\"image\":\"%s\" ,\"images\":[\"%s\",\"x\"],\"p\":\"a\\\"b\\\\\"}", plain, plain);
    gi_json_lifted j = parse(text);
    assert_int_equal(j.n_spans, 2);
    assert_span(&j, json_object_get(j.json, "image"), plain);
    assert_true(gi_json_lift_string(&j, json_object_get(j.json, "image")).s == text + 10);
    const json_t *images = json_object_get(j.json, "images");
    assert_span(&j, json_array_get(images, 0), plain);
    assert_span(&j, json_array_get(images, 1), "x");
    assert_span(&j, json_object_get(j.json, "p"), "a\"b\\");
    gi_json_lift_done(&j);

    /* The whole text may be one string. */
    snprintf(text, sizeof text, "\"%s\"", plain);
    j = parse(text);
    assert_int_equal(j.n_spans, 1);
    assert_span(&j, j.json, plain);
    gi_json_lift_done(&j);
}

static void leaves(void **state) {
    fill();
    static const char *const formats[] = {
        "{\"%s\":1}",
        "{\"%s\" \n:1}", /* keys */
        "{\"a\":\" %s\"}",
        "{\"a\":\"%s\\n\"}", /* not plain */
        "{\"a\":\"%s\xC3\xA9\"}",
        "{\"a\":\"%s(\"}",
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        char *at = text;
        const char *hole = strstr(formats[i], "%s");
        memcpy(at, formats[i], (size_t)(hole - formats[i]));
        at += hole - formats[i];
        memcpy(at, plain, LONG);
        memcpy(at + LONG, hole + 2, strlen(hole + 2) + 1);
        gi_json_lifted j = parse(text);
        assert_int_equal(j.n_spans, 0);
        assert_int_equal(json_object_size(j.json), 1);
        gi_json_lift_done(&j);
    }
    plain[LONG - 1] = '\0'; /* one byte too short to be worth it */
    snprintf(text, sizeof text, "{\"a\":\"%s\",\"b\":%*d}", plain, LONG, 1);
    gi_json_lifted j = parse(text);
    assert_int_equal(j.n_spans, 0);
    assert_span(&j, json_object_get(j.json, "a"), plain);
    gi_json_lift_done(&j);
}

/* A stand-in written by a client is a string like any other. */
static void cannot_be_forged(void **state) {
    fill();
    snprintf(text, sizeof text, "{\"a\":\"\\u0000A\",\"image\":\"%s\",\"b\":\"\\u0000Z\"}", plain);
    gi_json_lifted j = parse(text);
    assert_int_equal(j.n_spans, 0);
    assert_int_equal(gi_json_lift_string(&j, json_object_get(j.json, "a")).n, 2);
    assert_memory_equal(gi_json_lift_string(&j, json_object_get(j.json, "a")).s, "\0A", 2);
    assert_span(&j, json_object_get(j.json, "image"), plain);
    gi_json_lift_done(&j);
}

static void only_so_many(void **state) {
    fill();
    int n = snprintf(text, sizeof text, "[");
    for (int i = 0; i < GI_JSON_LIFT_MAX + 3; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s\"%s\"", i ? "," : "", plain);
    snprintf(text + n, sizeof text - (size_t)n, "]");
    gi_json_lifted j = parse(text);
    assert_int_equal(j.n_spans, GI_JSON_LIFT_MAX);
    assert_int_equal(json_array_size(j.json), GI_JSON_LIFT_MAX + 3);
    for (size_t i = 0; i < json_array_size(j.json); i++)
        assert_span(&j, json_array_get(j.json, i), plain);
    gi_json_lift_done(&j);
}

/* Damage a text at random: both ways judge alike, and where they accept, mean alike. */
static void same_verdict(void **state) {
    fill();
    uint32_t seed = 3;
    int n_ok = 0, n_lifted = 0;
    for (int round = 0; round < 20000; round++) {
        int n = snprintf(text, sizeof text,
                         "{\"a\":\"%s\",\"b\":[\"x\\\\\",\"%s\"],\"c\\\"\":{\"d\":\"\\u0041\"}}",
                         plain, plain);
        for (int k = 0; k < 2; k++) {
            seed = seed * 1664525u + 1013904223u;
            /* Half of the damage near the structure, half anywhere. */
            const int at = (seed >> 31) ? (int)((seed >> 4) % (uint32_t)n)
                                        : (int)((seed >> 4) % 40) + (seed >> 30 & 1 ? LONG - 5 : 0);
            text[at] = "\"\\{}[],:A\x01 "[(seed >> 8) % 11];
        }
        gi_json_lifted j = {0};
        json_t *whole = NULL;
        const glint_status lifted = gi_json_lift_parse(text, (size_t)n, &j, NULL);
        assert_int_equal(lifted, gi_json_parse_any(text, (size_t)n, "test", &whole, NULL));
        if (lifted == GLINT_OK) {
            n_ok++;
            n_lifted += j.n_spans > 0;
            const char *key;
            json_t *value;
            assert_int_equal(json_object_size(j.json), json_object_size(whole));
            json_object_foreach(whole, key, value) {
                const json_t *mine = json_object_get(j.json, key);
                assert_int_equal(json_typeof(value), json_typeof(mine));
                if (!json_is_string(value)) continue;
                const gi_json_span span = gi_json_lift_string(&j, mine);
                assert_int_equal(span.n, json_string_length(value));
                assert_memory_equal(span.s, json_string_value(value), span.n);
            }
        }
        gi_json_lift_done(&j);
        json_decref(whole);
    }
    assert_true(n_ok > 500 && n_ok < 19500 && n_lifted > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lifts),
        cmocka_unit_test(leaves),
        cmocka_unit_test(cannot_be_forged),
        cmocka_unit_test(only_so_many),
        cmocka_unit_test(same_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
