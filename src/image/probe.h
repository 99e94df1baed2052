/**
 * @file
 * The size a picture says it has, read from its first bytes without a codec: what a request will
 * cost, known before it is paid for. The decoder still holds every limit; this decides none.
 */
#ifndef GI_IMAGE_PROBE_H
#define GI_IMAGE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Width and height as stored (before EXIF turns it); of an animation, of its canvas.
 * @return false, leaving both alone, when the bytes are none of the four formats or end too early.
 * Linear in the bytes before a JPEG's frame header, constant for the others. Any thread.
 */
bool gi_image_probe(const void *bytes, size_t n_bytes, uint32_t *ret_width, uint32_t *ret_height);

#endif
