/**
 * @file
 * What the machine could do at best: loops that do nothing but multiply and add, operands in
 * registers, and loops that do nothing but read. The measured rate of such a loop is the ceiling
 * that a kernel's rate is quoted against.
 */
#ifndef GI_KERNELS_PEAK_PEAK_H
#define GI_KERNELS_PEAK_PEAK_H

#include <stddef.h>

/**
 * Run a loop of n_rounds rounds.
 * @return a value made of every accumulator, so that no multiplication can be left out.
 */
typedef double (*gi_peak_fn)(size_t n_rounds);

/** One kind of arithmetic. A multiply-add counts as two operations. */
typedef struct gi_peak {
    const char *name; /**< "INT8 VNNI", for people */
    const char *key;  /**< "s8_avx512vnni", for programs */
    const char *unit; /**< of 10^9 operations a second: "GOP/s" or "GFLOP/s" */
    unsigned cpu;     /**< gi_cpu_flag bits it needs */
    size_t ops_per_round;
    gi_peak_fn run;
} gi_peak;

/** All kinds, in rising order of tier. */
#define GI_PEAKS_N 5
extern const gi_peak gi_peaks[GI_PEAKS_N];

/**
 * Sum n_bytes at `data`, reading each byte once, in order, with the widest loads of the tier.
 *
 * @param data    64-byte aligned; n_bytes a multiple of 512.
 * @param cpu     gi_cpu_flag bits that may be used.
 * @return the sum of the 64-bit words, wrapped: nothing was left out if it is right.
 */
unsigned long long gi_peak_read(const void *data, size_t n_bytes, unsigned cpu);

/* One function per tier, each in its own file with its own instruction set. */
double gi_peak_f32_avx2(size_t n_rounds);
double gi_peak_s8_avx2(size_t n_rounds);
double gi_peak_f32_avx512(size_t n_rounds);
double gi_peak_s8_avx512vnni(size_t n_rounds);
double gi_peak_bf16_avx512bf16(size_t n_rounds);
unsigned long long gi_peak_read_avx2(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx512(const void *data, size_t n_bytes);

#endif
