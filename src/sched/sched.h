/**
 * @file
 * The threads around the waiting line and the planner: a small crew reads and checks requests and
 * decodes their pictures; one engine thread runs all that are ready together, step by step; and a
 * clerk answers those that are cancelled or whose deadline passes while they wait.
 *
 * What a request is, and how it is read, prepared and computed, is the caller's: see gi_sched_ops.
 * sched/engine_ops.h has those that drive a glint_engine. Every submitted request is finished
 * exactly once, whatever happens to it.
 */
#ifndef GI_SCHED_SCHED_H
#define GI_SCHED_SCHED_H

#include <glint/glint.h>

#include "sched/line.h"
#include "sched/plan.h"

/** Most threads that admit and prepare. */
#define GI_SCHED_CREW_MAX 64

/** A request; embedded in the caller's own. Zero-initialise. */
typedef struct gi_sched_request {
    gi_sched_item item;    /**< the caller sets item.deadline_ms and tenant */
    gi_plan_seq seq;       /**< the caller's part is filled by ops.begin */
    glint_job *job;        /**< the caller's, from ops.prepare on */
    glint_text_fn on_text; /**< the caller's: takes each piece of the answer; NULL = nobody */
    void *text_ctx;
    glint_error error; /**< why it could not be computed; code GLINT_OK when it could */
} gi_sched_request;

/** What the scheduler calls. `ctx` is that of gi_sched_config. */
typedef struct gi_sched_ops {
    /** Read and check a request; may set item.deadline_ms, priority, tenant, cost and is_held. On a
     * crew thread, several at once. False: it is refused, and finished without running. */
    bool (*admit)(void *ctx, gi_sched_request *r);
    /** Make an admitted request ready to run. Threads and result as above. */
    bool (*prepare)(void *ctx, gi_sched_request *r);
    /** The request is DONE: item.stop, item.entered_ms and error say how. Any of the scheduler's
     * threads. The last call about it; it may be freed. */
    void (*finish)(void *ctx, gi_sched_request *r);
} gi_sched_ops;

/** How requests are computed. All on the engine thread, none may block. */
typedef struct gi_sched_engine {
    /** A ready request joins those that run: fill in the caller's part of r->seq. */
    glint_status (*begin)(void *ctx, gi_sched_request *r, glint_error *err);
    /** Do a step; say how long its halves took. */
    void (*step)(void *ctx, const gi_plan_step *step, double *ret_vision_ms, double *ret_text_ms);
    /** Choose the next token of a request from the step's i-th wanted logits.
     * @param ret_n_known its known tokens then; 0: its answer has ended. */
    glint_status (*take)(void *ctx, gi_sched_request *r, size_t i_logits, size_t *ret_n_known,
                         glint_error *err);
    /** A request that began will not run any more. */
    void (*conclude)(void *ctx, gi_sched_request *r);
    void *ctx;
} gi_sched_engine;

typedef struct gi_sched_config {
    size_t queue_max; /**< most requests that wait, 1..65536 */
    size_t ready_max; /**< most of them with their pictures in memory, 1..queue_max */
    bool has_tenants; /**< no tenant may fill the line alone: see line.h */
    int n_crew;       /**< 1..GI_SCHED_CREW_MAX */
    gi_sched_ops ops;
    void *ctx; /**< of ops */
    gi_sched_engine engine;
    gi_kv_pool *pool; /**< borrowed; the engine thread's */
    gi_plan_config plan;
    gi_costs costs; /**< first guesses */
} gi_sched_config;

typedef struct gi_sched gi_sched;

/** What waits and runs at one moment. */
typedef struct gi_sched_stats {
    size_t n[GI_SCHED_LISTS]; /**< requests in each state */
    double wait_estimate_ms;  /**< until a request submitted now would begin to run */
    bool draining;
    gi_plan_stats plan;
    gi_kv_stats kv;
    size_t kv_blocks, kv_blocks_free, kv_blocks_cached;
} gi_sched_stats;

/** Start the threads. GLINT_ERR_ARG, GLINT_ERR_MEMORY (also when no thread can be had). */
glint_status gi_sched_create(const gi_sched_config *config, gi_sched **ret, glint_error *err);

/**
 * Change queue_max and ready_max, within the ranges of gi_sched_config. What is in the line stays,
 * also above a lower limit. Any thread.
 */
void gi_sched_set_limits(gi_sched *s, size_t queue_max, size_t ready_max);

/**
 * Hand in a request; item.deadline_ms (gi_clock_ms, 0 = none) and tenant are the caller's to set.
 * @return GLINT_ERR_BUSY when the line is full or draining, GLINT_ERR_LIMIT when only its tenant
 *         has too many requests in it: the request then stays the caller's and is never finished.
 * Threads: any. Once this returned GLINT_OK, the request may already be finished and gone.
 */
glint_status gi_sched_submit(gi_sched *s, gi_sched_request *r, glint_error *err);

/**
 * Stop a request: it is finished soon, with GI_SCHED_STOP_CANCELLED; a running one after the step
 * under way. The caller makes sure that it is not finished yet (its finish function has not
 * returned).
 * Threads: any. Does not block and calls nothing.
 */
void gi_sched_cancel(gi_sched *s, gi_sched_request *r);

/**
 * What a held request waited for is there, or will not come: it may be prepared. May come before
 * ops.admit has returned, but after it set item.is_held.
 * Threads: any. The caller makes sure that the request is not finished yet, as for gi_sched_cancel.
 */
void gi_sched_release(gi_sched *s, gi_sched_request *r);

/**
 * Take no more items; wait up to grace_ms for all to be finished; stop those that are left with
 * GI_SCHED_STOP_DRAINED, and wait for them. On return every item is finished.
 */
void gi_sched_drain(gi_sched *s, double grace_ms);

/** How long the step of this moment has taken; 0 = there is none. Any thread, without a lock. */
double gi_sched_step_ms(const gi_sched *s);

/** What goes on now. Any thread. */
gi_sched_stats gi_sched_get_stats(gi_sched *s);

/** Drain with no grace, end the threads, free. NULL is fine. */
void gi_sched_free(gi_sched *s);

#endif
