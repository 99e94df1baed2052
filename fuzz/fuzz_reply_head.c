/*
 * Lines as the head of a reply to a fetch. They say the same with their line ends and without; no
 * byte that could end a line gets into what is sent back; and a body that must not be kept, or is
 * a day old, is not made fresh by anything that stands before.
 */
#include "fetch/reply_head.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static bool feed(const char *text, size_t n, bool with_ends, gi_reply_head *h) {
    const char *const end = text + n;
    while (text < end) {
        const char *cut = memchr(text, '\n', (size_t)(end - text));
        const char *next = cut ? cut + 1 : end;
        size_t n_line = (size_t)(next - text);
        while (!with_ends && n_line > 0 && strchr("\r\n", text[n_line - 1]) && text[n_line - 1])
            n_line--;
        if (!gi_reply_head_line(h, text, n_line)) return false;
        text = next;
    }
    return true;
}

static void check_printable(const char *s, size_t max) {
    gi_assert(memchr(s, '\0', max) != NULL);
    for (; *s; s++) gi_assert(*s >= 0x20 && *s < 0x7F);
}

static bool line(gi_reply_head *h, const char *text) {
    return gi_reply_head_line(h, text, strlen(text));
}

static void check_kept(const gi_reply_head *h) {
    int64_t fresh_s = -1;
    if (gi_reply_head_may_keep(h, &fresh_s)) {
        gi_assert(fresh_s >= 0 && fresh_s <= 86400 && !h->no_store);
        gi_assert(fresh_s > 0 || h->validators.etag[0] || h->validators.last_modified[0]);
    }
    gi_reply_head more = *h;
    if (line(&more, "Age: 86400\r\n") && gi_reply_head_may_keep(&more, &fresh_s))
        gi_assert(fresh_s == 0);
    if (line(&more, "cache-control: max-age=60, No-Store")) {
        gi_assert(!gi_reply_head_may_keep(&more, &fresh_s));
        gi_assert(line(&more, "HTTP/1.1 200 OK\r\n") && !more.no_store && more.n_location == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static gi_reply_head h, bare;
    memset(&h, 0, sizeof h);
    memset(&bare, 0, sizeof bare);
    const bool ok = feed((const char *)bytes, n_bytes, true, &h);
    if (n_bytes < GI_REPLY_HEAD_BYTES_MAX)
        gi_assert(feed((const char *)bytes, n_bytes, false, &bare) == ok);
    gi_assert(h.n_bytes <= GI_REPLY_HEAD_BYTES_MAX);
    if (!ok) return 0;
    bare.n_bytes = h.n_bytes;
    gi_assert(memcmp(&h, &bare, sizeof h) == 0);
    check_printable(h.validators.etag, sizeof h.validators.etag);
    check_printable(h.validators.last_modified, sizeof h.validators.last_modified);
    gi_assert(h.location_n < sizeof h.location && h.location[h.location_n] == '\0');
    check_kept(&h);
    return 0;
}
