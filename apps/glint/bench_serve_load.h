/**
 * @file
 * The load itself: one thread, libcurl's multi interface on epoll, connections kept alive.
 *
 * Open loop: requests are due at the times of a plan drawn beforehand and are sent then, whatever
 * became of the ones before. Closed loop: each client is due again when it has its answer and has
 * thought. A latency begins when the request was due, so a request that had to wait for a free
 * connection, or for the generator, counts in full.
 */
#ifndef APPS_GLINT_BENCH_SERVE_LOAD_H
#define APPS_GLINT_BENCH_SERVE_LOAD_H

#include "bench_serve_body.h"
#include "bench_serve_result.h"

/** Most connections of requests, and so most clients. */
#define GI_LOAD_CONNECTIONS_MAX 10000

typedef struct gi_load_settings {
    const char *url;              /**< "http://127.0.0.1:8080", no slash at its end */
    const char *token;            /**< Authorization: Bearer; NULL = none */
    const gi_load_recipe *recipe; /**< and what it points at: must outlive the load */
    size_t connections_max;       /**< open loop: further requests wait for one */
    double think_ms;              /**< closed loop: between an answer and the next request */
    double give_up_ms;            /**< after due: the request has failed */
    double settle_ms;             /**< load before the window */
    double window_ms;
    double deadline_ms; /**< 0 = none */
    uint64_t seed;      /**< of the arrivals */
} gi_load_settings;

typedef struct gi_load gi_load;

/** Make a load. GLINT_ERR_MEMORY, GLINT_ERR_IO (epoll, timer). Free with gi_load_free. */
glint_status gi_load_create(const gi_load_settings *s, gi_load **ret, glint_error *err);

/**
 * Run one stage to its end: until every request is answered or given up.
 *
 * @param ret zero-initialised; the caller calls gi_load_result_done always.
 * @return GLINT_ERR_MEMORY, GLINT_ERR_LIMIT (too many requests), GLINT_ERR_IO (epoll). That a
 *         request fails is no failure of the load.
 */
glint_status gi_load_run(gi_load *load, const gi_load_stage *stage, gi_load_result *ret,
                         glint_error *err);

/** Close all connections and free. NULL is fine. */
void gi_load_free(gi_load *load);

#endif
