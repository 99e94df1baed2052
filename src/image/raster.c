/*
 * Alpha on white.
 */
#include "image/raster.h"

#include <stddef.h>

void gi_raster_flatten(gi_raster *r) {
    if (r->channels != 4) return;
    const size_t n = (size_t)r->width * r->height;
    const uint8_t *src = r->pixels;
    uint8_t *dst = r->pixels;
    for (size_t i = 0; i < n; i++, src += 4, dst += 3) {
        const uint32_t a = src[3], white = 255 * (255 - a) + 128;
        const uint32_t red = src[0] * a + white, green = src[1] * a + white,
                       blue = src[2] * a + white;
        dst[0] = (uint8_t)((red + (red >> 8)) >> 8);
        dst[1] = (uint8_t)((green + (green >> 8)) >> 8);
        dst[2] = (uint8_t)((blue + (blue >> 8)) >> 8);
    }
    r->channels = 3;
}
