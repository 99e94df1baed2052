/**
 * @file
 * Inside the engine: what glint_engine and its jobs are made of. Servers and programs use
 * include/glint/glint.h.
 */
#ifndef GI_ENGINE_ENGINE_H
#define GI_ENGINE_ENGINE_H

#include <glint/glint.h>

#include "engine/task.h"
#include "image/decoder.h"
#include "kv/kv_pool.h"
#include "model/language.h"
#include "model/vision.h"
#include "text/chat.h"

#include <stdatomic.h>

/** Tokens per KV block. */
#define GI_ENGINE_BLOCK_TOKENS   16
/** Prompt tokens that run through the decoder at once. */
#define GI_ENGINE_PREFILL_TOKENS 512

struct glint_engine {
    glint_engine_info info;
    char *model_name;
    gi_checkpoint *ckpt;
    gi_tokenizer *tokenizer;
    gi_chat chat;
    gi_tasks *tasks;
    gi_image_limits image_limits;
    uint32_t max_side_px;
    size_t patches_max;   /**< most patches a picture can have under max_side_px */
    gi_decoder *pictures; /**< decoder processes; NULL decodes in this process */
    gi_device *dev;
    gi_vision *vision;
    gi_language *language;
    gi_kv_pool kv_pool;
    gi_kv_store *kv;
    float *logits;          /**< [V] of the running job's newest token */
    atomic_bool is_running; /**< a job is in glint_job_run */
};

/** True if `id` ends an answer. */
bool gi_engine_is_eos(const glint_engine *engine, int32_t id);

/**
 * Bytes of KV cache and scratch an engine would take, beside the weights, for `context_tokens` of
 * one sequence and pictures up to max_side_px. Scratch is what is touched at full use.
 */
void gi_engine_sizes(const gi_config *cfg, glint_dtype dtype, glint_dtype kv_dtype,
                     size_t context_tokens, uint32_t max_side_px, uint64_t *ret_kv_bytes,
                     uint64_t *ret_scratch_bytes);

/**
 * How to make the device of an engine.
 *
 * @param o              threads, tier and number format.
 * @param rows_max       most rows of one batch through the decoder.
 * @param context_tokens longest KV length of a sequence.
 * @param patches_max    most patches of one picture.
 */
gi_device_cpu_options gi_engine_cpu_options(const gi_checkpoint *ckpt,
                                            const glint_engine_options *o, size_t rows_max,
                                            size_t context_tokens, size_t patches_max);

#endif
