/*
 * Packed INT8 products for AVX-512 VNNI, by vpdpbusd.
 *
 * A tile is 6 rows by 64 outputs: 24 accumulators, 4 registers of weights, 1 broadcast of x. A
 * unit (4 bytes of depth) costs 4 weight loads and 6 broadcasts for 24 multiply-adds, so the
 * multipliers, not the loads, are the limit, also when the panel streams from L2.
 */
#include "kernels/x86/tiers.h"

#include <immintrin.h>
#include <string.h>

enum { VECS = GI_TILE_N / 16 };

/*
 * sum += the four products of each 32-bit lane of u8 w and s8 x. Written as an instruction because
 * GCC 12 keeps the intrinsic's accumulators in the lower 16 registers and spills the rest of a
 * tile in every step (measured: less than half the speed).
 */
static inline __attribute__((always_inline)) __m512i dot4(__m512i sum, __m512i w, __m512i x) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

static inline __attribute__((always_inline)) void tile_s8(int32_t *restrict acc, const int8_t *x,
                                                          size_t ld_x, const uint8_t *panel,
                                                          size_t n_units, const int n_m) {
    __m512i sum[GI_TILE_M][VECS];
    GI_UNROLL
    for (int m = 0; m < n_m; m++) {
        GI_UNROLL
        for (int v = 0; v < VECS; v++) sum[m][v] = _mm512_setzero_si512();
    }
    for (size_t u = 0; u < n_units; u++) {
        const uint8_t *w = panel + u * GI_UNIT_BYTES;
        __m512i wv[VECS];
        GI_UNROLL
        for (int v = 0; v < VECS; v++) {
            wv[v] = _mm512_load_si512(w + 64 * v);
            __asm__("" : "+v"(wv[v])); /* else gcc 12 loads it again for every row */
        }
        GI_UNROLL
        for (int m = 0; m < n_m; m++) {
            int32_t four;
            memcpy(&four, x + (size_t)m * ld_x + 4 * u, sizeof four);
            const __m512i xv = _mm512_set1_epi32(four);
            GI_UNROLL
            for (int v = 0; v < VECS; v++) sum[m][v] = dot4(sum[m][v], wv[v], xv);
        }
    }
    GI_UNROLL
    for (int m = 0; m < n_m; m++) {
        GI_UNROLL
        for (int v = 0; v < VECS; v++) _mm512_storeu_si512(acc + m * GI_TILE_N + 16 * v, sum[m][v]);
    }
}

/*
 * One row waits for memory alone, and from there loads of 256 bits brought 8 % more than those of
 * 512 (Zen 4); the multipliers have time for twice as many.
 */
static void row_s8(int32_t *restrict acc, const int8_t *x, const uint8_t *panel, size_t n_units) {
    enum { HALVES = 2 * VECS };
    __m256i sum[HALVES];
    GI_UNROLL
    for (int v = 0; v < HALVES; v++) sum[v] = _mm256_setzero_si256();
    for (size_t u = 0; u < n_units; u++) {
        const __m256i *w = (const __m256i *)(const void *)(panel + u * GI_UNIT_BYTES);
        int32_t four;
        memcpy(&four, x + 4 * u, sizeof four);
        const __m256i xv = _mm256_set1_epi32(four);
        GI_UNROLL
        for (int v = 0; v < HALVES; v++) sum[v] = _mm256_dpbusd_epi32(sum[v], w[v], xv);
    }
    GI_UNROLL
    for (int v = 0; v < HALVES; v++) _mm256_storeu_si256((__m256i *)(void *)acc + v, sum[v]);
}

static GI_DECL_GEMM_S8(gemm_s8) {
    switch (n_m) {
    case 1:
        row_s8(acc, x, panel, n_units);
        break;
    case 2:
        tile_s8(acc, x, ld_x, panel, n_units, 2);
        break;
    case 3:
        tile_s8(acc, x, ld_x, panel, n_units, 3);
        break;
    case 4:
        tile_s8(acc, x, ld_x, panel, n_units, 4);
        break;
    case 5:
        tile_s8(acc, x, ld_x, panel, n_units, 5);
        break;
    default:
        tile_s8(acc, x, ld_x, panel, n_units, 6);
        break;
    }
}

void gi_kernels_init_avx512vnni(gi_kernels *k) {
    k->tier = "avx512vnni";
    k->gemm_s8 = gemm_s8;
}
