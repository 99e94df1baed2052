/**
 * @file
 * W3C Trace Context: which trace a request belongs to.
 *
 *     traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *                  version, trace id, id of the caller's span, flags
 *
 * A request without a valid one begins a trace of its own. The answer says which, with an id for
 * the server's own span, in traceresponse (Trace Context level 2, draft), in the same form.
 * Source: https://www.w3.org/TR/trace-context/, section 3.2.
 */
#ifndef GI_SERVER_TRACEPARENT_H
#define GI_SERVER_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Room for ids and for a header value. */
#define GI_TRACE_ID_BYTES     33
#define GI_TRACE_SPAN_BYTES   17
#define GI_TRACE_HEADER_BYTES 56

typedef struct gi_trace {
    char trace_id[GI_TRACE_ID_BYTES];    /**< 32 small hex digits, not all 0 */
    char span_id[GI_TRACE_SPAN_BYTES];   /**< 16, of this server's work */
    char parent_id[GI_TRACE_SPAN_BYTES]; /**< 16, of the caller's; "" = the trace begins here */
    bool is_sampled;                     /**< the caller records this trace */
} gi_trace;

/**
 * Read a traceparent header. Of a later version than 00 the known beginning is read.
 *
 * @param value NULL: there is none, or more than one.
 * @param ret   trace_id, parent_id and is_sampled are set. Untouched when it is not valid.
 */
bool gi_trace_parse(const char *value, gi_trace *ret);

/** The trace of a request with this header: the caller's, or a new one. */
void gi_trace_begin(const char *traceparent, gi_trace *ret);

/** The value of traceresponse. */
void gi_trace_write(const gi_trace *trace, char out[GI_TRACE_HEADER_BYTES]);

#endif
