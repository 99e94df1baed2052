/*
 * The thread owns the jobs and their waiters. Others reach it through the inbox and by setting
 * a waiter's `is_cancelled`, each followed by a wake-up; nothing else is shared but counters. So
 * no lock is held while anything is called, on_done included.
 *
 * A waiter has two owners, the caller's handle and the thread, and goes with the second.
 */
#include "fetch/fetcher.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "fetch/fetch_job.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
    POLL_MS_MAX = 1000,
    KEPT_CONNECTIONS = 16,
    TRANSFERS_MAX = 256,
    WAITING_MAX = 65536,
    /* A lookup has a socket for each name server, three as a rule, and reads /etc/hosts before; a
     * connection comes after it, and reads the roots to trust. */
    FILES_OF_A_TRANSFER = 4,
    FILES_OF_THE_THREAD = 4, /* what wakes it */
};

struct gi_fetch {
    gi_fetch *next; /* in the inbox, then among its job's waiters */
    gi_fetcher *owner;
    gi_digest scope;
    gi_url url;
    bool no_cache;
    double deadline_ms;     /* the request's */
    double left_ms;         /* of total_ms, when its job last stood still */
    double until_ms;        /* when that ends; INFINITY while its job has not started */
    gi_fetch_bytes *stored; /* found in the store, until it is delivered */
    gi_fetch_done_fn on_done;
    void *ctx;
    atomic_bool is_cancelled;
    atomic_int n_owners;
};

struct gi_fetcher {
    gi_fetch_env env;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of the inbox */
    gi_fetch *inbox;      /* newest first */
    atomic_bool is_stopping, is_off;
    gi_fetch_job *jobs; /* oldest first; the thread's */
    atomic_size_t n_waiting;
    atomic_uint_fast64_t n_begun, n_joined, n_failed;
};

/* ---- waiters ---- */

static void disown(gi_fetch *w) {
    if (atomic_fetch_sub(&w->n_owners, 1) == 1) gi_free(w);
}

static void deliver(gi_fetch *w, const gi_fetch_result *result) {
    gi_fetcher *f = w->owner;
    if (result->status != GLINT_OK) atomic_fetch_add(&f->n_failed, 1);
    atomic_fetch_sub(&f->n_waiting, 1);
    w->on_done(w->ctx, result);
    disown(w);
}

static void deliver_failure(gi_fetch *w, glint_status st, const char *what) {
    gi_fetch_result result = {.status = st};
    gi_fail(&result.err, st, "%s: %s", w->url.host.name, what);
    deliver(w, &result);
}

/* ---- jobs, on the thread ---- */

/* Word that a fetch ends because fetching does. */
static const char SWITCHED_OFF[] = "fetching pictures is switched off";

static bool is_same(const gi_fetch_job *job, const gi_fetch *w) {
    return !job->no_cache && !w->no_cache && memcmp(&job->scope, &w->scope, sizeof w->scope) == 0 &&
           strcmp(job->first.text, w->url.text) == 0;
}

static void take_waiter(gi_fetcher *f, gi_fetch *w) {
    if (atomic_load(&f->is_off)) {
        gi_fetch_bytes_unref(w->stored);
        w->stored = NULL;
        deliver_failure(w, GLINT_ERR_UNSUPPORTED, SWITCHED_OFF);
        return;
    }
    if (w->stored) {
        const gi_fetch_result result = {.status = GLINT_OK, .bytes = w->stored};
        w->stored = NULL;
        deliver(w, &result);
        return;
    }
    gi_fetch_job **at = &f->jobs;
    while (*at && !is_same(*at, w)) at = &(*at)->next;
    if (*at) {
        atomic_fetch_add(&f->n_joined, 1);
        if ((*at)->has_started) w->until_ms = gi_clock_ms() + w->left_ms;
    } else {
        *at = gi_fetch_job_create(&f->env, &w->scope, &w->url, w->no_cache);
        if (!*at) {
            deliver_failure(w, GLINT_ERR_MEMORY, "no memory");
            return;
        }
    }
    w->next = (*at)->waiters;
    (*at)->waiters = w;
}

static void take_inbox(gi_fetcher *f) {
    pthread_mutex_lock(&f->lock);
    gi_fetch *newest = f->inbox, *oldest = NULL;
    f->inbox = NULL;
    pthread_mutex_unlock(&f->lock);
    while (newest) {
        gi_fetch *w = newest;
        newest = w->next;
        w->next = oldest;
        oldest = w;
    }
    while (oldest) {
        gi_fetch *w = oldest;
        oldest = w->next;
        take_waiter(f, w);
    }
}

/* When a waiter must be sent away. Who has as much time as the job ends with it. */
static double last_ms_of(const gi_fetch *w, const gi_fetch_job *job) {
    const bool ends_first = !job->is_over && w->until_ms < job->deadline_ms;
    return ends_first ? fmin(w->deadline_ms, w->until_ms) : w->deadline_ms;
}

/* Send those away who are cancelled or out of time, all when fetching is off; the earliest deadline
 * of the others. */
static double reap_waiters(const gi_fetcher *f, gi_fetch_job *job, double now_ms) {
    const bool is_off = atomic_load(&f->is_off);
    double next_ms = INFINITY;
    gi_fetch **at = &job->waiters;
    while (*at) {
        gi_fetch *w = *at;
        const bool is_cancelled = atomic_load(&w->is_cancelled);
        const double last_ms = last_ms_of(w, job);
        if (!is_off && !is_cancelled && now_ms < last_ms) {
            next_ms = fmin(next_ms, last_ms);
            at = &w->next;
            continue;
        }
        *at = w->next;
        if (is_cancelled)
            deliver_failure(w, GLINT_ERR_CANCELLED, "cancelled");
        else if (is_off)
            deliver_failure(w, GLINT_ERR_UNSUPPORTED, SWITCHED_OFF);
        else if (now_ms >= w->deadline_ms)
            deliver_failure(w, GLINT_ERR_DEADLINE, "the request's deadline passed");
        else
            deliver_failure(w, GLINT_ERR_IO, "took too long");
    }
    return next_ms;
}

static void start(gi_fetch_job *job, double now_ms) {
    for (gi_fetch *w = job->waiters; w; w = w->next) w->until_ms = now_ms + w->left_ms;
    gi_fetch_job_start(job, now_ms);
}

/* A job's time is over, and with it that of those who were there from its start. For those who
 * joined it later it is made ready to begin anew. */
static void make_ready_for_the_rest(gi_fetch_job *job, double now_ms) {
    const gi_fetch_result result = {.status = job->status, .err = job->err};
    gi_fetch **at = &job->waiters;
    while (*at) {
        gi_fetch *w = *at;
        w->left_ms = w->until_ms - now_ms;
        w->until_ms = INFINITY;
        if (w->left_ms >= 1) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        deliver(w, &result);
    }
    gi_fetch_job_reset(job);
}

static void deliver_all(gi_fetch_job *job) {
    gi_fetch_result result = {.status = job->status, .err = job->err};
    while (job->waiters) {
        gi_fetch *w = job->waiters;
        job->waiters = w->next;
        result.bytes = gi_fetch_bytes_ref(job->bytes);
        deliver(w, &result);
    }
}

/* Whether a job may start beside n_running others. Those that run lie at the front, so that of a
 * scope which has its share few are counted. */
static bool may_start(const gi_fetcher *f, const gi_fetch_job *job, size_t n_running) {
    const size_t n_max = (size_t)f->env.config.transfers_max;
    if (n_running >= n_max) return false;
    if (!f->env.config.has_tenants) return true;
    const size_t n_free = n_max - n_running;
    size_t n_own = 0;
    for (const gi_fetch_job *other = f->jobs; other && n_own < n_free; other = other->next)
        n_own += other->has_started && memcmp(&other->scope, &job->scope, sizeof job->scope) == 0;
    return n_own < n_free;
}

/* Others who wait go before it. */
static void move_to_the_end(gi_fetch_job **at) {
    gi_fetch_job *job = *at;
    *at = job->next;
    job->next = NULL;
    while (*at) at = &(*at)->next;
    *at = job;
}

/* Move every job on that can move without waiting; how long the rest may wait. */
static double step_jobs(gi_fetcher *f) {
    double next_ms = INFINITY;
    size_t n_running = 0;
    for (const gi_fetch_job *job = f->jobs; job; job = job->next) n_running += job->has_started;
    gi_fetch_job **at = &f->jobs;
    while (*at) {
        gi_fetch_job *job = *at;
        const double now_ms = gi_clock_ms();
        next_ms = fmin(next_ms, reap_waiters(f, job, now_ms));
        if (job->waiters && !job->has_started && may_start(f, job, n_running)) {
            start(job, now_ms);
            n_running++;
        }
        if (job->waiters) gi_fetch_job_step(job, now_ms);
        if (job->is_over && job->is_late) {
            make_ready_for_the_rest(job, now_ms);
            n_running--;
            move_to_the_end(at);
            next_ms = 0;
            continue;
        }
        if (job->is_over) deliver_all(job);
        if (!job->waiters) {
            *at = job->next;
            n_running -= job->has_started;
            gi_fetch_job_free(job);
            next_ms = 0; /* another may start now */
            continue;
        }
        if (job->has_started) {
            next_ms = fmin(next_ms, job->deadline_ms);
            if (job->resolve) next_ms = fmin(next_ms, now_ms + gi_resolve_wait_ms(job->resolve));
        }
        at = &job->next;
    }
    return next_ms;
}

static void step_transfers(gi_fetcher *f) {
    int n;
    curl_multi_perform(f->env.multi, &n);
    for (CURLMsg *m; (m = curl_multi_info_read(f->env.multi, &n));) {
        gi_fetch_job *job = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        const CURLcode code = m->data.result; /* the message dies with its handle */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&job);
        gi_fetch_job_on_transfer(job, code, gi_clock_ms());
    }
}

/* Sleep until something may have moved: a transfer, a lookup, the inbox, a deadline. */
static void wait_for_more(gi_fetcher *f, double until_ms) {
    struct curl_waitfd fds[TRANSFERS_MAX * GI_RESOLVE_FDS_MAX];
    unsigned n = 0;
    for (const gi_fetch_job *job = f->jobs; job; job = job->next) {
        struct pollfd mine[GI_RESOLVE_FDS_MAX];
        const size_t n_mine = job->resolve ? gi_resolve_fds(job->resolve, mine) : 0;
        for (size_t i = 0; i < n_mine; i++) {
            fds[n].fd = mine[i].fd;
            fds[n].events = (short)((mine[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                    (mine[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0));
            fds[n++].revents = 0;
        }
    }
    const double ms = fmin(fmax(ceil(until_ms - gi_clock_ms()), 0), POLL_MS_MAX);
    curl_multi_poll(f->env.multi, fds, n, (int)ms, NULL);
}

static void *fetcher_main(void *arg) {
    gi_fetcher *f = arg;
    while (!atomic_load(&f->is_stopping)) {
        take_inbox(f);
        step_transfers(f);
        const double until_ms = step_jobs(f);
        wait_for_more(f, until_ms);
    }
    take_inbox(f);
    for (gi_fetch_job *job = f->jobs; job; job = f->jobs) {
        f->jobs = job->next;
        for (gi_fetch *w = job->waiters; w; w = job->waiters) {
            job->waiters = w->next;
            deliver_failure(w, GLINT_ERR_CANCELLED, "the server ends");
        }
        gi_fetch_job_free(job);
    }
    return NULL;
}

/* ---- life ---- */

gi_fetch_config gi_fetch_config_default(void) {
    return (gi_fetch_config){
        .file_bytes_max = 10 << 20,
        .held_bytes_max = 256 << 20,
        .kept_bytes_max = 64 << 20,
        .total_ms = 5000,
        .connect_ms = 2000,
        .rate_min_bytes_s = 1024,
        .transfers_max = 32,
        .waiting_max = 1024,
    };
}

int64_t gi_fetch_files_max(const gi_fetch_config *config) {
    return config->transfers_max * FILES_OF_A_TRANSFER + KEPT_CONNECTIONS + FILES_OF_THE_THREAD;
}

static glint_status check_config(const gi_fetch_config *c, glint_error *err) {
    if (c->n_hosts < 1 || c->n_hosts > GI_FETCH_HOSTS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "fetching pictures: 1 to %d hosts", GI_FETCH_HOSTS_MAX);
    if (c->n_ports > GI_FETCH_PORTS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "fetching pictures: at most %d ports",
                       GI_FETCH_PORTS_MAX);
    if (c->file_bytes_max < 1 || c->held_bytes_max < c->file_bytes_max || c->kept_bytes_max < 0 ||
        c->total_ms < 1 || c->connect_ms < 1 || c->rate_min_bytes_s < 0 || c->transfers_max < 1 ||
        c->transfers_max > TRANSFERS_MAX || c->waiting_max < 1 || c->waiting_max > WAITING_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "fetching pictures: a limit is out of range");
    return GLINT_OK;
}

static glint_status fill_env(gi_fetch_env *env, const gi_fetch_config *c, glint_error *err) {
    env->config = *c;
    env->budget.max_bytes = (size_t)c->held_bytes_max + (size_t)c->kept_bytes_max;
    for (size_t i = 0; i < c->n_hosts; i++)
        GI_TRY(gi_host_pattern_parse(c->hosts[i], &env->patterns[i], err));
    for (size_t i = 0; i < c->n_ports; i++) {
        if (c->ports[i] < 1 || c->ports[i] > UINT16_MAX)
            return gi_fail(err, GLINT_ERR_ARG, "fetching pictures: a port is out of range");
        env->ports[i] = (uint16_t)c->ports[i];
    }
    if (c->ca_file) {
        if (access(c->ca_file, R_OK) != 0)
            return gi_fail(err, GLINT_ERR_IO, "%s: cannot be read", c->ca_file);
        env->ca_file = gi_strndup(c->ca_file, strlen(c->ca_file));
        if (!env->ca_file) return gi_fail(err, GLINT_ERR_MEMORY, "no memory");
    }
    env->config.hosts = NULL;
    env->config.ports = NULL;
    env->config.ca_file = NULL;
    GI_TRY(gi_cache_create((size_t)c->kept_bytes_max, &env->cache, err));
    env->multi = curl_multi_init();
    if (!env->multi) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for connections");
    curl_multi_setopt(env->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    curl_multi_setopt(env->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return GLINT_OK;
}

glint_status gi_fetcher_create(const gi_fetch_config *config, gi_fetcher **ret, glint_error *err) {
    GI_TRY(check_config(config, err));
    /* Counted by libcurl, and safe in any thread since 7.84. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return gi_fail(err, GLINT_ERR_MEMORY, "libcurl does not start");
    gi_fetcher *f = gi_calloc(1, sizeof *f);
    if (!f) {
        curl_global_cleanup();
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the fetcher");
    }
    pthread_mutex_init(&f->lock, NULL);
    glint_status st = fill_env(&f->env, config, err);
    if (st == GLINT_OK) {
        f->has_thread = gi_thread_start(&f->thread, fetcher_main, f);
        if (!f->has_thread) st = gi_fail(err, GLINT_ERR_MEMORY, "cannot start a thread");
    }
    if (st != GLINT_OK) {
        gi_fetcher_free(f);
        return st;
    }
    *ret = f;
    return GLINT_OK;
}

void gi_fetcher_free(gi_fetcher *f) {
    if (!f) return;
    if (f->has_thread) {
        atomic_store(&f->is_stopping, true);
        curl_multi_wakeup(f->env.multi);
        pthread_join(f->thread, NULL);
    }
    if (f->env.multi) curl_multi_cleanup(f->env.multi);
    gi_cache_free(f->env.cache);
    gi_assert(atomic_load(&f->env.budget.used_bytes) == 0);
    gi_free(f->env.ca_file);
    pthread_mutex_destroy(&f->lock);
    gi_free(f);
    curl_global_cleanup();
}

void gi_fetcher_set_off(gi_fetcher *f, bool is_off) {
    atomic_store(&f->is_off, is_off);
    curl_multi_wakeup(f->env.multi);
}

bool gi_fetcher_is_off(const gi_fetcher *f) {
    return atomic_load(&f->is_off);
}

/* ---- fetches ---- */

/* What the store has of a URL; NULL: nothing, or there is a copy here. */
static gi_fetch_bytes *look_into_store(gi_fetcher *f, const gi_fetch *w) {
    gi_fetch_env *env = &f->env;
    const gi_fetch_store *store = &env->config.store;
    gi_digest key;
    gi_buf file;
    if (!store->find || w->no_cache) return NULL;
    gi_kept *kept = gi_kept_get(env->cache, &w->scope, &w->url);
    const bool is_here = kept && gi_clock_ms() < kept->fresh_until_ms;
    gi_kept_unref(env->cache, kept);
    if (is_here || !gi_fetch_env_key(env, &w->scope, &w->url, &key) ||
        !store->find(store->ctx, &key, &file))
        return NULL;
    gi_fetch_bytes *bytes = NULL;
    const size_t n = file.len;
    if (n > 0 && n <= (size_t)env->config.file_bytes_max && gi_fetch_budget_take(&env->budget, n)) {
        bytes = gi_fetch_bytes_create(&file, &env->budget);
        if (!bytes) gi_fetch_budget_give(&env->budget, n);
    }
    gi_buf_done(&file);
    if (bytes) atomic_fetch_add(&env->n_stored_used, 1);
    return bytes;
}

static glint_status begin(gi_fetcher *f, const gi_fetch_request *request, gi_fetch **ret,
                          glint_error *err) {
    if (atomic_load(&f->is_off)) return gi_fail(err, GLINT_ERR_UNSUPPORTED, SWITCHED_OFF);
    gi_fetch *w = gi_calloc(1, sizeof *w);
    if (!w) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a fetch");
    glint_status st = gi_url_parse(request->url, request->n, &w->url, err);
    if (st == GLINT_OK) st = gi_fetch_env_check(&f->env, &w->url, err);
    if (st == GLINT_OK)
        st = gi_sha256_of_bytes("glint fetch scope 1", request->scope, strlen(request->scope),
                                &w->scope, err);
    if (st == GLINT_OK && atomic_fetch_add(&f->n_waiting, 1) >= (size_t)f->env.config.waiting_max) {
        atomic_fetch_sub(&f->n_waiting, 1);
        st = gi_fail(err, GLINT_ERR_BUSY, "too many pictures are being fetched");
    }
    if (st != GLINT_OK) {
        gi_free(w);
        return st;
    }
    w->owner = f;
    w->no_cache = request->no_cache;
    w->deadline_ms = gi_clock_ms() + request->timeout_ms;
    w->left_ms = (double)f->env.config.total_ms;
    w->until_ms = INFINITY;
    w->on_done = request->on_done;
    w->ctx = request->ctx;
    atomic_init(&w->is_cancelled, false);
    atomic_init(&w->n_owners, 2);
    w->stored = look_into_store(f, w);
    *ret = w; /* before the thread may call on_done */
    pthread_mutex_lock(&f->lock);
    w->next = f->inbox;
    f->inbox = w;
    pthread_mutex_unlock(&f->lock);
    curl_multi_wakeup(f->env.multi);
    return GLINT_OK;
}

glint_status gi_fetch_begin(gi_fetcher *f, const gi_fetch_request *request, gi_fetch **ret,
                            glint_error *err) {
    atomic_fetch_add(&f->n_begun, 1);
    const glint_status st = begin(f, request, ret, err);
    if (st != GLINT_OK) atomic_fetch_add(&f->n_failed, 1);
    return st;
}

void gi_fetch_cancel(gi_fetch *fetch) {
    atomic_store(&fetch->is_cancelled, true);
    curl_multi_wakeup(fetch->owner->env.multi);
}

void gi_fetch_free(gi_fetch *fetch) {
    if (fetch) disown(fetch);
}

gi_fetch_stats gi_fetcher_get_stats(gi_fetcher *f) {
    const gi_cache_stats kept = gi_cache_get_stats(f->env.cache);
    return (gi_fetch_stats){
        .n_begun = atomic_load(&f->n_begun),
        .n_joined = atomic_load(&f->n_joined),
        .n_failed = atomic_load(&f->n_failed),
        .n_lookups = atomic_load(&f->env.n_lookups),
        .n_transfers = atomic_load(&f->env.n_transfers),
        .n_kept_used = atomic_load(&f->env.n_kept_used),
        .n_kept_missed = atomic_load(&f->env.n_kept_missed),
        .n_kept_evicted = kept.n_evictions,
        .kept_bytes = kept.n_bytes,
        .n_stored_used = atomic_load(&f->env.n_stored_used),
        .n_waiting = atomic_load(&f->n_waiting),
        .used_bytes = atomic_load(&f->env.budget.used_bytes),
    };
}
