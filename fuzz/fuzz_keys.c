/*
 * The first line as a credential, what follows as a file of keys: of tokens where the line begins
 * with a digit, else API keys. Names in a set are names, and each is there once; nobody gets in but
 * by a key of the file, and then under a name. The file's bytes also as the PEM of a public key.
 */
#include "base/alloc.h"
#include "bytes_file.h"
#include "server/auth.h"
#include "server/auth_keys.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { NOW_S = 1800000000, CREDENTIAL_BYTES = 2048 };

static void check_name(const char *name) {
    gi_assert(gi_auth_is_name(name, strlen(name)));
}

static void check_keys(const gi_auth_keys *k) {
    gi_assert(k->n_token_keys + k->n_api_keys > 0);
    for (size_t i = 0; i < k->n_token_keys; i++) {
        const gi_token_key *key = &k->token_keys[i];
        if (key->kid[0]) check_name(key->kid);
        if (key->tenant[0]) check_name(key->tenant);
        gi_assert(key->key.alg != GI_AUTH_ALG_NONE);
        gi_assert((key->key.alg == GI_AUTH_HS256) == (key->key.secret != NULL));
        bool is_memory = true;
        gi_assert(!gi_auth_key_verifies(&key->key, "a", 1, (const uint8_t *)"b", 1, &is_memory));
        gi_assert(!is_memory);
        if (key->kid[0]) gi_assert(gi_auth_keys_find(k, key->kid) == key);
    }
    for (size_t i = 0; i < k->n_api_keys; i++) {
        const gi_api_key *key = &k->api_keys[i];
        check_name(key->id);
        check_name(key->tenant);
        gi_assert((key->scopes & ~(unsigned)GI_SCOPE_ALL) == 0);
        gi_assert(gi_auth_keys_find_api(k, key->sha256) == key);
    }
    for (size_t i = 0; i < k->n_tenants; i++) check_name(k->tenants[i].tenant);
}

/* One header as either kind of credential. */
static void check_credential(gi_auth *a, const gi_auth_keys *k, const char *text) {
    const gi_auth_headers both[] = {{.authorization = text, .n_authorization = 1},
                                    {.api_key = text, .n_api_key = 1}};
    for (size_t i = 0; i < 2; i++) {
        gi_principal p = {0};
        gi_auth_refusal why = {0};
        const gi_auth_outcome got = gi_auth_check(a, &both[i], NOW_S, &p, &why);
        if (got == GI_AUTH_ACCEPTED) {
            check_name(p.tenant);
            gi_assert((p.scopes & ~(unsigned)GI_SCOPE_ALL) == 0);
        } else {
            gi_assert(got == GI_AUTH_REFUSED && why.reason && p.tenant[0] == '\0');
        }
        const bool is_key = strncmp(text, GI_AUTH_API_KEY_PREFIX, 3) == 0;
        uint8_t hash[GI_AUTH_SHA256_BYTES];
        gi_assert(gi_auth_sha256(text, strlen(text), hash));
        const gi_api_key *key = gi_auth_keys_find_api(k, hash);
        if (i == 1 && got == GI_AUTH_ACCEPTED)
            gi_assert(is_key && key && key->expires_s > NOW_S && strcmp(key->id, p.key_id) == 0);
    }
}

static void check_pem(const uint8_t *bytes, size_t n) {
    static const gi_auth_alg algs[] = {GI_AUTH_RS256, GI_AUTH_ES256, GI_AUTH_EDDSA};
    size_t n_taken = 0;
    for (size_t i = 0; i < 3; i++) {
        gi_auth_key key = {0};
        glint_error err = {0};
        if (gi_auth_key_from_pem(algs[i], (const char *)bytes, n, &key, &err) == GLINT_OK) {
            gi_assert(key.alg == algs[i] && key.public_key);
            n_taken++;
        } else {
            gi_assert(err.message[0] && !key.public_key);
        }
        gi_auth_key_done(&key);
    }
    gi_assert(n_taken <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    char credential[CREDENTIAL_BYTES];
    const uint8_t *cut = n_bytes ? memchr(bytes, '\n', n_bytes) : NULL;
    if (!cut || (size_t)(cut - bytes) >= sizeof credential) return 0;
    const size_t n_line = (size_t)(cut - bytes), n_file = n_bytes - n_line - 1;
    memcpy(credential, bytes, n_line);
    credential[n_line] = '\0';
    const bool is_jwt = credential[0] >= '0' && credential[0] <= '9';
    const char *path = bytes_file(cut + 1, n_file);
    const gi_auth_settings settings = {.jwt_keys = is_jwt ? path : NULL,
                                       .api_keys = is_jwt ? NULL : path,
                                       .jwt = {NULL, NULL, "tenant", 30}};
    gi_auth_keys *keys = NULL;
    glint_error err = {0};
    const glint_status st = gi_auth_keys_load(settings.jwt_keys, settings.api_keys, &keys, &err);
    if (st == GLINT_OK) {
        gi_auth *a = NULL;
        check_keys(keys);
        gi_assert(gi_auth_create(&settings, &a, NULL) == GLINT_OK);
        check_credential(a, keys, is_jwt ? credential + 1 : credential);
        gi_assert(gi_auth_reload(a, NULL) == GLINT_OK);
        gi_auth_free(a);
        gi_auth_keys_free(keys);
    } else {
        gi_assert(err.code == st && strstr(err.message, path) == err.message);
    }
    check_pem(cut + 1, n_file);
    return 0;
}
