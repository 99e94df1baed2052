/*
 * One lock around the line and the planner; the operations run outside it. Wake-ups: `crew_cv` when
 * a request may be admitted or prepared, `engine_cv` when one is ready, `clerk_cv` when a reason to
 * stop or a deadline is new, `idle_cv` when the last request is finished.
 *
 * The engine thread alone moves requests into and out of the planner, so a step it carries out with
 * the lock released names only requests that stay. Reasons to stop a running request are noted by
 * anybody, under the lock, and obeyed between two steps.
 *
 * n_unfinished counts requests from submit until their finish call has returned, so that drain
 * means "answered", not merely "out of the line".
 */
#include "sched/sched.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdatomic.h>

enum { QUEUE_MAX_MAX = 65536 };

/* Weight of the newest request in the average cost. */
static const double COST_WEIGHT = 0.1;

/* What the engine thread found out about a request after a step. */
typedef struct taken {
    gi_sched_request *request;
    size_t n_known; /* 0: it has ended, well or not */
} taken;

struct gi_sched {
    pthread_mutex_t lock;
    pthread_cond_t crew_cv, engine_cv, clerk_cv, idle_cv;
    gi_line line;
    gi_plan *plan;
    gi_costs costs;
    gi_kv_pool *pool;
    taken *taken;       /* [seqs_max], the engine thread's */
    double cost_avg_ms; /* of requests that began, smoothed; 0 before the first */
    size_t n_unfinished;
    _Atomic double step_began_ms; /* 0: the engine thread is not in a step */
    bool stopping;                /* threads end once there is nothing for them to do */
    gi_sched_ops ops;
    void *ctx;
    gi_sched_engine engine;
    pthread_t crew[GI_SCHED_CREW_MAX];
    int n_crew;
    pthread_t engine_thread, clerk_thread;
    bool has_engine_thread, has_clerk_thread;
};

static gi_sched_request *request_of(gi_sched_item *item) {
    return (gi_sched_request *)(void *)((char *)item - offsetof(gi_sched_request, item));
}

static gi_sched_request *request_of_seq(gi_plan_seq *seq) {
    return (gi_sched_request *)(void *)((char *)seq - offsetof(gi_sched_request, seq));
}

/* Call finish for a DONE request. Called with the lock held; lets go of it meanwhile. */
static void finish(gi_sched *s, gi_sched_item *item) {
    pthread_mutex_unlock(&s->lock);
    s->ops.finish(s->ctx, request_of(item));
    pthread_mutex_lock(&s->lock);
    if (--s->n_unfinished == 0) pthread_cond_broadcast(&s->idle_cv);
}

/* ---- the crew ------------------------------------------------------------------------------- */

static void *crew_main(void *arg) {
    gi_sched *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        /* Reading a request is short and tells who need not wait at all: it goes first. */
        gi_sched_item *item = gi_line_take(&s->line, GI_SCHED_ADMITTING, gi_clock_ms());
        if (!item) item = gi_line_take(&s->line, GI_SCHED_PREPARING, gi_clock_ms());
        if (!item) {
            if (s->stopping) break;
            pthread_cond_wait(&s->crew_cv, &s->lock);
            continue;
        }
        const bool is_admitting = item->state == GI_SCHED_ADMITTING;
        pthread_mutex_unlock(&s->lock);
        gi_sched_request *r = request_of(item);
        const bool ok = is_admitting ? s->ops.admit(s->ctx, r) : s->ops.prepare(s->ctx, r);
        pthread_mutex_lock(&s->lock);
        pthread_cond_signal(&s->crew_cv); /* it waits again, or has left room */
        if (is_admitting && item->cost_ms <= 0) item->cost_ms = s->cost_avg_ms;
        if (ok && item->stop == GI_SCHED_STOP_NONE && gi_line_put(&s->line, item, gi_clock_ms())) {
            if (!is_admitting) pthread_cond_signal(&s->engine_cv);
            if (item->deadline_ms > 0) pthread_cond_signal(&s->clerk_cv);
        } else {
            gi_line_leave(&s->line, item, gi_clock_ms());
            finish(s, item);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the engine thread ---------------------------------------------------------------------- */

/* The lock is held in all of these, but where they say otherwise. */

/* A running request ends: it is in the planner when it has begun. */
static void end_running(gi_sched *s, gi_sched_request *r, bool has_begun) {
    if (has_begun) {
        gi_plan_remove(s->plan, &r->seq);
        pthread_mutex_unlock(&s->lock);
        s->engine.conclude(s->engine.ctx, r);
        pthread_mutex_lock(&s->lock);
    }
    gi_line_leave(&s->line, &r->item, gi_clock_ms());
    pthread_cond_signal(&s->crew_cv);
    finish(s, &r->item);
}

/* What a request that begins will cost, going by what others did. */
static double cost_of(const gi_sched *s, const gi_plan_seq *seq) {
    gi_cost_request cost = {.n_prompt_rows = seq->n_prompt, .n_answer_tokens = seq->n_answer_guess};
    for (size_t i = 0; i < seq->n_places; i++)
        if (!seq->places[i].picture->is_encoded) cost.vision_work += seq->places[i].picture->work;
    return gi_costs_request_ms(&s->costs, &cost);
}

static void join_ready(gi_sched *s) {
    while (gi_plan_has_room(s->plan)) {
        gi_sched_item *item = gi_line_take(&s->line, GI_SCHED_RUNNING, gi_clock_ms());
        if (!item) return;
        pthread_cond_signal(&s->crew_cv); /* READY has room */
        gi_sched_request *r = request_of(item);
        pthread_mutex_unlock(&s->lock);
        const glint_status st = s->engine.begin(s->engine.ctx, r, &r->error);
        pthread_mutex_lock(&s->lock);
        if (st != GLINT_OK) {
            end_running(s, r, false);
            continue;
        }
        const double cost_ms = cost_of(s, &r->seq);
        s->cost_avg_ms += s->cost_avg_ms > 0 ? COST_WEIGHT * (cost_ms - s->cost_avg_ms) : cost_ms;
        gi_plan_add(s->plan, &r->seq);
    }
}

/* Requests that were cancelled, drained, or are past their deadline. */
static void drop_stopped(gi_sched *s) {
    for (;;) {
        gi_sched_item *item = gi_line_stopped(&s->line, gi_clock_ms());
        if (!item) return;
        end_running(s, request_of(item), true);
    }
}

/* The next token of every request whose logits the step gave. The lock is not held. */
static size_t take_tokens(gi_sched *s, const gi_plan_step *step) {
    size_t n = 0;
    for (size_t i = 0; i < step->n_feeds; i++) {
        if (!step->feeds[i].wants_logits) continue;
        gi_sched_request *r = request_of_seq(step->feeds[i].seq);
        glint_error err = {0};
        s->taken[n] = (taken){.request = r};
        if (s->engine.take(s->engine.ctx, r, n, &s->taken[n].n_known, &err) != GLINT_OK) {
            s->taken[n].n_known = 0;
            r->error = err;
        }
        n++;
    }
    return n;
}

static void do_step(gi_sched *s, const gi_plan_step *step) {
    double vision_ms = 0, text_ms = 0;
    atomic_store(&s->step_began_ms, gi_clock_ms());
    pthread_mutex_unlock(&s->lock);
    s->engine.step(s->engine.ctx, step, &vision_ms, &text_ms);
    const size_t n = take_tokens(s, step);
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->step_began_ms, 0);
    gi_plan_done(s->plan, vision_ms, text_ms);
    for (size_t i = 0; i < n; i++) {
        gi_sched_request *r = s->taken[i].request;
        if (s->taken[i].n_known > 0)
            gi_plan_extend(&r->seq, s->taken[i].n_known - r->seq.n_known);
        else
            end_running(s, r, true);
    }
}

static void *engine_main(void *arg) {
    gi_sched *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        const gi_plan_step *step;
        drop_stopped(s);
        join_ready(s);
        s->line.running_ms = gi_plan_backlog_ms(s->plan);
        if (gi_plan_next(s->plan, &step)) {
            do_step(s, step);
        } else if (gi_line_count(&s->line, GI_SCHED_RUNNING) == 0) {
            if (s->stopping) break;
            pthread_cond_wait(&s->engine_cv, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the clerk ------------------------------------------------------------------------------ */

static void *clerk_main(void *arg) {
    gi_sched *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        gi_sched_item *item = gi_line_reap(&s->line, gi_clock_ms());
        if (item) {
            pthread_cond_signal(&s->crew_cv); /* READY may have room */
            finish(s, item);
            continue;
        }
        if (s->stopping) break;
        gi_cond_wait_until(&s->clerk_cv, &s->lock, gi_line_next_deadline_ms(&s->line));
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void init_sync(gi_sched *s) {
    pthread_mutex_init(&s->lock, NULL);
    gi_cond_init(&s->crew_cv);
    gi_cond_init(&s->engine_cv);
    gi_cond_init(&s->clerk_cv);
    gi_cond_init(&s->idle_cv);
}

static bool start_threads(gi_sched *s, int n_crew) {
    s->has_engine_thread = gi_thread_start(&s->engine_thread, engine_main, s);
    s->has_clerk_thread = gi_thread_start(&s->clerk_thread, clerk_main, s);
    bool ok = s->has_engine_thread && s->has_clerk_thread;
    for (int i = 0; ok && i < n_crew; i++) {
        ok = gi_thread_start(&s->crew[i], crew_main, s);
        if (ok) s->n_crew++;
    }
    return ok;
}

static bool are_in_range(size_t queue_max, size_t ready_max) {
    return queue_max >= 1 && queue_max <= QUEUE_MAX_MAX && ready_max >= 1 && ready_max <= queue_max;
}

glint_status gi_sched_create(const gi_sched_config *config, gi_sched **ret, glint_error *err) {
    if (!are_in_range(config->queue_max, config->ready_max) || config->n_crew < 1 ||
        config->n_crew > GI_SCHED_CREW_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "scheduler: a limit is out of range");
    gi_sched *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "scheduler: no memory");
    gi_line_init(&s->line, config->queue_max, config->ready_max);
    s->line.has_tenants = config->has_tenants;
    s->ops = config->ops;
    s->ctx = config->ctx;
    s->engine = config->engine;
    s->pool = config->pool;
    s->costs = config->costs;
    init_sync(s);
    glint_status st;
    s->taken = gi_calloc(config->plan.seqs_max, sizeof *s->taken);
    if (!s->taken) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "scheduler: no memory");
        goto done;
    }
    GI_TRY_DONE(gi_plan_create(&config->plan, config->pool, &s->costs, &s->plan, err));
    if (!start_threads(s, config->n_crew)) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "scheduler: cannot start a thread");
        goto done;
    }
    *ret = s;
    return GLINT_OK;
done:
    gi_sched_free(s);
    return st;
}

void gi_sched_set_limits(gi_sched *s, size_t queue_max, size_t ready_max) {
    gi_assert(are_in_range(queue_max, ready_max));
    pthread_mutex_lock(&s->lock);
    s->line.queue_max = queue_max;
    s->line.ready_max = ready_max;
    pthread_cond_broadcast(&s->crew_cv); /* more may be prepared than before */
    pthread_mutex_unlock(&s->lock);
}

glint_status gi_sched_submit(gi_sched *s, gi_sched_request *r, glint_error *err) {
    gi_sched_item *item = &r->item;
    pthread_mutex_lock(&s->lock);
    const double next_ms = gi_line_next_deadline_ms(&s->line);
    const bool draining = s->line.draining;
    const glint_status st = gi_line_submit(&s->line, item, gi_clock_ms());
    if (st == GLINT_OK) {
        s->n_unfinished++;
        pthread_cond_signal(&s->crew_cv);
        if (item->deadline_ms > 0 && item->deadline_ms < next_ms) pthread_cond_signal(&s->clerk_cv);
    }
    pthread_mutex_unlock(&s->lock);
    if (st == GLINT_OK) return st;
    if (st == GLINT_ERR_LIMIT)
        return gi_fail(err, st, "scheduler: the line is full enough of this tenant");
    return gi_fail(err, st, draining ? "scheduler: draining" : "scheduler: the line is full");
}

void gi_sched_cancel(gi_sched *s, gi_sched_request *r) {
    pthread_mutex_lock(&s->lock);
    gi_line_stop(&r->item, GI_SCHED_STOP_CANCELLED);
    pthread_cond_signal(&s->clerk_cv);
    pthread_mutex_unlock(&s->lock);
}

void gi_sched_release(gi_sched *s, gi_sched_request *r) {
    pthread_mutex_lock(&s->lock);
    r->item.is_held = false;
    pthread_cond_signal(&s->crew_cv);
    pthread_mutex_unlock(&s->lock);
}

void gi_sched_drain(gi_sched *s, double grace_ms) {
    pthread_mutex_lock(&s->lock);
    s->line.draining = true;
    const double until_ms = gi_clock_ms() + grace_ms;
    while (s->n_unfinished > 0 && gi_clock_ms() < until_ms)
        gi_cond_wait_until(&s->idle_cv, &s->lock, until_ms);
    if (s->n_unfinished > 0) {
        gi_line_stop_all(&s->line);
        pthread_cond_signal(&s->clerk_cv);
    }
    while (s->n_unfinished > 0) pthread_cond_wait(&s->idle_cv, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

double gi_sched_step_ms(const gi_sched *s) {
    const double began_ms = atomic_load(&s->step_began_ms);
    return began_ms > 0 ? gi_clock_ms() - began_ms : 0;
}

gi_sched_stats gi_sched_get_stats(gi_sched *s) {
    pthread_mutex_lock(&s->lock);
    gi_sched_stats stats = {.wait_estimate_ms = gi_line_wait_estimate_ms(&s->line),
                            .draining = s->line.draining,
                            .plan = gi_plan_get_stats(s->plan),
                            .kv = s->pool->stats,
                            .kv_blocks = s->pool->n_blocks,
                            .kv_blocks_free = s->pool->n_free,
                            .kv_blocks_cached = gi_kv_pool_cached(s->pool)};
    for (int i = 0; i < GI_SCHED_LISTS; i++)
        stats.n[i] = gi_line_count(&s->line, (gi_sched_state)i);
    pthread_mutex_unlock(&s->lock);
    return stats;
}

void gi_sched_free(gi_sched *s) {
    if (!s) return;
    if (s->has_engine_thread && s->has_clerk_thread) gi_sched_drain(s, 0);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->crew_cv);
    pthread_cond_broadcast(&s->engine_cv);
    pthread_cond_broadcast(&s->clerk_cv);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_crew; i++) pthread_join(s->crew[i], NULL);
    if (s->has_engine_thread) pthread_join(s->engine_thread, NULL);
    if (s->has_clerk_thread) pthread_join(s->clerk_thread, NULL);
    pthread_cond_destroy(&s->crew_cv);
    pthread_cond_destroy(&s->engine_cv);
    pthread_cond_destroy(&s->clerk_cv);
    pthread_cond_destroy(&s->idle_cv);
    pthread_mutex_destroy(&s->lock);
    gi_plan_free(s->plan);
    gi_free(s->taken);
    gi_free(s);
}
