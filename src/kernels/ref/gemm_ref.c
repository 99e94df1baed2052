/*
 * Reference matrix products: plain C that a compiler vectorises for the baseline (SSE2).
 *
 * gemm_panel sums every output over k in order, however many rows are computed together; dot, for
 * few rows, sums in lanes, because it reads each weight once and has no other rows to hide behind.
 */
#include "kernels/ref/ref.h"

#include <string.h>

void gi_widen_ref(float *restrict dst, const void *src, gi_dtype type, size_t n) {
    if (type == GI_DTYPE_F32) {
        memcpy(dst, src, n * sizeof *dst);
    } else if (type == GI_DTYPE_BF16) {
        const uint16_t *s = src;
        for (size_t i = 0; i < n; i++) dst[i] = gi_bf16_to_f32(s[i]);
    } else {
        const uint16_t *s = src;
        for (size_t i = 0; i < n; i++) dst[i] = gi_f16_to_f32(s[i]);
    }
}

void gi_pack_panel_ref(float *restrict panel, const void *const *rows, size_t n_rows, gi_dtype type,
                       size_t k0, size_t n_k) {
    enum { STRIP = 64 };
    float strip[STRIP];
    if (n_rows < GI_PANEL_N) memset(panel, 0, n_k * GI_PANEL_N * sizeof *panel);
    for (size_t j = 0; j < n_rows; j++) {
        const unsigned char *row = (const unsigned char *)rows[j] + k0 * gi_dtype_bytes(type);
        for (size_t k = 0; k < n_k; k += STRIP) {
            const size_t n = n_k - k < STRIP ? n_k - k : STRIP;
            gi_widen_ref(strip, row + k * gi_dtype_bytes(type), type, n);
            for (size_t i = 0; i < n; i++) panel[(k + i) * GI_PANEL_N + j] = strip[i];
        }
    }
}

/* Eight outputs of up to four rows: eight SSE registers of sums, which is what the baseline has
 * room for beside the operands. */
enum { TILE_M = 4, TILE_N = 8 };

static void tile_4x8(float *restrict acc, const float *x, size_t ld_x, const float *panel,
                     size_t n_k) {
    float sum[TILE_M][TILE_N];
    for (size_t m = 0; m < TILE_M; m++)
        for (size_t j = 0; j < TILE_N; j++) sum[m][j] = acc[m * GI_PANEL_N + j];
    for (size_t k = 0; k < n_k; k++)
        for (size_t m = 0; m < TILE_M; m++) {
            const float xv = x[m * ld_x + k];
            for (size_t j = 0; j < TILE_N; j++) sum[m][j] += xv * panel[k * GI_PANEL_N + j];
        }
    for (size_t m = 0; m < TILE_M; m++)
        for (size_t j = 0; j < TILE_N; j++) acc[m * GI_PANEL_N + j] = sum[m][j];
}

static void tile_1x16(float *restrict acc, const float *x, const float *panel, size_t n_k) {
    float sum[GI_PANEL_N];
    for (size_t j = 0; j < GI_PANEL_N; j++) sum[j] = acc[j];
    for (size_t k = 0; k < n_k; k++)
        for (size_t j = 0; j < GI_PANEL_N; j++) sum[j] += x[k] * panel[k * GI_PANEL_N + j];
    for (size_t j = 0; j < GI_PANEL_N; j++) acc[j] = sum[j];
}

void gi_gemm_panel_ref(float *restrict acc, const float *x, size_t ld_x, size_t n_m,
                       const float *panel, size_t n_k) {
    size_t m = 0;
    for (; m + TILE_M <= n_m; m += TILE_M)
        for (size_t j = 0; j < GI_PANEL_N; j += TILE_N)
            tile_4x8(acc + m * GI_PANEL_N + j, x + m * ld_x, ld_x, panel + j, n_k);
    for (; m < n_m; m++) tile_1x16(acc + m * GI_PANEL_N, x + m * ld_x, panel, n_k);
}

float gi_dot_ref(const float *x, const void *w, gi_dtype type, size_t n_k) {
    enum { LANES = 16, STRIP = 256 };
    float strip[STRIP], lane[LANES] = {0};
    const unsigned char *bytes = w;
    for (size_t k = 0; k < n_k; k += STRIP) {
        const size_t n = n_k - k < STRIP ? n_k - k : STRIP;
        gi_widen_ref(strip, bytes + k * gi_dtype_bytes(type), type, n);
        size_t i = 0;
        for (; i + LANES <= n; i += LANES)
            for (size_t l = 0; l < LANES; l++) lane[l] += x[k + i + l] * strip[i + l];
        for (; i < n; i++) lane[0] += x[k + i] * strip[i];
    }
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}
