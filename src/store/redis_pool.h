/**
 * @file
 * A few connections to Redis that are kept open, and the decision whether to bother it at all: a
 * circuit breaker. One thread of its own, the keeper, makes every connection, so that nobody else
 * ever waits for a lookup, a handshake or a login: who finds no connection goes without.
 *
 *     closed     connections are handed out; the keeper replaces those that broke
 *     open       after failures_max failures in a row: nobody gets one, and the keeper waits
 *     half open  the wait is over: the keeper connects and hears a PONG, or waits twice as long
 *
 * The first use after half open decides: if it fails, the breaker opens again, and the wait goes on
 * doubling. The pool begins half open. Changes are logged.
 */
#ifndef GI_STORE_REDIS_POOL_H
#define GI_STORE_REDIS_POOL_H

#include "store/redis_conn.h"

#define GI_REDIS_CONNECTIONS_MAX 64

typedef enum gi_breaker_state {
    GI_BREAKER_CLOSED,
    GI_BREAKER_OPEN,
    GI_BREAKER_HALF_OPEN
} gi_breaker_state;

typedef struct gi_redis_pool_config {
    const gi_redis_target *target; /**< borrowed */
    size_t n_connections;          /**< 1..GI_REDIS_CONNECTIONS_MAX */
    unsigned failures_max;         /**< >= 1 */
    double connect_ms;             /**< the keeper's patience with one connection */
    double wait_min_ms, wait_max_ms;
} gi_redis_pool_config;

typedef struct gi_redis_pool gi_redis_pool;

/** Start the keeper. GLINT_ERR_MEMORY. Redis need not be there. */
glint_status gi_redis_pool_create(const gi_redis_pool_config *config, gi_redis_pool **ret,
                                  glint_error *err);

/** All connections must have been given back. Waits for a connection that is being made. NULL is
 * fine. */
void gi_redis_pool_free(gi_redis_pool *p);

/** A connection for one or more exchanges; NULL when the breaker is not closed, or none was free in
 * time. Any thread. */
gi_redis_conn *gi_redis_pool_take(gi_redis_pool *p, double until_ms);

/** Give it back. @param is_good  every exchange worked; else it is closed, and counts as a failure.
 */
void gi_redis_pool_give(gi_redis_pool *p, gi_redis_conn *c, bool is_good);

typedef struct gi_redis_pool_stats {
    gi_breaker_state state;
    size_t n_connections;                    /**< open now */
    uint64_t n_connects, n_connect_failures; /**< tried, and in vain */
    uint64_t n_opened;                       /**< how often the breaker has opened */
} gi_redis_pool_stats;

gi_redis_pool_stats gi_redis_pool_get_stats(gi_redis_pool *p);

#endif
