/*
 * src/base/parse: what is a number and what is not, at the edges of the types.
 */
#include "../cm.h"

#include "base/parse.h"

static void integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"--1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x10", false, 0},
        {"1e3", false, 0},
        {"\xD9\xA1", false, 0}, /* an Arabic digit one */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t v = 42;
        assert_int_equal(gi_parse_i64(rows[i].text, &v), rows[i].ok);
        assert_int_equal(v, rows[i].ok ? rows[i].value : 42);
    }
    uint64_t u = 42;
    assert_true(gi_parse_u64("18446744073709551615", &u));
    assert_true(u == UINT64_MAX);
    assert_false(gi_parse_u64("18446744073709551616", &u));
    assert_false(gi_parse_u64("-1", &u));
    assert_true(u == UINT64_MAX);
}

static void decimals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        double value;
    } rows[] = {
        {"0", true, 0},       {"0.25", true, 0.25}, {"-3", true, -3},    {"1e-5", true, 1e-5},
        {"2E+3", true, 2000}, {"1e400", false, 0},  {"nan", false, 0},   {"inf", false, 0},
        {"-inf", false, 0},   {".5", false, 0},     {"5.", false, 0},    {"1e", false, 0},
        {"0x1p3", false, 0},  {"", false, 0},       {"1,5", false, 0},   {" 1", false, 0},
        {"1 ", false, 0},     {"+1", false, 0},     {"1e-400", true, 0}, {"--1", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double v = 42;
        assert_int_equal(gi_parse_double(rows[i].text, &v), rows[i].ok);
        assert_true(v == (rows[i].ok ? rows[i].value : 42)); /* exact: libc rounds correctly */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
