/**
 * @file
 * The SIMD tiers. Each init overrides the slots of a table that it does better; its code may run
 * only when gi_cpu_flags has what the file says. Kept in libraries of their own, because their
 * compiler flags must not leak into common code.
 */
#ifndef GI_KERNELS_X86_TIERS_H
#define GI_KERNELS_X86_TIERS_H

#include "kernels/kernels.h"

/**
 * Before a loop over the registers of a tile: gcc unrolls it early enough to keep the tile in
 * registers, where it would else come from the stack and go back there; clang does so unasked.
 */
#ifdef __clang__
#define GI_UNROLL
#else
#define GI_UNROLL _Pragma("GCC unroll 8")
#endif

/** AVX2, FMA, F16C, BMI2: from 2013 (Haswell), 2017 (Zen). */
void gi_kernels_init_avx2(gi_kernels *k);

/** AVX-512 F, BW, DQ, VL: from 2017 (Skylake-SP). After AVX2. */
void gi_kernels_init_avx512(gi_kernels *k);

/** AVX-512 VNNI: from 2019 (Ice Lake), 2022 (Zen 4). After AVX-512. */
void gi_kernels_init_avx512vnni(gi_kernels *k);

/** AVX-512 BF16: from 2020 (Cooper Lake), 2022 (Zen 4). After AVX-512 VNNI. */
void gi_kernels_init_avx512bf16(gi_kernels *k);

/* Parts of the AVX2 tier, one file each. */
void gi_kernels_init_f32_avx2(gi_kernels *k);
void gi_kernels_init_rows_avx2(gi_kernels *k);
void gi_kernels_init_gemm_avx2(gi_kernels *k);

/* Parts of the AVX-512 tier, one file each. */
void gi_kernels_init_f32_avx512(gi_kernels *k);
void gi_kernels_init_rows_avx512(gi_kernels *k);
void gi_kernels_init_gemm_avx512(gi_kernels *k);

#endif
