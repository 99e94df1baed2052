/**
 * @file
 * The waiting line: which request does what next. Pure logic, with no thread, lock or clock of its
 * own: the caller holds a lock and tells the time, so that a test can play any history.
 *
 *     submit -> ARRIVED -> ADMITTING -> WAITING -> PREPARING -> READY -> RUNNING -> DONE
 *
 * ARRIVED holds requests as they came from the network; ADMITTING those that are being read and
 * checked, so that a bad one is refused at once and a deadline known, however long the line.
 * WAITING holds checked requests, PREPARING those whose pictures are being decoded, READY those
 * whose pictures lie in memory: as these are large, at most ready_max requests are in PREPARING and
 * READY together. RUNNING is the engine's, for many items at once.
 *
 * Who goes first out of a stage: higher priority; within one, tenants take turns out of ARRIVED and
 * WAITING, so that a tenant's thousand requests delay another's single one by one turn; otherwise
 * first in, first out. A turn is worth the item's cost, as a share of the average: who asked for
 * more waits longer for the next. These are the finish tags of self-clocked fair queueing
 * (Golestani, INFOCOM 1994): an item gets tag = max(tag of the last one taken, last tag of its
 * tenant) + worth, and the smallest tag is taken. Tags of one stage and priority only grow, so
 * nobody is overtaken for ever.
 *
 * With `has_tenants`, a tenant may have at most as many items before RUNNING as places are left
 * free: one that sends without end gets half of the line, two get a third each, and a tenant with
 * nothing in the line finds a place as long as there is one. These are the dynamic thresholds of
 * shared buffers (Choudhury and Hahne, IEEE/ACM ToN 1998) with factor 1.
 *
 * An item whose deadline cannot be met, going by the cost of all that is ahead of it, is refused
 * when it would enter WAITING: waiting would cost others time and bring it nothing.
 * Estimates are held against what became of them, and multiplied by a factor that leaves few of
 * them short: costs are averages, and the decoding of pictures takes its share of the CPUs.
 *
 * An item may be held in WAITING until something from outside is there, a picture on its way
 * perhaps: it keeps its turn, and those behind it go first meanwhile.
 *
 * An item moves on by gi_line_take and gi_line_put; with a reason to stop it leaves instead, found
 * by gi_line_reap in the stages where it only waits (ARRIVED, WAITING, READY).
 *
 * Invariants: the items before RUNNING are at most queue_max, but for those that were there when
 * the caller lowered it; an item is in exactly one list, that of its state; an item with a reason
 * to stop never enters another stage.
 */
#ifndef GI_SCHED_LINE_H
#define GI_SCHED_LINE_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Where an item is. */
typedef enum gi_sched_state {
    GI_SCHED_ARRIVED,
    GI_SCHED_ADMITTING,
    GI_SCHED_WAITING,
    GI_SCHED_PREPARING,
    GI_SCHED_READY,
    GI_SCHED_RUNNING,
    GI_SCHED_DONE,
} gi_sched_state;

/** Number of states that have a list. */
#define GI_SCHED_LISTS 6

/** Why an item should go no further. The first reason stays. */
typedef enum gi_sched_stop {
    GI_SCHED_STOP_NONE,
    GI_SCHED_STOP_CANCELLED,  /**< nobody waits for the answer any more */
    GI_SCHED_STOP_EXPIRED,    /**< its deadline passed */
    GI_SCHED_STOP_DRAINED,    /**< the program ends and its patience is used up */
    GI_SCHED_STOP_UNMEETABLE, /**< its deadline would pass before it could be answered */
} gi_sched_stop;

/** Priorities are 0..GI_SCHED_PRIORITY_MAX; higher goes first. */
#define GI_SCHED_PRIORITY_MAX 7

/** One request; embedded in the caller's own. The first five fields are the caller's, who may
 * change them until it is WAITING, and is_held after that; only the line writes to the others. */
typedef struct gi_sched_item {
    double deadline_ms; /**< on the caller's clock, 0 = none */
    double cost_ms;     /**< time it will take of the machine, as estimated; 0 = not known */
    uint64_t tenant;    /**< who takes turns with whom */
    int priority;       /**< 0..GI_SCHED_PRIORITY_MAX */
    bool is_held;       /**< not to be taken out of WAITING; gi_line_submit clears it */
    struct gi_sched_item *prev, *next;
    gi_sched_state state;
    gi_sched_stop stop;
    double promise_ms; /**< estimated time from WAITING to DONE; 0 = none was made */
    double tag;        /**< in ARRIVED and WAITING: whose turn it is */
    double entered_ms[GI_SCHED_DONE + 1]; /**< when it entered each state; 0 = never */
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
    bool has_tenants;                    /**< no tenant may fill it alone; the caller's to set */
    size_t ready_max;                    /**< most items in PREPARING and READY */
    double run_avg_ms;                   /**< smoothed time in RUNNING, 0 before the first */
    double running_ms;                   /**< work left of what runs, the caller's to set; 0 = not
                                              known: run_avg_ms for each */
    double doubt;                        /**< what estimates are multiplied by, at least 1 */
    bool draining;                       /**< takes no new items */
    double cost_avg_ms;                  /**< of items that entered WAITING with a cost; 0 = none */
    /** Tag of the last item taken out of ARRIVED and WAITING. */
    double taken_tag[GI_SCHED_WAITING + 1][GI_SCHED_PRIORITY_MAX + 1];
} gi_line;

/** An empty line; both limits at least 1. */
void gi_line_init(gi_line *line, size_t queue_max, size_t ready_max);

/**
 * Put an item at the end of ARRIVED. Its first four fields (all but is_held) are set by the caller,
 * the rest is not read.
 * @return GLINT_ERR_BUSY when the line is full or draining; GLINT_ERR_LIMIT when only the item's
 *         tenant has too many in it; the item is then untouched.
 */
glint_status gi_line_submit(gi_line *line, gi_sched_item *item, double now_ms);

/**
 * Move the item whose turn it is into state `to`: ADMITTING from ARRIVED, PREPARING from WAITING,
 * RUNNING from READY. NULL when there is none that may go on, or when PREPARING and READY are full.
 */
gi_sched_item *gi_line_take(gi_line *line, gi_sched_state to, double now_ms);

/**
 * Move an item without a reason to stop from ADMITTING to WAITING, or from PREPARING to READY.
 * @return false when its deadline cannot be met: that is then its reason to stop, and it must leave
 *         instead. Only out of ADMITTING, and only with a known cost and a deadline.
 */
bool gi_line_put(gi_line *line, gi_sched_item *item, double now_ms)
    __attribute__((warn_unused_result));

/** Move an item from ADMITTING, PREPARING or RUNNING to DONE. */
void gi_line_leave(gi_line *line, gi_sched_item *item, double now_ms);

/**
 * Give an item that is not DONE a reason to stop. Where it only waits, gi_line_reap finds it; in
 * ADMITTING and PREPARING it must leave instead of being put.
 * @return true when the item is RUNNING and this is its first reason: whoever runs it should be
 *         interrupted.
 */
bool gi_line_stop(gi_sched_item *item, gi_sched_stop why);

/**
 * Take one waiting item out that has a reason to stop, or whose deadline is at or
 * before now (which becomes its reason); it is DONE. NULL when there is none.
 */
gi_sched_item *gi_line_reap(gi_line *line, double now_ms);

/**
 * The oldest running item that has a reason to stop, or whose deadline is at or before now (which
 * becomes its reason). NULL when there is none. It must leave.
 */
gi_sched_item *gi_line_stopped(gi_line *line, double now_ms);

/** Give every item in the line the reason GI_SCHED_STOP_DRAINED. */
void gi_line_stop_all(gi_line *line);

/** The earliest deadline of those that wait; infinity when there is none. */
double gi_line_next_deadline_ms(const gi_line *line);

/** Items in a state other than DONE. */
size_t gi_line_count(const gi_line *line, gi_sched_state state);

/** Work ahead of an item submitted now, by estimated costs; where these are not known, by the
 * average time of a run. For Retry-After. */
double gi_line_wait_estimate_ms(const gi_line *line);

#endif
