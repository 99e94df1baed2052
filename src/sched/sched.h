/**
 * @file
 * The threads around the waiting line: a small crew reads and checks requests and decodes their
 * pictures, one engine thread runs them in order, and a clerk answers those that are cancelled or
 * whose deadline passes while they wait.
 *
 * What a request is, and how it is read, prepared and run, is the caller's: see gi_sched_ops. Every
 * submitted item is finished exactly once, whatever happens to it.
 */
#ifndef GI_SCHED_SCHED_H
#define GI_SCHED_SCHED_H

#include "sched/line.h"

/** Most threads that admit and prepare. */
#define GI_SCHED_CREW_MAX 64

/** What the scheduler calls. `ctx` is that of gi_sched_config. */
typedef struct gi_sched_ops {
    /** Read and check an item; may set item->deadline_ms. On a crew thread, several at once. False:
     * it is refused, and finished without running. */
    bool (*admit)(void *ctx, gi_sched_item *item);
    /** Make an admitted item ready to run. Threads and result as above. */
    bool (*prepare)(void *ctx, gi_sched_item *item);
    /** Run an item to its end. On the engine thread, one at a time. */
    void (*run)(void *ctx, gi_sched_item *item);
    /** Ask `run` to return early. Any thread, while `run` is at work on the item or about to be;
     * must not block, nor call the scheduler. */
    void (*interrupt)(void *ctx, gi_sched_item *item);
    /** The item is DONE: item->stop and item->entered_ms say how. Any of the scheduler's threads.
     * The last call about this item, which may be freed in it. */
    void (*finish)(void *ctx, gi_sched_item *item);
} gi_sched_ops;

typedef struct gi_sched_config {
    size_t queue_max; /**< most items that wait, 1..65536 */
    size_t ready_max; /**< most of them with their pictures in memory, 1..queue_max */
    int n_crew;       /**< 1..GI_SCHED_CREW_MAX */
    gi_sched_ops ops;
    void *ctx;
} gi_sched_config;

typedef struct gi_sched gi_sched;

/** What waits and runs at one moment. */
typedef struct gi_sched_stats {
    size_t n[GI_SCHED_LISTS]; /**< items in each state */
    double wait_estimate_ms;  /**< until an item submitted now would begin to run */
    bool draining;
} gi_sched_stats;

/** Start the threads. GLINT_ERR_ARG, GLINT_ERR_MEMORY (also when no thread can be had). */
glint_status gi_sched_create(const gi_sched_config *config, gi_sched **ret, glint_error *err);

/**
 * Hand in an item; item->deadline_ms (gi_clock_ms, 0 = none) is the caller's to set.
 * @return GLINT_ERR_BUSY when the line is full or draining: the item then stays the caller's and
 *         is never finished.
 * Threads: any. Once this returned GLINT_OK, the item may already be finished and gone.
 */
glint_status gi_sched_submit(gi_sched *s, gi_sched_item *item, glint_error *err);

/**
 * Stop an item: it is finished soon, with GI_SCHED_STOP_CANCELLED. The caller makes sure that it
 * is not finished yet (its finish function has not returned).
 * Threads: any. Does not block and calls nothing but ops.interrupt.
 */
void gi_sched_cancel(gi_sched *s, gi_sched_item *item);

/** Take no more items. Any thread. */
void gi_sched_begin_drain(gi_sched *s);

/**
 * Take no more items; wait up to grace_ms for all to be finished; stop those that are left with
 * GI_SCHED_STOP_DRAINED, and wait for them. On return every item is finished.
 */
void gi_sched_drain(gi_sched *s, double grace_ms);

/** What goes on now. Any thread. */
gi_sched_stats gi_sched_get_stats(gi_sched *s);

/** Drain with no grace, end the threads, free. NULL is fine. */
void gi_sched_free(gi_sched *s);

#endif
