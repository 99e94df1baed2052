/* Each callback is one call of the store; only who frees what differs. */
#include "server/store_hooks.h"

#include "base/alloc.h"

#include <string.h>

static gi_digest key_of(const uint8_t bytes[32]) {
    gi_digest key;
    memcpy(key.bytes, bytes, sizeof key.bytes);
    return key;
}

static bool find_picture(void *ctx, const uint8_t key[32], const void **ret_bytes,
                         size_t *ret_n_bytes, void **ret_handle) {
    gi_store_found *found = gi_alloc(sizeof *found);
    const gi_digest k = key_of(key);
    if (!found) return false;
    if (!gi_store_get(ctx, GI_STORE_PICTURE, &k, found)) {
        gi_free(found);
        return false;
    }
    *ret_bytes = found->bytes;
    *ret_n_bytes = found->n;
    *ret_handle = found;
    return true;
}

static void picture_done(void *ctx, void *handle) {
    (void)ctx;
    gi_store_found_done(handle);
    gi_free(handle);
}

static void put_picture(void *ctx, const uint8_t key[32], const void *bytes, size_t n_bytes) {
    const gi_digest k = key_of(key);
    gi_store_put(ctx, GI_STORE_PICTURE, &k, bytes, n_bytes, gi_store_ttl_ms(ctx));
}

glint_picture_store gi_store_hook_pictures(gi_store *store) {
    return (glint_picture_store){.find = find_picture,
                                 .done = picture_done,
                                 .put = put_picture,
                                 .bytes_max = gi_store_value_bytes_max(store),
                                 .ctx = store};
}

static bool find_fetched(void *ctx, const gi_digest *key, gi_buf *ret) {
    gi_store_found found;
    if (!gi_store_get(ctx, GI_STORE_FETCHED, key, &found)) return false;
    *ret = found.buf;
    ret->len = found.n;
    return true;
}

static void put_fetched(void *ctx, const gi_digest *key, const uint8_t *bytes, size_t n_bytes,
                        int64_t fresh_ms) {
    gi_store_put(ctx, GI_STORE_FETCHED, key, bytes, n_bytes, fresh_ms);
}

gi_fetch_store gi_store_hook_fetched(gi_store *store) {
    return (gi_fetch_store){.find = find_fetched, .put = put_fetched, .ctx = store};
}
