/**
 * @file
 * Who may come in, as read from files: keys of tokens (--jwt-keys), API keys (--api-keys), and what
 * single tenants may use. docs/security.md describes both files. A set never changes; reading the
 * files again makes another one (auth.c).
 */
#ifndef GI_SERVER_AUTH_KEYS_H
#define GI_SERVER_AUTH_KEYS_H

#include "server/auth_key.h"
#include "server/auth_principal.h"

#include <stdint.h>

/** Most entries of one file, and its most bytes. */
#define GI_AUTH_KEYS_MAX       4096
#define GI_AUTH_FILE_BYTES_MAX (4 << 20)

#define GI_AUTH_SHA256_BYTES 32

/** A key that tokens may be signed with. */
typedef struct gi_token_key {
    char kid[GI_AUTH_NAME_BYTES];
    char tenant[GI_AUTH_NAME_BYTES]; /**< of all its tokens; "" = each token says its own */
    gi_auth_key key;
} gi_token_key;

/** A key that is shown as it is; only its hash is known here. */
typedef struct gi_api_key {
    char id[GI_AUTH_NAME_BYTES], tenant[GI_AUTH_NAME_BYTES];
    uint8_t sha256[GI_AUTH_SHA256_BYTES];
    unsigned scopes;
    int64_t expires_s; /**< Unix time from which it is refused; INT64_MAX = never */
} gi_api_key;

/** What one tenant may use, in place of the server's limits; per_s < 0: as the server has it. */
typedef struct gi_tenant_entry {
    char tenant[GI_AUTH_NAME_BYTES];
    gi_tenant_limits limits;
} gi_tenant_entry;

typedef struct gi_auth_keys {
    gi_token_key *token_keys; /**< [n_token_keys] */
    gi_api_key *api_keys;     /**< [n_api_keys] */
    gi_tenant_entry *tenants; /**< [n_tenants] */
    size_t n_token_keys, n_api_keys, n_tenants;
} gi_auth_keys;

/**
 * Read both files whole.
 * @param jwt_path, api_path NULL: there is no such file, and no key of its kind.
 * @return GLINT_ERR_IO, GLINT_ERR_LIMIT, GLINT_ERR_MEMORY; GLINT_ERR_FORMAT with file and line for
 *         anything that is not exactly as documented: an unknown member, a name given twice, a
 *         broken or weak key, secrets beside public keys.
 */
glint_status gi_auth_keys_load(const char *jwt_path, const char *api_path, gi_auth_keys **ret,
                               glint_error *err);

/** Wipe and free. NULL is fine. */
void gi_auth_keys_free(gi_auth_keys *keys);

/** The key a token names; without a name (NULL) the only one there is. NULL: none. */
const gi_token_key *gi_auth_keys_find(const gi_auth_keys *keys, const char *kid);

/** The API key with this hash, looked for among all in the same time. NULL: none. */
const gi_api_key *gi_auth_keys_find_api(const gi_auth_keys *keys,
                                        const uint8_t sha256[GI_AUTH_SHA256_BYTES]);

/** What a tenant may use: its own entry where it has one, else `otherwise`. */
gi_tenant_limits gi_auth_keys_limits(const gi_auth_keys *keys, const char *tenant,
                                     const gi_tenant_limits *otherwise);

#endif
