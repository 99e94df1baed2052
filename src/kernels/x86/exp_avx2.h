/**
 * @file
 * exp for 8 floats, and sums and maxima over a register, shared by the AVX2 files. The method is
 * that of exp_avx512.h; where AVX-512 scales by 2^n in one instruction, two factors are needed
 * here, because n leaves the range of one exponent for results near 0 and infinity.
 */
#ifndef GI_KERNELS_X86_EXP_AVX2_H
#define GI_KERNELS_X86_EXP_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/** 2^n of integers n in -126..127. */
static inline __m256 power_of_two_avx2(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

static inline __m256 exp_avx2(__m256 x) {
    /* NaN is the second operand, which is the one that comes out. */
    x = _mm256_min_ps(_mm256_set1_ps(100.0f), _mm256_max_ps(_mm256_set1_ps(-110.0f), x));
    const __m256 log2e = _mm256_set1_ps(1.44269504f);
    const __m256 ln2_high = _mm256_set1_ps(0.693359375f), ln2_low = _mm256_set1_ps(-2.12194440e-4f);
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, log2e), 0x08);
    __m256 r = _mm256_fnmadd_ps(n, ln2_high, x);
    r = _mm256_fnmadd_ps(n, ln2_low, r);
    __m256 p = _mm256_set1_ps(1.0f / 720);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    p = _mm256_mul_ps(p, power_of_two_avx2(half));
    return _mm256_mul_ps(p, power_of_two_avx2(_mm256_sub_epi32(whole, half)));
}

/** All ones in the first n % 8 lanes. */
static inline __m256i tail_mask_avx2(size_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n % 8)), lane);
}

static inline float sum_avx2(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float max_avx2(__m256 v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/** The largest of n >= 1 floats; behind a NaN, any of them. */
static inline float max_row_avx2(const float *s, size_t n) {
    const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
    __m256 max = lowest;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) max = _mm256_max_ps(max, _mm256_loadu_ps(s + i));
    if (i < n) {
        const __m256i tail = tail_mask_avx2(n);
        const __m256 v = _mm256_maskload_ps(s + i, tail);
        max = _mm256_max_ps(max, _mm256_blendv_ps(lowest, v, _mm256_castsi256_ps(tail)));
    }
    return max_avx2(max);
}

#endif
