/**
 * @file
 * Values that were dear to make, kept under a SHA-256 until their memory is wanted for newer ones.
 * A value embeds an entry; whoever gets it holds a reference:
 *
 *     struct picture { gi_cache_entry entry; ... };
 *
 *     gi_cache_entry *e = gi_cache_get(cache, &key);
 *     if (!e) {
 *         struct picture *p = make_picture();
 *         gi_cache_entry_init(&p->entry, &key, bytes_of(p), free_picture);
 *         gi_cache_put(cache, &p->entry);       // kept or not, it is ours until unref
 *         e = &p->entry;
 *     }
 *     ... use it, but never change it ...
 *     gi_cache_unref(cache, e);
 *
 * The entries in the cache never count more than bytes_max together. To make room, those go that
 * were used least recently and that nobody holds; a new value that finds no room is not kept.
 *
 * Threads: any, for all but create and free.
 */
#ifndef GI_BASE_CACHE_H
#define GI_BASE_CACHE_H

#include "base/sha256.h"

typedef struct gi_cache gi_cache;
typedef struct gi_cache_entry gi_cache_entry;

/** Frees the value that holds the entry. Called once, by whichever thread, outside the lock. */
typedef void (*gi_cache_free_fn)(gi_cache_entry *entry);

/** First member or not; the value's owner leaves it alone after gi_cache_entry_init. */
struct gi_cache_entry {
    gi_digest key;
    size_t n_bytes;              /**< what it counts */
    size_t n_refs;               /**< holders, the cache itself not among them */
    gi_cache_free_fn free_value; /**< may use the cache */
    gi_cache_entry *next;        /**< in its bucket */
    gi_cache_entry *older, *newer;
    bool is_kept;   /**< in the cache */
    bool is_listed; /**< in the list of those that may go: kept, and held by nobody */
};

/** What a cache has done so far, and what it holds now. */
typedef struct gi_cache_stats {
    uint64_t n_hits, n_misses, n_inserts, n_evictions;
    size_t n_entries, n_bytes;
} gi_cache_stats;

/** A cache for bytes_max bytes; 0 = off: it keeps nothing and counts nothing. GLINT_ERR_MEMORY. */
glint_status gi_cache_create(size_t bytes_max, gi_cache **ret, glint_error *err);

/** Free the cache and all in it. Nobody may hold an entry. NULL is fine. */
void gi_cache_free(gi_cache *cache);

/** Get a value ready to be put; the caller holds the one reference. */
void gi_cache_entry_init(gi_cache_entry *entry, const gi_digest *key, size_t n_bytes,
                         gi_cache_free_fn free_value);

/** The value under a key, with a reference for the caller; or NULL. */
gi_cache_entry *gi_cache_get(gi_cache *cache, const gi_digest *key);

/** One reference more, for somebody who holds one. */
void gi_cache_ref(gi_cache *cache, gi_cache_entry *entry);

/**
 * Keep a value. It is not kept if it is larger than bytes_max, if those in use leave no room, or if
 * there is one under its key already, which then counts as just used. The caller's reference stays
 * the caller's in any case. True if it was kept.
 */
bool gi_cache_put(gi_cache *cache, gi_cache_entry *entry);

/** Take what lies under a key out of the cache; it lives until its last holder lets go. */
void gi_cache_remove(gi_cache *cache, const gi_digest *key);

/** Let go. A value that is not in the cache is freed with its last reference. NULL is fine. */
void gi_cache_unref(gi_cache *cache, gi_cache_entry *entry);

/** Counters and sizes at one moment. */
gi_cache_stats gi_cache_get_stats(gi_cache *cache);

#endif
