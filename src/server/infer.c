/*
 * An `asking` per HTTP request, and one `call` for each answer it wants, handed from stage to stage
 * by the scheduler, so that only one thread at a time touches a call:
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
 * Lock order: the HTTP layer's lock (hang-ups are told under it), asking.lock, the scheduler's; and
 * that of a fetch before the scheduler's.
 */
#include "server/infer.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "sched/engine_ops.h"
#include "server/answer_cache.h"
#include "server/asked.h"
#include "server/picture_fetch.h"
#include "server/responder.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { RETRY_AFTER_MAX_S = 60 };

struct gi_infer {
    gi_infer_config config;     /* but for what gi_infer_set_limits sets */
    _Atomic int64_t timeout_ms; /* in place of config.limits.timeout_ms */
    gi_engine_ops *engine_ops;
    gi_sched *sched;
    gi_answer_cache *answers;
};

const gi_infer_route gi_infer_multimodal = {&gi_infer_table, &gi_infer_form};
const gi_infer_route gi_infer_chat = {&gi_chat_table, &gi_chat_form};

typedef struct asking asking;

typedef struct call {
    gi_sched_request request;
    asking *asking;
    size_t i; /* which of the request's answers */
    gi_api_error error;
    bool is_in_line; /* submitted and not finished; under asking.lock */
} call;

struct asking {
    gi_infer *service;
    gi_http_request *http;
    gi_asked asked;     /* until all jobs are made */
    glint_tasks *tasks; /* as they were when it was read: a reference */
    char task[GI_RECORD_TASK_BYTES];
    gi_responder responder;
    gi_picture_fetch *fetch; /* from admit until all jobs are made, if there are pictures by URL */
    bool is_fetched[GLINT_IMAGES_MAX]; /* which pictures came by URL */
    const gi_kept_answer *kept;        /* the answer, when it need not be made */
    gi_digest answer_key;              /* where it goes, when it must */
    bool has_answer_key;
    call calls[GI_CHOICES_MAX];
    _Atomic size_t n_unmade; /* calls whose job is not made yet */
    pthread_mutex_t lock;
    size_t n_unfinished; /* calls in the line; under the lock */
    gi_api_error error;  /* the first of a call; under the lock */
};

static call *call_of(gi_sched_request *r) {
    return (call *)(void *)((char *)r - offsetof(call, request));
}

/* ---- reading ---- */

void gi_infer_check_head(const gi_infer_route *route, gi_http_request *r) {
    gi_api_error error = {0};
    gi_asked probe = {0};
    gi_http_allow_body(r, SIZE_MAX);
    if (!gi_asked_begin(&probe, route->fields, r, &error)) gi_http_respond_error(r, &error, NULL);
}

static bool is_task(const glint_tasks *tasks, const char *name) {
    glint_task_info known;
    for (size_t i = 0; glint_tasks_get(tasks, i, &known); i++)
        if (strcmp(known.name, name) == 0) return true;
    return false;
}

/* Names that only the engine knows. */
static bool check_names(call *c) {
    asking *a = c->asking;
    const glint_engine *engine = a->service->config.engine;
    const gi_infer_fields *f = &a->asked.fields;
    if (f->model && strcmp(f->model, glint_engine_get_info(engine)->model_name) != 0)
        return gi_api_fail(&c->error, GI_API_UNKNOWN_MODEL, "model");
    if (!f->task) return true;
    if (strlen(f->task) >= sizeof a->task || !is_task(a->tasks, f->task))
        return gi_api_fail(&c->error, GI_API_UNKNOWN_TASK, "task");
    memcpy(a->task, f->task, strlen(f->task) + 1);
    memcpy(gi_http_record(a->http)->task, a->task, sizeof a->task);
    return true;
}

/* What the engine is asked, all but the time. */
static glint_request request_of(const call *c) {
    const asking *a = c->asking;
    const glint_engine *engine = a->service->config.engine;
    glint_request request =
        gi_asked_request(&a->asked, c->i, glint_engine_get_info(engine)->vocab_size);
    request.tenant = gi_http_principal(a->http)->tenant;
    request.tasks = a->tasks;
    request.task = a->task[0] ? a->task : NULL;
    return request;
}

/* For the audit log. */
static void note(asking *a) {
    const gi_audit_notes *notes = a->service->config.audit_notes;
    if (notes) gi_audit_note(notes, &a->asked, gi_http_record(a->http));
}

/*
 * Look for the answer. Done before the request waits, so that it costs no turn; pictures in base64
 * are decoded for it and again for the model, rather than held while it waits. Whatever goes wrong
 * here, the request is answered the long way, which says what is wrong with it.
 */
static bool find_answer(call *c) {
    asking *a = c->asking;
    gi_infer *s = a->service;
    gi_digest pictures[GLINT_IMAGES_MAX];
    const glint_request request = request_of(c);
    const gi_answer_question question = {
        .fingerprint = glint_tasks_fingerprint(a->tasks),
        .request = &request,
        .pictures = pictures,
    };
    if (a->asked.fields.n_choices > 1 ||
        !gi_answer_cache_may(s->answers, &request, a->asked.fields.has_seed))
        return false;
    if (!gi_asked_digest_pictures(&a->asked, pictures)) return false;
    if (gi_answer_cache_key(&question, &a->answer_key, NULL) != GLINT_OK) return false;
    a->has_answer_key = true;
    a->kept = gi_answer_cache_get(s->answers, &a->answer_key);
    if (a->kept) note(a);
    return a->kept != NULL;
}

static void on_fetched(void *ctx) {
    call *c = ctx;
    gi_sched_release(c->asking->service->sched, &c->request);
}

/* Begin to fetch pictures by URL, if there are any; on_fetched may come at once. */
static bool begin_fetch(call *c) {
    asking *a = c->asking;
    const gi_infer_fields *f = &a->asked.fields;
    gi_sched_item *item = &c->request.item;
    for (size_t i = 0; i < f->n_pictures; i++)
        item->is_held |= a->is_fetched[i] = f->pictures[i].url != NULL;
    if (!item->is_held) return true;
    return gi_picture_fetch_begin(a->service->config.fetcher, gi_http_principal(a->http)->tenant, f,
                                  item->deadline_ms - gi_clock_ms(), on_fetched, c, &a->fetch,
                                  &c->error);
}

static bool admit(void *ctx, gi_sched_request *r) {
    gi_infer *s = ctx;
    call *c = call_of(r);
    asking *a = c->asking;
    if (c->i > 0) return true; /* the first call has read it */
    a->tasks = glint_engine_tasks(s->config.engine);
    gi_field_limits limits = s->config.limits;
    limits.timeout_ms = atomic_load(&s->timeout_ms);
    if (!gi_asked_read(&a->asked, a->http, &limits, &c->error) || !check_names(c)) return false;
    const gi_infer_fields *f = &a->asked.fields;
    r->item.deadline_ms = gi_http_received_ms(a->http) + (double)f->timeout_ms;
    a->responder.is_stream = gi_http_record(a->http)->is_stream = f->stream;
    a->responder.reply = (gi_reply){
        .id = gi_http_request_id(a->http),
        .model = glint_engine_get_info(s->config.engine)->model_name,
        .task = a->task,
        .n_choices = (size_t)f->n_choices,
        .created_s = (int64_t)time(NULL),
        .include_usage = f->include_usage,
        .is_data = a->asked.schema_json != NULL,
        .has_logprobs = f->logprobs,
        .n_top = (size_t)f->top_logprobs,
    };
    /* An answer depends on what the pictures are, not on where they come from. */
    return begin_fetch(c) && (a->fetch || !find_answer(c));
}

/* ---- preparing ---- */

/* Whether a fault is one of a picture behind an address, which is not the client's to learn; if
 * nobody knows of which picture, it might be. */
static bool is_secret(const asking *a, const glint_error *err, gi_api_code code) {
    if (code != GI_API_UNSUPPORTED_IMAGE && code != GI_API_BROKEN_IMAGE &&
        code != GI_API_IMAGE_REFUSED)
        return false;
    bool is_any = false;
    for (size_t i = 0; i < GLINT_IMAGES_MAX; i++) is_any |= a->is_fetched[i];
    return err->picture > 0 ? a->is_fetched[err->picture - 1] : is_any;
}

/* The engine's word for what went wrong, as an answer. */
static bool fail_engine(call *c, const glint_error *err, bool is_creating) {
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

static bool on_text(void *ctx, const char *piece, size_t n_bytes) {
    call *c = ctx;
    if (gi_responder_piece(&c->asking->responder, c->i, piece, n_bytes,
                           glint_job_result(c->request.job)))
        return true;
    /* Nobody is there to read this, or there was no memory for the piece. */
    return gi_api_fail(&c->error, GI_API_OVERLOADED, NULL);
}

/* The client may come back when the work that is ahead now is done. */
static void fail_busy(const gi_infer *s, gi_api_code code, gi_api_error *error) {
    const gi_sched_stats stats = gi_sched_get_stats(s->sched);
    gi_api_fail(error, stats.draining ? GI_API_DRAINING : code, NULL);
    const double seconds = ceil(stats.wait_estimate_ms / 1e3);
    if (!stats.draining) error->retry_after_s = (int)fmin(fmax(seconds, 1), RETRY_AFTER_MAX_S);
}

/* Put a call into the line. False with `error` set when there is no place for it. */
static bool submit(asking *a, size_t i, double deadline_ms, gi_api_error *error) {
    call *c = &a->calls[i];
    /* Names are given out by whoever signs tokens and makes keys, so nobody seeks one that falls
     * together with another: no seed. */
    const uint64_t tenant = gi_hash_name(0, gi_http_principal(a->http)->tenant);
    *c = (call){.asking = a,
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
    fail_busy(a->service, st == GLINT_ERR_LIMIT ? GI_API_TENANT_QUEUE_FULL : GI_API_QUEUE_FULL,
              error);
    return false;
}

/* The other answers of a request that wants several. */
static bool submit_others(call *first) {
    asking *a = first->asking;
    const size_t n = (size_t)a->asked.fields.n_choices;
    atomic_store(&a->n_unmade, n);
    for (size_t i = 1; i < n; i++) {
        if (!submit(a, i, first->request.item.deadline_ms, &first->error)) return false;
    }
    return true;
}

static bool make_job(call *c) {
    asking *a = c->asking;
    glint_engine *engine = a->service->config.engine;
    glint_request request = request_of(c);
    request.timeout_ms = c->request.item.deadline_ms - gi_clock_ms();
    if (request.timeout_ms <= 0) return gi_api_fail(&c->error, GI_API_DEADLINE, NULL);
    glint_error err = {0};
    if (glint_job_create(engine, &request, &c->request.job, &err) == GLINT_OK) return true;
    return fail_engine(c, &err, true);
}

/* The fetched pictures, which came while the call was held. False too when there is a kept answer.
 */
static bool take_fetched(call *first) {
    asking *a = first->asking;
    if (!a->fetch) return true;
    a->responder.reply.fetch_ms = gi_picture_fetch_ms(a->fetch);
    return gi_picture_fetch_take(a->fetch, gi_http_request_id(a->http), a->asked.fields.pictures,
                                 &first->error) &&
           !find_answer(first);
}

/* Once per request: its pictures, and its other calls. */
static bool prepare_asking(gi_infer *s, call *first) {
    asking *a = first->asking;
    if (!take_fetched(first) || !gi_asked_decode(&a->asked, &first->error)) return false;
    note(a);
    return gi_access_take_pictures(s->config.access, gi_http_principal(a->http), a->asked.images,
                                   a->asked.fields.n_pictures, &first->error) &&
           submit_others(first);
}

static bool prepare(void *ctx, gi_sched_request *r) {
    gi_infer *s = ctx;
    call *c = call_of(r);
    asking *a = c->asking;
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

static void free_asking(asking *a) {
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
static void cancel_calls(asking *a) {
    for (size_t i = 0; i < GI_CHOICES_MAX; i++)
        if (a->calls[i].is_in_line) gi_sched_cancel(a->service->sched, &a->calls[i].request);
}

static void answer(asking *a) {
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
static const glint_result *replay(call *c) {
    asking *a = c->asking;
    const glint_result *result = &a->kept->result;
    if (!gi_responder_begin(&a->responder)) gi_api_fail(&c->error, GI_API_OVERLOADED, NULL);
    /* Nobody is told when nobody listens: the request ends here anyway. */
    else if (result->n_text_bytes > 0)
        gi_responder_piece(&a->responder, c->i, result->text, result->n_text_bytes, NULL);
    return result;
}

static void finish(void *ctx, gi_sched_request *r) {
    const gi_infer *s = ctx;
    call *c = call_of(r);
    asking *a = c->asking;
    const gi_sched_item *item = &r->item;
    if (item->stop == GI_SCHED_STOP_EXPIRED) gi_api_fail(&c->error, GI_API_DEADLINE, NULL);
    if (item->stop == GI_SCHED_STOP_UNMEETABLE) fail_busy(s, GI_API_UNMEETABLE, &c->error);
    /* Whoever cancelled it has said why in item->stop. */
    if (r->error.code != GLINT_OK && r->error.code != GLINT_ERR_CANCELLED)
        fail_engine(c, &r->error, false);
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

static asking *make_asking(gi_infer *s, const gi_infer_route *route, gi_http_request *r) {
    asking *a = gi_calloc(1, sizeof *a);
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
    asking *a = make_asking(s, route, r);
    if (!a) {
        gi_api_fail(&error, GI_API_OVERLOADED, NULL);
    } else if (gi_asked_begin(&a->asked, route->fields, r, &error)) {
        gi_http_set_user(r, a);
        if (submit(a, 0, gi_http_received_ms(r) + (double)atomic_load(&s->timeout_ms), &error))
            return;
        gi_http_set_user(r, NULL);
    }
    if (a) free_asking(a);
    gi_http_respond_error(r, &error, NULL);
}

void gi_infer_hangup(gi_http_request *r) {
    asking *a = gi_http_get_user(r);
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
        .ops = {.admit = admit, .prepare = prepare, .finish = finish},
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

double gi_infer_step_ms(gi_infer *s) {
    return gi_sched_get_stats(s->sched).step_ms;
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
