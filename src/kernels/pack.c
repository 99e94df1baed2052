/*
 * Packing, once per weight at load. Not a tier's business: it is bound by memory.
 */
#include "kernels/pack.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Magnitudes as bits are in the order of their values, and NaN is above infinity. */
static float max_magnitude(const float *x, size_t n) {
    int32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t bits = (int32_t)(gi_f32_to_bits(x[i]) & 0x7FFFFFFFu);
        max = bits > max ? bits : max;
    }
    return gi_bits_to_f32((uint32_t)max);
}

/* The nearest integer to v in -127..127, plus 128. Added to 1.5 * 2^23, v is rounded to an integer
 * and ends up in the lowest bits; a compiler makes vectors of that, of lrintf() it does not. */
static inline uint8_t nearest_byte(float v) {
    return (uint8_t)(gi_f32_to_bits(v + 0x1.8p23f) ^ 0x80u);
}

void gi_pack_panel_s8(uint8_t *panel, float *scales, const void *const *rows, size_t n_rows,
                      gi_dtype type, size_t n_cols, gi_widen_fn widen, float *scratch) {
    enum { STRIP = 256 };
    uint8_t strip[STRIP];
    memset(panel, 128, gi_pack_units_s8(n_cols) * GI_UNIT_BYTES); /* stands for 0 */
    for (size_t j = 0; j < GI_TILE_N; j++) scales[j] = 0;
    for (size_t j = 0; j < n_rows; j++) {
        widen(scratch, rows[j], type, n_cols);
        const float max = max_magnitude(scratch, n_cols);
        if (max < GI_QUANTIZE_MIN) continue;
        scales[j] = max <= FLT_MAX ? max / 127.0f : NAN;
        if (isnan(scales[j])) continue;
        const float to_q = 127.0f / max;
        for (size_t k = 0; k < n_cols; k += STRIP) {
            const size_t n = n_cols - k < STRIP ? n_cols - k : STRIP;
            for (size_t i = 0; i < n; i++) strip[i] = nearest_byte(scratch[k + i] * to_q);
            uint8_t *unit = panel + k / 4 * GI_UNIT_BYTES + 4 * j;
            for (size_t i = 0; i < n; i += 4, unit += GI_UNIT_BYTES)
                memcpy(unit, strip + i, n - i < 4 ? n - i : 4);
        }
    }
}

void gi_pack_panel_bf16(uint16_t *panel, const void *const *rows, size_t n_rows, gi_dtype type,
                        size_t n_cols, gi_widen_fn widen, float *scratch) {
    memset(panel, 0, gi_pack_units_bf16(n_cols) * GI_UNIT_BYTES);
    for (size_t j = 0; j < n_rows; j++) {
        const uint16_t *bits = rows[j];
        if (type != GI_DTYPE_BF16) widen(scratch, rows[j], type, n_cols);
        for (size_t k = 0; k < n_cols; k++)
            panel[k / 2 * (GI_UNIT_BYTES / 2) + 2 * j + k % 2] =
                type == GI_DTYPE_BF16 ? bits[k] : gi_f32_to_bf16(scratch[k]);
    }
}
