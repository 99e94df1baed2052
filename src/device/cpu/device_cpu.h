/**
 * @file
 * Inside the CPU device: activations are plain F32 rows, weights stay where the checkpoint mapped
 * them, one crew of workers splits every operation.
 */
#ifndef GI_DEVICE_CPU_DEVICE_CPU_H
#define GI_DEVICE_CPU_DEVICE_CPU_H

#include "base/workers.h"
#include "device/device.h"
#include "kernels/kernels.h"

/** Rows of x that share one packed panel: large enough to hide the packing, small enough for L2. */
#define GI_LINEAR_ROWS 256
/** Queries that share one pass over the keys; the attention kernels' limit. */
#define GI_QUERY_ROWS  4

/**
 * The rows as they lie in the checkpoint, and, unless the format is F32, their packed panels:
 *
 *     panels [n_panels][n_units][64][4 bytes]     scales, bias [n_panels * 64]
 *
 * A matrix for SWIGLU has its gate panels first and its up panels after them, each half filled up
 * to whole panels on its own.
 */
struct gi_matrix {
    gi_matrix_part parts[GI_MATRIX_PARTS_MAX];
    gi_dtype type; /**< of every part */
    size_t n_parts, n_rows, n_cols;
    float *bias; /**< F32: [n_rows]; packed: [n_panels * 64]; NULL when no part has one */
    gi_cpu_format format;
    bool is_swiglu;
    size_t n_panels, n_units;
    uint8_t *panels; /**< NULL for F32 */
    float *scales;   /**< S8 only */
};

struct gi_vector {
    size_t n;
    float values[]; /**< [n] */
};

/**
 * Keys lie transposed within a block, so that the scores of a block's tokens are contiguous:
 *
 *     keys   [layer][block][Hkv][D][B]
 *     values [layer][block][Hkv][B][D]
 */
struct gi_kv_store {
    gi_kv_shape shape;
    size_t head_floats;  /**< D * B */
    size_t layer_floats; /**< n_blocks * Hkv * D * B */
    float *keys, *values;
};

typedef struct gi_device_cpu {
    gi_device base; /**< first: a gi_device pointer is a gi_device_cpu pointer */
    gi_device_cpu_options options;
    gi_kernels kernels;
    gi_workers *workers;
    char description[64];
    float *normed;  /**< F32 linear: x after its norm, [linear_elems_max] */
    float *keys_t;  /**< F32 vision attention: transposed keys, [vision_cols, patches_max] */
    void *narrow_x; /**< packed linear: x as INT8 or BF16, [linear_elems_max] of 2 bytes */
    float *x_scale; /**< INT8: scale of each row of x, [linear_rows_max] */
    int32_t *x_sum; /**< INT8: sum of each row of x, [linear_rows_max] */
    uint16_t *queries, *key_panels, *value_panels; /**< BF16 vision attention; vision_packed.c */
    float *scratch;                                /**< [n_threads, scratch_floats] */
    size_t scratch_floats;
} gi_device_cpu;

/** The scratch of one worker: GI_QUERY_ROWS rows of scores, or the tiles of a linear operation. */
static inline float *gi_cpu_scratch(const gi_device_cpu *cpu, int i_worker) {
    return cpu->scratch + (size_t)i_worker * cpu->scratch_floats;
}

/** Row `row` of activations. */
static inline float *gi_cpu_row(gi_act act, size_t row) {
    return (float *)act.data + row * act.cols;
}

/** Source row `row` of a matrix: n_cols elements of its type. */
const void *gi_cpu_matrix_row(const gi_matrix *m, size_t row);

/** Floats of worker scratch that an operation needs. */
size_t gi_cpu_linear_scratch_floats(void);
size_t gi_cpu_packed_scratch_floats(const gi_device_cpu_options *options);
size_t gi_cpu_vision_packed_scratch_floats(const gi_device_cpu_options *options);

/** Make a matrix's panels from its parts. GLINT_ERR_MEMORY. */
glint_status gi_cpu_matrix_pack(gi_device_cpu *cpu, gi_matrix *m, const char *name,
                                glint_error *err);

/** The buffers of BF16 vision attention. GLINT_ERR_MEMORY. */
glint_status gi_cpu_vision_packed_create(gi_device_cpu *cpu, glint_error *err);

/** The packed halves of gi_cpu_linear and gi_cpu_vision_attention. */
void gi_cpu_linear_packed(gi_device_cpu *cpu, const gi_linear_args *args);
void gi_cpu_vision_attention_packed(gi_device_cpu *cpu, const gi_vision_attention_args *args);

void gi_cpu_linear(gi_device *dev, const gi_linear_args *args);
void gi_cpu_embed(gi_device *dev, gi_act out, const gi_matrix *table, const int32_t *ids, size_t n);
void gi_cpu_copy_rows(gi_device *dev, gi_act dst, size_t dst_row, gi_act src, size_t src_row,
                      size_t n_rows);
void gi_cpu_rms_norm(gi_device *dev, gi_act out, gi_act x, size_t n, const gi_vector *w, float eps);
void gi_cpu_rms_norm_add(gi_device *dev, gi_act x, gi_act y, size_t n, const gi_vector *w,
                         float eps);
void gi_cpu_layer_norm_gelu(gi_device *dev, gi_act x, size_t n, const gi_vector *w,
                            const gi_vector *b, float eps);
void gi_cpu_add_position(gi_device *dev, const gi_add_position_args *args);
void gi_cpu_attention(gi_device *dev, const gi_attention_args *args);
void gi_cpu_vision_attention(gi_device *dev, const gi_vision_attention_args *args);

#endif
