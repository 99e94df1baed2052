/*
 * Ceilings of AVX2 with FMA. INT8 without VNNI is three instructions: products of bytes added in
 * pairs to 16 bits, those added in pairs to 32 bits, and the accumulation.
 */
#include "kernels/peak/peak.h"
#include "kernels/peak/peak_loops.h"

#include <immintrin.h>

double gi_peak_f32_avx2(size_t n_rounds) {
    __m256 acc[PEAK_CHAINS];
    __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.0f);
    PEAK_OPAQUE(a);
    PEAK_OPAQUE(b);
    for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = _mm256_set1_ps((float)i);
    for (size_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = _mm256_fmadd_ps(acc[i], a, b);
    for (int i = 1; i < PEAK_CHAINS; i++) acc[0] = _mm256_add_ps(acc[0], acc[i]);
    float out[8];
    _mm256_storeu_ps(out, acc[0]);
    return (double)out[0] + (double)out[7];
}

double gi_peak_s8_avx2(size_t n_rounds) {
    __m256i acc[PEAK_BYTE_CHAINS];
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-5);
    __m256i ones = _mm256_set1_epi16(1);
    PEAK_OPAQUE(ones);
    for (int i = 0; i < PEAK_BYTE_CHAINS; i++) acc[i] = _mm256_set1_epi32(i);
    for (size_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < PEAK_BYTE_CHAINS; i++) {
            PEAK_OPAQUE(a); /* else the products are the same in every round */
            const __m256i pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones);
            acc[i] = _mm256_add_epi32(acc[i], pairs);
        }
    for (int i = 1; i < PEAK_BYTE_CHAINS; i++) acc[0] = _mm256_add_epi32(acc[0], acc[i]);
    int out[8];
    _mm256_storeu_si256((__m256i *)(void *)out, acc[0]);
    return (double)out[0] + (double)out[7];
}

unsigned long long gi_peak_read_avx2(const void *data, size_t n_bytes) {
    const __m256i *p = data;
    __m256i acc[PEAK_READ_STREAMS];
    for (int i = 0; i < PEAK_READ_STREAMS; i++) acc[i] = _mm256_setzero_si256();
    for (const __m256i *end = p + n_bytes / sizeof *p; p < end; p += PEAK_READ_STREAMS)
        for (int i = 0; i < PEAK_READ_STREAMS; i++)
            acc[i] = _mm256_add_epi64(acc[i], _mm256_load_si256(p + i));
    for (int i = 1; i < PEAK_READ_STREAMS; i++) acc[0] = _mm256_add_epi64(acc[0], acc[i]);
    unsigned long long out[4];
    _mm256_storeu_si256((__m256i *)(void *)out, acc[0]);
    return out[0] + out[1] + out[2] + out[3];
}
