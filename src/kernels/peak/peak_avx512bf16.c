/*
 * Ceiling of BF16 with AVX-512 BF16: 32 products a vector, added up in pairs to F32.
 */
#include "kernels/peak/peak.h"
#include "kernels/peak/peak_loops.h"

#include <immintrin.h>

double gi_peak_bf16_avx512bf16(size_t n_rounds) {
    __m512 acc[PEAK_CHAINS];
    /* 2 x 0.5 x 0.00390625 a step: small enough to stay finite, and exact. */
    const __m512 half = _mm512_set1_ps(0.5f), step = _mm512_set1_ps(0.00390625f);
    __m512bh a = _mm512_cvtne2ps_pbh(half, half), b = _mm512_cvtne2ps_pbh(step, step);
    PEAK_OPAQUE(a);
    PEAK_OPAQUE(b);
    for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = _mm512_set1_ps((float)i);
    for (size_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = _mm512_dpbf16_ps(acc[i], a, b);
    for (int i = 1; i < PEAK_CHAINS; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    float out[16];
    _mm512_storeu_ps(out, acc[0]);
    return (double)out[0] + (double)out[15];
}
