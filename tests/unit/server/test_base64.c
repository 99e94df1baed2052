/*
 * src/server/base64: the vectors of RFC 4648 section 10, every byte, and each rule broken once.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "server/base64.h"

#include <string.h>

static void rfc_vectors(void **state) {
    static const char *const cases[][2] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\xFB\xFF\xBF"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t out[16];
        size_t n = 99;
        const char *text = cases[i][0];
        assert_int_equal(gi_base64_decoded_bytes(text, strlen(text), &n, NULL), GLINT_OK);
        assert_int_equal(n, strlen(cases[i][1]));
        assert_int_equal(gi_base64_decode(text, strlen(text), out, NULL), GLINT_OK);
        assert_memory_equal(out, cases[i][1], n);
    }
}

static void breaks_a_rule(void **state) {
    static const char *const bad[] = {
        "Zg",
        "Zg=",
        "Zm9",
        "Z===",
        "====",
        "=Zg=",
        "Zg==Zg==",
        "Zm 9v",
        "Zm9v\n",
        "Zm9v\r\n\r\n",
        "Zh==" /* unused bits */,
        "Zm9=" /* unused bits */,
        "-_-_" /* the URL alphabet */,
        "Zm\x80v",
        "Zm9*",
        "=m9v",
        "Z=9v",
        "Zm=v",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t out[16];
        if (gi_base64_decode(bad[i], strlen(bad[i]), out, NULL) == GLINT_OK)
            fail_msg("accepted \"%s\"", bad[i]);
    }
}

/* Encode with the plainest possible code, decode, compare: all lengths to 300, all byte values. */
static void round_trip(void **state) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t in[300], out[300];
    char text[404];
    uint32_t seed = 1;
    for (size_t len = 0; len <= sizeof in; len++) {
        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
        size_t n = 0;
        for (size_t i = 0; i < len; i += 3) {
            const uint32_t v = (uint32_t)in[i] << 16 |
                               (i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0) |
                               (i + 2 < len ? in[i + 2] : 0);
            text[n++] = alphabet[v >> 18];
            text[n++] = alphabet[v >> 12 & 63];
            text[n++] = i + 1 < len ? alphabet[v >> 6 & 63] : '=';
            text[n++] = i + 2 < len ? alphabet[v & 63] : '=';
        }
        size_t n_out = 0;
        assert_int_equal(gi_base64_decoded_bytes(text, n, &n_out, NULL), GLINT_OK);
        assert_int_equal(n_out, len);
        assert_int_equal(gi_base64_decode(text, n, out, NULL), GLINT_OK);
        assert_memory_equal(out, in, len);
        /* In place. */
        assert_int_equal(gi_base64_decode(text, n, (uint8_t *)text, NULL), GLINT_OK);
        assert_memory_equal(text, in, len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_vectors),
        cmocka_unit_test(breaks_a_rule),
        cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
