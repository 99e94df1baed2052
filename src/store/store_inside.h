/**
 * @file
 * Inside the store: what store.c, store_writer.c and tally.c share.
 */
#ifndef GI_STORE_STORE_INSIDE_H
#define GI_STORE_STORE_INSIDE_H

#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define GI_STORE_PREFIX_BYTES 65
/** Room for a key of Redis: prefix, ":a:", 64 hex digits. */
#define GI_STORE_KEY_BYTES    (GI_STORE_PREFIX_BYTES + 4 + GI_DIGEST_HEX_BYTES)

typedef struct gi_store_item gi_store_item;

struct gi_store {
    gi_store_settings settings; /**< its texts are not kept */
    char prefix[GI_STORE_PREFIX_BYTES];
    gi_store_secret secret;
    gi_redis_target target;
    gi_redis_pool *pool;
    /* The writer's; see store_writer.c. */
    pthread_t writer;
    bool has_writer, is_stopping;
    pthread_mutex_t lock;
    pthread_cond_t cv;
    gi_store_item *oldest, **end;
    size_t n_queued, queue_bytes;
    struct {
        atomic_uint_fast64_t n_hits, n_misses, n_stored, n_refused;
    } kinds[GI_STORE_KINDS];
    atomic_uint_fast64_t n_errors, n_timeouts, n_skipped, n_dropped, n_tally_failures;
};

/** The name of a value in Redis, and the digest in it. */
typedef struct gi_store_key {
    gi_digest name;
    char text[GI_STORE_KEY_BYTES];
} gi_store_key;

/** What a kind's keys have in Redis: the first letter of its name. */
char gi_store_kind_letter(gi_store_kind kind);

/** @param letter what kind of key, in Redis. */
glint_status gi_store_key_make(const gi_store *s, gi_store_kind kind, char letter,
                               const gi_digest *key, gi_store_key *ret);

/** Append the command that stores `contents`, sealed, for ttl_ms. */
glint_status gi_store_push_set(const gi_store *s, gi_store_kind kind, const gi_digest *key,
                               int64_t ttl_ms, const void *contents, size_t n, gi_buf *out);

/** Connection, exchange, counters. On success the connection is *ret_conn's, to be given back as
 * good or, when the replies make no sense, as bad. */
bool gi_store_exchange(gi_store *s, const gi_buf *commands, size_t n_replies,
                       gi_resp_reply *replies, gi_redis_conn **ret_conn);

/** Start and end the thread that stores. */
glint_status gi_store_writer_start(gi_store *s, glint_error *err);
void gi_store_writer_stop(gi_store *s);

#endif
