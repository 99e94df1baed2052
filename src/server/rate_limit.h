/**
 * @file
 * Token buckets by name: how much of something a tenant or an address may use per second. The
 * caller brings the rule each time, so that a rule may change while its buckets live.
 *
 * What callers see is the interface below; gi_rate_limiter_create_local keeps the buckets in this
 * process, and server/rate_limit_shared.h lets several servers agree on theirs.
 */
#ifndef GI_SERVER_RATE_LIMIT_H
#define GI_SERVER_RATE_LIMIT_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>

/** Longest name of a bucket, without its zero. */
#define GI_RATE_KEY_BYTES_MAX 95

/** A bucket of `burst` units that fills at `per_s`. per_s = 0: no limit. */
typedef struct gi_rate_rule {
    double per_s; /**< units per second */
    double burst; /**< most units saved up, >= 1 when there is a limit */
} gi_rate_rule;

/** The burst of a rule that names none: ten seconds' worth, and never less than 1. */
static inline double gi_rate_default_burst(double per_s) {
    return per_s > 0.1 ? 10 * per_s : 1;
}

/** What a bucket said. */
typedef struct gi_rate_verdict {
    bool is_allowed;
    double remaining; /**< units left; below 0 after a cost above the burst */
    double retry_ms;  /**< when refused: until the same cost would be allowed */
    double until_full_ms;
} gi_rate_verdict;

typedef struct gi_rate_limiter gi_rate_limiter;

struct gi_rate_limiter {
    /**
     * Take `cost` units from the bucket `key`, or nothing when it has too few. A cost above the
     * burst is taken from a full bucket, which then owes the rest: so every cost is possible, and
     * the mean rate holds.
     *
     * @param key    1..GI_RATE_KEY_BYTES_MAX bytes; a new one begins full.
     * @param now_ms of a clock that does not go back.
     * Any thread. Does not fail: what a limiter cannot know it allows.
     */
    gi_rate_verdict (*take)(gi_rate_limiter *self, const char *key, gi_rate_rule rule, double cost,
                            double now_ms);
    /** What `take` would say, taking nothing. */
    gi_rate_verdict (*peek)(gi_rate_limiter *self, const char *key, gi_rate_rule rule, double cost,
                            double now_ms);
    void (*free)(gi_rate_limiter *self);
};

/**
 * Buckets in memory, at most n_keys_max; the one unused for longest gives way. All memory is taken
 * here. GLINT_ERR_MEMORY.
 */
glint_status gi_rate_limiter_create_local(size_t n_keys_max, gi_rate_limiter **ret,
                                          glint_error *err);

/** Set the level of a bucket of a local limiter, at most its burst; below 0 it owes. */
void gi_rate_limiter_local_set(gi_rate_limiter *self, const char *key, gi_rate_rule rule,
                               double level, double now_ms);

#endif
