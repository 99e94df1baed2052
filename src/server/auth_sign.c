/*
 * What `glint token` does, apart from files and options. Keys come from OpenSSL's generators,
 * random bytes from its random number generator.
 */
#include "server/auth_sign.h"

#include "base/sha256.h"
#include "server/base64url.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

enum { NEW_RSA_BITS = 3072, NEW_SECRET_BYTES = 32, P256_BYTES = 32 };

static glint_status broken(glint_error *err) {
    ERR_clear_error();
    return gi_fail(err, GLINT_ERR_INTERNAL, "OpenSSL cannot do that");
}

/* ---- keys ---- */

glint_status gi_sign_key_make(gi_auth_alg alg, gi_sign_key *ret, glint_error *err) {
    gi_sign_key k = {.alg = alg};
    switch (alg) {
    case GI_AUTH_ALG_NONE:
        return gi_fail(err, GLINT_ERR_ARG, "no such algorithm");
    case GI_AUTH_HS256:
        k.n_secret = NEW_SECRET_BYTES;
        if (RAND_bytes(k.secret, NEW_SECRET_BYTES) != 1) return broken(err);
        break;
    case GI_AUTH_RS256:
        k.private_key = EVP_RSA_gen(NEW_RSA_BITS);
        break;
    case GI_AUTH_ES256:
        k.private_key = EVP_EC_gen("P-256");
        break;
    case GI_AUTH_EDDSA:
        k.private_key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    }
    if (!k.private_key && alg != GI_AUTH_HS256) return broken(err);
    *ret = k;
    OPENSSL_cleanse(&k, sizeof k);
    return GLINT_OK;
}

static gi_auth_alg alg_of(const EVP_PKEY *key) {
    if (EVP_PKEY_is_a(key, "RSA")) return GI_AUTH_RS256;
    if (EVP_PKEY_is_a(key, "EC")) return GI_AUTH_ES256;
    return EVP_PKEY_is_a(key, "ED25519") ? GI_AUTH_EDDSA : GI_AUTH_ALG_NONE;
}

static glint_status read_pem(const char *text, size_t n, gi_sign_key *ret, glint_error *err) {
    BIO *bio = BIO_new_mem_buf(text, (int)n);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, gi_auth_no_password, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (!key) return gi_fail(err, GLINT_ERR_FORMAT, "not a private key in PEM without a password");
    const gi_auth_alg alg = alg_of(key);
    char group[32] = "";
    if (alg == GI_AUTH_ALG_NONE ||
        (alg == GI_AUTH_ES256 && (!EVP_PKEY_get_group_name(key, group, sizeof group, NULL) ||
                                  strcmp(group, "prime256v1") != 0))) {
        EVP_PKEY_free(key);
        return gi_fail(err, GLINT_ERR_FORMAT, "neither RSA nor P-256 nor Ed25519");
    }
    *ret = (gi_sign_key){.alg = alg, .private_key = key};
    return GLINT_OK;
}

glint_status gi_sign_key_read(const char *text, size_t n, gi_sign_key *ret, glint_error *err) {
    if (n > GI_AUTH_PEM_BYTES_MAX) return gi_fail(err, GLINT_ERR_FORMAT, "too long for a key");
    if (memmem(text, n, "-----BEGIN", strlen("-----BEGIN"))) return read_pem(text, n, ret, err);
    gi_sign_key k = {.alg = GI_AUTH_HS256};
    if (n > 0 && text[n - 1] == '\n') n--;
    if (n >= GI_BASE64URL_TEXT_BYTES(GI_AUTH_SECRET_BYTES_MAX) ||
        !gi_base64url_decode(text, n, k.secret, &k.n_secret) ||
        k.n_secret < GI_AUTH_SECRET_BYTES_MIN) {
        gi_sign_key_done(&k);
        return gi_fail(err, GLINT_ERR_FORMAT,
                       "neither PEM nor a secret: %d to %d bytes in base64url",
                       GI_AUTH_SECRET_BYTES_MIN, GI_AUTH_SECRET_BYTES_MAX);
    }
    *ret = k;
    OPENSSL_cleanse(&k, sizeof k);
    return GLINT_OK;
}

/* Append what a writer put into `bio`. */
static glint_status take_text(BIO *bio, bool is_written, gi_buf *ret, glint_error *err) {
    char *text = NULL;
    const long n = bio ? BIO_get_mem_data(bio, &text) : 0;
    const glint_status st =
        is_written && n > 0 ? gi_buf_push(ret, text, (size_t)n, err) : broken(err);
    if (n > 0) OPENSSL_cleanse(text, (size_t)n);
    BIO_free(bio);
    return st;
}

glint_status gi_sign_key_write(const gi_sign_key *key, gi_buf *ret, glint_error *err) {
    if (key->alg == GI_AUTH_HS256) {
        char text[GI_BASE64URL_TEXT_BYTES(GI_AUTH_SECRET_BYTES_MAX)];
        gi_base64url_encode(key->secret, key->n_secret, text);
        const glint_status st = gi_buf_printf(ret, err, "%s\n", text);
        OPENSSL_cleanse(text, sizeof text);
        return st;
    }
    BIO *bio = BIO_new(BIO_s_mem());
    const bool ok =
        bio && PEM_write_bio_PKCS8PrivateKey(bio, key->private_key, NULL, NULL, 0, NULL, NULL);
    return take_text(bio, ok, ret, err);
}

glint_status gi_sign_key_write_public(const gi_sign_key *key, gi_buf *ret, glint_error *err) {
    BIO *bio = BIO_new(BIO_s_mem());
    return take_text(bio, bio && PEM_write_bio_PUBKEY(bio, key->private_key), ret, err);
}

void gi_sign_key_done(gi_sign_key *key) {
    EVP_PKEY_free(key->private_key);
    OPENSSL_cleanse(key, sizeof *key);
    *key = (gi_sign_key){0};
}

/* ---- tokens ---- */

static glint_status push_part(gi_buf *ret, const void *bytes, size_t n, glint_error *err) {
    GI_TRY(gi_buf_reserve(ret, GI_BASE64URL_TEXT_BYTES(n), err));
    gi_base64url_encode(bytes, n, (char *)ret->data + ret->len);
    ret->len += strlen((char *)ret->data + ret->len);
    return GLINT_OK;
}

/* r and s, 32 bytes each, out of OpenSSL's DER. */
static bool from_der(const uint8_t *der, size_t n_der, uint8_t out[2 * P256_BYTES]) {
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n_der);
    const bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, P256_BYTES) == P256_BYTES &&
                    BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + P256_BYTES, P256_BYTES) == P256_BYTES;
    ECDSA_SIG_free(sig);
    return ok;
}

static bool sign(const gi_sign_key *key, const void *bytes, size_t n,
                 uint8_t out[GI_AUTH_SIGNATURE_BYTES_MAX], size_t *ret_n) {
    size_t n_out = GI_AUTH_SIGNATURE_BYTES_MAX;
    if (key->alg == GI_AUTH_HS256)
        return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key->secret, key->n_secret, bytes, n,
                         out, n_out, ret_n) != NULL;
    uint8_t raw[GI_AUTH_SIGNATURE_BYTES_MAX];
    const EVP_MD *hash = key->alg == GI_AUTH_EDDSA ? NULL : EVP_sha256();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, hash, NULL, key->private_key) == 1 &&
              EVP_DigestSign(ctx, raw, &n_out, bytes, n) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok) return false;
    if (key->alg == GI_AUTH_ES256) {
        *ret_n = 2 * P256_BYTES;
        return from_der(raw, n_out, out);
    }
    memcpy(out, raw, n_out);
    *ret_n = n_out;
    return true;
}

glint_status gi_jwt_sign(const gi_sign_key *key, const char *kid, const char *claims, gi_buf *ret,
                         glint_error *err) {
    char header[GI_AUTH_NAME_BYTES + 64];
    if (kid && !gi_auth_is_name(kid, strlen(kid)))
        return gi_fail(err, GLINT_ERR_ARG, "a key id is 1 to 64 of A-Z a-z 0-9 . _ : @ -");
    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"%s%s%s}",
             gi_auth_alg_name(key->alg), kid ? ",\"kid\":\"" : "", kid ? kid : "", kid ? "\"" : "");
    const size_t begin = ret->len;
    GI_TRY(push_part(ret, header, strlen(header), err));
    GI_TRY(gi_buf_puts(ret, ".", err));
    GI_TRY(push_part(ret, claims, strlen(claims), err));
    uint8_t signature[GI_AUTH_SIGNATURE_BYTES_MAX];
    size_t n_signature = 0;
    if (!sign(key, ret->data + begin, ret->len - begin, signature, &n_signature))
        return broken(err);
    GI_TRY(gi_buf_puts(ret, ".", err));
    return push_part(ret, signature, n_signature, err);
}

/* ---- API keys ---- */

glint_status gi_api_key_make(char ret_key[GI_AUTH_API_KEY_CHARS + 1],
                             char ret_sha256[2 * GI_AUTH_SHA256_BYTES + 1], glint_error *err) {
    const size_t n_prefix = strlen(GI_AUTH_API_KEY_PREFIX);
    uint8_t random[32], hash[GI_AUTH_SHA256_BYTES];
    if (RAND_bytes(random, sizeof random) != 1) return broken(err);
    memcpy(ret_key, GI_AUTH_API_KEY_PREFIX, n_prefix);
    gi_base64url_encode(random, sizeof random, ret_key + n_prefix);
    OPENSSL_cleanse(random, sizeof random);
    if (!gi_auth_sha256(ret_key, GI_AUTH_API_KEY_CHARS, hash)) return broken(err);
    gi_hex_encode(hash, sizeof hash, ret_sha256);
    return GLINT_OK;
}
