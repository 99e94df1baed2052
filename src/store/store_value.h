/**
 * @file
 * What a value looks like outside of glint, where anybody who reaches Redis can change it: a header
 * that says what it is, and a MAC over header and contents. Numbers are little-endian:
 *
 *      0   8  "glintval"
 *      8   2  version, 1
 *     10   2  kind, gi_store_kind
 *     12   4  0
 *     16   8  bytes of contents
 *     24   8  expiry, milliseconds since 1970
 *     32  32  name: HMAC-SHA-256 over kind and key
 *     64  32  HMAC-SHA-256 over bytes 0..63 and the contents
 *     96      contents
 *
 * So a value that was changed, cut, moved to another key, kept beyond its time or written by a
 * stranger is refused. One that was overwritten by an older value of the same key, which has not
 * expired, is taken: whatever lies under a key must stay true as long as it lasts.
 *
 * Names are made with the secret too: who reads Redis cannot try out whether a guessed question was
 * asked. Contents are not encrypted.
 */
#ifndef GI_STORE_STORE_VALUE_H
#define GI_STORE_STORE_VALUE_H

#include "base/buf.h"
#include "base/sha256.h"

/** What a value holds. Numbers are part of the format. */
typedef enum gi_store_kind {
    GI_STORE_ANSWER = 1,  /**< a whole answer */
    GI_STORE_PICTURE = 2, /**< an encoded picture */
    GI_STORE_FETCHED = 3, /**< bytes of a picture fetched by URL */
    GI_STORE_LIMIT = 4,   /**< level of a rate limit */
} gi_store_kind;

/** Kinds, and room for an array indexed by them. */
#define GI_STORE_KINDS 5

#define GI_STORE_HEADER_BYTES 96

/** Bytes a secret must have at least, and at most. */
#define GI_STORE_SECRET_BYTES_MIN 32
#define GI_STORE_SECRET_BYTES_MAX 4096

/** Keys made from the secret. */
typedef struct gi_store_secret {
    uint8_t name_key[32], mac_key[32];
} gi_store_secret;

/** GLINT_ERR_ARG: too short or too long. GLINT_ERR_INTERNAL: OpenSSL failed. */
glint_status gi_store_secret_init(gi_store_secret *ret, const void *bytes, size_t n_bytes,
                                  glint_error *err);

/** The same from a file, whose last line end does not count. GLINT_ERR_IO, _ARG, _LIMIT, _MEMORY.
 */
glint_status gi_store_secret_load(gi_store_secret *ret, const char *path, glint_error *err);

/** The name of a key. GLINT_ERR_INTERNAL. */
glint_status gi_store_name(const gi_store_secret *secret, gi_store_kind kind, const gi_digest *key,
                           gi_digest *ret, glint_error *err);

/** Append header and contents to `out`. GLINT_ERR_LIMIT, _MEMORY, _INTERNAL. */
glint_status gi_store_seal(const gi_store_secret *secret, gi_store_kind kind, const gi_digest *name,
                           int64_t expires_unix_ms, const void *contents, size_t n_bytes,
                           gi_buf *out, glint_error *err);

/** Why a value is refused. */
typedef enum gi_store_verdict {
    GI_STORE_GOOD,
    GI_STORE_EXPIRED, /**< good, but too old */
    GI_STORE_REFUSED, /**< not what glint wrote under this name */
} gi_store_verdict;

/** Look at n bytes found under a name. ret_contents points into them; both only when GOOD. */
gi_store_verdict gi_store_open(const gi_store_secret *secret, gi_store_kind kind,
                               const gi_digest *name, int64_t now_unix_ms, const uint8_t *bytes,
                               size_t n_bytes, const uint8_t **ret_contents, size_t *ret_n_bytes);

/** Milliseconds since 1970, for expiry alone. */
int64_t gi_store_unix_ms(void);

#endif
