/*
 * src/store/store_value: what was sealed opens under its own name, as its own kind, before its
 * time is over, and in no other way.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "store/store_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char CONTENTS[] = "an answer";
enum { N_CONTENTS = sizeof CONTENTS, EXPIRES = 1000 };

typedef struct rig {
    gi_store_secret secret;
    gi_digest key, name;
    gi_buf value;
} rig;

static void seal(rig *r, gi_store_kind kind, uint8_t key, const void *contents, size_t n) {
    *r = (rig){.key = {{key}}};
    static const char secret[] = "a secret of at least thirty-two bytes";
    gi_buf_init(&r->value, 1 << 20);
    assert_int_equal(gi_store_secret_init(&r->secret, secret, sizeof secret, NULL), GLINT_OK);
    assert_int_equal(gi_store_name(&r->secret, kind, &r->key, &r->name, NULL), GLINT_OK);
    assert_int_equal(
        gi_store_seal(&r->secret, kind, &r->name, EXPIRES, contents, n, &r->value, NULL), GLINT_OK);
    assert_int_equal(r->value.len, GI_STORE_HEADER_BYTES + n);
}

static gi_store_verdict open_at(const rig *r, gi_store_kind kind, int64_t now, const void *bytes,
                                size_t n) {
    const uint8_t *contents = NULL;
    size_t n_contents = 0;
    const gi_store_verdict v =
        gi_store_open(&r->secret, kind, &r->name, now, bytes, n, &contents, &n_contents);
    assert_int_equal(contents != NULL, v == GI_STORE_GOOD);
    return v;
}

static void test_round_trip(void **state) {
    for (size_t n = 0; n <= N_CONTENTS; n++) {
        rig r;
        const uint8_t *contents;
        size_t n_contents;
        seal(&r, GI_STORE_ANSWER, 1, CONTENTS, n);
        assert_int_equal(gi_store_open(&r.secret, GI_STORE_ANSWER, &r.name, EXPIRES - 1,
                                       r.value.data, r.value.len, &contents, &n_contents),
                         GI_STORE_GOOD);
        assert_int_equal(n_contents, n);
        assert_memory_equal(contents, CONTENTS, n);
        gi_buf_done(&r.value);
    }
}

/* The bytes themselves: whoever changes them must change the version. */
static void test_layout(void **state) {
    rig r;
    seal(&r, GI_STORE_PICTURE, 1, "ab", 2);
    static const uint8_t head[32] = {'g', 'l', 'i', 'n', 't', 'v', 'a', 'l', 1, 0, 2, 0,    0,
                                     0,   0,   0,   2,   0,   0,   0,   0,   0, 0, 0, 0xe8, 3};
    assert_memory_equal(r.value.data, head, sizeof head);
    assert_memory_equal(r.value.data + 32, r.name.bytes, 32);
    assert_memory_equal(r.value.data + 96, "ab", 2);
    gi_buf_done(&r.value);
}

static void test_every_bit_counts(void **state) {
    rig r;
    seal(&r, GI_STORE_ANSWER, 1, CONTENTS, N_CONTENTS);
    for (size_t i = 0; i < 8 * r.value.len; i++) {
        r.value.data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(open_at(&r, GI_STORE_ANSWER, 0, r.value.data, r.value.len),
                         GI_STORE_REFUSED);
        r.value.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_int_equal(open_at(&r, GI_STORE_ANSWER, 0, r.value.data, r.value.len), GI_STORE_GOOD);
    gi_buf_done(&r.value);
}

static void test_every_length_counts(void **state) {
    rig r;
    seal(&r, GI_STORE_ANSWER, 1, CONTENTS, N_CONTENTS);
    for (size_t n = 0; n < r.value.len; n++)
        assert_int_equal(open_at(&r, GI_STORE_ANSWER, 0, r.value.data, n), GI_STORE_REFUSED);
    assert_int_equal(gi_buf_push(&r.value, "x", 1, NULL), GLINT_OK);
    assert_int_equal(open_at(&r, GI_STORE_ANSWER, 0, r.value.data, r.value.len), GI_STORE_REFUSED);
    gi_buf_done(&r.value);
}

static void test_moved(void **state) {
    rig a, b;
    seal(&a, GI_STORE_ANSWER, 1, CONTENTS, N_CONTENTS);
    seal(&b, GI_STORE_ANSWER, 2, CONTENTS, N_CONTENTS);
    assert_int_equal(open_at(&a, GI_STORE_ANSWER, 0, b.value.data, b.value.len), GI_STORE_REFUSED);
    assert_int_equal(open_at(&a, GI_STORE_PICTURE, 0, a.value.data, a.value.len), GI_STORE_REFUSED);
    gi_buf_done(&a.value);
    gi_buf_done(&b.value);
}

/* Same key, other kind: another name, or a value could be moved between kinds. */
static void test_names(void **state) {
    rig r;
    gi_digest other;
    seal(&r, GI_STORE_ANSWER, 1, CONTENTS, N_CONTENTS);
    assert_int_equal(gi_store_name(&r.secret, GI_STORE_PICTURE, &r.key, &other, NULL), GLINT_OK);
    assert_memory_not_equal(r.name.bytes, other.bytes, 32);
    assert_memory_not_equal(r.name.bytes, r.key.bytes, 32);
    gi_buf_done(&r.value);
}

static void test_expiry(void **state) {
    rig r;
    seal(&r, GI_STORE_ANSWER, 1, CONTENTS, N_CONTENTS);
    assert_int_equal(open_at(&r, GI_STORE_ANSWER, EXPIRES - 1, r.value.data, r.value.len),
                     GI_STORE_GOOD);
    assert_int_equal(open_at(&r, GI_STORE_ANSWER, EXPIRES, r.value.data, r.value.len),
                     GI_STORE_EXPIRED);
    gi_buf_done(&r.value);
}

static void test_other_secret(void **state) {
    rig r;
    gi_store_secret other;
    const uint8_t *contents;
    size_t n;
    seal(&r, GI_STORE_ANSWER, 1, CONTENTS, N_CONTENTS);
    assert_int_equal(gi_store_secret_init(&other, "another secret of thirty-two bytes.", 35, NULL),
                     GLINT_OK);
    assert_int_equal(gi_store_open(&other, GI_STORE_ANSWER, &r.name, 0, r.value.data, r.value.len,
                                   &contents, &n),
                     GI_STORE_REFUSED);
    gi_buf_done(&r.value);
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void test_secret_file(void **state) {
    char path[] = "/tmp/glint-secret-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    gi_store_secret plain, unix_end, dos_end;
    glint_error err;
    write_file(path, "0123456789abcdef0123456789abcdef");
    assert_int_equal(gi_store_secret_load(&plain, path, NULL), GLINT_OK);
    write_file(path, "0123456789abcdef0123456789abcdef\n");
    assert_int_equal(gi_store_secret_load(&unix_end, path, NULL), GLINT_OK);
    write_file(path, "0123456789abcdef0123456789abcdef\r\n");
    assert_int_equal(gi_store_secret_load(&dos_end, path, NULL), GLINT_OK);
    assert_memory_equal(&plain, &unix_end, sizeof plain);
    assert_memory_equal(&plain, &dos_end, sizeof plain);
    write_file(path, "0123456789abcdef0123456789abcde\n");
    assert_int_equal(gi_store_secret_load(&plain, path, &err), GLINT_ERR_ARG);
    assert_non_null(strstr(err.message, path));
    assert_null(strstr(err.message, "0123"));
    unlink(path);
    assert_int_equal(gi_store_secret_load(&plain, path, NULL), GLINT_ERR_IO);
}

static void test_memory(void **state) {
    rig r;
    seal(&r, GI_STORE_ANSWER, 1, CONTENTS, N_CONTENTS);
    for (uint64_t n = 1;; n++) {
        gi_buf out;
        gi_buf_init(&out, 1 << 20);
        gi_alloc_fail_at(n);
        const glint_status st = gi_store_seal(&r.secret, GI_STORE_ANSWER, &r.name, EXPIRES,
                                              CONTENTS, N_CONTENTS, &out, NULL);
        gi_alloc_fail_at(0);
        if (st == GLINT_OK) assert_memory_equal(out.data, r.value.data, r.value.len);
        gi_buf_done(&out);
        if (st == GLINT_OK) break;
        assert_int_equal(st, GLINT_ERR_MEMORY);
        assert_true(n < 10);
    }
    gi_buf_done(&r.value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_every_length_counts),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_other_secret),
        cmocka_unit_test(test_secret_file),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
