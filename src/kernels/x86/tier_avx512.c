/*
 * The AVX-512 tier's table.
 */
#include "kernels/x86/tiers.h"

void gi_kernels_init_avx512(gi_kernels *k) {
    k->tier = "avx512";
    gi_kernels_init_f32_avx512(k);
    gi_kernels_init_rows_avx512(k);
    gi_kernels_init_gemm_avx512(k);
}
