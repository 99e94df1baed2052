/*
 * Packed BF16 products for AVX-512 by F32: a pair widens to two floats by a shift and a mask, then
 * FMA. For processors without BF16 instructions, and for those where one of them takes as long as
 * four FMA (see gi_cpu_is_bf16_slow).
 *
 * Six rows by 64 outputs: 24 accumulators, and 4 vectors of weights, first of all even columns of
 * a unit, then of the odd ones. x is widened once per piece of UNITS units into an array on the
 * stack, of which every element is broadcast by a load: conversions compete with FMA for the ports
 * of an Intel core, loads do not. INT8 without VNNI stays with AVX2: wider registers would not save
 * it an instruction, and processors that have one but not the other are few.
 */
#include "kernels/x86/tiers.h"

#include <immintrin.h>
#include <stdbool.h>

enum { LANES = 16, VECS = GI_TILE_N / LANES, UNITS = 64 };

/* A piece of x as floats. */
typedef struct piece_f32 {
    float x[GI_TILE_M][2 * UNITS];
} piece_f32;

static void widen_piece(piece_f32 *p, const uint16_t *x, size_t ld_x, size_t n_m, size_t n) {
    for (size_t m = 0; m < n_m; m++)
        for (size_t i = 0; i < n; i += LANES) {
            const __mmask16 mask = n - i < LANES ? (__mmask16)((1u << (n - i)) - 1) : 0xFFFF;
            const __m256i h = _mm256_maskz_loadu_epi16(mask, x + m * ld_x + i);
            const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16);
            _mm512_storeu_ps(p->x[m] + i, _mm512_castsi512_ps(wide));
        }
}

/* Kept in a register: gcc 12 would make it again for every row. */
static inline __attribute__((always_inline)) __m512 keep(__m512i bits) {
    __asm__("" : "+v"(bits));
    return _mm512_castsi512_ps(bits);
}

static inline __attribute__((always_inline)) void tile_bf16(float *restrict acc, size_t ld_acc,
                                                            const piece_f32 *x,
                                                            const uint16_t *panel, size_t n_units,
                                                            bool is_first, const int n_m) {
    const __m512i high = _mm512_set1_epi32((int)0xFFFF0000u);
    __m512 sum[GI_TILE_M][VECS], w[VECS];
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < VECS; v++)
            sum[m][v] = is_first ? _mm512_setzero_ps()
                                 : _mm512_loadu_ps(acc + (size_t)m * ld_acc + LANES * v);
    for (size_t u = 0; u < n_units; u++) {
        const uint16_t *unit = panel + u * (GI_UNIT_BYTES / 2);
        for (int v = 0; v < VECS; v++)
            w[v] = keep(_mm512_slli_epi32(_mm512_load_si512(unit + 32 * v), 16));
        for (int m = 0; m < n_m; m++) {
            const __m512 xv = _mm512_set1_ps(x->x[m][2 * u]);
            for (int v = 0; v < VECS; v++) sum[m][v] = _mm512_fmadd_ps(w[v], xv, sum[m][v]);
        }
        __asm__("" : "+r"(unit)); /* load again: the registers are full */
        for (int v = 0; v < VECS; v++)
            w[v] = keep(_mm512_and_si512(_mm512_load_si512(unit + 32 * v), high));
        for (int m = 0; m < n_m; m++) {
            const __m512 xv = _mm512_set1_ps(x->x[m][2 * u + 1]);
            for (int v = 0; v < VECS; v++) sum[m][v] = _mm512_fmadd_ps(w[v], xv, sum[m][v]);
        }
    }
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < VECS; v++)
            _mm512_storeu_ps(acc + (size_t)m * ld_acc + LANES * v, sum[m][v]);
}

static GI_DECL_GEMM_BF16(gemm_bf16) {
    piece_f32 piece;
    for (size_t u = 0; u < n_units; u += UNITS) {
        const size_t n = n_units - u < UNITS ? n_units - u : UNITS;
        const uint16_t *w = panel + u * (GI_UNIT_BYTES / 2);
        widen_piece(&piece, x + 2 * u, ld_x, n_m, 2 * n);
        switch (n_m) {
        case 1:
            tile_bf16(acc, ld_acc, &piece, w, n, u == 0, 1);
            break;
        case 2:
            tile_bf16(acc, ld_acc, &piece, w, n, u == 0, 2);
            break;
        case 3:
            tile_bf16(acc, ld_acc, &piece, w, n, u == 0, 3);
            break;
        case 4:
            tile_bf16(acc, ld_acc, &piece, w, n, u == 0, 4);
            break;
        case 5:
            tile_bf16(acc, ld_acc, &piece, w, n, u == 0, 5);
            break;
        default:
            tile_bf16(acc, ld_acc, &piece, w, n, u == 0, 6);
            break;
        }
    }
}

void gi_kernels_init_gemm_avx512(gi_kernels *k) {
    k->gemm_bf16 = gemm_bf16;
}
