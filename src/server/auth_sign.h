/**
 * @file
 * The other half of credentials: making keys, tokens and API keys. Only `glint token` and tests
 * come here; a server holds no private key.
 */
#ifndef GI_SERVER_AUTH_SIGN_H
#define GI_SERVER_AUTH_SIGN_H

#include "base/buf.h"
#include "server/auth.h"

/** A key that tokens are signed with. Zeroed: none. */
typedef struct gi_sign_key {
    gi_auth_alg alg;
    uint8_t secret[GI_AUTH_SECRET_BYTES_MAX + 2]; /**< HS256 [n_secret] */
    size_t n_secret;
    struct evp_pkey_st *private_key; /**< the others, owned */
} gi_sign_key;

/** A new key: a secret of 32 bytes, RSA of 3072 bits, P-256, Ed25519. GLINT_ERR_INTERNAL. */
glint_status gi_sign_key_make(gi_auth_alg alg, gi_sign_key *ret, glint_error *err);

/**
 * Read what gi_sign_key_write wrote, or another program's: a private key in PEM, whose kind gives
 * the algorithm, or one line of base64url, a secret. GLINT_ERR_FORMAT.
 */
glint_status gi_sign_key_read(const char *text, size_t n, gi_sign_key *ret, glint_error *err);

/** Append the private half as text; the file for it is the caller's to protect. */
glint_status gi_sign_key_write(const gi_sign_key *key, gi_buf *ret, glint_error *err);

/** Append the public half in PEM; not for HS256, which has none. */
glint_status gi_sign_key_write_public(const gi_sign_key *key, gi_buf *ret, glint_error *err);

/** Wipe and free. A zeroed key is fine. */
void gi_sign_key_done(gi_sign_key *key);

/**
 * Append a token.
 * @param kid    for its header; NULL: none.
 * @param claims a JSON object as text, put into the token as it is.
 */
glint_status gi_jwt_sign(const gi_sign_key *key, const char *kid, const char *claims, gi_buf *ret,
                         glint_error *err);

/** A new API key and its hash in hexadecimal. GLINT_ERR_INTERNAL. */
glint_status gi_api_key_make(char ret_key[GI_AUTH_API_KEY_CHARS + 1],
                             char ret_sha256[2 * GI_AUTH_SHA256_BYTES + 1], glint_error *err);

#endif
