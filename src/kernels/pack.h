/**
 * @file
 * Weights into packed panels: see "packed products" in kernels.h for the layout.
 */
#ifndef GI_KERNELS_PACK_H
#define GI_KERNELS_PACK_H

#include "kernels/kernels.h"

/** Panels that n_rows outputs fill. */
static inline size_t gi_pack_panels(size_t n_rows) {
    return (n_rows + GI_TILE_N - 1) / GI_TILE_N;
}

/** Units that n_cols columns fill. */
static inline size_t gi_pack_units_s8(size_t n_cols) {
    return (n_cols + 3) / 4;
}
static inline size_t gi_pack_units_bf16(size_t n_cols) {
    return (n_cols + 1) / 2;
}

/**
 * Quantise and pack up to 64 weight rows into one INT8 panel: each row has its own scale,
 * max |w| / 127, and w = round(row / scale).
 *
 * @param panel  u8 [gi_pack_units_s8(n_cols), 64, 4], written in full.
 * @param scales f32 [64]; 0 for rows past n_rows and for rows below GI_QUANTIZE_MIN. A row that is
 *               not finite gets NaN, so that its products are not taken for numbers.
 * @param rows   [n_rows] pointers to weight rows of `type`, n_cols long.
 * @param widen  the conversion to use.
 * @param scratch f32 [n_cols].
 */
void gi_pack_panel_s8(uint8_t *panel, float *scales, const void *const *rows, size_t n_rows,
                      gi_dtype type, size_t n_cols, gi_widen_fn widen, float *scratch);

/** Round and pack up to 64 weight rows into one BF16 panel [gi_pack_units_bf16(n_cols), 64, 2]. */
void gi_pack_panel_bf16(uint16_t *panel, const void *const *rows, size_t n_rows, gi_dtype type,
                        size_t n_cols, gi_widen_fn widen, float *scratch);

#endif
