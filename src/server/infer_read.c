/*
 * Reading: what a request asks, from its bytes; a kept answer if there is one; the beginning of
 * fetches. On the crew's threads.
 */
#include "server/infer_call.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

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
static bool check_names(gi_call *c) {
    gi_asking *a = c->asking;
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

glint_request gi_call_request(const gi_call *c) {
    const gi_asking *a = c->asking;
    const glint_engine *engine = a->service->config.engine;
    glint_request request =
        gi_asked_request(&a->asked, c->i, glint_engine_get_info(engine)->vocab_size);
    request.tenant = gi_http_principal(a->http)->tenant;
    request.tasks = a->tasks;
    request.task = a->task[0] ? a->task : NULL;
    return request;
}

void gi_asking_note(gi_asking *a) {
    const gi_audit_notes *notes = a->service->config.audit_notes;
    if (notes) gi_audit_note(notes, &a->asked, gi_http_record(a->http));
}

/*
 * Look for the answer. Done before the request waits, so that it costs no turn; pictures in base64
 * are decoded for it and again for the model, rather than held while it waits. Whatever goes wrong
 * here, the request is answered the long way, which says what is wrong with it.
 */
bool gi_call_find_answer(gi_call *c) {
    gi_asking *a = c->asking;
    gi_infer *s = a->service;
    gi_digest pictures[GLINT_IMAGES_MAX];
    const glint_request request = gi_call_request(c);
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
    if (a->kept) gi_asking_note(a);
    return a->kept != NULL;
}

static void on_fetched(void *ctx) {
    gi_call *c = ctx;
    gi_sched_release(c->asking->service->sched, &c->request);
}

/* Begin to fetch pictures by URL, if there are any; on_fetched may come at once. */
static bool begin_fetch(gi_call *c) {
    gi_asking *a = c->asking;
    const gi_infer_fields *f = &a->asked.fields;
    gi_sched_item *item = &c->request.item;
    for (size_t i = 0; i < f->n_pictures; i++)
        item->is_held |= a->is_fetched[i] = f->pictures[i].url != NULL;
    if (!item->is_held) return true;
    return gi_picture_fetch_begin(a->service->config.fetcher, gi_http_principal(a->http)->tenant, f,
                                  item->deadline_ms - gi_clock_ms(), on_fetched, c, &a->fetch,
                                  &c->error);
}

bool gi_infer_admit(void *ctx, gi_sched_request *r) {
    gi_infer *s = ctx;
    gi_call *c = gi_call_of(r);
    gi_asking *a = c->asking;
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
    return begin_fetch(c) && (a->fetch || !gi_call_find_answer(c));
}
