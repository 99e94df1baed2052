/**
 * @file
 * The server: routes, and the steps from "listening" over "ready" to "drained". It listens before
 * the model is loaded, so that a supervisor can see that it lives.
 *
 *     gi_server_open(&settings, &server, &err);     // listens; /live works, /ready says 503
 *     gi_server_load(server, &err);                 // seconds for a large model
 *     ...                                           // serves on its own threads
 *     gi_server_drain(server);                      // finish what is under way
 *     gi_server_close(server);
 */
#ifndef GI_SERVER_SERVER_H
#define GI_SERVER_SERVER_H

#include <glint/glint.h>

#include "fetch/fetcher.h"
#include "server/access.h"
#include "server/audit.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/** Settings; every one is an option of `glint serve`, which states range and default. */
typedef struct gi_server_settings {
    const char *listen;          /**< see gi_listen_parse */
    bool allow_public_no_auth;   /**< serve other machines without authentication */
    gi_access_settings access;   /**< who may use what */
    glint_engine_options engine; /**< model_dir and the rest; max_side_px is the server's cap */
    int64_t queue_max;           /**< most requests that wait, else 429 */
    int64_t ready_max;           /**< most waiting requests with decoded pictures in memory */
    int64_t n_crew;              /**< threads that read requests and decode pictures */
    int64_t timeout_ms;          /**< deadline of a request, and the most it may ask for */
    int64_t step_max_ms;         /**< a step that takes longer is stuck; 0 = none is */
    int64_t drain_ms;            /**< patience of gi_server_drain */
    int64_t drain_delay_ms;      /**< before that, /ready says 503 and requests are still taken */
    gi_audit_settings audit;     /**< without a path there is no audit log */
    int64_t connections_max;
    int64_t connections_per_address_max;
    int64_t body_bytes_max;       /**< largest request body */
    int64_t body_bytes_total_max; /**< bodies of all requests together */
    int64_t answer_cache_bytes;   /**< answers kept for equal requests; 0 = none */
    gi_fetch_config fetch;        /**< pictures by URL; without hosts they are refused */
    gi_store_settings store;      /**< Redis; without a url: none */
    bool stores_answers, stores_pictures, stores_fetched, stores_limits; /**< what it is used for */
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
} gi_server_settings;

typedef struct gi_server gi_server;

/**
 * Listen and answer what can be answered without a model.
 * @param settings copied; its strings must outlive the server.
 * @return GLINT_ERR_ARG (bad or public address), GLINT_ERR_IO (cannot listen), GLINT_ERR_MEMORY;
 *         for the files of keys as gi_auth_create.
 */
glint_status gi_server_open(const gi_server_settings *settings, gi_server **ret, glint_error *err);

/** One route, for people: which there are and whom they are for. */
typedef struct gi_server_route {
    const char *method, *path, *access;
} gi_server_route;

/** The i-th route; false behind the last. */
bool gi_server_get_route(size_t i, gi_server_route *ret);

/** True when requests are asked for credentials. */
bool gi_server_has_auth(const gi_server *s);

/** Read the files of keys again; when that fails the old keys stay. Any thread. */
glint_status gi_server_reload(gi_server *s, glint_error *err);

/**
 * Read the directory of templates again; when that fails the old ones stay. One thread at a time.
 * Errors as glint_engine_reload_tasks; GLINT_ERR_BUSY while the model is loaded, which may have
 * read them already.
 */
glint_status gi_server_reload_tasks(gi_server *s, glint_error *err);

/** Switch fetching pictures by URL off or on again; without hosts it is off for good. Any thread.
 */
void gi_server_set_image_urls(gi_server *s, bool is_on);

/**
 * Take over what may change while the server runs: access as gi_access_change says, queue_max,
 * ready_max, timeout_ms, drain_ms and drain_delay_ms; the rest stays as it is. The thread of
 * gi_server_drain.
 */
void gi_server_change(gi_server *s, const gi_server_settings *settings);

/** Open the audit log again under its name; the old file is used when that fails. Any thread. */
glint_status gi_server_reopen_audit(gi_server *s, glint_error *err);

/** Count a reload, for the metrics. Any thread. */
void gi_server_count_reload(gi_server *s, bool ok);

/** "127.0.0.1:8080", with the port that was given for port 0. */
const char *gi_server_address(const gi_server *s);

/** Load the model and become ready. Errors as glint_engine_open. Any thread, once. */
glint_status gi_server_load(gi_server *s, glint_error *err);

/** What is loaded, or NULL before gi_server_load succeeded. Any thread. */
const glint_engine_info *gi_server_info(const gi_server *s);

/**
 * Say 503 to new requests and on /ready, and finish those under way within drain_ms; what is left
 * then is answered with 503.
 */
void gi_server_drain(gi_server *s);

/** Drain without patience, close all connections, free. NULL is fine. */
void gi_server_close(gi_server *s);

#endif
