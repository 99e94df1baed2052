/*
 * The AVX2 tier's table.
 */
#include "kernels/x86/tiers.h"

void gi_kernels_init_avx2(gi_kernels *k) {
    k->tier = "avx2";
    gi_kernels_init_f32_avx2(k);
    gi_kernels_init_rows_avx2(k);
    gi_kernels_init_gemm_avx2(k);
}
