/**
 * @file
 * One connection to Redis. Everything has an absolute deadline: a server that answers byte by byte
 * does not get more time than one that is silent.
 *
 * Threads: one at a time per connection.
 */
#ifndef GI_STORE_REDIS_CONN_H
#define GI_STORE_REDIS_CONN_H

#include "store/redis_url.h"
#include "store/resp.h"

struct ssl_ctx_st;

/** Most replies of one exchange. */
#define GI_REDIS_REPLIES_MAX 192

typedef struct gi_redis_conn gi_redis_conn;

typedef struct gi_redis_target {
    gi_redis_url url;
    struct ssl_ctx_st *tls; /**< of OpenSSL; NULL without TLS */
    size_t reply_bytes_max; /**< longest string in a reply */
} gi_redis_target;

/** The TLS side of a target: certificates are checked against ca_file (NULL: the system's roots)
 * and the host's name. GLINT_ERR_IO (file), GLINT_ERR_MEMORY. Nothing to do without TLS. */
glint_status gi_redis_target_init_tls(gi_redis_target *t, const char *ca_file, glint_error *err);
void gi_redis_target_done(gi_redis_target *t);

/**
 * Connect, shake hands, log in, choose the database and hear one PONG.
 * @return GLINT_ERR_IO (lookup, connection, TLS), GLINT_ERR_FORMAT (not Redis' protocol, or it
 *         refuses the login or the database), GLINT_ERR_DEADLINE, GLINT_ERR_MEMORY.
 */
glint_status gi_redis_conn_open(const gi_redis_target *target, double until_ms, gi_redis_conn **ret,
                                glint_error *err);

/** NULL is fine. */
void gi_redis_conn_close(gi_redis_conn *c);

/** False when the other side has closed an idle connection, or says what nobody asked for. */
bool gi_redis_conn_is_quiet(const gi_redis_conn *c);

/**
 * Send commands and wait for their replies. After any failure the connection must be closed.
 * @param replies [n_replies] n_replies <= GI_REDIS_REPLIES_MAX; their bytes are valid until the
 *                next exchange or gi_redis_conn_take.
 * Errors as gi_redis_conn_open.
 */
glint_status gi_redis_conn_exchange(gi_redis_conn *c, const gi_buf *commands, size_t n_replies,
                                    double until_ms, gi_resp_reply *replies, glint_error *err);

/** Take the memory of the last replies; `ret` is then the caller's, and the replies point into it.
 */
void gi_redis_conn_take(gi_redis_conn *c, gi_buf *ret);

#endif
