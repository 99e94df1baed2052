/**
 * @file
 * Reads server-sent events from bytes as they come, cut anywhere. Source: WHATWG HTML, section
 * 9.2.6 "Interpreting an event stream". `id` and `retry` are left out: nothing here reconnects.
 */
#ifndef APPS_GLINT_BENCH_SERVE_SSE_H
#define APPS_GLINT_BENCH_SERVE_SSE_H

#include "base/buf.h"

#include <stdbool.h>

/** Most bytes of one line, and of one event's data. */
#define GI_LOAD_SSE_BYTES_MAX  ((size_t)4 << 20)
/** Room for an event's name; longer ones are cut. */
#define GI_LOAD_SSE_NAME_BYTES 32

/** One event: its name ("message" when it has none) and data [n_bytes], zero-terminated. */
typedef glint_status (*gi_load_sse_fn)(void *ctx, const char *name, const char *data,
                                       size_t n_bytes, glint_error *err);

typedef struct gi_load_sse {
    gi_load_sse_fn on_event;
    void *ctx;
    gi_buf line, data;
    char name[GI_LOAD_SSE_NAME_BYTES];
    bool has_data, after_cr, after_first_line;
} gi_load_sse;

/** An empty stream; allocates nothing. */
void gi_load_sse_init(gi_load_sse *s, gi_load_sse_fn on_event, void *ctx);

/** Begin another stream; keeps memory. */
void gi_load_sse_clear(gi_load_sse *s);

/**
 * Read the next bytes; every event that they complete is handed to on_event. An event without the
 * empty line at its end never happened.
 *
 * @return GLINT_ERR_LIMIT, GLINT_ERR_MEMORY, or what on_event returned: the stream is then over.
 */
glint_status gi_load_sse_feed(gi_load_sse *s, const void *bytes, size_t n_bytes, glint_error *err);

/** Free. */
void gi_load_sse_done(gi_load_sse *s);

#endif
