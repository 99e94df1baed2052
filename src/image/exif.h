/**
 * @file
 * The one thing glint reads from EXIF: how a picture is to be turned.
 */
#ifndef GI_IMAGE_EXIF_H
#define GI_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/**
 * The orientation 1..8 in an EXIF block (a TIFF header and its first directory), with or without
 * "Exif\0\0" before it. 1 when there is none, or anything about it is wrong: a picture is never
 * refused for its EXIF.
 *
 * Only the first directory is looked at and no pointer but the one to it is followed, so nothing
 * can loop. Threads: pure.
 */
uint32_t gi_exif_orientation(const uint8_t *bytes, size_t n_bytes);

#endif
