/*
 * What the loops share: how many accumulators hide the latency of a multiply-add. On Zen 4 and on
 * Intel's cores it takes 4 cycles and two may begin in each: 8 chains are the least, and 12 leave
 * two of AVX2's 16 registers for the operands and two to spare.
 */
#ifndef GI_KERNELS_PEAK_PEAK_LOOPS_H
#define GI_KERNELS_PEAK_PEAK_LOOPS_H

enum {
    PEAK_CHAINS = 12,
    PEAK_BYTE_CHAINS = 6,    /* of AVX2 bytes: the addition takes 1 cycle, the rest is no chain */
    PEAK_MULTIPLY_ADD = 2,   /* operations */
    PEAK_READ_VECTORS = 8,   /* summed a step, over all streams */
    PEAK_AHEAD_BYTES = 2048, /* how far ahead a pattern with prefetch asks: half a page */
    PEAK_LINE_BYTES = 64,
};

/* Keeps the compiler from knowing a register's value, so that no chain can be folded away. */
#define PEAK_OPAQUE(vector) __asm__ volatile("" : "+v"(vector))

#endif
