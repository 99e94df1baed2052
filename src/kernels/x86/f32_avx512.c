/*
 * F32 kernels for AVX-512: the reference path's products, and attention over the KV store.
 *
 * Sums over k run in the reference's order within a lane, so that rows do not depend on their
 * neighbours; only dot, which has a single output, splits its sum over lanes.
 */
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/tiers.h"

#include <immintrin.h>
#include <string.h>

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

static inline __attribute__((always_inline)) void panel_rows(float *restrict acc, const float *x,
                                                             size_t ld_x, const float *panel,
                                                             size_t n_k, const int n_m) {
    __m512 sum[8];
    for (int m = 0; m < n_m; m++) sum[m] = _mm512_loadu_ps(acc + m * GI_PANEL_N);
    for (size_t k = 0; k < n_k; k++) {
        const __m512 w = _mm512_loadu_ps(panel + k * GI_PANEL_N);
        for (int m = 0; m < n_m; m++)
            sum[m] = _mm512_fmadd_ps(_mm512_set1_ps(x[(size_t)m * ld_x + k]), w, sum[m]);
    }
    for (int m = 0; m < n_m; m++) _mm512_storeu_ps(acc + m * GI_PANEL_N, sum[m]);
}

static GI_DECL_GEMM_PANEL(gemm_panel) {
    size_t m = 0;
    for (; m + 8 <= n_m; m += 8)
        panel_rows(acc + m * GI_PANEL_N, x + m * ld_x, ld_x, panel, n_k, 8);
    for (; m < n_m; m++) panel_rows(acc + m * GI_PANEL_N, x + m * ld_x, ld_x, panel, n_k, 1);
}

/* ---- attention ------------------------------------------------------------------------------ */

enum { QUERIES = 4 };

static inline __attribute__((always_inline)) void
scores_rows(float *restrict s, size_t ld_s, const float *q, size_t ld_q, const float *kt,
            size_t ld_kt, size_t d, size_t n, float scale, const int n_q) {
    const __m512 factor = _mm512_set1_ps(scale);
    for (size_t j = 0; j < n; j += 16) {
        const __mmask16 mask = n - j < 16 ? tail_mask(n) : 0xFFFF;
        __m512 sum[QUERIES];
        for (int i = 0; i < n_q; i++) sum[i] = _mm512_setzero_ps();
        for (size_t k = 0; k < d; k++) {
            const __m512 key = _mm512_maskz_loadu_ps(mask, kt + k * ld_kt + j);
            for (int i = 0; i < n_q; i++)
                sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(q[(size_t)i * ld_q + k]), key, sum[i]);
        }
        for (int i = 0; i < n_q; i++)
            _mm512_mask_storeu_ps(s + (size_t)i * ld_s + j, mask, _mm512_mul_ps(sum[i], factor));
    }
}

static GI_DECL_ATTN_SCORES(attn_scores) {
    if (n_q == QUERIES) {
        scores_rows(s, ld_s, q, ld_q, kt, ld_kt, d, n, scale, QUERIES);
        return;
    }
    for (size_t i = 0; i < n_q; i++)
        scores_rows(s + i * ld_s, ld_s, q + i * ld_q, ld_q, kt, ld_kt, d, n, scale, 1);
}

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

static inline __attribute__((always_inline)) void mix_rows(float *restrict out, size_t ld_o,
                                                           const float *p, size_t ld_p,
                                                           const float *v, size_t ld_v, size_t n,
                                                           size_t d, const int n_q) {
    for (size_t k = 0; k < d; k += 16) {
        const __mmask16 mask = d - k < 16 ? tail_mask(d) : 0xFFFF;
        __m512 sum[QUERIES];
        for (int i = 0; i < n_q; i++)
            sum[i] = _mm512_maskz_loadu_ps(mask, out + (size_t)i * ld_o + k);
        for (size_t j = 0; j < n; j++) {
            const __m512 value = _mm512_maskz_loadu_ps(mask, v + j * ld_v + k);
            for (int i = 0; i < n_q; i++)
                sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(p[(size_t)i * ld_p + j]), value, sum[i]);
        }
        for (int i = 0; i < n_q; i++)
            _mm512_mask_storeu_ps(out + (size_t)i * ld_o + k, mask, sum[i]);
    }
}

static GI_DECL_ATTN_MIX(attn_mix) {
    if (n_q == QUERIES) {
        mix_rows(out, ld_o, p, ld_p, v, ld_v, n, d, QUERIES);
        return;
    }
    for (size_t i = 0; i < n_q; i++)
        mix_rows(out + i * ld_o, ld_o, p + i * ld_p, ld_p, v, ld_v, n, d, 1);
}

void gi_kernels_init_f32_avx512(gi_kernels *k) {
    k->widen = widen;
    k->dot = dot;
    k->gemm_panel = gemm_panel;
    k->attn_scores = attn_scores;
    k->softmax = softmax;
    k->attn_mix = attn_mix;
}
