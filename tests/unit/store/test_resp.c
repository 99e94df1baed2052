/* src/store/resp: whole replies are read, parts are waited for, everything else is refused. */
#include "../cm.h"

#include "store/resp.h"

#include <stdio.h>
#include <string.h>

enum { BULK_MAX = 100 };

/* One reply; `type` < 0: refused. `rest` follows it. */
typedef struct row {
    const char *text;
    int type;
    int64_t integer;
    const char *bytes;
    const char *rest;
} row;

static const row ROWS[] = {
    {"+OK\r\n", GI_RESP_STATUS, 0, "OK", ""},
    {"+\r\n", GI_RESP_STATUS, 0, "", "+"},
    {"-ERR no\r\n", GI_RESP_ERROR, 0, "ERR no", ""},
    {":0\r\n", GI_RESP_INT, 0, NULL, ""},
    {":-17\r\n", GI_RESP_INT, -17, NULL, ":1"},
    {":9223372036854775807\r\n", GI_RESP_INT, INT64_MAX, NULL, ""},
    {":-9223372036854775808\r\n", GI_RESP_INT, INT64_MIN, NULL, ""},
    {"$5\r\nhello\r\n", GI_RESP_BULK, 0, "hello", "$5"},
    {"$0\r\n\r\n", GI_RESP_BULK, 0, "", ""},
    {"$4\r\n\r\n\r\n\r\n", GI_RESP_BULK, 0, "\r\n\r\n", ""},
    {"$-1\r\n", GI_RESP_NIL, 0, NULL, ""},
    {":9223372036854775808\r\n", -1, 0, NULL, ""}, /* one too many */
    {":-9223372036854775809\r\n", -1, 0, NULL, ""},
    {":\r\n", -1, 0, NULL, ""},
    {":-\r\n", -1, 0, NULL, ""},
    {":+1\r\n", -1, 0, NULL, ""},
    {":1 \r\n", -1, 0, NULL, ""},
    {":1\n", -1, 0, NULL, ""},     /* half a line end */
    {"$101\r\n", -1, 0, NULL, ""}, /* longer than BULK_MAX */
    {"$99999999999999999999\r\n", -1, 0, NULL, ""},
    {"$-2\r\n", -1, 0, NULL, ""},
    {"$2\r\nabc\r\n", -1, 0, NULL, ""}, /* longer than it said */
    {"*1\r\n", -1, 0, NULL, ""},        /* never asked for */
    {"HTTP/1.1 400\r\n", -1, 0, NULL, ""},
    {"\r\n", -1, 0, NULL, ""},
};

static void test_replies(void **state) {
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const row *w = &ROWS[i];
        char data[256];
        const size_t n = strlen(w->text);
        const int n_data = snprintf(data, sizeof data, "%s%s", w->text, w->rest);
        gi_resp_reply r;
        size_t n_read;
        const gi_resp_outcome got =
            gi_resp_read((const uint8_t *)data, (size_t)n_data, BULK_MAX, &r, &n_read);
        if (w->type < 0) {
            assert_int_equal(got, GI_RESP_BAD);
            continue;
        }
        assert_int_equal(got, GI_RESP_DONE);
        assert_int_equal(n_read, n);
        assert_int_equal(r.type, w->type);
        assert_int_equal(r.integer, w->integer);
        if (w->bytes) {
            assert_int_equal(r.n, strlen(w->bytes));
            assert_memory_equal(r.bytes, w->bytes, r.n);
        }
        for (size_t cut = 0; cut < n; cut++) {
            assert_int_equal(gi_resp_read((const uint8_t *)data, cut, BULK_MAX, &r, &n_read),
                             GI_RESP_MORE);
            assert_true(n_read > cut && n_read <= n);
        }
    }
}

/* A server that never ends a line is not listened to for ever. */
static void test_long_line(void **state) {
    static uint8_t line[2 * GI_RESP_LINE_BYTES_MAX];
    gi_resp_reply r;
    size_t n;
    memset(line, 'x', sizeof line);
    line[0] = '+';
    assert_int_equal(gi_resp_read(line, GI_RESP_LINE_BYTES_MAX + 1, BULK_MAX, &r, &n),
                     GI_RESP_MORE);
    assert_int_equal(gi_resp_read(line, GI_RESP_LINE_BYTES_MAX + 2, BULK_MAX, &r, &n), GI_RESP_BAD);
    memcpy(line + GI_RESP_LINE_BYTES_MAX, "\r\n", 2);
    assert_int_equal(gi_resp_read(line, sizeof line, BULK_MAX, &r, &n), GI_RESP_DONE);
}

/* Bytes of a value are never read as a command. */
static void test_command(void **state) {
    gi_buf out;
    gi_buf_init(&out, 1000);
    const gi_resp_arg args[] = {GI_RESP_TEXT("SET"), GI_RESP_TEXT("k"), {"a\r\n\0*1", 6}, {"", 0}};
    static const char want[] = "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\na\r\n\0*1\r\n$0\r\n\r\n";
    assert_int_equal(gi_resp_command(&out, args, 4, NULL), GLINT_OK);
    assert_int_equal(out.len, sizeof want - 1);
    assert_memory_equal(out.data, want, out.len);
    gi_buf_done(&out);
    gi_buf_init(&out, 10);
    assert_int_equal(gi_resp_command(&out, args, 4, NULL), GLINT_ERR_LIMIT);
    gi_buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
