/**
 * @file
 * Fetching pictures that a request names by URL, so that a stranger's URL can do no harm:
 *
 *   - off until a host is allowed; https alone unless told otherwise; a few ports;
 *   - one parser (fetch/url.h); what it returns is what is looked up, checked and connected to;
 *   - each name is looked up once per hop, every address of the answer is checked
 *     (fetch/ip_class.h), and one of the checked ones is connected to;
 *   - at most 3 redirects, each checked from the start, never from https to http;
 *   - limits on bytes, time, rate and how much is fetched at once, kept while bytes arrive;
 *   - no proxy, cookie, credential, other protocol or setting from the environment.
 *
 * One thread does all of it. Requests of one scope for a URL that is being fetched join that fetch;
 * it is given up when the last of them is gone. Each of them has total_ms for itself, which pass
 * while its URL is fetched and not while it waits for its turn. When the total_ms of the fetch are
 * over, those who were there from its start fail; for those who joined it later it begins anew, in
 * its turn, and they may have what is left of theirs. Replies are kept as their headers allow
 * (fetch/kept.h).
 *
 *     gi_fetcher_create(&config, &fetcher, &err);
 *     gi_fetch_begin(fetcher, &request, &fetch, &err);
 *     ... on_done(ctx, &result), on the fetcher's thread, exactly once ...
 *     gi_fetch_free(fetch);
 *
 * Messages of errors name the host and say why. They are for the server's log: told to a client,
 * they would let it feel its way through a network.
 */
#ifndef GI_FETCH_FETCHER_H
#define GI_FETCH_FETCHER_H

#include "base/buf.h"
#include "base/sha256.h"
#include "fetch/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Redirects that are followed. */
#define GI_FETCH_REDIRECTS_MAX 3

/** Most hosts and most extra ports. */
#define GI_FETCH_HOSTS_MAX 256
#define GI_FETCH_PORTS_MAX 16

/** A place where fetched files are kept for other processes, too. Unset: none. */
typedef struct gi_fetch_store {
    /** A file that may still be used without asking. On the thread of gi_fetch_begin, which waits.
     * @param ret  the caller frees it. */
    bool (*find)(void *ctx, const gi_digest *key, gi_buf *ret);
    /** Keep a copy for fresh_ms. On the fetcher's thread: must not wait. */
    void (*put)(void *ctx, const gi_digest *key, const uint8_t *bytes, size_t n_bytes,
                int64_t fresh_ms);
    void *ctx;
} gi_fetch_store;

typedef struct gi_fetch_config {
    const char *const *hosts; /**< [n_hosts] see fetch/host_list.h; at least one */
    size_t n_hosts;
    const int64_t *ports; /**< [n_ports] beside 80 and 443 */
    size_t n_ports;
    bool allow_http;        /**< also http:// */
    bool allow_private;     /**< also loopback and private networks; never GI_IP_FORBIDDEN */
    const char *ca_file;    /**< PEM file of trusted roots; NULL = the system's */
    int64_t file_bytes_max; /**< largest file */
    int64_t held_bytes_max; /**< all fetched bytes that requests hold or that arrive */
    int64_t kept_bytes_max; /**< cache; 0 = none */
    int64_t total_ms;       /**< for one URL with its redirects, lookups and all */
    int64_t connect_ms;     /**< for one connection, TLS included */
    int64_t rate_min_bytes_s;
    int64_t transfers_max; /**< at once; more wait their turn */
    bool has_tenants;      /**< a scope may have at most as many transfers as are left free */
    gi_fetch_store store;
    int64_t waiting_max; /**< fetches begun and not done; more are GLINT_ERR_BUSY */
} gi_fetch_config;

/** The defaults of all that is not a list or a switch. */
gi_fetch_config gi_fetch_config_default(void);

/** Descriptors that a fetcher with this configuration may have open at once: lookups, transfers,
 * connections kept. */
int64_t gi_fetch_files_max(const gi_fetch_config *config);

typedef struct gi_fetcher gi_fetcher;
typedef struct gi_fetch gi_fetch;

/** How a fetch ended. */
typedef struct gi_fetch_result {
    glint_status status;   /**< see gi_fetch_begin */
    glint_error err;       /**< why not */
    gi_fetch_bytes *bytes; /**< the callee owns this reference; NULL on failure */
} gi_fetch_result;

/** On the fetcher's thread; must not block nor free the fetcher, may begin and free fetches. */
typedef void (*gi_fetch_done_fn)(void *ctx, const gi_fetch_result *result);

/** What is asked for. Borrowed during gi_fetch_begin. */
typedef struct gi_fetch_request {
    /** Who asks, a tenant's name perhaps: within a scope fetches are joined and files kept, so that
     * nobody can tell from the time it takes what another has fetched. */
    const char *scope;
    const char *url; /**< [n] */
    size_t n;
    double timeout_ms; /**< the request's own patience; total_ms of the settings holds beside it */
    bool no_cache;     /**< neither use nor leave a kept file, here or in the store; join nobody */
    gi_fetch_done_fn on_done;
    void *ctx;
} gi_fetch_request;

/**
 * Check the settings and start the thread.
 * @param config copied with all it points to.
 * @return GLINT_ERR_ARG (no host, or a bad one, port or limit), GLINT_ERR_IO (ca_file cannot be
 *         read), GLINT_ERR_MEMORY.
 */
glint_status gi_fetcher_create(const gi_fetch_config *config, gi_fetcher **ret, glint_error *err);

/**
 * Switch fetching off or on again. While it is off nothing reaches for the network: fetches under
 * way end with GLINT_ERR_UNSUPPORTED, and none begins. What was kept stays for later. Any thread.
 */
void gi_fetcher_set_off(gi_fetcher *f, bool is_off);

/** True while fetching is switched off. Any thread. */
bool gi_fetcher_is_off(const gi_fetcher *f);

/** End every fetch with GLINT_ERR_CANCELLED, end the thread, free. Bytes must have been let go of
 * before. NULL is fine. */
void gi_fetcher_free(gi_fetcher *f);

/**
 * Begin to fetch a URL. Looks at nothing but the URL, and into the store, before it returns.
 *
 * The result's status: GLINT_OK; GLINT_ERR_IO (lookup, refused address, connection, TLS, HTTP
 * status, redirect, too slow), GLINT_ERR_LIMIT (too large), GLINT_ERR_DEADLINE (timeout_ms passed),
 * GLINT_ERR_CANCELLED, GLINT_ERR_UNSUPPORTED (switched off), GLINT_ERR_BUSY (no budget),
 * GLINT_ERR_MEMORY.
 *
 * @return GLINT_ERR_ARG (not a URL that may be fetched here), GLINT_ERR_UNSUPPORTED (switched off),
 *         GLINT_ERR_BUSY (waiting_max are under way), GLINT_ERR_MEMORY;
 *         on_done is then never called.
 */
glint_status gi_fetch_begin(gi_fetcher *f, const gi_fetch_request *request, gi_fetch **ret,
                            glint_error *err);

/** Ask for an early end; on_done is called all the same, soon. Any thread, until gi_fetch_free. */
void gi_fetch_cancel(gi_fetch *fetch);

/** Let go of the handle, after or in on_done. NULL is fine. */
void gi_fetch_free(gi_fetch *fetch);

/** What the fetcher did so far and holds now. */
typedef struct gi_fetch_stats {
    uint64_t n_begun;  /**< asked for, those that were refused at once included */
    uint64_t n_joined; /**< of these */
    uint64_t n_failed; /**< of these, for whatever reason, refusals and cancelled ones included */
    uint64_t n_lookups, n_transfers; /**< what reached for the network */
    uint64_t n_stored_used;          /**< found in the store */
    uint64_t n_kept_used;            /**< answered from the cache, asked about or not */
    uint64_t n_kept_missed;          /**< files that came over the network, with a cache */
    uint64_t n_kept_evicted;
    size_t kept_bytes;
    size_t n_waiting;
    size_t used_bytes; /**< arriving, held and kept */
} gi_fetch_stats;

/** Any thread. */
gi_fetch_stats gi_fetcher_get_stats(gi_fetcher *f);

#endif
