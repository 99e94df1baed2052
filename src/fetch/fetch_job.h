/**
 * @file
 * One URL on its way, hop by hop. For the fetcher's thread alone; the fetcher turns the wheel:
 *
 *     create -> start -> step (whenever a lookup may have moved) and on_transfer -> is_over
 *     is_late -> reset -> start ...
 */
#ifndef GI_FETCH_FETCH_JOB_H
#define GI_FETCH_FETCH_JOB_H

#include "fetch/fetcher.h"
#include "fetch/host_list.h"
#include "fetch/kept.h"
#include "fetch/resolve.h"
#include "fetch/transfer.h"

/** What the jobs of one fetcher share. */
typedef struct gi_fetch_env {
    gi_fetch_config config; /**< hosts and ports are those below */
    gi_host_pattern patterns[GI_FETCH_HOSTS_MAX];
    uint16_t ports[GI_FETCH_PORTS_MAX];
    char *ca_file;
    CURLM *multi;
    gi_cache *cache;
    gi_fetch_budget budget;
    atomic_uint_fast64_t n_lookups, n_transfers, n_kept_used, n_kept_missed, n_stored_used;
} gi_fetch_env;

typedef struct gi_fetch_job {
    struct gi_fetch_job *next; /**< the fetcher's */
    gi_fetch *waiters;         /**< the fetcher's */
    gi_fetch_env *env;
    gi_digest scope;
    gi_url first, url; /**< as asked for, and this hop's */
    bool no_cache;     /**< neither use nor leave a kept file */
    bool has_started;
    double deadline_ms; /**< once started */
    int n_redirects;
    gi_resolve *resolve;
    gi_ip ips[GI_RESOLVE_IPS_MAX]; /**< this hop's, all checked */
    size_t n_ips, i_ip;
    gi_kept *kept; /**< a copy of this hop's file that must be asked about */
    gi_transfer *transfer;
    bool is_over;
    bool is_late;        /**< it is over because its total_ms are */
    glint_status status; /**< once over, with err or bytes */
    glint_error err;
    gi_fetch_bytes *bytes;
} gi_fetch_job;

/** Whether the settings let this URL be fetched: scheme, port, host, and its address if it names
 * one. GLINT_ERR_ARG. Threads: any. */
glint_status gi_fetch_env_check(const gi_fetch_env *env, const gi_url *url, glint_error *err);

/** The key of a URL's file in the store: a file from a place that not every server goes to is not
 * found by those that do not. False without memory. Threads: any. */
bool gi_fetch_env_key(const gi_fetch_env *env, const gi_digest *scope, const gi_url *url,
                      gi_digest *ret);

/** A job for a URL in a scope; with no_cache kept files are left alone. NULL: no memory. */
gi_fetch_job *gi_fetch_job_create(gi_fetch_env *env, const gi_digest *scope, const gi_url *url,
                                  bool no_cache);

/** The first hop. */
void gi_fetch_job_start(gi_fetch_job *job, double now_ms);

/** See whether the lookup is over, or the time. */
void gi_fetch_job_step(gi_fetch_job *job, double now_ms);

/** The job's transfer ended. */
void gi_fetch_job_on_transfer(gi_fetch_job *job, CURLcode code, double now_ms);

/** Give up what is under way, and be as new: to be started once more. */
void gi_fetch_job_reset(gi_fetch_job *job);

/** Give up what is under way; free. NULL is fine. */
void gi_fetch_job_free(gi_fetch_job *job);

#endif
