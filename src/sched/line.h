/**
 * @file
 * The waiting line: which request does what next. Pure logic, with no thread, lock or clock of its
 * own: the caller holds a lock and tells the time, so that a test can play any history.
 *
 *      submit            take_waiting          put_ready          take_ready
 *     --------> WAITING --------------> PREPARING ------> READY --------------> RUNNING
 *                  |                        |               |                      |
 *                  | reap                   | leave         | reap                 | leave
 *                  +------------------------+---> DONE <----+----------------------+
 *
 * WAITING holds raw requests, PREPARING those whose pictures are being decoded, READY those whose
 * pictures lie in memory: as these are large, at most ready_max requests are in PREPARING and
 * READY together. RUNNING is the engine's. Every stage is first in, first out.
 *
 * Invariants: n(WAITING) + n(PREPARING) + n(READY) <= queue_max; an item is in exactly one list,
 * that of its state; an item with a stop reason never enters another stage.
 */
#ifndef GI_SCHED_LINE_H
#define GI_SCHED_LINE_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>

/** Where an item is. */
typedef enum gi_sched_state {
    GI_SCHED_WAITING,
    GI_SCHED_PREPARING,
    GI_SCHED_READY,
    GI_SCHED_RUNNING,
    GI_SCHED_DONE,
} gi_sched_state;

/** Number of states that have a list. */
#define GI_SCHED_LISTS 4

/** Why an item should go no further. The first reason stays. */
typedef enum gi_sched_stop {
    GI_SCHED_STOP_NONE,
    GI_SCHED_STOP_CANCELLED, /**< nobody waits for the answer any more */
    GI_SCHED_STOP_EXPIRED,   /**< its deadline passed */
    GI_SCHED_STOP_DRAINED,   /**< the program ends and its patience is used up */
} gi_sched_stop;

/** One request; embedded in the caller's own. Only the line writes to it. */
typedef struct gi_sched_item {
    struct gi_sched_item *prev, *next;
    gi_sched_state state;
    gi_sched_stop stop;
    bool has_run;        /**< reached RUNNING */
    double deadline_ms;  /**< on the caller's clock; 0 = none */
    double submitted_ms; /**< entered WAITING */
    double prepare_ms;   /**< entered PREPARING, or 0 */
    double ready_ms;     /**< entered READY, or 0 */
    double run_ms;       /**< entered RUNNING, or 0 */
    double done_ms;      /**< entered DONE */
} gi_sched_item;

/** A doubly linked list, oldest first. */
typedef struct gi_sched_list {
    gi_sched_item *head, *tail;
    size_t n;
} gi_sched_list;

/** The line. Initialise with gi_line_init; owns no memory. */
typedef struct gi_line {
    gi_sched_list lists[GI_SCHED_LISTS]; /**< by state */
    size_t queue_max;                    /**< most items before RUNNING */
    size_t ready_max;                    /**< most items in PREPARING and READY */
    double run_avg_ms;                   /**< smoothed time in RUNNING, 0 before the first */
    bool draining;                       /**< takes no new items */
} gi_line;

/** An empty line; both limits at least 1. */
void gi_line_init(gi_line *line, size_t queue_max, size_t ready_max);

/**
 * Put an item at the end of WAITING. item->deadline_ms is set by the caller, the rest is not read.
 * @return GLINT_ERR_BUSY when the line is full or draining; the item is then untouched.
 */
glint_status gi_line_submit(gi_line *line, gi_sched_item *item, double now_ms);

/** Move the oldest item that may go on from WAITING to PREPARING; NULL when there is none or
 * PREPARING and READY are full. */
gi_sched_item *gi_line_take_waiting(gi_line *line, double now_ms);

/** Move an item from PREPARING to READY. */
void gi_line_put_ready(gi_line *line, gi_sched_item *item, double now_ms);

/** Move the oldest item that may go on from READY to RUNNING; NULL when there is none. */
gi_sched_item *gi_line_take_ready(gi_line *line, double now_ms);

/** Move an item from PREPARING or RUNNING to DONE. */
void gi_line_leave(gi_line *line, gi_sched_item *item, double now_ms);

/**
 * Give an item that is not DONE a reason to stop. In WAITING and READY gi_line_reap finds it; in
 * PREPARING it must leave instead of becoming ready.
 * @return true when the item is RUNNING and this is its first reason: whoever runs it should be
 *         interrupted.
 */
bool gi_line_stop(gi_line *line, gi_sched_item *item, gi_sched_stop why);

/**
 * Take one item out of WAITING or READY that has a reason to stop, or whose deadline is at or
 * before now (which becomes its reason); it is DONE. NULL when there is none.
 */
gi_sched_item *gi_line_reap(gi_line *line, double now_ms);

/** Give every item in the line the reason GI_SCHED_STOP_DRAINED. `on_running` is called for each
 * running item that had no reason before. */
void gi_line_stop_all(gi_line *line, void (*on_running)(void *ctx, gi_sched_item *item), void *ctx);

/** The earliest deadline in WAITING and READY; infinity when there is none. */
double gi_line_next_deadline_ms(const gi_line *line);

/** Items in a state other than DONE. */
size_t gi_line_count(const gi_line *line, gi_sched_state state);

/** Time until an item submitted now would begin to run, from the average; for Retry-After. */
double gi_line_wait_estimate_ms(const gi_line *line);

#endif
