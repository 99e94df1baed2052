/**
 * @file
 * What the running requests do in the next step. Pure logic: no thread, lock, clock or tensor.
 *
 * To the planner a request is a row of tokens of which some are stored, that is, have their keys
 * and values in KV blocks, and the others are known but not stored:
 *
 *     [ prompt, pictures in it ............ | answer so far, forced tokens behind ]
 *       0          n_stored                                                n_known
 *
 * A step feeds the decoder some of the tokens [n_stored, n_known) of some requests. Prefill,
 * decode, a run of forced tokens and recomputation after a preemption are the same thing, only of
 * different widths. When a request's last known token is fed, its logits are wanted; the caller
 * chooses from them and says so with gi_plan_extend, or ends the request.
 *
 * All pictures of a request are encoded before its tokens are fed, but for those that the prefix
 * cache already covers. One batch of pictures is in the vision tower at a time, and may take
 * several steps, some layers in each.
 *
 *     gi_plan_add(plan, seq)                          a prepared request joins
 *     while (gi_plan_next(plan, &step)) {             what to do now
 *         ... run step.pictures, step.n_vision_layers and step.feeds ...
 *         gi_plan_done(plan, vision_ms, text_ms);
 *         ... for each feed that wanted logits: gi_plan_extend(seq, n) or gi_plan_remove(seq)
 *     }
 *
 * Rules: rows of answers come first, so that a running answer goes on in every step; what else a
 * step does is held to a share of their time (gi_plan_config). Among the others, higher priority
 * first, then prefill before pictures (who is nearly there first), then the order in which they
 * joined; who has waited longer for a picture gets half of what there is. When the KV pool cannot
 * hold the next token of a running answer, the request that joined last, of the lowest priority, is
 * preempted: its blocks are given back and its tokens are fed again later. A prompt begins only
 * when the pool can hold it and leaves running answers room to grow.
 *
 * A request whose tokens_max does not fit an empty pool must not be added: it could never end. The
 * first of the highest priority always goes on; so all do, in turn.
 *
 * Threads: the caller locks.
 */
#ifndef GI_SCHED_PLAN_H
#define GI_SCHED_PLAN_H

#include "engine/picture_state.h"
#include "kv/kv_pool.h"
#include "sched/cost.h"

#include <stdbool.h>

/** Most requests that run together. */
#define GI_PLAN_SEQS_MAX     256
/** Most pictures of one request. */
#define GI_PLAN_PICTURES_MAX 8

/** A running request; embedded in the caller's own. The first part is the caller's to fill, the
 * second is zero at first. */
typedef struct gi_plan_seq {
    gi_kv_sequence *kv;    /**< empty; kv->n_tokens is n_stored */
    const gi_kv_key *keys; /**< [n_keys] of the full blocks of the prompt; NULL: share nothing */
    size_t n_keys;         /**< at most n_prompt / block_tokens */
    size_t n_prompt;       /**< tokens, at least 1 */
    size_t n_known;        /**< n_prompt at first; gi_plan_extend adds to it */
    size_t n_answer_guess; /**< answer tokens expected, for gi_plan_backlog_ms */
    int priority;          /**< higher goes first */
    gi_picture_place places[GI_PLAN_PICTURES_MAX];
    size_t n_places;

    /* The planner's. */
    struct gi_plan_seq *prev, *next;
    uint64_t joined;      /**< order of joining */
    size_t n_prefill;     /**< tokens that are fed as prompt: n_prompt, or all that were known when
                               it was preempted */
    size_t n_cached;      /**< prompt tokens taken from the prefix cache when it first began */
    unsigned n_preempted; /**< times */
    bool has_looked;      /**< in the prefix cache, since it joined or was preempted */
    bool has_begun;       /**< some of its tokens were fed since it joined or was preempted */
} gi_plan_seq;

/** Tokens of one request that are fed in a step. */
typedef struct gi_plan_feed {
    gi_plan_seq *seq;  /**< NULL once it was removed, between gi_plan_next and gi_plan_done */
    size_t first, n;   /**< its tokens [first, first + n); their KV blocks are held */
    bool wants_logits; /**< of the last of them: it is the last known token */
} gi_plan_feed;

/** One step. */
typedef struct gi_plan_step {
    /** Pictures that enter the vision tower as a new batch; n_pictures is 0 when the batch under
     * way goes on, or none is. What else was in the tower is done, or was dropped because nobody
     * wants it any more. */
    gi_picture_state **pictures;
    size_t n_pictures;
    size_t n_vision_layers; /**< layers to run of the batch; 0: leave it */
    bool ends_vision;       /**< with these, the batch is done */
    gi_plan_feed *feeds;    /**< [n_feeds]; answers first, then the rest; a request at most once */
    size_t n_feeds;
    size_t n_answer_rows; /**< rows of requests past their prompt */
    size_t n_rows;        /**< rows in all */
} gi_plan_step;

typedef struct gi_plan_config {
    size_t seqs_max;      /**< requests that run together, 1..GI_PLAN_SEQS_MAX; 1: no batching */
    size_t rows_max;      /**< rows of one step, at least seqs_max and one KV block */
    size_t patches_max;   /**< patches of one batch of pictures; a larger picture goes alone */
    size_t pictures_max;  /**< pictures of one batch, at least 1 */
    size_t vision_layers; /**< layers of the vision tower, at least 1 */
    double share;         /**< while answers run: time for all else, as a multiple of theirs */
    double step_ms_max;   /**< while answers run: a step is not planned to take longer than this
                               or twice its answers, one layer or one block of tokens excepted.
                               Layers are held to it always. */
} gi_plan_config;

typedef struct gi_plan gi_plan;

/** GLINT_ERR_ARG, GLINT_ERR_MEMORY. `pool` and `costs` are borrowed; all memory is had here. */
glint_status gi_plan_create(const gi_plan_config *config, gi_kv_pool *pool, gi_costs *costs,
                            gi_plan **ret, glint_error *err);

/** Free; no request may be left in it. NULL is fine. */
void gi_plan_free(gi_plan *plan);

/** True if one more request may join. */
bool gi_plan_has_room(const gi_plan *plan);

/** A request joins; there must be room. Not between gi_plan_next and gi_plan_done. */
void gi_plan_add(gi_plan *plan, gi_plan_seq *seq);

/**
 * A request leaves, at any time: its blocks are given back, full ones of the prompt stay in the
 * prefix cache. A picture of it that is in the vision tower stays there to the end of its batch, or
 * until nobody wants any of the batch.
 */
void gi_plan_remove(gi_plan *plan, gi_plan_seq *seq);

/**
 * What to do now, with the KV blocks for it held. False: there is nothing to do until a request
 * joins or is extended. The step is the planner's and valid until the next call; gi_plan_done must
 * follow.
 */
bool gi_plan_next(gi_plan *plan, const gi_plan_step **ret);

/** The step was done, and took that long. Fed tokens are stored, encoded pictures are encoded. */
void gi_plan_done(gi_plan *plan, double vision_ms, double text_ms);

/** n_new tokens follow the known ones of a request all of whose tokens are stored. */
void gi_plan_extend(gi_plan_seq *seq, size_t n_new);

/** Work left of all that run, in ms by the costs measured so far; for admission. */
double gi_plan_backlog_ms(const gi_plan *plan);

typedef struct gi_plan_stats {
    uint64_t n_steps, n_answer_rows, n_rows, n_preempted, n_cached_tokens, n_vision_batches,
        n_pictures;
    size_t n_seqs; /**< running now */
} gi_plan_stats;

gi_plan_stats gi_plan_get_stats(const gi_plan *plan);

#endif
