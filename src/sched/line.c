/*
 * Lists and the rules for moving between them. The lists are as short as the queue bound, so the
 * scans for deadlines and reasons to stop are plain loops: a thousand entries cost microseconds,
 * and they run when something is cancelled or a deadline is due, not per token.
 */
#include "sched/line.h"

#include <math.h>

/* Weight of the newest run in the running average. */
static const double RUN_AVG_WEIGHT = 0.2;

/* The same of the newest cost; less, for it is the unit that turns are counted in. */
static const double COST_AVG_WEIGHT = 0.05;

/* Less is a guess from before anything was measured; as a unit it would make a true cost endless.
 */
static const double COST_MS_MIN = 1;

/* Steps of the doubt: at rest one estimate in 51 is short. */
static const double DOUBT_LATE = 0.05, DOUBT_EARLY = 0.001, DOUBT_MAX = 4;

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

/* ---- turns ---- */

/* Where tenants take turns; elsewhere all tags are 0, which makes it first in, first out. */
static bool has_turns(gi_sched_state state) {
    return state == GI_SCHED_ARRIVED || state == GI_SCHED_WAITING;
}

/* True if, of two items in one stage, `a` goes before `b`, which came later. */
static bool is_before(const gi_sched_item *a, const gi_sched_item *b) {
    return a->priority != b->priority ? a->priority > b->priority : a->tag <= b->tag;
}

/* What a turn is worth, in turns of the average item. Reading costs much the same for all, and an
 * item whose cost is not known counts as average: tags from before costs were known and from after
 * must stay comparable. */
static double turn_worth(gi_line *line, const gi_sched_item *item, gi_sched_state stage) {
    if (stage != GI_SCHED_WAITING || item->cost_ms <= 0) return 1;
    const double cost_ms = fmax(item->cost_ms, COST_MS_MIN);
    if (line->cost_avg_ms <= 0) line->cost_avg_ms = cost_ms;
    const double worth = cost_ms / line->cost_avg_ms;
    line->cost_avg_ms += COST_AVG_WEIGHT * (cost_ms - line->cost_avg_ms);
    return worth;
}

/* The tag that an item gets in a stage with turns. */
static double turn_tag(gi_line *line, const gi_sched_item *item, gi_sched_state stage) {
    double tag = line->taken_tag[stage][item->priority];
    for (const gi_sched_item *i = line->lists[stage].head; i; i = i->next)
        if (i->tenant == item->tenant && i->priority == item->priority && i->tag > tag)
            tag = i->tag;
    return tag + turn_worth(line, item, stage);
}

/* The item whose turn it is, of those that have no reason to stop; the reaper takes the others. An
 * item is held in WAITING alone: nothing sets it later. */
static gi_sched_item *next_going(const gi_sched_list *list, double now_ms) {
    gi_sched_item *first = NULL;
    for (gi_sched_item *i = list->head; i; i = i->next)
        if (i->stop == GI_SCHED_STOP_NONE && !i->is_held && !is_expired(i, now_ms) &&
            (!first || !is_before(first, i)))
            first = i;
    return first;
}

/* ---- work ahead ---- */

static double item_ms(const gi_line *line, const gi_sched_item *item) {
    return item->cost_ms > 0 ? item->cost_ms : line->run_avg_ms;
}

static double running_ms(const gi_line *line) {
    return line->running_ms > 0 ? line->running_ms
                                : line->run_avg_ms * (double)line->lists[GI_SCHED_RUNNING].n;
}

/* Work that will be done before an item about to enter WAITING. */
static double ahead_ms(const gi_line *line, const gi_sched_item *item) {
    double ms = running_ms(line);
    for (size_t s = GI_SCHED_WAITING; s <= GI_SCHED_READY; s++)
        for (const gi_sched_item *i = line->lists[s].head; i; i = i->next)
            if (i->stop == GI_SCHED_STOP_NONE && (s != GI_SCHED_WAITING || is_before(i, item)))
                ms += item_ms(line, i);
    return ms;
}

static bool is_meetable(const gi_line *line, const gi_sched_item *item, double now_ms) {
    if (item->deadline_ms <= 0 || item->cost_ms <= 0) return true;
    return now_ms + line->doubt * item->promise_ms <= item->deadline_ms;
}

/* An estimate has met its outcome. */
static void learn_doubt(gi_line *line, const gi_sched_item *item, double now_ms) {
    if (item->promise_ms <= 0) return;
    const double took_ms = now_ms - item->entered_ms[GI_SCHED_WAITING];
    const bool has_ended = item->stop == GI_SCHED_STOP_NONE;
    const bool is_late = item->stop == GI_SCHED_STOP_EXPIRED ||
                         (has_ended && took_ms > line->doubt * item->promise_ms);
    if (!is_late && !has_ended) return;
    line->doubt = fmin(fmax(line->doubt + (is_late ? DOUBT_LATE : -DOUBT_EARLY), 1), DOUBT_MAX);
}

/* ---- moving ---- */

void gi_line_init(gi_line *line, size_t queue_max, size_t ready_max) {
    gi_assert(queue_max >= 1 && ready_max >= 1);
    *line = (gi_line){.queue_max = queue_max, .ready_max = ready_max, .doubt = 1};
}

size_t gi_line_count(const gi_line *line, gi_sched_state state) {
    return state == GI_SCHED_DONE ? 0 : line->lists[state].n;
}

static size_t count_before_run(const gi_line *line) {
    size_t n = 0;
    for (size_t s = 0; s < GI_SCHED_RUNNING; s++) n += line->lists[s].n;
    return n;
}

static size_t count_of_tenant(const gi_line *line, uint64_t tenant) {
    size_t n = 0;
    for (size_t s = 0; s < GI_SCHED_RUNNING; s++)
        for (const gi_sched_item *i = line->lists[s].head; i; i = i->next) n += i->tenant == tenant;
    return n;
}

glint_status gi_line_submit(gi_line *line, gi_sched_item *item, double now_ms) {
    const size_t n_taken = count_before_run(line);
    if (line->draining || n_taken >= line->queue_max) return GLINT_ERR_BUSY;
    if (line->has_tenants && count_of_tenant(line, item->tenant) >= line->queue_max - n_taken)
        return GLINT_ERR_LIMIT;
    gi_assert(item->priority >= 0 && item->priority <= GI_SCHED_PRIORITY_MAX);
    *item = (gi_sched_item){.state = GI_SCHED_ARRIVED,
                            .deadline_ms = item->deadline_ms,
                            .cost_ms = item->cost_ms,
                            .tenant = item->tenant,
                            .priority = item->priority};
    item->tag = turn_tag(line, item, GI_SCHED_ARRIVED);
    item->entered_ms[GI_SCHED_ARRIVED] = now_ms;
    list_push(&line->lists[GI_SCHED_ARRIVED], item);
    return GLINT_OK;
}

gi_sched_item *gi_line_take(gi_line *line, gi_sched_state to, double now_ms) {
    gi_assert(to == GI_SCHED_ADMITTING || to == GI_SCHED_PREPARING || to == GI_SCHED_RUNNING);
    if (to == GI_SCHED_PREPARING &&
        line->lists[GI_SCHED_PREPARING].n + line->lists[GI_SCHED_READY].n >= line->ready_max)
        return NULL;
    gi_sched_item *item = next_going(&line->lists[to - 1], now_ms);
    if (!item) return NULL;
    if (has_turns(item->state)) line->taken_tag[item->state][item->priority] = item->tag;
    item->tag = 0;
    move(line, item, to, now_ms);
    return item;
}

bool gi_line_put(gi_line *line, gi_sched_item *item, double now_ms) {
    gi_assert(item->stop == GI_SCHED_STOP_NONE);
    gi_assert(item->state == GI_SCHED_ADMITTING || item->state == GI_SCHED_PREPARING);
    if (item->state == GI_SCHED_ADMITTING) {
        gi_assert(item->priority >= 0 && item->priority <= GI_SCHED_PRIORITY_MAX);
        item->tag = turn_tag(line, item, GI_SCHED_WAITING);
        if (item->cost_ms > 0) item->promise_ms = ahead_ms(line, item) + item->cost_ms;
        if (!is_meetable(line, item, now_ms)) item->stop = GI_SCHED_STOP_UNMEETABLE;
    }
    if (item->stop != GI_SCHED_STOP_NONE) return false;
    move(line, item, item->state + 1, now_ms);
    return true;
}

void gi_line_leave(gi_line *line, gi_sched_item *item, double now_ms) {
    gi_assert(item->state == GI_SCHED_ADMITTING || item->state == GI_SCHED_PREPARING ||
              item->state == GI_SCHED_RUNNING);
    if (item->state == GI_SCHED_RUNNING && item->stop == GI_SCHED_STOP_NONE) {
        const double ms = now_ms - item->entered_ms[GI_SCHED_RUNNING];
        line->run_avg_ms += line->run_avg_ms > 0 ? RUN_AVG_WEIGHT * (ms - line->run_avg_ms) : ms;
    }
    if (item->state != GI_SCHED_ADMITTING) learn_doubt(line, item, now_ms);
    move(line, item, GI_SCHED_DONE, now_ms);
}

bool gi_line_stop(gi_sched_item *item, gi_sched_stop why) {
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
            if (i->state != GI_SCHED_ARRIVED) learn_doubt(line, i, now_ms);
            move(line, i, GI_SCHED_DONE, now_ms);
            return i;
        }
    }
    return NULL;
}

gi_sched_item *gi_line_stopped(gi_line *line, double now_ms) {
    for (gi_sched_item *i = line->lists[GI_SCHED_RUNNING].head; i; i = i->next) {
        if (is_expired(i, now_ms)) gi_line_stop(i, GI_SCHED_STOP_EXPIRED);
        if (i->stop != GI_SCHED_STOP_NONE) return i;
    }
    return NULL;
}

void gi_line_stop_all(gi_line *line) {
    for (size_t s = 0; s < GI_SCHED_LISTS; s++)
        for (gi_sched_item *i = line->lists[s].head; i; i = i->next)
            gi_line_stop(i, GI_SCHED_STOP_DRAINED);
}

double gi_line_next_deadline_ms(const gi_line *line) {
    double next = HUGE_VAL;
    for (size_t s = 0; s < N_WAITING_STATES; s++)
        for (const gi_sched_item *i = line->lists[WAITING_STATES[s]].head; i; i = i->next)
            if (i->deadline_ms > 0 && i->deadline_ms < next) next = i->deadline_ms;
    return next;
}

double gi_line_wait_estimate_ms(const gi_line *line) {
    double ms = running_ms(line);
    for (size_t s = 0; s < GI_SCHED_RUNNING; s++)
        for (const gi_sched_item *i = line->lists[s].head; i; i = i->next) ms += item_ms(line, i);
    return ms;
}
