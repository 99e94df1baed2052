/*
 * src/base: errors, checked arithmetic, buffers, arenas, UTF-8, JSON getters, files.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/ascii.h"
#include "base/buf.h"
#include "base/checked.h"
#include "base/filemap.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/little_endian.h"
#include "base/utf8.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

static void fail_cuts_and_cleans(void **state) {
    (void)state;
    glint_error e = {0};
    assert_int_equal(gi_fail(&e, GLINT_ERR_IO, "a\nb %d", 7), GLINT_ERR_IO);
    assert_string_equal(e.message, "a?b 7");
    char big[GLINT_ERROR_MESSAGE_BYTES * 2];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(big, 'x', sizeof big);
        for (size_t i = shift; i + 3 < sizeof big; i += 3) memcpy(big + i, "\xE7\x89\xB9", 3);
        big[sizeof big - 1] = '\0';
        gi_fail(&e, GLINT_ERR_ARG, "%s", big);
        const size_t n = strlen(e.message);
        assert_in_range(n, GLINT_ERROR_MESSAGE_BYTES - 4, GLINT_ERROR_MESSAGE_BYTES - 1);
        assert_true(gi_utf8_is_valid((const uint8_t *)e.message, n, NULL));
    }
    assert_string_equal(glint_status_name(GLINT_ERR_INTERNAL), "internal fault");
    assert_string_equal(glint_status_name((glint_status)-99), "unknown status");
    assert_string_equal(glint_status_name((glint_status)5), "unknown status");
}

static void checked_arithmetic(void **state) {
    (void)state;
    size_t r = 42;
    assert_false(gi_mul_size(SIZE_MAX, 2, &r));
    assert_false(gi_add_size(SIZE_MAX, 1, &r));
    assert_int_equal(r, 42);
    assert_true(gi_mul_size(1u << 20, 1u << 20, &r));
    assert_int_equal(r, 1ull << 40);
    assert_int_equal(gi_round_up(65, 64), 128);
    assert_int_equal(gi_round_up(64, 64), 64);
}

static void allocation_fails_where_told(void **state) {
    (void)state;
    gi_alloc_fail_at(2);
    void *a = gi_alloc(8), *b = gi_alloc(8), *c = gi_alloc(8);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    gi_free(a);
    gi_free(c);
    gi_alloc_fail_at(0);
    assert_null(gi_calloc(SIZE_MAX / 2, 4));
    assert_null(gi_alloc_aligned(SIZE_MAX / 2, 4));
    void *d = gi_alloc_aligned(3, 7);
    assert_int_equal((uintptr_t)d % GI_ALIGN_BYTES, 0);
    gi_free(d);
    assert_null(gi_alloc_aligned(SIZE_MAX - 100, 1));
    for (size_t n = (4 << 20) - 1; n <= (4 << 20) + 1; n++) { /* large pages begin here */
        unsigned char *e = gi_alloc_aligned(n, 1);
        assert_non_null(e);
        assert_int_equal((uintptr_t)e % (n < 4 << 20 ? GI_ALIGN_BYTES : 2 << 20), 0);
        memset(e, 0xEE, n);
        gi_free(e);
    }
    gi_alloc_fail_at(1);
    assert_null(gi_alloc_aligned(8 << 20, 1));
}

static void buf_never_passes_its_maximum(void **state) {
    (void)state;
    gi_buf b;
    glint_error e = {0};
    gi_buf_init(&b, 1000);
    for (int i = 0; i < 100; i++) assert_int_equal(gi_buf_puts(&b, "0123456789", &e), GLINT_OK);
    assert_int_equal(b.len, 1000);
    assert_int_equal(b.data[1000], 0);
    assert_int_equal(gi_buf_push(&b, "x", 1, &e), GLINT_ERR_LIMIT);
    assert_int_equal(gi_buf_reserve(&b, SIZE_MAX, &e), GLINT_ERR_LIMIT);
    assert_int_equal(b.len, 1000);
    gi_buf_clear(&b);
    assert_int_equal(gi_buf_printf(&b, &e, "%s-%d", "n", 12), GLINT_OK);
    assert_string_equal((char *)b.data, "n-12");
    size_t n;
    uint8_t *taken = gi_buf_take(&b, &n);
    assert_int_equal(n, 4);
    assert_null(b.data);
    gi_free(taken);
    assert_int_equal(gi_buf_puts(&b, "a secret", &e), GLINT_OK);
    gi_buf_wipe(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
    gi_buf_wipe(&b);
    gi_buf_wipe(NULL);
    assert_int_equal(gi_buf_puts(&b, "again", &e), GLINT_OK);
    assert_string_equal((char *)b.data, "again");
    gi_buf_done(&b);
}

static void hashes_depend_on_every_byte(void **state) {
    (void)state;
    char a[32], b[32];
    for (size_t n = 0; n < sizeof a - 1; n++) {
        memset(a, 'x', n);
        a[n] = '\0';
        assert_true(gi_hash_name(7, a) == gi_hash_bytes(7, a, n));
        assert_true(gi_hash_name(7, a) != gi_hash_name(8, a));
        for (size_t i = 0; i < n; i++) {
            memcpy(b, a, n + 1);
            b[i] = 'y';
            assert_true(gi_hash_name(7, b) != gi_hash_name(7, a));
        }
    }
    /* A zero at the end counts too. */
    assert_true(gi_hash_bytes(7, "ab", 2) != gi_hash_bytes(7, "ab", 3));
}

static void ascii_classes_without_a_locale(void **state) {
    (void)state;
    for (int c = -128; c < 0x3000; c++) {
        const bool is_ascii = c >= 0 && c < 128;
        assert_int_equal(gi_ascii_is_digit(c), is_ascii && isdigit(c));
        assert_int_equal(gi_ascii_is_alpha(c), is_ascii && isalpha(c));
        assert_int_equal(gi_ascii_is_alnum(c), is_ascii && isalnum(c));
        const char *small = is_ascii && c ? strchr("0123456789abcdef", c) : NULL;
        const char *large = is_ascii && c ? strchr("0123456789ABCDEF", c) : NULL;
        const int value = small ? 16 - (int)strlen(small) : large ? 16 - (int)strlen(large) : -1;
        assert_int_equal(gi_ascii_hex_value(c), value);
        assert_int_equal(gi_ascii_small_hex_value(c), small ? value : -1);
    }
    for (int c = -128; c < 128; c++)
        assert_int_equal(gi_ascii_lower((char)c), c >= 0 ? tolower(c) : c);
}

static void little_endian_both_ways(void **state) {
    (void)state;
    const uint64_t value = 0x0123456789ABCDEFu;
    static const uint8_t bytes[8] = {0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01};
    for (size_t n = 1; n <= 8; n++) {
        uint8_t out[9];
        memset(out, 0x5A, sizeof out);
        gi_le_put(out, value, n);
        assert_memory_equal(out, bytes, n);
        assert_int_equal(out[n], 0x5A);
        assert_true(gi_le_get(bytes, n) == (n == 8 ? value : value & ((1ull << 8 * n) - 1)));
    }
}

static void arena_is_aligned_and_capped(void **state) {
    (void)state;
    gi_arena a;
    gi_arena_init(&a, 1 << 20);
    for (size_t n = 1; n < 2000; n += 37) {
        unsigned char *p = gi_arena_alloc(&a, n, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 0xEE, n);
    }
    assert_string_equal(gi_arena_strndup(&a, "hello", 4), "hell");
    assert_null(gi_arena_alloc(&a, 2 << 20, 1));
    assert_null(gi_arena_alloc(&a, SIZE_MAX, 2));
    gi_arena_done(&a);
    gi_arena_done(NULL);
}

static void utf8_follows_rfc3629(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        int want;
    } rows[] = {
        {"A", 1},
        {"\xC3\xA9", 2},
        {"\xE7\x89\xB9", 3},
        {"\xF0\x9F\x98\x80", 4},
        {"\xC0\xAF", 0},         /* overlong slash */
        {"\xE0\x9F\xBF", 0},     /* overlong 3 */
        {"\xF0\x8F\xBF\xBF", 0}, /* overlong 4 */
        {"\xED\xA0\x80", 0},     /* surrogate */
        {"\xF4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xF5\x80\x80\x80", 0}, /* impossible lead */
        {"\x80", 0},             /* stray continuation */
        {"\xE7\x89", -1},        /* could be completed */
        {"\xF0\x9F", -1},
        {"\xE0\x9F", 0}, /* could not */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t cp;
        assert_int_equal(gi_utf8_decode((const uint8_t *)rows[i].bytes, strlen(rows[i].bytes), &cp),
                         rows[i].want);
    }
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp <= 0xDFFF) continue;
        uint8_t out[4];
        uint32_t back = 0;
        const int n = gi_utf8_encode(cp, out);
        assert_int_equal(gi_utf8_decode(out, (size_t)n, &back), n);
        assert_int_equal(back, cp);
    }
    assert_int_equal(gi_utf8_complete_prefix((const uint8_t *)"ab\xE7\x89", 4), 2);
    assert_int_equal(gi_utf8_complete_prefix((const uint8_t *)"ab\xE7\x89\xB9", 5), 5);
    assert_int_equal(gi_utf8_complete_prefix((const uint8_t *)"ab\xFF", 3), 3);
}

static void json_getters_name_the_key(void **state) {
    (void)state;
    glint_error e = {0};
    json_t *j = NULL;
    const char *text = "{\"n\": 4, \"f\": 2.0, \"x\": 1.5, \"s\": \"t\", \"z\": null, \"a\": []}";
    assert_int_equal(gi_json_parse(text, strlen(text), "cfg", &j, &e), GLINT_OK);
    int64_t n = -1;
    assert_int_equal(gi_json_get_int(j, "cfg", "n", true, 1, 9, &n, &e), GLINT_OK);
    assert_int_equal(n, 4);
    assert_int_equal(gi_json_get_int(j, "cfg", "f", true, 1, 9, &n, &e), GLINT_OK);
    assert_int_equal(n, 2);
    assert_int_equal(gi_json_get_int(j, "cfg", "x", true, 1, 9, &n, &e), GLINT_ERR_FORMAT);
    assert_string_equal(e.message, "cfg: \"x\" must be an integer");
    assert_int_equal(gi_json_get_int(j, "cfg", "n", true, 5, 9, &n, &e), GLINT_ERR_FORMAT);
    assert_string_equal(e.message, "cfg: \"n\" is 4, must be 5 to 9");
    assert_int_equal(gi_json_get_int(j, "cfg", "z", true, 5, 9, &n, &e), GLINT_ERR_FORMAT);
    assert_int_equal(gi_json_get_int(j, "cfg", "z", false, 5, 9, &n, &e), GLINT_OK);
    assert_int_equal(n, 2);
    const char *s = NULL;
    assert_int_equal(gi_json_get_string(j, "cfg", "s", true, &s, &e), GLINT_OK);
    assert_string_equal(s, "t");
    json_decref(j);
    assert_int_equal(gi_json_parse("{\"a\":1,\"a\":2}", 13, "cfg", &j, &e), GLINT_ERR_FORMAT);
    assert_int_equal(gi_json_parse("{} x", 4, "cfg", &j, &e), GLINT_ERR_FORMAT);
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_int_equal(gi_json_parse(deep, 200, "cfg", &j, &e), GLINT_ERR_FORMAT);
    assert_int_equal(gi_json_parse(deep + 100 - 64, 128, "cfg", &j, &e), GLINT_OK);
    json_decref(j);
}

static void files_say_what_is_wrong(void **state) {
    (void)state;
    glint_error e = {0};
    gi_filemap m;
    assert_int_equal(gi_filemap_open("/nonexistent/x", &m, &e), GLINT_ERR_IO);
    assert_non_null(strstr(e.message, "/nonexistent/x: No such file"));
    assert_int_equal(gi_filemap_open("/dev/null", &m, &e), GLINT_ERR_IO);
    char path[] = "/tmp/glint-test-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    assert_int_equal(gi_filemap_open(path, &m, &e), GLINT_OK);
    assert_int_equal(m.size_bytes, 5);
    assert_memory_equal(m.data, "hello", 5);
    gi_filemap_close(&m);
    gi_buf b;
    gi_buf_init(&b, 4);
    assert_int_equal(gi_file_read(path, &b, &e), GLINT_ERR_LIMIT);
    gi_buf_init(&b, 5);
    assert_int_equal(gi_file_read(path, &b, &e), GLINT_OK);
    assert_int_equal(b.len, 5);
    gi_buf_done(&b);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_cuts_and_cleans),
        cmocka_unit_test(checked_arithmetic),
        cmocka_unit_test(allocation_fails_where_told),
        cmocka_unit_test(buf_never_passes_its_maximum),
        cmocka_unit_test(hashes_depend_on_every_byte),
        cmocka_unit_test(ascii_classes_without_a_locale),
        cmocka_unit_test(little_endian_both_ways),
        cmocka_unit_test(arena_is_aligned_and_capped),
        cmocka_unit_test(utf8_follows_rfc3629),
        cmocka_unit_test(json_getters_name_the_key),
        cmocka_unit_test(files_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
