/**
 * @file
 * Server-sent events (WHATWG HTML, section 9.2): how they are written.
 *
 *     event: error            only when there is a name
 *     data: {"delta":"..."}
 *                             an empty line ends the event
 */
#ifndef GI_SERVER_SSE_H
#define GI_SERVER_SSE_H

#include "base/buf.h"

#define GI_SSE_MEDIA_TYPE "text/event-stream"

/** A comment; clients skip it. */
#define GI_SSE_KEEP_ALIVE ": keep-alive\n\n"

/**
 * Begin an event; its data follows as one line of JSON (gi_json_out_string escapes line ends).
 * @param name of the event, or NULL.
 */
glint_status gi_sse_open(gi_buf *b, const char *name, glint_error *err);

/** End it. */
glint_status gi_sse_close(gi_buf *b, glint_error *err);

/** The event that tells a client that nothing follows. */
glint_status gi_sse_done(gi_buf *b, glint_error *err);

#endif
