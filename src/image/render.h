/**
 * @file
 * Encoded bytes to an upright picture of the size the model wants: all the work that depends on
 * what a stranger sent. A function without state, run in a decoder process or, when the caller
 * trusts the picture, directly.
 */
#ifndef GI_IMAGE_RENDER_H
#define GI_IMAGE_RENDER_H

#include "image/refusal.h"

/** Largest picture made, in pixels; the largest of GLM-4.6V-Flash has 4.8 million. */
#define GI_RENDER_PIXELS_MAX ((size_t)1 << 24)

/** What to make. */
typedef struct gi_render_request {
    gi_image_limits limits;
    gi_image_spec spec;   /**< checked by gi_image_spec_check */
    uint32_t max_side_px; /**< >= 1 */
} gi_render_request;

/** The picture. */
typedef struct gi_rendering {
    uint8_t *pixels;             /**< u8 [height, width, 3], upright */
    uint32_t width, height;      /**< multiples of a merge block, <= GI_RENDER_PIXELS_MAX px */
    uint32_t source_w, source_h; /**< upright source size, px */
    double resize_ms;            /**< wall time of the part after decoding */
} gi_rendering;

/**
 * Decode, put on white, choose the size, resize and turn upright.
 *
 * @param ret untouched on a refusal; ret->pixels are the caller's (gi_free).
 * Threads: any number at once.
 */
gi_verdict gi_render(const void *bytes, size_t n_bytes, const gi_render_request *request,
                     gi_rendering *ret);

/**
 * The size that gi_render gives a picture whose upright size is source_w x source_h, both 1..2^24.
 * GI_REFUSAL_ASPECT as the model's rule has it, GI_REFUSAL_BYTES above GI_RENDER_PIXELS_MAX.
 */
gi_refusal gi_render_size(const gi_render_request *request, uint32_t source_w, uint32_t source_h,
                          uint32_t *ret_width, uint32_t *ret_height);

#endif
