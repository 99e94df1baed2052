/*
 * See make_picture.h.
 */
#include "make_picture.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <webp/encode.h>
#include <zlib.h>

enum { BUF_BYTES_MAX = 256 << 20 };

static gi_buf new_buf(void) {
    gi_buf b;
    gi_buf_init(&b, BUF_BYTES_MAX);
    return b;
}

static void add(gi_buf *b, const void *bytes, size_t n) {
    assert_int_equal(gi_buf_push(b, bytes, n, NULL), GLINT_OK);
}

static void add_be32(gi_buf *b, uint32_t v) {
    const uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
                              (uint8_t)v};
    add(b, bytes, 4);
}

static void add_le16(gi_buf *b, uint32_t v) {
    const uint8_t bytes[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    add(b, bytes, 2);
}

gi_buf png_begin(void) {
    gi_buf png = new_buf();
    add(&png, "\x89PNG\r\n\x1a\n", 8);
    return png;
}

void png_chunk_add(gi_buf *png, const char *type, const void *data, size_t n_bytes) {
    add_be32(png, (uint32_t)n_bytes);
    const size_t start = png->len;
    add(png, type, 4);
    if (n_bytes) add(png, data, n_bytes);
    add_be32(png, (uint32_t)crc32(0, png->data + start, (uInt)(png->len - start)));
}

void png_ihdr(gi_buf *png, uint32_t width, uint32_t height, int depth, int colour, int interlace) {
    gi_buf b = new_buf();
    const uint8_t rest[5] = {(uint8_t)depth, (uint8_t)colour, 0, 0, (uint8_t)interlace};
    add_be32(&b, width);
    add_be32(&b, height);
    add(&b, rest, 5);
    png_chunk_add(png, "IHDR", b.data, b.len);
    gi_buf_done(&b);
}

void png_idat(gi_buf *png, const void *lines, size_t n_bytes) {
    uLongf n = compressBound((uLong)n_bytes);
    uint8_t *packed = gi_alloc(n);
    assert_int_equal(compress2(packed, &n, lines, (uLong)n_bytes, 1), Z_OK);
    png_chunk_add(png, "IDAT", packed, n);
    gi_free(packed);
}

void png_end(gi_buf *png) {
    png_chunk_add(png, "IEND", NULL, 0);
}

gi_buf png_of_rgb(const uint8_t *pixels, uint32_t width, uint32_t height) {
    gi_buf png = png_begin(), lines = new_buf();
    png_ihdr(&png, width, height, 8, 2, 0);
    for (uint32_t y = 0; y < height; y++) {
        add(&lines, "\0", 1);
        add(&lines, pixels + (size_t)y * width * 3, (size_t)width * 3);
    }
    png_idat(&png, lines.data, lines.len);
    png_end(&png);
    gi_buf_done(&lines);
    return png;
}

gi_buf jpeg_of(const uint8_t *pixels, uint32_t width, uint32_t height, int channels,
               int progressive, const void *exif, size_t n_exif_bytes) {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    unsigned long n_out = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &out, &n_out);
    c.image_width = width;
    c.image_height = height;
    c.input_components = channels;
    c.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 95, TRUE);
    if (progressive) jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    if (exif) jpeg_write_marker(&c, JPEG_APP0 + 1, exif, (unsigned)n_exif_bytes);
    while (c.next_scanline < height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)pixels + (size_t)c.next_scanline * width * (size_t)channels;
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    gi_buf b = new_buf();
    add(&b, out, n_out);
    free(out);
    return b;
}

gi_buf webp_of(const uint8_t *pixels, uint32_t width, uint32_t height, int channels) {
    uint8_t *out = NULL;
    const int w = (int)width, h = (int)height;
    const size_t n = channels == 3 ? WebPEncodeLosslessRGB(pixels, w, h, 3 * w, &out)
                                   : WebPEncodeLosslessRGBA(pixels, w, h, 4 * w, &out);
    assert_int_not_equal(n, 0);
    gi_buf b = new_buf();
    add(&b, out, n);
    WebPFree(out);
    return b;
}

/* LZW without compression: 9-bit codes, with a clear code often enough for them to stay so. */
static gi_buf gif_codes(const uint8_t *indexes, size_t n) {
    enum { CLEAR = 256, END = 257, BETWEEN_CLEARS = 200 };
    gi_buf b = new_buf();
    uint32_t bits = 0;
    int n_bits = 0;
    for (size_t i = 0; i <= n; i++) {
        uint32_t codes[2];
        int n_codes = 0;
        if (i % BETWEEN_CLEARS == 0) codes[n_codes++] = CLEAR;
        codes[n_codes++] = i < n ? indexes[i] : END;
        for (int k = 0; k < n_codes; k++) {
            bits |= codes[k] << n_bits;
            for (n_bits += 9; n_bits >= 8; n_bits -= 8, bits >>= 8) {
                const uint8_t byte = (uint8_t)bits;
                add(&b, &byte, 1);
            }
        }
    }
    const uint8_t last = (uint8_t)bits;
    add(&b, &last, 1);
    return b;
}

gi_buf gif_of(const gif_frame *f) {
    gi_buf b = new_buf();
    int size = 0; /* 2^(size + 1) colours */
    while (f->n_colours > 2 << size) size++;
    add(&b, "GIF89a", 6);
    add_le16(&b, f->canvas_w);
    add_le16(&b, f->canvas_h);
    const uint8_t screen[3] = {(uint8_t)(f->n_colours ? 0x80 | size : 0), 0, 0};
    add(&b, screen, 3);
    if (f->n_colours) add(&b, f->colours, (size_t)f->n_colours * 3);
    if (f->transparent >= 0) {
        const uint8_t control[8] = {'!', 0xf9, 4, 1, 0, 0, (uint8_t)f->transparent, 0};
        add(&b, control, 8);
    }
    add(&b, ",", 1);
    add_le16(&b, f->left);
    add_le16(&b, f->top);
    add_le16(&b, f->width);
    add_le16(&b, f->height);
    const uint8_t local[2] = {f->interlaced ? 0x40 : 0, 8};
    add(&b, local, 2);
    gi_buf codes = gif_codes(f->indexes, (size_t)f->width * f->height);
    for (size_t at = 0; at < codes.len; at += 255) {
        const uint8_t n = (uint8_t)(codes.len - at < 255 ? codes.len - at : 255);
        add(&b, &n, 1);
        add(&b, codes.data + at, n);
    }
    gi_buf_done(&codes);
    add(&b, "\0;", 2);
    return b;
}

gi_buf exif_of(int big_endian, uint32_t value, int type, uint32_t count) {
    gi_buf b = new_buf();
    uint8_t t[26] = {0};
    const uint32_t fields[][3] = {/* offset, bytes, value */
                                  {2, 2, 42},
                                  {4, 4, 8},
                                  {8, 2, 1},
                                  {10, 2, 274},
                                  {12, 2, (uint32_t)type},
                                  {14, 4, count},
                                  {18, type == 3 ? 2 : 4, value}};
    memset(t, big_endian ? 'M' : 'I', 2);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const uint32_t n = fields[i][1];
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t shift = 8 * (big_endian ? n - 1 - k : k);
            t[fields[i][0] + k] = (uint8_t)(fields[i][2] >> shift);
        }
    }
    add(&b, "Exif\0\0", 6);
    add(&b, t, sizeof t);
    return b;
}

void fill_noise(uint8_t *bytes, size_t n, uint32_t seed) {
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bytes[i] = (uint8_t)(x >> 11);
    }
}
