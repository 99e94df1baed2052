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

/* ---- packed products: INT8 and BF16 --------------------------------------------------------- */

/**
 * A packed panel holds 64 weight rows, interleaved so that one 512-bit load is 16 outputs times 4
 * bytes of depth. The layout is the same for every tier, and for files on disk:
 *
 *     panel[unit][output 0..63][4 bytes]      unit = 4 INT8 or 2 BF16 columns
 *
 * INT8 weights are stored as unsigned bytes, w + 128: the wide multiply-add of VNNI wants one
 * unsigned operand, and having it on the weights' side turns the correction into one number per
 * row of x: sum x (w + 128) - 128 sum x. Columns past n_cols and outputs past n_rows hold w = 0.
 */
#define GI_TILE_N       64
/** Most rows of x in one call of gemm_s8 and gemm_bf16. */
#define GI_TILE_M       6
/** Bytes of one unit of a panel. */
#define GI_UNIT_BYTES   (GI_TILE_N * 4)
/** Deepest INT8 product whose sums fit 32 bits. */
#define GI_S8_UNITS_MAX 16384

/**
 * acc[m][j] = sum_k x[m][k] * u[k][j], exact.
 *
 * acc     s32 [n_m, 64], written in full
 * x       s8 [n_m, 4 * n_units], row stride ld_x bytes; n_m 1..GI_TILE_M; padding bytes zero
 * panel   u8 [n_units, 64, 4], 64-byte aligned
 * n_units is 1..GI_S8_UNITS_MAX: 127 * 255 * 4 * n_units must stay below 2^31.
 */
#define GI_DECL_GEMM_S8(name)                                                                      \
    void name(int32_t *restrict acc, const int8_t *x, size_t ld_x, size_t n_m,                     \
              const uint8_t *panel, size_t n_units)

/**
 * acc[m][j] = sum_k x[m][k] * w[k][j] in F32, products of BF16.
 *
 * acc     f32 [n_m, 64], row stride ld_acc, written in full
 * x       bf16 [n_m, 2 * n_units], row stride ld_x elements; n_m 1..GI_TILE_M
 * panel   bf16 [n_units, 64, 2], 64-byte aligned; n_units >= 1
 * The order of a row's sum does not depend on n_m. Tolerance against the reference: relative to
 * sum |x w|, 2^-16 (tiers pair products and may flush subnormals).
 */
#define GI_DECL_GEMM_BF16(name)                                                                    \
    void name(float *restrict acc, size_t ld_acc, const uint16_t *x, size_t ld_x, size_t n_m,      \
              const uint16_t *panel, size_t n_units)

/**
 * Quantise a row to INT8 with one scale: q[i] = round(x[i] / scale), scale = max |x| / 127.
 *
 * q         s8 [n_padded], -127..127; bytes n..n_padded-1 are set to 0
 * ret_sum   sum of q
 * @return scale; 0, and a row of zeros, when max |x| < GI_QUANTIZE_MIN. A row with an infinity has
 * an infinite scale, one with NaN has NaN, so that what is made of it is neither finite nor
 * believed; its q are in range, otherwise unspecified.
 */
#define GI_QUANTIZE_MIN 0x1p-120f /* 127 / max stays in F32's range */
#define GI_DECL_QUANTIZE_ROW(name)                                                                 \
    float name(int8_t *restrict q, int32_t *ret_sum, const float *x, size_t n, size_t n_padded)

/**
 * dst[i] = bf16(x[i] * scale), nearest even; elements n..n_padded-1 are set to 0. Tiers may flush
 * subnormals.
 */
#define GI_DECL_NARROW_ROW(name)                                                                   \
    void name(uint16_t *restrict dst, const float *x, float scale, size_t n, size_t n_padded)

/**
 * y[m][j] = (acc[m][j] - 128 sum[m]) * x_scale[m] * w_scale[j] + bias[j], the products of gemm_s8
 * as numbers. acc and y [n_m, 64]; w_scale and bias [64] (bias NULL = 0).
 */
#define GI_DECL_DEQUANTIZE(name)                                                                   \
    void name(float *restrict y, const int32_t *acc, size_t n_m, const float *x_scale,             \
              const int32_t *sum, const float *w_scale, const float *bias)

/** out[i] += x[i], i < n. */
#define GI_DECL_ADD_ROW(name) void name(float *restrict out, const float *x, size_t n)

/**
 * p[i] = bf16(exp(s[i] - max s)), i < n; elements n..n_padded-1 are set to 0.
 * @return 1 / sum of the exponentials, the factor that turns the mix of values into a mean.
 * n >= 1. s may be overwritten.
 */
#define GI_DECL_SOFTMAX_BF16(name)                                                                 \
    float name(uint16_t *restrict p, float *s, size_t n, size_t n_padded)

typedef GI_DECL_WIDEN((*gi_widen_fn));
typedef GI_DECL_PACK_PANEL((*gi_pack_panel_fn));
typedef GI_DECL_GEMM_PANEL((*gi_gemm_panel_fn));
typedef GI_DECL_DOT((*gi_dot_fn));
typedef GI_DECL_RMSNORM((*gi_rmsnorm_fn));
typedef GI_DECL_SWIGLU((*gi_swiglu_fn));
typedef GI_DECL_ATTN_SCORES((*gi_attn_scores_fn));
typedef GI_DECL_SOFTMAX((*gi_softmax_fn));
typedef GI_DECL_ATTN_MIX((*gi_attn_mix_fn));
typedef GI_DECL_GEMM_S8((*gi_gemm_s8_fn));
typedef GI_DECL_GEMM_BF16((*gi_gemm_bf16_fn));
typedef GI_DECL_QUANTIZE_ROW((*gi_quantize_row_fn));
typedef GI_DECL_NARROW_ROW((*gi_narrow_row_fn));
typedef GI_DECL_DEQUANTIZE((*gi_dequantize_fn));
typedef GI_DECL_ADD_ROW((*gi_add_row_fn));
typedef GI_DECL_SOFTMAX_BF16((*gi_softmax_bf16_fn));

/** One implementation of everything above. */
typedef struct gi_kernels {
    const char *tier; /**< "ref", "avx2", "avx512", "avx512vnni", "avx512bf16" */
    gi_widen_fn widen;
    gi_pack_panel_fn pack_panel;
    gi_gemm_panel_fn gemm_panel;
    gi_dot_fn dot;
    gi_rmsnorm_fn rmsnorm;
    gi_swiglu_fn swiglu;
    gi_attn_scores_fn attn_scores;
    gi_softmax_fn softmax;
    gi_attn_mix_fn attn_mix;
    gi_gemm_s8_fn gemm_s8;
    gi_gemm_bf16_fn gemm_bf16;
    gi_quantize_row_fn quantize_row;
    gi_narrow_row_fn narrow_row;
    gi_dequantize_fn dequantize;
    gi_add_row_fn add_row;
    gi_softmax_bf16_fn softmax_bf16;
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
