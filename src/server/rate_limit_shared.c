/*
 * A local limiter, a table of what was taken from it since the last round, and a thread that makes
 * the rounds. Taking and correcting happen under one lock, so that a correction knows exactly what
 * was taken since. The table has a fixed size: when more buckets are in use than it holds, what is
 * taken from the others stays unknown to the rest of the world for this round.
 */
#include "server/rate_limit_shared.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    TAKEN_MAX = 4096,
    SLOTS = 2 * TAKEN_MAX, /* a power of two */
    ROUND_MS = 20,
    TTL_MIN_MS = 60 * 1000,
    TTL_MAX_MS = 24 * 3600 * 1000,
};

static const double UNITS = 1e6;     /* of a tally in 1 */
static const double PLAUSIBLE = 1e3; /* bursts that a bucket may owe */

typedef struct taken {
    char key[GI_RATE_KEY_BYTES_MAX + 1];
    gi_rate_rule rule;
    double cost;
} taken;

/* What was taken since the last round. */
typedef struct taken_table {
    taken *all; /* [TAKEN_MAX] */
    size_t n;
    uint64_t seed;         /* random: names may be chosen by strangers */
    uint16_t slots[SLOTS]; /* index + 1 of an entry; 0 = free */
} taken_table;

typedef struct shared {
    gi_rate_limiter base;
    gi_rate_limiter *local;
    gi_store *store;
    char domain[32];
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* over `local` and all that follows */
    pthread_cond_t cv;
    taken_table tables[2];
    size_t i_open; /* the table that is added to; the other is the thread's */
    bool is_stopping;
} shared;

/* ---- what was taken ---- */

/* The entry of a key; NULL when there is none, and no room or no wish to make one. */
static taken *find_taken(taken_table *t, const char *key, bool may_make) {
    size_t slot = (size_t)gi_hash_name(t->seed, key) & (SLOTS - 1);
    for (; t->slots[slot]; slot = (slot + 1) & (SLOTS - 1))
        if (strcmp(t->all[t->slots[slot] - 1].key, key) == 0) return &t->all[t->slots[slot] - 1];
    if (!may_make || t->n == TAKEN_MAX) return NULL;
    taken *made = &t->all[t->n++];
    t->slots[slot] = (uint16_t)t->n;
    memcpy(made->key, key, strlen(key) + 1);
    made->cost = 0;
    return made;
}

static void clear_taken(taken_table *t) {
    t->n = 0;
    memset(t->slots, 0, sizeof t->slots);
}

/* ---- rounds, on the thread ---- */

double gi_rate_shared_level(gi_store_tally *tally, gi_rate_rule rule, double level_local,
                            int64_t now_unix_ms) {
    double level = level_local;
    const gi_store_mark *m = &tally->mark;
    /* Below its mark a tally was lost and begun anew: the mark says nothing any more. */
    if (tally->is_known && tally->has_mark && tally->total >= m->total) {
        const double passed_ms = fmax((double)(now_unix_ms - m->at_unix_ms), 0);
        const double shared_level = fmin(rule.burst, m->level + passed_ms / 1e3 * rule.per_s) -
                                    ((double)tally->total - (double)m->total) / UNITS;
        /* Nor does a sum that nobody can have reached. */
        if (shared_level > -PLAUSIBLE * rule.burst) level = shared_level;
    } else if (tally->is_known && tally->total > 0) {
        /* No mark: either the tally is new, and all of it was taken just now, by whomever; or the
         * mark was lost, and the bucket is empty at worst. */
        const double rest = fmax(rule.burst - (double)tally->total / UNITS, 0);
        level = fmin(level, rest);
    }
    tally->has_mark = tally->is_known;
    tally->mark = (gi_store_mark){.total = tally->total, .level = level, .at_unix_ms = now_unix_ms};
    return level;
}

static bool begin_tally(const shared *s, const taken *t, gi_store_tally *ret) {
    char name[sizeof s->domain + GI_RATE_KEY_BYTES_MAX + 2];
    const int n = snprintf(name, sizeof name, "%s/%s", s->domain, t->key);
    gi_digest key;
    if (gi_sha256_of_bytes("glint limit 1", name, (size_t)n, &key, NULL) != GLINT_OK) return false;
    const double fill_ms = t->rule.burst / t->rule.per_s * 1e3;
    *ret = (gi_store_tally){
        .key = key,
        .add = llround(t->cost * UNITS),
        .ttl_ms = (int64_t)fmin(TTL_MIN_MS + 4 * fill_ms, TTL_MAX_MS),
    };
    return true;
}

/* Put what the store said into the copies. The tallies get their new marks. */
static void correct(shared *s, const taken *const *of, gi_store_tally *tallies, size_t n) {
    const double now_ms = gi_clock_ms();
    const int64_t now_unix_ms = gi_store_unix_ms();
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        const taken *t = of[i];
        const taken *since = find_taken(&s->tables[s->i_open], t->key, false);
        const double cost_since = since ? since->cost : 0;
        const double level_local =
            s->local->peek(s->local, t->key, t->rule, 0, now_ms).remaining + cost_since;
        const double level = gi_rate_shared_level(&tallies[i], t->rule, level_local, now_unix_ms);
        if (tallies[i].is_known)
            gi_rate_limiter_local_set(s->local, t->key, t->rule, level - cost_since, now_ms);
    }
    pthread_mutex_unlock(&s->lock);
}

static void make_round(shared *s, const taken_table *t) {
    for (size_t begin = 0; begin < t->n;) {
        gi_store_tally tallies[GI_STORE_TALLIES_MAX];
        const taken *of[GI_STORE_TALLIES_MAX];
        size_t n = 0;
        for (; begin < t->n && n < GI_STORE_TALLIES_MAX; begin++) {
            of[n] = &t->all[begin];
            n += begin_tally(s, of[n], &tallies[n]);
        }
        /* Away: the rest would have to wait as long, and finds nothing either. */
        if (n == 0 || !gi_store_tally_add(s->store, tallies, n)) return;
        correct(s, of, tallies, n);
        gi_store_tally_mark(s->store, tallies, n);
    }
}

static void sleep_until(shared *s, double until_ms) {
    while (!s->is_stopping && gi_clock_ms() < until_ms)
        gi_cond_wait_until(&s->cv, &s->lock, until_ms);
}

static void *shared_main(void *arg) {
    shared *s = arg;
    double last_ms = -ROUND_MS;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->tables[s->i_open].n == 0 && !s->is_stopping) pthread_cond_wait(&s->cv, &s->lock);
        sleep_until(s, last_ms + ROUND_MS);
        if (s->is_stopping) break;
        taken_table *t = &s->tables[s->i_open];
        s->i_open = 1 - s->i_open;
        pthread_mutex_unlock(&s->lock);
        last_ms = gi_clock_ms();
        make_round(s, t);
        clear_taken(t);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the limiter ---- */

static gi_rate_verdict take(gi_rate_limiter *self, const char *key, gi_rate_rule rule, double cost,
                            double now_ms) {
    shared *s = (shared *)(void *)self;
    if (rule.per_s <= 0) return (gi_rate_verdict){.is_allowed = true};
    pthread_mutex_lock(&s->lock);
    const gi_rate_verdict v = s->local->take(s->local, key, rule, cost, now_ms);
    if (v.is_allowed) {
        taken *t = find_taken(&s->tables[s->i_open], key, true);
        if (t) {
            t->rule = rule;
            t->cost += cost;
        }
        if (s->tables[s->i_open].n == 1) pthread_cond_signal(&s->cv);
    }
    pthread_mutex_unlock(&s->lock);
    return v;
}

static gi_rate_verdict peek(gi_rate_limiter *self, const char *key, gi_rate_rule rule, double cost,
                            double now_ms) {
    shared *s = (shared *)(void *)self;
    pthread_mutex_lock(&s->lock);
    const gi_rate_verdict v = s->local->peek(s->local, key, rule, cost, now_ms);
    pthread_mutex_unlock(&s->lock);
    return v;
}

static void free_shared(gi_rate_limiter *self) {
    shared *s = (shared *)(void *)self;
    if (!s) return;
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->is_stopping = true;
        pthread_cond_signal(&s->cv);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    if (s->local) s->local->free(s->local);
    pthread_cond_destroy(&s->cv);
    pthread_mutex_destroy(&s->lock);
    gi_free(s->tables[0].all);
    gi_free(s->tables[1].all);
    gi_free(s);
}

glint_status gi_rate_limiter_create_shared(gi_store *store, const char *domain, size_t n_keys_max,
                                           gi_rate_limiter **ret, glint_error *err) {
    shared *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "rate limiter: no memory");
    s->base = (gi_rate_limiter){.take = take, .peek = peek, .free = free_shared};
    s->store = store;
    gi_assert(strlen(domain) < sizeof s->domain);
    memcpy(s->domain, domain, strlen(domain) + 1);
    pthread_mutex_init(&s->lock, NULL);
    gi_cond_init(&s->cv);
    glint_status st = gi_rate_limiter_create_local(n_keys_max, &s->local, err);
    for (size_t i = 0; i < 2; i++) {
        taken_table *t = &s->tables[i];
        t->all = gi_calloc(TAKEN_MAX, sizeof *t->all);
        /* Without randomness the seed is 0: a walk is bounded all the same. */
        if (getrandom(&t->seed, sizeof t->seed, 0) != sizeof t->seed) t->seed = 0;
    }
    if (st == GLINT_OK && (!s->tables[0].all || !s->tables[1].all))
        st = gi_fail(err, GLINT_ERR_MEMORY, "rate limiter: no memory");
    if (st == GLINT_OK) {
        s->has_thread = gi_thread_start(&s->thread, shared_main, s);
        if (!s->has_thread) st = gi_fail(err, GLINT_ERR_MEMORY, "rate limiter: no thread");
    }
    if (st != GLINT_OK) {
        free_shared(&s->base);
        return st;
    }
    *ret = &s->base;
    return GLINT_OK;
}
