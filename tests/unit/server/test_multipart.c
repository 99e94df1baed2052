/*
 * src/server/multipart and header_value: what browsers and curl send, and what nobody should.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "server/header_value.h"
#include "server/multipart.h"

#include <stdio.h>
#include <string.h>

/* Parse a copy of `body` that ends where the allocation ends, so that a sanitizer sees overruns. */
static glint_status parse(const char *boundary, const char *body, size_t n,
                          gi_multipart_part parts[GI_MULTIPART_PARTS_MAX], size_t *ret_n,
                          uint8_t **ret_copy) {
    uint8_t *copy = gi_alloc(n);
    assert_non_null(copy);
    memcpy(copy, body, n);
    const glint_status st = gi_multipart_parse(boundary, copy, n, parts, ret_n, NULL);
    *ret_copy = copy;
    return st;
}

static void two_parts(void **state) {
    static const char body[] =
        "--B\r\n"
        "Content-Disposition: form-data; name=\"prompt\"\r\n\r\n"
        "What?\r\n--Bx is data\r\n"
        "\r\n--B \t\r\n"
        "CONTENT-TYPE: image/png\r\n"
        "content-disposition: form-data; filename=\"a\\\"b.png\"; name=image\r\n"
        "X-Other: 1\r\n\r\n"
        "\x89PNG\0\r\n\r\n--B--\r\nepilogue";
    gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
    size_t n = 0;
    uint8_t *copy;
    assert_int_equal(parse("B", body, sizeof body - 1, parts, &n, &copy), GLINT_OK);
    assert_int_equal(n, 2);
    assert_string_equal(parts[0].name, "prompt");
    assert_false(parts[0].is_file);
    assert_int_equal(parts[0].n_bytes, strlen("What?\r\n--Bx is data\r\n"));
    assert_memory_equal(parts[0].data, "What?\r\n--Bx is data\r\n", parts[0].n_bytes);
    assert_string_equal(parts[1].name, "image");
    assert_true(parts[1].is_file);
    assert_int_equal(parts[1].n_bytes, 7);
    assert_memory_equal(parts[1].data, "\x89PNG\0\r\n", 7);
    gi_free(copy);
}

static void small_shapes(void **state) {
    static const struct {
        const char *body;
        size_t n_parts;
    } cases[] = {
        {"--B--", 0},
        {"\r\n\r\n--B--\r\n", 0},
        /* No data at all: the blank line's CRLF is the delimiter's too. */
        {"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n--B--", 1},
        {"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--B--", 1},
        {"--B\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n--B--", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
        size_t n = 99;
        uint8_t *copy;
        assert_int_equal(parse("B", cases[i].body, strlen(cases[i].body), parts, &n, &copy),
                         GLINT_OK);
        assert_int_equal(n, cases[i].n_parts);
        if (n == 1 && i < 4) assert_int_equal(parts[0].n_bytes, 0);
        gi_free(copy);
    }
}

static void refused(void **state) {
#define PART(headers) "--B\r\n" headers "\r\n\r\nx\r\n--B--"
    static const char *const bad[] = {
        "",
        "x",
        "--",
        "--B",
        "--B\r\n",
        "--C--",
        "preamble\r\n--B--",
        "--B\n--B--",
        PART("Content-Disposition: form-data"),
        PART("Content-Disposition: attachment; name=a"),
        PART("Content-Disposition: form-data; name=a; name=b"),
        PART("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=a"),
        PART("Content-Disposition: form-data; name=\"a"),
        PART("Content-Disposition: form-data; name=a x"),
        PART("Content-Disposition : form-data; name=a"),
        PART("Content-Disposition: form-data; name=a\r\n folded: no"),
        PART("Content-Disposition: form-data; name=a\r\nBad\x01: no"),
        PART("Content-Disposition: form-data; name=a\r\nBare: \rno"),
        PART("Content-Type: text/plain"),
        PART("Content-Disposition: form-data; name=a\r\nContent-Type: a/b\r\nContent-Type: a/b"),
        PART("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: "
             "quoted-printable"),
        PART("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64"),
        "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nno end",
        "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nno end\r\n--B-",
        "--B\r\nContent-Disposition: form-data; name=a\n\nx\r\n--B--",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
        size_t n = 99;
        uint8_t *copy;
        if (parse("B", bad[i], strlen(bad[i]), parts, &n, &copy) == GLINT_OK)
            fail_msg("case %zu was accepted", i);
        assert_int_equal(n, 99);
        gi_free(copy);
    }
}

static void decodes_base64(void **state) {
    static const char body[] = "--B\r\nContent-Disposition: form-data; name=a\r\n"
                               "Content-Transfer-Encoding: BASE64\r\n\r\nVGVzdCAxMjM=\r\n--B--";
    gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
    size_t n;
    uint8_t *copy;
    assert_int_equal(parse("B", body, sizeof body - 1, parts, &n, &copy), GLINT_OK);
    assert_int_equal(parts[0].n_bytes, 8);
    assert_memory_equal(parts[0].data, "Test 123", 8);
    gi_free(copy);
}

static void limits(void **state) {
    static char body[64 * 1024];
    gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
    size_t n_parts = 0;
    for (int n = 0; n <= GI_MULTIPART_PARTS_MAX + 1; n++) {
        int len = 0;
        for (int i = 0; i < n; i++)
            len += snprintf(body + len, sizeof body - (size_t)len,
                            "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n%d\r\n", i);
        len += snprintf(body + len, sizeof body - (size_t)len, "--B--");
        const glint_status st =
            gi_multipart_parse("B", (uint8_t *)body, (size_t)len, parts, &n_parts, NULL);
        assert_int_equal(st, n <= GI_MULTIPART_PARTS_MAX ? GLINT_OK : GLINT_ERR_LIMIT);
    }
    for (int pad = 3000; pad <= 5000; pad += 2000) {
        const int len = snprintf(body, sizeof body,
                                 "--B\r\nContent-Disposition: form-data; name=a\r\nX: %0*d\r\n\r\n"
                                 "x\r\n--B--",
                                 pad, 0);
        assert_int_equal(
            gi_multipart_parse("B", (uint8_t *)body, (size_t)len, parts, &n_parts, NULL),
            pad == 3000 ? GLINT_OK : GLINT_ERR_LIMIT);
    }
}

static void boundaries(void **state) {
    char b[GI_MULTIPART_BOUNDARY_BYTES];
    static const char *const good[][2] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"multipart/form-data; charset=utf-8; BOUNDARY=\"a b\"", "a b"},
        {"multipart/form-data;boundary=----WebKitFormBoundaryX", "----WebKitFormBoundaryX"},
        {"multipart/form-data; boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789012345678901234567890123456789"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(gi_multipart_boundary(good[i][0], strlen(good[i][0]), b, NULL), GLINT_OK);
        assert_string_equal(b, good[i][1]);
    }
    static const char *const bad[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"ends in space \"",
        "multipart/form-data; boundary=a; boundary=a",
        "multipart/form-data; boundary=\"a\\\"b\"",
        "multipart/form-data; boundary=a b",
        "multipart/form-data; boundary=\"\xC3\xA9\"",
        "multipart/form-data, boundary=a",
        ("multipart/form-data; boundary="
         "01234567890123456789012345678901234567890123456789012345678901234567890"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (gi_multipart_boundary(bad[i], strlen(bad[i]), b, NULL) == GLINT_OK)
            fail_msg("accepted %s", bad[i]);
}

/* Random damage to a good body: whatever comes out lies within the body. */
static void damaged(void **state) {
    static const char body[] =
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\n"
        "Content-Disposition: form-data; name=b; filename=\"f\"\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nZm9v\r\n--B--\r\n";
    static const char bytes[] = "\r\n-B:;=\"\\ a\0";
    uint32_t seed = 7;
    int n_ok = 0;
    for (int round = 0; round < 60000; round++) {
        char text[sizeof body];
        size_t n = sizeof body - 1;
        memcpy(text, body, n);
        for (int k = 0; k < 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            text[(seed >> 8) % n] = bytes[(seed >> 20) % (sizeof bytes - 1)];
            if ((seed >> 28) == 0) n = 1 + (seed >> 8) % n;
        }
        gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
        size_t n_parts = 0;
        uint8_t *copy;
        if (parse("B", text, n, parts, &n_parts, &copy) == GLINT_OK) {
            n_ok++;
            for (size_t i = 0; i < n_parts; i++) {
                assert_true(parts[i].data >= copy);
                assert_true(parts[i].data + parts[i].n_bytes <= copy + n);
                assert_true(strlen(parts[i].name) < sizeof parts[i].name);
            }
        }
        gi_free(copy);
    }
    assert_in_range(n_ok, 1, 59999);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_parts), cmocka_unit_test(small_shapes),
        cmocka_unit_test(refused),   cmocka_unit_test(decodes_base64),
        cmocka_unit_test(limits),    cmocka_unit_test(boundaries),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
