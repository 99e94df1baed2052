/**
 * @file
 * A checkpoint directory as the model code wants it: settings, and every weight as a typed view
 * into the mapped files, in the order in which the model computes. Nothing is copied.
 *
 *     config.json, generation_config.json, and preprocessor_config.json or
 *     processor_config.json                                             -> gi_config
 *     model.safetensors.index.json + shards, or model.safetensors       -> weights
 *
 * Letters: C text hidden, F text ffn, H heads, K kv heads, D head dim, V vocabulary, L layers;
 * E vision hidden, M vision block ffn (= C), G merger ffn, p patch, m merge, t temporal.
 */
#ifndef GI_MODEL_CHECKPOINT_H
#define GI_MODEL_CHECKPOINT_H

#include "base/dtype.h"
#include "base/fail.h"
#include "model/config.h"
#include "model/safetensors.h"

#include <stddef.h>
#include <stdint.h>

/** How many files of a checkpoint that are not weights answers depend on. */
enum { GI_CHECKPOINT_FILES_N = 7 };

/**
 * Their names, config.json first: what gi_config_load and the loader of the text side read. Which
 * of them must be there, those two say. The engine's fingerprint takes them in this order.
 */
extern const char *const gi_checkpoint_files[GI_CHECKPOINT_FILES_N];

/**
 * A weight. Its shape is the one written at the field, computed from the config and checked
 * against the file; row-major. dtype is BF16, F16 or F32 and may differ between weights.
 */
typedef struct gi_weight {
    const void *data; /**< in the mapping, aligned to its element; NULL = absent, or packed only */
    gi_dtype dtype;
    size_t n; /**< elements */
    /** A matrix that is stored packed: see docs/quantization.md and src/kernels/kernels.h. */
    const void *panels;    /**< [panels, units, 64, 4 bytes], 64-byte aligned; or NULL */
    gi_dtype panels_dtype; /**< S8 or BF16 */
    const float *scales;   /**< S8: [panels, 64]; else NULL */
} gi_weight;

/**
 * Decoder layer: x += post_attn_norm(attn(input_norm(x)));
 *                x += post_mlp_norm(mlp(pre_mlp_norm(x)))
 */
typedef struct gi_text_layer_weights {
    gi_weight input_norm;     /**< [C] input_layernorm */
    gi_weight q_w, q_b;       /**< [H*D, C], [H*D]; biases absent unless config.text.qkv_bias */
    gi_weight k_w, k_b;       /**< [K*D, C], [K*D] */
    gi_weight v_w, v_b;       /**< [K*D, C], [K*D] */
    gi_weight o_w;            /**< [C, H*D] */
    gi_weight post_attn_norm; /**< [C] post_self_attn_layernorm */
    gi_weight pre_mlp_norm;   /**< [C] post_attention_layernorm */
    gi_weight gate_up_w;      /**< [2*F, C]; rows 0..F-1 are the gate */
    gi_weight down_w;         /**< [C, F] */
    gi_weight post_mlp_norm;  /**< [C] post_mlp_layernorm */
} gi_text_layer_weights;

/** The decoder. */
typedef struct gi_text_weights {
    gi_weight embed;               /**< [V, C] embed_tokens */
    gi_text_layer_weights *layers; /**< [L] */
    gi_weight norm;                /**< [C] */
    gi_weight head;                /**< [V, C] lm_head; the same view as embed when tied */
} gi_text_weights;

/** Vision block: x += proj(attn(norm1(x))); x += down(silu(gate(y)) * up(y)), y = norm2(x) */
typedef struct gi_vision_block_weights {
    gi_weight norm1;        /**< [E] */
    gi_weight qkv_w;        /**< [3*E, E]; rows q, k, v */
    gi_weight proj_w;       /**< [E, E] */
    gi_weight norm2;        /**< [E] */
    gi_weight gate_w, up_w; /**< [M, E] */
    gi_weight down_w;       /**< [E, M] */
} gi_vision_block_weights;

/** The vision tower, from patches to visual tokens. */
typedef struct gi_vision_weights {
    gi_weight patch_w, patch_b;             /**< [E, 3, t, p, p], [E] patch_embed.proj */
    gi_weight post_conv_norm;               /**< [E] */
    gi_weight pos_embed;                    /**< [pos_side * pos_side, E] */
    gi_vision_block_weights *blocks;        /**< [depth] */
    gi_weight post_norm;                    /**< [E] post_layernorm */
    gi_weight downsample_w, downsample_b;   /**< [C, E, m, m], [C] */
    gi_weight merger_proj_w;                /**< [C, C] */
    gi_weight merger_norm_w, merger_norm_b; /**< [C] LayerNorm post_projection_norm */
    gi_weight merger_gate_w, merger_up_w;   /**< [G, C] */
    gi_weight merger_down_w;                /**< [C, G] */
} gi_vision_weights;

/** Sizes of the parts, in parameters and bytes. A tied head counts once, as embedding. */
typedef struct gi_checkpoint_sizes {
    uint64_t embed_params, text_params, head_params; /**< text: layers and final norm */
    uint64_t vision_params, merger_params;           /**< merger: downsample and merger MLP */
    uint64_t total_params;
    uint64_t f32_bytes, bf16_bytes, f16_bytes, int8_bytes, total_bytes; /**< as stored */
    size_t n_tensors, n_files;
} gi_checkpoint_sizes;

/** An open checkpoint; read-only, so shared by any number of threads. */
typedef struct gi_checkpoint {
    gi_config config;
    gi_text_weights text;
    gi_vision_weights vision;
    gi_checkpoint_sizes sizes;
    gi_safetensors *files; /**< [sizes.n_files], the mappings behind every weight */
    gi_arena arena;        /**< layers, blocks and files */
} gi_checkpoint;

/**
 * Read the settings, map the weights, and check that every weight the architecture has is there
 * with its shape and a dtype glint computes with, and that there is no other tensor.
 *
 * Names are accepted as published (`model.language_model.`, `model.visual.`, `lm_head.`) and as
 * older exports wrote them (`model.` or `language_model.model.` for the decoder, `visual.`,
 * `language_model.lm_head.`). A separate lm_head beside a tied config is accepted and left alone,
 * as transformers does: the embedding is the head.
 *
 * @param ret untouched on failure; the caller closes it.
 * @return as gi_config_load and gi_safetensors_open; for a tensor the message names the file, the
 *         tensor, what was found and what was expected.
 * Threads: any. Cost: reads headers only; the system pages weights in as they are used.
 */
glint_status gi_checkpoint_open(const char *dir, gi_checkpoint **ret, glint_error *err);

/** True when the decoder's matrices are stored as INT8 panels; the vision tower's. */
bool gi_checkpoint_is_int8(const gi_checkpoint *ckpt);
bool gi_checkpoint_is_vision_int8(const gi_checkpoint *ckpt);

/** Let the system take back the pages of the files that were read; they come back when needed. */
void gi_checkpoint_drop_pages(const gi_checkpoint *ckpt);

/** One weight of a checkpoint, under its published name, as gi_checkpoint_each shows it. */
typedef struct gi_weight_entry {
    const char *name; /**< "model.language_model.layers.0.mlp.down_proj.weight" */
    const gi_weight *weight;
    size_t n_dims;
    uint64_t shape[GI_ST_DIMS_MAX];
    bool is_text_matrix, is_vision_matrix; /**< [rows, cols] that the model multiplies by */
    bool is_gate_up;                       /**< two halves of rows: gates, ups */
} gi_weight_entry;

/** Called for each weight; what it returns other than GLINT_OK ends the walk. */
typedef glint_status (*gi_weight_visitor)(void *ctx, const gi_weight_entry *entry,
                                          glint_error *err);

/** Visit every weight in the order of the model. A tied head is not visited. */
glint_status gi_checkpoint_each(const gi_checkpoint *ckpt, gi_weight_visitor visit, void *ctx,
                                glint_error *err);

/** Unmap and free. NULL is fine. */
void gi_checkpoint_close(gi_checkpoint *ckpt);

#endif
