/**
 * @file
 * Whole answers, kept for requests that are the same in all that matters: in memory, and in a
 * store that other processes share. Both are off by default.
 *
 *     gi_answer_cache_key(&question, &key, &err);
 *     const gi_kept_answer *kept = gi_answer_cache_get(cache, &key);
 *     if (kept) {
 *         ... answer with kept->result ...
 *         gi_answer_cache_unref(cache, kept);
 *     } else {
 *         ... run the job ...
 *         gi_answer_cache_put(cache, &key, glint_job_result(job));
 *     }
 *
 * A request is not looked up, nor is its answer kept, when gi_answer_cache_may says no:
 *
 *     - it says "cache": false, or
 *     - it wants the tokens' probabilities, which are not kept, or
 *     - it samples (temperature above 0) and names no seed: who throws dice wants to throw them
 *       again. With a seed the same request has the same answer, so it is kept.
 *
 * Answers that were cut off or did not have the shape their task asks for: the first are kept, for
 * they end at the same max_tokens again; the second are not, so that asking again may do better.
 *
 * One tenant never gets an answer that was made for another. Threads: any.
 */
#ifndef GI_SERVER_ANSWER_CACHE_H
#define GI_SERVER_ANSWER_CACHE_H

#include <glint/glint.h>

#include "base/cache.h"
#include "store/store.h"

typedef struct gi_answer_cache gi_answer_cache;

/** All that an answer depends on. Borrowed during gi_answer_cache_key. */
typedef struct gi_answer_question {
    const char *fingerprint;      /**< of the request's tasks, which names the engine, too */
    const glint_request *request; /**< all of it counts, but for the bytes of its pictures,
                                       timeout_ms and no_cache */
    const gi_digest *pictures;    /**< of the original bytes of all its pictures, in order */
} gi_answer_question;

/** An answer that was kept. Strings live as long as it does. */
typedef struct gi_kept_answer {
    gi_cache_entry entry;
    glint_result result; /**< as it was, except for what it cost this time: all prompt tokens are
                              cached_tokens, and timing is 0 */
} gi_kept_answer;

/** A cache of bytes_max bytes, 0 = none in memory, in front of a store (borrowed), NULL = none.
 * GLINT_ERR_MEMORY. */
glint_status gi_answer_cache_create(size_t bytes_max, gi_store *store, gi_answer_cache **ret,
                                    glint_error *err);

/** Free. Nobody may hold an answer. NULL is fine. */
void gi_answer_cache_free(gi_answer_cache *cache);

/** True if the answer to this request may come from the cache and go into it; false when off. */
bool gi_answer_cache_may(const gi_answer_cache *cache, const glint_request *request, bool has_seed);

/** The key of a question. Errors as base/sha256.h. */
glint_status gi_answer_cache_key(const gi_answer_question *question, gi_digest *ret,
                                 glint_error *err);

/** The answer kept under a key, or NULL; waits for the store, where there is one. Let go of with
 * gi_answer_cache_unref. */
const gi_kept_answer *gi_answer_cache_get(gi_answer_cache *cache, const gi_digest *key);

/** NULL is fine. */
void gi_answer_cache_unref(gi_answer_cache *cache, const gi_kept_answer *answer);

/** Keep a copy of an answer, if it is one worth keeping and there is memory for it. Does not wait.
 */
void gi_answer_cache_put(gi_answer_cache *cache, const gi_digest *key, const glint_result *result);

gi_cache_stats gi_answer_cache_get_stats(gi_answer_cache *cache);

#endif
