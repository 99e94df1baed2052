/*
 * src/model/safetensors: what a header may say, and that no header, however spoiled, leads to a
 * range outside the file, much memory or much time.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* length + header + n_data bytes into b. */
static void build(gi_buf *b, const char *header, size_t header_bytes, size_t n_data) {
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header_bytes >> 8 * i);
    gi_buf_clear(b);
    assert_int_equal(gi_buf_push(b, length, 8, NULL), GLINT_OK);
    assert_int_equal(gi_buf_push(b, header, header_bytes, NULL), GLINT_OK);
    for (size_t i = 0; i < n_data; i++) assert_int_equal(gi_buf_push(b, "\1", 1, NULL), GLINT_OK);
}

/* What every accepted file must hold: tensors sorted, inside the bytes, tiling them. */
static void check_accepted(const gi_safetensors *st, const uint8_t *bytes, size_t n_bytes) {
    uint64_t sum = 0;
    for (size_t i = 0; i < st->n_tensors; i++) {
        const gi_st_tensor *t = &st->tensors[i];
        const uint8_t *data = t->data;
        assert_true(data >= bytes + 8 && data <= bytes + n_bytes);
        assert_true(t->n_bytes <= (uint64_t)(bytes + n_bytes - data));
        assert_true(i == 0 || strcmp(st->tensors[i - 1].name, t->name) < 0);
        assert_ptr_equal(gi_safetensors_find(st, t->name), t);
        sum += t->n_bytes;
    }
    uint64_t header = 0;
    for (int i = 0; i < 8; i++) header |= (uint64_t)bytes[i] << 8 * i;
    assert_true(sum == n_bytes - 8 - header);
}

static glint_status parse(const gi_buf *b, gi_safetensors *st, glint_error *err) {
    return gi_safetensors_parse(b->data, b->len, "t", st, err);
}

#define T(name, shape, offsets)                                                                    \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t n_data;
    const char *message; /* part of it; NULL = accepted */
} HEADERS[] = {
    {"{}", 0, NULL},
    {"{ \n\t}  ", 0, NULL},
    {"{" T("a", "[2]", "[0,8]") "}", 8, NULL},
    {"{" T("b", "[1]", "[4,8]") "," T("a", "[1]", "[0,4]") "}", 8, NULL},
    {"{\"a\" : { \"shape\" : [ 2 , 1 ] , \"data_offsets\" : [ 0 , 8 ], \"dtype\":\"F32\" } }", 8,
     NULL},
    {"{" T("a", "[0,99]", "[0,0]") "," T("b", "[]", "[0,4]") "}", 4, NULL},
    {"{\"__metadata__\":{\"a\":\"b\\n\",\"c\":\"\"}," T("a", "[1]", "[0,4]") "}", 4, NULL},
    {"{\"__metadata__\":{}}", 0, NULL},
    {"{" T("\\u0041\\ud83d\\ude00\\\"", "[1]", "[0,4]") "}", 4, NULL},
    {"{" T("a", "[1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, NULL},

    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, "expected a string"},
    {"{}x", 0, "nothing after"},
    {"{}{}", 0, "nothing after"},
    {"{\"a\"}", 0, "expected ':'"},
    {"{\"a\":1}", 0, "'{' after a tensor's name"},
    {"{\"a\":null}", 0, "'{' after a tensor's name"},
    {"{\"a\":{}}", 0, "\"dtype\", \"shape\" and"},
    {"{" T("a", "[1]", "[0,4]") ",}", 4, "expected a string"},
    {"{" T("a", "[1]", "[0,4]") " " T("b", "[1]", "[4,8]") "}", 8, "',' or '}'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "\"dtype\""},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "each key once"},
    {"{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype"},
    {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "a string"},
    {"{" T("a", "[1", "[0,4]") "}", 4, "whole number"},
    {"{" T("a", "[1 2]", "[0,4]") "}", 4, "']'"},
    {"{" T("a", "[1,]", "[0,4]") "}", 4, "whole number"},
    {"{" T("a", "[-1]", "[0,4]") "}", 4, "whole number"},
    {"{" T("a", "[1.0]", "[0,4]") "}", 4, "']'"},
    {"{" T("a", "[1e0]", "[0,4]") "}", 4, "']'"},
    {"{" T("a", "[01]", "[0,4]") "}", 4, "whole number"},
    {"{" T("a", "[18446744073709551616]", "[0,4]") "}", 4, "below 2^64"},
    {"{" T("a", "[18446744073709551615]", "[0,4]") "}", 4, "shape is too large"},
    {"{" T("a", "[0,18446744073709551615,4]", "[0,0]") "}", 0, "shape is too large"},
    {"{" T("a", "[4294967296,1073741824]", "[0,0]") "}", 0, "shape is too large"},
    {"{" T("a", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "more than 8 numbers"},
    {"{" T("a", "[1]", "[0]") "}", 4, "two numbers"},
    {"{" T("a", "[1]", "[0,4,8]") "}", 4, "more than 2 numbers"},
    {"{" T("a", "[1]", "[4,0]") "}", 4, "bytes 4 to 0, but the file holds 0 to 4"},
    {"{" T("a", "[1]", "[0,4]") "}", 3, "the file holds 0 to 3"},
    {"{" T("a", "[1]", "[18446744073709551612,18446744073709551615]") "}", 4, "holds 0 to 4"},
    {"{" T("a", "[2]", "[0,4]") "}", 4, "4 bytes, but shape and dtype need 8"},
    {"{" T("a", "[0]", "[0,4]") "}", 4, "4 bytes, but shape and dtype need 0"},
    {"{" T("a", "[1]", "[0,4]") "}", 8, "end at byte 4 of the data, the file at 8"},
    {"{" T("a", "[1]", "[4,8]") "}", 8, "begins at byte 4 of the data, expected 0"},
    {"{" T("a", "[1]", "[0,4]") "," T("b", "[1]", "[8,12]") "}", 12, "expected 4"},
    {"{" T("a", "[2]", "[0,8]") "," T("b", "[2]", "[4,12]") "}", 12, "expected 8"},
    {"{" T("a", "[1]", "[0,4]") "," T("b", "[1]", "[0,4]") "}", 4, "expected 4"},
    {"{" T("a", "[1]", "[0,4]") "," T("a", "[1]", "[4,8]") "}", 8, "\"a\" appears twice"},
    {"{" T("a", "[1]", "[0,4]") "," T("\\u0061", "[1]", "[4,8]") "}", 8, "appears twice"},
    {"{" T("a\\u0000", "[1]", "[0,4]") "}", 4, "without zero bytes"},
    {"{" T("a\\x", "[1]", "[0,4]") "}", 4, "escape"},
    {"{" T("\\ud83d", "[1]", "[0,4]") "}", 4, "escape"},
    {"{" T("\\ude00", "[1]", "[0,4]") "}", 4, "escape"},
    {"{" T("\\ud83d\\u0041", "[1]", "[0,4]") "}", 4, "escape"},
    {"{" T("a\n", "[1]", "[0,4]") "}", 4, "control character"},
    {"{\"\xFF\":1}", 0, "byte 2 is not UTF-8"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "a string"},
    {"{\"__metadata__\":[]}", 0, "'{' after \"__metadata__\""},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "\"__metadata__\" once"},
    {"{\"a", 0, "the end of a string"},
    {"{\"a\\", 0, "escape"},
    {"{\"a\\u00", 0, "escape"},
};

static void headers(void **state) {
    (void)state;
    gi_buf b;
    gi_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < sizeof HEADERS / sizeof HEADERS[0]; i++) {
        glint_error err = {0};
        gi_safetensors st = {0};
        build(&b, HEADERS[i].header, strlen(HEADERS[i].header), HEADERS[i].n_data);
        const glint_status status = parse(&b, &st, &err);
        if (HEADERS[i].message ? status == GLINT_OK || !strstr(err.message, HEADERS[i].message)
                               : status != GLINT_OK)
            fail_msg("header %s: status %d, message '%s'", HEADERS[i].header, status, err.message);
        if (status == GLINT_OK)
            check_accepted(&st, b.data, b.len);
        else
            assert_null(st.tensors);
        gi_safetensors_close(&st);
    }
    gi_buf_done(&b);
}

static void fields_are_read(void **state) {
    (void)state;
    gi_buf b;
    gi_safetensors st = {0};
    gi_buf_init(&b, 4096);
    static const char header[] = "{\"x\\/\\u00e9\":{\"dtype\":\"BF16\",\"shape\":[2,3],"
                                 "\"data_offsets\":[8,20]},\"i\":{\"dtype\":\"I64\",\"shape\":[],"
                                 "\"data_offsets\":[0,8]}}";
    build(&b, header, sizeof header - 1, 20);
    assert_int_equal(parse(&b, &st, NULL), GLINT_OK);
    assert_int_equal(st.n_tensors, 2);
    const gi_st_tensor *t = gi_safetensors_find(&st, "x/\xC3\xA9");
    assert_non_null(t);
    assert_string_equal(t->dtype, "BF16");
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 3);
    assert_int_equal(t->n_bytes, 12);
    assert_ptr_equal(t->data, b.data + 8 + sizeof header - 1 + 8);
    assert_int_equal(gi_safetensors_find(&st, "i")->n_dims, 0);
    assert_null(gi_safetensors_find(&st, "x"));
    gi_safetensors_close(&st);
    gi_safetensors_close(&st);
    gi_safetensors_close(NULL);
    gi_buf_done(&b);
}

static void lengths(void **state) {
    (void)state;
    gi_buf b;
    gi_safetensors st = {0};
    glint_error err;
    gi_buf_init(&b, 4096);
    build(&b, "{}", 2, 0);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(gi_safetensors_parse(b.data, n, "t", &st, NULL), GLINT_ERR_FORMAT);
    static const struct {
        uint64_t length;
        glint_status status;
    } rows[] = {
        {1, GLINT_ERR_FORMAT},
        {3, GLINT_ERR_FORMAT},
        {GI_ST_HEADER_BYTES_MAX, GLINT_ERR_FORMAT},
        {GI_ST_HEADER_BYTES_MAX + 1, GLINT_ERR_LIMIT},
        {100000001, GLINT_ERR_LIMIT},
        {1ull << 63, GLINT_ERR_LIMIT},
        {UINT64_MAX, GLINT_ERR_LIMIT},
        {UINT64_MAX - 7, GLINT_ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int k = 0; k < 8; k++) b.data[k] = (uint8_t)(rows[i].length >> 8 * k);
        assert_int_equal(parse(&b, &st, &err), rows[i].status);
    }
    gi_buf_done(&b);
    assert_int_equal(gi_safetensors_open("/nonexistent", &st, &err), GLINT_ERR_IO);
    assert_int_equal(gi_safetensors_open("/dev/null", &st, &err), GLINT_ERR_IO);
}

static const char GOOD[] =
    "{\"__metadata__\":{\"k\":\"v\"},\"w.1\":{\"dtype\":\"BF16\",\"shape\":[2,3],"
    "\"data_offsets\":[0,12]},\"w\\u0032\":{\"dtype\":\"F32\",\"shape\":[1],"
    "\"data_offsets\":[12,16]}}";

/* Every byte of length and header replaced by each of a set that matters to the grammar. */
static void spoiled_bytes(void **state) {
    (void)state;
    static const char with[] = "\0\x01\"\\{}[]:,0129-+.eE u\x7F\x80\xC3\xFF";
    gi_buf b;
    gi_buf_init(&b, 4096);
    build(&b, GOOD, sizeof GOOD - 1, 16);
    size_t n_accepted = 0, n_refused = 0;
    for (size_t i = 0; i < 8 + sizeof GOOD - 1; i++) {
        const uint8_t old = b.data[i];
        for (size_t k = 0; k < sizeof with - 1; k++) {
            gi_safetensors st = {0};
            b.data[i] = (uint8_t)with[k];
            if (parse(&b, &st, NULL) == GLINT_OK) {
                check_accepted(&st, b.data, b.len);
                n_accepted++;
            } else {
                n_refused++;
            }
            gi_safetensors_close(&st);
        }
        b.data[i] = old;
    }
    assert_in_range(n_accepted, 50, 2000); /* letters of names and metadata are free */
    assert_in_range(n_refused, 2000, 10000);
    gi_buf_done(&b);
}

/* Every prefix, in memory of exactly that size, so that a read past the end is seen by ASan. */
static void cut_short(void **state) {
    (void)state;
    gi_buf b;
    gi_buf_init(&b, 4096);
    build(&b, GOOD, sizeof GOOD - 1, 16);
    for (size_t n = 0; n < b.len; n++) {
        gi_safetensors st = {0};
        uint8_t *copy = gi_alloc(n);
        memcpy(copy, b.data, n);
        assert_int_equal(gi_safetensors_parse(copy, n, "t", &st, NULL), GLINT_ERR_FORMAT);
        /* the same, with a length that fits the cut */
        if (n > 8) {
            for (int k = 0; k < 8; k++) copy[k] = (uint8_t)((uint64_t)(n - 8) >> 8 * k);
            assert_int_not_equal(gi_safetensors_parse(copy, n, "t", &st, NULL), GLINT_OK);
        }
        gi_free(copy);
    }
    gi_buf_done(&b);
}

static void out_of_memory(void **state) {
    (void)state;
    gi_buf b;
    gi_buf_init(&b, 4096);
    build(&b, GOOD, sizeof GOOD - 1, 16);
    glint_status status = GLINT_ERR_MEMORY;
    uint64_t n = 0;
    while (status != GLINT_OK) {
        gi_safetensors st = {0};
        glint_error err = {0};
        gi_alloc_fail_at(++n);
        status = parse(&b, &st, &err);
        gi_alloc_fail_at(0);
        if (status != GLINT_OK) assert_int_equal(status, GLINT_ERR_MEMORY);
        gi_safetensors_close(&st);
    }
    assert_in_range(n, 3, 20);
    gi_buf_done(&b);
}

/* A header made to be large: refused by count, or read in time linear in its length. */
static void large_headers(void **state) {
    (void)state;
    gi_buf header, b;
    gi_safetensors st = {0};
    glint_error err;
    gi_buf_init(&header, 64 << 20);
    gi_buf_init(&b, 80 << 20);
    assert_int_equal(gi_buf_push(&header, "{", 1, NULL), GLINT_OK);
    for (int i = 0; i <= GI_ST_TENSORS_MAX; i++)
        assert_int_equal(gi_buf_printf(&header, NULL,
                                       "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],"
                                       "\"data_offsets\":[0,0]}",
                                       i ? "," : "", i),
                         GLINT_OK);
    assert_int_equal(gi_buf_push(&header, "}", 1, NULL), GLINT_OK);
    build(&b, (const char *)header.data, header.len, 0);
    assert_int_equal(parse(&b, &st, &err), GLINT_ERR_LIMIT);
    assert_non_null(strstr(err.message, "more than 32768 tensors"));

    gi_buf_clear(&header);
    assert_int_equal(gi_buf_puts(&header, "{\"__metadata__\":{\"a\":\"", NULL), GLINT_OK);
    for (int i = 0; i < 31 << 10; i++) {
        char kib[1025];
        memset(kib, 'x', 1024);
        kib[1024] = '\0';
        assert_int_equal(gi_buf_puts(&header, kib, NULL), GLINT_OK);
    }
    assert_int_equal(gi_buf_puts(&header, "\"}}", NULL), GLINT_OK);
    build(&b, (const char *)header.data, header.len, 0);
    const uint64_t before = gi_alloc_count();
    const double start_ms = gi_clock_ms();
    assert_int_equal(parse(&b, &st, &err), GLINT_OK);
    assert_true(gi_clock_ms() - start_ms < 5000.0); /* 31 MiB; 0.15 s when the machine is quiet */
    assert_int_equal(gi_alloc_count(), before);
    gi_safetensors_close(&st);

    /* a name at the limit, and one byte over it */
    char name[GI_ST_NAME_BYTES_MAX + 2];
    for (size_t extra = 0; extra < 2; extra++) {
        memset(name, 'n', sizeof name);
        name[GI_ST_NAME_BYTES_MAX + extra] = '\0';
        gi_buf_clear(&header);
        assert_int_equal(gi_buf_printf(&header, NULL,
                                       "{\"%s\":{\"dtype\":\"U8\",\"shape\":[0],"
                                       "\"data_offsets\":[0,0]}}",
                                       name),
                         GLINT_OK);
        build(&b, (const char *)header.data, header.len, 0);
        assert_int_equal(parse(&b, &st, &err), extra ? GLINT_ERR_LIMIT : GLINT_OK);
        gi_safetensors_close(&st);
    }
    gi_buf_done(&header);
    gi_buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),       cmocka_unit_test(fields_are_read),
        cmocka_unit_test(lengths),       cmocka_unit_test(spoiled_bytes),
        cmocka_unit_test(cut_short),     cmocka_unit_test(out_of_memory),
        cmocka_unit_test(large_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
