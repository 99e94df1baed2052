/*
 * KV blocks as BF16 panels.
 */
#include "device/cpu/device_cpu.h"

#include <string.h>

enum { BLOCK = GI_CPU_PACKED_BLOCK };

static uint16_t *keys_at(gi_cpu_kv_head at) {
    return (uint16_t *)at.kv->keys +
           gi_cpu_kv_offset(at.kv, at.layer, at.block, at.kv_head, at.kv->key_head);
}

static uint16_t *values_at(gi_cpu_kv_head at) {
    return (uint16_t *)at.kv->values +
           gi_cpu_kv_offset(at.kv, at.layer, at.block, at.kv_head, at.kv->value_head);
}

/* Values of slots not yet written get weight 0, but 0 times an infinity is not 0. */
static void clear(gi_cpu_kv_head at) {
    memset(values_at(at), 0, at.kv->value_head * sizeof(uint16_t));
}

static void store(gi_device_cpu *cpu, gi_cpu_kv_head at, size_t slot, const float *k,
                  const float *v, float *scratch) {
    const size_t d = at.kv->shape.head_dim;
    uint16_t *narrow = (uint16_t *)(void *)scratch, *keys = keys_at(at), *values = values_at(at);
    cpu->kernels.narrow_row(narrow, k, 1.0f, d, d);
    for (size_t u = 0; u < d / 2; u++) memcpy(keys + (u * BLOCK + slot) * 2, narrow + 2 * u, 4);
    cpu->kernels.narrow_row(narrow, v, 1.0f, d, d);
    for (size_t c = 0; c < d; c++)
        values[((c / GI_TILE_N * (BLOCK / 2) + slot / 2) * GI_TILE_N + c % GI_TILE_N) * 2 +
               slot % 2] = narrow[c];
}

static void store_query(gi_device_cpu *cpu, size_t row, const float *q, float scale,
                        size_t head_dim) {
    cpu->kernels.narrow_row(cpu->queries + row * head_dim, q, scale, head_dim, head_dim);
}

static void scores(gi_device_cpu *cpu, gi_cpu_kv_head at, size_t row, size_t n_m, float *ret,
                   size_t ld, float *scratch) {
    (void)scratch;
    const size_t d = at.kv->shape.head_dim;
    cpu->kernels.gemm_bf16(ret, ld, cpu->queries + row * d, d, n_m, keys_at(at), d / 2);
}

static void mix(gi_device_cpu *cpu, gi_cpu_kv_head at, size_t c0, const uint16_t *weights,
                size_t ld, size_t n_m, float *ret, float *scratch) {
    (void)scratch;
    cpu->kernels.gemm_bf16(ret, GI_TILE_N, weights, ld, n_m, values_at(at) + c0 * BLOCK, BLOCK / 2);
}

const gi_cpu_kv_format gi_cpu_kv_bf16 = {
    .clear = clear, .store = store, .store_query = store_query, .scores = scores, .mix = mix};
