/**
 * @file
 * The scalar reference kernels. Each is the definition that faster tiers are tested against.
 */
#ifndef GI_KERNELS_REF_REF_H
#define GI_KERNELS_REF_REF_H

#include "kernels/kernels.h"

GI_DECL_WIDEN(gi_widen_ref);
GI_DECL_PACK_PANEL(gi_pack_panel_ref);
GI_DECL_GEMM_PANEL(gi_gemm_panel_ref);
GI_DECL_DOT(gi_dot_ref);
GI_DECL_RMSNORM(gi_rmsnorm_ref);
GI_DECL_SWIGLU(gi_swiglu_ref);
GI_DECL_ATTN_SCORES(gi_attn_scores_ref);
GI_DECL_SOFTMAX(gi_softmax_ref);
GI_DECL_ATTN_MIX(gi_attn_mix_ref);
GI_DECL_GEMM_S8(gi_gemm_s8_ref);
GI_DECL_GEMM_BF16(gi_gemm_bf16_ref);
GI_DECL_QUANTIZE_ROW(gi_quantize_row_ref);
GI_DECL_NARROW_ROW(gi_narrow_row_ref);
GI_DECL_DEQUANTIZE(gi_dequantize_ref);
GI_DECL_ADD_ROW(gi_add_row_ref);
GI_DECL_SOFTMAX_BF16(gi_softmax_bf16_ref);

#endif
