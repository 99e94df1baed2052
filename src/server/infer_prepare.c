/*
 * Preparing: a call's way into the line, its pictures and its job, and what it means when one of
 * them fails.
 */
#include "server/infer_call.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

#include <math.h>
#include <string.h>

enum { RETRY_AFTER_MAX_S = 60 };

/* Whether a fault is one of a picture behind an address, which is not the client's to learn; if
 * nobody knows of which picture, it might be. */
static bool is_secret(const gi_asking *a, const glint_error *err, gi_api_code code) {
    if (code != GI_API_UNSUPPORTED_IMAGE && code != GI_API_BROKEN_IMAGE &&
        code != GI_API_IMAGE_REFUSED)
        return false;
    bool is_any = false;
    for (size_t i = 0; i < GLINT_IMAGES_MAX; i++) is_any |= a->is_fetched[i];
    return err->picture > 0 ? a->is_fetched[err->picture - 1] : is_any;
}

bool gi_call_fail_engine(gi_call *c, const glint_error *err, bool is_creating) {
    gi_api_code code = GI_API_INTERNAL;
    /* Whoever wrote the schema must be told what is wrong with it; the words are glint's own. */
    if (err->param && strcmp(err->param, "schema") == 0 && err->code != GLINT_ERR_MEMORY)
        return gi_api_fail_detail(&c->error, GI_API_INVALID_VALUE,
                                  c->asking->asked.turns.n > 0 ? "response_format" : "schema", "%s",
                                  err->message);
    switch (err->code) {
    case GLINT_ERR_ARG:
        if (is_creating) code = GI_API_REFUSED_VALUE;
        break;
    case GLINT_ERR_UNSUPPORTED:
        code = GI_API_UNSUPPORTED_IMAGE;
        break;
    case GLINT_ERR_FORMAT:
        code = GI_API_BROKEN_IMAGE;
        break;
    case GLINT_ERR_LIMIT:
        code = err->param && strcmp(err->param, "image") == 0 ? GI_API_IMAGE_REFUSED
                                                              : GI_API_CONTEXT_TOO_LONG;
        break;
    case GLINT_ERR_MEMORY:
    case GLINT_ERR_BUSY:
        code = GI_API_OVERLOADED;
        break;
    case GLINT_ERR_DEADLINE:
        code = GI_API_DEADLINE;
        break;
    case GLINT_OK:
    case GLINT_ERR_IO:
    case GLINT_ERR_CANCELLED:
    case GLINT_ERR_INTERNAL:
        break;
    }
    if (is_secret(c->asking, err, code)) {
        gi_log(GI_LOG_INFO, "fetch", "id=%s picture %d: %s", gi_http_request_id(c->asking->http),
               err->picture, err->message);
        code = GI_API_IMAGE_FETCH_FAILED;
    }
    if (code == GI_API_INTERNAL)
        gi_log(GI_LOG_ERROR, "infer", "id=%s %s: %s", gi_http_request_id(c->asking->http),
               glint_status_name(err->code), err->message);
    return gi_api_fail(&c->error, code, err->param);
}

/* The client may come back when the work that is ahead now is done. */
void gi_infer_fail_busy(const gi_infer *s, gi_api_code code, gi_api_error *error) {
    const gi_sched_stats stats = gi_sched_get_stats(s->sched);
    gi_api_fail(error, stats.draining ? GI_API_DRAINING : code, NULL);
    const double seconds = ceil(stats.wait_estimate_ms / 1e3);
    if (!stats.draining) error->retry_after_s = (int)fmin(fmax(seconds, 1), RETRY_AFTER_MAX_S);
}

static bool on_text(void *ctx, const char *piece, size_t n_bytes) {
    gi_call *c = ctx;
    if (gi_responder_piece(&c->asking->responder, c->i, piece, n_bytes,
                           glint_job_result(c->request.job)))
        return true;
    /* Nobody is there to read this, or there was no memory for the piece. */
    return gi_api_fail(&c->error, GI_API_OVERLOADED, NULL);
}

bool gi_call_submit(gi_asking *a, size_t i, double deadline_ms, gi_api_error *error) {
    gi_call *c = &a->calls[i];
    /* Names are given out by whoever signs tokens and makes keys, so nobody seeks one that falls
     * together with another: no seed. */
    const uint64_t tenant = gi_hash_name(0, gi_http_principal(a->http)->tenant);
    *c = (gi_call){.asking = a,
                   .i = i,
                   .request = {.item = {.deadline_ms = deadline_ms, .tenant = tenant},
                               .on_text = on_text,
                               .text_ctx = c},
                   .is_in_line = true};
    pthread_mutex_lock(&a->lock);
    a->n_unfinished++;
    /* Under the lock: a call that is in the line can be cancelled, others cannot. */
    const glint_status st = gi_sched_submit(a->service->sched, &c->request, NULL);
    if (st != GLINT_OK) {
        c->is_in_line = false;
        a->n_unfinished--;
    }
    pthread_mutex_unlock(&a->lock);
    if (st == GLINT_OK) return true;
    gi_infer_fail_busy(a->service,
                       st == GLINT_ERR_LIMIT ? GI_API_TENANT_QUEUE_FULL : GI_API_QUEUE_FULL, error);
    return false;
}

/* The other answers of a request that wants several. */
static bool submit_others(gi_call *first) {
    gi_asking *a = first->asking;
    const size_t n = (size_t)a->asked.fields.n_choices;
    atomic_store(&a->n_unmade, n);
    for (size_t i = 1; i < n; i++) {
        if (!gi_call_submit(a, i, first->request.item.deadline_ms, &first->error)) return false;
    }
    return true;
}

static bool make_job(gi_call *c) {
    gi_asking *a = c->asking;
    glint_engine *engine = a->service->config.engine;
    glint_request request = gi_call_request(c);
    request.timeout_ms = c->request.item.deadline_ms - gi_clock_ms();
    if (request.timeout_ms <= 0) return gi_api_fail(&c->error, GI_API_DEADLINE, NULL);
    glint_error err = {0};
    if (glint_job_create(engine, &request, &c->request.job, &err) == GLINT_OK) return true;
    return gi_call_fail_engine(c, &err, true);
}

/* The fetched pictures, which came while the call was held. False too when there is a kept answer.
 */
static bool take_fetched(gi_call *first) {
    gi_asking *a = first->asking;
    if (!a->fetch) return true;
    a->responder.reply.fetch_ms = gi_picture_fetch_ms(a->fetch);
    return gi_picture_fetch_take(a->fetch, gi_http_request_id(a->http), a->asked.fields.pictures,
                                 &first->error) &&
           !gi_call_find_answer(first);
}

/* Once per request: its pictures, and its other calls. */
static bool prepare_asking(gi_infer *s, gi_call *first) {
    gi_asking *a = first->asking;
    if (!take_fetched(first) || !gi_asked_decode(&a->asked, &first->error)) return false;
    gi_asking_note(a);
    return gi_access_take_pictures(s->config.access, gi_http_principal(a->http), a->asked.images,
                                   a->asked.fields.n_pictures, &first->error) &&
           submit_others(first);
}

bool gi_infer_prepare(void *ctx, gi_sched_request *r) {
    gi_infer *s = ctx;
    gi_call *c = gi_call_of(r);
    gi_asking *a = c->asking;
    if (c->i == 0 && !prepare_asking(s, c)) return false;
    if (!make_job(c)) return false;
    if (atomic_fetch_sub(&a->n_unmade, 1) == 1) {
        gi_asked_done(&a->asked);
        gi_picture_fetch_end(a->fetch);
        a->fetch = NULL;
        gi_http_drop_body(a->http);
    }
    return gi_responder_begin(&a->responder) || gi_api_fail(&c->error, GI_API_OVERLOADED, NULL);
}
