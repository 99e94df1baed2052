/**
 * @file
 * HTTP/1.1 towards the rest of the server: requests come in whole, an answer goes out from any
 * thread, whole or piece by piece, and whoever works on an answer is told when nobody waits for it
 * any more. The library underneath is known to the files of http_mhd.h alone.
 *
 * Life of a request, in this order:
 *
 *     on_headers    network thread; the body is not there yet. May answer at once (a refusal); then
 *                   the body is read and thrown away, and nothing else is called.
 *     on_request    network thread, with the whole body. Answer now, or later from any thread.
 *     on_hangup     the client closed the connection, or its sending half, or takes nothing of a
 *                   stream, before the answer's end. It must be answered (and a stream ended) all
 *                   the same, which then only ends the request.
 *
 * Every request is answered exactly once: with gi_http_respond, after which it must not be used, or
 * with gi_http_stream_begin, any number of writes, and gi_http_stream_end, after which likewise.
 *
 *     on_stream     a stream begins: nothing of it is on its way. May hold it back until
 *                   gi_http_stream_release, or refuse it.
 *     on_answer     once for each request, whatever became of it, when its answer is complete: its
 *                   record says what. May hold the answer back, until gi_http_release.
 */
#ifndef GI_SERVER_HTTP_H
#define GI_SERVER_HTTP_H

#include "base/buf.h"
#include "server/api_error.h"
#include "server/auth_principal.h"
#include "server/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Largest header line, all header lines together, and their number. */
#define GI_HTTP_LINE_BYTES_MAX   8192
#define GI_HTTP_HEADER_BYTES_MAX 32768
#define GI_HTTP_HEADERS_MAX      64

/** Most bytes of a stream that wait for a client to take them. */
#define GI_HTTP_STREAM_BYTES_MAX (256 * 1024)

/** Longest request id a client may bring, and room for one. */
#define GI_HTTP_ID_BYTES_MAX 64
#define GI_HTTP_ID_BYTES     (GI_HTTP_ID_BYTES_MAX + 1)

typedef struct gi_http gi_http;
typedef struct gi_http_request gi_http_request;

/** What is to be done with a stream that begins. */
typedef enum gi_http_beginning {
    GI_HTTP_BEGINS_NOW,
    GI_HTTP_BEGINS_HELD,    /**< gi_http_stream_release is due, in bounded time, or was called */
    GI_HTTP_BEGINS_REFUSED, /**< gi_http_stream_begin fails */
} gi_http_beginning;

/** Called as said above; `ctx` is that of gi_http_config. */
typedef struct gi_http_ops {
    void (*on_headers)(void *ctx, gi_http_request *r);
    void (*on_request)(void *ctx, gi_http_request *r);
    /** On a thread of the HTTP layer, under its lock: must not block and must not answer. */
    void (*on_hangup)(void *ctx, gi_http_request *r);
    /** On the thread that begins it; must not block. NULL: nobody wants to know. */
    gi_http_beginning (*on_stream)(void *ctx, gi_http_request *r);
    /**
     * On whichever thread answers, perhaps under a lock of the HTTP layer: must not block. NULL:
     * nobody wants to know.
     * @param may_hold false: the answer is on its way already (it was due at once, or the client
     *                 is gone).
     * @return true, when that may be, to hold the answer back: gi_http_release is due, in bounded
     *         time.
     */
    bool (*on_answer)(void *ctx, gi_http_request *r, bool may_hold);
} gi_http_ops;

typedef struct gi_http_config {
    int listen_fd;                   /**< listening socket; closed by gi_http_close */
    int connections_max;             /**< more are closed at once */
    int connections_per_address_max; /**< likewise; 0 = no limit. See server/http_peers.h */
    size_t body_bytes_max;           /**< largest body of one request */
    size_t body_bytes_total_max;     /**< bodies of all requests together */
    double header_ms;                /**< from the connection to the end of the headers */
    double body_ms;                  /**< from the headers to the end of the body */
    double idle_ms;                  /**< between requests, and for the client to take an answer */
    double keep_alive_ms;            /**< silence of a stream after which its keep_alive is sent */
    gi_http_ops ops;
    void *ctx;
} gi_http_config;

/** A header of an answer. */
typedef struct gi_http_header_line {
    const char *name, *value;
} gi_http_header_line;

/** An answer. Zero means "none" in all fields but status and body. */
typedef struct gi_http_reply {
    int status;
    gi_buf body;            /**< taken over by gi_http_respond */
    const char *media_type; /**< Content-Type; constant; NULL = JSON */
    int retry_after_s;      /**< Retry-After header */
    const char *allow;      /**< Allow header; constant */
    const char *caching;    /**< Cache-Control header; constant; NULL = no-store */
    /** More headers, behind the last one a NULL name; must live until gi_http_close. */
    const gi_http_header_line *headers;
    gi_api_code code; /**< which error it is */
} gi_http_reply;

/** Start serving. GLINT_ERR_IO, GLINT_ERR_MEMORY; the socket then stays the caller's. */
glint_status gi_http_open(const gi_http_config *config, gi_http **ret, glint_error *err);

/** From now on every answer closes its connection. Any thread. */
void gi_http_begin_drain(gi_http *h);

/**
 * Take no more connections, wait for answers that are held back, give the client up to grace_ms to
 * take them, close all. Every request must have been answered. NULL is fine.
 */
void gi_http_close(gi_http *h, double grace_ms);

/*
 * About a request. In on_headers and on_request only, on the network thread; borrowed text.
 */

/** "GET". HEAD reads as GET: its answer is sent without the body. */
const char *gi_http_method(const gi_http_request *r);

/** The path of the target as sent, no percent-decoding, no query. */
const char *gi_http_path(const gi_http_request *r);

/** The value of a header that comes once; NULL when it is missing or came twice. */
const char *gi_http_header(const gi_http_request *r, const char *name);

/** How often a header came. */
size_t gi_http_header_count(const gi_http_request *r, const char *name);

/** The values of a header that is a list, one line or several: joined by ", " into out[n]. False:
 * there is none, or more than fits. */
bool gi_http_header_list(const gi_http_request *r, const char *name, char *out, size_t n);

/** Room for an address without port, IPv6 included. */
#define GI_HTTP_PEER_BYTES 46

/** The address at the other end of the connection, "?" when the system does not tell. */
void gi_http_peer(const gi_http_request *r, char out[GI_HTTP_PEER_BYTES]);

/** Say who asks; in on_headers. Copied. */
void gi_http_set_principal(gi_http_request *r, const gi_principal *p);

/** Let the answer say how much of a limit is left: X-RateLimit-Limit, -Remaining and -Reset, which
 * is in seconds; in on_headers. */
void gi_http_set_rate(gi_http_request *r, int64_t limit, int64_t remaining, int64_t reset_s);

/** Allow a body of at most n_bytes (not above body_bytes_max); in on_headers. Without this call a
 * body is refused. */
void gi_http_allow_body(gi_http_request *r, size_t n_bytes);

/** Name the request's route in the log; constant text. */
void gi_http_set_route(gi_http_request *r, const char *route);

/*
 * About a request, any thread until it is answered.
 */

/** The client's X-Request-Id when that is 1..64 of A-Z a-z 0-9 - _ . else one made here. */
const char *gi_http_request_id(const gi_http_request *r);

/** Who asks; of nobody (zeroed) until gi_http_set_principal. */
const gi_principal *gi_http_principal(const gi_http_request *r);

/** When its body was complete, by gi_clock_ms. */
double gi_http_received_ms(const gi_http_request *r);

/** The body; may be changed, and is freed with the request. */
gi_buf *gi_http_body(gi_http_request *r);

/** Free the body early, so that its bytes no longer count against body_bytes_total_max. */
void gi_http_drop_body(gi_http_request *r);

/** What happened to it. Its HTTP part is set when on_stream and on_answer are called. */
gi_record *gi_http_record(gi_http_request *r);

/** The caller's own pointer. */
void gi_http_set_user(gi_http_request *r, void *user);
void *gi_http_get_user(const gi_http_request *r);

/** Answer. Takes reply->body. */
void gi_http_respond(gi_http_request *r, gi_http_reply *reply);

/**
 * Begin an answer whose length is not known yet: chunked, or up to the end of the connection for
 * HTTP/1.0. Memory for GI_HTTP_STREAM_BYTES_MAX is taken here; writing allocates nothing.
 *
 * @param media_type Content-Type; constant text.
 * @param keep_alive sent after keep_alive_ms of silence, so that nobody on the way takes the
 *                   connection for dead; constant text, or NULL.
 * @return false without memory, or refused: nothing has happened, the request is still to be
 *         answered.
 */
bool gi_http_stream_begin(gi_http_request *r, int status, const char *media_type,
                          const char *keep_alive);

/**
 * Send n bytes more. Never blocks. A client so slow that GI_HTTP_STREAM_BYTES_MAX would wait for it
 * is broken off: its connection is closed and on_hangup called, on another thread.
 * @return false when nobody takes it any more; the stream must still be ended.
 */
bool gi_http_stream_write(gi_http_request *r, const void *bytes, size_t n_bytes);

/**
 * The stream is complete with these last bytes; what waits is still sent. on_hangup is not called
 * any more.
 * @param code which error the stream ended with, for the record.
 * @param tail taken over.
 */
void gi_http_stream_end(gi_http_request *r, gi_api_code code, gi_buf *tail);

/**
 * Let an answer go that on_answer held back. Any thread, once.
 * @param ok false: in place of the answer goes GI_API_AUDIT_UNAVAILABLE.
 */
void gi_http_release(gi_http_request *r, bool ok);

/**
 * Let a stream begin that on_stream held back. Any thread, once.
 * @param ok false: in place of it goes GI_API_AUDIT_UNAVAILABLE, and writing to it fails.
 */
void gi_http_stream_release(gi_http_request *r, bool ok);

/** Write the events that end a stream with an error. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_http_write_stream_error(const gi_api_error *error, const char *request_id,
                                        gi_buf *ret, glint_error *err);

/** What went through so far, and what is there now. */
typedef struct gi_http_stats {
    uint64_t n_connections_taken;
    uint64_t n_connections_refused;         /**< its address had enough */
    uint64_t body_bytes_in, body_bytes_out; /**< without headers */
    int64_t n_connections, n_requests;      /**< now */
    size_t body_bytes_held;                 /**< bodies in memory now */
} gi_http_stats;

/** Any thread. */
gi_http_stats gi_http_get_stats(const gi_http *h);

/** Answer with an error; `allow` for GI_API_METHOD_NOT_ALLOWED, else NULL. */
void gi_http_respond_error(gi_http_request *r, const gi_api_error *error, const char *allow);

/** Answer with an error about nothing in particular, in the table's words. */
void gi_http_refuse(gi_http_request *r, gi_api_code code);

#endif
