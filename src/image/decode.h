/**
 * @file
 * Encoded bytes to pixels, within limits.
 *
 * The four codecs (decode_jpeg.c, decode_png.c, decode_webp.c, decode_gif.c) see a job: they
 * announce the size as soon as they have read it (gi_decode_check_size), ask for the pixels
 * (gi_decode_alloc), and look at the clock between rows (gi_decode_is_late).
 */
#ifndef GI_IMAGE_DECODE_H
#define GI_IMAGE_DECODE_H

#include "image/raster.h"
#include "image/refusal.h"

#include <stdbool.h>

/** One picture being decoded. */
typedef struct gi_decode_job {
    const uint8_t *bytes;
    size_t n_bytes;
    gi_image_limits limits;
    size_t bytes_left;     /**< of limits.decode_bytes_max, after what is in use */
    uint64_t cpu_start_ns; /**< of this thread */
    gi_raster raster;
    gi_format format;
} gi_decode_job;

/**
 * What can be told without a codec: no bytes, too many bytes, none of the four formats; else
 * GI_REFUSAL_NONE with the format.
 */
gi_verdict gi_sniff(const uint8_t *bytes, size_t n_bytes, const gi_image_limits *limits);

/**
 * Decode one picture as stored, alpha and orientation kept apart.
 *
 * @param ret untouched on a refusal; ret->pixels are the caller's (gi_free).
 * Pixels are what Pillow's convert("RGB") (or "RGBA", with alpha) makes of the file, except
 * that 16-bit grey is reduced to its high byte, as 16-bit colour is, where Pillow clips.
 * Animations give their first frame.
 * Threads: any number at once.
 */
gi_verdict gi_decode(const void *bytes, size_t n_bytes, const gi_image_limits *limits,
                     gi_raster *ret);

/* For the codecs: */

/** Hold the size against the limits. Both sides must be in 0..UINT32_MAX; 0 is broken. */
gi_refusal gi_decode_check_size(gi_decode_job *d, uint64_t width, uint64_t height);

/**
 * Get zeroed pixels of the checked size with 3 or 4 channels. `working_bytes` is what the codec
 * itself will need beside them; both come off the memory limit.
 */
gi_refusal gi_decode_alloc(gi_decode_job *d, uint32_t channels, size_t working_bytes);

/** True when the CPU time is used up. Cheap enough for every few rows. */
bool gi_decode_is_late(const gi_decode_job *d);

/** Row y of the pixels. */
static inline uint8_t *gi_decode_row(const gi_decode_job *d, uint32_t y) {
    return d->raster.pixels + (size_t)y * d->raster.width * d->raster.channels;
}

/** Rows between two looks at the clock. */
#define GI_DECODE_CLOCK_ROWS 16

gi_refusal gi_decode_jpeg(gi_decode_job *d);
gi_refusal gi_decode_png(gi_decode_job *d);
gi_refusal gi_decode_webp(gi_decode_job *d);
gi_refusal gi_decode_gif(gi_decode_job *d);

#endif
