/**
 * @file
 * The answer to one request, whole or as it comes: keeps what the route's form needs, decides
 * whether an error is still a status or already an event, and sends.
 */
#ifndef GI_SERVER_RESPONDER_H
#define GI_SERVER_RESPONDER_H

#include "server/http.h"
#include "server/reply.h"

#include <pthread.h>

/** Set http, form, is_stream and reply between init and the first other call. */
typedef struct gi_responder {
    gi_http_request *http;
    const gi_reply_form *form;
    bool is_stream; /**< asked for */
    gi_reply reply;
    /* Under the lock. Lock order: this, then those of the HTTP layer. */
    pthread_mutex_t lock;
    bool is_begun;                 /**< the head of a stream is out */
    size_t n_told[GI_CHOICES_MAX]; /**< tokens of each choice that a stream has told */
    gi_buf events;                 /**< being written; empty between calls */
} gi_responder;

void gi_responder_init(gi_responder *r, gi_http_request *http, const gi_reply_form *form);
void gi_responder_done(gi_responder *r);

/**
 * Nothing can be wrong with the request any more: a stream begins. Does nothing for other answers
 * and when it has begun. Any thread. False without memory.
 */
bool gi_responder_begin(gi_responder *r);

/** n bytes more of the i-th choice, whose tokens are told by so_far (NULL: not). False when nobody
 * listens any more. Any thread. */
bool gi_responder_piece(gi_responder *r, size_t i_choice, const char *text, size_t n_bytes,
                        const glint_result *so_far);

/** The i-th choice is complete; the result must outlive the answer. Any thread. */
void gi_responder_choice(gi_responder *r, size_t i_choice, const glint_result *result);

/** Answer: all choices are complete, or `error` says why not. Once, last. */
void gi_responder_finish(gi_responder *r, const gi_api_error *error);

#endif
