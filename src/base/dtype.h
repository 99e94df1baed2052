/**
 * @file
 * Number formats of checkpoint tensors and their conversion to float, one element at a time.
 */
#ifndef GI_BASE_DTYPE_H
#define GI_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum gi_dtype { GI_DTYPE_F32, GI_DTYPE_BF16, GI_DTYPE_F16, GI_DTYPE_S8 } gi_dtype;

/** Bytes of one element. */
static inline size_t gi_dtype_bytes(gi_dtype t) {
    return t == GI_DTYPE_F32 ? 4 : t == GI_DTYPE_S8 ? 1 : 2;
}

/** "F32", "BF16", "F16", "I8": the names safetensors uses. */
static inline const char *gi_dtype_name(gi_dtype t) {
    static const char *const names[] = {"F32", "BF16", "F16", "I8"};
    return names[t];
}

static inline float gi_bits_to_f32(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t gi_f32_to_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/** BF16 is the upper half of an F32: exact. */
static inline float gi_bf16_to_f32(uint16_t h) {
    return gi_bits_to_f32((uint32_t)h << 16);
}

/** Round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t gi_f32_to_bf16(float f) {
    const uint32_t b = gi_f32_to_bits(f);
    if ((b & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(b >> 16 | 0x40u);
    return (uint16_t)((b + 0x7FFFu + (b >> 16 & 1u)) >> 16);
}

/** IEEE 754 binary16, subnormals, infinities and NaN included: exact. */
static inline float gi_f16_to_f32(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t rest = h & 0x7FFFu;
    if (rest >= 0x7C00u) return gi_bits_to_f32(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    if (rest >= 0x0400u) return gi_bits_to_f32(sign | ((rest << 13) + ((127u - 15u) << 23)));
    const float f = (float)rest * 0x1p-24f;
    return sign ? -f : f;
}

#endif
