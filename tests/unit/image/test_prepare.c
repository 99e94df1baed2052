/*
 * src/image/prepare: the whole funnel in this process. Equality with transformers is in
 * test_golden_image.c.
 */
#include "make_picture.h"

#include "base/alloc.h"
#include "image/prepare.h"

#include <stdio.h>
#include <string.h>

static gi_image_spec plain_spec(void) {
    /* value = u8 / 255 */
    return (gi_image_spec){14, 2, 2, 2, 9633792, {0, 0, 0}, {1, 1, 1}};
}

static gi_patches prepare(gi_buf file, const gi_image_spec *spec, uint32_t max_side_px) {
    const gi_image_limits limits = gi_image_limits_default();
    gi_patches p = {0};
    glint_error err = {0};
    if (gi_image_prepare(file.data, file.len, spec, &limits, max_side_px, NULL, &p, &err)) {
        fail_msg("%s", err.message);
    }
    gi_buf_done(&file);
    return p;
}

/* Two blocks side by side, two on top of each other: each value knows its place. */
static void patch_order(void **state) {
    (void)state;
    enum { WIDTH = 56, HEIGHT = 84 };
    static uint8_t pixels[HEIGHT][WIDTH][3];
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            pixels[y][x][0] = (uint8_t)x;
            pixels[y][x][1] = (uint8_t)y;
            pixels[y][x][2] = (uint8_t)(x ^ y);
        }
    }
    const gi_image_spec spec = plain_spec();
    gi_patches p = prepare(png_of_rgb(&pixels[0][0][0], WIDTH, HEIGHT), &spec, 1024);
    assert_true(p.grid_w == 4 && p.grid_h == 6 && p.source_w == WIDTH && p.source_h == HEIGHT);
    const float *row = p.rows;
    for (int block_y = 0; block_y < 3; block_y++) {
        for (int block_x = 0; block_x < 2; block_x++) {
            for (int in_y = 0; in_y < 2; in_y++) {
                for (int in_x = 0; in_x < 2; in_x++) {
                    for (int i = 0; i < 588; i++) {
                        const int c = i / 196, y = block_y * 28 + in_y * 14 + i % 196 / 14,
                                  x = block_x * 28 + in_x * 14 + i % 14;
                        assert_true(*row++ == (float)pixels[y][x][c] / 255.0f);
                    }
                }
            }
        }
    }
    gi_patches_done(&p);
    assert_null(p.rows);
    gi_patches_done(&p);
}

/* Red at the left and blue at the right of the upright picture, whatever way it is stored. */
static void upright(void **state) {
    (void)state;
    for (uint32_t o = 1; o <= 8; o++) {
        const int transposed = o >= 5;
        const uint32_t width = transposed ? 64 : 96, height = transposed ? 96 : 64;
        static uint8_t pixels[96 * 96 * 3];
        for (uint32_t y = 0; y < height; y++) {
            for (uint32_t x = 0; x < width; x++) {
                /* How far the pixel is along the upright picture's width. */
                const uint32_t along = transposed ? y : x, n = transposed ? height : width;
                const int runs_back = o == 2 || o == 3 || o == 6 || o == 7;
                const uint32_t at = runs_back ? n - 1 - along : along;
                uint8_t *px = pixels + ((size_t)y * width + x) * 3;
                px[0] = at < n / 2 ? 255 : 0;
                px[1] = 0;
                px[2] = at < n / 2 ? 0 : 255;
            }
        }
        gi_buf exif = exif_of(0, o, 3, 1);
        const gi_image_spec spec = plain_spec();
        gi_patches p =
            prepare(jpeg_of(pixels, width, height, 3, 0, exif.data, exif.len), &spec, 1024);
        gi_buf_done(&exif);
        assert_true(p.source_w == 96 && p.source_h == 64);
        const float *first = p.rows, *last = p.rows + ((size_t)p.grid_w * p.grid_h - 1) * 588;
        assert_true(first[0] > 0.9f && first[2 * 196] < 0.1f);
        assert_true(last[195] < 0.1f && last[587] > 0.9f);
        gi_patches_done(&p);
    }
}

static void alpha_on_white(void **state) {
    (void)state;
    uint8_t rgba[28 * 28 * 4] = {0}; /* black, fully transparent */
    const gi_image_spec spec = plain_spec();
    gi_patches p = prepare(webp_of(rgba, 28, 28, 4), &spec, 1024);
    for (size_t i = 0; i < (size_t)p.grid_w * p.grid_h * 588; i++) assert_true(p.rows[i] == 1.0f);
    gi_patches_done(&p);
}

static void cap(void **state) {
    (void)state;
    uint8_t *pixels = gi_calloc(600 * 300, 3);
    const gi_image_spec spec = plain_spec();
    static const uint32_t CASES[][3] = {/* cap, grid across, grid down */
                                        {1024, 42, 22},
                                        {600, 42, 22},
                                        {300, 22, 10},
                                        {56, 4, 2},
                                        {1, 4, 2}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        gi_patches p = prepare(png_of_rgb(pixels, 600, 300), &spec, CASES[i][0]);
        assert_int_equal(p.grid_w, CASES[i][1]);
        assert_int_equal(p.grid_h, CASES[i][2]);
        gi_patches_done(&p);
    }
    gi_free(pixels);
}

static void expect_words(gi_buf *file, const gi_image_limits *limits, glint_status code,
                         const char *words) {
    const gi_image_spec spec = plain_spec();
    gi_patches p = {.grid_w = 7};
    glint_error err = {0};
    assert_int_equal(gi_image_prepare(file->data, file->len, &spec, limits, 1024, NULL, &p, &err),
                     code);
    assert_string_equal(err.message, words);
    assert_int_equal(p.grid_w, 7); /* untouched */
}

static void words(void **state) {
    (void)state;
    const gi_image_limits limits = gi_image_limits_default();
    gi_image_limits l = limits;
    gi_buf png = png_begin();
    png_ihdr(&png, 9000, 6689, 8, 2, 0);
    expect_words(&png, &limits, GLINT_ERR_LIMIT, "picture is 60.2 megapixels; the limit is 40");
    gi_buf_done(&png);

    png = png_begin();
    png_ihdr(&png, 20000, 10, 8, 2, 0);
    expect_words(&png, &limits, GLINT_ERR_LIMIT,
                 "picture is 20000 x 10 pixels; the limit for a side is 16384");
    gi_buf_done(&png);

    png = png_begin();
    png_ihdr(&png, 10, 2001, 8, 2, 0);
    expect_words(&png, &limits, GLINT_ERR_LIMIT,
                 "picture is 10 x 2001 pixels; one side may be at most 200 times the other");
    gi_buf_done(&png);

    uint8_t pixels[64 * 64 * 3];
    fill_noise(pixels, sizeof pixels, 1);
    gi_buf jpeg = jpeg_of(pixels, 64, 64, 3, 1, NULL, 0);
    l.jpeg_scans_max = 2;
    expect_words(&jpeg, &l, GLINT_ERR_LIMIT, "JPEG picture has too many scans; the limit is 2");
    l = limits;
    l.decode_bytes_max = 5 << 10;
    expect_words(&jpeg, &l, GLINT_ERR_LIMIT,
                 "JPEG picture takes too much memory to decode; the limit is 0.004883 MB");
    l = limits;
    l.decode_cpu_ms_max = 0;
    expect_words(&jpeg, &l, GLINT_ERR_LIMIT,
                 "JPEG picture takes too long to decode; the limit is 0 ms of CPU time");
    l = limits;
    l.file_bytes_max = 1 << 10;
    char text[100];
    snprintf(text, sizeof text, "picture file is %.1f MB; the limit is 0.0009766",
             (double)jpeg.len / 1048576);
    expect_words(&jpeg, &l, GLINT_ERR_LIMIT, text);
    jpeg.len -= 1000;
    expect_words(&jpeg, &limits, GLINT_ERR_FORMAT,
                 "JPEG picture is incomplete: its end is missing");
    memset(jpeg.data + 20, 0xff, 200);
    memset(jpeg.data + 220, 0x00, 200);
    expect_words(&jpeg, &limits, GLINT_ERR_FORMAT, "JPEG picture is broken and cannot be decoded");
    jpeg.data[0] = 'x';
    expect_words(&jpeg, &limits, GLINT_ERR_UNSUPPORTED, "not a JPEG, PNG, WebP or GIF picture");
    jpeg.len = 0;
    expect_words(&jpeg, &limits, GLINT_ERR_UNSUPPORTED, "picture is empty");
    gi_buf_done(&jpeg);
}

static void bad_arguments(void **state) {
    (void)state;
    const gi_image_limits limits = gi_image_limits_default();
    gi_image_spec spec = plain_spec();
    gi_patches p;
    assert_int_equal(gi_image_prepare("x", 1, &spec, &limits, 0, NULL, &p, NULL), GLINT_ERR_ARG);
    spec.patch_px = 0;
    assert_int_equal(gi_image_prepare("x", 1, &spec, &limits, 9, NULL, &p, NULL), GLINT_ERR_ARG);
}

static void memory_runs_out(void **state) {
    (void)state;
    const gi_image_limits limits = gi_image_limits_default();
    const gi_image_spec spec = plain_spec();
    uint8_t rgba[28 * 40 * 4] = {0};
    gi_buf file = webp_of(rgba, 28, 40, 4);
    for (uint64_t n = 1;; n++) {
        gi_patches p;
        glint_error err = {0};
        gi_alloc_fail_at(n);
        const glint_status st =
            gi_image_prepare(file.data, file.len, &spec, &limits, 1024, NULL, &p, &err);
        gi_alloc_fail_at(0);
        if (st == GLINT_OK) {
            gi_patches_done(&p);
            assert_true(n > 8);
            break;
        }
        assert_int_equal(st, GLINT_ERR_MEMORY);
        assert_int_equal(err.code, GLINT_ERR_MEMORY);
    }
    gi_buf_done(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patch_order),     cmocka_unit_test(upright),
        cmocka_unit_test(alpha_on_white),  cmocka_unit_test(cap),
        cmocka_unit_test(words),           cmocka_unit_test(bad_arguments),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
