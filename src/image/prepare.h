/**
 * @file
 * The picture funnel: encoded bytes in, patches for the vision tower out. Every picture, wherever
 * it came from, passes through gi_image_prepare, and every limit lives here.
 *
 *     bytes -> sniff -> limits -> decode -> on white -> cap -> upright resize -> patches
 *              \____________ decoder process ______/
 */
#ifndef GI_IMAGE_PREPARE_H
#define GI_IMAGE_PREPARE_H

#include "base/fail.h"

#include <stddef.h>
#include <stdint.h>

/** What a picture may cost. gi_image_limits_default fills in the documented defaults. */
typedef struct gi_image_limits {
    size_t file_bytes_max;      /**< encoded size */
    uint32_t side_px_max;       /**< width or height */
    uint64_t pixels_max;        /**< width * height */
    uint32_t aspect_max;        /**< longer side / shorter side */
    uint32_t decode_cpu_ms_max; /**< CPU time of decoding */
    size_t decode_bytes_max;    /**< memory of decoding: pixels and the decoder's own */
    uint32_t jpeg_scans_max;    /**< scans of a progressive JPEG */
} gi_image_limits;

/** What the model wants, from preprocessor_config.json. */
typedef struct gi_image_spec {
    uint32_t patch_px;     /**< 14 */
    uint32_t merge;        /**< 2: patches per merge block and side */
    uint32_t temporal;     /**< 2: frames a still image counts as in the two bounds below */
    uint64_t pixels_min;   /**< "shortest_edge": frames * px * px */
    uint64_t pixels_max;   /**< "longest_edge": frames * px * px */
    float mean[3], std[3]; /**< per channel, of values 0..1 */
} gi_image_spec;

/** A prepared picture. */
typedef struct gi_patches {
    float *rows; /**< f32 [grid_h * grid_w, 3 * patch * patch]; merge-block order; owned */
    uint32_t grid_h, grid_w;     /**< in patches; multiples of `merge` */
    uint32_t source_w, source_h; /**< upright source size, px */
    double decode_ms, preprocess_ms;
} gi_patches;

/** Decoder processes that pictures are decoded in; see decoder.h. */
typedef struct gi_decoder gi_decoder;

/** The limits glint documents: 10 MiB, 40 Mpx, 16,384 px, aspect 200, 1 s, 256 MiB, 100 scans. */
gi_image_limits gi_image_limits_default(void);

/**
 * Decode, turn upright, put on white, cap, resize, normalise, patchify.
 *
 * @param limits      at most those the decoder was created with.
 * @param max_side_px longest side after the cap (>= 1); the picture is scaled down to it, never
 *                    up, and never to a shorter side below one merge block, because the model's
 *                    own rule would scale that up again. Cap and model size are reached in one
 *                    resize straight from the decoded picture.
 * @param decoder     where to decode; NULL decodes in this process, for trusted pictures, tests
 *                    and sanitizers. There, CPU time is checked between rows, and not at all
 *                    inside a WebP.
 * @param ret         untouched on failure; the caller calls gi_patches_done.
 * @return GLINT_ERR_UNSUPPORTED (no picture glint reads), GLINT_ERR_FORMAT (broken),
 *         GLINT_ERR_LIMIT (over one of `limits`), GLINT_ERR_MEMORY, GLINT_ERR_ARG (spec or
 *         max_side_px make no sense), GLINT_ERR_INTERNAL (no decoder process can be had).
 *         Messages are fixed texts of glint, never a library's.
 * Threads: any number at once.
 */
glint_status gi_image_prepare(const void *bytes, size_t n_bytes, const gi_image_spec *spec,
                              const gi_image_limits *limits, uint32_t max_side_px,
                              gi_decoder *decoder, gi_patches *ret, glint_error *err);

/** Free the rows. A zeroed record is fine. */
void gi_patches_done(gi_patches *p);

#endif
