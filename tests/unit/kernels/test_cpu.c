/*
 * The choice of instruction bundles: processors as they are, and with one thing missing.
 */
#include "../cm.h"

#include "kernels/x86/cpu.h"

#include <stdio.h>
#include <string.h>

/* Bits that glint asks for, by where CPUID has them; the first three processors are made of them.
 */
#define LEAF1_AVX2   (1u << 12 | 1u << 23 | 1u << 27 | 1u << 28 | 1u << 29)
#define LEAF7_AVX2   (1u << 3 | 1u << 5 | 1u << 8)
#define LEAF7_AVX512 (LEAF7_AVX2 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)
static const gi_cpu_words NEHALEM = {.leaf1_ecx = 1u << 23 | 1u << 20, .xcr0 = 0};
static const gi_cpu_words SANDY_BRIDGE = {.leaf1_ecx = 1u << 23 | 1u << 27 | 1u << 28,
                                          .xcr0 = 0x07};
static const gi_cpu_words HASWELL = {0x756e6547u, LEAF1_AVX2, LEAF7_AVX2, 0, 0, 0x07};
static const gi_cpu_words SKYLAKE_SERVER = {0x756e6547u, LEAF1_AVX2, LEAF7_AVX512, 0, 0, 0xe7};
static const gi_cpu_words CASCADE_LAKE = {0x756e6547u, LEAF1_AVX2, LEAF7_AVX512, 1u << 11, 0, 0xe7};
/* As read on an EPYC of family 25, model 17. */
static const gi_cpu_words ZEN4 = {0x68747541u, 0xfffa3203u, 0xf1bf07abu,
                                  0x00405fc6u, 0x00000020u, 0xe7};

static const char *tier_of(gi_cpu_words w) {
    return gi_cpu_tier_name(gi_cpu_flags_from(&w));
}

static void test_processors(void **state) {
    assert_string_equal(tier_of((gi_cpu_words){0}), "ref");
    assert_string_equal(tier_of(NEHALEM), "ref");
    assert_string_equal(tier_of(SANDY_BRIDGE), "ref");
    assert_string_equal(tier_of(HASWELL), "avx2");
    assert_string_equal(tier_of(SKYLAKE_SERVER), "avx512");
    assert_string_equal(tier_of(CASCADE_LAKE), "avx512vnni");
    assert_string_equal(tier_of(ZEN4), "avx512bf16");
}

/* A kernel or hypervisor that does not save the wide registers takes their tiers away. */
static void test_system_state(void **state) {
    gi_cpu_words w = ZEN4;
    w.xcr0 = 0x07;
    assert_string_equal(tier_of(w), "avx2");
    const uint64_t zmm_parts[] = {0x20, 0x40, 0x80};
    for (size_t i = 0; i < 3; i++) {
        w.xcr0 = 0xe7 & ~zmm_parts[i];
        assert_string_equal(tier_of(w), "avx2");
    }
    w.xcr0 = 0x03;
    assert_string_equal(tier_of(w), "ref");
    w.xcr0 = 0;
    assert_string_equal(tier_of(w), "ref");
    w = ZEN4;
    w.leaf1_ecx &= ~(1u << 27); /* OSXSAVE */
    assert_string_equal(tier_of(w), "ref");
}

/* Every single bit that a bundle needs is asked for. */
static void test_each_bit(void **state) {
    const int avx2_leaf1[] = {12, 23, 27, 28, 29}, avx2_leaf7[] = {3, 5, 8};
    const int avx512_leaf7[] = {16, 17, 30, 31};
    gi_cpu_words w;
    for (size_t i = 0; i < 5; i++) {
        w = ZEN4;
        w.leaf1_ecx &= ~(1u << avx2_leaf1[i]);
        assert_string_equal(tier_of(w), "ref");
    }
    for (size_t i = 0; i < 3; i++) {
        w = ZEN4;
        w.leaf7_ebx &= ~(1u << avx2_leaf7[i]);
        assert_string_equal(tier_of(w), "ref");
    }
    for (size_t i = 0; i < 4; i++) {
        w = ZEN4;
        w.leaf7_ebx &= ~(1u << avx512_leaf7[i]);
        assert_string_equal(tier_of(w), "avx2");
    }
    w = ZEN4;
    w.leaf7_ecx &= ~(1u << 11);
    assert_string_equal(tier_of(w), "avx512"); /* BF16 without VNNI: the order is kept */
    w = ZEN4;
    w.leaf7_1_eax = 0;
    assert_string_equal(tier_of(w), "avx512vnni");
}

/* Intel's cores, AMD's, and one that does not say. */
static void test_slow_bf16(void **state) {
    assert_true(gi_cpu_is_bf16_slow_from(&CASCADE_LAKE));
    assert_false(gi_cpu_is_bf16_slow_from(&ZEN4));
    assert_false(gi_cpu_is_bf16_slow_from(&(gi_cpu_words){0}));
}

static void test_masks(void **state) {
    unsigned below = 0;
    for (size_t i = 0; i < GI_CPU_N_TIERS; i++) {
        unsigned mask = 0xdeadu;
        assert_true(gi_cpu_mask_parse(gi_cpu_tiers[i].name, &mask));
        assert_int_equal(mask, gi_cpu_tiers[i].flags);
        assert_int_equal(mask & below, below); /* contains the tier below */
        assert_true(i == 0 || mask != below);
        assert_string_equal(gi_cpu_tier_name(mask), gi_cpu_tiers[i].name);
        below = mask;
    }
    unsigned mask = 0;
    assert_true(gi_cpu_mask_parse(NULL, &mask));
    assert_int_equal(mask, below);
    const char *const unknown[] = {"", "sse2", "AVX2", "avx", "avx2 ", "avx512bf16x"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        mask = 0xdeadu;
        assert_false(gi_cpu_mask_parse(unknown[i], &mask));
        assert_int_equal(mask, 0xdeadu);
    }
}

/* Does /proc/cpuinfo list `flag`? The kernel's own reading of the same processor. */
static bool cpuinfo_has(const char *flag) {
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return false;
    static char line[16384];
    char word[64];
    bool found = false;
    const int n = snprintf(word, sizeof word, " %s ", flag);
    assert_true(n > 0 && (size_t)n < sizeof word);
    while (!found && fgets(line, sizeof line, f)) {
        if (strncmp(line, "flags", 5) != 0) continue;
        line[strcspn(line, "\n")] = ' ';
        found = strstr(line, word) != NULL;
        break;
    }
    fclose(f);
    return found;
}

/* This machine, against what its kernel says. */
static void test_this_processor(void **state) {
    const unsigned flags = gi_cpu_flags();
    assert_int_equal(flags, gi_cpu_flags());
    if (cpuinfo_has("sse2")) { /* some sandboxes hide the file's flags */
        const bool avx2 =
            cpuinfo_has("avx2") && cpuinfo_has("fma") && cpuinfo_has("f16c") && cpuinfo_has("bmi2");
        const bool avx512 = avx2 && cpuinfo_has("avx512f") && cpuinfo_has("avx512bw") &&
                            cpuinfo_has("avx512dq") && cpuinfo_has("avx512vl");
        const bool vnni = avx512 && cpuinfo_has("avx512_vnni");
        assert_int_equal((flags & GI_CPU_AVX2) != 0, avx2);
        assert_int_equal((flags & GI_CPU_AVX512) != 0, avx512);
        assert_int_equal((flags & GI_CPU_AVX512_VNNI) != 0, vnni);
        assert_int_equal((flags & GI_CPU_AVX512_BF16) != 0, vnni && cpuinfo_has("avx512_bf16"));
    }
    char brand[GI_CPU_BRAND_BYTES];
    memset(brand, 'x', sizeof brand);
    gi_cpu_brand(brand);
    assert_non_null(memchr(brand, '\0', sizeof brand));
    assert_true(brand[0] != '\0' && brand[0] != ' ' && brand[strlen(brand) - 1] != ' ');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processors), cmocka_unit_test(test_system_state),
        cmocka_unit_test(test_each_bit),   cmocka_unit_test(test_masks),
        cmocka_unit_test(test_slow_bf16),  cmocka_unit_test(test_this_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
