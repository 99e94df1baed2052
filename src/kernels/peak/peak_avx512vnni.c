/*
 * Ceiling of INT8 with AVX-512 VNNI: 64 products of bytes a vector, added up in fours to 32 bits.
 */
#include "kernels/peak/peak.h"
#include "kernels/peak/peak_loops.h"

#include <immintrin.h>

/* 32-bit lanes by name: of a __m512i, gcc 12 copies every accumulator twice a round. */
typedef int lanes __attribute__((vector_size(64)));

double gi_peak_s8_avx512vnni(size_t n_rounds) {
    lanes acc[PEAK_CHAINS];
    __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-5);
    PEAK_OPAQUE(a);
    PEAK_OPAQUE(b);
    for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = (lanes)_mm512_set1_epi32(i);
    for (size_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < PEAK_CHAINS; i++)
            acc[i] = (lanes)_mm512_dpbusd_epi32((__m512i)acc[i], a, b);
    for (int i = 1; i < PEAK_CHAINS; i++) acc[0] += acc[i];
    return (double)acc[0][0] + (double)acc[0][15];
}
