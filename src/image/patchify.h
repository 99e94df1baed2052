/**
 * @file
 * Pixels to the rows the vision tower eats.
 */
#ifndef GI_IMAGE_PATCHIFY_H
#define GI_IMAGE_PATCHIFY_H

#include "image/prepare.h"

/**
 * Normalise and cut into patches: value = (u8 - mean * 255) / (std * 255) in F32.
 *
 * The published layout repeats each patch for two frames; a still picture's frames are equal, so
 * one is kept (the kernel's two halves are added at load).
 * Source: transformers, models/glm46v/image_processing_glm46v.py, _preprocess().
 *
 * @param pixels u8 [height, width, 3]; both sides multiples of patch * merge.
 * @param rows   f32 [height / patch * width / patch, 3 * patch * patch]: values in the order
 * channel, y, x; patches in the order (block row, block column, row in block, column in block), so
 * that each merge block is contiguous. Threads: pure.
 */
void gi_patchify(const gi_image_spec *spec, const uint8_t *pixels, uint32_t width, uint32_t height,
                 float *rows);

#endif
