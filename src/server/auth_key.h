/**
 * @file
 * One key that tokens are verified with. The algorithm belongs to the key and is decided by the
 * server's owner; what a token says about it is only compared.
 *
 *     HS256   HMAC with SHA-256, a secret of 32..1024 bytes
 *     RS256   RSA PKCS #1 v1.5 with SHA-256, 2048..8192 bits, exponent 65537 or more
 *     ES256   ECDSA on P-256 with SHA-256
 *     EdDSA   Ed25519
 */
#ifndef GI_SERVER_AUTH_KEY_H
#define GI_SERVER_AUTH_KEY_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GI_AUTH_SECRET_BYTES_MIN 32
#define GI_AUTH_SECRET_BYTES_MAX 1024

/** Largest PEM file that is read. */
#define GI_AUTH_PEM_BYTES_MAX 32768

/** Longest signature: RSA of 8192 bits. */
#define GI_AUTH_SIGNATURE_BYTES_MAX 1024

typedef enum gi_auth_alg {
    GI_AUTH_ALG_NONE,
    GI_AUTH_HS256,
    GI_AUTH_RS256,
    GI_AUTH_ES256,
    GI_AUTH_EDDSA,
} gi_auth_alg;

/** The algorithm of a name, case-sensitive; GI_AUTH_ALG_NONE for any other name, "none" included.
 */
gi_auth_alg gi_auth_alg_parse(const char *name);

/** "HS256" and so on; "" for GI_AUTH_ALG_NONE. */
const char *gi_auth_alg_name(gi_auth_alg alg);

struct evp_pkey_st;

/** Zeroed: no key, which verifies nothing. */
typedef struct gi_auth_key {
    gi_auth_alg alg;
    uint8_t *secret; /**< HS256 [n_secret], owned */
    size_t n_secret;
    struct evp_pkey_st *public_key; /**< the others, owned */
} gi_auth_key;

/** A key from a secret, which is copied. GLINT_ERR_FORMAT (length), GLINT_ERR_MEMORY. */
glint_status gi_auth_key_from_secret(const uint8_t *secret, size_t n, gi_auth_key *ret,
                                     glint_error *err);

/**
 * A key from the text of a PEM file with one public key (SubjectPublicKeyInfo).
 * @return GLINT_ERR_FORMAT: no public key, a private one, not of the algorithm's kind, too short,
 *         of another curve, or with a known weakness; the message has no file name.
 */
glint_status gi_auth_key_from_pem(gi_auth_alg alg, const char *pem, size_t n, gi_auth_key *ret,
                                  glint_error *err);

/** For OpenSSL's readers of PEM: never asks anybody for a password. */
int gi_auth_no_password(char *out, int n, int is_writing, void *ctx);

/** Wipe and free. A zeroed key is fine. */
void gi_auth_key_done(gi_auth_key *key);

/** True only if `signature` is the key's for these n bytes. False says nothing of the signature
 * when *ret_is_memory: there was no memory to look. Any number of threads at once. */
bool gi_auth_key_verifies(const gi_auth_key *key, const void *bytes, size_t n,
                          const uint8_t *signature, size_t n_signature, bool *ret_is_memory);

#endif
