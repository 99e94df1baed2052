/*
 * Lists and the rules for moving between them. The lists are as short as the queue bound, so the
 * scans for deadlines and reasons to stop are plain loops: a thousand entries cost microseconds,
 * and they run when something is cancelled or a deadline is due, not per token.
 */
#include "sched/line.h"

#include <math.h>

/* Weight of the newest run in the running average. */
static const double RUN_AVG_WEIGHT = 0.2;

/* Where nobody is at work on an item, so that it can be taken out at any time. */
static const gi_sched_state WAITING_STATES[] = {GI_SCHED_READY, GI_SCHED_WAITING, GI_SCHED_ARRIVED};
enum { N_WAITING_STATES = 3 };

static void list_push(gi_sched_list *list, gi_sched_item *item) {
    item->prev = list->tail;
    item->next = NULL;
    if (list->tail)
        list->tail->next = item;
    else
        list->head = item;
    list->tail = item;
    list->n++;
}

static void list_remove(gi_sched_list *list, gi_sched_item *item) {
    if (item->prev)
        item->prev->next = item->next;
    else
        list->head = item->next;
    if (item->next)
        item->next->prev = item->prev;
    else
        list->tail = item->prev;
    item->prev = item->next = NULL;
    list->n--;
}

static void move(gi_line *line, gi_sched_item *item, gi_sched_state to, double now_ms) {
    list_remove(&line->lists[item->state], item);
    item->state = to;
    item->entered_ms[to] = now_ms;
    if (to != GI_SCHED_DONE) list_push(&line->lists[to], item);
}

static bool is_expired(const gi_sched_item *item, double now_ms) {
    return item->deadline_ms > 0 && item->deadline_ms <= now_ms;
}

/* The oldest item of a list that has no reason to stop; the reaper takes the others. */
static gi_sched_item *oldest_going(const gi_sched_list *list, double now_ms) {
    for (gi_sched_item *i = list->head; i; i = i->next)
        if (i->stop == GI_SCHED_STOP_NONE && !is_expired(i, now_ms)) return i;
    return NULL;
}

void gi_line_init(gi_line *line, size_t queue_max, size_t ready_max) {
    gi_assert(queue_max >= 1 && ready_max >= 1);
    *line = (gi_line){.queue_max = queue_max, .ready_max = ready_max};
}

size_t gi_line_count(const gi_line *line, gi_sched_state state) {
    return state == GI_SCHED_DONE ? 0 : line->lists[state].n;
}

static size_t count_before_run(const gi_line *line) {
    size_t n = 0;
    for (size_t s = 0; s < GI_SCHED_RUNNING; s++) n += line->lists[s].n;
    return n;
}

glint_status gi_line_submit(gi_line *line, gi_sched_item *item, double now_ms) {
    if (line->draining || count_before_run(line) >= line->queue_max) return GLINT_ERR_BUSY;
    *item = (gi_sched_item){.state = GI_SCHED_ARRIVED, .deadline_ms = item->deadline_ms};
    item->entered_ms[GI_SCHED_ARRIVED] = now_ms;
    list_push(&line->lists[GI_SCHED_ARRIVED], item);
    return GLINT_OK;
}

gi_sched_item *gi_line_take(gi_line *line, gi_sched_state to, double now_ms) {
    gi_assert(to == GI_SCHED_ADMITTING || to == GI_SCHED_PREPARING || to == GI_SCHED_RUNNING);
    if (to == GI_SCHED_PREPARING &&
        line->lists[GI_SCHED_PREPARING].n + line->lists[GI_SCHED_READY].n >= line->ready_max)
        return NULL;
    gi_sched_item *item = oldest_going(&line->lists[to - 1], now_ms);
    if (item) move(line, item, to, now_ms);
    return item;
}

void gi_line_put(gi_line *line, gi_sched_item *item, double now_ms) {
    gi_assert(item->stop == GI_SCHED_STOP_NONE);
    gi_assert(item->state == GI_SCHED_ADMITTING || item->state == GI_SCHED_PREPARING);
    move(line, item, item->state + 1, now_ms);
}

void gi_line_leave(gi_line *line, gi_sched_item *item, double now_ms) {
    gi_assert(item->state == GI_SCHED_ADMITTING || item->state == GI_SCHED_PREPARING ||
              item->state == GI_SCHED_RUNNING);
    if (item->state == GI_SCHED_RUNNING && item->stop == GI_SCHED_STOP_NONE) {
        const double ms = now_ms - item->entered_ms[GI_SCHED_RUNNING];
        line->run_avg_ms += line->run_avg_ms > 0 ? RUN_AVG_WEIGHT * (ms - line->run_avg_ms) : ms;
    }
    move(line, item, GI_SCHED_DONE, now_ms);
}

bool gi_line_stop(gi_line *line, gi_sched_item *item, gi_sched_stop why) {
    (void)line;
    if (item->state == GI_SCHED_DONE || item->stop != GI_SCHED_STOP_NONE) return false;
    item->stop = why;
    return item->state == GI_SCHED_RUNNING;
}

gi_sched_item *gi_line_reap(gi_line *line, double now_ms) {
    for (size_t s = 0; s < N_WAITING_STATES; s++) {
        for (gi_sched_item *i = line->lists[WAITING_STATES[s]].head; i; i = i->next) {
            if (i->stop == GI_SCHED_STOP_NONE && is_expired(i, now_ms))
                i->stop = GI_SCHED_STOP_EXPIRED;
            if (i->stop == GI_SCHED_STOP_NONE) continue;
            move(line, i, GI_SCHED_DONE, now_ms);
            return i;
        }
    }
    return NULL;
}

void gi_line_stop_all(gi_line *line, void (*on_running)(void *ctx, gi_sched_item *item),
                      void *ctx) {
    for (size_t s = 0; s < GI_SCHED_LISTS; s++)
        for (gi_sched_item *i = line->lists[s].head; i; i = i->next)
            if (gi_line_stop(line, i, GI_SCHED_STOP_DRAINED)) on_running(ctx, i);
}

double gi_line_next_deadline_ms(const gi_line *line) {
    double next = HUGE_VAL;
    for (size_t s = 0; s < N_WAITING_STATES; s++)
        for (const gi_sched_item *i = line->lists[WAITING_STATES[s]].head; i; i = i->next)
            if (i->deadline_ms > 0 && i->deadline_ms < next) next = i->deadline_ms;
    return next;
}

double gi_line_wait_estimate_ms(const gi_line *line) {
    return line->run_avg_ms * (double)(count_before_run(line) + line->lists[GI_SCHED_RUNNING].n);
}
