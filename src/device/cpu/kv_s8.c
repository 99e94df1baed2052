/*
 * KV blocks as INT8 panels, one scale per token and head for keys and one for values.
 *
 *     score = (q8 . k8) q_scale k_scale             the products of a linear operation
 *     mix   = sum_j (p_j v_scale_j) v8_j            the scales of values go into the weights,
 *                                                   which are then INT8 with a scale per block
 */
#include "device/cpu/device_cpu.h"

#include <string.h>

enum { BLOCK = GI_CPU_PACKED_BLOCK, KEY_SCALES = 0, VALUE_SCALES = BLOCK };

static uint8_t *keys_at(gi_cpu_kv_head at) {
    return (uint8_t *)at.kv->keys +
           gi_cpu_kv_offset(at.kv, at.layer, at.block, at.kv_head, at.kv->key_head);
}

static uint8_t *values_at(gi_cpu_kv_head at) {
    return (uint8_t *)at.kv->values +
           gi_cpu_kv_offset(at.kv, at.layer, at.block, at.kv_head, at.kv->value_head);
}

static float *scales_at(gi_cpu_kv_head at) {
    return at.kv->scales + gi_cpu_kv_offset(at.kv, at.layer, at.block, at.kv_head, 2 * BLOCK);
}

/* Slots not yet written hold whole numbers times a scale of 0. */
static void clear(gi_cpu_kv_head at) {
    memset(scales_at(at), 0, 2 * BLOCK * sizeof(float));
}

static void store(gi_device_cpu *cpu, gi_cpu_kv_head at, size_t slot, const float *k,
                  const float *v, float *scratch) {
    const size_t d = at.kv->shape.head_dim;
    int8_t *narrow = (int8_t *)scratch;
    uint8_t *keys = keys_at(at), *values = values_at(at);
    float *scales = scales_at(at);
    int32_t sum;
    scales[KEY_SCALES + slot] = cpu->kernels.quantize_row(narrow, &sum, k, d, d);
    for (size_t c = 0; c < d; c++)
        keys[(c / 4 * BLOCK + slot) * 4 + c % 4] = (uint8_t)(narrow[c] + 128);
    scales[VALUE_SCALES + slot] = cpu->kernels.quantize_row(narrow, &sum, v, d, d);
    for (size_t c = 0; c < d; c++)
        values[((c / GI_TILE_N * (BLOCK / 4) + slot / 4) * GI_TILE_N + c % GI_TILE_N) * 4 +
               slot % 4] = (uint8_t)(narrow[c] + 128);
}

static void store_query(gi_device_cpu *cpu, size_t row, const float *q, float scale,
                        size_t head_dim) {
    int8_t *queries = (int8_t *)cpu->queries + row * head_dim;
    cpu->query_scale[row] =
        scale * cpu->kernels.quantize_row(queries, &cpu->query_sum[row], q, head_dim, head_dim);
}

static void scores(gi_device_cpu *cpu, gi_cpu_kv_head at, size_t row, size_t n_m, float *ret,
                   size_t ld, float *scratch) {
    const size_t d = at.kv->shape.head_dim;
    int32_t *sums = (int32_t *)(void *)scratch;
    float *tile = scratch + GI_TILE_M * GI_TILE_N;
    cpu->kernels.gemm_s8(sums, (const int8_t *)cpu->queries + row * d, d, n_m, keys_at(at), d / 4);
    cpu->kernels.dequantize(tile, sums, n_m, cpu->query_scale + row, cpu->query_sum + row,
                            scales_at(at) + KEY_SCALES, NULL);
    for (size_t m = 0; m < n_m; m++)
        memcpy(ret + m * ld, tile + m * GI_TILE_N, GI_TILE_N * sizeof *ret);
}

static void mix(gi_device_cpu *cpu, gi_cpu_kv_head at, size_t c0, const uint16_t *weights,
                size_t ld, size_t n_m, float *ret, float *scratch) {
    static const float ones[GI_TILE_N] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                          1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                          1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                          1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const float *v_scale = scales_at(at) + VALUE_SCALES;
    int32_t *sums = (int32_t *)(void *)scratch, weight_sum[GI_TILE_M];
    float *row = scratch + GI_TILE_M * GI_TILE_N, weight_scale[GI_TILE_M];
    int8_t *narrow = (int8_t *)(row + GI_TILE_N);
    for (size_t m = 0; m < n_m; m++) {
        for (size_t j = 0; j < BLOCK; j++)
            row[j] = gi_bf16_to_f32(weights[m * ld + j]) * v_scale[j];
        weight_scale[m] =
            cpu->kernels.quantize_row(narrow + m * BLOCK, &weight_sum[m], row, BLOCK, BLOCK);
    }
    cpu->kernels.gemm_s8(sums, narrow, BLOCK, n_m, values_at(at) + c0 * BLOCK, BLOCK / 4);
    cpu->kernels.dequantize(ret, sums, n_m, weight_scale, weight_sum, ones, NULL);
}

const gi_cpu_kv_format gi_cpu_kv_s8 = {
    .clear = clear, .store = store, .store_query = store_query, .scores = scores, .mix = mix};
