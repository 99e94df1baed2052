/*
 * Filled once at load, then read-only. Arrays double while they fill, so loading costs a handful
 * of allocations however large the vocabulary.
 */
#include "text/vocab.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <string.h>

/* Make room for `need` elements of an array that doubles. Leaves *cap alone on failure. */
static void *grown(void *array, size_t *cap, size_t need, size_t size_bytes) {
    size_t n = *cap ? *cap : 1024;
    while (n < need) n *= 2;
    void *p = n == *cap ? array : gi_realloc_array(array, n, size_bytes);
    if (p) *cap = n;
    return p;
}

glint_status gi_vocab_put(gi_vocab *v, uint32_t id, const uint8_t *bytes, size_t n_bytes,
                          gi_token_kind kind, glint_error *err) {
    if (id >= GI_VOCAB_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "token id %u is above %u", id, GI_VOCAB_MAX - 1);
    if (n_bytes > GI_TOKEN_BYTES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "token %u is longer than %u bytes", id,
                       GI_TOKEN_BYTES_MAX);
    const size_t old_cap = v->cap_entries;
    gi_vocab_entry *entries =
        grown(v->entries, &v->cap_entries, (size_t)id + 1, sizeof *v->entries);
    if (!entries) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vocabulary");
    v->entries = entries;
    if (v->cap_entries > old_cap)
        memset(entries + old_cap, 0, (v->cap_entries - old_cap) * sizeof *entries);
    uint8_t *blob = grown(v->blob, &v->cap_blob, v->n_blob + n_bytes, 1);
    if (!blob) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vocabulary");
    v->blob = blob;
    memcpy(blob + v->n_blob, bytes, n_bytes);
    entries[id] = (gi_vocab_entry){(uint32_t)v->n_blob, (uint16_t)n_bytes, (uint8_t)kind};
    v->n_blob += n_bytes;
    if (id >= v->count) v->count = id + 1;
    if (n_bytes > v->longest_bytes) v->longest_bytes = (uint32_t)n_bytes;
    return GLINT_OK;
}

/* The slot that holds these bytes, or the free one where they belong. What users send is looked up
 * but never put in, so no secret seed is needed. */
static size_t slot_of(const gi_vocab *v, const uint8_t *bytes, size_t n_bytes) {
    const size_t mask = v->n_slots - 1;
    for (size_t i = (size_t)gi_hash_bytes(0, bytes, n_bytes) & mask;; i = (i + 1) & mask) {
        if (v->slots[i] == 0) return i;
        const gi_vocab_entry *e = &v->entries[v->slots[i] - 1];
        if (e->n_bytes == n_bytes && memcmp(v->blob + e->offset, bytes, n_bytes) == 0) return i;
    }
}

glint_status gi_vocab_index(gi_vocab *v, glint_error *err) {
    size_t n = 16;
    while (n < (size_t)v->count * 2) n *= 2;
    v->slots = gi_calloc(n, sizeof *v->slots);
    if (!v->slots) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vocabulary");
    v->n_slots = n;
    for (uint32_t id = 0; id < v->count; id++) {
        const gi_vocab_entry *e = &v->entries[id];
        if (e->kind != GI_TOKEN_TEXT) continue;
        const size_t i = slot_of(v, v->blob + e->offset, e->n_bytes);
        if (v->slots[i] != 0)
            return gi_fail(err, GLINT_ERR_FORMAT, "tokens %u and %u stand for the same bytes",
                           v->slots[i] - 1, id);
        v->slots[i] = id + 1;
    }
    return GLINT_OK;
}

int32_t gi_vocab_find(const gi_vocab *v, const uint8_t *bytes, size_t n_bytes) {
    const size_t i = slot_of(v, bytes, n_bytes);
    return (int32_t)v->slots[i] - 1;
}

void gi_vocab_done(gi_vocab *v) {
    if (!v) return;
    gi_free(v->entries);
    gi_free(v->blob);
    gi_free(v->slots);
    *v = (gi_vocab){0};
}
