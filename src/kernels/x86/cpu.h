/**
 * @file
 * What the processor can do, as ordered bundles of instructions.
 *
 * A kernel tier is compiled for a whole bundle, so a bundle is set only when every instruction in
 * it works: the processor reports it, and the operating system saves the registers it needs. Each
 * bundle contains the ones before it, which makes the tiers an order: "the best tier" and "nothing
 * above this tier" both mean one thing.
 *
 * Sources: Intel SDM vol. 2A, CPUID; vol. 1, 13.3 (XCR0); AMD APM vol. 3, appendix E.
 */
#ifndef GI_KERNELS_X86_CPU_H
#define GI_KERNELS_X86_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bundles, in order. */
typedef enum gi_cpu_flag {
    GI_CPU_AVX2 = 1 << 0,        /**< AVX2, FMA, F16C, BMI1, BMI2, POPCNT; 256-bit registers */
    GI_CPU_AVX512 = 1 << 1,      /**< AVX-512 F, BW, DQ, VL; 512-bit registers and masks */
    GI_CPU_AVX512_VNNI = 1 << 2, /**< AVX-512 VNNI: INT8 dot products */
    GI_CPU_AVX512_BF16 = 1 << 3, /**< AVX-512 BF16 dot products */
} gi_cpu_flag;

/** A kernel tier: its name, and all flags it may use. */
typedef struct gi_cpu_tier {
    const char *name;
    unsigned flags;
} gi_cpu_tier;

/** Tiers, lowest first: ref, avx2, avx512, avx512vnni, avx512bf16. */
#define GI_CPU_N_TIERS 5
extern const gi_cpu_tier gi_cpu_tiers[GI_CPU_N_TIERS];

/** What CPUID and XGETBV say: the input of the decision. Leaves that are absent are 0. */
typedef struct gi_cpu_words {
    uint32_t leaf0_ebx; /**< first four letters of the maker's name */
    uint32_t leaf1_ecx;
    uint32_t leaf7_ebx, leaf7_ecx; /**< sub-leaf 0 */
    uint32_t leaf7_1_eax;          /**< sub-leaf 1 */
    uint64_t xcr0;                 /**< register state the system saves; 0 without OSXSAVE */
} gi_cpu_words;

/** Bundles that `w` allows. Threads: pure. */
unsigned gi_cpu_flags_from(const gi_cpu_words *w);

/** Bundles of this processor. Threads: pure. Cost: a few CPUID, which a hypervisor may trap. */
unsigned gi_cpu_flags(void);

/**
 * Whether a BF16 dot product takes as long as four F32 multiply-adds of the same width, which do
 * twice its work: so on Intel's cores (Xeon of 2023, one core, in registers: 85 GFLOP/s of BF16,
 * 171 of F32). AMD's do both at one a cycle. Threads: pure.
 */
bool gi_cpu_is_bf16_slow_from(const gi_cpu_words *w);
bool gi_cpu_is_bf16_slow(void);

/** Name of the best tier whose flags are all in `flags`; "ref" when there is none. */
const char *gi_cpu_tier_name(unsigned flags);

/**
 * Flags allowed up to the tier `name`, for `gi_cpu_flags() & mask`.
 *
 * @param name     a tier's name, or NULL = all tiers.
 * @param ret_mask untouched on failure.
 * @return false when no tier has the name.
 */
bool gi_cpu_mask_parse(const char *name, unsigned *ret_mask);

/** Room for a processor's name and its terminating zero, in bytes. */
#define GI_CPU_BRAND_BYTES 49

/** The processor's name for people: "AMD EPYC 9R14 96-Core Processor"; "unknown" if it has none. */
void gi_cpu_brand(char out[GI_CPU_BRAND_BYTES]);

#endif
