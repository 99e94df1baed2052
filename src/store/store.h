/**
 * @file
 * What several glint processes share through Redis: values that were dear to make, and tallies for
 * limits they keep together. An advantage while it lasts, never a need: whatever Redis does, a
 * caller gets a value that glint wrote, or none, within the timeout; and who stores does not wait.
 *
 *     gi_store_settings settings = gi_store_settings_default();
 *     settings.url = "redis://127.0.0.1:6379";
 *     settings.secret_file = "redis.secret";
 *     gi_store_create(&settings, &store, &err);
 *     gi_store_found found;
 *     if (gi_store_get(store, GI_STORE_ANSWER, &key, &found)) {
 *         ... found.bytes [found.n] ...
 *         gi_store_found_done(&found);
 *     } else {
 *         ... make it ...
 *         gi_store_put(store, GI_STORE_ANSWER, &key, bytes, n, ttl_ms);
 *     }
 *
 * Commands used: AUTH SELECT PING, GET, SET with PX, INCRBY, PEXPIRE. Nothing is ever written
 * without a time to live. Threads: any, for all but create and free.
 */
#ifndef GI_STORE_STORE_H
#define GI_STORE_STORE_H

#include "store/redis_pool.h"
#include "store/store_value.h"

typedef struct gi_store gi_store;

typedef struct gi_store_settings {
    const char *url;           /**< see store/redis_url.h */
    const char *secret_file;   /**< see gi_store_secret_load */
    const char *password_file; /**< in place of the URL's password; NULL = none */
    const char *ca_file;       /**< PEM file of trusted roots for rediss; NULL = the system's */
    const char *prefix;        /**< of every key: 1..64 printable bytes without a space */
    int64_t timeout_ms;        /**< for one answer of Redis, everything included */
    int64_t connect_ms;        /**< for making a connection; nobody waits for that */
    int64_t n_connections;
    int64_t value_bytes_max; /**< larger values are neither stored nor read */
    int64_t queue_bytes_max; /**< values waiting to be stored; more are dropped */
    int64_t ttl_ms;          /**< longest time a value is kept */
} gi_store_settings;

/** The defaults of all numbers and the prefix. */
gi_store_settings gi_store_settings_default(void);

/**
 * Check the settings, read the files and start two threads. Redis need not be there.
 * @param settings  copied with all it points to.
 * @return GLINT_ERR_ARG, GLINT_ERR_IO (a file), GLINT_ERR_MEMORY.
 */
glint_status gi_store_create(const gi_store_settings *settings, gi_store **ret, glint_error *err);

/** Drop what waits to be stored, end the threads, free. NULL is fine. */
void gi_store_free(gi_store *s);

/** A value that was found. */
typedef struct gi_store_found {
    const uint8_t *bytes; /**< [n], aligned for any type */
    size_t n;
    gi_buf buf; /**< where they lie */
} gi_store_found;

/** Free. */
void gi_store_found_done(gi_store_found *found);

/** Look for a value; waits for timeout_ms at most. False: there is none, or none to trust. */
bool gi_store_get(gi_store *s, gi_store_kind kind, const gi_digest *key, gi_store_found *ret);

/** Store a copy of a value some time soon, for ttl_ms but at most the settings' time. Does not
 * wait; drops it when Redis is away or too much is waiting. */
void gi_store_put(gi_store *s, gi_store_kind kind, const gi_digest *key, const void *bytes,
                  size_t n_bytes, int64_t ttl_ms);

/** Whether a value of this size would be stored now: worth making one. */
bool gi_store_takes(gi_store *s, size_t n_bytes);

/** The settings' ttl_ms and value_bytes_max, header taken off. */
int64_t gi_store_ttl_ms(const gi_store *s);
size_t gi_store_value_bytes_max(const gi_store *s);

/* ---- tallies ---- */

/** Most tallies of one call. */
#define GI_STORE_TALLIES_MAX 64

/** What a level was when a tally stood at `total`: written beside it, as an authenticated value. */
typedef struct gi_store_mark {
    int64_t total;
    double level;
    int64_t at_unix_ms;
} gi_store_mark;

/** A number that many processes add to. */
typedef struct gi_store_tally {
    gi_digest key;
    int64_t add, ttl_ms;
    bool is_known; /**< out: Redis has added, and `total` is the sum of all */
    int64_t total;
    bool has_mark; /**< out of add, in to mark */
    gi_store_mark mark;
} gi_store_tally;

/** Add to n tallies and read their marks, in one exchange. False: nothing is known of any; some may
 * have been added to. */
bool gi_store_tally_add(gi_store *s, gi_store_tally *tallies, size_t n);

/** Write the marks of those that have one, in one exchange. */
bool gi_store_tally_mark(gi_store *s, const gi_store_tally *tallies, size_t n);

/* ---- what it did ---- */

typedef struct gi_store_kind_stats {
    uint64_t n_hits, n_misses; /**< looked up; misses for whatever reason */
    uint64_t n_stored;
    uint64_t n_refused; /**< values that glint did not write like this */
} gi_store_kind_stats;

typedef struct gi_store_stats {
    gi_store_kind_stats kinds[GI_STORE_KINDS]; /**< by gi_store_kind; 0 is empty */
    uint64_t n_errors;   /**< Redis said no, broke the protocol or the connection */
    uint64_t n_timeouts; /**< it was too slow */
    uint64_t n_skipped;  /**< not asked: the breaker was open, or all connections in use */
    uint64_t n_dropped;  /**< values not stored: too large, too many waiting, Redis away */
    uint64_t n_tally_failures;
    size_t queue_bytes; /**< waiting to be stored */
    gi_redis_pool_stats pool;
} gi_store_stats;

/** "answer", "picture", "fetched", "limit". */
const char *gi_store_kind_name(gi_store_kind kind);

gi_store_stats gi_store_get_stats(gi_store *s);

#endif
