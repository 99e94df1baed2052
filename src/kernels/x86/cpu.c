/*
 * Owns the reading of CPUID and XCR0. The decision is a pure function of the words read, so that
 * a test can put any processor in front of it. Holds no state: the caller keeps the flags.
 */
#include "kernels/x86/cpu.h"

#include <cpuid.h>
#include <string.h>

enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_POPCNT = 1 << 23,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_AVX = 1 << 28,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_BMI1 = 1 << 3,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_BMI2 = 1 << 8,
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512DQ = 1 << 17,
    LEAF7_EBX_AVX512BW = 1 << 30,
    LEAF7_ECX_AVX512VNNI = 1 << 11,
    LEAF7_1_EAX_AVX512BF16 = 1 << 5,
};
#define LEAF7_EBX_AVX512VL (UINT32_C(1) << 31)

/* XCR0: SSE and AVX state; with AVX-512 also masks, upper halves of ZMM0-15, and ZMM16-31. */
#define XCR0_YMM UINT64_C(0x06)
#define XCR0_ZMM UINT64_C(0xE6)

#define FLAGS_AVX2       GI_CPU_AVX2
#define FLAGS_AVX512     (FLAGS_AVX2 | GI_CPU_AVX512)
#define FLAGS_AVX512VNNI (FLAGS_AVX512 | GI_CPU_AVX512_VNNI)
#define FLAGS_AVX512BF16 (FLAGS_AVX512VNNI | GI_CPU_AVX512_BF16)

const gi_cpu_tier gi_cpu_tiers[GI_CPU_N_TIERS] = {
    {"ref", 0},
    {"avx2", FLAGS_AVX2},
    {"avx512", FLAGS_AVX512},
    {"avx512vnni", FLAGS_AVX512VNNI},
    {"avx512bf16", FLAGS_AVX512BF16},
};

static bool has_all(uint64_t word, uint64_t bits) {
    return (word & bits) == bits;
}

unsigned gi_cpu_flags_from(const gi_cpu_words *w) {
    const uint32_t avx2_leaf1 =
        LEAF1_ECX_FMA | LEAF1_ECX_POPCNT | LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_F16C;
    const uint32_t avx2_leaf7 = LEAF7_EBX_AVX2 | LEAF7_EBX_BMI1 | LEAF7_EBX_BMI2;
    const uint32_t avx512_leaf7 =
        LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL;

    if (!has_all(w->leaf1_ecx, avx2_leaf1) || !has_all(w->leaf7_ebx, avx2_leaf7) ||
        !has_all(w->xcr0, XCR0_YMM))
        return 0;
    if (!has_all(w->leaf7_ebx, avx512_leaf7) || !has_all(w->xcr0, XCR0_ZMM)) return FLAGS_AVX2;
    if (!has_all(w->leaf7_ecx, LEAF7_ECX_AVX512VNNI)) return FLAGS_AVX512;
    if (!has_all(w->leaf7_1_eax, LEAF7_1_EAX_AVX512BF16)) return FLAGS_AVX512VNNI;
    return FLAGS_AVX512BF16;
}

/* An instruction older assemblers know only with -mxsave; allowed only when OSXSAVE is set. */
static uint64_t read_xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static gi_cpu_words read_words(void) {
    gi_cpu_words w = {0};
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(0, &eax, &ebx, &ecx, &edx)) w.leaf0_ebx = ebx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) w.leaf1_ecx = ecx;
    if (w.leaf1_ecx & LEAF1_ECX_OSXSAVE) w.xcr0 = read_xcr0();
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        w.leaf7_ebx = ebx;
        w.leaf7_ecx = ecx;
        /* eax is the last sub-leaf; what lies beyond it is undefined. */
        if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) w.leaf7_1_eax = eax;
    }
    return w;
}

unsigned gi_cpu_flags(void) {
    const gi_cpu_words w = read_words();
    return gi_cpu_flags_from(&w);
}

bool gi_cpu_is_bf16_slow_from(const gi_cpu_words *w) {
    uint32_t intel;
    memcpy(&intel, "Genu", sizeof intel); /* GenuineIntel */
    return w->leaf0_ebx == intel;
}

bool gi_cpu_is_bf16_slow(void) {
    const gi_cpu_words w = read_words();
    return gi_cpu_is_bf16_slow_from(&w);
}

const char *gi_cpu_tier_name(unsigned flags) {
    size_t best = 0;
    for (size_t i = 1; i < GI_CPU_N_TIERS; i++)
        if (has_all(flags, gi_cpu_tiers[i].flags)) best = i;
    return gi_cpu_tiers[best].name;
}

bool gi_cpu_mask_parse(const char *name, unsigned *ret_mask) {
    if (!name) {
        *ret_mask = gi_cpu_tiers[GI_CPU_N_TIERS - 1].flags;
        return true;
    }
    for (size_t i = 0; i < GI_CPU_N_TIERS; i++)
        if (strcmp(name, gi_cpu_tiers[i].name) == 0) {
            *ret_mask = gi_cpu_tiers[i].flags;
            return true;
        }
    return false;
}

void gi_cpu_brand(char out[GI_CPU_BRAND_BYTES]) {
    uint32_t words[12];
    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                         &words[4 * i + 3])) {
            memcpy(out, "unknown", sizeof "unknown");
            return;
        }
    /* Padded with spaces in front or behind, as the vendor liked. */
    char text[sizeof words + 1];
    memcpy(text, words, sizeof words);
    text[sizeof words] = '\0';
    size_t begin = 0, end = strlen(text);
    while (text[begin] == ' ') begin++;
    while (end > begin && text[end - 1] == ' ') end--;
    if (begin == end) {
        memcpy(out, "unknown", sizeof "unknown");
        return;
    }
    memcpy(out, text + begin, end - begin);
    out[end - begin] = '\0';
}
