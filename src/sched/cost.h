/**
 * @file
 * What a step costs, learned from the steps that were run. Pure logic: no clock, lock or memory.
 *
 *     pictures    vision_ms * work
 *     tokens      (base_ms if any) + answer_row_ms * answer rows + prefill_row_ms * other rows
 *
 * An answer row reads all weights for little arithmetic, hence a base that rows share; a prefill
 * row is one of many. The four numbers start as the caller's guess and follow what is measured: the
 * first measurements count fully, later ones as a running average; one that is far off (the machine
 * was busy with something else) moves them no more than a near one.
 *
 * Threads: the caller locks.
 */
#ifndef GI_SCHED_COST_H
#define GI_SCHED_COST_H

#include <stddef.h>

/** The numbers themselves; all of them above 0. */
typedef struct gi_cost_rates {
    double vision_ms;      /**< per unit of gi_picture_state.work */
    double prefill_row_ms; /**< per row that is not an answer's */
    double base_ms;        /**< per step with any rows */
    double answer_row_ms;  /**< per row of an answer */
} gi_cost_rates;

/** Initialise with gi_costs_init; read `rates` freely. */
typedef struct gi_costs {
    gi_cost_rates rates;
    double batch; /**< answer rows of a step, smoothed; at least 1 */
    /* Measurements so far; private. */
    double n_vision, n_prefill;
    double sum_w, sum_n, sum_ms, sum_nn, sum_nms; /* answer steps, older ones weigh less */
} gi_costs;

/** Start with a guess; what is not above 0 in it becomes tiny. */
void gi_costs_init(gi_costs *costs, const gi_cost_rates *guess);

/** A step encoded `work` in `ms`. Ignored when either is not above 0. */
void gi_costs_saw_vision(gi_costs *costs, double work, double ms);

/** A step fed these rows in `ms`. Ignored when nothing was fed or `ms` is not above 0. */
void gi_costs_saw_text(gi_costs *costs, size_t n_answer_rows, size_t n_other_rows, double ms);

/** Expected time to encode. */
double gi_costs_vision_ms(const gi_costs *costs, double work);

/** Expected time to feed these rows in one step; 0 for none. */
double gi_costs_text_ms(const gi_costs *costs, size_t n_answer_rows, size_t n_other_rows);

/** What a request needs, or what is left of it. */
typedef struct gi_cost_request {
    double vision_work;     /**< of pictures not encoded yet */
    size_t n_prompt_rows;   /**< prompt tokens not stored yet */
    size_t n_answer_tokens; /**< expected */
} gi_cost_request;

/** Time of the machine that it takes, in the company that answers have had lately. */
double gi_costs_request_ms(const gi_costs *costs, const gi_cost_request *request);

#endif
