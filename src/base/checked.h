/**
 * @file
 * Checked arithmetic on sizes. Every size that comes from a file, a request or a flag passes
 * through these before it is used.
 */
#ifndef GI_BASE_CHECKED_H
#define GI_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** *ret = a * b. Returns false, leaving *ret alone, when the product does not fit. */
static inline bool gi_mul_size(size_t a, size_t b, size_t *ret) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *ret = r;
    return true;
}

/** *ret = a + b. Returns false, leaving *ret alone, when the sum does not fit. */
static inline bool gi_add_size(size_t a, size_t b, size_t *ret) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *ret = r;
    return true;
}

/** *ret = a * b for 64-bit file sizes. Returns false, leaving *ret alone, on overflow. */
static inline bool gi_mul_u64(uint64_t a, uint64_t b, uint64_t *ret) {
    uint64_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *ret = r;
    return true;
}

/** *ret = a + b for 64-bit file sizes. Returns false, leaving *ret alone, on overflow. */
static inline bool gi_add_u64(uint64_t a, uint64_t b, uint64_t *ret) {
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *ret = r;
    return true;
}

/** Round n up to a multiple of `to` (a power of two). n must be below SIZE_MAX - to. */
static inline size_t gi_round_up(size_t n, size_t to) {
    return (n + to - 1) & ~(to - 1);
}

#endif
