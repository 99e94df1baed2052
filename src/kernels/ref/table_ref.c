/*
 * The reference tier's table.
 */
#include "kernels/ref/ref.h"

void gi_kernels_init_ref(gi_kernels *k) {
    *k = (gi_kernels){
        .tier = "ref",
        .widen = gi_widen_ref,
        .pack_panel = gi_pack_panel_ref,
        .gemm_panel = gi_gemm_panel_ref,
        .dot = gi_dot_ref,
        .rmsnorm = gi_rmsnorm_ref,
        .swiglu = gi_swiglu_ref,
        .attn_scores = gi_attn_scores_ref,
        .softmax = gi_softmax_ref,
        .attn_mix = gi_attn_mix_ref,
        .gemm_s8 = gi_gemm_s8_ref,
        .gemm_bf16 = gi_gemm_bf16_ref,
        .quantize_row = gi_quantize_row_ref,
        .narrow_row = gi_narrow_row_ref,
        .dequantize = gi_dequantize_ref,
        .add_row = gi_add_row_ref,
        .softmax_bf16 = gi_softmax_bf16_ref,
    };
}
