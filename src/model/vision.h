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

/** Most pictures of one batch. */
#define GI_VISION_BATCH_MAX 32

/** One layer's weights on the device: of what checkpoints call a block. */
typedef struct gi_vision_layer {
    gi_vector *norm1, *norm2; /**< [E] */
    gi_matrix *qkv;           /**< [3E, E] */
    gi_matrix *proj;          /**< [E, E] */
    gi_matrix *gate_up;       /**< [2M, E], gate rows first */
    gi_matrix *down;          /**< [E, M] */
} gi_vision_layer;

/** The tower bound to a device, with room for batches of up to patches_max patches. */
typedef struct gi_vision {
    gi_device *dev;
    gi_vision_config cfg;
    size_t patches_max;
    gi_matrix *patch;          /**< [E, 3 * patch^2]: the temporal pair summed */
    gi_vector *post_conv_norm; /**< [E] */
    gi_matrix *positions;      /**< [side^2, E] */
    gi_vision_layer *layers;   /**< [depth] */
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
    size_t n_patches[GI_VISION_BATCH_MAX];    /**< of each picture of the batch */
    size_t n_pictures, n_rows;                /**< of the batch; rows are patches */
    size_t n_layers_run;
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

/** Operations of encoding a picture of n_patches; a multiply-add is two. Norms, activations and
 * softmax are not counted. */
double gi_vision_ops(const gi_vision_config *cfg, size_t n_patches);

/** A picture to encode. */
typedef struct gi_vision_picture {
    const float *patches;  /**< f32 [grid_h * grid_w, 3 * patch^2], merge-block order */
    size_t grid_h, grid_w; /**< patches; multiples of merge */
} gi_vision_picture;

/**
 * Begin a batch of pictures: patch embedding, norm and positions into v->x, one picture behind the
 * other. The pictures' patches are not needed afterwards. A batch under way is forgotten.
 *
 * @param n 1..GI_VISION_BATCH_MAX; their patches together at most patches_max.
 * Threads: one at a time per device, as for all below.
 */
void gi_vision_begin(gi_vision *v, const gi_vision_picture *pictures, size_t n);

/** Run the batch's next n_layers layers (fewer when no more are left). */
void gi_vision_run(gi_vision *v, size_t n_layers);

/**
 * End a batch all of whose layers have run: norm, downsample and merger.
 *
 * @return the visual tokens of all pictures, [N, C] in `merged`, in the order of gi_vision_begin,
 *         valid until a batch ends again.
 */
gi_act gi_vision_end(gi_vision *v);

#endif
