/*
 * Ceilings of AVX2 with FMA. INT8 without VNNI is three instructions: products of bytes added in
 * pairs to 16 bits, those added in pairs to 32 bits, and the accumulation.
 */
#include "kernels/peak/peak.h"
#include "kernels/peak/peak_loops.h"

#include <immintrin.h>
#include <stdbool.h>

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

/* The bytes in n_streams equal parts, read side by side. Always inlined, so that each pattern is a
 * loop of its own without a question in it. */
__attribute__((always_inline)) static inline unsigned long long
read_streams(const void *data, size_t n_bytes, const int n_streams, const bool ahead) {
    const int each = PEAK_READ_VECTORS / n_streams; /* vectors of a stream a step */
    const __m256i *p = data;
    const size_t n = n_bytes / sizeof *p / (size_t)n_streams; /* vectors of a stream */
    __m256i acc[PEAK_READ_VECTORS];
    for (int i = 0; i < PEAK_READ_VECTORS; i++) acc[i] = _mm256_setzero_si256();
    for (size_t at = 0; at < n; at += (size_t)each)
        for (int s = 0; s < n_streams; s++) {
            const __m256i *from = p + (size_t)s * n + at;
            if (ahead)
                for (int b = 0; b < each * (int)sizeof *p; b += PEAK_LINE_BYTES)
                    _mm_prefetch((const char *)from + PEAK_AHEAD_BYTES + b, _MM_HINT_T0);
            for (int i = 0; i < each; i++)
                acc[s * each + i] =
                    _mm256_add_epi64(acc[s * each + i], _mm256_load_si256(from + i));
        }
    for (int i = 1; i < PEAK_READ_VECTORS; i++) acc[0] = _mm256_add_epi64(acc[0], acc[i]);
    unsigned long long out[4];
    _mm256_storeu_si256((__m256i *)(void *)out, acc[0]);
    return out[0] + out[1] + out[2] + out[3];
}

unsigned long long gi_peak_read_avx2_x1(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 1, false);
}

unsigned long long gi_peak_read_avx2_x2(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 2, false);
}

unsigned long long gi_peak_read_avx2_x4(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 4, false);
}

unsigned long long gi_peak_read_avx2_x1_ahead(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 1, true);
}

unsigned long long gi_peak_read_avx2_x2_ahead(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 2, true);
}

unsigned long long gi_peak_read_avx2_x4_ahead(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 4, true);
}
