/*
 * src/text/pattern and src/text/jsonscan: what is copied, what is translated, what is refused.
 */
#include "../cm.h"

#include "text/jsonscan.h"
#include "text/pattern.h"

#include <string.h>

static void patterns_that_mean_the_same(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"\\p{L}+", "\\p{L}+"},
        {"\\P{Lu}", "\\P{Lu}"},
        {"[^\\r\\n\\p{L}\\p{N}]?", "[^\\r\\n\\p{L}\\p{N}]?"},
        {"\\s+(?!\\S)", "\\p{White_Space}+(?!\\P{White_Space})"},
        {"[^\\s\\p{L}]", "[^\\p{White_Space}\\p{L}]"},
        {"(?i:'s|'t)|\\p{N}{1,3}", "(?i:'s|'t)|\\p{N}{1,3}"},
        {"a{2}b{3,}(?:c)(d)(?=e)(?<=f)(?<!g)(?>h)", "a{2}b{3,}(?:c)(d)(?=e)(?<=f)(?<!g)(?>h)"},
        {"[一-龥]\\x41\\x{4e00}\\d\\/\\-", "[一-龥]\\x41\\x{4e00}\\d\\/\\-"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gi_buf b;
        gi_buf_init(&b, 1000);
        assert_int_equal(gi_pattern_translate(rows[i].from, &b, NULL), GLINT_OK);
        assert_string_equal(b.data ? (char *)b.data : "", rows[i].to);
        gi_buf_done(&b);
    }
}

static void patterns_that_may_differ_are_refused(void **state) {
    (void)state;
    static const char *const rows[] = {
        "\\w",    "\\v",    "\\h",   "\\b",      "\\A",   "a$",      "^a",         "\\p{Han}",
        "\\p{C}", "\\pL",   "\\p{",  "\\p{LLL}", "[[a]]", "[a&&b]",  "[]a]",       "[^]a]",
        "[a",     "(?m:a)", "(?i)a", "(?<n>a)",  "a{,3}", "a{1,2}+", "a{x}",       "a{1",
        "\\",     "\\x4",   "\\x{}", "\\x{12",   "\\1",   "\\k<a>",  "\\\xC3\xA9",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gi_buf b;
        glint_error e = {0};
        gi_buf_init(&b, 1000);
        if (gi_pattern_translate(rows[i], &b, &e) != GLINT_ERR_UNSUPPORTED)
            fail_msg("accepted: %s", rows[i]);
        assert_non_null(strstr(e.message, "not understood"));
        gi_buf_done(&b);
    }
    gi_buf b;
    gi_buf_init(&b, 3);
    assert_int_equal(gi_pattern_translate("abcd", &b, NULL), GLINT_ERR_LIMIT);
    gi_buf_done(&b);
}

static void literals_are_quoted(void **state) {
    (void)state;
    gi_buf b;
    gi_buf_init(&b, 100);
    assert_int_equal(gi_pattern_quote("a.b\\[(图", &b, NULL), GLINT_OK);
    assert_string_equal(b.data, "a\\.b\\\\\\[\\(图");
    gi_buf_done(&b);
}

/* One string, read with room for 16 bytes. */
static glint_status scan_string(const char *json, uint8_t out[16], size_t *n) {
    gi_jsonscan s;
    gi_jsonscan_init(&s, json, strlen(json), "t");
    return gi_jsonscan_string(&s, out, 16, n, NULL);
}

static void strings_are_decoded(void **state) {
    (void)state;
    uint8_t out[16];
    size_t n;
    assert_int_equal(scan_string("  \"a\\n\\\"\\u0041\\uD83D\\uDE00\\/\"", out, &n), GLINT_OK);
    assert_int_equal(n, 9);
    assert_memory_equal(out, "a\n\"A\xF0\x9F\x98\x80/", 9);
    assert_int_equal(scan_string("\"\\u0000\"", out, &n), GLINT_OK);
    assert_int_equal(n, 1);
    assert_int_equal(scan_string("\"0123456789abcdef\"", out, &n), GLINT_OK);
    assert_int_equal(scan_string("\"0123456789abcdefg\"", out, &n), GLINT_ERR_LIMIT);
    static const char *const bad[] = {"",
                                      "a",
                                      "\"a",
                                      "\"\\",
                                      "\"\\q\"",
                                      "\"\\u12\"",
                                      "\"\\uD800\"",
                                      "\"\\uDC00\"",
                                      "\"a\nb\"",
                                      "\"\\u00g0\"",
                                      "\"\\uD800\\u0041\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(scan_string(bad[i], out, &n), GLINT_ERR_FORMAT);
}

static void values_are_skipped_whole(void **state) {
    (void)state;
    static const char json[] = "{\"a\": {\"}\":[1,\"\\\"]\"]} , \"b\":12 }";
    gi_jsonscan s;
    gi_jsonscan_init(&s, json, strlen(json), "t");
    uint8_t key[4];
    const uint8_t *span = NULL;
    size_t n = 0, n_span = 0;
    bool more = false;
    assert_int_equal(gi_jsonscan_open(&s, '[', NULL), GLINT_ERR_FORMAT);
    assert_int_equal(gi_jsonscan_open(&s, '{', NULL), GLINT_OK);
    assert_int_equal(gi_jsonscan_next(&s, '}', 0, &more, NULL), GLINT_OK);
    assert_int_equal(gi_jsonscan_key(&s, key, 4, &n, NULL), GLINT_OK);
    assert_int_equal(gi_jsonscan_span(&s, &span, &n_span, NULL), GLINT_OK);
    assert_int_equal(n_span, strlen("{\"}\":[1,\"\\\"]\"]}"));
    assert_int_equal(gi_jsonscan_next(&s, '}', 1, &more, NULL), GLINT_OK);
    assert_int_equal(gi_jsonscan_key(&s, key, 4, &n, NULL), GLINT_OK);
    uint32_t number = 0;
    gi_jsonscan copy = s;
    assert_int_equal(gi_jsonscan_int(&copy, 11, &number, NULL), GLINT_ERR_LIMIT);
    assert_int_equal(gi_jsonscan_int(&s, 12, &number, NULL), GLINT_OK);
    assert_int_equal(number, 12);
    assert_int_equal(gi_jsonscan_next(&s, '}', 2, &more, NULL), GLINT_OK);
    assert_false(more);
    static const char *const bad[] = {"", "]", "{", "[\"a]", "{\"a\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gi_jsonscan_init(&s, bad[i], strlen(bad[i]), "t");
        assert_int_equal(gi_jsonscan_span(&s, &span, &n_span, NULL), GLINT_ERR_FORMAT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_that_mean_the_same),
        cmocka_unit_test(patterns_that_may_differ_are_refused),
        cmocka_unit_test(literals_are_quoted),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(values_are_skipped_whole),
    };
    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
