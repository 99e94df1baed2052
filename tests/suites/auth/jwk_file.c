/*
 * RSA and EC keys go through OpenSSL into PEM; secrets are written as they are. What a JWK says
 * beyond that (use, key_ops, an algorithm glint does not have) cannot be said in glint's file, so
 * such a key is not written at all.
 */
#include "jwk_file.h"

#include "server/base64url.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = 1200, PATH_BYTES = 512 };

static const char *text_of(const json_t *jwk, const char *name) {
    const char *s = json_string_value(json_object_get(jwk, name));
    return s ? s : "";
}

/* A base64url member; its length, 0 when it is missing or broken. */
static size_t bytes_of(const json_t *jwk, const char *name, uint8_t out[NUMBER_BYTES]) {
    const char *s = text_of(jwk, name);
    size_t n = 0;
    if (strlen(s) > NUMBER_BYTES || !gi_base64url_decode(s, strlen(s), out, &n)) return 0;
    return n;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(const json_t *jwk) {
    uint8_t n[NUMBER_BYTES], e[NUMBER_BYTES];
    BIGNUM *bn_n = BN_bin2bn(n, (int)bytes_of(jwk, "n", n), NULL);
    BIGNUM *bn_e = BN_bin2bn(e, (int)bytes_of(jwk, "e", e), NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e);
    EVP_PKEY *key = from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(bn_n);
    BN_free(bn_e);
    return key;
}

static EVP_PKEY *ec_key(const json_t *jwk) {
    uint8_t point[1 + 2 * NUMBER_BYTES] = {4};
    const size_t n_x = bytes_of(jwk, "x", point + 1);
    const size_t n_y = bytes_of(jwk, "y", point + 1 + n_x);
    const char *curve = text_of(jwk, "crv");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + n_x + n_y);
    EVP_PKEY *key = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static bool write_pem(const char *dir, const char *name, EVP_PKEY *key) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    const bool ok = f && PEM_write_PUBKEY(f, key) == 1;
    if (f) fclose(f);
    return ok;
}

static bool may_verify(const json_t *jwk) {
    const char *use = text_of(jwk, "use");
    const json_t *ops = json_object_get(jwk, "key_ops");
    bool verifies = !ops;
    for (size_t i = 0; i < json_array_size(ops); i++)
        verifies |= strcmp(json_string_value(json_array_get(ops, i)), "verify") == 0;
    return verifies && (use[0] == '\0' || strcmp(use, "sig") == 0);
}

/* An entry of keys.json, or NULL. */
static json_t *entry_of(const char *dir, const json_t *jwk, size_t i, char why[200]) {
    const char *type = text_of(jwk, "kty"), *alg = text_of(jwk, "alg"), *kid = text_of(jwk, "kid");
    char pem[32];
    if (gi_auth_alg_parse(alg) == GI_AUTH_ALG_NONE) {
        snprintf(why, 200, "algorithm %s", alg);
        return NULL;
    }
    if (!may_verify(jwk)) {
        snprintf(why, 200, "a key that is not for signatures");
        return NULL;
    }
    json_t *e = json_pack("{s:s, s:s, s:s}", "kid", kid[0] ? kid : "k", "alg", alg, "tenant", "t");
    if (strcmp(type, "oct") == 0) {
        json_object_set_new(e, "secret", json_string(text_of(jwk, "k")));
        return e;
    }
    EVP_PKEY *key = strcmp(type, "RSA") == 0 ? rsa_key(jwk) : ec_key(jwk);
    snprintf(pem, sizeof pem, "%zu.pem", i);
    const bool ok = key && write_pem(dir, pem, key);
    EVP_PKEY_free(key);
    if (ok) {
        json_object_set_new(e, "pem", json_string(pem));
        return e;
    }
    snprintf(why, 200, "no key to OpenSSL");
    json_decref(e);
    return NULL;
}

gi_auth_keys *jwk_load(const char *dir, const json_t *const *jwks, size_t n, char why[200]) {
    char path[PATH_BYTES];
    json_t *keys = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *e = entry_of(dir, jwks[i], i, why);
        if (!e) {
            json_decref(keys);
            return NULL;
        }
        json_array_append_new(keys, e);
    }
    json_t *root = json_pack("{s:o}", "keys", keys);
    snprintf(path, sizeof path, "%s/keys.json", dir);
    gi_auth_keys *ret = NULL;
    glint_error err = {0};
    if (json_dump_file(root, path, JSON_INDENT(1)) != 0 ||
        gi_auth_keys_load(path, NULL, &ret, &err) != GLINT_OK)
        snprintf(why, 200, "%.199s", err.message);
    json_decref(root);
    return ret;
}
