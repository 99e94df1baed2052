/*
 * F32 kernels for AVX2: the unpacked products, and attention over the KV store.
 *
 * Three of them are one product, c[m][j] = sum_k a[m][k] b[k][j], with other names. Each output is
 * summed over k in order, so that rows do not depend on their neighbours; only dot, which has a
 * single output, splits its sum over lanes.
 */
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/tiers.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

enum { LANES = 8, ROWS_MAX = 6, VECS_MAX = 8 };

/* ---- conversion and single products --------------------------------------------------------- */

/* 8 elements of any type as floats. */
static inline __m256 load_wide(const void *src, gi_dtype type, size_t i) {
    if (type == GI_DTYPE_F32) return _mm256_loadu_ps((const float *)src + i);
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)src + i));
    if (type == GI_DTYPE_F16) return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* The last n < 8 elements, zeros behind them. */
static inline __m256 load_wide_tail(const void *src, gi_dtype type, size_t i, size_t n) {
    if (type == GI_DTYPE_F32) return _mm256_maskload_ps((const float *)src + i, tail_mask_avx2(n));
    uint16_t tail[LANES] = {0};
    memcpy(tail, (const uint16_t *)src + i, n * sizeof *tail);
    return load_wide(tail, type, 0);
}

static GI_DECL_WIDEN(widen) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) _mm256_storeu_ps(dst + i, load_wide(src, type, i));
    if (i < n) _mm256_maskstore_ps(dst + i, tail_mask_avx2(n), load_wide_tail(src, type, i, n - i));
}

static GI_DECL_DOT(dot) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    size_t k = 0;
    for (; k + 4 * LANES <= n_k; k += 4 * LANES)
        for (size_t v = 0; v < 4; v++)
            sum[v] = _mm256_fmadd_ps(_mm256_loadu_ps(x + k + LANES * v),
                                     load_wide(w, type, k + LANES * v), sum[v]);
    for (; k + LANES <= n_k; k += LANES)
        sum[0] = _mm256_fmadd_ps(_mm256_loadu_ps(x + k), load_wide(w, type, k), sum[0]);
    if (k < n_k)
        sum[1] = _mm256_fmadd_ps(_mm256_maskload_ps(x + k, tail_mask_avx2(n_k)),
                                 load_wide_tail(w, type, k, n_k - k), sum[1]);
    return sum_avx2(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

/* Eight rows of eight to eight columns of eight. */
static inline void transpose(__m256 r[LANES]) {
    __m256 t[LANES], u[LANES];
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int h = 0; h < 2; h++) {
            u[i + 2 * h] = _mm256_shuffle_ps(t[i + h], t[i + h + 2], 0x44);
            u[i + 2 * h + 1] = _mm256_shuffle_ps(t[i + h], t[i + h + 2], 0xEE);
        }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

static GI_DECL_PACK_PANEL(pack_panel) {
    for (size_t j0 = 0; j0 < GI_PANEL_N; j0 += LANES)
        for (size_t k = 0; k < n_k; k += LANES) {
            const size_t n = n_k - k < LANES ? n_k - k : LANES;
            __m256 r[LANES];
            for (size_t j = 0; j < LANES; j++)
                r[j] = j0 + j >= n_rows ? _mm256_setzero_ps()
                       : n < LANES      ? load_wide_tail(rows[j0 + j], type, k0 + k, n)
                                        : load_wide(rows[j0 + j], type, k0 + k);
            transpose(r);
            for (size_t i = 0; i < n; i++)
                _mm256_storeu_ps(panel + (k + i) * GI_PANEL_N + j0, r[i]);
        }
}

/* ---- products of rows ----------------------------------------------------------------------- */

/* c[m][j] = scale * sum_k a[m][k] b[k][j], or += without the factor. */
typedef struct product {
    float *c;
    const float *a, *b;
    size_t ld_c, ld_a, ld_b, n_k, n_j;
    float scale;
} product;

/* n_m rows by n_v vectors of columns from j on; of a single vector only the lanes of `mask`. */
static inline __attribute__((always_inline)) void tile(const product *p, size_t j, const int n_m,
                                                       const int n_v, const bool is_added,
                                                       const bool is_masked, __m256i mask) {
    __m256 sum[ROWS_MAX][VECS_MAX];
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < n_v; v++) {
            const float *c = p->c + (size_t)m * p->ld_c + j + LANES * v;
            sum[m][v] = !is_added   ? _mm256_setzero_ps()
                        : is_masked ? _mm256_maskload_ps(c, mask)
                                    : _mm256_loadu_ps(c);
        }
    const float *b = p->b + j;
    for (size_t k = 0; k < p->n_k; k++, b += p->ld_b) {
        __m256 bv[VECS_MAX];
        for (int v = 0; v < n_v; v++)
            bv[v] = is_masked ? _mm256_maskload_ps(b, mask) : _mm256_loadu_ps(b + LANES * v);
        for (int m = 0; m < n_m; m++) {
            const __m256 av = _mm256_set1_ps(p->a[(size_t)m * p->ld_a + k]);
            for (int v = 0; v < n_v; v++) sum[m][v] = _mm256_fmadd_ps(av, bv[v], sum[m][v]);
        }
    }
    const __m256 factor = _mm256_set1_ps(p->scale);
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < n_v; v++) {
            float *c = p->c + (size_t)m * p->ld_c + j + LANES * v;
            const __m256 out = is_added ? sum[m][v] : _mm256_mul_ps(sum[m][v], factor);
            if (is_masked)
                _mm256_maskstore_ps(c, mask, out);
            else
                _mm256_storeu_ps(c, out);
        }
}

/* All columns of n_m rows: n_v vectors at a time, which keep the multipliers busy, then one. */
static inline __attribute__((always_inline)) void rows(const product *p, const int n_m,
                                                       const int n_v, const bool is_added) {
    const __m256i none = _mm256_setzero_si256();
    size_t j = 0;
    for (; j + LANES * (size_t)n_v <= p->n_j; j += LANES * (size_t)n_v)
        tile(p, j, n_m, n_v, is_added, false, none);
    for (; j + LANES <= p->n_j; j += LANES) tile(p, j, n_m, 1, is_added, false, none);
    if (j < p->n_j) tile(p, j, n_m, 1, is_added, true, tail_mask_avx2(p->n_j));
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
        rows(p, 4, 2, is_added);
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
        rows(&p, ROWS_MAX, 2, true);
        p.c += ROWS_MAX * GI_PANEL_N;
        p.a += ROWS_MAX * ld_x;
    }
    switch (n_m) {
    case 1:
        rows(&p, 1, 2, true);
        break;
    case 2:
        rows(&p, 2, 2, true);
        break;
    case 3:
        rows(&p, 3, 2, true);
        break;
    case 4:
        rows(&p, 4, 2, true);
        break;
    case 5:
        rows(&p, 5, 2, true);
        break;
    default:
        break;
    }
}

/* ---- softmax -------------------------------------------------------------------------------- */

static GI_DECL_SOFTMAX(softmax) {
    const __m256 max = _mm256_set1_ps(max_row_avx2(s, n));
    const __m256i tail = tail_mask_avx2(n);
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const __m256 e = exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(s + i), max));
        sum = _mm256_add_ps(sum, e);
        _mm256_storeu_ps(s + i, e);
    }
    if (i < n) {
        __m256 e = exp_avx2(_mm256_sub_ps(_mm256_maskload_ps(s + i, tail), max));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(tail));
        sum = _mm256_add_ps(sum, e);
        _mm256_maskstore_ps(s + i, tail, e);
    }
    const __m256 r = _mm256_set1_ps(1.0f / sum_avx2(sum));
    for (i = 0; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(s + i, _mm256_mul_ps(_mm256_loadu_ps(s + i), r));
    if (i < n) _mm256_maskstore_ps(s + i, tail, _mm256_mul_ps(_mm256_maskload_ps(s + i, tail), r));
}

void gi_kernels_init_f32_avx2(gi_kernels *k) {
    k->widen = widen;
    k->dot = dot;
    k->pack_panel = pack_panel;
    k->gemm_panel = gemm_panel;
    k->attn_scores = attn_scores;
    k->attn_mix = attn_mix;
    k->softmax = softmax;
}
