/**
 * @file
 * SHA-256 over typed fields, by OpenSSL. Every field is written with its type and length, so that
 * two different lists of fields are never the same bytes: ("ab", "c") is not ("a", "bc").
 *
 *     gi_sha256 h;
 *     GI_TRY(gi_sha256_init(&h, err));
 *     gi_sha256_begin(&h, "glint picture 1");     // what is hashed, and the layout's version
 *     gi_sha256_u64(&h, max_side_px);
 *     gi_sha256_bytes(&h, bytes, n_bytes);
 *     st = gi_sha256_end(&h, &digest, err);       // begin again, as often as one likes
 *     gi_sha256_done(&h);
 *
 * What is hashed, numbers least significant byte first:
 *
 *     begin   "d" u64(length) domain        u64     "u" u64(value)
 *     bytes   "b" u64(length) bytes         f64     "f" the eight bytes of the IEEE 754 double
 *
 * A failure inside is remembered and reported by gi_sha256_end. Threads: one at a time per hash.
 */
#ifndef GI_BASE_SHA256_H
#define GI_BASE_SHA256_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A SHA-256. Compare with memcmp, all of it. */
typedef struct gi_digest {
    uint8_t bytes[32];
} gi_digest;

/** Room for a digest as text. */
#define GI_DIGEST_HEX_BYTES 65

/** 2 * n_bytes small hex digits and a zero. */
void gi_hex_encode(const uint8_t *bytes, size_t n_bytes, char *ret);

/** 64 small hex digits and a zero. */
void gi_digest_hex(const gi_digest *digest, char ret[GI_DIGEST_HEX_BYTES]);

typedef struct gi_sha256 {
    struct evp_md_ctx_st *ctx; /**< OpenSSL's */
    bool is_good;              /**< begun, and nothing has failed since */
} gi_sha256;

/** GLINT_ERR_MEMORY; GLINT_ERR_UNSUPPORTED: this system's OpenSSL refuses SHA-256. */
glint_status gi_sha256_init(gi_sha256 *h, glint_error *err);

/** Free. A zeroed one is fine. */
void gi_sha256_done(gi_sha256 *h);

/** Start anew. Different domains never give equal digests. */
void gi_sha256_begin(gi_sha256 *h, const char *domain);

void gi_sha256_u64(gi_sha256 *h, uint64_t value);

/** Equal are doubles of the same bits: -0 is not 0. */
void gi_sha256_f64(gi_sha256 *h, double value);

/** n_bytes may be 0, and `bytes` NULL then. */
void gi_sha256_bytes(gi_sha256 *h, const void *bytes, size_t n_bytes);

/** The digest of all since begin. GLINT_ERR_INTERNAL if any step failed, or without a begin. */
glint_status gi_sha256_end(gi_sha256 *h, gi_digest *ret, glint_error *err);

/** The digest of one domain and one field of bytes. Errors as init and end. */
glint_status gi_sha256_of_bytes(const char *domain, const void *bytes, size_t n_bytes,
                                gi_digest *ret, glint_error *err);

#endif
