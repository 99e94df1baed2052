/*
 * src/sched/line: the rules by example, then random histories against the invariants.
 */
#include "../cm.h"

#include "sched/line.h"

#include <math.h>
#include <string.h>

static void put(gi_line *line, gi_sched_item *item, double now_ms) {
    assert_true(gi_line_put(line, item, now_ms));
}

/* Hand an item in and admit it: it is WAITING. */
static void arrive(gi_line *line, gi_sched_item *item, double now_ms) {
    assert_int_equal(gi_line_submit(line, item, now_ms), GLINT_OK);
    assert_ptr_equal(gi_line_take(line, GI_SCHED_ADMITTING, now_ms), item);
    put(line, item, now_ms);
    assert_int_equal(item->state, GI_SCHED_WAITING);
}

static gi_sched_item *take_waiting(gi_line *line, double now_ms) {
    return gi_line_take(line, GI_SCHED_PREPARING, now_ms);
}

static gi_sched_item *take_ready(gi_line *line, double now_ms) {
    return gi_line_take(line, GI_SCHED_RUNNING, now_ms);
}

static void first_in_first_out(void **state) {
    gi_line line;
    gi_line_init(&line, 8, 8);
    gi_sched_item a = {0}, b = {0};
    arrive(&line, &a, 1);
    arrive(&line, &b, 2);
    assert_null(take_ready(&line, 3));
    assert_ptr_equal(take_waiting(&line, 3), &a);
    assert_ptr_equal(take_waiting(&line, 4), &b);
    assert_null(take_waiting(&line, 4));
    /* Who is ready first runs first: a slow picture holds nobody up. */
    put(&line, &b, 5);
    put(&line, &a, 6);
    assert_ptr_equal(take_ready(&line, 7), &b);
    assert_int_equal(gi_line_count(&line, GI_SCHED_RUNNING), 1);
    gi_line_leave(&line, &b, 17);
    assert_int_equal(b.state, GI_SCHED_DONE);
    const double want_ms[] = {2, 2, 2, 4, 5, 7, 17};
    for (int i = 0; i <= GI_SCHED_DONE; i++) assert_true(b.entered_ms[i] == want_ms[i]);
    assert_true(line.run_avg_ms == 10);
    /* One READY, none RUNNING: the next one waits for one run. */
    assert_true(gi_line_wait_estimate_ms(&line) == 10);
}

static void bounded(void **state) {
    gi_line line;
    gi_line_init(&line, 3, 2);
    gi_sched_item items[5] = {0};
    for (int i = 0; i < 3; i++) arrive(&line, &items[i], 1);
    items[3].entered_ms[0] = 77;
    assert_int_equal(gi_line_submit(&line, &items[3], 1), GLINT_ERR_BUSY);
    assert_true(items[3].entered_ms[0] == 77);
    /* Pictures of two requests at most are in memory, however long the line. */
    assert_non_null(take_waiting(&line, 2));
    assert_non_null(take_waiting(&line, 2));
    assert_null(take_waiting(&line, 2));
    put(&line, &items[0], 3);
    assert_null(take_waiting(&line, 3));
    /* Running takes a place neither in the line nor in READY. */
    assert_ptr_equal(take_ready(&line, 4), &items[0]);
    assert_ptr_equal(take_waiting(&line, 4), &items[2]);
    arrive(&line, &items[3], 5);
    assert_int_equal(gi_line_submit(&line, &items[4], 5), GLINT_ERR_BUSY);
    line.draining = true;
    gi_line_leave(&line, &items[1], 6);
    assert_int_equal(gi_line_submit(&line, &items[4], 6), GLINT_ERR_BUSY);
}

static void held_items_keep_their_turn(void **state) {
    gi_line line;
    gi_line_init(&line, 8, 8);
    gi_sched_item a = {.is_held = true}, b = {0}, c = {0};
    assert_int_equal(gi_line_submit(&line, &a, 1), GLINT_OK);
    assert_false(a.is_held);
    assert_ptr_equal(gi_line_take(&line, GI_SCHED_ADMITTING, 1), &a);
    a.is_held = true;
    a.deadline_ms = 10;
    put(&line, &a, 1);
    arrive(&line, &b, 2);
    arrive(&line, &c, 2);
    assert_ptr_equal(take_waiting(&line, 3), &b);
    a.is_held = false;
    assert_ptr_equal(take_waiting(&line, 4), &a);
    put(&line, &a, 5);
    assert_ptr_equal(take_ready(&line, 6), &a);
    c.is_held = true;
    assert_null(take_waiting(&line, 7));
    gi_line_stop(&c, GI_SCHED_STOP_CANCELLED); /* held or not, it can go */
    assert_ptr_equal(gi_line_reap(&line, 8), &c);
}

static void stopped_items_go_no_further(void **state) {
    gi_line line;
    gi_line_init(&line, 8, 8);
    gi_sched_item arrived = {0}, admitting = {0}, waiting = {0}, preparing = {0}, ready = {0},
                  running = {0};
    arrive(&line, &running, 1);
    arrive(&line, &ready, 1);
    arrive(&line, &preparing, 1);
    assert_ptr_equal(take_waiting(&line, 1), &running);
    assert_ptr_equal(take_waiting(&line, 1), &ready);
    assert_ptr_equal(take_waiting(&line, 1), &preparing);
    put(&line, &running, 1);
    put(&line, &ready, 1);
    assert_ptr_equal(take_ready(&line, 1), &running);
    arrive(&line, &waiting, 1);

    assert_int_equal(gi_line_submit(&line, &admitting, 1), GLINT_OK);
    assert_ptr_equal(gi_line_take(&line, GI_SCHED_ADMITTING, 1), &admitting);
    assert_int_equal(gi_line_submit(&line, &arrived, 1), GLINT_OK);
    assert_false(gi_line_stop(&arrived, GI_SCHED_STOP_CANCELLED));
    assert_false(gi_line_stop(&admitting, GI_SCHED_STOP_CANCELLED));
    assert_false(gi_line_stop(&waiting, GI_SCHED_STOP_CANCELLED));
    assert_false(gi_line_stop(&preparing, GI_SCHED_STOP_CANCELLED));
    assert_false(gi_line_stop(&ready, GI_SCHED_STOP_CANCELLED));
    assert_true(gi_line_stop(&running, GI_SCHED_STOP_CANCELLED));
    /* The first reason stays, and whoever runs the item is interrupted once. */
    assert_false(gi_line_stop(&running, GI_SCHED_STOP_DRAINED));
    assert_int_equal(running.stop, GI_SCHED_STOP_CANCELLED);

    assert_null(gi_line_take(&line, GI_SCHED_ADMITTING, 2));
    assert_null(take_waiting(&line, 2));
    assert_null(take_ready(&line, 2));
    assert_ptr_equal(gi_line_reap(&line, 2), &ready);
    assert_ptr_equal(gi_line_reap(&line, 2), &waiting);
    assert_ptr_equal(gi_line_reap(&line, 2), &arrived);
    assert_null(gi_line_reap(&line, 2));
    assert_true(ready.entered_ms[GI_SCHED_RUNNING] == 0);
    gi_line_leave(&line, &admitting, 3);
    gi_line_leave(&line, &preparing, 3);
    gi_line_leave(&line, &running, 3);
    /* An interrupted run says nothing about how long runs take. */
    assert_true(line.run_avg_ms == 0);
    assert_false(gi_line_stop(&running, GI_SCHED_STOP_EXPIRED));
}

static void deadlines(void **state) {
    gi_line line;
    gi_line_init(&line, 8, 8);
    assert_true(isinf(gi_line_next_deadline_ms(&line)));
    gi_sched_item unread = {.deadline_ms = 5};
    assert_int_equal(gi_line_submit(&line, &unread, 1), GLINT_OK);
    assert_true(gi_line_next_deadline_ms(&line) == 5);
    assert_null(gi_line_take(&line, GI_SCHED_ADMITTING, 5));
    assert_ptr_equal(gi_line_reap(&line, 5), &unread);
    gi_sched_item late = {.deadline_ms = 10}, none = {0}, later = {.deadline_ms = 20};
    arrive(&line, &late, 1);
    arrive(&line, &none, 1);
    arrive(&line, &later, 1);
    assert_true(gi_line_next_deadline_ms(&line) == 10);
    assert_null(gi_line_reap(&line, 9.9));
    /* At its deadline an item no longer starts, even before it is reaped. */
    assert_ptr_equal(take_waiting(&line, 10), &none);
    assert_ptr_equal(gi_line_reap(&line, 10), &late);
    assert_int_equal(late.stop, GI_SCHED_STOP_EXPIRED);
    assert_ptr_equal(take_waiting(&line, 15), &later);
    put(&line, &later, 15);
    assert_true(gi_line_next_deadline_ms(&line) == 20);
    assert_null(take_ready(&line, 21));
    assert_ptr_equal(gi_line_reap(&line, 21), &later);
}

static void stop_all(void **state) {
    gi_line line;
    gi_line_init(&line, 8, 8);
    gi_sched_item a = {0}, b = {0}, c = {0};
    arrive(&line, &a, 1);
    arrive(&line, &b, 1);
    arrive(&line, &c, 1);
    assert_ptr_equal(take_waiting(&line, 1), &a);
    assert_ptr_equal(take_waiting(&line, 1), &b);
    put(&line, &a, 1);
    assert_ptr_equal(take_ready(&line, 1), &a);
    gi_line_stop(&b, GI_SCHED_STOP_CANCELLED);
    gi_line_stop_all(&line);
    gi_line_stop_all(&line);
    assert_int_equal(a.stop, GI_SCHED_STOP_DRAINED);
    assert_int_equal(b.stop, GI_SCHED_STOP_CANCELLED);
    assert_int_equal(c.stop, GI_SCHED_STOP_DRAINED);
}

static void higher_priority_goes_first(void **state) {
    gi_line line;
    gi_line_init(&line, 8, 8);
    gi_sched_item a = {0}, b = {.priority = 2}, c = {.priority = 1}, d = {.priority = 2};
    arrive(&line, &a, 1);
    arrive(&line, &b, 1);
    arrive(&line, &c, 1);
    arrive(&line, &d, 1);
    gi_sched_item *const want[] = {&b, &d, &c, &a};
    for (int i = 0; i < 4; i++) assert_ptr_equal(take_waiting(&line, 2), want[i]);
    put(&line, &a, 3);
    put(&line, &c, 4);
    put(&line, &b, 5);
    assert_ptr_equal(take_ready(&line, 6), &b);
    assert_ptr_equal(take_ready(&line, 6), &c);
    assert_ptr_equal(take_ready(&line, 6), &a);
}

/* A thousand of one tenant, then one of another: it is next but one, at each stage with turns. */
static void tenants_take_turns(void **state) {
    enum { N = 1000 };
    static gi_line line;
    static gi_sched_item many[N];
    gi_line_init(&line, N + 8, N + 8);
    gi_sched_item one = {.tenant = 2, .cost_ms = 50}, dear = {.tenant = 3, .cost_ms = 150};
    for (int i = 0; i < N; i++) {
        many[i] = (gi_sched_item){.tenant = 1, .cost_ms = 50};
        assert_int_equal(gi_line_submit(&line, &many[i], 1), GLINT_OK);
    }
    assert_int_equal(gi_line_submit(&line, &one, 1), GLINT_OK);
    assert_ptr_equal(gi_line_take(&line, GI_SCHED_ADMITTING, 1), &many[0]);
    assert_ptr_equal(gi_line_take(&line, GI_SCHED_ADMITTING, 1), &one);
    put(&line, &many[0], 1);
    for (int i = 1; i < N; i++) {
        assert_ptr_equal(gi_line_take(&line, GI_SCHED_ADMITTING, 1), &many[i]);
        put(&line, &many[i], 1);
    }
    /* However far the tenant with many has got; who asks for more waits for a longer turn. */
    for (int i = 0; i < 700; i++) assert_ptr_equal(take_waiting(&line, 2), &many[i]);
    put(&line, &one, 2);
    assert_int_equal(gi_line_submit(&line, &dear, 2), GLINT_OK);
    assert_ptr_equal(gi_line_take(&line, GI_SCHED_ADMITTING, 2), &dear);
    put(&line, &dear, 2);
    assert_ptr_equal(take_waiting(&line, 2), &many[700]);
    assert_ptr_equal(take_waiting(&line, 2), &one);
    assert_ptr_equal(take_waiting(&line, 2), &many[701]);
    assert_ptr_equal(take_waiting(&line, 2), &many[702]);
    assert_ptr_equal(take_waiting(&line, 2), &dear);
    assert_ptr_equal(take_waiting(&line, 2), &many[703]);
}

/* A tenant that sends without end gets half of the line, two get a third each, and whoever comes
 * then finds a place; places that become free go to those that have the fewest. */
static void no_tenant_fills_the_line(void **state) {
    enum { QUEUE_MAX = 12 };
    gi_line line;
    static gi_sched_item items[4][QUEUE_MAX + 1];
    size_t n[4] = {0};
    static const size_t want[4] = {QUEUE_MAX / 2, QUEUE_MAX / 4, QUEUE_MAX / 8 + 1, 1};
    gi_line_init(&line, QUEUE_MAX, QUEUE_MAX);
    line.has_tenants = true;
    for (size_t t = 0; t < 4; t++) {
        glint_status st = GLINT_OK;
        while (st == GLINT_OK && n[t] <= QUEUE_MAX) {
            gi_sched_item *item = &items[t][n[t]];
            *item = (gi_sched_item){.tenant = t};
            st = gi_line_submit(&line, item, 1);
            n[t] += st == GLINT_OK;
        }
        assert_int_equal(st,
                         n[0] + n[1] + n[2] + n[3] == QUEUE_MAX ? GLINT_ERR_BUSY : GLINT_ERR_LIMIT);
        assert_in_range(n[t], 1, want[t]);
    }
    /* Running takes no place: who is refused only waits for his own to move on. */
    gi_sched_item *taken = gi_line_take(&line, GI_SCHED_ADMITTING, 2);
    assert_ptr_equal(taken, &items[0][0]);
    gi_line_leave(&line, taken, 2);
    gi_sched_item again = {.tenant = 0}, fresh = {.tenant = 9};
    assert_int_equal(gi_line_submit(&line, &again, 3), GLINT_ERR_LIMIT);
    assert_int_equal(gi_line_submit(&line, &fresh, 3), GLINT_OK);
    /* Alone in it and not told of tenants, one may fill it. */
    gi_line_init(&line, QUEUE_MAX, QUEUE_MAX);
    for (size_t i = 0; i < QUEUE_MAX; i++) {
        items[0][i] = (gi_sched_item){0};
        assert_int_equal(gi_line_submit(&line, &items[0][i], 1), GLINT_OK);
    }
}

/* New tenants keep coming: the second request of an old one is not put off for ever. */
static void new_tenants_do_not_starve_an_old_one(void **state) {
    enum { N = 50 };
    static gi_sched_item fresh[N];
    gi_line line;
    gi_line_init(&line, 8, N + 8);
    gi_sched_item first = {.tenant = 1, .cost_ms = 10}, second = first;
    arrive(&line, &first, 1);
    arrive(&line, &second, 1);
    int n_before = -1;
    for (int i = 0; i < N && second.state == GI_SCHED_WAITING; i++, n_before++) {
        fresh[i] = (gi_sched_item){.tenant = 100 + (uint64_t)i, .cost_ms = 10};
        arrive(&line, &fresh[i], 2);
        assert_non_null(take_waiting(&line, 2));
    }
    assert_in_range(n_before, 1, 3);
}

/* Requests that take twice what was said make the line doubt; good estimates calm it again. */
static void short_estimates_are_doubted(void **state) {
    gi_line line;
    double now = 0;
    gi_line_init(&line, 16, 8);
    for (int i = 0; i < 3000; i++) {
        gi_sched_item item = {.cost_ms = 10};
        arrive(&line, &item, now);
        assert_ptr_equal(take_waiting(&line, now), &item);
        put(&line, &item, now);
        assert_ptr_equal(gi_line_take(&line, GI_SCHED_RUNNING, now), &item);
        now += i < 1000 ? 20 : 9;
        gi_line_leave(&line, &item, now);
        if (i == 999) assert_true(line.doubt > 1.9 && line.doubt < 2.1);
    }
    assert_true(line.doubt < 1.01);
    for (int i = 0; i < 100; i++) { /* expired in the line: as late as can be */
        gi_sched_item item = {.cost_ms = 10, .deadline_ms = now + 1000};
        arrive(&line, &item, now);
        assert_ptr_equal(gi_line_reap(&line, now + 1000), &item);
        now += 1000;
    }
    assert_true(line.doubt > 3.9);
}

static void unmeetable_deadlines_are_refused(void **state) {
    gi_line line;
    gi_line_init(&line, 16, 8);
    line.running_ms = 30;
    gi_sched_item ready = {.cost_ms = 10}, waiting = {.cost_ms = 20}, cheap = {.cost_ms = 5};
    arrive(&line, &ready, 1);
    assert_ptr_equal(take_waiting(&line, 1), &ready);
    put(&line, &ready, 1);
    arrive(&line, &waiting, 1);
    arrive(&line, &cheap, 1);
    assert_true(gi_line_wait_estimate_ms(&line) == 65);
    /* 65 ms ahead and 40 of its own. */
    gi_sched_item late = {.cost_ms = 40, .deadline_ms = 204.5}, fine = late, above = late,
                  stranger = late, unknown = {.deadline_ms = 101};
    fine.deadline_ms = 205;
    assert_int_equal(gi_line_submit(&line, &late, 1), GLINT_OK);
    assert_ptr_equal(gi_line_take(&line, GI_SCHED_ADMITTING, 1), &late);
    assert_false(gi_line_put(&line, &late, 100));
    assert_int_equal(late.stop, GI_SCHED_STOP_UNMEETABLE);
    assert_int_equal(late.state, GI_SCHED_ADMITTING);
    gi_line_leave(&line, &late, 100);
    /* Those of lower priority and of later turns are not ahead; no estimate, no refusal. */
    above.priority = 1;
    above.deadline_ms = 100 + 30 + 10 + 40;
    stranger.tenant = 9;
    stranger.cost_ms = 1;
    stranger.deadline_ms = 100 + 30 + 10 + 40 + 1;
    gi_sched_item *const in[] = {&fine, &above, &stranger, &unknown};
    for (int i = 0; i < 4; i++) arrive(&line, in[i], 100);
    gi_sched_item none = {.cost_ms = 1e9};
    arrive(&line, &none, 100);
}

/* ---- random histories ---- */

enum { N_ITEMS = 24, N_HISTORIES = 3000, N_STEPS = 200 };

typedef struct history {
    uint64_t seed;
    gi_line line;
    gi_sched_item items[N_ITEMS];
    bool is_in[N_ITEMS]; /* submitted and not DONE, as the test sees it */
    double now_ms, last_run_ready_ms[2];
    int n_submitted, n_done;
} history;

static uint32_t draw(history *h, uint32_t below) {
    h->seed ^= h->seed << 13;
    h->seed ^= h->seed >> 7;
    h->seed ^= h->seed << 17;
    return (uint32_t)(h->seed >> 32) % below;
}

static void has_left(history *h, const gi_sched_item *item) {
    const size_t i = (size_t)(item - h->items);
    assert_true(h->is_in[i]); /* each leaves once */
    assert_int_equal(item->state, GI_SCHED_DONE);
    h->is_in[i] = false;
    h->n_done++;
}

static void check_invariants(history *h) {
    size_t n = 0;
    for (size_t s = 0; s < GI_SCHED_LISTS; s++) {
        const gi_sched_list *list = &h->line.lists[s];
        size_t n_here = 0;
        const gi_sched_item *prev = NULL;
        for (const gi_sched_item *i = list->head; i; prev = i, i = i->next, n_here++) {
            assert_int_equal(i->state, s);
            assert_ptr_equal(i->prev, prev);
            assert_true(h->is_in[i - h->items]);
        }
        assert_ptr_equal(list->tail, prev);
        assert_int_equal(list->n, n_here);
        n += n_here;
    }
    assert_int_equal(n, h->n_submitted - h->n_done);
    size_t n_before_run = 0;
    for (int s = 0; s < GI_SCHED_RUNNING; s++)
        n_before_run += gi_line_count(&h->line, (gi_sched_state)s);
    assert_true(n_before_run <= h->line.queue_max);
    const size_t n_memory =
        gi_line_count(&h->line, GI_SCHED_PREPARING) + gi_line_count(&h->line, GI_SCHED_READY);
    assert_true(n_memory <= h->line.ready_max);
}

static gi_sched_item *pick(history *h, gi_sched_state state) {
    const size_t n = gi_line_count(&h->line, state);
    if (n == 0) return NULL;
    gi_sched_item *i = h->line.lists[state].head;
    for (uint32_t k = draw(h, (uint32_t)n); k > 0; k--) i = i->next;
    return i;
}

static void step_submit(history *h) {
    const uint32_t i = draw(h, N_ITEMS);
    if (h->is_in[i]) return;
    h->items[i].deadline_ms = draw(h, 3) ? 0 : h->now_ms + draw(h, 40);
    h->items[i].cost_ms = 0;
    h->items[i].tenant = draw(h, 3);
    h->items[i].priority = (int)draw(h, 2);
    size_t n = 0, n_own = 0;
    for (int s = 0; s < GI_SCHED_RUNNING; s++) n += gi_line_count(&h->line, (gi_sched_state)s);
    for (uint32_t k = 0; k < N_ITEMS; k++)
        n_own += h->is_in[k] && h->items[k].tenant == h->items[i].tenant &&
                 h->items[k].state < GI_SCHED_RUNNING;
    const bool full = n >= h->line.queue_max || h->line.draining;
    const bool unfair = h->line.has_tenants && n_own >= h->line.queue_max - n;
    const glint_status st = gi_line_submit(&h->line, &h->items[i], h->now_ms);
    assert_int_equal(st, full ? GLINT_ERR_BUSY : unfair ? GLINT_ERR_LIMIT : GLINT_OK);
    if (st != GLINT_OK) {
        assert_true(full || n_own > 0); /* who has nothing in it finds a place */
        return;
    }
    h->is_in[i] = true;
    h->n_submitted++;
}

static void step_run(history *h) {
    gi_sched_item *item = take_ready(&h->line, h->now_ms);
    if (!item) return;
    assert_int_equal(item->stop, GI_SCHED_STOP_NONE);
    assert_true(item->deadline_ms <= 0 || item->deadline_ms > h->now_ms);
    /* First ready, first run, of those of one priority. */
    assert_true(item->entered_ms[GI_SCHED_READY] >= h->last_run_ready_ms[item->priority]);
    h->last_run_ready_ms[item->priority] = item->entered_ms[GI_SCHED_READY];
    for (const gi_sched_item *i = h->line.lists[GI_SCHED_READY].head; i; i = i->next)
        assert_true(i->priority <= item->priority || i->stop != GI_SCHED_STOP_NONE ||
                    (i->deadline_ms > 0 && i->deadline_ms <= h->now_ms));
}

static void step_put(history *h, gi_sched_state from) {
    gi_sched_item *item = pick(h, from);
    if (!item) return;
    if (item->stop == GI_SCHED_STOP_NONE && draw(h, 8)) {
        if (from == GI_SCHED_ADMITTING && draw(h, 4) == 0)
            item->deadline_ms = h->now_ms + draw(h, 20);
        if (from == GI_SCHED_ADMITTING) item->cost_ms = draw(h, 4);
        if (gi_line_put(&h->line, item, h->now_ms)) return;
        assert_int_equal(from, GI_SCHED_ADMITTING);
        assert_int_equal(item->stop, GI_SCHED_STOP_UNMEETABLE);
        assert_true(item->deadline_ms > 0 && item->cost_ms > 0);
        gi_line_leave(&h->line, item, h->now_ms);
        has_left(h, item);
    } else {
        gi_line_leave(&h->line, item, h->now_ms);
        has_left(h, item);
    }
}

static void step(history *h) {
    h->now_ms += draw(h, 4);
    gi_sched_item *item;
    switch (draw(h, 11)) {
    case 0:
    case 1:
    case 2:
        step_submit(h);
        break;
    case 3:
        gi_line_take(&h->line, GI_SCHED_ADMITTING, h->now_ms);
        break;
    case 4:
        gi_line_take(&h->line, GI_SCHED_PREPARING, h->now_ms);
        break;
    case 5:
    case 6:
        step_put(h, draw(h, 2) ? GI_SCHED_ADMITTING : GI_SCHED_PREPARING);
        break;
    case 7:
        step_run(h);
        break;
    case 8:
        if (!(item = pick(h, GI_SCHED_RUNNING))) break;
        gi_line_leave(&h->line, item, h->now_ms);
        has_left(h, item);
        break;
    case 9:
        item = pick(h, (gi_sched_state)draw(h, GI_SCHED_LISTS));
        if (item && draw(h, 3) == 0) gi_line_stop(item, GI_SCHED_STOP_CANCELLED);
        break;
    default:
        while ((item = gi_line_reap(&h->line, h->now_ms))) {
            assert_int_not_equal(item->stop, GI_SCHED_STOP_NONE);
            assert_true(item->entered_ms[GI_SCHED_RUNNING] == 0);
            has_left(h, item);
        }
        assert_true(gi_line_next_deadline_ms(&h->line) > h->now_ms);
        break;
    }
}

static void random_histories(void **state) {
    for (uint64_t seed = 1; seed <= N_HISTORIES; seed++) {
        history h = {.seed = seed * 0x9E3779B97F4A7C15u};
        gi_line_init(&h.line, 1 + draw(&h, 12), 1 + draw(&h, 4));
        h.line.has_tenants = draw(&h, 2);
        for (int i = 0; i < N_STEPS; i++) {
            step(&h);
            check_invariants(&h);
        }
        /* Drain: everybody gets out. */
        h.line.draining = true;
        gi_line_stop_all(&h.line);
        gi_sched_item *item;
        while ((item = gi_line_reap(&h.line, h.now_ms))) has_left(&h, item);
        for (int s = 0; s < GI_SCHED_LISTS; s++) {
            while ((item = h.line.lists[s].head)) {
                gi_line_leave(&h.line, item, h.now_ms);
                has_left(&h, item);
            }
        }
        check_invariants(&h);
        assert_int_equal(h.n_submitted, h.n_done);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(bounded),
        cmocka_unit_test(held_items_keep_their_turn),
        cmocka_unit_test(stopped_items_go_no_further),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(stop_all),
        cmocka_unit_test(higher_priority_goes_first),
        cmocka_unit_test(tenants_take_turns),
        cmocka_unit_test(new_tenants_do_not_starve_an_old_one),
        cmocka_unit_test(no_tenant_fills_the_line),
        cmocka_unit_test(short_estimates_are_doubted),
        cmocka_unit_test(unmeetable_deadlines_are_refused),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
