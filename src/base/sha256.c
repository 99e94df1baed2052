/*
 * A thin layer over EVP. The algorithm is looked up once per gi_sha256; beginning again reuses it,
 * so that a chain of hashes costs no allocation. OpenSSL's queue of errors is emptied after a
 * failure, because other libraries of this thread would take what is left there for their own.
 */
#include "base/sha256.h"

#include "base/little_endian.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <string.h>

void gi_hex_encode(const uint8_t *bytes, size_t n_bytes, char *ret) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n_bytes; i++) {
        *ret++ = digits[bytes[i] >> 4];
        *ret++ = digits[bytes[i] & 15];
    }
    *ret = '\0';
}

void gi_digest_hex(const gi_digest *digest, char ret[GI_DIGEST_HEX_BYTES]) {
    gi_hex_encode(digest->bytes, sizeof digest->bytes, ret);
}

glint_status gi_sha256_init(gi_sha256 *h, glint_error *err) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx) {
        ERR_clear_error();
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a hash");
    }
    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        ERR_clear_error();
        EVP_MD_CTX_free(ctx);
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "OpenSSL has no SHA-256");
    }
    *h = (gi_sha256){.ctx = ctx};
    return GLINT_OK;
}

void gi_sha256_done(gi_sha256 *h) {
    EVP_MD_CTX_free(h->ctx);
    *h = (gi_sha256){0};
}

static void update(gi_sha256 *h, const void *bytes, size_t n_bytes) {
    if (h->is_good && EVP_DigestUpdate(h->ctx, bytes, n_bytes) != 1) h->is_good = false;
}

/* A type and eight bytes. */
static void put_field(gi_sha256 *h, char type, uint64_t value) {
    uint8_t field[9] = {(uint8_t)type};
    gi_le_put(field + 1, value, 8);
    update(h, field, sizeof field);
}

void gi_sha256_begin(gi_sha256 *h, const char *domain) {
    h->is_good = EVP_DigestInit_ex(h->ctx, NULL, NULL) == 1;
    put_field(h, 'd', strlen(domain));
    update(h, domain, strlen(domain));
}

void gi_sha256_u64(gi_sha256 *h, uint64_t value) {
    put_field(h, 'u', value);
}

void gi_sha256_f64(gi_sha256 *h, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_field(h, 'f', bits);
}

void gi_sha256_bytes(gi_sha256 *h, const void *bytes, size_t n_bytes) {
    put_field(h, 'b', n_bytes);
    if (n_bytes > 0) update(h, bytes, n_bytes);
}

glint_status gi_sha256_end(gi_sha256 *h, gi_digest *ret, glint_error *err) {
    gi_digest digest;
    const bool was_good = h->is_good;
    h->is_good = false;
    if (!was_good || EVP_DigestFinal_ex(h->ctx, digest.bytes, NULL) != 1) {
        ERR_clear_error();
        return gi_fail(err, GLINT_ERR_INTERNAL, "OpenSSL failed to compute a SHA-256");
    }
    *ret = digest;
    return GLINT_OK;
}

glint_status gi_sha256_of_bytes(const char *domain, const void *bytes, size_t n_bytes,
                                gi_digest *ret, glint_error *err) {
    gi_sha256 h;
    GI_TRY(gi_sha256_init(&h, err));
    gi_sha256_begin(&h, domain);
    gi_sha256_bytes(&h, bytes, n_bytes);
    const glint_status st = gi_sha256_end(&h, ret, err);
    gi_sha256_done(&h);
    return st;
}
