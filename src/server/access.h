/**
 * @file
 * Who may use a route, and how much: authentication, scopes and limits, in front of every request
 * and before its body. A refusal is answered here, in fixed words that do not tell which part of a
 * credential was wrong; the log has the reason.
 */
#ifndef GI_SERVER_ACCESS_H
#define GI_SERVER_ACCESS_H

#include <glint/glint.h>

#include "server/auth.h"
#include "server/http.h"
#include "store/store.h"

/** Most tenants whose requests and megapixels are counted, and addresses whose failures are; the
 * one unused for longest gives way, and is counted from nothing when it comes back. */
#define GI_ACCESS_TENANTS_MAX   8192
#define GI_ACCESS_ADDRESSES_MAX 16384

/** Whom a route is for. The zero is the strictest, so that a forgotten one opens nothing. */
typedef enum gi_access_level {
    GI_ACCESS_NOBODY,
    GI_ACCESS_OPEN,    /**< everybody, without a credential */
    GI_ACCESS_ANYONE,  /**< any valid credential */
    GI_ACCESS_INFER,   /**< scope "infer"; requests are counted */
    GI_ACCESS_METRICS, /**< scope "metrics" */
} gi_access_level;

/** "open", "any credential", "infer", "metrics", "nobody". */
const char *gi_access_level_name(gi_access_level level);

typedef struct gi_access_settings {
    gi_auth_settings auth;      /**< without files: everybody may do everything */
    double auth_failures_per_s; /**< wrong credentials per address; 0 = no limit */
    int64_t n_proxies;          /**< in front, each adding to X-Forwarded-For */
    /** Names of this server in browsers, where nobody is asked who he is: see server/site.h. */
    const char *const *hosts;
    size_t n_hosts;
    bool checks_host; /**< only this machine connects, so that a strange name was rebound */
} gi_access_settings;

typedef struct gi_access gi_access;

/** @param settings  hosts is borrowed, the rest copied.
 * @param store  borrowed, where servers keep their limits together; NULL: each its own.
 * Errors as gi_auth_create. */
glint_status gi_access_create(const gi_access_settings *settings, gi_store *store, gi_access **ret,
                              glint_error *err);

/** NULL is fine. */
void gi_access_free(gi_access *a);

/** True when requests are asked for credentials. */
bool gi_access_has_auth(const gi_access *a);

/** As gi_auth_reload; without authentication nothing happens. */
glint_status gi_access_reload(gi_access *a, glint_error *err);

/**
 * Take over what may change while requests come in: auth.limits, auth_failures_per_s and n_proxies;
 * the rest stays as it is. Requests that are in keep what they came in with. Any thread.
 */
void gi_access_change(gi_access *a, const gi_access_settings *settings);

/** How often credentials were refused for the i-th reason, constant words; false behind the last.
 * Any thread. */
bool gi_access_get_failures(const gi_access *a, size_t i, const char **ret_reason, uint64_t *ret_n);

/**
 * In on_headers: may this request go on? If so its principal is set; else it has been answered:
 * 401, 403, 421, 429 or 503.
 */
bool gi_access_check(gi_access *a, gi_http_request *r, gi_access_level level);

/**
 * In on_headers, after gi_access_check: count a request against its tenant's limit, where the
 * level asks for that. False: answered with 429.
 */
bool gi_access_take_request(gi_access *a, gi_http_request *r, gi_access_level level);

/**
 * Charge pictures to a tenant by the size they say they have, before they are decoded. What is no
 * picture costs nothing here; the decoder refuses it.
 *
 * @return false, with a 429 in *error, when the tenant has used up its megapixels. Any thread.
 */
bool gi_access_take_pictures(gi_access *a, const gi_principal *p, const glint_image *images,
                             size_t n_images, gi_api_error *error);

#endif
