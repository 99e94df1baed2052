/*
 * Keyed by the rewritten URL, so that two spellings share a copy. A kept value never changes: a
 * confirmed copy is put anew, around the same bytes.
 */
#include "fetch/kept.h"

#include "base/alloc.h"

#include <string.h>

bool gi_kept_key(const gi_digest *scope, const gi_url *url, gi_digest *ret) {
    gi_sha256 h;
    if (gi_sha256_init(&h, NULL) != GLINT_OK) return false;
    gi_sha256_begin(&h, "glint fetched picture 1");
    gi_sha256_bytes(&h, scope->bytes, sizeof scope->bytes);
    gi_sha256_bytes(&h, url->text, url->n);
    const glint_status st = gi_sha256_end(&h, ret, NULL);
    gi_sha256_done(&h);
    return st == GLINT_OK;
}

static gi_kept *kept_of(gi_cache_entry *entry) {
    return (gi_kept *)(void *)((char *)entry - offsetof(gi_kept, entry));
}

static void free_kept(gi_cache_entry *entry) {
    gi_kept *k = kept_of(entry);
    gi_fetch_bytes_unref(k->bytes);
    gi_free(k);
}

gi_kept *gi_kept_get(gi_cache *cache, const gi_digest *scope, const gi_url *url) {
    gi_digest key;
    gi_cache_entry *entry = gi_kept_key(scope, url, &key) ? gi_cache_get(cache, &key) : NULL;
    return entry ? kept_of(entry) : NULL;
}

int64_t gi_kept_put(gi_cache *cache, const gi_digest *scope, const gi_url *url,
                    gi_fetch_bytes *bytes, const gi_reply_head *head, const gi_kept *old,
                    double now_ms) {
    gi_digest key;
    if (!gi_kept_key(scope, url, &key)) return 0;
    gi_cache_remove(cache, &key);
    gi_reply_head merged = *head;
    if (old && !merged.validators.etag[0] && !merged.validators.last_modified[0])
        merged.validators = old->validators;
    int64_t fresh_s;
    if (!gi_reply_head_may_keep(&merged, &fresh_s)) return 0;
    gi_kept *k = gi_calloc(1, sizeof *k);
    if (!k) return fresh_s;
    gi_cache_entry_init(&k->entry, &key, sizeof *k + bytes->n, free_kept);
    k->bytes = gi_fetch_bytes_ref(bytes);
    k->validators = merged.validators;
    k->fresh_until_ms = now_ms + 1e3 * (double)fresh_s;
    gi_cache_put(cache, &k->entry);
    gi_kept_unref(cache, k);
    return fresh_s;
}

void gi_kept_unref(gi_cache *cache, gi_kept *k) {
    if (k) gi_cache_unref(cache, &k->entry);
}
