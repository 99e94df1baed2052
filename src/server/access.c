/*
 * The door. Order: an address that failed too often waits; then the credential; then its scope;
 * then the tenant's limit. Wrong credentials are counted by address, where IPv6 counts by /64, the
 * least that one client is given. They are counted and not missing ones: those cost nothing.
 */
#include "server/access.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "image/probe.h"
#include "server/rate_limit_shared.h"
#include "server/site.h"

#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    FORWARDED_BYTES_MAX = 2048,
    RETRY_AFTER_MAX_S = 3600,
    REASONS_MAX = 64, /* more than there are */
};

/* What gi_access_change changes. */
typedef struct rules {
    gi_tenant_limits limits;
    double failures_per_s;
    int64_t n_proxies;
} rules;

struct gi_access {
    pthread_mutex_t lock;
    rules rules;   /* under the lock */
    gi_auth *auth; /* NULL: nobody is asked */
    const char *const *hosts;
    size_t n_hosts;
    bool checks_host;
    gi_rate_limiter *tenants, *failures;
    /* Why credentials were refused; written by the network thread alone. */
    struct {
        const char *reason; /* set once, before n_reasons counts it */
        _Atomic uint64_t n;
    } reasons[REASONS_MAX];
    _Atomic size_t n_reasons;
};

const char *gi_access_level_name(gi_access_level level) {
    switch (level) {
    case GI_ACCESS_NOBODY:
        return "nobody";
    case GI_ACCESS_OPEN:
        return "open";
    case GI_ACCESS_ANYONE:
        return "any credential";
    case GI_ACCESS_INFER:
        return "infer";
    case GI_ACCESS_METRICS:
        return "metrics";
    }
    return "nobody";
}

static bool is_allowed(gi_access_level level, unsigned scopes) {
    switch (level) {
    case GI_ACCESS_NOBODY:
        return false;
    case GI_ACCESS_OPEN:
    case GI_ACCESS_ANYONE:
        return true;
    case GI_ACCESS_INFER:
        return (scopes & GI_SCOPE_INFER) != 0;
    case GI_ACCESS_METRICS:
        return (scopes & GI_SCOPE_METRICS) != 0;
    }
    return false;
}

/* ---- life ---- */

static glint_status make_limiter(gi_store *store, const char *domain, size_t n_keys_max,
                                 gi_rate_limiter **ret, glint_error *err) {
    return store ? gi_rate_limiter_create_shared(store, domain, n_keys_max, ret, err)
                 : gi_rate_limiter_create_local(n_keys_max, ret, err);
}

static rules rules_of(const gi_access_settings *settings) {
    return (rules){.limits = settings->auth.limits,
                   .failures_per_s = settings->auth_failures_per_s,
                   .n_proxies = settings->n_proxies};
}

glint_status gi_access_create(const gi_access_settings *settings, gi_store *store, gi_access **ret,
                              glint_error *err) {
    gi_access *a = gi_calloc(1, sizeof *a);
    if (!a) return gi_fail(err, GLINT_ERR_MEMORY, "access: no memory");
    pthread_mutex_init(&a->lock, NULL);
    a->rules = rules_of(settings);
    a->hosts = settings->hosts;
    a->n_hosts = settings->n_hosts;
    a->checks_host = settings->checks_host;
    glint_status st = make_limiter(store, "tenants", 2 * GI_ACCESS_TENANTS_MAX, &a->tenants, err);
    if (st == GLINT_OK)
        st = make_limiter(store, "failures", GI_ACCESS_ADDRESSES_MAX, &a->failures, err);
    if (st == GLINT_OK && (settings->auth.jwt_keys || settings->auth.api_keys))
        st = gi_auth_create(&settings->auth, &a->auth, err);
    if (st != GLINT_OK) {
        gi_access_free(a);
        return st;
    }
    *ret = a;
    return GLINT_OK;
}

void gi_access_free(gi_access *a) {
    if (!a) return;
    gi_auth_free(a->auth);
    if (a->tenants) a->tenants->free(a->tenants);
    if (a->failures) a->failures->free(a->failures);
    pthread_mutex_destroy(&a->lock);
    gi_free(a);
}

bool gi_access_has_auth(const gi_access *a) {
    return a->auth != NULL;
}

glint_status gi_access_reload(gi_access *a, glint_error *err) {
    return a->auth ? gi_auth_reload(a->auth, err) : GLINT_OK;
}

void gi_access_change(gi_access *a, const gi_access_settings *settings) {
    pthread_mutex_lock(&a->lock);
    a->rules = rules_of(settings);
    pthread_mutex_unlock(&a->lock);
    if (a->auth) gi_auth_set_limits(a->auth, &settings->auth.limits);
}

static rules get_rules(gi_access *a) {
    pthread_mutex_lock(&a->lock);
    const rules now = a->rules;
    pthread_mutex_unlock(&a->lock);
    return now;
}

/* ---- addresses ---- */

/* The n-th address from the right of "a, b, c"; false when it is none. */
static bool forwarded_address(const char *value, int64_t n, char out[GI_HTTP_PEER_BYTES]) {
    const char *end = value + strlen(value), *begin;
    for (;; end = begin - 1) {
        begin = end;
        while (begin > value && begin[-1] != ',') begin--;
        if (--n == 0) break;
        if (begin == value) return false;
    }
    while (begin < end && *begin == ' ') begin++;
    while (end > begin && end[-1] == ' ') end--;
    const size_t len = (size_t)(end - begin);
    struct in6_addr scratch;
    if (len == 0 || len >= GI_HTTP_PEER_BYTES) return false;
    memcpy(out, begin, len);
    out[len] = '\0';
    return inet_pton(AF_INET, out, &scratch) == 1 || inet_pton(AF_INET6, out, &scratch) == 1;
}

static void client_address(int64_t n_proxies, const gi_http_request *r,
                           char out[GI_HTTP_PEER_BYTES]) {
    char list[FORWARDED_BYTES_MAX], forwarded[GI_HTTP_PEER_BYTES];
    if (n_proxies > 0 && gi_http_header_list(r, "X-Forwarded-For", list, sizeof list) &&
        forwarded_address(list, n_proxies, forwarded))
        memcpy(out, forwarded, sizeof forwarded);
    else
        gi_http_peer(r, out);
}

/* The name of an address's bucket: itself, or the first half of an IPv6 address. */
static void failure_key(const char *address, char out[GI_RATE_KEY_BYTES_MAX + 1]) {
    struct in6_addr v6;
    if (inet_pton(AF_INET6, address, &v6) != 1) {
        snprintf(out, GI_RATE_KEY_BYTES_MAX + 1, "%s", address);
        return;
    }
    const uint8_t *b = v6.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6))
        snprintf(out, GI_RATE_KEY_BYTES_MAX + 1, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
    else
        snprintf(out, GI_RATE_KEY_BYTES_MAX + 1, "%02x%02x:%02x%02x:%02x%02x:%02x%02x", b[0], b[1],
                 b[2], b[3], b[4], b[5], b[6], b[7]);
}

/* ---- answers ---- */

static int seconds_of(double ms) {
    return (int)fmin(fmax(ceil(ms / 1e3), 1), RETRY_AFTER_MAX_S);
}

static bool answer(gi_http_request *r, gi_api_code code, double retry_ms) {
    gi_api_error error = {0};
    gi_api_fail(&error, code, NULL);
    if (retry_ms > 0) error.retry_after_s = seconds_of(retry_ms);
    gi_http_respond_error(r, &error, NULL);
    return false;
}

/* ---- the door ---- */

static void count_refusal(gi_access *a, const char *reason) {
    const size_t n = atomic_load(&a->n_reasons);
    size_t i = 0;
    while (i < n && strcmp(a->reasons[i].reason, reason) != 0) i++;
    if (i == REASONS_MAX) return;
    if (i == n) {
        a->reasons[i].reason = reason;
        atomic_store(&a->n_reasons, n + 1);
    }
    atomic_fetch_add(&a->reasons[i].n, 1);
}

bool gi_access_get_failures(const gi_access *a, size_t i, const char **ret_reason,
                            uint64_t *ret_n) {
    if (i >= atomic_load(&a->n_reasons)) return false;
    *ret_reason = a->reasons[i].reason;
    *ret_n = atomic_load(&a->reasons[i].n);
    return true;
}

/* Who asks, or an answer that refuses. */
static bool authenticate(gi_access *a, const rules *now, gi_http_request *r, gi_principal *ret) {
    const gi_auth_headers headers = {
        .authorization = gi_http_header(r, "Authorization"),
        .n_authorization = gi_http_header_count(r, "Authorization"),
        .api_key = gi_http_header(r, "X-API-Key"),
        .n_api_key = gi_http_header_count(r, "X-API-Key"),
    };
    if (headers.n_authorization + headers.n_api_key == 0) {
        count_refusal(a, "no credential");
        return answer(r, GI_API_UNAUTHENTICATED, 0);
    }
    const double per_s = now->failures_per_s, now_ms = gi_clock_ms();
    const gi_rate_rule rule = {per_s, gi_rate_default_burst(per_s)};
    char address[GI_HTTP_PEER_BYTES], key[GI_RATE_KEY_BYTES_MAX + 1];
    client_address(now->n_proxies, r, address);
    failure_key(address, key);
    const gi_rate_verdict blocked = a->failures->peek(a->failures, key, rule, 1, now_ms);
    if (!blocked.is_allowed) {
        count_refusal(a, "the address failed too often");
        gi_log(GI_LOG_DEBUG, "auth", "id=%s from=%s blocked", gi_http_request_id(r), address);
        return answer(r, GI_API_AUTH_BLOCKED, blocked.retry_ms);
    }
    gi_auth_refusal why;
    const gi_auth_outcome outcome = gi_auth_check(a->auth, &headers, time(NULL), ret, &why);
    if (outcome == GI_AUTH_ACCEPTED) return true;
    if (outcome == GI_AUTH_NO_MEMORY) return answer(r, GI_API_OVERLOADED, 0);
    a->failures->take(a->failures, key, rule, 1, now_ms);
    count_refusal(a, why.reason);
    gi_log(GI_LOG_INFO, "auth", "id=%s from=%s key=%s refused: %s", gi_http_request_id(r), address,
           why.key_id[0] ? why.key_id : "-", why.reason);
    return answer(r, GI_API_UNAUTHENTICATED, 0);
}

/* Where nobody is asked who he is: does a page of another site ask, through a browser here? */
static bool check_site(gi_access *a, gi_http_request *r) {
    const char *host = gi_http_header(r, "Host"), *origin = gi_http_header(r, "Origin");
    if (a->checks_host && host && !gi_site_is_known(host, a->hosts, a->n_hosts)) {
        count_refusal(a, "the name is not this server's");
        return answer(r, GI_API_UNKNOWN_HOST, 0);
    }
    if (gi_http_header_count(r, "Origin") == 0) return true; /* no page, or only reading */
    if (host && origin && gi_site_is_same(origin, host)) return true;
    count_refusal(a, "another site's page asked");
    return answer(r, GI_API_FOREIGN_ORIGIN, 0);
}

bool gi_access_check(gi_access *a, gi_http_request *r, gi_access_level level) {
    if (level == GI_ACCESS_OPEN) return true;
    const rules now = get_rules(a);
    gi_principal p = {.scopes = GI_SCOPE_ALL, .limits = now.limits};
    if (!(a->auth ? authenticate(a, &now, r, &p) : check_site(a, r))) return false;
    if (!is_allowed(level, p.scopes)) {
        count_refusal(a, "it lacks the scope");
        gi_log(GI_LOG_INFO, "auth", "id=%s key=%s refused: it lacks the scope",
               gi_http_request_id(r), p.key_id[0] ? p.key_id : "-");
        return answer(r, GI_API_FORBIDDEN, 0);
    }
    gi_http_set_principal(r, &p);
    return true;
}

/* ---- limits ---- */

bool gi_access_take_request(gi_access *a, gi_http_request *r, gi_access_level level) {
    const gi_principal *p = gi_http_principal(r);
    const gi_rate_rule rule = p->limits.requests;
    if (level != GI_ACCESS_INFER || rule.per_s <= 0) return true;
    char key[GI_RATE_KEY_BYTES_MAX + 1];
    snprintf(key, sizeof key, "requests/%s", p->tenant);
    const gi_rate_verdict v = a->tenants->take(a->tenants, key, rule, 1, gi_clock_ms());
    gi_http_set_rate(r, (int64_t)rule.burst, (int64_t)fmax(floor(v.remaining), 0),
                     (int64_t)ceil(v.until_full_ms / 1e3));
    return v.is_allowed || answer(r, GI_API_RATE_LIMITED, v.retry_ms);
}

bool gi_access_take_pictures(gi_access *a, const gi_principal *p, const glint_image *images,
                             size_t n_images, gi_api_error *error) {
    const gi_rate_rule rule = p->limits.megapixels;
    double megapixels = 0;
    if (rule.per_s <= 0) return true;
    for (size_t i = 0; i < n_images; i++) {
        uint32_t width, height;
        if (gi_image_probe(images[i].bytes, images[i].n_bytes, &width, &height))
            megapixels += (double)width * height / 1e6;
    }
    if (megapixels <= 0) return true;
    char key[GI_RATE_KEY_BYTES_MAX + 1];
    snprintf(key, sizeof key, "megapixels/%s", p->tenant);
    const gi_rate_verdict v = a->tenants->take(a->tenants, key, rule, megapixels, gi_clock_ms());
    if (v.is_allowed) return true;
    gi_api_fail(error, GI_API_MEGAPIXELS_LIMITED, NULL);
    error->retry_after_s = seconds_of(v.retry_ms);
    return false;
}
