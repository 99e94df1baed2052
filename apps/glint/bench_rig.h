/**
 * @file
 * A model on a device with the server and its waiting line taken away: the two towers and a KV
 * cache, so that each can be timed alone, with random tokens and pixels. Speed does not depend on
 * what they mean.
 */
#ifndef APPS_GLINT_BENCH_RIG_H
#define APPS_GLINT_BENCH_RIG_H

#include "engine/engine.h"

/** What to make room for. */
typedef struct gi_bench_rig_options {
    glint_engine_options engine; /**< model, number format, threads, tier */
    size_t n_sequences;          /**< sequences held at once */
    size_t tokens_max;           /**< tokens of each */
    size_t patches_max;          /**< patches of the largest picture; 0 = no vision tower */
} gi_bench_rig_options;

typedef struct gi_bench_rig {
    gi_checkpoint *ckpt;
    gi_device *dev;
    gi_cpu_format text_format; /**< what the decoder's weights are held in */
    gi_vision *vision;         /**< NULL without patches_max */
    gi_language *language;
    gi_kv_store *kv;
    gi_kv_pool pool;
    gi_kv_sequence *sequences; /**< [n_sequences], all blocks held, dealt in turns */
    size_t n_sequences;
    float *patches; /**< [patches_max, 3 * patch^2] random pixels */
    float *logits;  /**< [n_sequences, V] */
    double load_ms; /**< from opening the files to ready */
    /* One batch: */
    int32_t *ids, *positions; /**< [rows_max] */
    gi_span *spans;           /**< [n_sequences] */
    size_t *logit_rows;       /**< [n_sequences] */
    size_t rows_max;
} gi_bench_rig;

/** GLINT_ERR_ARG, _IO, _FORMAT, _UNSUPPORTED, _LIMIT, _MEMORY. The caller calls _done always. */
glint_status gi_bench_rig_init(gi_bench_rig *rig, const gi_bench_rig_options *options,
                               glint_error *err);

/** Free. A zeroed rig is fine. */
void gi_bench_rig_done(gi_bench_rig *rig);

/**
 * Run n_tokens random tokens of sequence i_sequence at positions n_past..., in batches of at most
 * GI_ENGINE_PREFILL_TOKENS; the logits of the last token come to the host.
 */
void gi_bench_rig_prefill(gi_bench_rig *rig, size_t i_sequence, size_t n_past, size_t n_tokens);

/** Run one random token of each of the first n_sequences sequences at position n_past. */
void gi_bench_rig_decode(gi_bench_rig *rig, size_t n_sequences, size_t n_past);

/** "f32", "bf16" or "int8": what the decoder's weights are held in. */
const char *gi_bench_rig_format(const gi_bench_rig *rig);

/** Operations of running tokens n_past .. n_past + n_tokens of a sequence, with the head for
 * n_logits of them; a multiply-add is two. Norms, activations and softmax are not counted. */
double gi_bench_text_ops(const gi_text_config *cfg, size_t n_past, size_t n_tokens,
                         size_t n_logits);

/** Weights that every decoding step must read: layers, final norm and head; one embedding row
 * aside. */
double gi_bench_decode_params(const gi_text_config *cfg);

/** Patches on a side of a picture of `px` pixels: smart_resize rounds to merge blocks. */
size_t gi_bench_grid(const gi_vision_config *cfg, size_t px);

#endif
