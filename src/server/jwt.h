/**
 * @file
 * JSON Web Tokens in the compact form of RFC 7515, verified as RFC 8725 advises. The reader is
 * narrow on purpose: three parts of strict base64url, at most 8 KiB; the algorithm is that of the
 * key and never the token's choice; headers that bring or fetch a key, or ask for a way of reading
 * that glint does not have, are refused; nothing of the claims is parsed before the signature
 * holds.
 */
#ifndef GI_SERVER_JWT_H
#define GI_SERVER_JWT_H

#include "server/auth_keys.h"

#include <stdint.h>

/** Longest token. */
#define GI_JWT_BYTES_MAX 8192

/** What a token must say. */
typedef struct gi_jwt_policy {
    const char *audience;     /**< one of `aud`; NULL: a token that has `aud` is refused */
    const char *issuer;       /**< equal to `iss`; NULL: any */
    const char *tenant_claim; /**< name of the claim with the tenant */
    int64_t skew_s;           /**< how far clocks may be apart */
} gi_jwt_policy;

/**
 * Check form and signature.
 *
 * @param token       [n], any bytes.
 * @param ret_key     the key that signed it, part of `keys`.
 * @param ret_payload the decoded payload, any bytes; [GI_JWT_BYTES_MAX], ret_n_payload of them set.
 * @return false with *why filled.
 * Threads: any number at once.
 */
bool gi_jwt_check_signature(const gi_auth_keys *keys, const char *token, size_t n,
                            const gi_token_key **ret_key, uint8_t *ret_payload,
                            size_t *ret_n_payload, gi_auth_refusal *why);

/**
 * The same, and the claims.
 *
 * @param now_s Unix time.
 * @param ret   tenant, key id, subject and scopes; limits stay untouched. Untouched on failure.
 */
bool gi_jwt_check(const gi_auth_keys *keys, const gi_jwt_policy *policy, const char *token,
                  size_t n, int64_t now_s, gi_principal *ret, gi_auth_refusal *why);

#endif
