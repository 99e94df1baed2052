/*
 * One lock around the line; the operations run outside it, except `interrupt`, which runs under it
 * so that the item cannot be finished meanwhile. Wake-ups: `crew_cv` when an item may be
 * admitted or prepared, `run_cv` when one is ready, `clerk_cv` when a reason to stop or a deadline
 * is new, `idle_cv` when the last item is finished.
 *
 * n_unfinished counts items from submit until their finish call has returned, so that drain means
 * "answered", not merely "out of the line".
 */
#include "sched/sched.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { QUEUE_MAX_MAX = 65536 };

struct gi_sched {
    pthread_mutex_t lock;
    pthread_cond_t crew_cv, run_cv, clerk_cv, idle_cv;
    gi_line line;
    size_t n_unfinished;
    bool stopping; /* threads end once there is nothing for them to do */
    gi_sched_ops ops;
    void *ctx;
    pthread_t crew[GI_SCHED_CREW_MAX];
    int n_crew;
    pthread_t run_thread, clerk_thread;
    bool has_run_thread, has_clerk_thread;
};

/* Wait until `until_ms` of gi_clock_ms, or without end when it is infinite. */
static void wait_until(pthread_cond_t *cv, pthread_mutex_t *lock, double until_ms) {
    if (isinf(until_ms)) {
        pthread_cond_wait(cv, lock);
        return;
    }
    const double s = floor(until_ms / 1e3);
    const struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((until_ms - s * 1e3) * 1e6)};
    pthread_cond_timedwait(cv, lock, &t);
}

/* Call finish for a DONE item. Called with the lock held; lets go of it meanwhile. */
static void finish(gi_sched *s, gi_sched_item *item) {
    pthread_mutex_unlock(&s->lock);
    s->ops.finish(s->ctx, item);
    pthread_mutex_lock(&s->lock);
    if (--s->n_unfinished == 0) pthread_cond_broadcast(&s->idle_cv);
}

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
        const bool ok = is_admitting ? s->ops.admit(s->ctx, item) : s->ops.prepare(s->ctx, item);
        pthread_mutex_lock(&s->lock);
        pthread_cond_signal(&s->crew_cv); /* it waits again, or has left room */
        if (ok && item->stop == GI_SCHED_STOP_NONE && gi_line_put(&s->line, item, gi_clock_ms())) {
            if (!is_admitting) pthread_cond_signal(&s->run_cv);
            if (item->deadline_ms > 0) pthread_cond_signal(&s->clerk_cv);
        } else {
            gi_line_leave(&s->line, item, gi_clock_ms());
            finish(s, item);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *run_main(void *arg) {
    gi_sched *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        gi_sched_item *item = gi_line_take(&s->line, GI_SCHED_RUNNING, gi_clock_ms());
        if (!item) {
            if (s->stopping) break;
            pthread_cond_wait(&s->run_cv, &s->lock);
            continue;
        }
        pthread_cond_signal(&s->crew_cv); /* READY has room */
        pthread_mutex_unlock(&s->lock);
        s->ops.run(s->ctx, item);
        pthread_mutex_lock(&s->lock);
        gi_line_leave(&s->line, item, gi_clock_ms());
        finish(s, item);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

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
        wait_until(&s->clerk_cv, &s->lock, gi_line_next_deadline_ms(&s->line));
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void init_sync(gi_sched *s) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->crew_cv, &attr);
    pthread_cond_init(&s->run_cv, &attr);
    pthread_cond_init(&s->clerk_cv, &attr);
    pthread_cond_init(&s->idle_cv, &attr);
    pthread_condattr_destroy(&attr);
}

glint_status gi_sched_create(const gi_sched_config *config, gi_sched **ret, glint_error *err) {
    if (config->queue_max < 1 || config->queue_max > QUEUE_MAX_MAX || config->ready_max < 1 ||
        config->ready_max > config->queue_max || config->n_crew < 1 ||
        config->n_crew > GI_SCHED_CREW_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "scheduler: a limit is out of range");
    gi_sched *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "scheduler: no memory");
    gi_line_init(&s->line, config->queue_max, config->ready_max);
    s->ops = config->ops;
    s->ctx = config->ctx;
    init_sync(s);
    s->has_run_thread = pthread_create(&s->run_thread, NULL, run_main, s) == 0;
    s->has_clerk_thread = pthread_create(&s->clerk_thread, NULL, clerk_main, s) == 0;
    bool ok = s->has_run_thread && s->has_clerk_thread;
    for (int i = 0; ok && i < config->n_crew; i++) {
        ok = pthread_create(&s->crew[i], NULL, crew_main, s) == 0;
        if (ok) s->n_crew++;
    }
    if (!ok) {
        gi_sched_free(s);
        return gi_fail(err, GLINT_ERR_MEMORY, "scheduler: cannot start a thread");
    }
    *ret = s;
    return GLINT_OK;
}

glint_status gi_sched_submit(gi_sched *s, gi_sched_item *item, glint_error *err) {
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
    return gi_fail(err, st, draining ? "scheduler: draining" : "scheduler: the line is full");
}

void gi_sched_cancel(gi_sched *s, gi_sched_item *item) {
    pthread_mutex_lock(&s->lock);
    if (gi_line_stop(&s->line, item, GI_SCHED_STOP_CANCELLED)) s->ops.interrupt(s->ctx, item);
    pthread_cond_signal(&s->clerk_cv);
    pthread_mutex_unlock(&s->lock);
}

void gi_sched_begin_drain(gi_sched *s) {
    pthread_mutex_lock(&s->lock);
    s->line.draining = true;
    pthread_mutex_unlock(&s->lock);
}

void gi_sched_drain(gi_sched *s, double grace_ms) {
    pthread_mutex_lock(&s->lock);
    s->line.draining = true;
    const double until_ms = gi_clock_ms() + grace_ms;
    while (s->n_unfinished > 0 && gi_clock_ms() < until_ms)
        wait_until(&s->idle_cv, &s->lock, until_ms);
    if (s->n_unfinished > 0) {
        gi_line_stop_all(&s->line, s->ops.interrupt, s->ctx);
        pthread_cond_signal(&s->clerk_cv);
    }
    while (s->n_unfinished > 0) pthread_cond_wait(&s->idle_cv, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

gi_sched_stats gi_sched_get_stats(gi_sched *s) {
    pthread_mutex_lock(&s->lock);
    gi_sched_stats stats = {.wait_estimate_ms = gi_line_wait_estimate_ms(&s->line),
                            .draining = s->line.draining};
    for (int i = 0; i < GI_SCHED_LISTS; i++)
        stats.n[i] = gi_line_count(&s->line, (gi_sched_state)i);
    pthread_mutex_unlock(&s->lock);
    return stats;
}

void gi_sched_free(gi_sched *s) {
    if (!s) return;
    if (s->has_run_thread && s->has_clerk_thread) gi_sched_drain(s, 0);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->crew_cv);
    pthread_cond_broadcast(&s->run_cv);
    pthread_cond_broadcast(&s->clerk_cv);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_crew; i++) pthread_join(s->crew[i], NULL);
    if (s->has_run_thread) pthread_join(s->run_thread, NULL);
    if (s->has_clerk_thread) pthread_join(s->clerk_thread, NULL);
    pthread_cond_destroy(&s->crew_cv);
    pthread_cond_destroy(&s->run_cv);
    pthread_cond_destroy(&s->clerk_cv);
    pthread_cond_destroy(&s->idle_cv);
    pthread_mutex_destroy(&s->lock);
    gi_free(s);
}
