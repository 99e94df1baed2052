/*
 * src/base/sha256: the bytes that are hashed are those the header promises (expected values by
 * Python's hashlib), fields cannot run into each other, and a failure inside OpenSSL comes out as
 * an error and never as a digest.
 */
#include "../cm.h"

#include "base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <stdlib.h>
#include <string.h>

static uint64_t n_calls, fail_at; /* OpenSSL's allocations, and which of them fails; 0 = none */

static void *counted_malloc(size_t n, const char *file, int line) {
    return ++n_calls == fail_at ? NULL : malloc(n);
}

static void *counted_realloc(void *p, size_t n, const char *file, int line) {
    return ++n_calls == fail_at ? NULL : realloc(p, n);
}

static void counted_free(void *p, const char *file, int line) {
    free(p);
}

static void assert_hex(const gi_digest *digest, const char *want) {
    char hex[GI_DIGEST_HEX_BYTES];
    gi_digest_hex(digest, hex);
    assert_string_equal(hex, want);
}

static void hashes_what_the_header_says(void **state) {
    (void)state;
    gi_digest digest;
    assert_int_equal(gi_sha256_of_bytes("test", "abc", 3, &digest, NULL), GLINT_OK);
    assert_hex(&digest, "e0494c6be9505ed773e5bc2f38cf555c2cdabfa61489722ed2f0814d2a1dae70");

    gi_sha256 h;
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(gi_sha256_init(&h, NULL), GLINT_OK);
    for (int again = 0; again < 3; again++) {
        gi_sha256_begin(&h, "glint test 1");
        gi_sha256_u64(&h, 0x0123456789ABCDEFu);
        gi_sha256_bytes(&h, NULL, 0);
        gi_sha256_f64(&h, -1.5);
        gi_sha256_bytes(&h, bytes, sizeof bytes);
        assert_int_equal(gi_sha256_end(&h, &digest, NULL), GLINT_OK);
        assert_hex(&digest, "bf0bc5ced5df7d9e639004b05c70dbd0a2465cbbdaeade40422a28776b46cbff");
        gi_sha256_begin(&h, "");
        assert_int_equal(gi_sha256_end(&h, &digest, NULL), GLINT_OK);
        assert_hex(&digest, "019f76127757f5d29dd33fbdca211fdc0ece9b093995fdb2706a5a8805c0e2b9");
        gi_sha256_begin(&h, "abandoned half-way");
        gi_sha256_u64(&h, 1);
    }
    gi_sha256_done(&h);
    gi_sha256_done(&h);
}

/* Lists of fields that a plain concatenation would confuse. */
static void fields_do_not_run_together(void **state) {
    (void)state;
    enum { N = 10 };
    gi_digest d[N];
    gi_sha256 h;
    assert_int_equal(gi_sha256_init(&h, NULL), GLINT_OK);
    for (int i = 0; i < N; i++) {
        gi_sha256_begin(&h, i == 0 ? "ab" : "a");
        if (i == 1) gi_sha256_bytes(&h, "b", 1);
        if (i == 2) gi_sha256_bytes(&h, "bc", 2);
        if (i == 3) gi_sha256_bytes(&h, "b", 1), gi_sha256_bytes(&h, "c", 1);
        if (i == 4) gi_sha256_bytes(&h, "bc", 2), gi_sha256_bytes(&h, "", 0);
        if (i == 5) gi_sha256_bytes(&h, "", 0), gi_sha256_bytes(&h, "bc", 2);
        if (i == 6) gi_sha256_u64(&h, 0);
        if (i == 7) gi_sha256_f64(&h, 0);
        if (i == 8) gi_sha256_bytes(&h, "\0\0\0\0\0\0\0", 8);
        if (i == 9) gi_sha256_u64(&h, 0), gi_sha256_u64(&h, 0);
        assert_int_equal(gi_sha256_end(&h, &d[i], NULL), GLINT_OK);
        for (int j = 0; j < i; j++) assert_memory_not_equal(d[i].bytes, d[j].bytes, 32);
    }
    gi_sha256_done(&h);
}

/* Each allocation of OpenSSL fails once; the algorithm was loaded by the tests before. */
static void short_of_memory(void **state) {
    (void)state;
    gi_digest want, digest;
    glint_error err;
    int n_failed = 0;
    assert_int_equal(gi_sha256_of_bytes("test", "abc", 3, &want, NULL), GLINT_OK);
    for (uint64_t n = 1;; n++) {
        memset(&digest, 0xEE, sizeof digest);
        err = (glint_error){0};
        n_calls = 0;
        fail_at = n;
        const glint_status st = gi_sha256_of_bytes("test", "abc", 3, &digest, &err);
        fail_at = 0;
        assert_int_equal(ERR_peek_error(), 0);
        if (st == GLINT_OK) {
            assert_memory_equal(digest.bytes, want.bytes, sizeof want.bytes);
            if (n_calls < n) break;
            continue;
        }
        n_failed++;
        assert_int_equal(err.code, st);
        for (size_t i = 0; i < sizeof digest.bytes; i++) assert_int_equal(digest.bytes[i], 0xEE);
    }
    assert_true(n_failed >= 2);
}

/* A hash that failed says so at its end, and works again from the next beginning on. */
static void failures_are_remembered(void **state) {
    (void)state;
    gi_sha256 h;
    gi_digest digest = {{0}}, want;
    assert_int_equal(gi_sha256_of_bytes("a", NULL, 0, &want, NULL), GLINT_OK);
    assert_int_equal(gi_sha256_init(&h, NULL), GLINT_OK);
    gi_sha256_u64(&h, 1);
    assert_int_equal(gi_sha256_end(&h, &digest, NULL), GLINT_ERR_INTERNAL); /* without a begin */
    gi_sha256_begin(&h, "a");
    h.is_good = false;
    gi_sha256_u64(&h, 1);
    assert_int_equal(gi_sha256_end(&h, &digest, NULL), GLINT_ERR_INTERNAL);
    assert_int_equal(digest.bytes[0], 0);
    gi_sha256_begin(&h, "a");
    gi_sha256_bytes(&h, NULL, 0);
    assert_int_equal(gi_sha256_end(&h, &digest, NULL), GLINT_OK);
    assert_memory_equal(digest.bytes, want.bytes, sizeof want.bytes);
    digest = (gi_digest){{0}};
    assert_int_equal(gi_sha256_end(&h, &digest, NULL), GLINT_ERR_INTERNAL); /* twice */
    assert_int_equal(digest.bytes[0], 0);
    gi_sha256_done(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_what_the_header_says),
        cmocka_unit_test(fields_do_not_run_together),
        cmocka_unit_test(failures_are_remembered),
        cmocka_unit_test(short_of_memory),
    };
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
