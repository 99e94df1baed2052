/*
 * Sizes come from where they are decided: cache and scratch from the engine, the packing of
 * weights from what the loaders of both towers do with each of them.
 */
#include "needs.h"

#include "base/checked.h"
#include "engine/engine.h"

/* Where the bytes of weights add up. */
typedef struct weight_sum {
    glint_dtype dtype;
    bool is_text_int8, is_vision_int8;
    const gi_weight *embed;
    uint64_t bytes;
} weight_sum;

/* a * b, or the most a report can say. */
static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t n;
    return gi_mul_u64(a, b, &n) && n < INT64_MAX / 2 ? n : INT64_MAX / 2;
}

/*
 * Matrices are held packed, in BF16 or INT8. The embedding is read row by row where it is mapped;
 * the rest is small and becomes F32. The F32 path leaves all in the files.
 */
static glint_status add_weight(void *ctx, const gi_weight_entry *entry, glint_error *err) {
    weight_sum *sum = ctx;
    const gi_weight *w = entry->weight;
    (void)err;
    const bool is_looked_up = w == sum->embed;
    const uint64_t stored = w->data ? w->n * gi_dtype_bytes(w->dtype) : 0;
    if (sum->dtype == GLINT_DTYPE_F32 || is_looked_up) sum->bytes += stored;
    if (sum->dtype == GLINT_DTYPE_F32) return GLINT_OK;
    if ((entry->is_text_matrix && sum->is_text_int8) ||
        (entry->is_vision_matrix && sum->is_vision_int8))
        sum->bytes += w->n + entry->shape[0] * sizeof(float); /* and a scale for each row */
    else if (entry->is_text_matrix || entry->is_vision_matrix)
        sum->bytes += w->n * sizeof(uint16_t);
    else if (!is_looked_up)
        sum->bytes += w->n * sizeof(float);
    return GLINT_OK;
}

gi_needs gi_needs_compute(const gi_checkpoint *k, glint_dtype dtype, glint_dtype kv_dtype,
                          int64_t n_seqs, int64_t n_tokens, uint32_t max_side_px) {
    gi_needs n = {.n_seqs = n_seqs, .n_tokens = n_tokens};
    const bool is_all = dtype == GLINT_DTYPE_INT8_ALL;
    weight_sum sum = {.dtype = dtype,
                      .is_text_int8 =
                          is_all || dtype == GLINT_DTYPE_INT8 || gi_checkpoint_is_int8(k),
                      .is_vision_int8 = is_all || gi_checkpoint_is_vision_int8(k),
                      .embed = &k->text.embed};
    uint64_t kv;
    (void)gi_checkpoint_each(k, add_weight, &sum, NULL);
    gi_engine_sizes(&k->config, dtype, kv_dtype, (size_t)n_tokens, max_side_px, &kv, &n.scratch);
    n.weights = sum.bytes;
    n.kv = times(kv, (uint64_t)n_seqs);
    n.total = n.weights + n.kv + n.scratch;
    return n;
}
