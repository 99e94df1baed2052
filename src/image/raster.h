/**
 * @file
 * Decoded pixels, before they are turned upright.
 */
#ifndef GI_IMAGE_RASTER_H
#define GI_IMAGE_RASTER_H

#include <stdint.h>

/** Rows of R,G,B or R,G,B,A bytes without padding. Alpha is straight, not premultiplied. */
typedef struct gi_raster {
    uint8_t *pixels; /**< u8 [height, width, channels]; gi_alloc */
    uint32_t width, height;
    uint32_t channels; /**< 3 or 4 */
    /**
     * EXIF orientation 1..8: how the stored rows lie. 1 upright, 2 mirrored left to right, 3 upside
     * down, 4 mirrored top to bottom; 5..8 have rows and columns swapped as well.
     * Source: CIPA DC-008 (Exif 2.32), 4.6.4.A, tag 274.
     */
    uint32_t orientation;
} gi_raster;

/** True when the stored rows are columns of the upright picture. */
static inline int gi_raster_is_transposed(const gi_raster *r) {
    return r->orientation >= 5;
}

/**
 * Put a picture with alpha on white and drop the alpha, in place: channels becomes 3.
 * v = (c * a + 255 * (255 - a)) / 255, rounded to nearest (halves up), exactly as Pillow's
 * alpha_composite over opaque white.
 */
void gi_raster_flatten(gi_raster *r);

#endif
