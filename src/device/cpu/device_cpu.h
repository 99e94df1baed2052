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

/** 64 (or, at the end of a run of rows, fewer) outputs of a packed matrix. */
typedef struct gi_cpu_panel {
    const uint8_t *units; /**< [n_units][64][4 bytes], in the checkpoint or owned */
    const float *scales;  /**< S8: [64] */
    size_t first_row, n_rows;
    size_t i_owned; /**< index among the owned panels, SIZE_MAX = lies in the checkpoint */
} gi_cpu_panel;

/**
 * The rows as they lie in the checkpoint, and, unless the format is F32, their packed panels.
 * Every part begins a panel of its own, and so does the second half of a SWIGLU matrix: gate
 * panel i then belongs to up panel n_panels / 2 + i.
 */
struct gi_matrix {
    gi_matrix_part parts[GI_MATRIX_PARTS_MAX];
    gi_dtype type; /**< of every part */
    size_t n_parts, n_rows, n_cols;
    float *bias; /**< [n_rows + 64], zeros at the end; NULL when no part has one */
    gi_cpu_format format;
    bool is_swiglu;
    size_t n_panels, n_units;
    gi_cpu_panel *panels; /**< [n_panels], NULL for F32 */
    uint8_t *owned_units; /**< panels that were packed here, or NULL */
    float *owned_scales;
};

struct gi_vector {
    size_t n;
    float values[]; /**< [n] */
};

/**
 * Keys and values, block by block, in the form that products want. B tokens per block, 16 for
 * F32, else 64.
 *
 *     F32    keys   [layer][block][Hkv][D][B]                 transposed: scores are contiguous
 *            values [layer][block][Hkv][B][D]
 *     BF16   keys   [layer][block][Hkv][D / 2][64][2]         panels: a block's keys and values
 *            values [layer][block][Hkv][D / 64][32][64][2]      serve as weights
 *     INT8   keys   [layer][block][Hkv][D / 4][64][4]         panels of k + 128, with a scale
 *            values [layer][block][Hkv][D / 64][16][64][4]      per token and head
 *            scales [layer][block][Hkv][2][64]                keys', values'
 */
struct gi_kv_store {
    gi_kv_shape shape;
    gi_cpu_format format;
    size_t key_head, value_head; /**< elements of one head of one block */
    void *keys, *values;         /**< F32: float; BF16: uint16_t; INT8: uint8_t */
    float *scales;               /**< INT8 only */
};

/** Tokens in a block of the packed forms: one panel. */
#define GI_CPU_PACKED_BLOCK GI_TILE_N
/** Tokens in a block of F32 rows: any number would do; small ones waste little. */
#define GI_CPU_F32_BLOCK    16

/** First element of a head's keys or values (head_elems = key_head or value_head). */
static inline size_t gi_cpu_kv_offset(const gi_kv_store *kv, size_t layer, size_t block,
                                      size_t kv_head, size_t head_elems) {
    return ((layer * kv->shape.n_blocks + block) * kv->shape.n_kv_heads + kv_head) * head_elems;
}

struct gi_device_cpu;

/** One head of one block of a packed store. */
typedef struct gi_cpu_kv_head {
    gi_kv_store *kv;
    size_t layer, block, kv_head;
} gi_cpu_kv_head;

/** What packed attention asks of a store's format. Scratch: GI_CPU_KV_SCRATCH floats. */
typedef struct gi_cpu_kv_format {
    /** Begin a block: no trace of another sequence's values may reach a sum. */
    void (*clear)(gi_cpu_kv_head at);
    /** Put one token's key and value [D] at `slot`. scratch [D] floats. */
    void (*store)(struct gi_device_cpu *cpu, gi_cpu_kv_head at, size_t slot, const float *k,
                  const float *v, float *scratch);
    /** Put a roped query [D], times scale, at row `row` of the device's queries. */
    void (*store_query)(struct gi_device_cpu *cpu, size_t row, const float *q, float scale,
                        size_t head_dim);
    /** scores[n_m, 64] (row stride ld) of queries row, row + 1, ... against the block. */
    void (*scores)(struct gi_device_cpu *cpu, gi_cpu_kv_head at, size_t row, size_t n_m,
                   float *scores, size_t ld, float *scratch);
    /** mix[n_m, 64] = weights [n_m, 64] (BF16, row stride ld) times value columns c0... */
    void (*mix)(struct gi_device_cpu *cpu, gi_cpu_kv_head at, size_t c0, const uint16_t *weights,
                size_t ld, size_t n_m, float *mix, float *scratch);
} gi_cpu_kv_format;

enum { GI_CPU_KV_SCRATCH = 3 * GI_TILE_M * GI_TILE_N };

extern const gi_cpu_kv_format gi_cpu_kv_bf16, gi_cpu_kv_s8;

typedef struct gi_device_cpu {
    gi_device base; /**< first: a gi_device pointer is a gi_device_cpu pointer */
    gi_device_cpu_options options;
    gi_kernels kernels;
    gi_workers *workers;
    char description[64];
    float *normed;      /**< F32 linear: x after its norm, [linear_elems_max] */
    float *keys_t;      /**< F32 vision attention: transposed keys, [vision_cols, patches_max] */
    void *narrow_x;     /**< packed linear: x as INT8 or BF16, [linear_elems_max] of 2 bytes */
    float *x_scale;     /**< INT8: scale of each row of x, [linear_rows_max] */
    int32_t *x_sum;     /**< INT8: sum of each row of x, [linear_rows_max] */
    float *text_parts;  /**< packed text attention: chunks of long sequences; text_packed.c */
    uint16_t *queries;  /**< packed attention of either tower: roped, scaled queries */
    float *query_scale; /**< INT8 KV cache: of each query row */
    int32_t *query_sum;
    uint16_t *key_panels, *value_panels; /**< packed vision attention: those of a picture */
    float *scratch;                      /**< [n_threads, scratch_floats] */
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

/** The rows of an activation from `row` on. */
static inline gi_act gi_cpu_rows_from(gi_act act, size_t row) {
    return (gi_act){.data = gi_cpu_row(act, row), .rows = act.rows - row, .cols = act.cols};
}

/** Source row `row` of a matrix: n_cols elements of its type. */
const void *gi_cpu_matrix_row(const gi_matrix *m, size_t row);

/** Floats of worker scratch that an operation needs. */
size_t gi_cpu_linear_scratch_floats(void);
size_t gi_cpu_packed_scratch_floats(const gi_device_cpu_options *options);
size_t gi_cpu_vision_packed_scratch_floats(const gi_device_cpu_options *options);
size_t gi_cpu_text_packed_scratch_floats(const gi_device_cpu_options *options);

/** Floats shared by all workers that packed text attention needs. */
size_t gi_cpu_text_parts_floats(const gi_device_cpu_options *options);

/** Make a matrix's panels from its parts. GLINT_ERR_MEMORY. */
glint_status gi_cpu_matrix_pack(gi_device_cpu *cpu, gi_matrix *m, const char *name,
                                glint_error *err);

/** The buffers of BF16 vision attention. GLINT_ERR_MEMORY. */
glint_status gi_cpu_vision_packed_create(gi_device_cpu *cpu, glint_error *err);

/** The packed halves of gi_cpu_linear, gi_cpu_attention and gi_cpu_vision_attention. */
void gi_cpu_linear_packed(gi_device_cpu *cpu, const gi_linear_args *args);
void gi_cpu_attention_packed(gi_device_cpu *cpu, const gi_attention_args *args);
void gi_cpu_vision_attention_packed(gi_device_cpu *cpu, const gi_vision_attention_args *args);

/** The span of a batch that row `row` belongs to. */
const gi_span *gi_cpu_span_of_row(const gi_attention_args *args, size_t row);

/** Turn interleaved pairs (2j, 2j + 1) of the first 2 * n_pairs values, as GLM's decoder does. */
void gi_cpu_rope_interleaved(float *x, const float *cos, const float *sin, size_t n_pairs);

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
