/*
 * A hop: may this URL be fetched? Is there a fresh copy? Else look its host up, check every
 * address, and GET from the first that can be reached. A reply is a file, a confirmation of the
 * kept copy, a redirect (the next hop, from the start), or the end.
 *
 * One refused address refuses the host: a name with a public and a private address is how a check
 * and a connect are made to disagree.
 */
#include "fetch/fetch_job.h"

#include "base/alloc.h"

#include <string.h>

/* Of a host's addresses, half of them of each family where it has both. */
enum { TRIED_IPS_MAX = 6 };

static void end(gi_fetch_job *job, glint_status st) {
    job->is_over = true;
    job->status = st;
    if (st != GLINT_OK) job->err.code = st;
}

/* End with words; `what` says it about the hop's host. */
static void fail(gi_fetch_job *job, glint_status st, const char *what) {
    gi_fail(&job->err, st, "%s: %s", job->url.host.name, what);
    end(job, st);
}

static void fail_late(gi_fetch_job *job, const char *what) {
    job->is_late = true;
    fail(job, GLINT_ERR_IO, what);
}

static bool may_connect(const gi_fetch_env *env, const gi_ip *ip, const char **ret_name) {
    const gi_ip_class class = gi_ip_classify(ip, ret_name);
    return class == GI_IP_PUBLIC || (class == GI_IP_PRIVATE && env->config.allow_private);
}

static bool has_port(const gi_fetch_env *env, uint16_t port) {
    if (port == 80 || port == 443) return true;
    for (size_t i = 0; i < env->config.n_ports; i++)
        if (env->ports[i] == port) return true;
    return false;
}

glint_status gi_fetch_env_check(const gi_fetch_env *env, const gi_url *url, glint_error *err) {
    const char *name = url->host.name, *range;
    if (!url->is_https && !env->config.allow_http)
        return gi_fail(err, GLINT_ERR_ARG, "%s: http is not allowed", name);
    if (!has_port(env, url->port))
        return gi_fail(err, GLINT_ERR_ARG, "%s: port %u is not allowed", name, (unsigned)url->port);
    if (!gi_host_allowed(env->patterns, env->config.n_hosts, &url->host))
        return gi_fail(err, GLINT_ERR_ARG, "%s: the host is not allowed", name);
    if (url->host.is_ip && !may_connect(env, &url->host.ip, &range))
        return gi_fail(err, GLINT_ERR_ARG, "%s: the address is refused (%s)", name, range);
    return GLINT_OK;
}

bool gi_fetch_env_key(const gi_fetch_env *env, const gi_digest *scope, const gi_url *url,
                      gi_digest *ret) {
    gi_sha256 h;
    gi_digest file;
    if (!gi_kept_key(scope, url, &file) || gi_sha256_init(&h, NULL) != GLINT_OK) return false;
    gi_sha256_begin(&h, "glint stored picture 1");
    gi_sha256_u64(&h, env->config.allow_private);
    gi_sha256_bytes(&h, file.bytes, sizeof file.bytes);
    const glint_status st = gi_sha256_end(&h, ret, NULL);
    gi_sha256_done(&h);
    return st == GLINT_OK;
}

/* ---- a hop ---- */

static void start_transfer(gi_fetch_job *job, double now_ms) {
    gi_fetch_env *env = job->env;
    const double left_ms = job->deadline_ms - now_ms;
    if (left_ms < 1) {
        fail_late(job, "took too long");
        return;
    }
    const gi_transfer_request request = {
        .url = &job->url,
        .ip = job->ips[job->i_ip],
        .validators = job->kept ? &job->kept->validators : NULL,
        .ca_file = env->ca_file,
        .body_bytes_max = (size_t)env->config.file_bytes_max,
        .budget = &env->budget,
        .connect_ms = (long)env->config.connect_ms,
        .total_ms = (long)left_ms,
        .rate_min_bytes_s = (long)env->config.rate_min_bytes_s,
    };
    atomic_fetch_add(&env->n_transfers, 1);
    const glint_status st =
        gi_transfer_create(env->multi, &request, job, &job->transfer, &job->err);
    if (st != GLINT_OK) end(job, st);
}

/* All addresses of the hop's host are known: every one must do. */
static void check_and_connect(gi_fetch_job *job, double now_ms) {
    for (size_t i = 0; i < job->n_ips; i++) {
        char ip[GI_IP_TEXT_BYTES];
        const char *range;
        if (may_connect(job->env, &job->ips[i], &range)) continue;
        gi_ip_format(&job->ips[i], ip);
        gi_fail(&job->err, GLINT_ERR_IO, "%s: the address %s is refused (%s)", job->url.host.name,
                ip, range);
        end(job, GLINT_ERR_IO);
        return;
    }
    job->i_ip = 0;
    start_transfer(job, now_ms);
}

static void start_hop(gi_fetch_job *job, double now_ms) {
    gi_fetch_env *env = job->env;
    const glint_status st = gi_fetch_env_check(env, &job->url, &job->err);
    if (st != GLINT_OK) {
        end(job, job->n_redirects > 0 ? GLINT_ERR_IO : st);
        return;
    }
    if (!job->no_cache) job->kept = gi_kept_get(env->cache, &job->scope, &job->url);
    if (job->kept && now_ms < job->kept->fresh_until_ms) {
        atomic_fetch_add(&env->n_kept_used, 1);
        job->bytes = gi_fetch_bytes_ref(job->kept->bytes);
        end(job, GLINT_OK);
        return;
    }
    if (job->url.host.is_ip) {
        job->ips[0] = job->url.host.ip;
        job->n_ips = 1;
        check_and_connect(job, now_ms);
        return;
    }
    atomic_fetch_add(&env->n_lookups, 1);
    const glint_status begun = gi_resolve_begin(job->url.host.name, &job->resolve, &job->err);
    if (begun != GLINT_OK) end(job, begun);
}

/* Let go of what belonged to the hop. */
static void end_hop(gi_fetch_job *job) {
    gi_transfer_free(job->env->multi, job->transfer);
    gi_resolve_free(job->resolve);
    gi_kept_unref(job->env->cache, job->kept);
    job->transfer = NULL;
    job->resolve = NULL;
    job->kept = NULL;
    job->n_ips = 0;
}

/* ---- replies ---- */

static void follow(gi_fetch_job *job, double now_ms) {
    const gi_reply_head *head = &job->transfer->head;
    const bool was_https = job->url.is_https;
    glint_error why = {0};
    if (job->n_redirects == GI_FETCH_REDIRECTS_MAX) {
        fail(job, GLINT_ERR_IO, "redirects too often");
    } else if (head->n_location != 1) {
        fail(job, GLINT_ERR_IO, "a redirect without one Location");
    } else if (gi_url_resolve(&job->url, head->location, head->location_n, &job->url, &why) !=
               GLINT_OK) {
        fail(job, GLINT_ERR_IO, why.message);
    } else if (was_https && !job->url.is_https) {
        fail(job, GLINT_ERR_IO, "redirected from https to http");
    } else {
        job->n_redirects++;
        end_hop(job);
        start_hop(job, now_ms);
    }
}

/* Keep the hop's file, here and, unless a redirect led to it, in the store: how long a redirect
 * holds is not known. */
static void keep(gi_fetch_job *job, const gi_kept *old, double now_ms) {
    const gi_fetch_store *store = &job->env->config.store;
    const int64_t fresh_s = gi_kept_put(job->env->cache, &job->scope, &job->url, job->bytes,
                                        &job->transfer->head, old, now_ms);
    gi_digest key;
    if (fresh_s > 0 && store->put && job->n_redirects == 0 &&
        gi_fetch_env_key(job->env, &job->scope, &job->url, &key))
        store->put(store->ctx, &key, job->bytes->data, job->bytes->n, fresh_s * 1000);
}

static void take_file(gi_fetch_job *job, double now_ms) {
    gi_transfer *t = job->transfer;
    if (t->body.len == 0) {
        fail(job, GLINT_ERR_IO, "an empty reply");
        return;
    }
    job->bytes = gi_fetch_bytes_create(&t->body, &job->env->budget);
    if (!job->bytes) {
        fail(job, GLINT_ERR_MEMORY, "no memory");
        return;
    }
    if (!job->no_cache) {
        if (job->env->config.kept_bytes_max > 0) atomic_fetch_add(&job->env->n_kept_missed, 1);
        keep(job, NULL, now_ms);
    }
    end(job, GLINT_OK);
}

static void take_confirmation(gi_fetch_job *job, double now_ms) {
    atomic_fetch_add(&job->env->n_kept_used, 1);
    job->bytes = gi_fetch_bytes_ref(job->kept->bytes);
    keep(job, job->kept, now_ms);
    end(job, GLINT_OK);
}

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

void gi_fetch_job_on_transfer(gi_fetch_job *job, CURLcode code, double now_ms) {
    gi_transfer *t = job->transfer;
    glint_error why = {0};
    const glint_status st = gi_transfer_done(t, code, &why);
    if (st != GLINT_OK) {
        const bool can_try_another =
            t->could_not_connect && job->i_ip + 1 < job->n_ips && job->i_ip + 1 < TRIED_IPS_MAX;
        gi_transfer_free(job->env->multi, t);
        job->transfer = NULL;
        if (now_ms > job->deadline_ms - 1) { /* libcurl counts in whole milliseconds */
            fail_late(job, why.message);
            return;
        }
        if (!can_try_another) {
            fail(job, st, why.message);
            return;
        }
        job->i_ip++;
        start_transfer(job, now_ms);
    } else if (t->status == 200) {
        take_file(job, now_ms);
    } else if (t->status == 304 && job->kept) {
        take_confirmation(job, now_ms);
    } else if (is_redirect(t->status)) {
        follow(job, now_ms);
    } else {
        gi_fail(&job->err, GLINT_ERR_IO, "%s: HTTP status %d", job->url.host.name, t->status);
        end(job, GLINT_ERR_IO);
    }
}

/* ---- the job ---- */

gi_fetch_job *gi_fetch_job_create(gi_fetch_env *env, const gi_digest *scope, const gi_url *url,
                                  bool no_cache) {
    gi_fetch_job *job = gi_calloc(1, sizeof *job);
    if (!job) return NULL;
    job->env = env;
    job->scope = *scope;
    job->first = *url;
    job->url = *url;
    job->no_cache = no_cache;
    return job;
}

void gi_fetch_job_start(gi_fetch_job *job, double now_ms) {
    job->has_started = true;
    job->deadline_ms = now_ms + (double)job->env->config.total_ms;
    start_hop(job, now_ms);
}

void gi_fetch_job_step(gi_fetch_job *job, double now_ms) {
    if (!job->has_started || job->is_over) return;
    if (now_ms >= job->deadline_ms) {
        fail_late(job, "took too long");
        return;
    }
    if (!job->resolve || !gi_resolve_step(job->resolve)) return;
    glint_error why = {0};
    const glint_status st = gi_resolve_result(job->resolve, job->ips, &job->n_ips, &why);
    gi_resolve_free(job->resolve);
    job->resolve = NULL;
    if (st != GLINT_OK)
        fail(job, st, why.message);
    else
        check_and_connect(job, now_ms);
}

void gi_fetch_job_reset(gi_fetch_job *job) {
    end_hop(job);
    gi_fetch_bytes_unref(job->bytes);
    job->bytes = NULL;
    job->url = job->first;
    job->n_redirects = 0;
    job->has_started = job->is_over = job->is_late = false;
    job->err = (glint_error){0};
}

void gi_fetch_job_free(gi_fetch_job *job) {
    if (!job) return;
    end_hop(job);
    gi_fetch_bytes_unref(job->bytes);
    gi_free(job);
}
