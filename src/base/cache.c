/*
 * A chained hash table and a list in order of last use, under one lock. An entry that somebody
 * holds is in no list, so nothing in use is ever looked at when room is made; it joins the list as
 * the newest when its last holder lets go. Values are freed after the lock is, since freeing one
 * may be slow.
 *
 * Keys are SHA-256, so their first bytes are the hash. More buckets are made as entries come; when
 * there is no memory for them the chains grow longer and nothing else happens.
 */
#include "base/cache.h"

#include "base/alloc.h"

#include <pthread.h>
#include <string.h>

enum { BUCKETS_MIN = 64 };

struct gi_cache {
    pthread_mutex_t lock;
    size_t bytes_max;
    gi_cache_entry **buckets; /* [n_buckets], a power of two */
    size_t n_buckets;
    gi_cache_entry *oldest, *newest;
    gi_cache_stats stats;
};

glint_status gi_cache_create(size_t bytes_max, gi_cache **ret, glint_error *err) {
    gi_cache *cache = gi_calloc(1, sizeof *cache);
    gi_cache_entry **buckets = gi_calloc(BUCKETS_MIN, sizeof(gi_cache_entry *));
    if (!cache || !buckets || pthread_mutex_init(&cache->lock, NULL) != 0) {
        gi_free(buckets);
        gi_free(cache);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a cache");
    }
    cache->bytes_max = bytes_max;
    cache->buckets = buckets;
    cache->n_buckets = BUCKETS_MIN;
    *ret = cache;
    return GLINT_OK;
}

/* ---- under the lock ---- */

static size_t bucket_of(const gi_digest *key, size_t n_buckets) {
    uint64_t h;
    memcpy(&h, key->bytes, sizeof h);
    return (size_t)h & (n_buckets - 1);
}

/* Where the pointer to the entry of this key is, or would be. */
static gi_cache_entry **find(gi_cache *cache, const gi_digest *key) {
    gi_cache_entry **at = &cache->buckets[bucket_of(key, cache->n_buckets)];
    while (*at && memcmp((*at)->key.bytes, key->bytes, sizeof key->bytes) != 0) at = &(*at)->next;
    return at;
}

static void grow_buckets(gi_cache *cache) {
    const size_t n_new = cache->n_buckets * 2;
    gi_cache_entry **buckets = gi_calloc(n_new, sizeof(gi_cache_entry *));
    if (!buckets) return;
    for (size_t i = 0; i < cache->n_buckets; i++) {
        gi_cache_entry *next;
        for (gi_cache_entry *e = cache->buckets[i]; e; e = next) {
            next = e->next;
            const size_t to = bucket_of(&e->key, n_new);
            e->next = buckets[to];
            buckets[to] = e;
        }
    }
    gi_free(cache->buckets);
    cache->buckets = buckets;
    cache->n_buckets = n_new;
}

static void list_add(gi_cache *cache, gi_cache_entry *e) {
    e->older = cache->newest;
    e->newer = NULL;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = e;
    cache->newest = e;
    e->is_listed = true;
}

static void list_remove(gi_cache *cache, gi_cache_entry *e) {
    *(e->older ? &e->older->newer : &cache->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &cache->newest) = e->older;
    e->is_listed = false;
}

/* Out of the table and the list. What nobody holds is put before `dead`, linked by `next`. */
static gi_cache_entry *take_out(gi_cache *cache, gi_cache_entry *e, gi_cache_entry *dead) {
    gi_cache_entry **at = find(cache, &e->key);
    gi_assert(*at == e);
    *at = e->next;
    e->is_kept = false;
    cache->stats.n_entries--;
    cache->stats.n_bytes -= e->n_bytes;
    if (!e->is_listed) return dead;
    list_remove(cache, e);
    e->next = dead;
    return e;
}

/* Those that must go for n_bytes more; none if that would not be enough. */
static bool make_room(gi_cache *cache, size_t n_bytes, gi_cache_entry **ret_dead) {
    size_t n_free = cache->bytes_max - cache->stats.n_bytes;
    const gi_cache_entry *end = cache->oldest;
    while (n_free < n_bytes && end) {
        n_free += end->n_bytes;
        end = end->newer;
    }
    if (n_free < n_bytes) return false;
    for (gi_cache_entry *e; (e = cache->oldest) && e != end;) {
        *ret_dead = take_out(cache, e, *ret_dead);
        cache->stats.n_evictions++;
    }
    return true;
}

static bool put(gi_cache *cache, gi_cache_entry *entry, gi_cache_entry **ret_dead) {
    gi_cache_entry *known = *find(cache, &entry->key);
    if (known) {
        if (known->is_listed) {
            list_remove(cache, known);
            list_add(cache, known);
        }
        return false;
    }
    if (!make_room(cache, entry->n_bytes, ret_dead)) return false;
    if (cache->stats.n_entries >= cache->n_buckets) grow_buckets(cache);
    gi_cache_entry **at = find(cache, &entry->key);
    entry->next = NULL;
    entry->is_kept = true;
    *at = entry;
    cache->stats.n_inserts++;
    cache->stats.n_entries++;
    cache->stats.n_bytes += entry->n_bytes;
    return true;
}

/* ---- for everybody ---- */

static void free_values(gi_cache_entry *dead) {
    gi_cache_entry *next;
    for (; dead; dead = next) {
        next = dead->next;
        dead->free_value(dead);
    }
}

void gi_cache_free(gi_cache *cache) {
    if (!cache) return;
    gi_cache_entry *dead = NULL;
    for (size_t i = 0; i < cache->n_buckets; i++)
        while (cache->buckets[i]) {
            gi_assert(cache->buckets[i]->n_refs == 0);
            dead = take_out(cache, cache->buckets[i], dead);
        }
    free_values(dead);
    pthread_mutex_destroy(&cache->lock);
    gi_free(cache->buckets);
    gi_free(cache);
}

void gi_cache_entry_init(gi_cache_entry *entry, const gi_digest *key, size_t n_bytes,
                         gi_cache_free_fn free_value) {
    *entry =
        (gi_cache_entry){.key = *key, .n_bytes = n_bytes, .n_refs = 1, .free_value = free_value};
}

gi_cache_entry *gi_cache_get(gi_cache *cache, const gi_digest *key) {
    if (cache->bytes_max == 0) return NULL;
    pthread_mutex_lock(&cache->lock);
    gi_cache_entry *e = *find(cache, key);
    if (e) {
        cache->stats.n_hits++;
        e->n_refs++;
        if (e->is_listed) list_remove(cache, e);
    } else {
        cache->stats.n_misses++;
    }
    pthread_mutex_unlock(&cache->lock);
    return e;
}

void gi_cache_ref(gi_cache *cache, gi_cache_entry *entry) {
    pthread_mutex_lock(&cache->lock);
    gi_assert(entry->n_refs > 0);
    entry->n_refs++;
    pthread_mutex_unlock(&cache->lock);
}

bool gi_cache_put(gi_cache *cache, gi_cache_entry *entry) {
    gi_cache_entry *dead = NULL;
    if (cache->bytes_max == 0 || entry->n_bytes > cache->bytes_max) return false;
    pthread_mutex_lock(&cache->lock);
    const bool is_kept = put(cache, entry, &dead);
    pthread_mutex_unlock(&cache->lock);
    free_values(dead);
    return is_kept;
}

void gi_cache_remove(gi_cache *cache, const gi_digest *key) {
    gi_cache_entry *dead = NULL;
    pthread_mutex_lock(&cache->lock);
    gi_cache_entry *e = *find(cache, key);
    if (e) dead = take_out(cache, e, NULL);
    pthread_mutex_unlock(&cache->lock);
    free_values(dead);
}

void gi_cache_unref(gi_cache *cache, gi_cache_entry *entry) {
    if (!entry) return;
    pthread_mutex_lock(&cache->lock);
    gi_assert(entry->n_refs > 0);
    const bool is_last = --entry->n_refs == 0, is_dead = is_last && !entry->is_kept;
    if (is_last && entry->is_kept) list_add(cache, entry);
    pthread_mutex_unlock(&cache->lock);
    if (is_dead) entry->free_value(entry);
}

gi_cache_stats gi_cache_get_stats(gi_cache *cache) {
    pthread_mutex_lock(&cache->lock);
    const gi_cache_stats stats = cache->stats;
    pthread_mutex_unlock(&cache->lock);
    return stats;
}
