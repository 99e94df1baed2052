/*
 * Builds the towers as the engine does, with room for many sequences, and makes batches of random
 * tokens. Counts operations from the settings alone.
 */
#include "bench_rig.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/size.h"

#include <string.h>

/* Marsaglia 2003, xorshift64: the same tokens and pixels in every run. */
static uint64_t next_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Blocks are dealt in turns, so that a sequence's blocks lie apart as they do in a busy server. */
static glint_status make_kv(gi_bench_rig *rig, const gi_bench_rig_options *o, glint_error *err) {
    const size_t block = rig->dev->ops->kv_block_tokens(rig->dev);
    const size_t per_sequence = (o->tokens_max + block - 1) / block;
    const size_t n_blocks = per_sequence * o->n_sequences;
    const gi_kv_shape shape = gi_language_kv_shape(&rig->ckpt->config.text, n_blocks, block);
    GI_TRY(rig->dev->ops->kv_create(rig->dev, &shape, &rig->kv, err));
    GI_TRY(gi_kv_pool_init(&rig->pool, n_blocks, block, 0, err));
    rig->sequences = gi_calloc(o->n_sequences, sizeof *rig->sequences);
    if (!rig->sequences) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for sequences");
    rig->n_sequences = o->n_sequences;
    for (size_t i = 0; i < o->n_sequences; i++)
        GI_TRY(gi_kv_sequence_init(&rig->sequences[i], &rig->pool, per_sequence * block, err));
    for (size_t b = 1; b <= per_sequence; b++)
        for (size_t i = 0; i < o->n_sequences; i++)
            GI_TRY(gi_kv_sequence_reserve(&rig->sequences[i], b * block, err));
    return GLINT_OK;
}

static glint_status make_inputs(gi_bench_rig *rig, const gi_bench_rig_options *o,
                                glint_error *err) {
    const gi_config *c = &rig->ckpt->config;
    const size_t patch_floats = c->vision.in_channels * c->vision.patch * c->vision.patch;
    size_t n_floats = o->patches_max * patch_floats;
    rig->ids = gi_calloc(rig->rows_max, sizeof *rig->ids);
    rig->positions = gi_calloc(rig->rows_max, sizeof *rig->positions);
    rig->spans = gi_calloc(o->n_sequences, sizeof *rig->spans);
    rig->logit_rows = gi_calloc(o->n_sequences, sizeof *rig->logit_rows);
    rig->logits = gi_calloc(o->n_sequences, c->text.vocab * sizeof *rig->logits);
    rig->patches = gi_alloc_aligned(n_floats, sizeof *rig->patches);
    if (!rig->ids || !rig->positions || !rig->spans || !rig->logit_rows || !rig->logits ||
        !rig->patches)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for random inputs");
    uint64_t state = 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < rig->rows_max; i++)
        rig->ids[i] = (int32_t)(next_random(&state) % c->text.vocab);
    for (size_t i = 0; i < n_floats; i++) /* -2..2: as normalised pixels are */
        rig->patches[i] = (float)(next_random(&state) >> 40) * 0x1p-22f - 2.0f;
    return GLINT_OK;
}

glint_status gi_bench_rig_init(gi_bench_rig *rig, const gi_bench_rig_options *o, glint_error *err) {
    *rig = (gi_bench_rig){0};
    const double start_ms = gi_clock_ms();
    GI_TRY(gi_checkpoint_open(o->engine.model_dir, &rig->ckpt, err));
    rig->rows_max = gi_max_size(GI_ENGINE_PREFILL_TOKENS, o->n_sequences);
    const gi_vision_config *v = &rig->ckpt->config.vision;
    const gi_device_cpu_options cpu =
        gi_engine_cpu_options(rig->ckpt, &o->engine, rig->rows_max, o->tokens_max,
                              gi_max_size(o->patches_max, v->merge * v->merge));
    rig->text_format = cpu.text_format;
    GI_TRY(gi_device_cpu_create(&cpu, &rig->dev, err));
    if (o->patches_max > 0)
        GI_TRY(gi_vision_create(rig->dev, rig->ckpt, o->patches_max, &rig->vision, err));
    GI_TRY(gi_language_create(rig->dev, rig->ckpt, rig->rows_max, o->n_sequences, &rig->language,
                              err));
    rig->load_ms = gi_clock_ms() - start_ms;
    GI_TRY(make_kv(rig, o, err));
    return make_inputs(rig, o, err);
}

void gi_bench_rig_done(gi_bench_rig *rig) {
    for (size_t i = 0; i < rig->n_sequences; i++) gi_kv_sequence_done(&rig->sequences[i]);
    gi_free(rig->sequences);
    gi_kv_pool_done(&rig->pool);
    if (rig->dev) {
        if (rig->kv) rig->dev->ops->kv_free(rig->dev, rig->kv);
        gi_language_free(rig->language);
        gi_vision_free(rig->vision);
    }
    gi_device_free(rig->dev);
    gi_checkpoint_close(rig->ckpt);
    gi_free(rig->ids);
    gi_free(rig->positions);
    gi_free(rig->spans);
    gi_free(rig->logit_rows);
    gi_free(rig->logits);
    gi_free(rig->patches);
    *rig = (gi_bench_rig){0};
}

static void run(gi_bench_rig *rig, size_t n_tokens, size_t n_spans, size_t n_logits) {
    const gi_batch batch = {
        .n_tokens = n_tokens,
        .ids = rig->ids,
        .pos = {rig->positions, rig->positions, rig->positions},
        .spans = rig->spans,
        .n_spans = n_spans,
        .logit_rows = rig->logit_rows,
        .n_logit_rows = n_logits,
    };
    gi_language_run(rig->language, rig->kv, &batch, rig->logits);
}

void gi_bench_rig_prefill(gi_bench_rig *rig, size_t i_sequence, size_t n_past, size_t n_tokens) {
    for (size_t begin = 0; begin < n_tokens; begin += GI_ENGINE_PREFILL_TOKENS) {
        const size_t rest = n_tokens - begin;
        const size_t n = rest < GI_ENGINE_PREFILL_TOKENS ? rest : GI_ENGINE_PREFILL_TOKENS;
        for (size_t i = 0; i < n; i++) rig->positions[i] = (int32_t)(n_past + begin + i);
        rig->spans[0] = (gi_span){
            .n_rows = n, .n_past = n_past + begin, .blocks = rig->sequences[i_sequence].blocks};
        rig->logit_rows[0] = n - 1;
        run(rig, n, 1, n == rest);
    }
}

void gi_bench_rig_decode(gi_bench_rig *rig, size_t n_sequences, size_t n_past) {
    for (size_t i = 0; i < n_sequences; i++) {
        rig->positions[i] = (int32_t)n_past;
        rig->spans[i] = (gi_span){
            .first_row = i, .n_rows = 1, .n_past = n_past, .blocks = rig->sequences[i].blocks};
        rig->logit_rows[i] = i;
    }
    run(rig, n_sequences, n_sequences, n_sequences);
}

const char *gi_bench_rig_format(const gi_bench_rig *rig) {
    return rig->text_format == GI_CPU_S8 ? "int8" : rig->text_format == GI_CPU_F32 ? "f32" : "bf16";
}

/* Weights of one decoder layer that are multiplied. */
static double layer_params(const gi_text_config *c) {
    const double q = (double)(c->n_heads * c->head_dim), kv = (double)(c->n_kv_heads * c->head_dim);
    const double hidden = (double)c->hidden, ffn = (double)c->ffn;
    return hidden * (q + 2 * kv) + q * hidden + 3 * ffn * hidden;
}

double gi_bench_decode_params(const gi_text_config *c) {
    return (double)c->n_layers * layer_params(c) + (double)c->vocab * (double)c->hidden;
}

double gi_bench_text_ops(const gi_text_config *c, size_t n_past, size_t n_tokens, size_t n_logits) {
    const double n = (double)n_tokens, layers = (double)c->n_layers;
    const double keys = n * (double)n_past + n * (n + 1) / 2; /* causal: summed over the tokens */
    const double scores_and_mix = 4 * (double)(c->n_heads * c->head_dim) * keys;
    return layers * (2 * layer_params(c) * n + scores_and_mix) +
           2 * (double)c->vocab * (double)c->hidden * (double)n_logits;
}

size_t gi_bench_grid(const gi_vision_config *c, size_t px) {
    const size_t block_px = c->patch * c->merge;
    const size_t blocks = (px + block_px / 2) / block_px;
    return gi_max_size(blocks, 1) * c->merge;
}
