/*
 * Packed BF16 products by vdpbf16ps, and rounding to BF16 by vcvtneps2bf16. The tile is that of
 * gemm_avx512vnni.c.
 */
#include "kernels/x86/tiers.h"

#include <immintrin.h>
#include <string.h>

enum { VECS = GI_TILE_N / 16 };

static inline __attribute__((always_inline)) void tile_bf16(float *restrict acc, size_t ld_acc,
                                                            const uint16_t *x, size_t ld_x,
                                                            const uint16_t *panel, size_t n_units,
                                                            const int n_m) {
    __m512 sum[GI_TILE_M][VECS];
    GI_UNROLL
    for (int m = 0; m < n_m; m++) {
        GI_UNROLL
        for (int v = 0; v < VECS; v++) sum[m][v] = _mm512_setzero_ps();
    }
    for (size_t u = 0; u < n_units; u++) {
        const uint16_t *w = panel + u * (GI_UNIT_BYTES / 2);
        __m512bh wv[VECS];
        GI_UNROLL
        for (int v = 0; v < VECS; v++) {
            wv[v] = (__m512bh)_mm512_load_si512(w + 32 * v);
            __asm__("" : "+v"(wv[v])); /* else gcc 12 loads it again for every row */
        }
        GI_UNROLL
        for (int m = 0; m < n_m; m++) {
            int32_t two;
            memcpy(&two, x + (size_t)m * ld_x + 2 * u, sizeof two);
            const __m512bh xv = (__m512bh)_mm512_set1_epi32(two);
            GI_UNROLL
            for (int v = 0; v < VECS; v++) sum[m][v] = _mm512_dpbf16_ps(sum[m][v], wv[v], xv);
        }
    }
    GI_UNROLL
    for (int m = 0; m < n_m; m++) {
        GI_UNROLL
        for (int v = 0; v < VECS; v++)
            _mm512_storeu_ps(acc + (size_t)m * ld_acc + 16 * v, sum[m][v]);
    }
}

/* One row, with loads of 256 bits, as in gemm_avx512vnni.c. */
static void row_bf16(float *restrict acc, const uint16_t *x, const uint16_t *panel,
                     size_t n_units) {
    enum { HALVES = 2 * VECS };
    __m256 sum[HALVES];
    GI_UNROLL
    for (int v = 0; v < HALVES; v++) sum[v] = _mm256_setzero_ps();
    for (size_t u = 0; u < n_units; u++) {
        const __m256i *w = (const __m256i *)(const void *)(panel + u * (GI_UNIT_BYTES / 2));
        int32_t two;
        memcpy(&two, x + 2 * u, sizeof two);
        const __m256bh xv = (__m256bh)_mm256_set1_epi32(two);
        GI_UNROLL
        for (int v = 0; v < HALVES; v++) sum[v] = _mm256_dpbf16_ps(sum[v], (__m256bh)w[v], xv);
    }
    GI_UNROLL
    for (int v = 0; v < HALVES; v++) _mm256_storeu_ps(acc + 8 * v, sum[v]);
}

static GI_DECL_GEMM_BF16(gemm_bf16) {
    switch (n_m) {
    case 1:
        row_bf16(acc, x, panel, n_units);
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

static GI_DECL_NARROW_ROW(narrow_row) {
    const __m512 factor = _mm512_set1_ps(scale);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + i), factor);
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), (__m256i)_mm512_cvtneps_pbh(v));
    }
    if (i < n) {
        const __mmask16 tail = (__mmask16)((1u << (n - i)) - 1);
        const __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(tail, x + i), factor);
        _mm256_mask_storeu_epi16(dst + i, tail, (__m256i)_mm512_cvtneps_pbh(v));
    }
    if (n_padded > n) memset(dst + n, 0, (n_padded - n) * sizeof *dst);
}

/* e^x within 3e-6 relative, far below a step of BF16: 2^n 2^f with |f| <= 1/2, 2^f by the
 * polynomial of degree 4 whose relative error is smallest there. For x <= 0; far below 0, and NaN
 * stays NaN. */
static inline __m512 exp_for_bf16(__m512 x) {
    __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    t = _mm512_max_ps(_mm512_set1_ps(-160.0f), t); /* NaN is the second operand and comes out */
    const __m512 n = _mm512_roundscale_ps(t, 0x08);
    const __m512 f = _mm512_sub_ps(t, n);
    __m512 p = _mm512_set1_ps(9.57010191e-3f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.59178603e-2f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.40247448e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.93121815e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.99999261e-1f));
    return _mm512_scalef_ps(p, n);
}

/* The largest of n >= 1 floats in every lane; behind a NaN, any of them. */
static inline __m512 max_row(const float *s, size_t n) {
    enum { CHAINS = 4 };
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    __m512 max[CHAINS] = {lowest, lowest, lowest, lowest};
    size_t i = 0;
    for (; i + 16 * CHAINS <= n; i += 16 * CHAINS)
        for (size_t c = 0; c < CHAINS; c++)
            max[c] = _mm512_max_ps(max[c], _mm512_loadu_ps(s + i + 16 * c));
    for (; i < n; i += 16) {
        const __mmask16 mask = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xFFFF;
        max[0] = _mm512_max_ps(max[0], _mm512_mask_loadu_ps(lowest, mask, s + i));
    }
    max[0] = _mm512_max_ps(_mm512_max_ps(max[0], max[1]), _mm512_max_ps(max[2], max[3]));
    return _mm512_set1_ps(_mm512_reduce_max_ps(max[0]));
}

static GI_DECL_SOFTMAX_BF16(softmax_bf16) {
    const __m512 max = max_row(s, n);
    __m512 sum = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 e = exp_for_bf16(_mm512_sub_ps(_mm512_loadu_ps(s + i), max));
        sum = _mm512_add_ps(sum, e);
        _mm256_storeu_si256((__m256i *)(void *)(p + i), (__m256i)_mm512_cvtneps_pbh(e));
    }
    if (i < n) {
        const __mmask16 tail = (__mmask16)((1u << (n - i)) - 1);
        const __m512 x = _mm512_sub_ps(_mm512_maskz_loadu_ps(tail, s + i), max);
        const __m512 e = _mm512_maskz_mov_ps(tail, exp_for_bf16(x));
        sum = _mm512_add_ps(sum, e);
        _mm256_mask_storeu_epi16(p + i, tail, (__m256i)_mm512_cvtneps_pbh(e));
    }
    if (n_padded > n) memset(p + n, 0, (n_padded - n) * sizeof *p);
    return 1.0f / _mm512_reduce_add_ps(sum);
}

void gi_kernels_init_avx512bf16(gi_kernels *k) {
    k->tier = "avx512bf16";
    k->gemm_bf16 = gemm_bf16;
    k->narrow_row = narrow_row;
    k->softmax_bf16 = softmax_bf16;
}
