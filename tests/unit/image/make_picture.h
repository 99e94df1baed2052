/*
 * Small pictures of every kind, written by the tests themselves: PNG and GIF byte by byte, so that
 * broken ones can be made too; JPEG and WebP through their libraries.
 */
#ifndef TESTS_MAKE_PICTURE_H
#define TESTS_MAKE_PICTURE_H

#include "../cm.h"

#include "base/buf.h"

/* All return a buffer the caller gi_buf_done()s. */

/* A PNG under construction: signature, then chunks in any order. */
gi_buf png_begin(void);
void png_chunk_add(gi_buf *png, const char *type, const void *data, size_t n_bytes);
void png_ihdr(gi_buf *png, uint32_t width, uint32_t height, int depth, int colour, int interlace);
/* IDAT of raw scan lines, each with its filter byte. */
void png_idat(gi_buf *png, const void *lines, size_t n_bytes);
void png_end(gi_buf *png);

/* An 8-bit RGB PNG of `pixels`. */
gi_buf png_of_rgb(const uint8_t *pixels, uint32_t width, uint32_t height);

/* A JPEG at quality 95. channels: 1 grey, 3 RGB, 4 CMYK as Adobe stores it (inverted). exif: an
 * EXIF block with "Exif\0\0" before it, or NULL. */
gi_buf jpeg_of(const uint8_t *pixels, uint32_t width, uint32_t height, int channels,
               int progressive, const void *exif, size_t n_exif_bytes);

/* A lossless WebP of RGB or RGBA pixels. */
gi_buf webp_of(const uint8_t *pixels, uint32_t width, uint32_t height, int channels);

/* A GIF of one frame at (left, top) on a canvas. colours: RGB, n_colours of them (2, 4, .. 256), 0
 * for none; transparent: an index, or -1. */
typedef struct gif_frame {
    uint16_t canvas_w, canvas_h, left, top, width, height;
    const uint8_t *colours;
    int n_colours, transparent, interlaced;
    const uint8_t *indexes; /* [height, width], in storage order */
} gif_frame;
gi_buf gif_of(const gif_frame *frame);

/* An EXIF block with one orientation entry; type 3 = SHORT. */
gi_buf exif_of(int big_endian, uint32_t value, int type, uint32_t count);

/* Repeatable noise. */
void fill_noise(uint8_t *bytes, size_t n, uint32_t seed);

#endif
