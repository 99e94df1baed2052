/**
 * @file
 * Inside the engine: what glint_engine and its jobs are made of. Servers and programs use
 * include/glint/glint.h.
 */
#ifndef GI_ENGINE_ENGINE_H
#define GI_ENGINE_ENGINE_H

#include <glint/glint.h>

#include "base/cache.h"
#include "base/sha256.h"
#include "engine/rules.h"
#include "engine/task.h"
#include "image/decoder.h"
#include "kv/kv_pool.h"
#include "model/language.h"
#include "model/vision.h"
#include "text/chat.h"

#include <pthread.h>
#include <stdatomic.h>

/** Tokens that run through the decoder in one step, of all jobs together. */
#define GI_ENGINE_PREFILL_TOKENS 512
/** Most jobs in one step. */
#define GI_ENGINE_SEQUENCES_MAX  256

/** What a step is put together in; made with the engine. See step.h. */
typedef struct gi_step_scratch {
    int32_t *ids, *pos[3];                            /**< [GI_ENGINE_PREFILL_TOKENS] */
    gi_span *spans;                                   /**< [sequences_max] */
    gi_embed_rows *embeds;                            /**< [sequences_max * GLINT_IMAGES_MAX] */
    size_t *logit_rows;                               /**< [sequences_max] */
    float *logits;                                    /**< [sequences_max, V] */
    struct gi_picture *encoding[GI_VISION_BATCH_MAX]; /**< pictures in the vision tower */
    size_t n_encoding;
} gi_step_scratch;

struct glint_engine {
    glint_engine_info info;
    char *model_name;
    gi_digest fingerprint; /**< see fingerprint.h */
    gi_checkpoint *ckpt;
    gi_tokenizer *tokenizer;
    gi_chat chat;
    char *template_dir; /**< NULL: only the built-in templates */
    pthread_mutex_t tasks_lock;
    glint_tasks *tasks; /**< those of new jobs; under tasks_lock, see task_set.h */
    gi_image_limits image_limits;
    uint32_t max_side_px;
    size_t patches_max;   /**< most patches a picture can have under max_side_px */
    gi_decoder *pictures; /**< decoder processes; NULL decodes in this process */
    gi_device *dev;
    gi_vision *vision;
    gi_language *language;
    gi_kv_pool kv_pool;
    gi_kv_store *kv;
    gi_cache *picture_cache; /**< of gi_picture */
    gi_vocab_trie *trie;
    gi_rule_maker rules;            /**< for schemas that come with requests */
    bool asks_for_forced;           /**< the model is asked for forced tokens, too */
    struct gi_picture_shelf *shelf; /**< pictures kept elsewhere; NULL = none */
    gi_step_scratch step;
    atomic_bool is_running; /**< gi_engine_acquire */
};

/** True if `id` ends an answer. */
bool gi_engine_is_eos(const glint_engine *engine, int32_t id);

/**
 * Bytes of KV cache and scratch an engine would take, beside the weights, for kv_tokens in the
 * cache and pictures up to max_side_px. Scratch is what is touched at full use by one job.
 */
void gi_engine_sizes(const gi_config *cfg, glint_dtype dtype, glint_dtype kv_dtype,
                     size_t kv_tokens, uint32_t max_side_px, uint64_t *ret_kv_bytes,
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

/** Make room for steps of n_rows tokens of n_jobs jobs. GLINT_ERR_MEMORY; _done is due anyway. */
glint_status gi_step_init(gi_step_scratch *s, size_t n_rows, size_t n_jobs, size_t vocab,
                          glint_error *err);
void gi_step_done(gi_step_scratch *s);

#endif
