/*
 * Sealing and opening. Everything the header says is compared with what is expected, and the length
 * with the bytes there are, before anything is computed over them.
 */
#include "store/store_value.h"

#include "base/filemap.h"
#include "base/little_endian.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <string.h>
#include <time.h>

enum { VERSION = 1, MAC_AT = 64, NAME_AT = 32, MAC_BYTES = 32 };

static const char MAGIC[8] = {'g', 'l', 'i', 'n', 't', 'v', 'a', 'l'};

/* HMAC-SHA-256 over two pieces. */
static bool hmac(const void *key, size_t n_key, const void *a, size_t n_a, const void *b,
                 size_t n_b, uint8_t ret[MAC_BYTES]) {
    static const char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_construct_end()};
    size_t n = 0;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    const bool ok = ctx && EVP_MAC_init(ctx, key, n_key, params) == 1 &&
                    EVP_MAC_update(ctx, a, n_a) == 1 &&
                    (n_b == 0 || EVP_MAC_update(ctx, b, n_b) == 1) &&
                    EVP_MAC_final(ctx, ret, &n, MAC_BYTES) == 1 && n == MAC_BYTES;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    if (!ok) ERR_clear_error();
    return ok;
}

static glint_status hmac_failed(glint_error *err) {
    return gi_fail(err, GLINT_ERR_INTERNAL, "OpenSSL failed to compute an HMAC");
}

glint_status gi_store_secret_init(gi_store_secret *ret, const void *bytes, size_t n_bytes,
                                  glint_error *err) {
    static const char name[] = "glint store name 1", mac[] = "glint store value 1";
    if (n_bytes < GI_STORE_SECRET_BYTES_MIN || n_bytes > GI_STORE_SECRET_BYTES_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "a secret of %zu bytes; it must have %d to %d", n_bytes,
                       GI_STORE_SECRET_BYTES_MIN, GI_STORE_SECRET_BYTES_MAX);
    gi_store_secret secret;
    if (!hmac(bytes, n_bytes, name, sizeof name - 1, NULL, 0, secret.name_key) ||
        !hmac(bytes, n_bytes, mac, sizeof mac - 1, NULL, 0, secret.mac_key))
        return hmac_failed(err);
    *ret = secret;
    return GLINT_OK;
}

glint_status gi_store_secret_load(gi_store_secret *ret, const char *path, glint_error *err) {
    gi_buf file;
    gi_buf_init(&file, GI_STORE_SECRET_BYTES_MAX + 2);
    glint_status st = gi_file_read(path, &file, err);
    size_t n = file.len;
    if (n > 0 && file.data[n - 1] == '\n') n--;
    if (n > 0 && n < file.len && file.data[n - 1] == '\r') n--;
    glint_error why = {0};
    if (st == GLINT_OK) {
        st = gi_store_secret_init(ret, file.data, n, &why);
        if (st != GLINT_OK) gi_fail(err, st, "%s: %s", path, why.message);
    }
    gi_buf_wipe(&file);
    return st;
}

glint_status gi_store_name(const gi_store_secret *secret, gi_store_kind kind, const gi_digest *key,
                           gi_digest *ret, glint_error *err) {
    uint8_t what[2];
    gi_le_put(what, kind, sizeof what);
    gi_digest name;
    if (!hmac(secret->name_key, sizeof secret->name_key, what, sizeof what, key->bytes,
              sizeof key->bytes, name.bytes))
        return hmac_failed(err);
    *ret = name;
    return GLINT_OK;
}

glint_status gi_store_seal(const gi_store_secret *secret, gi_store_kind kind, const gi_digest *name,
                           int64_t expires_unix_ms, const void *contents, size_t n_bytes,
                           gi_buf *out, glint_error *err) {
    uint8_t head[GI_STORE_HEADER_BYTES] = {0};
    memcpy(head, MAGIC, sizeof MAGIC);
    gi_le_put(head + 8, VERSION, 2);
    gi_le_put(head + 10, kind, 2);
    gi_le_put(head + 16, n_bytes, 8);
    gi_le_put(head + 24, (uint64_t)expires_unix_ms, 8);
    memcpy(head + NAME_AT, name->bytes, sizeof name->bytes);
    if (!hmac(secret->mac_key, sizeof secret->mac_key, head, MAC_AT, contents, n_bytes,
              head + MAC_AT))
        return hmac_failed(err);
    GI_TRY(gi_buf_push(out, head, sizeof head, err));
    return n_bytes > 0 ? gi_buf_push(out, contents, n_bytes, err) : GLINT_OK;
}

gi_store_verdict gi_store_open(const gi_store_secret *secret, gi_store_kind kind,
                               const gi_digest *name, int64_t now_unix_ms, const uint8_t *bytes,
                               size_t n_bytes, const uint8_t **ret_contents, size_t *ret_n_bytes) {
    uint8_t mac[MAC_BYTES];
    if (n_bytes < GI_STORE_HEADER_BYTES) return GI_STORE_REFUSED;
    const size_t n = n_bytes - GI_STORE_HEADER_BYTES;
    const uint8_t *contents = bytes + GI_STORE_HEADER_BYTES;
    if (memcmp(bytes, MAGIC, sizeof MAGIC) != 0 || gi_le_get(bytes + 8, 2) != VERSION ||
        gi_le_get(bytes + 10, 2) != (uint64_t)kind || gi_le_get(bytes + 12, 4) != 0 ||
        gi_le_get(bytes + 16, 8) != n ||
        memcmp(bytes + NAME_AT, name->bytes, sizeof name->bytes) != 0)
        return GI_STORE_REFUSED;
    if (!hmac(secret->mac_key, sizeof secret->mac_key, bytes, MAC_AT, contents, n, mac) ||
        CRYPTO_memcmp(mac, bytes + MAC_AT, sizeof mac) != 0)
        return GI_STORE_REFUSED;
    if ((int64_t)gi_le_get(bytes + 24, 8) <= now_unix_ms) return GI_STORE_EXPIRED;
    *ret_contents = contents;
    *ret_n_bytes = n;
    return GI_STORE_GOOD;
}

int64_t gi_store_unix_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
