/**
 * @file
 * M-RoPE: three positions (time, row, column) per token, and the angles they give.
 * Source: Wang et al. 2024 (Qwen2-VL), section 2.1; transformers Glm4vModel.get_rope_index.
 */
#ifndef GI_MODEL_MROPE_H
#define GI_MODEL_MROPE_H

#include "model/config.h"

#include <stddef.h>
#include <stdint.h>

/** A picture among the prompt's tokens. */
typedef struct gi_mrope_image {
    size_t first_token; /**< index of its first visual token */
    size_t rows, cols;  /**< merged grid: rows * cols visual tokens */
} gi_mrope_image;

/**
 * Positions of a prompt: text counts up on all three axes; a picture that begins at s gives its
 * tokens (s, s + row, s + col) and the text after it goes on at s + max(rows, cols).
 *
 * @param images  [n_images] in order, not overlapping, inside the prompt.
 * @param ret_pos [3][n_tokens], axis-major.
 * @return the position of the token after the prompt; it counts up from there.
 */
int32_t gi_mrope_positions(size_t n_tokens, const gi_mrope_image *images, size_t n_images,
                           int32_t *ret_pos);

/** Inverse frequencies: ret[j] = theta^(-2j / rotary_dim), j < rotary_dim / 2. */
void gi_mrope_frequencies(const gi_text_config *cfg, float *ret);

/**
 * Angles of one token: pair j turns by pos[axis(j)] * freq[j], where the first mrope_section[0]
 * pairs follow time, the next rows, the rest columns.
 *
 * @param freq        [rotary_dim / 2] from gi_mrope_frequencies.
 * @param cos, sin    [rotary_dim / 2].
 */
void gi_mrope_angles(const gi_text_config *cfg, const float *freq, const int32_t pos[3], float *cos,
                     float *sin);

/**
 * Angles of the patches of a picture for the vision tower: D/4 frequencies of base rope_theta
 * by row, then the same by column. Patches in merge-block order.
 *
 * @param cos, sin [grid_h * grid_w, head_dim / 2].
 */
void gi_vision_angles(const gi_vision_config *cfg, size_t grid_h, size_t grid_w, float *cos,
                      float *sin);

#endif
