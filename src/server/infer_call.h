/**
 * @file
 * What the stages of a request share: reading (infer_read.c), preparing (infer_prepare.c), and the
 * beginning and the end (infer.c, where the whole way is drawn).
 */
#ifndef GI_SERVER_INFER_CALL_H
#define GI_SERVER_INFER_CALL_H

#include "sched/engine_ops.h"
#include "server/answer_cache.h"
#include "server/asked.h"
#include "server/infer.h"
#include "server/picture_fetch.h"
#include "server/responder.h"

#include <stdatomic.h>

struct gi_infer {
    gi_infer_config config;     /**< but for what gi_infer_set_limits sets */
    _Atomic int64_t timeout_ms; /**< in place of config.limits.timeout_ms */
    gi_engine_ops *engine_ops;
    gi_sched *sched;
    gi_answer_cache *answers;
};

typedef struct gi_asking gi_asking;

/** One of the answers that a request wants. */
typedef struct gi_call {
    gi_sched_request request;
    gi_asking *asking;
    size_t i; /**< which of the request's answers */
    gi_api_error error;
    bool is_in_line; /**< submitted and not finished; under asking.lock */
} gi_call;

/** A request, from its first byte read until its answer is given. */
struct gi_asking {
    gi_infer *service;
    gi_http_request *http;
    gi_asked asked;     /**< until all jobs are made */
    glint_tasks *tasks; /**< as they were when it was read: a reference */
    char task[GI_RECORD_TASK_BYTES];
    gi_responder responder;
    gi_picture_fetch *fetch;           /**< from admit until all jobs are made; NULL: no URLs */
    bool is_fetched[GLINT_IMAGES_MAX]; /**< which pictures came by URL */
    const gi_kept_answer *kept;        /**< the answer, when it need not be made */
    gi_digest answer_key;              /**< where it goes, when it must */
    bool has_answer_key;
    gi_call calls[GI_CHOICES_MAX];
    _Atomic size_t n_unmade; /**< calls whose job is not made yet */
    pthread_mutex_t lock;
    size_t n_unfinished; /**< calls in the line; under the lock */
    gi_api_error error;  /**< the first of a call; under the lock */
};

static inline gi_call *gi_call_of(gi_sched_request *r) {
    return (gi_call *)(void *)((char *)r - offsetof(gi_call, request));
}

/** What the engine is asked, all but the time. */
glint_request gi_call_request(const gi_call *c);

/** Tell the audit log's record what is asked, when it is known whole. */
void gi_asking_note(gi_asking *a);

/** Look for a kept answer; true: asking->kept is it. */
bool gi_call_find_answer(gi_call *c);

/** Put the i-th call into the line. False with `error` set when there is no place for it. */
bool gi_call_submit(gi_asking *a, size_t i, double deadline_ms, gi_api_error *error);

/** The engine's word for what went wrong, as the call's error; returns false. */
bool gi_call_fail_engine(gi_call *c, const glint_error *err, bool is_creating);

/** There is too much to do: `code`, and when to come back. */
void gi_infer_fail_busy(const gi_infer *s, gi_api_code code, gi_api_error *error);

/** The scheduler's stages; ctx is the gi_infer. */
bool gi_infer_admit(void *ctx, gi_sched_request *r);
bool gi_infer_prepare(void *ctx, gi_sched_request *r);

#endif
