/*
 * One pass over the output; normalising is a table look-up.
 */
#include "image/patchify.h"

static void cut_patch(float table[3][256], const uint8_t *corner, size_t row_bytes, uint32_t side,
                      float *out) {
    for (int c = 0; c < 3; c++) {
        for (uint32_t y = 0; y < side; y++) {
            const uint8_t *p = corner + y * row_bytes + c;
            for (uint32_t x = 0; x < side; x++, p += 3) *out++ = table[c][*p];
        }
    }
}

void gi_patchify(const gi_image_spec *spec, const uint8_t *pixels, uint32_t width, uint32_t height,
                 float *rows) {
    float table[3][256];
    for (int c = 0; c < 3; c++) {
        const float mean = spec->mean[c] * 255.0f, std = spec->std[c] * 255.0f;
        for (int v = 0; v < 256; v++) table[c][v] = ((float)v - mean) / std;
    }
    const uint32_t patch = spec->patch_px, merge = spec->merge, block = patch * merge;
    const size_t row_bytes = (size_t)width * 3, patch_floats = (size_t)3 * patch * patch;
    for (uint32_t block_y = 0; block_y < height; block_y += block) {
        for (uint32_t block_x = 0; block_x < width; block_x += block) {
            for (uint32_t i = 0; i < merge * merge; i++) {
                const uint32_t y = block_y + i / merge * patch, x = block_x + i % merge * patch;
                cut_patch(table, pixels + y * row_bytes + (size_t)x * 3, row_bytes, patch, rows);
                rows += patch_floats;
            }
        }
    }
}
