/**
 * @file
 * What a device must offer: buffers, weight matrices in its own form, a KV cache and a handful of
 * fused operations. The model is written against this header alone; the CPU device is built out
 * of src/kernels, a CUDA device will stand beside it.
 *
 * Activations are opaque to the model: rows of `cols` elements in the device's own activation
 * type, reached only through operations.
 *
 * Threads: operations that compute (embed and what follows it) are called by one thread at a time,
 * which runs the engine, and complete in order; so are those that make and free matrices, vectors
 * and KV stores. The four act_ ones may be called by any thread meanwhile: pictures are made,
 * filled and freed by whoever prepares and reads them. A failed allocation is the only failure an
 * operation can have, and it happens at creation.
 *
 * Dims: T rows (tokens or patches), C hidden, F feed-forward, H heads, Hkv kv heads, D head dim,
 * B tokens per KV block.
 */
#ifndef GI_DEVICE_DEVICE_H
#define GI_DEVICE_DEVICE_H

#include "base/dtype.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gi_device gi_device;

/** Activations [rows, cols]. A plain handle: copying it copies no data. */
typedef struct gi_act {
    void *data;
    size_t rows, cols;
} gi_act;

/**
 * Rows of source weights that go into one device matrix, as they lie in the checkpoint: plain, or
 * already packed for this kind of device (src/kernels/kernels.h, "packed products"), or both.
 */
typedef struct gi_matrix_part {
    const void *weight;   /**< [n_rows, n_cols] of `type`, or NULL; must outlive the matrix */
    gi_dtype type;        /**< F32, BF16 or F16 */
    const void *panels;   /**< packed panels of panels_type, or NULL; must outlive the matrix */
    gi_dtype panels_type; /**< S8 or BF16 */
    const float *scales;  /**< S8 panels: [panels, 64] */
    const void *bias;     /**< [n_rows] of bias_type, or NULL */
    gi_dtype bias_type;
    size_t n_rows;
} gi_matrix_part;

/** Most parts of one matrix (q, k, v). */
#define GI_MATRIX_PARTS_MAX 3

/** What a matrix is for: a device may hold each kind in another format. */
typedef enum gi_matrix_use {
    GI_MATRIX_LOOKUP,      /**< rows are read one by one (positions, embedding) */
    GI_MATRIX_TEXT,        /**< products in the decoder */
    GI_MATRIX_TEXT_LOOKUP, /**< both: a tied embedding */
    GI_MATRIX_VISION,      /**< products in the vision tower */
} gi_matrix_use;

/** A matrix to make: parts stacked by rows, all with n_cols columns. */
typedef struct gi_matrix_spec {
    const char *name; /**< for messages */
    gi_matrix_use use;
    bool is_swiglu; /**< for GI_EPILOGUE_SWIGLU: 2F rows, gates first */
    gi_matrix_part parts[GI_MATRIX_PARTS_MAX];
    size_t n_parts, n_cols;
} gi_matrix_spec;

/** A weight matrix in the device's own form. */
typedef struct gi_matrix gi_matrix;

/** A vector of F32 parameters (norm weights, biases) on the device. */
typedef struct gi_vector gi_vector;

/** Keys and values of one model, in blocks of B tokens, in the device's own form. */
typedef struct gi_kv_store gi_kv_store;

/** Shape of a KV store. */
typedef struct gi_kv_shape {
    size_t n_layers, n_blocks, n_kv_heads, head_dim;
    size_t block_tokens; /**< B, as gi_device_ops.kv_block_tokens says */
} gi_kv_shape;

/** What a linear operation does with its products y = x W^T + b. */
typedef enum gi_epilogue {
    GI_EPILOGUE_STORE,  /**< out = y */
    GI_EPILOGUE_ADD,    /**< out += y (residual) */
    GI_EPILOGUE_SWIGLU, /**< out[j] = silu(y[j]) * y[F + j], j < F; the matrix has 2F rows */
} gi_epilogue;

/** out = epilogue(norm(x) W^T + b). */
typedef struct gi_linear_args {
    gi_act out;                /**< [T, n_rows] (SWIGLU: [T, n_rows / 2]) */
    gi_act x;                  /**< [>= T, n_cols]; not `out` */
    size_t n_tokens;           /**< T */
    const gi_vector *rms_norm; /**< RMSNorm weights [n_cols] applied to x first, or NULL */
    float rms_eps;
    const gi_matrix *matrix;
    gi_epilogue epilogue;
} gi_linear_args;

/** A run of rows of one sequence in a batch: its newest tokens. */
typedef struct gi_span {
    size_t first_row;      /**< row of the span's first token in the batch */
    size_t n_rows;         /**< tokens of this sequence in the batch, >= 1 */
    size_t n_past;         /**< tokens already in the KV store */
    const int32_t *blocks; /**< block table: position p lies in blocks[p / B] at p % B */
} gi_span;

/** Causal GQA attention of a batch over the paged KV store, rope included. */
typedef struct gi_attention_args {
    gi_act out;           /**< [T, H * D] */
    gi_act qkv;           /**< [T, (H + 2 Hkv) * D]; q and k are roped in place */
    const gi_span *spans; /**< [n_spans] */
    size_t n_spans;
    const float *rope_cos; /**< host f32 [T, rotary_dim / 2] */
    const float *rope_sin; /**< host f32 [T, rotary_dim / 2] */
    size_t rotary_dim;     /**< first dims of each head, interleaved pairs (2j, 2j + 1) */
    size_t n_heads;        /**< H */
    size_t layer;
    gi_kv_store *kv; /**< keys and values of the rows are written first */
} gi_attention_args;

/** Full attention over the patches of one picture, 2-D rope included. */
typedef struct gi_vision_attention_args {
    gi_act out;            /**< [>= first_row + P, C] */
    gi_act qkv;            /**< [>= first_row + P, 3 * C]; q and k are roped in place */
    size_t first_row;      /**< of the picture's patches in both */
    size_t n_patches;      /**< P */
    size_t n_heads;        /**< H; D = C / H */
    const float *rope_cos; /**< host f32 [P, D / 2]; pair (j, j + D/2), rotate-half form */
    const float *rope_sin; /**< host f32 [P, D / 2] */
} gi_vision_attention_args;

/** Position table sampled at a grid and added to the patches. */
typedef struct gi_add_position_args {
    gi_act x;               /**< [>= first_row + grid_h * grid_w, C], merge-block order; += table */
    size_t first_row;       /**< of the picture's patches */
    const gi_matrix *table; /**< [side * side, C] */
    size_t side;            /**< table rows and columns (24) */
    size_t grid_h, grid_w;  /**< patches */
    size_t merge;           /**< patches per merge block and side (2) */
} gi_add_position_args;

/**
 * The operations. Slots are all mandatory. Sizes are preconditions, asserted in the device: the
 * model checks everything that comes from outside before it calls.
 */
typedef struct gi_device_ops {
    /** Zeroed activations. GLINT_ERR_MEMORY. Of the act_ operations, from any thread: create; free
     * and upload where nothing else uses the activations; download where nothing writes them. */
    glint_status (*act_create)(gi_device *dev, size_t rows, size_t cols, gi_act *ret,
                               glint_error *err);
    void (*act_free)(gi_device *dev, gi_act *act);
    /** Host f32 [n_rows, cols] to rows [first_row, first_row + n_rows). */
    void (*act_upload)(gi_device *dev, gi_act act, size_t first_row, const float *src,
                       size_t n_rows);
    /** Rows to host f32. */
    void (*act_download)(gi_device *dev, gi_act act, size_t first_row, float *dst, size_t n_rows);

    /** GLINT_ERR_MEMORY; GLINT_ERR_UNSUPPORTED when parts differ in type, are packed in a form that
     * is not the device's and not there plain, or are wider than its products can be. */
    glint_status (*matrix_create)(gi_device *dev, const gi_matrix_spec *spec, gi_matrix **ret,
                                  glint_error *err);
    void (*matrix_free)(gi_device *dev, gi_matrix *m);
    glint_status (*vector_create)(gi_device *dev, const void *src, gi_dtype type, size_t n,
                                  gi_vector **ret, glint_error *err);
    void (*vector_free)(gi_device *dev, gi_vector *v);
    /** Tokens per KV block this device works with. */
    size_t (*kv_block_tokens)(gi_device *dev);
    /** GLINT_ERR_MEMORY; GLINT_ERR_UNSUPPORTED when the format cannot hold heads of that size. */
    glint_status (*kv_create)(gi_device *dev, const gi_kv_shape *shape, gi_kv_store **ret,
                              glint_error *err);
    void (*kv_free)(gi_device *dev, gi_kv_store *kv);

    /** out[t] = table row ids[t]; ids[t] < 0 leaves row t as it is. */
    void (*embed)(gi_device *dev, gi_act out, const gi_matrix *table, const int32_t *ids, size_t n);
    /** dst[dst_row + i] = src[src_row + i], i < n_rows. */
    void (*copy_rows)(gi_device *dev, gi_act dst, size_t dst_row, gi_act src, size_t src_row,
                      size_t n_rows);
    void (*linear)(gi_device *dev, const gi_linear_args *args);
    /** out[t] = RMSNorm(x[t]) * w, t < n; out may be x. */
    void (*rms_norm)(gi_device *dev, gi_act out, gi_act x, size_t n, const gi_vector *w, float eps);
    /** x[t] += RMSNorm(y[t]) * w: the second half of a sandwich norm. */
    void (*rms_norm_add)(gi_device *dev, gi_act x, gi_act y, size_t n, const gi_vector *w,
                         float eps);
    /** x[t] = gelu(LayerNorm(x[t]) * w + b), gelu with erf. */
    void (*layer_norm_gelu)(gi_device *dev, gi_act x, size_t n, const gi_vector *w,
                            const gi_vector *b, float eps);
    void (*add_position)(gi_device *dev, const gi_add_position_args *args);
    void (*attention)(gi_device *dev, const gi_attention_args *args);
    void (*vision_attention)(gi_device *dev, const gi_vision_attention_args *args);
} gi_device_ops;

/** Every device begins with this. */
struct gi_device {
    const gi_device_ops *ops;
    const char *description; /**< "cpu (ref, 2 threads)" */
    void (*destroy)(gi_device *dev);
};

/** How the CPU device holds matrices that are multiplied. */
typedef enum gi_cpu_format {
    GI_CPU_F32,  /**< views of the checkpoint, F32 activations: the reference */
    GI_CPU_BF16, /**< packed BF16 weights, BF16 activations, F32 sums */
    GI_CPU_S8,   /**< packed INT8 weights per output, INT8 activations per row */
} gi_cpu_format;

/** How to make a CPU device. The sizes bound every later operation; scratch is made once. */
typedef struct gi_device_cpu_options {
    int n_threads;                            /**< 1..GI_WORKERS_MAX */
    const char *tier_max;                     /**< best kernel tier allowed, NULL = any */
    gi_cpu_format text_format, vision_format; /**< of matrices by use; vision: F32 or BF16 also
                                                   decides how its attention is computed */
    gi_cpu_format kv_format; /**< of keys and values: F32 with text_format F32, else BF16 or S8 */
    size_t linear_elems_max; /**< most elements of x in a linear operation: rows times columns */
    size_t linear_cols_max;  /**< widest row of x */
    size_t linear_rows_max;  /**< most rows of x */
    size_t kv_tokens_max;    /**< longest KV length of a sequence */
    size_t patches_max;      /**< most patches of one picture */
    size_t text_cols;        /**< H * D of the decoder */
    size_t text_head_dim;    /**< D of the decoder */
    size_t vision_cols;      /**< C of the vision tower */
    size_t vision_heads;     /**< H of the vision tower */
} gi_device_cpu_options;

/** GLINT_ERR_ARG (unknown tier), GLINT_ERR_MEMORY, GLINT_ERR_IO (threads). */
glint_status gi_device_cpu_create(const gi_device_cpu_options *options, gi_device **ret,
                                  glint_error *err);

/** Free a device; everything made by it must have been freed. NULL is fine. */
static inline void gi_device_free(gi_device *dev) {
    if (dev) dev->destroy(dev);
}

#endif
