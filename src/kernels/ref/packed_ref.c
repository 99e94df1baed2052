/*
 * Reference kernels over packed panels: INT8 and BF16 products and what surrounds them.
 */
#include "kernels/ref/ref.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

void gi_gemm_s8_ref(int32_t *restrict acc, const int8_t *x, size_t ld_x, size_t n_m,
                    const uint8_t *panel, size_t n_units) {
    for (size_t m = 0; m < n_m; m++) {
        int32_t sum[GI_TILE_N] = {0};
        for (size_t u = 0; u < n_units; u++) {
            const int8_t *xu = x + m * ld_x + 4 * u;
            const uint8_t *w = panel + u * GI_UNIT_BYTES;
            for (size_t j = 0; j < GI_TILE_N; j++)
                sum[j] += xu[0] * w[4 * j] + xu[1] * w[4 * j + 1] + xu[2] * w[4 * j + 2] +
                          xu[3] * w[4 * j + 3];
        }
        memcpy(acc + m * GI_TILE_N, sum, sizeof sum);
    }
}

void gi_gemm_bf16_ref(float *restrict acc, size_t ld_acc, const uint16_t *x, size_t ld_x,
                      size_t n_m, const uint16_t *panel, size_t n_units) {
    for (size_t m = 0; m < n_m; m++) {
        float sum[GI_TILE_N] = {0};
        for (size_t u = 0; u < n_units; u++) {
            const float x0 = gi_bf16_to_f32(x[m * ld_x + 2 * u]);
            const float x1 = gi_bf16_to_f32(x[m * ld_x + 2 * u + 1]);
            const uint16_t *w = panel + u * (GI_UNIT_BYTES / 2);
            for (size_t j = 0; j < GI_TILE_N; j++)
                sum[j] += x0 * gi_bf16_to_f32(w[2 * j]) + x1 * gi_bf16_to_f32(w[2 * j + 1]);
        }
        memcpy(acc + m * ld_acc, sum, sizeof sum);
    }
}

float gi_quantize_row_ref(int8_t *restrict q, int32_t *ret_sum, const float *x, size_t n,
                          size_t n_padded) {
    /* Magnitudes as bits are in the order of their values, and NaN is above infinity. */
    uint32_t max_bits = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = gi_f32_to_bits(x[i]) & 0x7FFFFFFFu;
        max_bits = bits > max_bits ? bits : max_bits;
    }
    const float max = gi_bits_to_f32(max_bits);
    const bool is_tiny = max < GI_QUANTIZE_MIN, is_finite = max <= FLT_MAX;
    const float to_q = is_finite && !is_tiny ? 127.0f / max : 0;
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        q[i] = is_finite ? (int8_t)lrintf(x[i] * to_q) : 0;
        sum += q[i];
    }
    for (size_t i = n; i < n_padded; i++) q[i] = 0;
    *ret_sum = sum;
    return is_tiny ? 0 : max / 127.0f;
}

void gi_narrow_row_ref(uint16_t *restrict dst, const float *x, float scale, size_t n,
                       size_t n_padded) {
    for (size_t i = 0; i < n; i++) dst[i] = gi_f32_to_bf16(x[i] * scale);
    for (size_t i = n; i < n_padded; i++) dst[i] = 0;
}

void gi_dequantize_ref(float *restrict y, const int32_t *acc, size_t n_m, const float *x_scale,
                       const int32_t *sum, const float *w_scale, const float *bias) {
    for (size_t m = 0; m < n_m; m++)
        for (size_t j = 0; j < GI_TILE_N; j++) {
            const int32_t a = acc[m * GI_TILE_N + j] - 128 * sum[m];
            y[m * GI_TILE_N + j] = (float)a * x_scale[m] * w_scale[j] + (bias ? bias[j] : 0);
        }
}

void gi_add_row_ref(float *restrict out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] += x[i];
}

float gi_softmax_bf16_ref(uint16_t *restrict p, float *s, size_t n, size_t n_padded) {
    float max = s[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = s[i] > max ? s[i] : max;
    for (size_t i = 0; i < n; i++) {
        const float e = expf(s[i] - max);
        p[i] = gi_f32_to_bf16(e);
        sum += e;
    }
    for (size_t i = n; i < n_padded; i++) p[i] = 0;
    return 1.0f / sum;
}
