/*
 * One `call` per request, handed from stage to stage by the scheduler, so that only one thread at a
 * time touches it:
 *
 *     submit    network thread   make the call, put it in the line
 *     admit     crew             JSON or form -> fields; the deadline
 *     prepare   crew             base64 -> bytes -> glint_job_create (decode, resize, tokenise)
 *     run       engine thread    together with others, step by step (sched/engine_ops.h)
 *     finish    any of them      the answer
 *
 * What the request was made of (body, JSON) is freed as soon as the job has taken it in. The words
 * of the engine's errors go to the log, never to the client.
 */
#include "server/infer.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "sched/engine_ops.h"
#include "server/base64.h"
#include "server/header_value.h"
#include "server/infer_reply.h"

#include <math.h>
#include <string.h>

enum { REPLY_BYTES_MAX = 1 << 20, RETRY_AFTER_MAX_S = 60, TASK_BYTES = 65 };

struct gi_infer {
    gi_infer_config config;
    gi_engine_ops *engine_ops;
    gi_sched *sched;
};

typedef struct call {
    gi_sched_request request;
    gi_infer *service;
    gi_http_request *http;
    bool is_form;
    char boundary[GI_MULTIPART_BOUNDARY_BYTES];
    gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
    gi_json_lifted json;    /* fields borrow from this and the body, until the job is made */
    gi_infer_fields fields; /* valid from admit to prepare */
    char task[TASK_BYTES];
    gi_api_error error;
} call;

static call *call_of(gi_sched_request *r) {
    return (call *)(void *)((char *)r - offsetof(call, request));
}

/* ---- reading ---- */

/* The media type of a Content-Type value, or NULL. */
static const char *known_type(const char *content_type, bool *ret_is_form) {
    if (!content_type) return NULL;
    gi_header_value v = gi_header_value_begin(content_type, strlen(content_type));
    const char *word;
    gi_header_param param;
    const size_t n = gi_header_value_word(&v, &word);
    *ret_is_form = gi_token_equals(word, n, "multipart/form-data");
    if (!*ret_is_form && !gi_token_equals(word, n, "application/json")) return NULL;
    while (gi_header_value_next(&v, &param))
        if (!*ret_is_form && gi_token_equals(param.name, param.n_name, "charset") &&
            !gi_token_equals(param.value, param.n_value, "utf-8"))
            return NULL;
    return v.bad ? NULL : content_type;
}

void gi_infer_check_head(gi_http_request *r) {
    bool is_form;
    gi_http_allow_body(r, SIZE_MAX);
    if (known_type(gi_http_header(r, "Content-Type"), &is_form)) return;
    gi_api_error error = {0};
    gi_api_fail(&error, GI_API_UNSUPPORTED_MEDIA_TYPE, NULL);
    gi_http_respond_error(r, &error, NULL);
}

static bool read_json(call *c) {
    gi_buf *body = gi_http_body(c->http);
    const glint_status st = gi_json_lift_parse((const char *)body->data, body->len, &c->json, NULL);
    if (st == GLINT_OK) return true;
    return gi_api_fail(&c->error, st == GLINT_ERR_MEMORY ? GI_API_OVERLOADED : GI_API_INVALID_JSON,
                       NULL);
}

static bool read_form(call *c, gi_field_picture *files, size_t *ret_n_files) {
    gi_buf *body = gi_http_body(c->http);
    size_t n_parts = 0;
    if (body->len == 0 || gi_multipart_parse(c->boundary, body->data, body->len, c->parts, &n_parts,
                                             NULL) != GLINT_OK)
        return gi_api_fail(&c->error, GI_API_INVALID_MULTIPART, NULL);
    return gi_fields_from_form(c->parts, n_parts, &c->json.json, files, ret_n_files, &c->error);
}

static bool is_task(const glint_engine *engine, const char *name) {
    const char *known;
    for (size_t i = 0; (known = glint_engine_task_name(engine, i)); i++)
        if (strcmp(known, name) == 0) return true;
    return false;
}

static bool admit(void *ctx, gi_sched_request *r) {
    gi_infer *s = ctx;
    call *c = call_of(r);
    gi_field_picture files[GLINT_IMAGES_MAX];
    size_t n_files = 0;
    if (!(c->is_form ? read_form(c, files, &n_files) : read_json(c))) return false;
    if (!gi_fields_read(&c->json, files, n_files, &s->config.limits, &c->fields, &c->error))
        return false;
    if (strlen(c->fields.task) >= sizeof c->task || !is_task(s->config.engine, c->fields.task))
        return gi_api_fail(&c->error, GI_API_UNKNOWN_TASK, "task");
    memcpy(c->task, c->fields.task, strlen(c->fields.task) + 1);
    r->item.deadline_ms = gi_http_received_ms(c->http) + (double)c->fields.timeout_ms;
    return true;
}

/* ---- preparing ---- */

/* The engine's word for what went wrong, as an answer. */
static bool fail_engine(call *c, const glint_error *err, bool is_creating) {
    gi_api_code code = GI_API_INTERNAL;
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
    if (code == GI_API_INTERNAL)
        gi_log(GI_LOG_ERROR, "infer", "id=%s %s: %s", gi_http_request_id(c->http),
               glint_status_name(err->code), err->message);
    return gi_api_fail(&c->error, code, err->param);
}

/* Where the bytes of pictures lie that came as base64. */
typedef struct decoded {
    void *bytes[GLINT_IMAGES_MAX];
    glint_image images[GLINT_IMAGES_MAX];
} decoded;

static bool decode_pictures(call *c, decoded *d) {
    for (size_t i = 0; i < c->fields.n_pictures; i++) {
        const gi_field_picture *p = &c->fields.pictures[i];
        d->images[i] = (glint_image){.bytes = p->bytes, .n_bytes = p->n};
        if (!p->base64) continue;
        size_t n;
        if (gi_base64_decoded_bytes(p->base64, p->n, &n, NULL) != GLINT_OK)
            return gi_api_fail(&c->error, GI_API_INVALID_IMAGE_REF, "image");
        d->bytes[i] = gi_alloc(n);
        if (!d->bytes[i]) return gi_api_fail(&c->error, GI_API_OVERLOADED, NULL);
        if (gi_base64_decode(p->base64, p->n, d->bytes[i], NULL) != GLINT_OK)
            return gi_api_fail(&c->error, GI_API_INVALID_IMAGE_REF, "image");
        d->images[i] = (glint_image){.bytes = d->bytes[i], .n_bytes = n};
    }
    return true;
}

static bool make_job(call *c, const glint_image *images) {
    const gi_infer_fields *f = &c->fields;
    const glint_engine_info *info = glint_engine_get_info(c->service->config.engine);
    const double left_ms = c->request.item.deadline_ms - gi_clock_ms();
    if (left_ms <= 0) return gi_api_fail(&c->error, GI_API_DEADLINE, NULL);
    const glint_request request = {
        .images = images,
        .n_images = f->n_pictures,
        .prompt = f->prompt.s,
        .n_prompt_bytes = f->prompt.n,
        .task = c->task,
        .max_tokens = (int)f->max_tokens,
        .temperature = f->temperature,
        .top_p = f->top_p,
        .top_k = f->top_k < info->vocab_size ? (int)f->top_k : 0, /* all of them is no limit */
        .seed = (uint64_t)f->seed,
        .stops = f->stops,
        .n_stops = f->n_stops,
        .max_side_px = (int)f->max_side_px,
        .timeout_ms = left_ms,
        .tenant = gi_http_principal(c->http)->tenant,
        .no_cache = !f->cache,
    };
    glint_error err = {0};
    if (glint_job_create(c->service->config.engine, &request, &c->request.job, &err) == GLINT_OK)
        return true;
    return fail_engine(c, &err, true);
}

static bool prepare(void *ctx, gi_sched_request *r) {
    gi_infer *s = ctx;
    call *c = call_of(r);
    decoded d = {0};
    const bool ok = decode_pictures(c, &d) &&
                    gi_access_take_pictures(s->config.access, gi_http_principal(c->http), d.images,
                                            c->fields.n_pictures, &c->error) &&
                    make_job(c, d.images);
    for (size_t i = 0; i < GLINT_IMAGES_MAX; i++) gi_free(d.bytes[i]);
    gi_json_lift_done(&c->json);
    gi_http_drop_body(c->http);
    return ok;
}

/* ---- answering ---- */

static double waited_ms(const gi_sched_item *item) {
    double ms = 0;
    for (int s = GI_SCHED_ARRIVED; s < GI_SCHED_RUNNING; s += 2)
        ms += item->entered_ms[s + 1] - item->entered_ms[s];
    return ms;
}

static void answer(call *c) {
    gi_infer_answer a = {
        .id = gi_http_request_id(c->http),
        .model = glint_engine_get_info(c->service->config.engine)->model_name,
        .task = c->task,
        .result = glint_job_result(c->request.job),
        .queue_ms = waited_ms(&c->request.item),
        .total_ms = gi_clock_ms() - gi_http_received_ms(c->http),
    };
    gi_http_reply reply = {.status = 200};
    gi_buf_init(&reply.body, REPLY_BYTES_MAX);
    if (gi_infer_reply_write(&a, &reply.body, NULL) == GLINT_OK) {
        gi_http_respond(c->http, &reply);
        return;
    }
    gi_buf_done(&reply.body);
    gi_api_fail(&c->error, GI_API_OVERLOADED, NULL);
    gi_http_respond_error(c->http, &c->error, NULL);
}

static void free_call(call *c) {
    glint_job_free(c->request.job);
    gi_json_lift_done(&c->json);
    gi_free(c);
}

static void finish(void *ctx, gi_sched_request *r) {
    (void)ctx;
    call *c = call_of(r);
    const gi_sched_item *item = &r->item;
    if (item->stop == GI_SCHED_STOP_EXPIRED) gi_api_fail(&c->error, GI_API_DEADLINE, NULL);
    /* Whoever cancelled it has said why in item->stop. */
    if (r->error.code != GLINT_OK && r->error.code != GLINT_ERR_CANCELLED)
        fail_engine(c, &r->error, false);
    const glint_result *result =
        item->entered_ms[GI_SCHED_RUNNING] > 0 ? glint_job_result(c->request.job) : NULL;
    /* A run that ended just before it was to be stopped has an answer all the same. */
    if (c->error.code == GI_API_OK && (!result || result->finish == GLINT_FINISH_NONE))
        gi_api_fail(&c->error, GI_API_DRAINING, NULL);
    if (c->error.code == GI_API_OK)
        answer(c);
    else
        gi_http_respond_error(c->http, &c->error, NULL);
    free_call(c);
}

/* ---- the service ---- */

static void refuse(gi_infer *s, gi_http_request *r) {
    const gi_sched_stats stats = gi_sched_get_stats(s->sched);
    gi_api_error error = {0};
    gi_api_fail(&error, stats.draining ? GI_API_DRAINING : GI_API_QUEUE_FULL, NULL);
    const double seconds = ceil(stats.wait_estimate_ms / 1e3);
    if (!stats.draining) error.retry_after_s = (int)fmin(fmax(seconds, 1), RETRY_AFTER_MAX_S);
    gi_http_respond_error(r, &error, NULL);
}

void gi_infer_submit(gi_infer *s, gi_http_request *r) {
    gi_api_error error = {0};
    call *c = gi_calloc(1, sizeof *c);
    if (!c) {
        gi_api_fail(&error, GI_API_OVERLOADED, NULL);
        gi_http_respond_error(r, &error, NULL);
        return;
    }
    c->service = s;
    c->http = r;
    c->request.item.deadline_ms = gi_http_received_ms(r) + (double)s->config.limits.timeout_ms;
    const char *type = known_type(gi_http_header(r, "Content-Type"), &c->is_form);
    if (!type ||
        (c->is_form && gi_multipart_boundary(type, strlen(type), c->boundary, NULL) != GLINT_OK)) {
        gi_api_fail(&error, GI_API_INVALID_MULTIPART, NULL);
        gi_http_respond_error(r, &error, NULL);
        gi_free(c);
        return;
    }
    gi_http_set_user(r, c);
    if (gi_sched_submit(s->sched, &c->request, NULL) == GLINT_OK) return;
    gi_http_set_user(r, NULL);
    gi_free(c);
    refuse(s, r);
}

void gi_infer_hangup(gi_infer *s, gi_http_request *r) {
    call *c = gi_http_get_user(r);
    if (c) gi_sched_cancel(s->sched, &c->request);
}

glint_status gi_infer_create(const gi_infer_config *config, gi_infer **ret, glint_error *err) {
    gi_infer *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "inference: no memory");
    s->config = *config;
    glint_status st;
    GI_TRY_DONE(gi_engine_ops_create(config->engine, &s->engine_ops, err));
    gi_sched_config sched = {
        .queue_max = config->queue_max,
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

void gi_infer_begin_drain(gi_infer *s) {
    gi_sched_begin_drain(s->sched);
}

void gi_infer_drain(gi_infer *s, double grace_ms) {
    gi_sched_drain(s->sched, grace_ms);
}

void gi_infer_free(gi_infer *s) {
    if (!s) return;
    gi_sched_free(s->sched);
    gi_engine_ops_free(s->engine_ops);
    gi_free(s);
}
