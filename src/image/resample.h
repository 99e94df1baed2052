/**
 * @file
 * Antialiased bicubic resize of 8-bit RGB.
 *
 * Separable: the upright picture's columns first, then its rows, with values rounded and clamped to
 * 8 bits in between. Per axis, in double:
 *     scale = in / out, support = 2 * max(scale, 1), center(i) = scale * (i + 0.5)
 *     taps lo = max(trunc(center - support + 0.5), 0) up to min(trunc(center + support + 0.5), in)
 *     w[j] = cubic((lo + j - center + 0.5) / max(scale, 1)), divided by their sum; Keys, a = -0.5
 * then as int16 with one number of fraction bits per axis, the most that its largest weight
 * allows (at most 22). Sums are int32 and exact, so the result does not depend on their order.
 * Source: PyTorch, aten/src/ATen/native/cpu/UpSampleKernel.cpp, which torchvision's resize runs for
 * uint8 on a CPU; equal to it in every byte. Pillow's bicubic differs from it by a level here
 * and there.
 */
#ifndef GI_IMAGE_RESAMPLE_H
#define GI_IMAGE_RESAMPLE_H

#include "image/raster.h"

#include "base/fail.h"

/**
 * Resize and turn upright in one go.
 *
 * Equal to turning first and resizing then: mirrored axes use mirrored weights, and swapped
 * ones change the order of the passes, so the full-size picture is never copied.
 *
 * @param src    3 channels.
 * @param width, height of the upright result, 1..2^24.
 * @param out    u8 [height, width, 3], written in full.
 * @return GLINT_ERR_MEMORY.
 * Threads: pure. Memory: one picture between the passes.
 */
glint_status gi_resample(const gi_raster *src, uint32_t width, uint32_t height, uint8_t *out,
                         glint_error *err);

#endif
