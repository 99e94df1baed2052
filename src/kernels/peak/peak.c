/*
 * The table of ceilings, and reading on any x86-64.
 */
#include "kernels/peak/peak.h"

#include "kernels/peak/peak_loops.h"
#include "kernels/x86/cpu.h"

#include <stdint.h>

const gi_peak gi_peaks[GI_PEAKS_N] = {
    {"F32 FMA, AVX2", "f32_avx2", "GFLOP/s", GI_CPU_AVX2, PEAK_CHAINS * 8 * PEAK_MULTIPLY_ADD,
     gi_peak_f32_avx2},
    {"INT8, AVX2", "s8_avx2", "GOP/s", GI_CPU_AVX2, PEAK_BYTE_CHAINS * 32 * PEAK_MULTIPLY_ADD,
     gi_peak_s8_avx2},
    {"F32 FMA, AVX-512", "f32_avx512", "GFLOP/s", GI_CPU_AVX512,
     PEAK_CHAINS * 16 * PEAK_MULTIPLY_ADD, gi_peak_f32_avx512},
    {"INT8, AVX-512 VNNI", "s8_avx512vnni", "GOP/s", GI_CPU_AVX512_VNNI,
     PEAK_CHAINS * 64 * PEAK_MULTIPLY_ADD, gi_peak_s8_avx512vnni},
    {"BF16, AVX-512 BF16", "bf16_avx512bf16", "GFLOP/s", GI_CPU_AVX512_BF16,
     PEAK_CHAINS * 32 * PEAK_MULTIPLY_ADD, gi_peak_bf16_avx512bf16},
};

static unsigned long long read_plain(const void *data, size_t n_bytes) {
    const uint64_t *p = data;
    uint64_t acc[PEAK_READ_STREAMS] = {0}, sum = 0;
    for (const uint64_t *end = p + n_bytes / sizeof *p; p < end; p += PEAK_READ_STREAMS)
        for (int i = 0; i < PEAK_READ_STREAMS; i++) acc[i] += p[i];
    for (int i = 0; i < PEAK_READ_STREAMS; i++) sum += acc[i];
    return sum;
}

unsigned long long gi_peak_read(const void *data, size_t n_bytes, unsigned cpu) {
    if (cpu & GI_CPU_AVX512) return gi_peak_read_avx512(data, n_bytes);
    if (cpu & GI_CPU_AVX2) return gi_peak_read_avx2(data, n_bytes);
    return read_plain(data, n_bytes);
}
