/*
 * Keys and signatures by OpenSSL's EVP interface. This file decides which keys are fit for use; it
 * refuses what a deployment would regret: short ones, other curves, tiny exponents, and RSA keys of
 * the ROCA family (CVE-2017-15361), whose private half follows from the public one.
 *
 * OpenSSL's own words stay here: its error queue is emptied, and messages are glint's.
 */
#include "server/auth_key.h"

#include "base/alloc.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

enum {
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 8192,
    RSA_EXPONENT_MIN = 65537,
    HASH_BYTES = 32,
    P256_BYTES = 32,
    ED25519_SIGNATURE_BYTES = 64,
};

static const char *const NAMES[] = {
    [GI_AUTH_ALG_NONE] = "",   [GI_AUTH_HS256] = "HS256", [GI_AUTH_RS256] = "RS256",
    [GI_AUTH_ES256] = "ES256", [GI_AUTH_EDDSA] = "EdDSA",
};

gi_auth_alg gi_auth_alg_parse(const char *name) {
    for (int i = GI_AUTH_HS256; i <= GI_AUTH_EDDSA; i++)
        if (strcmp(name, NAMES[i]) == 0) return (gi_auth_alg)i;
    return GI_AUTH_ALG_NONE;
}

const char *gi_auth_alg_name(gi_auth_alg alg) {
    return NAMES[alg];
}

/* ---- keys ---- */

glint_status gi_auth_key_from_secret(const uint8_t *secret, size_t n, gi_auth_key *ret,
                                     glint_error *err) {
    if (n < GI_AUTH_SECRET_BYTES_MIN || n > GI_AUTH_SECRET_BYTES_MAX)
        return gi_fail(err, GLINT_ERR_FORMAT, "a secret has %d to %d bytes, this one %zu",
                       GI_AUTH_SECRET_BYTES_MIN, GI_AUTH_SECRET_BYTES_MAX, n);
    uint8_t *copy = gi_alloc(n);
    if (!copy) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a key");
    memcpy(copy, secret, n);
    *ret = (gi_auth_key){.alg = GI_AUTH_HS256, .secret = copy, .n_secret = n};
    return GLINT_OK;
}

/* ROCA: the modulus of such a key is a power of 65537 modulo each of these primes. For a sound key
 * all of that comes true once in about 2^27 keys (Nemec et al., CCS 2017, section 4.2). */
static bool is_roca(const BIGNUM *n) {
    static const uint8_t primes[] = {
        3,  5,  7,  11, 13, 17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
        73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
    for (size_t i = 0; i < sizeof primes; i++) {
        const unsigned p = primes[i], want = (unsigned)BN_mod_word(n, p), generator = 65537 % p;
        unsigned power = 1;
        bool is_power = false;
        for (unsigned k = 0; k < p && !is_power; k++) {
            is_power = power == want;
            power = power * generator % p;
        }
        if (!is_power) return false;
    }
    return true;
}

static glint_status check_rsa(const EVP_PKEY *key, glint_error *err) {
    const int n_bits = EVP_PKEY_get_bits(key);
    if (n_bits < RSA_BITS_MIN || n_bits > RSA_BITS_MAX)
        return gi_fail(err, GLINT_ERR_FORMAT, "an RSA key has %d to %d bits, this one %d",
                       RSA_BITS_MIN, RSA_BITS_MAX, n_bits);
    BIGNUM *n = NULL, *e = NULL;
    glint_status st = GLINT_OK;
    if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) ||
        !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e))
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for a key");
    else if (!BN_is_odd(e) || (BN_num_bits(e) <= 17 && BN_get_word(e) < RSA_EXPONENT_MIN))
        st = gi_fail(err, GLINT_ERR_FORMAT, "the exponent of an RSA key must be odd and %d or more",
                     RSA_EXPONENT_MIN);
    else if (is_roca(n))
        st = gi_fail(err, GLINT_ERR_FORMAT,
                     "this RSA key was made by a broken generator (ROCA, CVE-2017-15361)");
    BN_free(n);
    BN_free(e);
    return st;
}

static glint_status check_kind(gi_auth_alg alg, EVP_PKEY *key, glint_error *err) {
    const char *const kind = alg == GI_AUTH_RS256 ? "RSA" : alg == GI_AUTH_ES256 ? "EC" : "ED25519";
    if (!EVP_PKEY_is_a(key, kind))
        return gi_fail(err, GLINT_ERR_FORMAT, "%s needs a key of type %s, this one is another",
                       gi_auth_alg_name(alg), kind);
    if (alg == GI_AUTH_RS256) return check_rsa(key, err);
    char group[32] = "";
    if (alg == GI_AUTH_ES256 && (!EVP_PKEY_get_group_name(key, group, sizeof group, NULL) ||
                                 strcmp(group, "prime256v1") != 0))
        return gi_fail(err, GLINT_ERR_FORMAT, "ES256 needs a key on the curve P-256");
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    const bool is_sound = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!is_sound) return gi_fail(err, GLINT_ERR_FORMAT, "the key is not a point on its curve");
    return GLINT_OK;
}

int gi_auth_no_password(char *out, int n, int is_writing, void *ctx) {
    (void)out;
    (void)n;
    (void)is_writing;
    (void)ctx;
    return 0;
}

glint_status gi_auth_key_from_pem(gi_auth_alg alg, const char *pem, size_t n, gi_auth_key *ret,
                                  glint_error *err) {
    gi_assert(alg == GI_AUTH_RS256 || alg == GI_AUTH_ES256 || alg == GI_AUTH_EDDSA);
    if (memmem(pem, n, "PRIVATE KEY", strlen("PRIVATE KEY")))
        return gi_fail(err, GLINT_ERR_FORMAT,
                       "this is a private key; the server needs only the public half "
                       "(openssl pkey -in FILE -pubout)");
    if (n > GI_AUTH_PEM_BYTES_MAX)
        return gi_fail(err, GLINT_ERR_FORMAT, "longer than %d bytes", GI_AUTH_PEM_BYTES_MAX);
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, gi_auth_no_password, NULL) : NULL;
    BIO_free(bio);
    glint_status st;
    if (!bio)
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for a key");
    else if (!key)
        st = gi_fail(err, GLINT_ERR_FORMAT, "not a public key in PEM (-----BEGIN PUBLIC KEY-----)");
    else
        st = check_kind(alg, key, err);
    ERR_clear_error();
    if (st != GLINT_OK) {
        EVP_PKEY_free(key);
        return st;
    }
    *ret = (gi_auth_key){.alg = alg, .public_key = key};
    return GLINT_OK;
}

void gi_auth_key_done(gi_auth_key *key) {
    if (key->secret) OPENSSL_cleanse(key->secret, key->n_secret);
    gi_free(key->secret);
    EVP_PKEY_free(key->public_key);
    *key = (gi_auth_key){0};
}

/* ---- signatures ---- */

/* These leave *ret_failed alone, or set it when OpenSSL could not do what it was asked for. */

static bool hmac_is(const gi_auth_key *key, const void *bytes, size_t n, const uint8_t *signature,
                    size_t n_signature, bool *ret_failed) {
    uint8_t mac[HASH_BYTES];
    size_t n_mac = 0;
    if (n_signature != HASH_BYTES || key->n_secret < GI_AUTH_SECRET_BYTES_MIN) return false;
    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key->secret, key->n_secret, bytes, n, mac,
                   sizeof mac, &n_mac) ||
        n_mac != HASH_BYTES) {
        *ret_failed = true;
        return false;
    }
    return CRYPTO_memcmp(mac, signature, HASH_BYTES) == 0;
}

/* A JOSE signature of P-256 is r and s, 32 bytes each; OpenSSL wants them in DER. */
static size_t to_der(const uint8_t *signature, size_t n, uint8_t **ret, bool *ret_failed) {
    if (n != 2 * P256_BYTES) return 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, P256_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(signature + P256_BYTES, P256_BYTES, NULL);
    int n_der = 0;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
        r = s = NULL; /* they are sig's now */
        n_der = i2d_ECDSA_SIG(sig, ret);
    }
    ECDSA_SIG_free(sig);
    BN_free(r);
    BN_free(s);
    if (n_der <= 0) *ret_failed = true;
    return n_der > 0 ? (size_t)n_der : 0;
}

static bool public_verifies(const gi_auth_key *key, const void *bytes, size_t n,
                            const uint8_t *signature, size_t n_signature, bool *ret_failed) {
    const EVP_MD *hash = key->alg == GI_AUTH_EDDSA ? NULL : EVP_sha256();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool can = ctx && EVP_DigestVerifyInit(ctx, NULL, hash, NULL, key->public_key) == 1;
    const bool ok = can && EVP_DigestVerify(ctx, signature, n_signature, bytes, n) == 1;
    if (!can) *ret_failed = true;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool verifies_once(const gi_auth_key *key, const void *bytes, size_t n,
                          const uint8_t *signature, size_t n_signature, bool *ret_failed) {
    bool ok = false;
    uint8_t *der = NULL;
    switch (key->alg) {
    case GI_AUTH_ALG_NONE:
        return false;
    case GI_AUTH_HS256:
        return hmac_is(key, bytes, n, signature, n_signature, ret_failed);
    case GI_AUTH_RS256:
        return n_signature == (size_t)EVP_PKEY_get_size(key->public_key) &&
               public_verifies(key, bytes, n, signature, n_signature, ret_failed);
    case GI_AUTH_ES256:
        n_signature = to_der(signature, n_signature, &der, ret_failed);
        ok = n_signature > 0 && public_verifies(key, bytes, n, der, n_signature, ret_failed);
        OPENSSL_free(der);
        return ok;
    case GI_AUTH_EDDSA:
        return n_signature == ED25519_SIGNATURE_BYTES &&
               public_verifies(key, bytes, n, signature, n_signature, ret_failed);
    }
    return false;
}

/* Short of memory in the middle of its work, OpenSSL may say without a word that a signature is
 * wrong. So it is asked twice; a shortage that lasts meets its first step, which tells. */
bool gi_auth_key_verifies(const gi_auth_key *key, const void *bytes, size_t n,
                          const uint8_t *signature, size_t n_signature, bool *ret_is_memory) {
    bool ok = false, failed = false;
    for (int i = 0; i < 2 && !ok && !failed; i++)
        ok = verifies_once(key, bytes, n, signature, n_signature, &failed);
    ERR_clear_error();
    *ret_is_memory = failed;
    return ok;
}
