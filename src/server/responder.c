/*
 * Pieces come from the engine's thread, ends from any of the scheduler's: one lock keeps their
 * events whole. It is not the lock under which hang-ups are told, which the HTTP layer holds
 * another one around.
 */
#include "server/responder.h"

#include "server/sse.h"

enum {
    /* Four answers of 4096 tokens with 20 others beside each, on which nobody will insist, are more
     * than this. */
    REPLY_BYTES_MAX = 8 << 20,
    /* A piece of text and what is around it; taken when the stream begins, so that sending pieces
     * allocates only for one of unheard-of length. */
    EVENT_BYTES = 8192,
};

void gi_responder_init(gi_responder *r, gi_http_request *http, const gi_reply_form *form) {
    *r = (gi_responder){.http = http, .form = form};
    pthread_mutex_init(&r->lock, NULL);
    gi_buf_init(&r->events, REPLY_BYTES_MAX);
}

void gi_responder_done(gi_responder *r) {
    gi_buf_done(&r->events);
    pthread_mutex_destroy(&r->lock);
}

/* Send what has been written if it was written whole. Under the lock. */
static bool send_events(gi_responder *r, glint_status st) {
    const bool ok = st == GLINT_OK && gi_http_stream_write(r->http, r->events.data, r->events.len);
    gi_buf_clear(&r->events);
    return ok;
}

bool gi_responder_begin(gi_responder *r) {
    pthread_mutex_lock(&r->lock);
    bool ok = true;
    if (r->is_stream && !r->is_begun) {
        const size_t n_bytes = EVENT_BYTES * (1 + r->reply.n_top);
        ok = gi_buf_reserve(&r->events, n_bytes, NULL) == GLINT_OK &&
             gi_http_stream_begin(r->http, 200, GI_SSE_MEDIA_TYPE, GI_SSE_KEEP_ALIVE);
        r->is_begun = ok;
        if (ok) send_events(r, r->form->first(&r->reply, &r->events, NULL));
    }
    pthread_mutex_unlock(&r->lock);
    return ok;
}

bool gi_responder_piece(gi_responder *r, size_t i_choice, const char *text, size_t n_bytes,
                        const glint_result *so_far) {
    if (!r->is_stream) return true;
    pthread_mutex_lock(&r->lock);
    const gi_reply_piece piece = {
        .text = text, .n_bytes = n_bytes, .so_far = so_far, .first_token = r->n_told[i_choice]};
    const bool ok = send_events(r, r->form->piece(&r->reply, i_choice, &piece, &r->events, NULL));
    if (so_far) r->n_told[i_choice] = so_far->n_tokens;
    pthread_mutex_unlock(&r->lock);
    return ok;
}

void gi_responder_choice(gi_responder *r, size_t i_choice, const glint_result *result) {
    pthread_mutex_lock(&r->lock);
    r->reply.results[i_choice] = result;
    if (r->is_begun)
        send_events(r, r->form->choice(&r->reply, i_choice, r->n_told[i_choice], &r->events, NULL));
    pthread_mutex_unlock(&r->lock);
}

static void finish_stream(gi_responder *r, const gi_api_error *error) {
    gi_buf *b = &r->events;
    glint_status st;
    if (error->code == GI_API_OK) {
        st = r->form->last(&r->reply, b, NULL);
        if (st == GLINT_OK) st = gi_sse_done(b, NULL);
    } else {
        st = gi_http_write_stream_error(error, r->reply.id, b, NULL);
    }
    /* Without memory for the end the stream just ends, and the missing [DONE] tells. */
    if (st != GLINT_OK) gi_buf_clear(b);
    gi_http_stream_end(r->http, error->code, b);
}

static void finish_whole(gi_responder *r, const gi_api_error *error) {
    gi_http_reply reply = {.status = 200};
    gi_api_error failed = *error;
    if (failed.code == GI_API_OK) {
        gi_buf_init(&reply.body, REPLY_BYTES_MAX);
        if (r->form->whole(&r->reply, &reply.body, NULL) == GLINT_OK) {
            gi_http_respond(r->http, &reply);
            return;
        }
        gi_buf_done(&reply.body);
        gi_api_fail(&failed, GI_API_OVERLOADED, NULL);
    }
    gi_http_respond_error(r->http, &failed, NULL);
}

void gi_responder_finish(gi_responder *r, const gi_api_error *error) {
    if (r->is_begun)
        finish_stream(r, error);
    else
        finish_whole(r, error);
}
