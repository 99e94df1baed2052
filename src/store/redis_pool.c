/*
 * One lock around a stack of idle connections and the breaker. Nothing is sent or received under
 * it. A connection that the other side closed while it was idle (a restart, its own idle timeout)
 * is no failure: it is dropped when somebody wants it, and the keeper makes another.
 */
#include "store/redis_pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>

enum { RETRY_MS = 20, WHERE_BYTES = GI_REDIS_HOST_BYTES + 16 };

struct gi_redis_pool {
    gi_redis_pool_config config;
    char where[WHERE_BYTES];
    pthread_t keeper;
    bool has_keeper;
    pthread_mutex_t lock;
    pthread_cond_t idle_cv, keeper_cv;
    /* Under the lock. */
    gi_redis_conn *idle[GI_REDIS_CONNECTIONS_MAX];
    size_t n_idle, n_live; /* n_live: idle and in use */
    gi_breaker_state state;
    unsigned n_failures; /* in a row */
    double wait_ms;      /* of the next time the breaker is open */
    double retry_at_ms;  /* the keeper's next try */
    bool is_stopping, was_good;
    gi_redis_pool_stats stats;
};

/* ---- the breaker, under the lock ---- */

/* Between half and all of it, so that many processes do not come back at once. */
static double jitter(double ms) {
    uint32_t r = UINT32_MAX;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != sizeof r) r = UINT32_MAX;
    return ms * (0.5 + 0.5 * (double)r / (double)UINT32_MAX);
}

static void open_breaker(gi_redis_pool *p) {
    const double now = gi_clock_ms();
    p->state = GI_BREAKER_OPEN;
    p->retry_at_ms = now + jitter(p->wait_ms);
    p->wait_ms = fmin(p->wait_ms * 2, p->config.wait_max_ms);
    while (p->n_idle > 0) {
        gi_redis_conn_close(p->idle[--p->n_idle]);
        p->n_live--;
    }
    pthread_cond_broadcast(&p->idle_cv);
}

static void count_failure(gi_redis_pool *p, const char *why) {
    if (p->state != GI_BREAKER_CLOSED) return;
    if (++p->n_failures < p->config.failures_max) return;
    p->stats.n_opened++;
    gi_log(GI_LOG_WARN, "redis", "%s: %s; going on without it", p->where, why);
    open_breaker(p);
}

/* ---- the keeper ---- */

/* When the keeper has something to do; INFINITY: nothing. */
static double next_work_ms(const gi_redis_pool *p) {
    const bool wants_more = p->state != GI_BREAKER_CLOSED || p->n_live < p->config.n_connections;
    return wants_more ? p->retry_at_ms : (double)INFINITY;
}

static void keep_connected(gi_redis_pool *p, gi_redis_conn *c) {
    if (p->state != GI_BREAKER_CLOSED) {
        gi_log(GI_LOG_INFO, "redis", "%s: connected", p->where);
        p->state = GI_BREAKER_CLOSED;
        p->n_failures = p->config.failures_max - 1; /* the next use decides */
        p->was_good = false;
    }
    p->idle[p->n_idle++] = c;
    p->n_live++;
    pthread_cond_signal(&p->idle_cv);
}

static void note_no_connection(gi_redis_pool *p, const char *why) {
    p->stats.n_connect_failures++;
    p->retry_at_ms = gi_clock_ms() + RETRY_MS;
    if (p->state == GI_BREAKER_CLOSED) {
        count_failure(p, why);
        return;
    }
    /* The first time that there never was a connection is worth a line, the others are not. */
    if (p->stats.n_opened == 0) {
        p->stats.n_opened++;
        gi_log(GI_LOG_WARN, "redis", "%s: %s; going on without it", p->where, why);
    } else {
        gi_log(GI_LOG_DEBUG, "redis", "%s: %s", p->where, why);
    }
    open_breaker(p);
}

static void *keeper_main(void *arg) {
    gi_redis_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->is_stopping) {
        const double next_ms = next_work_ms(p), now_ms = gi_clock_ms();
        if (next_ms > now_ms) {
            gi_cond_wait_until(&p->keeper_cv, &p->lock, next_ms);
            continue;
        }
        if (p->state == GI_BREAKER_OPEN) p->state = GI_BREAKER_HALF_OPEN;
        p->stats.n_connects++;
        pthread_mutex_unlock(&p->lock);
        glint_error err = {0};
        gi_redis_conn *c = NULL;
        gi_redis_conn_open(p->config.target, now_ms + p->config.connect_ms, &c, &err);
        pthread_mutex_lock(&p->lock);
        if (c)
            keep_connected(p, c);
        else
            note_no_connection(p, err.message);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- for everybody ---- */

glint_status gi_redis_pool_create(const gi_redis_pool_config *config, gi_redis_pool **ret,
                                  glint_error *err) {
    gi_redis_pool *p = gi_calloc(1, sizeof *p);
    if (!p) return gi_fail(err, GLINT_ERR_MEMORY, "Redis: no memory");
    p->config = *config;
    p->state = GI_BREAKER_HALF_OPEN;
    p->wait_ms = config->wait_min_ms;
    gi_redis_url_format(&config->target->url, p->where, sizeof p->where);
    pthread_mutex_init(&p->lock, NULL);
    gi_cond_init(&p->idle_cv);
    gi_cond_init(&p->keeper_cv);
    p->has_keeper = gi_thread_start(&p->keeper, keeper_main, p);
    if (!p->has_keeper) {
        gi_redis_pool_free(p);
        return gi_fail(err, GLINT_ERR_MEMORY, "Redis: cannot start a thread");
    }
    *ret = p;
    return GLINT_OK;
}

void gi_redis_pool_free(gi_redis_pool *p) {
    if (!p) return;
    if (p->has_keeper) {
        pthread_mutex_lock(&p->lock);
        p->is_stopping = true;
        pthread_cond_signal(&p->keeper_cv);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->keeper, NULL);
    }
    gi_assert(p->n_live == p->n_idle);
    while (p->n_idle > 0) gi_redis_conn_close(p->idle[--p->n_idle]);
    pthread_cond_destroy(&p->keeper_cv);
    pthread_cond_destroy(&p->idle_cv);
    pthread_mutex_destroy(&p->lock);
    gi_free(p);
}

gi_redis_conn *gi_redis_pool_take(gi_redis_pool *p, double until_ms) {
    gi_redis_conn *c = NULL;
    pthread_mutex_lock(&p->lock);
    while (!c && p->state == GI_BREAKER_CLOSED) {
        if (p->n_idle > 0) {
            c = p->idle[--p->n_idle];
            if (gi_redis_conn_is_quiet(c)) break;
            gi_redis_conn_close(c);
            c = NULL;
            p->n_live--;
            p->retry_at_ms = 0;
            pthread_cond_signal(&p->keeper_cv);
        } else if (gi_clock_ms() < until_ms) {
            gi_cond_wait_until(&p->idle_cv, &p->lock, until_ms);
        } else {
            break;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return c;
}

void gi_redis_pool_give(gi_redis_pool *p, gi_redis_conn *c, bool is_good) {
    pthread_mutex_lock(&p->lock);
    if (is_good && p->state == GI_BREAKER_CLOSED) {
        p->n_failures = 0;
        /* Twice in a row, so that a server which is good for one command does not reset it. */
        if (p->was_good) p->wait_ms = p->config.wait_min_ms;
        p->was_good = true;
        p->idle[p->n_idle++] = c;
        c = NULL;
        pthread_cond_signal(&p->idle_cv);
    } else {
        p->n_live--;
        p->was_good = false;
        if (!is_good) {
            p->retry_at_ms = 0;
            count_failure(p, "no answers");
        }
        pthread_cond_signal(&p->keeper_cv);
    }
    pthread_mutex_unlock(&p->lock);
    gi_redis_conn_close(c);
}

gi_redis_pool_stats gi_redis_pool_get_stats(gi_redis_pool *p) {
    pthread_mutex_lock(&p->lock);
    gi_redis_pool_stats stats = p->stats;
    stats.state = p->state;
    stats.n_connections = p->n_live;
    pthread_mutex_unlock(&p->lock);
    return stats;
}
