/*
 * F32 kernels for AVX-512: the unpacked products, and attention over the KV store.
 *
 * Three of them are one product, c[m][j] = sum_k a[m][k] b[k][j], with other names. Each output is
 * summed over k in order, so that rows do not depend on their neighbours; only dot, which has a
 * single output, splits its sum over lanes.
 */
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/tiers.h"

#include <immintrin.h>
#include <stdbool.h>

enum { LANES = 16, ROWS_MAX = 8, VECS_MAX = 8 };

static inline __mmask16 tail_mask(size_t n) {
    return (__mmask16)((1u << n % 16) - 1);
}

/* 16 elements of any type as floats. */
static inline __m512 load_wide(const void *src, gi_dtype type, size_t i, __mmask16 mask) {
    if (type == GI_DTYPE_F32) return _mm512_maskz_loadu_ps(mask, (const float *)src + i);
    const __m256i h = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)src + i);
    if (type == GI_DTYPE_F16) return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

static GI_DECL_WIDEN(widen) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(dst + i, load_wide(src, type, i, 0xFFFF));
    if (i < n) _mm512_mask_storeu_ps(dst + i, tail_mask(n), load_wide(src, type, i, tail_mask(n)));
}

static GI_DECL_DOT(dot) {
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    size_t k = 0;
    for (; k + 64 <= n_k; k += 64)
        for (size_t v = 0; v < 4; v++)
            sum[v] = _mm512_fmadd_ps(_mm512_loadu_ps(x + k + 16 * v),
                                     load_wide(w, type, k + 16 * v, 0xFFFF), sum[v]);
    for (; k < n_k; k += 16) {
        const __mmask16 mask = n_k - k < 16 ? tail_mask(n_k) : 0xFFFF;
        sum[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + k), load_wide(w, type, k, mask),
                                 sum[0]);
    }
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

/* ---- products of rows ----------------------------------------------------------------------- */

/* c[m][j] = scale * sum_k a[m][k] b[k][j], or += without the factor. */
typedef struct product {
    float *c;
    const float *a, *b;
    size_t ld_c, ld_a, ld_b, n_k, n_j;
    float scale;
} product;

/* n_m rows by n_v vectors of columns from j on, of each vector the lanes of `mask`. */
static inline __attribute__((always_inline)) void tile(const product *p, size_t j, const int n_m,
                                                       const int n_v, const bool is_added,
                                                       __mmask16 mask) {
    __m512 sum[ROWS_MAX][VECS_MAX];
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < n_v; v++) {
            const float *c = p->c + (size_t)m * p->ld_c + j + LANES * v;
            sum[m][v] = is_added ? _mm512_maskz_loadu_ps(mask, c) : _mm512_setzero_ps();
        }
    const float *b = p->b + j;
    for (size_t k = 0; k < p->n_k; k++, b += p->ld_b) {
        __m512 bv[VECS_MAX];
        for (int v = 0; v < n_v; v++) bv[v] = _mm512_maskz_loadu_ps(mask, b + LANES * v);
        for (int m = 0; m < n_m; m++) {
            const __m512 av = _mm512_set1_ps(p->a[(size_t)m * p->ld_a + k]);
            for (int v = 0; v < n_v; v++) sum[m][v] = _mm512_fmadd_ps(av, bv[v], sum[m][v]);
        }
    }
    const __m512 factor = _mm512_set1_ps(p->scale);
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < n_v; v++)
            _mm512_mask_storeu_ps(p->c + (size_t)m * p->ld_c + j + LANES * v, mask,
                                  is_added ? sum[m][v] : _mm512_mul_ps(sum[m][v], factor));
}

/* All columns of n_m rows: n_v vectors at a time, which keep the multipliers busy, then one. */
static inline __attribute__((always_inline)) void rows(const product *p, const int n_m,
                                                       const int n_v, const bool is_added) {
    size_t j = 0;
    for (; j + LANES * (size_t)n_v <= p->n_j; j += LANES * (size_t)n_v)
        tile(p, j, n_m, n_v, is_added, 0xFFFF);
    for (; j + LANES <= p->n_j; j += LANES) tile(p, j, n_m, 1, is_added, 0xFFFF);
    if (j < p->n_j) tile(p, j, n_m, 1, is_added, tail_mask(p->n_j));
}

static inline __attribute__((always_inline)) void queries(const product *p, size_t n_q,
                                                          const bool is_added) {
    switch (n_q) {
    case 1:
        rows(p, 1, 8, is_added);
        break;
    case 2:
        rows(p, 2, 4, is_added);
        break;
    case 3:
        rows(p, 3, 4, is_added);
        break;
    default:
        rows(p, 4, 4, is_added);
        break;
    }
}

static GI_DECL_ATTN_SCORES(attn_scores) {
    const product p = {.c = s,
                       .ld_c = ld_s,
                       .a = q,
                       .ld_a = ld_q,
                       .b = kt,
                       .ld_b = ld_kt,
                       .n_k = d,
                       .n_j = n,
                       .scale = scale};
    queries(&p, n_q, false);
}

static GI_DECL_ATTN_MIX(attn_mix) {
    const product pv = {
        .c = out, .ld_c = ld_o, .a = p, .ld_a = ld_p, .b = v, .ld_b = ld_v, .n_k = n, .n_j = d};
    queries(&pv, n_q, true);
}

static GI_DECL_GEMM_PANEL(gemm_panel) {
    product p = {.c = acc,
                 .ld_c = GI_PANEL_N,
                 .a = x,
                 .ld_a = ld_x,
                 .b = panel,
                 .ld_b = GI_PANEL_N,
                 .n_k = n_k,
                 .n_j = GI_PANEL_N};
    for (; n_m >= ROWS_MAX; n_m -= ROWS_MAX) {
        rows(&p, ROWS_MAX, 1, true);
        p.c += ROWS_MAX * GI_PANEL_N;
        p.a += ROWS_MAX * ld_x;
    }
    switch (n_m) {
    case 1:
        rows(&p, 1, 1, true);
        break;
    case 2:
        rows(&p, 2, 1, true);
        break;
    case 3:
        rows(&p, 3, 1, true);
        break;
    case 4:
        rows(&p, 4, 1, true);
        break;
    case 5:
        rows(&p, 5, 1, true);
        break;
    case 6:
        rows(&p, 6, 1, true);
        break;
    case 7:
        rows(&p, 7, 1, true);
        break;
    default:
        break;
    }
}

/* ---- softmax -------------------------------------------------------------------------------- */

static GI_DECL_SOFTMAX(softmax) {
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    const __mmask16 tail = tail_mask(n);
    __m512 max_v = lowest, sum_v = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) max_v = _mm512_max_ps(max_v, _mm512_loadu_ps(s + i));
    if (tail) max_v = _mm512_max_ps(max_v, _mm512_mask_loadu_ps(lowest, tail, s + i));
    max_v = _mm512_set1_ps(_mm512_reduce_max_ps(max_v));
    for (i = 0; i < n; i += 16) {
        const __mmask16 mask = n - i < 16 ? tail : 0xFFFF;
        const __m512 x = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, s + i), max_v);
        const __m512 e = _mm512_maskz_mov_ps(mask, exp_avx512(x));
        sum_v = _mm512_add_ps(sum_v, e);
        _mm512_mask_storeu_ps(s + i, mask, e);
    }
    const __m512 r = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(sum_v));
    for (i = 0; i < n; i += 16) {
        const __mmask16 mask = n - i < 16 ? tail : 0xFFFF;
        _mm512_mask_storeu_ps(s + i, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, s + i), r));
    }
}

void gi_kernels_init_f32_avx512(gi_kernels *k) {
    k->widen = widen;
    k->dot = dot;
    k->gemm_panel = gemm_panel;
    k->attn_scores = attn_scores;
    k->softmax = softmax;
    k->attn_mix = attn_mix;
}
