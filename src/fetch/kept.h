/**
 * @file
 * Fetched files that may be used again: under the hop's URL, within a scope, as long as the reply
 * allowed, and after that if the server says that nothing changed. Least recently used goes first.
 */
#ifndef GI_FETCH_KEPT_H
#define GI_FETCH_KEPT_H

#include "base/cache.h"
#include "fetch/bytes.h"
#include "fetch/reply_head.h"

/** A kept file. Read-only; let go with gi_kept_unref. */
typedef struct gi_kept {
    gi_cache_entry entry;
    gi_fetch_bytes *bytes;
    gi_validators validators;
    double fresh_until_ms; /**< gi_clock_ms */
} gi_kept;

/** The key of a URL's file. False without memory. */
bool gi_kept_key(const gi_digest *scope, const gi_url *url, gi_digest *ret);

/** What is kept under a URL, with a reference for the caller; or NULL.
 * @param scope  whose it is: what one scope has fetched is not seen in another. */
gi_kept *gi_kept_get(gi_cache *cache, const gi_digest *scope, const gi_url *url);

/**
 * Keep a reply's bytes in place of whatever was kept under the URL, if the reply allows that and
 * there is room. Without memory nothing is kept, which is no error.
 * @param old  the copy that a 304 confirmed, whose validators stay where the reply names none; NULL
 *             when the bytes are new.
 * @return seconds for which they may be used without asking; 0 if not at all.
 */
int64_t gi_kept_put(gi_cache *cache, const gi_digest *scope, const gi_url *url,
                    gi_fetch_bytes *bytes, const gi_reply_head *head, const gi_kept *old,
                    double now_ms);

/** Let go. NULL is fine. */
void gi_kept_unref(gi_cache *cache, gi_kept *k);

#endif
