/*
 * The key is made from the request as the engine gets it, after defaults and checks, so a new way
 * to ask (another route, a form) finds the same answers. An answer is one piece of memory: the
 * struct, then its strings.
 */
#include "server/answer_cache.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "server/answer_record.h"

#include <string.h>

struct gi_answer_cache {
    gi_cache *answers;
    size_t bytes_max;
    gi_store *store; /* NULL: none */
};

glint_status gi_answer_cache_create(size_t bytes_max, gi_store *store, gi_answer_cache **ret,
                                    glint_error *err) {
    gi_answer_cache *cache = gi_calloc(1, sizeof *cache);
    if (!cache) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a cache of answers");
    cache->bytes_max = bytes_max;
    cache->store = store;
    const glint_status st = gi_cache_create(bytes_max, &cache->answers, err);
    if (st != GLINT_OK) {
        gi_free(cache);
        return st;
    }
    *ret = cache;
    return GLINT_OK;
}

void gi_answer_cache_free(gi_answer_cache *cache) {
    if (!cache) return;
    gi_cache_free(cache->answers);
    gi_free(cache);
}

bool gi_answer_cache_may(const gi_answer_cache *cache, const glint_request *request,
                         bool has_seed) {
    return (cache->bytes_max > 0 || cache->store) && !request->no_cache && !request->logprobs &&
           (request->temperature <= 0 || has_seed);
}

/* ---- keys ---- */

static void hash_text(gi_sha256 *h, const char *s) {
    gi_sha256_bytes(h, s, strlen(s));
}

/* How tokens are chosen. Without a temperature nothing else has a say. */
static void hash_sampling(gi_sha256 *h, const glint_request *r) {
    const bool is_greedy = r->temperature <= 0;
    gi_sha256_u64(h, is_greedy);
    if (is_greedy) return;
    gi_sha256_f64(h, r->temperature);
    gi_sha256_f64(h, r->top_p > 0 ? r->top_p : 1);
    gi_sha256_u64(h, (uint64_t)r->top_k);
    gi_sha256_u64(h, r->seed);
}

/* Whoever adds to a request says here whether its answer depends on it. */
_Static_assert(sizeof(glint_request) == 176, "glint_request has changed: hash_request must know");

/* Turns, with a mark where a picture stands; returns the number of these marks. */
static size_t hash_messages(gi_sha256 *h, const glint_request *r) {
    size_t n_pictures = 0;
    gi_sha256_u64(h, r->n_messages);
    for (size_t m = 0; m < r->n_messages; m++) {
        const glint_message *message = &r->messages[m];
        gi_sha256_u64(h, (uint64_t)message->role);
        gi_sha256_u64(h, message->n_parts);
        for (size_t i = 0; i < message->n_parts; i++) {
            const glint_part *part = &message->parts[i];
            gi_sha256_u64(h, part->image != NULL);
            if (part->image)
                n_pictures++;
            else
                gi_sha256_bytes(h, part->text, part->n_text_bytes);
        }
    }
    return n_pictures;
}

static void hash_request(gi_sha256 *h, const glint_request *r) {
    const size_t n_prompt =
        r->prompt && r->n_prompt_bytes == 0 ? strlen(r->prompt) : r->n_prompt_bytes;
    hash_text(h, r->tenant ? r->tenant : "");
    hash_text(h, r->task ? r->task : "audit");
    gi_sha256_bytes(h, r->prompt, n_prompt);
    gi_sha256_u64(h, r->schema_json != NULL);
    gi_sha256_bytes(h, r->schema_json, r->schema_json ? r->n_schema_bytes : 0);
    gi_sha256_u64(h, (uint64_t)r->max_tokens);
    gi_sha256_u64(h, (uint64_t)r->max_side_px);
    gi_sha256_u64(h, r->thinking);
    hash_sampling(h, r);
    gi_sha256_u64(h, r->n_stops);
    for (size_t i = 0; i < r->n_stops; i++) hash_text(h, r->stops[i]);
}

glint_status gi_answer_cache_key(const gi_answer_question *question, gi_digest *ret,
                                 glint_error *err) {
    gi_sha256 h;
    GI_TRY(gi_sha256_init(&h, err));
    gi_sha256_begin(&h, "glint answer 1");
    hash_text(&h, question->fingerprint);
    hash_request(&h, question->request);
    const size_t n_pictures = question->request->n_images + hash_messages(&h, question->request);
    gi_sha256_u64(&h, n_pictures);
    for (size_t i = 0; i < n_pictures; i++)
        gi_sha256_bytes(&h, question->pictures[i].bytes, sizeof question->pictures[i].bytes);
    const glint_status st = gi_sha256_end(&h, ret, err);
    gi_sha256_done(&h);
    return st;
}

/* ---- answers ---- */

static gi_kept_answer *answer_of(gi_cache_entry *entry) {
    return (gi_kept_answer *)(void *)((char *)entry - offsetof(gi_kept_answer, entry));
}

static void free_answer(gi_cache_entry *entry) {
    gi_free(answer_of(entry));
}

void gi_answer_cache_unref(gi_answer_cache *cache, const gi_kept_answer *answer) {
    if (answer) gi_cache_unref(cache->answers, &((gi_kept_answer *)(uintptr_t)answer)->entry);
}

static size_t length_of(const char *s) {
    return s ? strlen(s) : 0;
}

/* Copy a string to *io_to, with a zero, and move on; NULL for none. */
static const char *copy(char **io_to, const char *s, size_t n_bytes) {
    char *to = *io_to;
    if (!s) return NULL;
    memcpy(to, s, n_bytes);
    to[n_bytes] = '\0';
    *io_to += n_bytes + 1;
    return to;
}

/* A copy, with one reference; NULL without memory. */
static gi_kept_answer *copy_answer(const gi_digest *key, const gi_answer_record *r) {
    size_t n_bytes = sizeof(gi_kept_answer);
    const size_t sizes[] = {r->n_text, r->n_reasoning, r->n_data_json, 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (!gi_add_size(n_bytes, sizes[i], &n_bytes)) return NULL;
    gi_kept_answer *kept = gi_alloc(n_bytes);
    if (!kept) return NULL;
    char *to = (char *)(kept + 1);
    kept->result = (glint_result){.n_text_bytes = r->n_text,
                                  .confidence = r->confidence,
                                  .finish = r->finish,
                                  .usage = r->usage};
    kept->result.text = copy(&to, r->text, r->n_text);
    kept->result.reasoning = copy(&to, r->reasoning, r->n_reasoning);
    kept->result.data_json = copy(&to, r->data_json, r->n_data_json);
    kept->result.usage.cached_tokens = r->usage.prompt_tokens;
    gi_cache_entry_init(&kept->entry, key, n_bytes, free_answer);
    return kept;
}

/* From the store to memory. */
static gi_kept_answer *find_stored(gi_answer_cache *cache, const gi_digest *key) {
    gi_store_found found;
    gi_answer_record record;
    gi_kept_answer *kept = NULL;
    if (!cache->store || !gi_store_get(cache->store, GI_STORE_ANSWER, key, &found)) return NULL;
    if (gi_answer_record_decode(found.bytes, found.n, &record)) kept = copy_answer(key, &record);
    gi_store_found_done(&found);
    if (kept) gi_cache_put(cache->answers, &kept->entry);
    return kept;
}

const gi_kept_answer *gi_answer_cache_get(gi_answer_cache *cache, const gi_digest *key) {
    gi_cache_entry *entry = gi_cache_get(cache->answers, key);
    return entry ? answer_of(entry) : find_stored(cache, key);
}

static void store_answer(gi_answer_cache *cache, const gi_digest *key, const glint_result *r) {
    gi_buf record;
    gi_buf_init(&record, gi_store_value_bytes_max(cache->store));
    if (gi_answer_record_encode(r, &record, NULL) == GLINT_OK)
        gi_store_put(cache->store, GI_STORE_ANSWER, key, record.data, record.len,
                     gi_store_ttl_ms(cache->store));
    gi_buf_done(&record);
}

void gi_answer_cache_put(gi_answer_cache *cache, const gi_digest *key, const glint_result *result) {
    if (result->finish != GLINT_FINISH_STOP && result->finish != GLINT_FINISH_LENGTH) return;
    if (cache->store) store_answer(cache, key, result);
    if (cache->bytes_max == 0) return;
    const gi_answer_record record = {.finish = result->finish,
                                     .usage = result->usage,
                                     .confidence = result->confidence,
                                     .text = result->text,
                                     .n_text = result->n_text_bytes,
                                     .reasoning = result->reasoning,
                                     .n_reasoning = length_of(result->reasoning),
                                     .data_json = result->data_json,
                                     .n_data_json = length_of(result->data_json)};
    gi_kept_answer *kept = copy_answer(key, &record);
    if (!kept) return;
    gi_cache_put(cache->answers, &kept->entry);
    gi_cache_unref(cache->answers, &kept->entry);
}

gi_cache_stats gi_answer_cache_get_stats(gi_answer_cache *cache) {
    return gi_cache_get_stats(cache->answers);
}
