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

/** Reading cuts its bytes into as many streams as a pattern has, each in steps of vectors. */
#define GI_PEAK_READ_STEP_BYTES 2048

/**
 * Sum n_bytes at `data`, reading each byte once.
 *
 * @param data 64-byte aligned; n_bytes a multiple of GI_PEAK_READ_STEP_BYTES.
 * @return the sum of the 64-bit words, wrapped: nothing was left out if it is right.
 */
typedef unsigned long long (*gi_peak_read_fn)(const void *data, size_t n_bytes);

/**
 * One pattern of reading. Which is the fastest differs from processor to processor: wider loads
 * are not always quicker, several streams keep more requests under way but take more of the
 * prefetcher's notice, and asking ahead helps where it stops at the end of a page.
 */
typedef struct gi_peak_reading {
    const char *name; /**< "256-bit, 2 streams, prefetch" */
    const char *key;  /**< "r256x2p", for programs */
    unsigned cpu;     /**< gi_cpu_flag bits it needs */
    gi_peak_read_fn run;
} gi_peak_reading;

/** All patterns; the first runs on any x86-64. */
#define GI_PEAK_READINGS_N 13
extern const gi_peak_reading gi_peak_readings[GI_PEAK_READINGS_N];

/* One function per tier, each in its own file with its own instruction set. */
double gi_peak_f32_avx2(size_t n_rounds);
double gi_peak_s8_avx2(size_t n_rounds);
double gi_peak_f32_avx512(size_t n_rounds);
double gi_peak_s8_avx512vnni(size_t n_rounds);
double gi_peak_bf16_avx512bf16(size_t n_rounds);
unsigned long long gi_peak_read_avx2_x1(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx2_x1_ahead(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx2_x2(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx2_x2_ahead(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx2_x4(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx2_x4_ahead(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx512_x1(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx512_x1_ahead(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx512_x2(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx512_x2_ahead(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx512_x4(const void *data, size_t n_bytes);
unsigned long long gi_peak_read_avx512_x4_ahead(const void *data, size_t n_bytes);

#endif
