/*
 * Ceilings of AVX-512 F: F32 multiply-add and reading.
 */
#include "kernels/peak/peak.h"
#include "kernels/peak/peak_loops.h"

#include <immintrin.h>
#include <stdbool.h>

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

/* The bytes in n_streams equal parts, read side by side. Always inlined, so that each pattern is a
 * loop of its own without a question in it. */
__attribute__((always_inline)) static inline unsigned long long
read_streams(const void *data, size_t n_bytes, const int n_streams, const bool ahead) {
    const int each = PEAK_READ_VECTORS / n_streams; /* vectors of a stream a step */
    const __m512i *p = data;
    const size_t n = n_bytes / sizeof *p / (size_t)n_streams; /* vectors of a stream */
    __m512i acc[PEAK_READ_VECTORS];
    for (int i = 0; i < PEAK_READ_VECTORS; i++) acc[i] = _mm512_setzero_si512();
    for (size_t at = 0; at < n; at += (size_t)each)
        for (int s = 0; s < n_streams; s++) {
            const __m512i *from = p + (size_t)s * n + at;
            if (ahead)
                for (int b = 0; b < each * (int)sizeof *p; b += PEAK_LINE_BYTES)
                    _mm_prefetch((const char *)from + PEAK_AHEAD_BYTES + b, _MM_HINT_T0);
            for (int i = 0; i < each; i++)
                acc[s * each + i] =
                    _mm512_add_epi64(acc[s * each + i], _mm512_load_si512(from + i));
        }
    for (int i = 1; i < PEAK_READ_VECTORS; i++) acc[0] = _mm512_add_epi64(acc[0], acc[i]);
    unsigned long long out[8], sum = 0;
    _mm512_storeu_si512(out, acc[0]);
    for (int i = 0; i < 8; i++) sum += out[i];
    return sum;
}

unsigned long long gi_peak_read_avx512_x1(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 1, false);
}

unsigned long long gi_peak_read_avx512_x2(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 2, false);
}

unsigned long long gi_peak_read_avx512_x4(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 4, false);
}

unsigned long long gi_peak_read_avx512_x1_ahead(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 1, true);
}

unsigned long long gi_peak_read_avx512_x2_ahead(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 2, true);
}

unsigned long long gi_peak_read_avx512_x4_ahead(const void *data, size_t n_bytes) {
    return read_streams(data, n_bytes, 4, true);
}
