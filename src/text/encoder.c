/*
 * All memory is taken when the encoder is made: merging gets it by encoding a text of the greatest
 * length once.
 */
#include "text/encoder.h"

#include "base/alloc.h"
#include "base/utf8.h"
#include "text/tokenizer_parts.h"

#include <string.h>

struct gi_encoder {
    const gi_tokenizer *t;
    gi_presplit_memory memory;
    gi_bpe bpe;
    gi_ids ids;
    uint32_t *piece_ends; /* [n_bytes_max] */
    size_t n_bytes_max, n_done;
};

static glint_status encode_piece(void *ctx, const uint8_t *piece, size_t n_bytes,
                                 glint_error *err) {
    gi_encoder *e = ctx;
    const size_t from = e->ids.n;
    GI_TRY(gi_tokenizer_encode_piece(e->t, &e->bpe, piece, n_bytes, &e->ids, err));
    e->n_done += n_bytes;
    for (size_t i = from; i < e->ids.n; i++) e->piece_ends[i] = (uint32_t)e->n_done;
    return GLINT_OK;
}

static glint_status take_memory(gi_encoder *e, size_t n_bytes_max, glint_error *err) {
    gi_encoded all;
    const size_t n_ids = 2 * n_bytes_max + 1; /* a space may be put before each piece */
    e->piece_ends = gi_calloc(n_ids, sizeof *e->piece_ends);
    char *text = gi_alloc(n_bytes_max);
    glint_status st = GLINT_OK;
    if (!e->piece_ends || !text)
        GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "no memory for an encoder"));
    gi_ids_init(&e->ids, n_ids);
    GI_TRY_DONE(gi_ids_push(&e->ids, 0, n_ids, err));
    GI_TRY_DONE(gi_presplit_memory_init(&e->memory, e->t->presplit, n_bytes_max, err));
    e->n_bytes_max = n_bytes_max;
    memset(text, 'a', n_bytes_max);
    GI_TRY_DONE(gi_encoder_run(e, text, n_bytes_max, &all, err));
done:
    gi_free(text);
    return st;
}

glint_status gi_encoder_create(const gi_tokenizer *t, size_t n_bytes_max, gi_encoder **ret,
                               glint_error *err) {
    gi_encoder *e = gi_calloc(1, sizeof *e);
    if (!e) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for an encoder");
    e->t = t;
    const glint_status st = take_memory(e, n_bytes_max, err);
    if (st != GLINT_OK) {
        gi_encoder_free(e);
        return st;
    }
    *ret = e;
    return GLINT_OK;
}

void gi_encoder_free(gi_encoder *e) {
    if (!e) return;
    gi_presplit_memory_done(&e->memory);
    gi_bpe_done(&e->bpe);
    gi_ids_done(&e->ids);
    gi_free(e->piece_ends);
    gi_free(e);
}

glint_status gi_encoder_run(gi_encoder *e, const char *text, size_t n_bytes, gi_encoded *ret,
                            glint_error *err) {
    const uint8_t *bytes = (const uint8_t *)text;
    if (n_bytes > e->n_bytes_max)
        return gi_fail(err, GLINT_ERR_LIMIT, "text has more than %zu bytes", e->n_bytes_max);
    if (!gi_utf8_is_valid(bytes, n_bytes, NULL))
        return gi_fail(err, GLINT_ERR_ARG, "text is not UTF-8");
    e->ids.n = e->n_done = 0;
    GI_TRY(gi_presplit_run_in(e->t->presplit, &e->memory, bytes, n_bytes, encode_piece, e, err));
    *ret = (gi_encoded){e->ids.ids, e->piece_ends, e->ids.n};
    return GLINT_OK;
}
