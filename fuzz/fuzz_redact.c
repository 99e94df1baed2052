/*
 * A text through the redactor. What comes out has no more bytes than the marks allow, and bytes
 * that are not replaced stay in order; redacted again it stays as it is, so that nothing that must
 * go was left; a text is still a text; and as a string of the audit log it is JSON that says it.
 */
#include "base/utf8.h"
#include "server/json_out.h"
#include "server/redact.h"

#include <jansson.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

/* Behind the mark at `at`, or `at`. */
static size_t mark_end(const gi_buf *b, size_t at) {
    static const char *const MARKS[] = {"[phone]", "[email]", "[id]",
                                        "[card]",  "[gps]",   "[number]"};
    for (size_t i = 0; i < sizeof MARKS / sizeof MARKS[0]; i++) {
        const size_t n = strlen(MARKS[i]);
        if (b->len - at >= n && memcmp(b->data + at, MARKS[i], n) == 0) return at + n;
    }
    return at;
}

static void check_order(const uint8_t *bytes, size_t n_bytes, const gi_buf *out) {
    size_t from = 0;
    for (size_t at = 0; at < out->len;) {
        const size_t behind = mark_end(out, at);
        if (behind > at) {
            at = behind;
            continue;
        }
        while (from < n_bytes && bytes[from] != out->data[at]) from++;
        gi_assert(from < n_bytes || memchr(out->data, '[', out->len) != NULL);
        from++;
        at++;
    }
}

static void check_again(const gi_buf *out) {
    gi_buf again;
    gi_buf_init(&again, 1 << 20);
    gi_assert(gi_redact((const char *)out->data, out->len, &again, NULL) == GLINT_OK);
    gi_assert(again.len == out->len && memcmp(again.data, out->data, out->len) == 0);
    gi_buf_done(&again);
}

static void check_text(const uint8_t *bytes, size_t n_bytes, const gi_buf *out) {
    const bool is_text = gi_utf8_is_valid(bytes, n_bytes, NULL);
    gi_buf quoted;
    gi_buf_init(&quoted, 1 << 21);
    gi_assert(!is_text || gi_utf8_is_valid(out->data, out->len, NULL));
    gi_assert(gi_json_out_string(&quoted, (const char *)out->data, out->len, NULL) == GLINT_OK);
    json_t *back =
        json_loadb((const char *)quoted.data, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    gi_assert(json_is_string(back));
    if (is_text)
        gi_assert(json_string_length(back) == out->len &&
                  memcmp(json_string_value(back), out->data, out->len) == 0);
    json_decref(back);
    gi_buf_done(&quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    gi_buf out;
    gi_buf_init(&out, 1 << 20);
    gi_assert(gi_redact((const char *)bytes, n_bytes, &out, NULL) == GLINT_OK);
    gi_assert(out.len <= 2 * n_bytes);
    if (out.len > 0) {
        check_order(bytes, n_bytes, &out);
        check_again(&out);
        check_text(bytes, n_bytes, &out);
    }
    gi_buf_done(&out);
    return 0;
}
