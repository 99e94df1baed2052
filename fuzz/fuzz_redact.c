/*
 * A text through the redactor, and a header through the reader of traces. What comes out of the
 * redactor has no more bytes than its marks allow, and bytes that are not replaced stay in order.
 */
#include "server/redact.h"
#include "server/traceparent.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    gi_buf out;
    gi_buf_init(&out, 1 << 20);
    gi_assert(gi_redact((const char *)bytes, n_bytes, &out, NULL) == GLINT_OK);
    gi_assert(out.len <= 2 * n_bytes);
    size_t from = 0;
    for (size_t at = 0; at < out.len;) {
        const size_t behind = mark_end(&out, at);
        if (behind > at) {
            at = behind;
            continue;
        }
        while (from < n_bytes && bytes[from] != out.data[at]) from++;
        gi_assert(from < n_bytes || memchr(out.data, '[', out.len) != NULL);
        from++;
        at++;
    }
    gi_buf_done(&out);

    char header[128];
    const size_t n = n_bytes < sizeof header ? n_bytes : sizeof header - 1;
    if (n > 0) memcpy(header, bytes, n);
    header[n] = '\0';
    gi_trace trace, again;
    gi_trace_begin(header, &trace);
    gi_trace_write(&trace, header);
    gi_assert(gi_trace_parse(header, &again) && strcmp(again.trace_id, trace.trace_id) == 0);
    return 0;
}
