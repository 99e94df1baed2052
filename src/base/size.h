/**
 * @file
 * The smaller and the larger of two sizes.
 */
#ifndef GI_BASE_SIZE_H
#define GI_BASE_SIZE_H

#include <stddef.h>

static inline size_t gi_min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline size_t gi_max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

#endif
