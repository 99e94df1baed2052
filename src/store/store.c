/*
 * Settings, keys of Redis and lookups. Redis' keys say nothing: prefix, format, kind, and a name
 * made with the secret.
 */
#include "store/store_inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/filemap.h"
#include "base/log.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum {
    FAILURES_MAX = 5,
    WAIT_MIN_MS = 100,
    WAIT_MAX_MS = 5000,
    GET_BYTES_MAX = 512,
    MIB = 1024 * 1024,
};

gi_store_settings gi_store_settings_default(void) {
    return (gi_store_settings){
        .prefix = "glint",
        .timeout_ms = 50,
        .connect_ms = 500,
        .n_connections = 4,
        .value_bytes_max = 8 * MIB,
        .queue_bytes_max = 64 * MIB,
        .ttl_ms = 24 * 3600 * 1000,
    };
}

/* ---- life ---- */

static glint_status check_settings(const gi_store_settings *g, glint_error *err) {
    if (!g->url || !g->secret_file)
        return gi_fail(err, GLINT_ERR_ARG, "Redis needs an address and a file with a secret");
    const size_t n = g->prefix ? strlen(g->prefix) : 0;
    bool is_prefix = n >= 1 && n < GI_STORE_PREFIX_BYTES;
    for (size_t i = 0; is_prefix && i < n; i++)
        is_prefix = g->prefix[i] > ' ' && g->prefix[i] <= '~';
    if (!is_prefix)
        return gi_fail(
            err, GLINT_ERR_ARG,
            "\"%.80s\" is no prefix for Redis: 1 to %d printable ASCII characters, no space",
            g->prefix ? g->prefix : "", GI_STORE_PREFIX_BYTES - 1);
    if (g->timeout_ms < 1 || g->connect_ms < 1 || g->n_connections < 1 ||
        g->n_connections > GI_REDIS_CONNECTIONS_MAX ||
        g->value_bytes_max <= GI_STORE_HEADER_BYTES || g->value_bytes_max > 512 * MIB ||
        g->queue_bytes_max < 1 || g->ttl_ms < 1)
        return gi_fail(err, GLINT_ERR_ARG, "Redis: a limit is out of range");
    return GLINT_OK;
}

static glint_status read_password(const char *path, gi_redis_url *url, glint_error *err) {
    gi_buf file;
    gi_buf_init(&file, GI_REDIS_PASSWORD_BYTES + 1);
    glint_status st = gi_file_read(path, &file, err);
    size_t n = file.len;
    while (n > 0 && (file.data[n - 1] == '\n' || file.data[n - 1] == '\r')) n--;
    if (st == GLINT_OK && (n == 0 || n >= sizeof url->password || memchr(file.data, 0, n)))
        st = gi_fail(err, GLINT_ERR_ARG, "%s: not a password of 1 to %d bytes", path,
                     GI_REDIS_PASSWORD_BYTES - 1);
    if (st == GLINT_OK) {
        memcpy(url->password, file.data, n);
        url->password[n] = '\0';
    }
    gi_buf_wipe(&file);
    return st;
}

static glint_status fill(gi_store *s, const gi_store_settings *g, glint_error *err) {
    GI_TRY(gi_redis_url_parse(g->url, &s->target.url, err));
    if (g->ca_file && !s->target.url.is_tls)
        return gi_fail(err, GLINT_ERR_ARG, "%s: roots to trust do nothing without rediss://",
                       g->ca_file);
    GI_TRY(gi_store_secret_load(&s->secret, g->secret_file, err));
    if (g->password_file) GI_TRY(read_password(g->password_file, &s->target.url, err));
    GI_TRY(gi_redis_target_init_tls(&s->target, g->ca_file, err));
    s->target.reply_bytes_max = (size_t)g->value_bytes_max;
    const gi_redis_pool_config pool = {
        .target = &s->target,
        .n_connections = (size_t)g->n_connections,
        .failures_max = FAILURES_MAX,
        .connect_ms = (double)g->connect_ms,
        .wait_min_ms = WAIT_MIN_MS,
        .wait_max_ms = WAIT_MAX_MS,
    };
    GI_TRY(gi_redis_pool_create(&pool, &s->pool, err));
    return gi_store_writer_start(s, err);
}

glint_status gi_store_create(const gi_store_settings *settings, gi_store **ret, glint_error *err) {
    GI_TRY(check_settings(settings, err));
    gi_store *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "Redis: no memory");
    s->settings = *settings;
    memcpy(s->prefix, settings->prefix, strlen(settings->prefix) + 1);
    s->settings.url = s->settings.secret_file = s->settings.password_file = NULL;
    s->settings.ca_file = s->settings.prefix = NULL;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->cv, NULL);
    s->end = &s->oldest;
    const glint_status st = fill(s, settings, err);
    if (st != GLINT_OK) {
        gi_store_free(s);
        return st;
    }
    *ret = s;
    return GLINT_OK;
}

void gi_store_free(gi_store *s) {
    if (!s) return;
    gi_store_writer_stop(s);
    gi_redis_pool_free(s->pool);
    gi_redis_target_done(&s->target);
    OPENSSL_cleanse(&s->secret, sizeof s->secret);
    pthread_cond_destroy(&s->cv);
    pthread_mutex_destroy(&s->lock);
    gi_free(s);
}

int64_t gi_store_ttl_ms(const gi_store *s) {
    return s->settings.ttl_ms;
}

size_t gi_store_value_bytes_max(const gi_store *s) {
    return (size_t)s->settings.value_bytes_max - GI_STORE_HEADER_BYTES;
}

/* ---- exchanges ---- */

const char *gi_store_kind_name(gi_store_kind kind) {
    switch (kind) {
    case GI_STORE_ANSWER:
        return "answer";
    case GI_STORE_PICTURE:
        return "picture";
    case GI_STORE_FETCHED:
        return "fetched";
    case GI_STORE_LIMIT:
        return "limit";
    }
    return "unknown";
}

char gi_store_kind_letter(gi_store_kind kind) {
    return gi_store_kind_name(kind)[0];
}

glint_status gi_store_key_make(const gi_store *s, gi_store_kind kind, char letter,
                               const gi_digest *key, gi_store_key *ret) {
    char hex[GI_DIGEST_HEX_BYTES];
    GI_TRY(gi_store_name(&s->secret, kind, key, &ret->name, NULL));
    gi_digest_hex(&ret->name, hex);
    snprintf(ret->text, sizeof ret->text, "%s:%c:%s", s->prefix, letter, hex);
    return GLINT_OK;
}

glint_status gi_store_push_set(const gi_store *s, gi_store_kind kind, const gi_digest *key,
                               int64_t ttl_ms, const void *contents, size_t n, gi_buf *out) {
    gi_store_key name;
    char ttl[24];
    gi_buf value;
    gi_buf_init(&value, n + GI_STORE_HEADER_BYTES);
    glint_status st = gi_store_key_make(s, kind, gi_store_kind_letter(kind), key, &name);
    if (st == GLINT_OK)
        st = gi_store_seal(&s->secret, kind, &name.name, gi_store_unix_ms() + ttl_ms, contents, n,
                           &value, NULL);
    if (st == GLINT_OK) {
        snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
        const gi_resp_arg args[] = {GI_RESP_TEXT("SET"),
                                    GI_RESP_TEXT(name.text),
                                    {value.data, value.len},
                                    GI_RESP_TEXT("PX"),
                                    GI_RESP_TEXT(ttl)};
        st = gi_resp_command(out, args, 5, NULL);
    }
    gi_buf_done(&value);
    return st;
}

bool gi_store_exchange(gi_store *s, const gi_buf *commands, size_t n_replies,
                       gi_resp_reply *replies, gi_redis_conn **ret_conn) {
    const double until_ms = gi_clock_ms() + (double)s->settings.timeout_ms;
    gi_redis_conn *c = gi_redis_pool_take(s->pool, until_ms);
    if (!c) {
        atomic_fetch_add(&s->n_skipped, 1);
        return false;
    }
    glint_error err = {0};
    const glint_status st = gi_redis_conn_exchange(c, commands, n_replies, until_ms, replies, &err);
    if (st == GLINT_OK) {
        *ret_conn = c;
        return true;
    }
    atomic_fetch_add(st == GLINT_ERR_DEADLINE ? &s->n_timeouts : &s->n_errors, 1);
    gi_log(GI_LOG_DEBUG, "redis", "%s", err.message);
    gi_redis_pool_give(s->pool, c, false);
    return false;
}

/* ---- looking up ---- */

void gi_store_found_done(gi_store_found *found) {
    gi_buf_done(&found->buf);
    *found = (gi_store_found){0};
}

/* What Redis has under a key; false: nothing, or no answer. */
static bool fetch(gi_store *s, const gi_store_key *key, gi_store_kind kind, gi_buf *ret_buf,
                  gi_resp_reply *ret_reply) {
    const gi_resp_arg args[] = {GI_RESP_TEXT("GET"), GI_RESP_TEXT(key->text)};
    gi_redis_conn *c;
    gi_buf command;
    gi_buf_init(&command, GET_BYTES_MAX);
    const bool ok = gi_resp_command(&command, args, 2, NULL) == GLINT_OK &&
                    gi_store_exchange(s, &command, 1, ret_reply, &c);
    gi_buf_done(&command);
    if (!ok) return false;
    const gi_resp_type type = ret_reply->type;
    const bool has_value = type == GI_RESP_BULK;
    if (has_value) {
        gi_redis_conn_take(c, ret_buf);
    } else if (type == GI_RESP_ERROR) {
        atomic_fetch_add(&s->n_errors, 1);
        atomic_fetch_add(&s->kinds[kind].n_refused,
                         ret_reply->n > 9 && !memcmp(ret_reply->bytes, "WRONGTYPE", 9));
        gi_log(GI_LOG_DEBUG, "redis", "GET: %.*s", (int)(ret_reply->n < 80 ? ret_reply->n : 80),
               (const char *)ret_reply->bytes);
    } else if (type != GI_RESP_NIL) {
        atomic_fetch_add(&s->n_errors, 1); /* GET does not answer so */
    }
    gi_redis_pool_give(s->pool, c, has_value || type == GI_RESP_ERROR || type == GI_RESP_NIL);
    return has_value;
}

bool gi_store_get(gi_store *s, gi_store_kind kind, const gi_digest *key, gi_store_found *ret) {
    gi_store_key name;
    gi_resp_reply reply;
    gi_store_found found = {0};
    bool is_good = gi_store_key_make(s, kind, gi_store_kind_letter(kind), key, &name) == GLINT_OK &&
                   fetch(s, &name, kind, &found.buf, &reply);
    if (is_good) {
        const gi_store_verdict verdict =
            gi_store_open(&s->secret, kind, &name.name, gi_store_unix_ms(), reply.bytes, reply.n,
                          &found.bytes, &found.n);
        is_good = verdict == GI_STORE_GOOD;
        if (verdict == GI_STORE_REFUSED) atomic_fetch_add(&s->kinds[kind].n_refused, 1);
    }
    atomic_fetch_add(is_good ? &s->kinds[kind].n_hits : &s->kinds[kind].n_misses, 1);
    if (is_good) {
        memmove(found.buf.data, found.bytes, found.n);
        found.bytes = found.buf.data;
        *ret = found;
    } else {
        gi_store_found_done(&found);
    }
    return is_good;
}

/* ---- what it did ---- */

gi_store_stats gi_store_get_stats(gi_store *s) {
    gi_store_stats stats = {
        .n_errors = atomic_load(&s->n_errors),
        .n_timeouts = atomic_load(&s->n_timeouts),
        .n_skipped = atomic_load(&s->n_skipped),
        .n_dropped = atomic_load(&s->n_dropped),
        .n_tally_failures = atomic_load(&s->n_tally_failures),
        .pool = gi_redis_pool_get_stats(s->pool),
    };
    for (size_t i = 1; i < GI_STORE_KINDS; i++)
        stats.kinds[i] = (gi_store_kind_stats){.n_hits = atomic_load(&s->kinds[i].n_hits),
                                               .n_misses = atomic_load(&s->kinds[i].n_misses),
                                               .n_stored = atomic_load(&s->kinds[i].n_stored),
                                               .n_refused = atomic_load(&s->kinds[i].n_refused)};
    pthread_mutex_lock(&s->lock);
    stats.queue_bytes = s->queue_bytes;
    pthread_mutex_unlock(&s->lock);
    return stats;
}
