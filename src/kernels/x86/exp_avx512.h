/**
 * @file
 * exp for 16 floats, shared by the AVX-512 files.
 *
 * e^x = 2^n 2^f with n = round(x log2 e), |f| <= 1/2; 2^f by the polynomial of degree 6 that
 * Taylor gives at f ln 2, which is below 1e-7 relative there. Far below -104 the result is 0, far
 * above 88 infinity, and NaN stays NaN; the kernel tests measure the error.
 */
#ifndef GI_KERNELS_X86_EXP_AVX512_H
#define GI_KERNELS_X86_EXP_AVX512_H

#include <immintrin.h>

static inline __m512 exp_avx512(__m512 x) {
    /* Further out, f would not be small and the polynomial anything. NaN is the second operand,
     * which is the one that comes out. */
    x = _mm512_min_ps(_mm512_set1_ps(100.0f), _mm512_max_ps(_mm512_set1_ps(-110.0f), x));
    const __m512 log2e = _mm512_set1_ps(1.44269504f);
    /* ln 2 in two parts, the first with few bits, so that n * part is exact. */
    const __m512 ln2_high = _mm512_set1_ps(0.693359375f), ln2_low = _mm512_set1_ps(-2.12194440e-4f);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, log2e), 0x08);
    __m512 r = _mm512_fnmadd_ps(n, ln2_high, x);
    r = _mm512_fnmadd_ps(n, ln2_low, r);
    __m512 p = _mm512_set1_ps(1.0f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

#endif
