/**
 * @file
 * Inside the planner: its state, and what its files share. plan.c is the life of requests and
 * steps, plan_step.c chooses what a step does, plan_blocks.c deals in KV blocks.
 */
#ifndef GI_SCHED_PLAN_STATE_H
#define GI_SCHED_PLAN_STATE_H

#include "sched/plan.h"

/** The batch of pictures in the vision tower. */
typedef struct gi_plan_batch {
    gi_picture_state **pictures; /**< [config.pictures_max] */
    size_t n;                    /**< 0: the tower is free */
    size_t n_layers_done;
    double work;
} gi_plan_batch;

struct gi_plan {
    gi_plan_config config;
    gi_kv_pool *pool;
    gi_costs *costs;
    gi_plan_seq *head, *tail; /**< higher priority first, then as they joined */
    uint64_t n_joined;
    gi_plan_batch batch;
    gi_plan_step step;
    bool is_open;   /**< a step is under way */
    double debt_ms; /**< what the last steps did beyond the share of their answers */
    gi_plan_stats stats;
};

/** Tokens of a request that are stored. */
static inline size_t gi_plan_stored(const gi_plan_seq *seq) {
    return seq->kv->n_tokens;
}

/** True if a request is past its prompt: what is fed of it are rows of an answer. */
static inline bool gi_plan_is_answering(const gi_plan_seq *seq) {
    return gi_plan_stored(seq) >= seq->n_prefill;
}

/** True if `a` goes before `b`. */
static inline bool gi_plan_is_before(const gi_plan_seq *a, const gi_plan_seq *b) {
    return a->priority != b->priority ? a->priority > b->priority : a->joined < b->joined;
}

/** True if tokens at this place will be fed, so that its picture must be encoded. */
static inline bool gi_plan_needs(const gi_plan_seq *seq, const gi_picture_place *place) {
    return place->first_token + place->n_tokens > gi_plan_stored(seq);
}

/** Take what the prefix cache has of a request that has not begun, unless it was asked before. */
void gi_plan_look(gi_plan *plan, gi_plan_seq *seq);

/** Forget what gi_plan_look found. */
void gi_plan_unlook(gi_plan_seq *seq);

/** True if a request that has looked can have its whole prompt stored without driving out those
 * that run. */
bool gi_plan_can_begin(const gi_plan *plan, const gi_plan_seq *seq);

/**
 * Hold blocks for the next tokens of a request.
 *
 * @param n_most      tokens wanted, at least 1.
 * @param may_preempt take blocks away from those that come after it, if not even one can be had.
 * @return tokens held, up to n_most; 0 if there is no block.
 */
size_t gi_plan_hold(gi_plan *plan, gi_plan_seq *seq, size_t n_most, bool may_preempt);

/** Take all blocks away from a request; it is fed from its beginning again. */
void gi_plan_preempt(gi_plan *plan, gi_plan_seq *seq);

/** Take blocks away from requests of lower priority if that lets this one begin. */
void gi_plan_make_room(gi_plan *plan, gi_plan_seq *seq);

#endif
