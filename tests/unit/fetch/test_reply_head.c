/*
 * src/fetch/reply_head: which lines count, what they allow, and which end a transfer.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "fetch/reply_head.h"

#include <string.h>

static bool feed(gi_reply_head *h, const char *line) {
    return gi_reply_head_line(h, line, strlen(line));
}

static void reads_fields(void **state) {
    gi_reply_head h = {0};
    assert_true(feed(&h, "HTTP/1.1 302 Found\r\n"));
    assert_true(feed(&h, "LOCATION: \t/x y \r\n"));
    assert_true(feed(&h, "ETag:\"a\"\r\n"));
    assert_true(feed(&h, "Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT\r\n"));
    assert_true(feed(&h, "Transfer-Encoding: Chunked\r\n"));
    assert_true(feed(&h, "no colon\r\n"));
    assert_true(feed(&h, "\r\n"));
    assert_int_equal(h.n_location, 1);
    assert_string_equal(h.location, "/x y");
    assert_string_equal(h.validators.etag, "\"a\"");
    assert_string_equal(h.validators.last_modified, "Sat, 01 Jan 2022 00:00:00 GMT");
    const size_t n_bytes = h.n_bytes;
    assert_true(feed(&h, "HTTP/1.1 200 OK\r\n")); /* the one before was an interim reply */
    assert_int_equal(h.n_location, 0);
    assert_string_equal(h.validators.etag, "");
    assert_int_equal(h.n_bytes, n_bytes + 17);
}

static void refuses_replies(void **state) {
    gi_reply_head h = {0};
    assert_false(feed(&h, "Transfer-Encoding: gzip, chunked\r\n"));
    assert_false(feed(&h, "Transfer-Encoding: identity\r\n"));
    assert_false(feed(&h, " folded\r\n"));
    assert_false(feed(&h, "\tfolded\r\n"));
    char line[1024];
    memset(line, 'x', sizeof line);
    h = (gi_reply_head){0};
    for (int i = 0; i < GI_REPLY_HEAD_BYTES_MAX / 1024; i++)
        assert_true(gi_reply_head_line(&h, line, sizeof line));
    assert_false(feed(&h, "x"));
}

static void long_values_are_dropped(void **state) {
    gi_reply_head h = {0};
    char line[GI_URL_BYTES_MAX + 100];
    memset(line, 'x', sizeof line);
    memcpy(line, "location:", 9);
    assert_true(gi_reply_head_line(&h, line, sizeof line));
    assert_int_equal(h.n_location, 1);
    assert_int_equal(h.location_n, 0);
    memcpy(line, "etag:    ", 9);
    assert_true(gi_reply_head_line(&h, line, sizeof line));
    assert_true(feed(&h, "last-modified: a\x01\x62\r\n"));
    assert_string_equal(h.validators.etag, "");
    assert_string_equal(h.validators.last_modified, "");
}

static void how_long_to_keep(void **state) {
    static const struct {
        const char *lines; /* separated by '|' */
        int64_t fresh_s;   /* -1: not at all */
    } rows[] = {
        {"X: y", -1},
        {"ETag: \"a\"", 0},
        {"ETag: \"a\"|ETag", 0},
        {"Last-Modified: yesterday", 0},
        {"Cache-Control: max-age=60", 60},
        {"Cache-Control: public , MAX-AGE = 60", 60},
        {"Cache-Control: max-age=60|Age: 20", 40},
        {"Cache-Control: max-age=60|Age: 60", -1},
        {"Cache-Control: max-age=60|Age: 99|ETag: x", 0},
        {"Cache-Control: max-age=999999999999999999999", 86400},
        {"Cache-Control: max-age=-1", -1},
        {"Cache-Control: max-age=x", -1},
        {"Cache-Control: max-age=\"60\"", -1},
        {"Cache-Control: s-maxage=5, max-age=60", 5},
        {"Cache-Control: s-maxage=0, max-age=60", -1},
        {"Cache-Control: max-age=60|Cache-Control: no-store", -1},
        {"Cache-Control: max-age=60, private|ETag: x", -1},
        {"Cache-Control: private=\"x\", max-age=60|ETag: x", -1},
        {"Cache-Control: no-cache, max-age=60|ETag: x", 0},
        {"Cache-Control: no-cache, max-age=60", -1},
        {"Cache-Control: max-age=60|Vary: Accept", 60},
        {"Cache-Control: max-age=60|Vary: Accept, *", -1},
        {"Cache-Control: ,,=,max-age", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gi_reply_head h = {0};
        const char *s = rows[i].lines;
        for (;;) {
            const size_t n = strcspn(s, "|");
            assert_true(gi_reply_head_line(&h, s, n));
            if (!s[n]) break;
            s += n + 1;
        }
        int64_t fresh_s = -1;
        const bool keep = gi_reply_head_may_keep(&h, &fresh_s);
        if (keep != (rows[i].fresh_s >= 0) || fresh_s != rows[i].fresh_s)
            fail_msg("%s: %d, %lld s", rows[i].lines, keep, (long long)fresh_s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_fields),
        cmocka_unit_test(refuses_replies),
        cmocka_unit_test(long_values_are_dropped),
        cmocka_unit_test(how_long_to_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
