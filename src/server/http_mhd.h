/**
 * @file
 * Inside the HTTP layer: what its files share. GNU libmicrohttpd is known to these alone:
 *
 *     http_mhd.c       the library's callbacks: connections, requests as they arrive
 *     http_request.c   one request: what it says, its birth and its end
 *     http_reply.c     answers that are sent whole
 *     http_stream.c    answers that are sent piece by piece
 *
 * One lock, the watch's, guards what a request's worker and the network thread both touch. Lock
 * order: the watch's lock, then the library's own.
 */
#ifndef GI_SERVER_HTTP_MHD_H
#define GI_SERVER_HTTP_MHD_H

#include "server/http.h"
#include "server/http_peers.h"
#include "server/http_watch.h"

#include <microhttpd.h>
#include <stdatomic.h>

enum {
    GI_HTTP_LINGER_MS = 2000, /* for what a client still sends after a raw answer */
    /* After the client's FIN: for what it sent before to be read and make a request. The library
     * itself would keep some of these connections for ever. */
    GI_HTTP_HALF_CLOSED_MS = 1000,
};

/** Where a connection stands; says what its deadline means. */
typedef enum gi_http_phase {
    GI_HTTP_FIRST,     /**< connected, first request's headers not complete */
    GI_HTTP_IDLE,      /**< between requests */
    GI_HTTP_BODY,      /**< headers complete, body not */
    GI_HTTP_HANDLING,  /**< being worked on */
    GI_HTTP_SETTLING,  /**< answered; the answer is held back */
    GI_HTTP_REPLYING,  /**< whole answer given to the library */
    GI_HTTP_STREAMING, /**< answer begun, more of it may come */
    GI_HTTP_LINGER,    /**< answered raw, the rest is thrown away */
} gi_http_phase;

typedef struct gi_http_connection {
    gi_http_watched watched;
    struct MHD_Connection *mhd;
    gi_http_peer_key peer;
    gi_http_request *request; /**< NULL between requests */
    gi_http_phase phase;
    bool is_half_closed; /**< the client will send nothing more */
} gi_http_connection;

struct gi_http {
    gi_http_config config;
    struct MHD_Daemon *daemon;
    gi_http_watch *watch;
    gi_http_peers *peers; /**< network thread */
    uint64_t boot_id;     /**< first half of the ids made here */
    _Atomic uint64_t n_ids;
    _Atomic size_t body_bytes; /**< of all requests */
    _Atomic int n_requests;
    _Atomic bool draining;
    _Atomic uint64_t n_connections_taken, n_connections_refused, body_bytes_in, body_bytes_out;
    _Atomic int n_connections;
    _Atomic int n_held; /**< answers held back; whoever releases one touches this last */
    bool is_closing;    /**< nobody gets a new answer; under the watch's lock */
};

/** An answer sent piece by piece; under the watch's lock. bytes[n_taken..] wait for the client. */
typedef struct gi_http_stream {
    bool is_begun, is_ended;
    bool is_held;           /**< begun, and gi_http_stream_release is due */
    bool is_refused;        /**< by that: bytes are the answer in place of it */
    bool is_waiting;        /**< suspended: everything is taken, more is to come */
    gi_buf bytes;           /**< of GI_HTTP_STREAM_BYTES_MAX, all reserved when the stream begins */
    size_t n_taken;         /**< of them, by the library */
    const char *media_type; /**< Content-Type; constant */
    const char *keep_alive; /**< sent when there is nothing else; constant */
} gi_http_stream;

/**
 * Two hold a request: the library, until it calls back that it is complete, and whoever answers
 * it, until the answer is, and is not held back any more. The second to let go frees it.
 */
struct gi_http_request {
    gi_http *http;
    gi_http_connection *connection; /**< NULL once the library has let go */
    void *user;
    const char *method, *path, *route;
    char id[GI_HTTP_ID_BYTES];
    gi_buf body;
    size_t body_counted; /**< bytes of it in http->body_bytes */
    size_t body_bytes_max;
    double begun_ms, received_ms;
    gi_principal principal;
    int64_t rate_limit, rate_remaining, rate_reset_s; /**< limit 0: not told */
    bool is_head;
    bool is_last; /**< its answer closes the connection */
    /* Under the watch's lock. The status stays 0 when the library ended the request by itself. */
    bool is_answered, is_raw, is_suspended, is_gone;
    bool is_held;     /**< answered, and gi_http_release is due */
    bool is_queued;   /**< the library has the answer */
    bool is_recorded; /**< on_answer was called, or will be by whoever set this */
    gi_record record;
    gi_http_reply reply;
    gi_http_stream stream;
};

/* Of these, what is said to be under the lock is called with the watch's lock held. */

/** Enter a phase that may take `ms`; 0 = without end. Under the lock. */
void gi_http_set_phase(gi_http_connection *c, gi_http_phase to, double ms);

/** Write an id of our own. Any thread. */
void gi_http_make_id(gi_http *h, char out[GI_HTTP_ID_BYTES]);

/** The headers of a request are complete. NULL: no memory, or the connection is past its end. */
gi_http_request *gi_http_request_begin(gi_http *h, gi_http_connection *c, const char *target,
                                       const char *method);

/** The library has let go of the request. Network thread. */
void gi_http_request_end(gi_http_request *r);

/** Free a request that nobody holds. */
void gi_http_request_free(gi_http_request *r);

/** Fill in what became of a request. True the first time: gi_http_request_tell is due. Under the
 * lock. */
bool gi_http_request_record(gi_http_request *r, gi_api_code code);

/** Something is given that may be held back; its release is due, whether it is or not. Under the
 * lock. */
void gi_http_hold(gi_http_request *r, bool *ret_is_held);

/** Say what became of a request. True: its answer is held back. Any thread. */
bool gi_http_request_tell(gi_http_request *r, bool may_hold);

/** The last bytes of a stream, and its end. Under the lock. */
void gi_http_stream_finish(gi_http_request *r, const gi_buf *tail);

/** The client left: whoever works on an answer is told, once. Under the lock. */
void gi_http_request_gone(gi_http_request *r);

/** Hand the answer that was given to the library. Network thread. */
enum MHD_Result gi_http_reply_queue(gi_http_request *r);

/** Answer past the library, in the middle of a body. */
void gi_http_reply_raw(gi_http_request *r, gi_api_code code);

/** The library's response object of a stream that has begun, or NULL. Network thread. */
struct MHD_Response *gi_http_stream_response(gi_http_request *r);

/** The client left, or was told to, in the middle of a stream. Under the lock. */
void gi_http_stream_break(gi_http_request *r);

/** A stream's deadline passed. Under the lock. */
void gi_http_stream_due(gi_http_request *r);

#endif
