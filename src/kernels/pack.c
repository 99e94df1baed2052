/*
 * Packing, once per weight at load. Not a tier's business: it is bound by memory.
 */
#include "kernels/pack.h"

#include <math.h>
#include <string.h>

void gi_pack_panel_s8(uint8_t *panel, float *scales, const void *const *rows, size_t n_rows,
                      gi_dtype type, size_t n_cols, gi_widen_fn widen, float *scratch) {
    /* 128 stands for 0. */
    memset(panel, 128, gi_pack_units_s8(n_cols) * GI_UNIT_BYTES);
    for (size_t j = 0; j < GI_TILE_N; j++) scales[j] = 0;
    for (size_t j = 0; j < n_rows; j++) {
        widen(scratch, rows[j], type, n_cols);
        float max = 0;
        for (size_t k = 0; k < n_cols; k++) max = fabsf(scratch[k]) > max ? fabsf(scratch[k]) : max;
        if (!(max > 0) || !isfinite(max)) continue;
        scales[j] = max / 127.0f;
        const float to_q = 127.0f / max;
        for (size_t k = 0; k < n_cols; k++)
            panel[k / 4 * GI_UNIT_BYTES + 4 * j + k % 4] =
                (uint8_t)(128 + (int)lrintf(scratch[k] * to_q));
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
