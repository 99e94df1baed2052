/**
 * @file
 * The routes that ask the model: from a complete HTTP request to its answer, through the scheduler
 * and the engine.
 */
#ifndef GI_SERVER_INFER_H
#define GI_SERVER_INFER_H

#include <glint/glint.h>

#include "base/cache.h"
#include "fetch/fetcher.h"
#include "sched/sched.h"
#include "server/access.h"
#include "server/audit_salt.h"
#include "server/fields.h"
#include "server/http.h"
#include "server/reply.h"
#include "store/store.h"

typedef struct gi_infer gi_infer;

typedef struct gi_infer_config {
    glint_engine *engine;              /**< borrowed */
    gi_access *access;                 /**< borrowed; charges pictures to tenants */
    gi_fetcher *fetcher;               /**< borrowed; NULL: pictures by URL are refused */
    const gi_audit_notes *audit_notes; /**< borrowed; NULL: there is no audit log */
    size_t queue_max;                  /**< most requests that wait */
    bool has_tenants;                  /**< none of several tenants may fill that alone */
    size_t ready_max;                  /**< most of them with decoded pictures in memory */
    int n_crew;                        /**< threads that read requests and decode pictures */
    size_t answer_cache_bytes;         /**< answers kept for equal requests; 0 = none */
    gi_store *answer_store; /**< borrowed: answers shared with other servers; NULL = none */
    gi_field_limits limits;
} gi_infer_config;

/** Start the scheduler. Errors as gi_sched_create. */
glint_status gi_infer_create(const gi_infer_config *config, gi_infer **ret, glint_error *err);

/** Change queue_max, ready_max (see gi_sched_set_limits) and limits.timeout_ms. Any thread. */
void gi_infer_set_limits(gi_infer *s, size_t queue_max, size_t ready_max, int64_t timeout_ms);

/** What sets a route apart. */
typedef struct gi_infer_route {
    const gi_field_table *fields;
    const gi_reply_form *form;
} gi_infer_route;

/** POST /v1/multimodal/inference and POST /v1/chat/completions. */
extern const gi_infer_route gi_infer_multimodal, gi_infer_chat;

/** Look at the headers: refuse a body of a type the route does not take. For on_headers. */
void gi_infer_check_head(const gi_infer_route *route, gi_http_request *r);

/** Take a request over; it is answered sooner or later. For on_request. */
void gi_infer_submit(gi_infer *s, const gi_infer_route *route, gi_http_request *r);

/** Nobody waits for the answer any more. For on_hangup. */
void gi_infer_hangup(gi_http_request *r);

/** How long the step of this moment has taken, in milliseconds. Any thread. */
double gi_infer_step_ms(const gi_infer *s);

/** What goes on, and what the cache of answers did. Any thread. */
void gi_infer_get_stats(gi_infer *s, gi_sched_stats *ret_sched, gi_cache_stats *ret_answers);

/** Let what is under way finish for up to grace_ms, then stop it. On return all is answered. */
void gi_infer_drain(gi_infer *s, double grace_ms);

/** Drain without grace and free. NULL is fine. */
void gi_infer_free(gi_infer *s);

#endif
