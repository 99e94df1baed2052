/**
 * @file
 * Numbers in files and on wires, least significant byte first.
 */
#ifndef GI_BASE_LITTLE_ENDIAN_H
#define GI_BASE_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

/** Write the lowest n_bytes (1..8) of `value`. */
static inline void gi_le_put(uint8_t *to, uint64_t value, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

/** Read a number of n_bytes (1..8). */
static inline uint64_t gi_le_get(const uint8_t *from, size_t n_bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < n_bytes; i++) value |= (uint64_t)from[i] << 8 * i;
    return value;
}

#endif
