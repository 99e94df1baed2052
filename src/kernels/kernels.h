/**
 * @file
 * Kernel signatures, declared once. Every tier (scalar reference, AVX2, AVX-512) implements them
 * and gi_kernels_get fills a table with the best the machine and the mask allow.
 *
 * Shapes are written [rows, columns], row-major; `ld` is the distance between rows in elements.
 * Kernels allocate nothing, keep no state and may run on any number of threads at once. They
 * never write outside the stated outputs and never read outside the stated inputs. NaN in, NaN
 * out, never a crash. Tests: tests/unit/kernels compares every tier with the reference.
 */
#ifndef GI_KERNELS_KERNELS_H
#define GI_KERNELS_KERNELS_H

#include "base/dtype.h"

#include <stddef.h>
#include <stdint.h>

/** Outputs (weight rows) per packed panel. */
#define GI_PANEL_N     16
/** Depth of a packed panel: longer products run in pieces of this many columns. */
#define GI_PANEL_K_MAX 1024

/**
 * dst[i] = (float)src[i], i < n. dst f32; src n elements of `type` (F32, BF16 or F16).
 */
#define GI_DECL_WIDEN(name) void name(float *restrict dst, const void *src, gi_dtype type, size_t n)

/**
 * Pack up to 16 weight rows for gemm_panel: panel[k][j] = (float)rows[j][k0 + k].
 *
 * panel   f32 [n_k, 16]; columns j >= n_rows are zero
 * rows    [n_rows] pointers to weight rows of `type`; n_rows 1..16
 * k0, n_k first column and columns to pack; n_k 1..GI_PANEL_K_MAX
 */
#define GI_DECL_PACK_PANEL(name)                                                                   \
    void name(float *restrict panel, const void *const *rows, size_t n_rows, gi_dtype type,        \
              size_t k0, size_t n_k)

/**
 * acc[m][j] += sum_k x[m][k] * panel[k][j].
 *
 * acc     f32 [n_m, 16]
 * x       f32 [n_m, n_k], row stride ld_x
 * panel   f32 [n_k, 16]
 */
#define GI_DECL_GEMM_PANEL(name)                                                                   \
    void name(float *restrict acc, const float *x, size_t ld_x, size_t n_m, const float *panel,    \
              size_t n_k)

/**
 * sum_k x[k] * (float)w[k]: one output of one row, reading the weight once.
 *
 * x f32 [n_k]; w n_k elements of `type` (F32, BF16 or F16)
 */
#define GI_DECL_DOT(name) float name(const float *x, const void *w, gi_dtype type, size_t n_k)

/**
 * RMSNorm of one row: out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i].
 * Source: Zhang & Sennrich 2019, eq. 4; transformers Glm4vRMSNorm. out may be x. n >= 1.
 */
#define GI_DECL_RMSNORM(name)                                                                      \
    void name(float *out, const float *x, const float *weight, size_t n, float eps)

/**
 * SwiGLU: out[i] = up[i] * gate[i] / (1 + exp(-gate[i])). out may be gate or up.
 */
#define GI_DECL_SWIGLU(name) void name(float *out, const float *gate, const float *up, size_t n)

/**
 * Scores of up to 4 queries against n keys: s[i][j] = scale * sum_d q[i][d] * kt[d][j].
 *
 * s       f32 [n_q, n], row stride ld_s
 * q       f32 [n_q, d], row stride ld_q; n_q 1..4
 * kt      f32 [d, n] transposed keys, row stride ld_kt
 */
#define GI_DECL_ATTN_SCORES(name)                                                                  \
    void name(float *restrict s, size_t ld_s, const float *q, size_t ld_q, size_t n_q,             \
              const float *kt, size_t ld_kt, size_t d, size_t n, float scale)

/** Softmax in place over n >= 1 values; returns nothing. Subtracts the maximum first. */
#define GI_DECL_SOFTMAX(name) void name(float *s, size_t n)

/**
 * out[i][d] += sum_j p[i][j] * v[j][d], i < n_q <= 4.
 *
 * out f32 [n_q, d] stride ld_o; p f32 [n_q, n] stride ld_p; v f32 [n, d] stride ld_v
 */
#define GI_DECL_ATTN_MIX(name)                                                                     \
    void name(float *restrict out, size_t ld_o, const float *p, size_t ld_p, size_t n_q,           \
              const float *v, size_t ld_v, size_t n, size_t d)

typedef GI_DECL_WIDEN((*gi_widen_fn));
typedef GI_DECL_PACK_PANEL((*gi_pack_panel_fn));
typedef GI_DECL_GEMM_PANEL((*gi_gemm_panel_fn));
typedef GI_DECL_DOT((*gi_dot_fn));
typedef GI_DECL_RMSNORM((*gi_rmsnorm_fn));
typedef GI_DECL_SWIGLU((*gi_swiglu_fn));
typedef GI_DECL_ATTN_SCORES((*gi_attn_scores_fn));
typedef GI_DECL_SOFTMAX((*gi_softmax_fn));
typedef GI_DECL_ATTN_MIX((*gi_attn_mix_fn));

/** One implementation of everything above. */
typedef struct gi_kernels {
    const char *tier; /**< "ref", "avx2", "avx512" */
    gi_widen_fn widen;
    gi_pack_panel_fn pack_panel;
    gi_gemm_panel_fn gemm_panel;
    gi_dot_fn dot;
    gi_rmsnorm_fn rmsnorm;
    gi_swiglu_fn swiglu;
    gi_attn_scores_fn attn_scores;
    gi_softmax_fn softmax;
    gi_attn_mix_fn attn_mix;
} gi_kernels;

/** The scalar reference: always there, on any x86-64. */
void gi_kernels_init_ref(gi_kernels *k);

/**
 * The best table allowed.
 *
 * @param tier_max "ref" or the name of a better tier; NULL = anything.
 * @return 0, or -1 when the name is unknown (ret untouched).
 */
int gi_kernels_get(const char *tier_max, gi_kernels *ret);

#endif
