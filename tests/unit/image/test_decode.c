/*
 * src/image/decode: every kind of pixel of the four formats to RGB or RGBA, and every limit.
 */
#include "make_picture.h"

#include "base/alloc.h"
#include "image/decode.h"

#include <stdlib.h>
#include <string.h>

static gi_raster decode(gi_buf file) {
    const gi_image_limits limits = gi_image_limits_default();
    gi_raster r = {0};
    const gi_verdict v = gi_decode(file.data, file.len, &limits, &r);
    if (v.refusal != GI_REFUSAL_NONE) fail_msg("refused: %d", v.refusal);
    gi_buf_done(&file);
    return r;
}

static gi_refusal refusal_under(const gi_buf *file, const gi_image_limits *limits) {
    gi_raster r = {.width = 77};
    const gi_verdict v = gi_decode(file->data, file->len, limits, &r);
    if (v.refusal != GI_REFUSAL_NONE) {
        assert_int_equal(r.width, 77); /* untouched */
    } else {
        gi_free(r.pixels);
    }
    return v.refusal;
}

static gi_refusal refusal(gi_buf file) {
    const gi_image_limits limits = gi_image_limits_default();
    const gi_refusal found = refusal_under(&file, &limits);
    gi_buf_done(&file);
    return found;
}

static void expect(gi_raster r, uint32_t width, uint32_t height, uint32_t channels,
                   const void *pixels) {
    assert_int_equal(r.width, width);
    assert_int_equal(r.height, height);
    assert_int_equal(r.channels, channels);
    assert_memory_equal(r.pixels, pixels, (size_t)width * height * channels);
    gi_free(r.pixels);
}

/* A PNG of one chunk each; palette and key may be missing. */
static gi_buf png_with(uint32_t width, uint32_t height, int depth, int colour, const void *palette,
                       size_t n_palette, const void *key, size_t n_key, const void *lines,
                       size_t n_lines) {
    gi_buf png = png_begin();
    png_ihdr(&png, width, height, depth, colour, 0);
    if (palette) png_chunk_add(&png, "PLTE", palette, n_palette);
    if (key) png_chunk_add(&png, "tRNS", key, n_key);
    png_idat(&png, lines, n_lines);
    png_end(&png);
    return png;
}

static void png_greys(void **state) {
    (void)state;
    expect(decode(png_with(8, 1, 1, 0, NULL, 0, NULL, 0, "\0\xa5", 2)), 8, 1, 3,
           "\xff\xff\xff\0\0\0\xff\xff\xff\0\0\0\0\0\0\xff\xff\xff\0\0\0\xff\xff\xff");
    expect(decode(png_with(4, 1, 2, 0, NULL, 0, NULL, 0, "\0\x1b", 2)), 4, 1, 3,
           "\0\0\0\x55\x55\x55\xaa\xaa\xaa\xff\xff\xff");
    expect(decode(png_with(2, 1, 8, 0, NULL, 0, NULL, 0, "\0\x12\x34", 3)), 2, 1, 3,
           "\x12\x12\x12\x34\x34\x34");
    /* 16 bits: the high byte */
    expect(decode(png_with(2, 1, 16, 0, NULL, 0, NULL, 0, "\0\x12\xff\x00\xff", 5)), 2, 1, 3,
           "\x12\x12\x12\0\0\0");
    /* grey with alpha, 8 and 16 bits */
    expect(decode(png_with(2, 1, 8, 4, NULL, 0, NULL, 0, "\0\x12\x80\x34\0", 5)), 2, 1, 4,
           "\x12\x12\x12\x80\x34\x34\x34\0");
    expect(decode(png_with(1, 1, 16, 4, NULL, 0, NULL, 0, "\0\x12\xff\x80\xff", 5)), 1, 1, 4,
           "\x12\x12\x12\x80");
    /* a transparent grey, scaled with the samples */
    expect(decode(png_with(2, 1, 4, 0, NULL, 0, "\0\x05", 2, "\0\x5f", 2)), 2, 1, 4,
           "\x55\x55\x55\0\xff\xff\xff\xff");
}

static void png_colours(void **state) {
    (void)state;
    expect(decode(png_with(2, 1, 8, 2, NULL, 0, NULL, 0, "\0abcdef", 7)), 2, 1, 3, "abcdef");
    expect(decode(png_with(1, 1, 16, 2, NULL, 0, NULL, 0, "\0a1b2c3", 7)), 1, 1, 3, "abc");
    expect(decode(png_with(1, 1, 8, 6, NULL, 0, NULL, 0, "\0abcd", 5)), 1, 1, 4, "abcd");
    expect(decode(png_with(1, 1, 16, 6, NULL, 0, NULL, 0, "\0a1b2c3d4", 9)), 1, 1, 4, "abcd");
    expect(decode(png_with(2, 1, 8, 2, NULL, 0, "\0a\0b\0c", 6, "\0abcdef", 7)), 2, 1, 4,
           "abc\0def\xff");
    expect(decode(png_with(4, 1, 2, 3, "abcdefghijkl", 12, NULL, 0, "\0\x1b", 2)), 4, 1, 3,
           "abcdefghijkl");
    expect(decode(png_with(2, 1, 8, 3, "abcdef", 6, "\x40", 1, "\0\0\1", 3)), 2, 1, 4,
           "abc\x40"
           "def\xff");
    /* past the palette: black */
    expect(decode(png_with(1, 1, 8, 3, "abcdef", 6, NULL, 0, "\0\x09", 2)), 1, 1, 3, "\0\0\0");
}

static void png_interlaced(void **state) {
    (void)state;
    uint8_t plain[9 * 7 * 3], lines[1024];
    static const uint32_t X0[] = {0, 4, 0, 2, 0, 1, 0}, Y0[] = {0, 0, 4, 0, 2, 0, 1};
    static const uint32_t DX[] = {8, 8, 4, 4, 2, 2, 1}, DY[] = {8, 8, 8, 4, 4, 2, 2};
    size_t n = 0;
    fill_noise(plain, sizeof plain, 3);
    for (int pass = 0; pass < 7; pass++) {
        for (uint32_t y = Y0[pass]; y < 7; y += DY[pass]) {
            lines[n++] = 0;
            for (uint32_t x = X0[pass]; x < 9; x += DX[pass], n += 3) {
                memcpy(lines + n, plain + (y * 9 + x) * 3, 3);
            }
        }
    }
    gi_buf png = png_begin();
    png_ihdr(&png, 9, 7, 8, 2, 1);
    png_idat(&png, lines, n);
    png_end(&png);
    expect(decode(png), 9, 7, 3, plain);
}

/* What is not IHDR, PLTE, tRNS or IDAT is neither read nor believed; but before the pixels its
 * checksum must be right. */
static void png_chunks(void **state) {
    (void)state;
    gi_buf exif = exif_of(1, 6, 3, 1), png = png_begin();
    png_ihdr(&png, 1, 1, 8, 2, 0);
    png_chunk_add(&png, "iCCP", "not zlib", 8);
    png_chunk_add(&png, "zTXt", "", 0);
    png_chunk_add(&png, "acTL", "x", 1);
    png_chunk_add(&png, "gAMA", "", 0);
    png_idat(&png, "\0abc", 4);
    png_chunk_add(&png, "eXIf", exif.data + 6, exif.len - 6);
    png_chunk_add(&png, "IDAT", "junk", 4);
    png_end(&png);
    gi_raster r = decode(png);
    assert_int_equal(r.orientation, 6);
    expect(r, 1, 1, 3, "abc");
    gi_buf_done(&exif);

    png = png_begin();
    png_ihdr(&png, 1, 1, 8, 2, 0);
    png_chunk_add(&png, "tEXt", "key\0text", 8);
    png.data[png.len - 1] ^= 1;
    png_idat(&png, "\0abc", 4);
    assert_int_equal(refusal(png), GI_REFUSAL_BROKEN);
}

static void png_broken(void **state) {
    (void)state;
    gi_buf png = png_of_rgb((const uint8_t *)"abcdefghijkl", 2, 2);
    const gi_image_limits limits = gi_image_limits_default();
    const size_t whole = png.len;
    for (png.len = 8; png.len < whole - 16; png.len++) { /* the checksum and IEND may be missing */
        if (refusal_under(&png, &limits) != GI_REFUSAL_TRUNCATED) fail_msg("cut to %zu", png.len);
    }
    png.len = whole;
    png.data[12] = 'X'; /* IHDR */
    assert_int_equal(refusal(png), GI_REFUSAL_BROKEN);

    png = png_begin();
    png_ihdr(&png, 2, 2, 8, 2, 0);
    png_end(&png);
    assert_int_equal(refusal(png), GI_REFUSAL_BROKEN); /* no pixels */
    assert_int_equal(refusal(png_with(2, 2, 8, 2, NULL, 0, NULL, 0, "\0abcdef", 7)),
                     GI_REFUSAL_BROKEN); /* one row of two */
    assert_int_equal(refusal(png_with(2, 1, 3, 2, NULL, 0, NULL, 0, "\0abcdef", 7)),
                     GI_REFUSAL_BROKEN); /* 3 bits */
    assert_int_equal(refusal(png_with(2, 1, 8, 3, NULL, 0, NULL, 0, "\0ab", 3)),
                     GI_REFUSAL_BROKEN); /* no palette */
}

/* Largest difference between the decoded and the given pixels. */
static int distance(gi_raster r, const uint8_t *want) {
    int worst = 0;
    for (size_t i = 0; i < (size_t)r.width * r.height * 3; i++) {
        const int d = abs(r.pixels[i] - want[i]);
        worst = d > worst ? d : worst;
    }
    gi_free(r.pixels);
    return worst;
}

static void jpegs(void **state) {
    (void)state;
    uint8_t grey[16 * 8], rgb[sizeof grey * 3], cmyk[sizeof grey * 4], want[sizeof rgb];
    for (size_t i = 0; i < sizeof grey; i++) {
        grey[i] = (uint8_t)(i * 2);
        memset(want + 3 * i, grey[i], 3);
        rgb[3 * i] = (uint8_t)(i * 2);
        rgb[3 * i + 1] = 200;
        rgb[3 * i + 2] = (uint8_t)(255 - i);
    }
    gi_raster r = decode(jpeg_of(grey, 16, 8, 1, 0, NULL, 0));
    assert_true(r.width == 16 && r.height == 8 && r.channels == 3 && r.orientation == 1);
    assert_in_range(distance(r, want), 0, 4);
    for (int progressive = 0; progressive < 2; progressive++) {
        gi_buf exif = exif_of(progressive, 8, 3, 1);
        r = decode(jpeg_of(rgb, 16, 8, 3, progressive, exif.data, exif.len));
        gi_buf_done(&exif);
        assert_int_equal(r.orientation, 8);
        assert_in_range(distance(r, rgb), 0, 16); /* chroma is halved */
    }
    /* Inverted CMYK with black at full: red = (c / 255) * k */
    for (size_t i = 0; i < sizeof grey; i++) {
        const uint8_t k = 200, ink[4] = {(uint8_t)(i * 2), 128, 255, k};
        memcpy(cmyk + 4 * i, ink, 4);
        for (int c = 0; c < 3; c++) want[3 * i + (size_t)c] = (uint8_t)((ink[c] * k + 127) / 255);
    }
    r = decode(jpeg_of(cmyk, 16, 8, 4, 0, NULL, 0));
    assert_int_equal(r.channels, 3);
    assert_in_range(distance(r, want), 0, 8);
}

static void jpeg_broken(void **state) {
    (void)state;
    uint8_t rgb[64 * 64 * 3];
    fill_noise(rgb, sizeof rgb, 9);
    const gi_image_limits limits = gi_image_limits_default();
    gi_buf jpeg = jpeg_of(rgb, 64, 64, 3, 0, NULL, 0);
    const size_t whole = jpeg.len;
    for (jpeg.len = 3; jpeg.len < whole - 200; jpeg.len += 7) {
        assert_int_equal(refusal_under(&jpeg, &limits), GI_REFUSAL_TRUNCATED);
    }
    jpeg.len = whole;
    uint8_t *sof = memmem(jpeg.data, jpeg.len, "\xff\xc0\0\x11\x08", 5);
    assert_non_null(sof);
    sof[4] = 12; /* bits */
    assert_int_equal(refusal_under(&jpeg, &limits), GI_REFUSAL_VARIANT);
    sof[4] = 8;
    sof[1] = 0xc3; /* lossless */
    assert_int_equal(refusal_under(&jpeg, &limits), GI_REFUSAL_VARIANT);
    sof[1] = 0xc0;
    sof[5] = sof[6] = 0; /* height */
    assert_int_equal(refusal(jpeg), GI_REFUSAL_BROKEN);
}

static void webps(void **state) {
    (void)state;
    uint8_t rgb[5 * 3 * 3], rgba[5 * 3 * 4];
    fill_noise(rgb, sizeof rgb, 1);
    fill_noise(rgba, sizeof rgba, 2);
    for (size_t i = 3; i < sizeof rgba; i += 4) rgba[i] |= 1; /* hidden colours are not kept */
    expect(decode(webp_of(rgb, 5, 3, 3)), 5, 3, 3, rgb);
    expect(decode(webp_of(rgba, 5, 3, 4)), 5, 3, 4, rgba);
    gi_buf cut = webp_of(rgb, 5, 3, 3);
    const gi_image_limits limits = gi_image_limits_default();
    for (cut.len--; cut.len >= 12; cut.len--) {
        const gi_refusal found = refusal_under(&cut, &limits);
        if (found != GI_REFUSAL_TRUNCATED && found != GI_REFUSAL_BROKEN) {
            fail_msg("cut to %zu: %d", cut.len, found);
        }
    }
    gi_buf_done(&cut);
}

static void le(uint8_t *to, uint32_t value, int n) {
    for (int i = 0; i < n; i++) to[i] = (uint8_t)(value >> (8 * i));
}

/* A 7 x 5 animation whose first frame is 3 x 2 at (2, 2), with EXIF. */
static gi_buf animation(const uint8_t *rgb, int has_alpha) {
    gi_buf still = webp_of(rgb, 3, 2, 3), exif = exif_of(0, 3, 3, 1), b;
    gi_buf_init(&b, 4096);
    uint8_t head[12 + 18 + 14 + 24] = "RIFF....WEBPVP8X";
    le(head + 16, 10, 4);
    head[20] = (uint8_t)(2 | 8 | (has_alpha ? 16 : 0)); /* animation, EXIF */
    le(head + 24, 7 - 1, 3);
    le(head + 27, 5 - 1, 3);
    memcpy(head + 30, "ANIM", 4);
    le(head + 34, 6, 4);
    memcpy(head + 44, "ANMF", 4);
    const uint32_t n_frame = (uint32_t)still.len - 12;
    le(head + 48, 16 + n_frame, 4);
    le(head + 52, 2 / 2, 3); /* offsets are halved */
    le(head + 55, 2 / 2, 3);
    le(head + 58, 3 - 1, 3);
    le(head + 61, 2 - 1, 3);
    gi_buf_push(&b, head, sizeof head, NULL);
    gi_buf_push(&b, still.data + 12, n_frame, NULL);
    uint8_t tail[8] = "EXIF";
    le(tail + 4, (uint32_t)exif.len, 4);
    gi_buf_push(&b, tail, 8, NULL);
    gi_buf_push(&b, exif.data, exif.len, NULL);
    le(b.data + 4, (uint32_t)b.len - 8, 4);
    gi_buf_done(&still);
    gi_buf_done(&exif);
    return b;
}

static void webp_animations(void **state) {
    (void)state;
    uint8_t rgb[3 * 2 * 3];
    fill_noise(rgb, sizeof rgb, 4);
    for (uint32_t channels = 3; channels <= 4; channels++) {
        uint8_t want[7 * 5 * 4] = {0};
        for (size_t i = 0; i < 6; i++) {
            uint8_t *p = want + ((2 + i / 3) * 7 + 2 + i % 3) * channels;
            memcpy(p, rgb + 3 * i, 3);
            if (channels == 4) p[3] = 255;
        }
        gi_raster r = decode(animation(rgb, channels == 4));
        assert_int_equal(r.orientation, 3);
        expect(r, 7, 5, channels, want);
    }
}

static void gifs(void **state) {
    (void)state;
    static const uint8_t COLOURS[] = "abcdefghijkl";
    const gif_frame whole = {3, 2, 0, 0, 3, 2, COLOURS, 4, -1, 0, (const uint8_t *)"\0\1\2\3\1\0"};
    expect(decode(gif_of(&whole)), 3, 2, 3, "abcdefghijkldefabc");

    gif_frame f = whole;
    f.transparent = 1;
    expect(decode(gif_of(&f)), 3, 2, 4,
           "abc\xff"
           "def\0ghi\xffjkl\xff"
           "def\0abc\xff");
    /* A frame that covers a part: colour 0 around it, or nothing when there is a transparent one.
     */
    f = (gif_frame){3, 2, 1, 1, 1, 1, COLOURS, 4, -1, 0, (const uint8_t *)"\3"};
    expect(decode(gif_of(&f)), 3, 2, 3, "abcabcabcabcjklabc");
    f.transparent = 2;
    expect(decode(gif_of(&f)), 3, 2, 4, "ghi\0ghi\0ghi\0ghi\0jkl\xffghi\0");
    /* A frame that sticks out: the canvas grows. */
    f = (gif_frame){1, 1, 1, 0, 2, 1, COLOURS, 4, -1, 0, (const uint8_t *)"\1\2"};
    expect(decode(gif_of(&f)), 3, 1, 3, "abcdefghi");
    /* No palette: grey levels. An index past the palette: black. */
    f = (gif_frame){2, 1, 0, 0, 2, 1, NULL, 0, -1, 0, (const uint8_t *)"\7\xff"};
    expect(decode(gif_of(&f)), 2, 1, 3, "\7\7\7\xff\xff\xff");
    f.colours = COLOURS;
    f.n_colours = 4;
    expect(decode(gif_of(&f)), 2, 1, 3, "\0\0\0\0\0\0");
    /* Interlaced: rows 0, 8; 4; 2, 6; 1, 3, 5, 7. */
    static const uint8_t STORED[] = {0, 8, 4, 2, 6, 1, 3, 5, 7};
    uint8_t want[27];
    for (size_t i = 0; i < 27; i++) want[i] = (uint8_t)(i / 3);
    f = (gif_frame){1, 9, 0, 0, 1, 9, NULL, 0, -1, 1, STORED};
    expect(decode(gif_of(&f)), 1, 9, 3, want);
}

static void gif_broken(void **state) {
    (void)state;
    uint8_t indexes[40 * 40];
    fill_noise(indexes, sizeof indexes, 2);
    const gi_image_limits limits = gi_image_limits_default();
    gif_frame f = {40, 40, 0, 0, 40, 40, NULL, 0, -1, 0, indexes};
    gi_buf gif = gif_of(&f);
    for (gif.len -= 20; gif.len >= 6; gif.len -= gif.len > 30 ? 13 : 1) {
        assert_int_equal(refusal_under(&gif, &limits), GI_REFUSAL_TRUNCATED);
    }
    gi_buf_done(&gif);
    f = (gif_frame){4, 4, 0, 0, 0, 4, NULL, 0, -1, 0, indexes};
    assert_int_equal(refusal(gif_of(&f)), GI_REFUSAL_BROKEN);
    f = (gif_frame){0, 4, 0, 0, 1, 4, NULL, 0, -1, 0, indexes};
    assert_int_equal(refusal(gif_of(&f)), GI_REFUSAL_BROKEN);
    f = (gif_frame){4, 4, 65535, 65535, 4, 4, NULL, 0, -1, 0, indexes};
    assert_int_equal(refusal(gif_of(&f)), GI_REFUSAL_SIDE);
}

static void nothing_we_read(void **state) {
    (void)state;
    static const char *const OTHER[] = {
        "", "\xff", "GIF88a", "BM....", "RIFF....WAVE", "\x89PNG\r\n\x1a", "<svg/>"};
    const gi_image_limits limits = gi_image_limits_default();
    for (size_t i = 0; i < sizeof OTHER / sizeof OTHER[0]; i++) {
        gi_raster r;
        const gi_verdict v = gi_decode(OTHER[i], strlen(OTHER[i]), &limits, &r);
        assert_int_equal(v.refusal, i == 0 ? GI_REFUSAL_EMPTY : GI_REFUSAL_FORMAT);
    }
}

static void limits_hold(void **state) {
    (void)state;
    uint8_t *pixels = gi_calloc(300 * 100, 3);
    gi_buf png = png_of_rgb(pixels, 300, 100), jpeg = jpeg_of(pixels, 300, 100, 3, 1, NULL, 0);
    gi_buf webp = webp_of(pixels, 300, 100, 3);
    gi_free(pixels);
    uint8_t *indexes = gi_calloc(300 * 100, 1);
    const gif_frame f = {300, 100, 0, 0, 300, 100, NULL, 0, -1, 0, indexes};
    gi_buf gif = gif_of(&f);
    gi_free(indexes);
    const gi_buf *const FILES[] = {&png, &jpeg, &webp, &gif};
    for (size_t i = 0; i < 4; i++) {
        gi_image_limits l = gi_image_limits_default();
        assert_int_equal(refusal_under(FILES[i], &l), GI_REFUSAL_NONE);
        l.file_bytes_max = FILES[i]->len;
        l.side_px_max = 300;
        l.pixels_max = 30000;
        l.aspect_max = 3;
        assert_int_equal(refusal_under(FILES[i], &l), GI_REFUSAL_NONE);
        l.aspect_max = 2;
        assert_int_equal(refusal_under(FILES[i], &l), GI_REFUSAL_ASPECT);
        l.pixels_max = 29999;
        assert_int_equal(refusal_under(FILES[i], &l), GI_REFUSAL_PIXELS);
        l.side_px_max = 299;
        assert_int_equal(refusal_under(FILES[i], &l), GI_REFUSAL_SIDE);
        l.file_bytes_max--;
        assert_int_equal(refusal_under(FILES[i], &l), GI_REFUSAL_FILE_BYTES);
        l = gi_image_limits_default();
        l.decode_bytes_max = 300 * 100 * 3 - 1;
        assert_int_equal(refusal_under(FILES[i], &l), GI_REFUSAL_BYTES);
        l = gi_image_limits_default();
        l.decode_cpu_ms_max = 0;
        /* libwebp cannot be interrupted */
        assert_int_equal(refusal_under(FILES[i], &l),
                         FILES[i] == &webp ? GI_REFUSAL_NONE : GI_REFUSAL_CPU);
    }
    gi_image_limits l = gi_image_limits_default();
    l.jpeg_scans_max = 3; /* libjpeg's progression has ten */
    assert_int_equal(refusal_under(&jpeg, &l), GI_REFUSAL_SCANS);
    l = gi_image_limits_default();
    l.decode_bytes_max = 300 * 100 * 3 + 100000; /* less than the coefficients */
    assert_int_equal(refusal_under(&jpeg, &l), GI_REFUSAL_BYTES);
    l.decode_bytes_max = 300 * 100 * 3 + 1000; /* less than zlib's state */
    assert_int_equal(refusal_under(&png, &l), GI_REFUSAL_BYTES);
    gi_buf_done(&png);
    gi_buf_done(&jpeg);
    gi_buf_done(&webp);
    gi_buf_done(&gif);
}

/* Every allocation of ours fails once, libpng's among them. */
static void memory_runs_out(void **state) {
    (void)state;
    uint8_t pixels[8 * 8 * 4] = {0};
    const gif_frame f = {9, 9, 0, 0, 8, 8, NULL, 0, 0, 0, pixels};
    gi_buf files[] = {png_of_rgb(pixels, 8, 8), jpeg_of(pixels, 8, 8, 4, 0, NULL, 0),
                      webp_of(pixels, 8, 8, 4), gif_of(&f)};
    const gi_image_limits limits = gi_image_limits_default();
    for (size_t i = 0; i < 4; i++) {
        for (uint64_t n = 1;; n++) {
            gi_alloc_fail_at(n);
            const gi_refusal found = refusal_under(&files[i], &limits);
            gi_alloc_fail_at(0);
            if (found == GI_REFUSAL_NONE) {
                assert_true(n > 1);
                break;
            }
            assert_int_equal(found, GI_REFUSAL_NO_MEMORY);
        }
        gi_buf_done(&files[i]);
    }
}

static void flatten(void **state) {
    (void)state;
    /* v = (c * a + 255 * (255 - a)) / 255, rounded to nearest, for every pair */
    uint8_t *rgba = gi_alloc(256 * 256 * 4);
    for (size_t i = 0; i < 65536; i++) {
        memset(rgba + 4 * i, (int)(i & 255), 3);
        rgba[4 * i + 3] = (uint8_t)(i >> 8);
    }
    gi_raster r = {rgba, 256, 256, 4, 1};
    gi_raster_flatten(&r);
    assert_int_equal(r.channels, 3);
    for (size_t i = 0; i < 65536; i++) {
        const size_t c = i & 255, a = i >> 8, want = ((c * a + 255 * (255 - a)) * 2 + 255) / 510;
        if (rgba[3 * i] != want || rgba[3 * i + 2] != want) fail_msg("colour %zu alpha %zu", c, a);
    }
    gi_raster_flatten(&r); /* nothing left to do */
    assert_int_equal(r.channels, 3);
    gi_free(rgba);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_greys),       cmocka_unit_test(png_colours),
        cmocka_unit_test(png_interlaced),  cmocka_unit_test(png_chunks),
        cmocka_unit_test(png_broken),      cmocka_unit_test(jpegs),
        cmocka_unit_test(jpeg_broken),     cmocka_unit_test(webps),
        cmocka_unit_test(webp_animations), cmocka_unit_test(gifs),
        cmocka_unit_test(gif_broken),      cmocka_unit_test(nothing_we_read),
        cmocka_unit_test(limits_hold),     cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(flatten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
