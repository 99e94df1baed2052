/*
 * Packed BF16 products for AVX-512 without BF16: widened to F32, then FMA. Six rows by 64 outputs:
 * 24 accumulators. INT8 without VNNI stays with AVX2: wider registers would not save it an
 * instruction, and processors that have one but not the other are few.
 */
#include "kernels/x86/tiers.h"

#include <immintrin.h>

enum { VECS = GI_TILE_N / 16 };

/* Even and odd columns of a unit in turn: a BF16 pair widens to two floats by a shift and a mask.
 */
static inline __attribute__((always_inline)) void tile_bf16(float *restrict acc, size_t ld_acc,
                                                            const uint16_t *x, size_t ld_x,
                                                            const uint16_t *panel, size_t n_units,
                                                            const int n_m) {
    const __m512i high = _mm512_set1_epi32((int)0xFFFF0000u);
    __m512 sum[GI_TILE_M][VECS];
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < VECS; v++) sum[m][v] = _mm512_setzero_ps();
    for (size_t u = 0; u < n_units; u++) {
        const uint16_t *w = panel + u * (GI_UNIT_BYTES / 2);
        for (int v = 0; v < VECS; v++) {
            const __m512i pair = _mm512_load_si512(w + 32 * v);
            const __m512 w0 = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
            const __m512 w1 = _mm512_castsi512_ps(_mm512_and_si512(pair, high));
            for (int m = 0; m < n_m; m++) {
                const uint16_t *xu = x + (size_t)m * ld_x + 2 * u;
                const __m512 x0 = _mm512_set1_ps(gi_bf16_to_f32(xu[0]));
                const __m512 x1 = _mm512_set1_ps(gi_bf16_to_f32(xu[1]));
                sum[m][v] = _mm512_fmadd_ps(w0, x0, sum[m][v]);
                sum[m][v] = _mm512_fmadd_ps(w1, x1, sum[m][v]);
            }
        }
    }
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < VECS; v++)
            _mm512_storeu_ps(acc + (size_t)m * ld_acc + 16 * v, sum[m][v]);
}

static GI_DECL_GEMM_BF16(gemm_bf16) {
    switch (n_m) {
    case 1:
        tile_bf16(acc, ld_acc, x, ld_x, panel, n_units, 1);
        break;
    case 2:
        tile_bf16(acc, ld_acc, x, ld_x, panel, n_units, 2);
        break;
    case 3:
        tile_bf16(acc, ld_acc, x, ld_x, panel, n_units, 3);
        break;
    case 4:
        tile_bf16(acc, ld_acc, x, ld_x, panel, n_units, 4);
        break;
    case 5:
        tile_bf16(acc, ld_acc, x, ld_x, panel, n_units, 5);
        break;
    default:
        tile_bf16(acc, ld_acc, x, ld_x, panel, n_units, 6);
        break;
    }
}

void gi_kernels_init_gemm_avx512(gi_kernels *k) {
    k->gemm_bf16 = gemm_bf16;
}
