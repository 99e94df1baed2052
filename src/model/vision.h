/**
 * @file
 * The vision tower: patches of a picture to visual tokens. See MODEL.md, "Vision tower".
 *
 * Letters: P patches, E vision hidden, M block ffn, C text hidden, G merger ffn, N = P / merge^2
 * visual tokens.
 */
#ifndef GI_MODEL_VISION_H
#define GI_MODEL_VISION_H

#include "device/device.h"
#include "model/checkpoint.h"

/** One block's weights on the device. */
typedef struct gi_vision_block {
    gi_vector *norm1, *norm2; /**< [E] */
    gi_matrix *qkv;           /**< [3E, E] */
    gi_matrix *proj;          /**< [E, E] */
    gi_matrix *gate_up;       /**< [2M, E], gate rows first */
    gi_matrix *down;          /**< [E, M] */
} gi_vision_block;

/** The tower bound to a device, with room for pictures of up to patches_max patches. */
typedef struct gi_vision {
    gi_device *dev;
    gi_vision_config cfg;
    size_t patches_max;
    gi_matrix *patch;          /**< [E, 3 * patch^2]: the temporal pair summed */
    gi_vector *post_conv_norm; /**< [E] */
    gi_matrix *positions;      /**< [side^2, E] */
    gi_vision_block *blocks;   /**< [depth] */
    gi_vector *post_norm;      /**< [E] */
    gi_matrix *downsample;     /**< [C, merge^2 * E]: columns in the order of merge blocks */
    gi_matrix *merger_proj;    /**< [C, C] */
    gi_vector *merger_norm_w, *merger_norm_b; /**< [C] */
    gi_matrix *merger_gate_up;                /**< [2G, C] */
    gi_matrix *merger_down;                   /**< [C, G] */
    void *folded;                             /**< F32 storage behind `patch` and `downsample` */
    gi_act pixels;                            /**< [P, 3 * patch^2] */
    gi_act x;                                 /**< [P, E] the residual stream */
    gi_act qkv, attn, mlp;                    /**< [P, 3E], [P, E], [P, M] */
    gi_act merged, merger_in;                 /**< [N, C] */
    gi_act merger_mlp;                        /**< [N, G] */
    float *cos, *sin;                         /**< [P, head_dim / 2] */
} gi_vision;

/**
 * Put the tower's weights on a device and make its scratch.
 *
 * @param ckpt must outlive the tower.
 * GLINT_ERR_MEMORY, GLINT_ERR_UNSUPPORTED.
 */
glint_status gi_vision_create(gi_device *dev, const gi_checkpoint *ckpt, size_t patches_max,
                              gi_vision **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_vision_free(gi_vision *v);

/**
 * Encode one picture.
 *
 * @param patches        f32 [grid_h * grid_w, 3 * patch^2], merge-block order.
 * @param grid_h, grid_w patches; multiples of merge; product at most patches_max.
 * @return the visual tokens, [N, C] in `merged`, valid until the next call.
 * Threads: one at a time per device.
 */
gi_act gi_vision_encode(gi_vision *v, const float *patches, size_t grid_h, size_t grid_w);

/* The stages of gi_vision_encode, for tests against golden vectors. */

/** Patch embedding, norm and positions into v->x; angles into v->cos, v->sin. */
void gi_vision_stem(gi_vision *v, const float *patches, size_t grid_h, size_t grid_w);

/** Block `i` over v->x. */
void gi_vision_run_block(gi_vision *v, size_t i, size_t n_patches);

/** Norm, downsample and merger: v->x to v->merged. */
void gi_vision_merge(gi_vision *v, size_t n_patches);

#endif
