/*
 * The tables of ceilings, and reading on any x86-64.
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
    uint64_t acc[PEAK_READ_VECTORS] = {0}, sum = 0;
    for (const uint64_t *end = p + n_bytes / sizeof *p; p < end; p += PEAK_READ_VECTORS)
        for (int i = 0; i < PEAK_READ_VECTORS; i++) acc[i] += p[i];
    for (int i = 0; i < PEAK_READ_VECTORS; i++) sum += acc[i];
    return sum;
}

const gi_peak_reading gi_peak_readings[GI_PEAK_READINGS_N] = {
    {"64-bit, 1 stream", "r64x1", 0, read_plain},
    {"256-bit, 1 stream", "r256x1", GI_CPU_AVX2, gi_peak_read_avx2_x1},
    {"256-bit, 2 streams", "r256x2", GI_CPU_AVX2, gi_peak_read_avx2_x2},
    {"256-bit, 4 streams", "r256x4", GI_CPU_AVX2, gi_peak_read_avx2_x4},
    {"256-bit, 1 stream, prefetch", "r256x1p", GI_CPU_AVX2, gi_peak_read_avx2_x1_ahead},
    {"256-bit, 2 streams, prefetch", "r256x2p", GI_CPU_AVX2, gi_peak_read_avx2_x2_ahead},
    {"256-bit, 4 streams, prefetch", "r256x4p", GI_CPU_AVX2, gi_peak_read_avx2_x4_ahead},
    {"512-bit, 1 stream", "r512x1", GI_CPU_AVX512, gi_peak_read_avx512_x1},
    {"512-bit, 2 streams", "r512x2", GI_CPU_AVX512, gi_peak_read_avx512_x2},
    {"512-bit, 4 streams", "r512x4", GI_CPU_AVX512, gi_peak_read_avx512_x4},
    {"512-bit, 1 stream, prefetch", "r512x1p", GI_CPU_AVX512, gi_peak_read_avx512_x1_ahead},
    {"512-bit, 2 streams, prefetch", "r512x2p", GI_CPU_AVX512, gi_peak_read_avx512_x2_ahead},
    {"512-bit, 4 streams, prefetch", "r512x4p", GI_CPU_AVX512, gi_peak_read_avx512_x4_ahead},
};
