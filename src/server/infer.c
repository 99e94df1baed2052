/*
 * A gi_asking per HTTP request, and one gi_call for each answer it wants, handed from stage to
 * stage by the scheduler, so that only one thread at a time touches a call:
 *
 *     submit    network thread   make the asking, put its first call in the line
 *     admit     crew             JSON or form -> fields; the deadline; perhaps a kept answer;
 *                                pictures by URL are begun, and hold the call until they are there
 *     prepare   crew             pictures' bytes, the other calls; glint_job_create; a stream
 *                                begins
 *     run       engine thread    together with others, step by step (sched/engine_ops.h)
 *     finish    any of them      the call's end; after the last one, the answer
 *
 * What the request was made of (body, JSON, bytes of pictures) is freed as soon as all jobs have
 * taken it in. The words of the engine's errors go to the log, never to the client. When one call
 * fails, the request does, and its other calls are stopped.
 *
 * Lock order: the HTTP layer's lock (hang-ups are told under it), the asking's lock, the
 * scheduler's; and that of a fetch before the scheduler's.
 */
#include "server/infer_call.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <math.h>

const gi_infer_route gi_infer_multimodal = {&gi_infer_table, &gi_infer_form};
const gi_infer_route gi_infer_chat = {&gi_chat_table, &gi_chat_form};

/* ---- answering ---- */

static double waited_ms(const gi_sched_item *item) {
    const double *entered_ms = item->entered_ms;
    double ms = 0;
    for (int s = GI_SCHED_ARRIVED; s < GI_SCHED_RUNNING; s += 2) {
        const int to = entered_ms[s + 1] > 0 ? s + 1 : GI_SCHED_DONE; /* on, or out of the line */
        if (entered_ms[s] > 0) ms += entered_ms[to] - entered_ms[s];
    }
    return ms;
}

/* Whether the line took it in, or kept it so long that it gave up; not if it was refused as it was
 * read. */
static bool was_in_line(const gi_sched_item *item) {
    return item->entered_ms[GI_SCHED_WAITING] > 0 || item->entered_ms[GI_SCHED_ADMITTING] <= 0;
}

static void free_asking(gi_asking *a) {
    gi_picture_fetch_end(a->fetch); /* first: on_fetched touches a call */
    for (size_t i = 0; i < GI_CHOICES_MAX; i++) glint_job_free(a->calls[i].request.job);
    glint_tasks_unref(a->tasks);
    gi_answer_cache_unref(a->service->answers, a->kept);
    gi_asked_done(&a->asked);
    gi_responder_done(&a->responder);
    pthread_mutex_destroy(&a->lock);
    gi_free(a);
}

/* Stop the calls that are left. Under the lock. */
static void cancel_calls(gi_asking *a) {
    for (size_t i = 0; i < GI_CHOICES_MAX; i++)
        if (a->calls[i].is_in_line) gi_sched_cancel(a->service->sched, &a->calls[i].request);
}

static void answer(gi_asking *a) {
    gi_reply *reply = &a->responder.reply;
    const gi_sched_item *item = &a->calls[0].request.item;
    if (a->fetch) reply->fetch_ms = gi_picture_fetch_ms(a->fetch);
    reply->queue_ms = fmax(waited_ms(item) - reply->fetch_ms, 0);
    reply->total_ms = gi_clock_ms() - gi_http_received_ms(a->http);
    gi_reply_record(reply, a->error.code == GI_API_OK, gi_http_record(a->http));
    gi_http_record(a->http)->is_kept = a->kept != NULL;
    gi_http_record(a->http)->has_waited = a->error.code == GI_API_OK || was_in_line(item);
    gi_responder_finish(&a->responder, &a->error);
    free_asking(a);
}

/* The answer that was kept; in a stream all of it at once. */
static const glint_result *replay(gi_call *c) {
    gi_asking *a = c->asking;
    const glint_result *result = &a->kept->result;
    if (!gi_responder_begin(&a->responder)) gi_api_fail(&c->error, GI_API_OVERLOADED, NULL);
    /* Nobody is told when nobody listens: the request ends here anyway. */
    else if (result->n_text_bytes > 0)
        gi_responder_piece(&a->responder, c->i, result->text, result->n_text_bytes, NULL);
    return result;
}

static void finish(void *ctx, gi_sched_request *r) {
    const gi_infer *s = ctx;
    gi_call *c = gi_call_of(r);
    gi_asking *a = c->asking;
    const gi_sched_item *item = &r->item;
    if (item->stop == GI_SCHED_STOP_EXPIRED) gi_api_fail(&c->error, GI_API_DEADLINE, NULL);
    if (item->stop == GI_SCHED_STOP_UNMEETABLE) gi_infer_fail_busy(s, GI_API_UNMEETABLE, &c->error);
    /* Whoever cancelled it has said why in item->stop. */
    if (r->error.code != GLINT_OK && r->error.code != GLINT_ERR_CANCELLED)
        gi_call_fail_engine(c, &r->error, false);
    const glint_result *result = NULL;
    if (item->entered_ms[GI_SCHED_RUNNING] > 0) result = glint_job_result(r->job);
    if (c->error.code == GI_API_OK && a->kept) result = replay(c);
    /* A run that ended just before it was to be stopped has an answer all the same. */
    if (c->error.code == GI_API_OK && (!result || result->finish == GLINT_FINISH_NONE))
        gi_api_fail(&c->error, GI_API_DRAINING, NULL);
    if (c->error.code == GI_API_OK && a->has_answer_key && !a->kept)
        gi_answer_cache_put(a->service->answers, &a->answer_key, result);
    if (c->error.code == GI_API_OK) gi_responder_choice(&a->responder, c->i, result);
    pthread_mutex_lock(&a->lock);
    c->is_in_line = false;
    if (c->error.code != GI_API_OK && a->error.code == GI_API_OK) {
        a->error = c->error;
        cancel_calls(a);
    }
    const bool is_last = --a->n_unfinished == 0;
    pthread_mutex_unlock(&a->lock);
    if (is_last) answer(a);
}

/* ---- the service ---- */

static gi_asking *make_asking(gi_infer *s, const gi_infer_route *route, gi_http_request *r) {
    gi_asking *a = gi_calloc(1, sizeof *a);
    if (!a) return NULL;
    a->service = s;
    a->http = r;
    gi_http_record(r)->is_inference = true;
    gi_responder_init(&a->responder, r, route->form);
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void gi_infer_submit(gi_infer *s, const gi_infer_route *route, gi_http_request *r) {
    gi_api_error error = {0};
    gi_asking *a = make_asking(s, route, r);
    if (!a) {
        gi_api_fail(&error, GI_API_OVERLOADED, NULL);
    } else if (gi_asked_begin(&a->asked, route->fields, r, &error)) {
        gi_http_set_user(r, a);
        if (gi_call_submit(a, 0, gi_http_received_ms(r) + (double)atomic_load(&s->timeout_ms),
                           &error))
            return;
        gi_http_set_user(r, NULL);
    }
    if (a) free_asking(a);
    gi_http_respond_error(r, &error, NULL);
}

void gi_infer_hangup(gi_http_request *r) {
    gi_asking *a = gi_http_get_user(r);
    if (!a) return;
    pthread_mutex_lock(&a->lock);
    cancel_calls(a);
    pthread_mutex_unlock(&a->lock);
}

glint_status gi_infer_create(const gi_infer_config *config, gi_infer **ret, glint_error *err) {
    gi_infer *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "inference: no memory");
    s->config = *config;
    atomic_init(&s->timeout_ms, config->limits.timeout_ms);
    glint_status st;
    GI_TRY_DONE(
        gi_answer_cache_create(config->answer_cache_bytes, config->answer_store, &s->answers, err));
    GI_TRY_DONE(gi_engine_ops_create(config->engine, &s->engine_ops, err));
    gi_sched_config sched = {
        .queue_max = config->queue_max,
        .has_tenants = config->has_tenants,
        .ready_max = config->ready_max,
        .n_crew = config->n_crew,
        .ops = {.admit = gi_infer_admit, .prepare = gi_infer_prepare, .finish = finish},
        .ctx = s,
    };
    gi_engine_ops_configure(s->engine_ops, &sched);
    GI_TRY_DONE(gi_sched_create(&sched, &s->sched, err));
    *ret = s;
    return GLINT_OK;
done:
    gi_infer_free(s);
    return st;
}

void gi_infer_set_limits(gi_infer *s, size_t queue_max, size_t ready_max, int64_t timeout_ms) {
    gi_sched_set_limits(s->sched, queue_max, ready_max);
    atomic_store(&s->timeout_ms, timeout_ms);
}

double gi_infer_step_ms(const gi_infer *s) {
    return gi_sched_step_ms(s->sched);
}

void gi_infer_get_stats(gi_infer *s, gi_sched_stats *ret_sched, gi_cache_stats *ret_answers) {
    *ret_sched = gi_sched_get_stats(s->sched);
    *ret_answers = gi_answer_cache_get_stats(s->answers);
}

void gi_infer_drain(gi_infer *s, double grace_ms) {
    gi_sched_drain(s->sched, grace_ms);
}

void gi_infer_free(gi_infer *s) {
    if (!s) return;
    gi_sched_free(s->sched);
    gi_engine_ops_free(s->engine_ops);
    gi_answer_cache_free(s->answers);
    gi_free(s);
}
