/**
 * @file
 * What a checkpoint says about itself: config.json, generation_config.json and
 * preprocessor_config.json (or processor_config.json, the file of all processors that transformers
 * 5 may write in its place) as plain checked numbers. Nothing else in glint reads those files.
 *
 * The layouts read are those of transformers 4.53 and later: nested text_config, the flat layout
 * of the first GLM-4.1V exports, `rope_theta` + `rope_scaling` as well as `rope_parameters`, and
 * picture bounds as size.shortest_edge/longest_edge as well as min_pixels/max_pixels. The sizes of
 * the model must be there; other absent keys mean what they mean to the transformers classes.
 *
 * Dimensions are size_t, so that products of two need no cast. Every one is checked against a
 * cap that keeps such products far below 2^64.
 */
#ifndef GI_MODEL_CONFIG_H
#define GI_MODEL_CONFIG_H

#include "base/fail.h"
#include "image/prepare.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** quantization_config.quant_method of the checkpoints that glint quantize writes. */
#define GI_CONFIG_QUANT_METHOD "glint-panels"

/** Most end-of-answer ids a checkpoint may name. */
#define GI_CONFIG_EOS_MAX 16

/** Largest head of the decoder. */
#define GI_CONFIG_HEAD_DIM_MAX 1024

/** The decoder. Letters as in the design: H heads, K kv heads, D head dim, C hidden, F, V. */
typedef struct gi_text_config {
    size_t hidden;        /**< C */
    size_t n_layers;      /**< decoder layers */
    size_t n_heads;       /**< H, query heads; a multiple of n_kv_heads */
    size_t n_kv_heads;    /**< K */
    size_t head_dim;      /**< D: "head_dim", or C / H when absent; even */
    size_t ffn;           /**< F, "intermediate_size"; gate_up_w has 2 F rows */
    size_t vocab;         /**< V, rows of the embedding and of the head */
    size_t positions_max; /**< "max_position_embeddings": longest sequence in tokens */
    size_t rotary_dim;    /**< leading dims of a head that are rotated: D * partial_rotary_factor;
                               even, 2..D */
    size_t mrope_section[3]; /**< rotated pairs driven by time, row, column; sum = rotary_dim / 2 */
    double rope_theta;       /**< base of the rotary frequencies */
    float rms_eps;           /**< added to the mean square in every RMSNorm */
    bool qkv_bias;           /**< q, k and v have biases ("attention_bias"); o never has */
    bool tied_head;          /**< the head is the embedding matrix */
} gi_text_config;

/** The vision tower. */
typedef struct gi_vision_config {
    size_t hidden;      /**< width of the blocks */
    size_t depth;       /**< number of blocks */
    size_t n_heads;     /**< hidden / n_heads = head_dim */
    size_t head_dim;    /**< a multiple of 4: half is rotated by row, half by column */
    size_t out_hidden;  /**< width of a visual token = text hidden */
    size_t block_ffn;   /**< width of a block's MLP: equals out_hidden in this architecture */
    size_t merger_ffn;  /**< width of the merger's MLP: "intermediate_size" */
    size_t patch;       /**< side of a patch, px */
    size_t merge;       /**< patches per merge block and side */
    size_t temporal;    /**< frames in a patch; a still picture is repeated */
    size_t in_channels; /**< 3 */
    size_t image_size;  /**< side of the picture the position table was made for, px */
    size_t pos_side;    /**< side of the position table: image_size / patch */
    double rope_theta;  /**< base of the rotary frequencies */
    float rms_eps;      /**< of the RMSNorms; the merger's LayerNorm has torch's 1e-5 */
} gi_vision_config;

/** A checkpoint's settings. Plain data: copy it freely. */
typedef struct gi_config {
    char architecture[64]; /**< "Glm4vForConditionalGeneration" */
    gi_text_config text;
    gi_vision_config vision;
    gi_image_spec image;            /**< how pictures are prepared; agrees with `vision` */
    int32_t eos[GI_CONFIG_EOS_MAX]; /**< ids that end an answer, as generation_config.json names
                                         them, else config.json; no duplicates */
    size_t n_eos;                   /**< 1..GI_CONFIG_EOS_MAX */
    int32_t pad;                    /**< -1 when absent */
    /** Ids that config.json names, -1 when absent. Tokens are resolved by string; these serve to
     * check that the tokenizer and the weights belong together. */
    int32_t image_begin, image_end, image_token;
} gi_config;

/**
 * Read DIR's settings.
 *
 * @param ret untouched on failure.
 * @return GLINT_ERR_IO (no config.json), GLINT_ERR_FORMAT (a value missing, of the wrong type, out
 *         of range or at odds with another), GLINT_ERR_UNSUPPORTED (another architecture or a
 *         variant glint does not compute), GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. The message names
 *         file and key, what was found and what was expected.
 * Threads: any.
 */
glint_status gi_config_load(const char *dir, gi_config *ret, glint_error *err);

#endif
