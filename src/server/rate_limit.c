/*
 * A fixed array of buckets, found through a hash table, in a list by last use. A bucket stores its
 * level and when that was; time is added on the next look. A bucket that gives way to another comes
 * back full: n_keys_max should be above the number of names that are busy at once.
 *
 * Names may be chosen by strangers (addresses), so the hash begins with a random number; whatever
 * they choose, a look costs at most one walk over all buckets.
 */
#include "server/rate_limit.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

enum { NONE = -1 };

typedef struct bucket {
    char key[GI_RATE_KEY_BYTES_MAX + 1];
    double level, at_ms;
    int32_t next_in_chain, newer, older;
    uint32_t chain;
} bucket;

typedef struct local {
    gi_rate_limiter base;
    pthread_mutex_t lock;
    bucket *buckets; /* [n_max], n in use */
    int32_t *chains; /* [n_chains], a power of two */
    uint32_t n, n_max, n_chains;
    int32_t newest, oldest;
    uint64_t seed;
} local;

static uint32_t chain_of(const local *l, const char *key) {
    return (uint32_t)gi_hash_name(l->seed, key) & (l->n_chains - 1);
}

static void unlink_use(local *l, int32_t i) {
    const bucket *b = &l->buckets[i];
    if (b->newer != NONE)
        l->buckets[b->newer].older = b->older;
    else
        l->newest = b->older;
    if (b->older != NONE)
        l->buckets[b->older].newer = b->newer;
    else
        l->oldest = b->newer;
}

static void link_newest(local *l, int32_t i) {
    bucket *b = &l->buckets[i];
    b->newer = NONE;
    b->older = l->newest;
    if (l->newest != NONE) l->buckets[l->newest].newer = i;
    l->newest = i;
    if (l->oldest == NONE) l->oldest = i;
}

static void unlink_chain(local *l, int32_t i) {
    int32_t *at = &l->chains[l->buckets[i].chain];
    while (*at != i) at = &l->buckets[*at].next_in_chain;
    *at = l->buckets[i].next_in_chain;
}

static int32_t find(const local *l, const char *key) {
    int32_t i = l->chains[chain_of(l, key)];
    while (i != NONE && strcmp(l->buckets[i].key, key) != 0) i = l->buckets[i].next_in_chain;
    return i;
}

/* The bucket of a name, the newest in use from now on. */
static bucket *find_or_make(local *l, const char *key, double burst, double now_ms) {
    int32_t i = find(l, key);
    if (i != NONE) {
        unlink_use(l, i);
        link_newest(l, i);
        return &l->buckets[i];
    }
    if (l->n < l->n_max) {
        i = (int32_t)l->n++;
    } else {
        i = l->oldest;
        unlink_use(l, i);
        unlink_chain(l, i);
    }
    bucket *b = &l->buckets[i];
    memcpy(b->key, key, strlen(key) + 1);
    b->level = burst;
    b->at_ms = now_ms;
    b->chain = chain_of(l, key);
    b->next_in_chain = l->chains[b->chain];
    l->chains[b->chain] = i;
    link_newest(l, i);
    return b;
}

static void fill(bucket *b, gi_rate_rule rule, double now_ms) {
    if (now_ms > b->at_ms) {
        b->level += (now_ms - b->at_ms) * rule.per_s / 1e3;
        b->at_ms = now_ms;
    }
    if (b->level > rule.burst) b->level = rule.burst;
}

static gi_rate_verdict judge(double level, gi_rate_rule rule, double cost) {
    const double needed = cost < rule.burst ? cost : rule.burst;
    gi_rate_verdict v = {.is_allowed = level >= needed, .remaining = level};
    if (!v.is_allowed) v.retry_ms = (needed - level) / rule.per_s * 1e3;
    v.until_full_ms = (rule.burst - level) / rule.per_s * 1e3;
    return v;
}

static gi_rate_verdict take(gi_rate_limiter *self, const char *key, gi_rate_rule rule, double cost,
                            double now_ms) {
    local *l = (local *)(void *)self;
    gi_assert(strlen(key) <= GI_RATE_KEY_BYTES_MAX);
    if (rule.per_s <= 0) return (gi_rate_verdict){.is_allowed = true};
    pthread_mutex_lock(&l->lock);
    bucket *b = find_or_make(l, key, rule.burst, now_ms);
    fill(b, rule, now_ms);
    gi_rate_verdict v = judge(b->level, rule, cost);
    if (v.is_allowed) {
        b->level -= cost;
        v.remaining = b->level;
        v.until_full_ms = (rule.burst - b->level) / rule.per_s * 1e3;
    }
    pthread_mutex_unlock(&l->lock);
    return v;
}

/* Makes no bucket: what is unknown is full. */
static gi_rate_verdict peek(gi_rate_limiter *self, const char *key, gi_rate_rule rule, double cost,
                            double now_ms) {
    local *l = (local *)(void *)self;
    if (rule.per_s <= 0) return (gi_rate_verdict){.is_allowed = true};
    pthread_mutex_lock(&l->lock);
    const int32_t i = find(l, key);
    if (i != NONE) fill(&l->buckets[i], rule, now_ms);
    const gi_rate_verdict v = judge(i != NONE ? l->buckets[i].level : rule.burst, rule, cost);
    pthread_mutex_unlock(&l->lock);
    return v;
}

void gi_rate_limiter_local_set(gi_rate_limiter *self, const char *key, gi_rate_rule rule,
                               double level, double now_ms) {
    local *l = (local *)(void *)self;
    gi_assert(strlen(key) <= GI_RATE_KEY_BYTES_MAX);
    pthread_mutex_lock(&l->lock);
    bucket *b = find_or_make(l, key, rule.burst, now_ms);
    fill(b, rule, now_ms);
    b->level = level < rule.burst ? level : rule.burst;
    pthread_mutex_unlock(&l->lock);
}

static void free_local(gi_rate_limiter *self) {
    local *l = (local *)(void *)self;
    if (!l) return;
    pthread_mutex_destroy(&l->lock);
    gi_free(l->buckets);
    gi_free(l->chains);
    gi_free(l);
}

glint_status gi_rate_limiter_create_local(size_t n_keys_max, gi_rate_limiter **ret,
                                          glint_error *err) {
    gi_assert(n_keys_max >= 1 && n_keys_max <= 1u << 24);
    local *l = gi_calloc(1, sizeof *l);
    if (!l) return gi_fail(err, GLINT_ERR_MEMORY, "rate limiter: no memory");
    l->base = (gi_rate_limiter){.take = take, .peek = peek, .free = free_local};
    l->n_max = (uint32_t)n_keys_max;
    l->n_chains = 1;
    while (l->n_chains < 2 * l->n_max) l->n_chains *= 2;
    l->newest = l->oldest = NONE;
    l->buckets = gi_calloc(l->n_max, sizeof *l->buckets);
    l->chains = gi_calloc(l->n_chains, sizeof *l->chains);
    pthread_mutex_init(&l->lock, NULL);
    if (!l->buckets || !l->chains) {
        free_local(&l->base);
        return gi_fail(err, GLINT_ERR_MEMORY, "rate limiter: no memory");
    }
    for (uint32_t i = 0; i < l->n_chains; i++) l->chains[i] = NONE;
    /* Without randomness the seed is 0: a walk is bounded all the same. */
    if (getrandom(&l->seed, sizeof l->seed, 0) != sizeof l->seed) l->seed = 0;
    *ret = &l->base;
    return GLINT_OK;
}
