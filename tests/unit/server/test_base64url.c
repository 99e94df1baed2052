/*
 * src/server/base64url: every length, every byte, and each rule broken once.
 */
#include "../cm.h"

#include "server/base64url.h"

#include <string.h>

static void known(void **state) {
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg"},
        {"fo", "Zm8"},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg"},
        {"fooba", "Zm9vYmE"},
        {"\xFB\xFF\xBF", "-_-_"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[16];
        uint8_t bytes[16];
        size_t n = 99;
        gi_base64url_encode((const uint8_t *)cases[i][0], strlen(cases[i][0]), text);
        assert_string_equal(text, cases[i][1]);
        assert_true(gi_base64url_decode(text, strlen(text), bytes, &n));
        assert_int_equal(n, strlen(cases[i][0]));
        assert_memory_equal(bytes, cases[i][0], n);
    }
}

static void refused(void **state) {
    static const char *const bad[] = {"Z",    "Zm9vY", "Zg==", "Zm8=",  "Zh", "Zm9",      "+/+/",
                                      "Zm 9", "Zm9\n", "Zg.",  "Z\x80", "=",  "Zm9v====", "*"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t bytes[16];
        size_t n = 99;
        if (gi_base64url_decode(bad[i], strlen(bad[i]), bytes, &n)) fail_msg("took %s", bad[i]);
        assert_int_equal(n, 99);
    }
}

/* What is decoded encodes to the same text: one spelling per byte string. */
static void one_spelling(void **state) {
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            const char text[] = {(char)a, (char)b, '\0'};
            char again[8];
            uint8_t bytes[8];
            size_t n;
            if (!gi_base64url_decode(text, 2, bytes, &n)) continue;
            gi_base64url_encode(bytes, n, again);
            assert_string_equal(again, text);
        }
    uint8_t in[300], out[302];
    char text[GI_BASE64URL_TEXT_BYTES(sizeof in)];
    uint32_t seed = 7;
    for (size_t len = 0; len <= sizeof in; len++) {
        size_t n = 0;
        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
        gi_base64url_encode(in, len, text);
        assert_int_equal(strlen(text) + 1, GI_BASE64URL_TEXT_BYTES(len));
        assert_true(gi_base64url_decode(text, strlen(text), out, &n));
        assert_int_equal(n, len);
        assert_memory_equal(out, in, len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(refused),
        cmocka_unit_test(one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
