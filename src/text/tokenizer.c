/*
 * Text to ids and ids to bytes. Only ordinary tokens can come out of text: added tokens are not
 * in the table that pieces and merges are looked up in.
 */
#include "text/tokenizer.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/utf8.h"
#include "text/tokenizer_parts.h"

#include <string.h>

void gi_ids_init(gi_ids *ids, size_t n_max) {
    *ids = (gi_ids){.n_max = n_max};
}

glint_status gi_ids_push(gi_ids *ids, int32_t id, size_t count, glint_error *err) {
    if (count > ids->n_max - ids->n)
        return gi_fail(err, GLINT_ERR_LIMIT, "text has more than %zu tokens", ids->n_max);
    if (count > ids->cap - ids->n) {
        size_t cap = ids->cap ? ids->cap : 64;
        while (cap < ids->n + count) cap *= 2;
        if (cap > ids->n_max) cap = ids->n_max;
        int32_t *p = gi_realloc_array(ids->ids, cap, sizeof *p);
        if (!p) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu tokens", cap);
        ids->ids = p;
        ids->cap = cap;
    }
    for (size_t i = 0; i < count; i++) ids->ids[ids->n++] = id;
    return GLINT_OK;
}

void gi_ids_done(gi_ids *ids) {
    if (!ids) return;
    gi_free(ids->ids);
    gi_ids_init(ids, ids->n_max);
}

void gi_tokenizer_free(gi_tokenizer *t) {
    if (!t) return;
    gi_vocab_done(&t->vocab);
    gi_merges_done(&t->merges);
    gi_presplit_free(t->presplit);
    gi_free(t->added);
    gi_free(t);
}

int32_t gi_tokenizer_count(const gi_tokenizer *t) {
    return (int32_t)t->vocab.count;
}

int32_t gi_tokenizer_special(const gi_tokenizer *t, const char *content) {
    const size_t n = strlen(content);
    for (size_t i = 0; i < t->n_added; i++) {
        const gi_vocab_entry *e = &t->vocab.entries[t->added[i]];
        if (e->n_bytes == n && memcmp(t->vocab.blob + e->offset, content, n) == 0)
            return (int32_t)t->added[i];
    }
    return -1;
}

bool gi_tokenizer_is_special(const gi_tokenizer *t, int32_t id) {
    return id >= 0 && (uint32_t)id < t->vocab.count &&
           t->vocab.entries[id].kind == GI_TOKEN_SPECIAL;
}

bool gi_tokenizer_is_text(const gi_tokenizer *t, int32_t id) {
    return id >= 0 && (uint32_t)id < t->vocab.count && t->vocab.entries[id].kind == GI_TOKEN_TEXT;
}

const uint8_t *gi_tokenizer_bytes(const gi_tokenizer *t, int32_t id, size_t *ret_n_bytes) {
    *ret_n_bytes = 0;
    if (id < 0 || (uint32_t)id >= t->vocab.count) return NULL;
    const gi_vocab_entry *e = &t->vocab.entries[id];
    if (e->kind == GI_TOKEN_HOLE) return NULL;
    *ret_n_bytes = e->n_bytes;
    return t->vocab.blob + e->offset;
}

size_t gi_tokenizer_longest_bytes(const gi_tokenizer *t) {
    return t->vocab.longest_bytes;
}

glint_status gi_tokenizer_encode_piece(const gi_tokenizer *t, gi_bpe *bpe, const uint8_t *piece,
                                       size_t n_bytes, gi_ids *ids, glint_error *err) {
    if (t->ignore_merges) {
        const int32_t id = gi_vocab_find(&t->vocab, piece, n_bytes);
        if (id >= 0) return gi_ids_push(ids, id, 1, err);
    }
    return gi_bpe_encode(bpe, &t->merges, t->byte_ids, piece, n_bytes, ids, err);
}

/* One call of gi_tokenizer_encode. */
typedef struct encoding {
    const gi_tokenizer *t;
    gi_bpe bpe;
    gi_ids *ids;
} encoding;

static glint_status encode_piece(void *ctx, const uint8_t *piece, size_t n_bytes,
                                 glint_error *err) {
    encoding *e = ctx;
    return gi_tokenizer_encode_piece(e->t, &e->bpe, piece, n_bytes, e->ids, err);
}

glint_status gi_tokenizer_encode(const gi_tokenizer *t, const char *text, size_t n_bytes,
                                 gi_ids *ids, glint_error *err) {
    const uint8_t *bytes = (const uint8_t *)text;
    size_t bad;
    if (!gi_utf8_is_valid(bytes, n_bytes, &bad))
        return gi_fail(err, GLINT_ERR_ARG, "text is not UTF-8 at byte %zu", bad);
    encoding e = {.t = t, .ids = ids};
    const glint_status st = gi_presplit_run(t->presplit, bytes, n_bytes, encode_piece, &e, err);
    gi_bpe_done(&e.bpe);
    return st;
}
