/*
 * A line at a time: lines end in LF, CR or both, and a CR at the end of one piece of bytes may have
 * its LF at the begin of the next.
 */
#include "bench_serve_sse.h"

#include <stdio.h>
#include <string.h>

void gi_load_sse_init(gi_load_sse *s, gi_load_sse_fn on_event, void *ctx) {
    *s = (gi_load_sse){.on_event = on_event, .ctx = ctx};
    gi_buf_init(&s->line, GI_LOAD_SSE_BYTES_MAX);
    gi_buf_init(&s->data, GI_LOAD_SSE_BYTES_MAX);
}

void gi_load_sse_clear(gi_load_sse *s) {
    gi_buf_clear(&s->line);
    gi_buf_clear(&s->data);
    s->name[0] = '\0';
    s->has_data = s->after_cr = s->after_first_line = false;
}

static glint_status dispatch(gi_load_sse *s, glint_error *err) {
    glint_status st = GLINT_OK;
    if (s->has_data)
        st = s->on_event(s->ctx, s->name[0] ? s->name : "message",
                         s->data.data ? (const char *)s->data.data : "", s->data.len, err);
    gi_buf_clear(&s->data);
    s->name[0] = '\0';
    s->has_data = false;
    return st;
}

static glint_status take_field(gi_load_sse *s, const char *name, size_t n_name, const char *value,
                               size_t n_value, glint_error *err) {
    if (n_name == 4 && memcmp(name, "data", 4) == 0) {
        if (s->has_data) GI_TRY(gi_buf_push(&s->data, "\n", 1, err));
        s->has_data = true;
        return gi_buf_push(&s->data, value, n_value, err);
    }
    if (n_name == 5 && memcmp(name, "event", 5) == 0)
        snprintf(s->name, sizeof s->name, "%.*s", (int)(n_value < 64 ? n_value : 64), value);
    return GLINT_OK;
}

static glint_status take_line(gi_load_sse *s, glint_error *err) {
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const char *line = s->line.data ? (const char *)s->line.data : "";
    size_t n = s->line.len;
    if (!s->after_first_line && n >= 3 && memcmp(line, byte_order_mark, 3) == 0) {
        line += 3;
        n -= 3;
    }
    s->after_first_line = true;
    glint_status st;
    const char *colon = n ? memchr(line, ':', n) : NULL;
    if (n == 0) {
        st = dispatch(s, err);
    } else if (!colon) {
        st = take_field(s, line, n, "", 0, err);
    } else {
        const char *value = colon + 1;
        size_t n_value = n - (size_t)(value - line);
        if (n_value && *value == ' ') {
            value++;
            n_value--;
        }
        st = take_field(s, line, (size_t)(colon - line), value, n_value, err);
    }
    gi_buf_clear(&s->line);
    return st;
}

glint_status gi_load_sse_feed(gi_load_sse *s, const void *bytes, size_t n_bytes, glint_error *err) {
    const char *at = bytes, *end = at + n_bytes;
    while (at < end) {
        if (s->after_cr && *at == '\n') {
            s->after_cr = false;
            at++;
            continue;
        }
        s->after_cr = false;
        const char *stop = at;
        while (stop < end && *stop != '\n' && *stop != '\r') stop++;
        GI_TRY(gi_buf_push(&s->line, at, (size_t)(stop - at), err));
        at = stop;
        if (stop == end) break;
        s->after_cr = *stop == '\r';
        at++;
        GI_TRY(take_line(s, err));
    }
    return GLINT_OK;
}

void gi_load_sse_done(gi_load_sse *s) {
    gi_buf_done(&s->line);
    gi_buf_done(&s->data);
}
