/*
 * Choice of a kernel table: the reference first, then each tier the machine has and the mask
 * allows overrides what it does better.
 */
#include "kernels/kernels.h"

#include "kernels/ref/ref.h"
#include "kernels/x86/cpu.h"
#include "kernels/x86/tiers.h"

int gi_kernels_get(const char *tier_max, gi_kernels *ret) {
    unsigned mask = 0;
    if (!gi_cpu_mask_parse(tier_max, &mask)) return -1;
    const unsigned flags = gi_cpu_flags() & mask;
    gi_kernels_init_ref(ret);
    if (!(flags & GI_CPU_AVX2)) return 0;
    gi_kernels_init_avx2(ret);
    if (!(flags & GI_CPU_AVX512)) return 0;
    gi_kernels_init_avx512(ret);
    if (!(flags & GI_CPU_AVX512_VNNI)) return 0;
    gi_kernels_init_avx512vnni(ret);
    if (!(flags & GI_CPU_AVX512_BF16)) return 0;
    const gi_gemm_bf16_fn by_f32 = ret->gemm_bf16;
    gi_kernels_init_avx512bf16(ret);
    if (gi_cpu_is_bf16_slow()) ret->gemm_bf16 = by_f32;
    return 0;
}
