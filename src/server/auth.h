/**
 * @file
 * From the two headers that may hold a credential to a principal. The keys are those of the files
 * given at start; gi_auth_reload reads them again while requests come in.
 */
#ifndef GI_SERVER_AUTH_H
#define GI_SERVER_AUTH_H

#include "server/auth_principal.h"
#include "server/jwt.h"

/** An API key is this prefix and 32 random bytes in base64url. */
#define GI_AUTH_API_KEY_PREFIX "gk_"
#define GI_AUTH_API_KEY_CHARS  46

typedef struct gi_auth_settings {
    const char *jwt_keys; /**< path, or NULL */
    const char *api_keys; /**< path, or NULL */
    gi_jwt_policy jwt;
    gi_tenant_limits limits; /**< of tenants without an entry of their own */
} gi_auth_settings;

typedef struct gi_auth gi_auth;

/** Read the files. Strings of `settings` must outlive it. Errors as gi_auth_keys_load. */
glint_status gi_auth_create(const gi_auth_settings *settings, gi_auth **ret, glint_error *err);

/** NULL is fine. */
void gi_auth_free(gi_auth *a);

/**
 * Read the files again. When that fails, everything stays as it was. Requests see the old keys or
 * the new ones, never a mixture. Any thread.
 */
glint_status gi_auth_reload(gi_auth *a, glint_error *err);

/** Limits of tenants without an entry of their own, from now on. Any thread. */
void gi_auth_set_limits(gi_auth *a, const gi_tenant_limits *limits);

/** The headers of a request that may hold a credential. */
typedef struct gi_auth_headers {
    const char *authorization, *api_key; /**< value, or NULL */
    size_t n_authorization, n_api_key;   /**< how often the header came */
} gi_auth_headers;

typedef enum gi_auth_outcome {
    GI_AUTH_ACCEPTED,
    GI_AUTH_NOT_GIVEN, /**< there is no credential */
    GI_AUTH_REFUSED,
    GI_AUTH_NO_MEMORY, /**< there was no memory to look */
} gi_auth_outcome;

/**
 * @param now_s Unix time.
 * @param ret   filled only when accepted.
 * @param why   filled when refused; for the log.
 * Any number of threads at once.
 */
gi_auth_outcome gi_auth_check(gi_auth *a, const gi_auth_headers *headers, int64_t now_s,
                              gi_principal *ret, gi_auth_refusal *why);

/** SHA-256. False: OpenSSL has no memory. */
bool gi_auth_sha256(const void *bytes, size_t n, uint8_t out[GI_AUTH_SHA256_BYTES]);

#endif
