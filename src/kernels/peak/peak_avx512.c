/*
 * Ceilings of AVX-512 F: F32 multiply-add and reading.
 */
#include "kernels/peak/peak.h"
#include "kernels/peak/peak_loops.h"

#include <immintrin.h>

double gi_peak_f32_avx512(size_t n_rounds) {
    __m512 acc[PEAK_CHAINS];
    __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.0f);
    PEAK_OPAQUE(a);
    PEAK_OPAQUE(b);
    for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = _mm512_set1_ps((float)i);
    for (size_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = _mm512_fmadd_ps(acc[i], a, b);
    for (int i = 1; i < PEAK_CHAINS; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    float out[16];
    _mm512_storeu_ps(out, acc[0]);
    return (double)out[0] + (double)out[15];
}

unsigned long long gi_peak_read_avx512(const void *data, size_t n_bytes) {
    const __m512i *p = data;
    __m512i acc[PEAK_READ_STREAMS];
    for (int i = 0; i < PEAK_READ_STREAMS; i++) acc[i] = _mm512_setzero_si512();
    for (const __m512i *end = p + n_bytes / sizeof *p; p < end; p += PEAK_READ_STREAMS)
        for (int i = 0; i < PEAK_READ_STREAMS; i++)
            acc[i] = _mm512_add_epi64(acc[i], _mm512_load_si512(p + i));
    for (int i = 1; i < PEAK_READ_STREAMS; i++) acc[0] = _mm512_add_epi64(acc[0], acc[i]);
    unsigned long long out[8], sum = 0;
    _mm512_storeu_si512(out, acc[0]);
    for (int i = 0; i < 8; i++) sum += out[i];
    return sum;
}
