/*
 * src/image/resample against the formula written down plainly, for every orientation. Equality
 * with torchvision is in test_golden_image.c.
 */
#include "make_picture.h"

#include "base/alloc.h"
#include "image/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double cubic(double x) {
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/* One line of n_in bytes, `step` apart, to n_out. Slow and plain. */
static void plain_line(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, size_t step) {
    const double scale = (double)n_in / (double)n_out, support = 2 * fmax(scale, 1);
    const size_t room = (size_t)ceil(support) * 2 + 1;
    double *w = gi_calloc(n_out * room, sizeof *w), largest = 0;
    size_t *lo = gi_calloc(n_out, sizeof *lo), *n = gi_calloc(n_out, sizeof *n);
    for (size_t i = 0; i < n_out; i++) {
        const double center = scale * ((double)i + 0.5);
        const double first = trunc(center - support + 0.5), last = trunc(center + support + 0.5);
        lo[i] = first > 0 ? (size_t)first : 0;
        n[i] = (last < (double)n_in ? (size_t)last : n_in) - lo[i];
        double sum = 0;
        for (size_t j = 0; j < n[i]; j++) {
            const double at = (double)(lo[i] + j) - center + 0.5;
            w[i * room + j] = cubic(at * (scale >= 1 ? 1 / scale : 1));
            sum += w[i * room + j];
        }
        for (size_t j = 0; j < n[i]; j++) {
            w[i * room + j] /= sum;
            largest = fmax(largest, w[i * room + j]);
        }
    }
    int bits = 0;
    while (bits < 22 && (int)(0.5 + largest * (1 << (bits + 1))) < 1 << 15) bits++;
    for (size_t i = 0; i < n_out; i++) {
        int64_t sum = 1 << (bits - 1);
        for (size_t j = 0; j < n[i]; j++) {
            const double v = w[i * room + j] * (1 << bits);
            sum += (int64_t)(v + (v < 0 ? -0.5 : 0.5)) * in[(lo[i] + j) * step];
        }
        sum >>= bits;
        out[i * step] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
    gi_free(w);
    gi_free(lo);
    gi_free(n);
}

static uint8_t *plain_resize(const uint8_t *in, uint32_t w_in, uint32_t h_in, uint32_t w_out,
                             uint32_t h_out) {
    uint8_t *wide = gi_calloc((size_t)w_out * h_in, 3), *out = gi_calloc((size_t)w_out * h_out, 3);
    uint8_t *column_in = gi_alloc(h_in), *column_out = gi_alloc(h_out);
    for (uint32_t y = 0; y < h_in; y++) {
        for (size_t c = 0; c < 3; c++) {
            plain_line(in + (size_t)y * w_in * 3 + c, w_in, wide + (size_t)y * w_out * 3 + c, w_out,
                       3);
        }
    }
    for (size_t x = 0; x < (size_t)w_out * 3; x++) {
        for (uint32_t y = 0; y < h_in; y++) column_in[y] = wide[y * (size_t)w_out * 3 + x];
        plain_line(column_in, h_in, column_out, h_out, 1);
        for (uint32_t y = 0; y < h_out; y++) out[y * (size_t)w_out * 3 + x] = column_out[y];
    }
    gi_free(wide);
    gi_free(column_in);
    gi_free(column_out);
    return out;
}

/* Where pixel (x, y) of the upright picture is stored. Source: Exif 2.32, figure 5. */
static const uint8_t *stored_pixel(const gi_raster *r, uint32_t x, uint32_t y) {
    const uint32_t right = r->width - 1, bottom = r->height - 1;
    uint32_t sx = 0, sy = 0;
    switch (r->orientation) {
    case 1:
        sx = x, sy = y;
        break;
    case 2:
        sx = right - x, sy = y;
        break;
    case 3:
        sx = right - x, sy = bottom - y;
        break;
    case 4:
        sx = x, sy = bottom - y;
        break;
    case 5:
        sx = y, sy = x;
        break;
    case 6:
        sx = y, sy = bottom - x;
        break;
    case 7:
        sx = right - y, sy = bottom - x;
        break;
    default:
        sx = right - y, sy = x;
        break;
    }
    return r->pixels + ((size_t)sy * r->width + sx) * 3;
}

static uint8_t *upright(const gi_raster *r, uint32_t width, uint32_t height) {
    uint8_t *out = gi_calloc((size_t)width * height, 3);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            memcpy(out + ((size_t)y * width + x) * 3, stored_pixel(r, x, y), 3);
        }
    }
    return out;
}

static void check(uint32_t w_in, uint32_t h_in, uint32_t orientation, uint32_t w_out,
                  uint32_t h_out, uint32_t seed) {
    const size_t n_in = (size_t)w_in * h_in * 3, n_out = (size_t)w_out * h_out * 3;
    gi_raster r = {gi_alloc(n_in), w_in, h_in, 3, orientation};
    fill_noise(r.pixels, n_in, seed);
    if (seed % 2) { /* black and white overshoots most */
        for (size_t i = 0; i < n_in; i++) r.pixels[i] = r.pixels[i] > 127 ? 255 : 0;
    }
    const uint32_t w_up = gi_raster_is_transposed(&r) ? h_in : w_in;
    const uint32_t h_up = gi_raster_is_transposed(&r) ? w_in : h_in;
    uint8_t *turned = upright(&r, w_up, h_up), *out = gi_alloc(n_out);
    uint8_t *want = plain_resize(turned, w_up, h_up, w_out, h_out);
    assert_int_equal(gi_resample(&r, w_out, h_out, out, NULL), GLINT_OK);
    if (memcmp(out, want, n_out) != 0) {
        fail_msg("%u x %u, orientation %u, to %u x %u differs", w_in, h_in, orientation, w_out,
                 h_out);
    }
    gi_free(r.pixels);
    gi_free(turned);
    gi_free(out);
    gi_free(want);
}

static void random_sizes(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 120; i++) {
        uint8_t bytes[8];
        fill_noise(bytes, sizeof bytes, i);
        const uint32_t top = i % 4 == 0 ? 256 : 64;
        check(bytes[0] % top + 1, bytes[1] % top + 1, i % 8 + 1, bytes[2] % 100 + 1,
              bytes[3] % 100 + 1, i);
    }
}

static void edges(void **state) {
    (void)state;
    static const uint32_t SIZES[] = {1, 2, 15, 16, 17, 33};
    for (uint32_t o = 1; o <= 8; o++) {
        for (size_t a = 0; a < 6; a++) {
            for (size_t b = 0; b < 6; b++) check(SIZES[a], SIZES[b], o, SIZES[b], SIZES[a], o);
        }
        check(1, 1, o, 28, 56, o);
        check(1, 5000, o, 28, 28, o);
        check(5000, 1, o, 28, 28, o);
    }
}

static void unchanged_size_is_a_copy(void **state) {
    (void)state;
    uint8_t in[40 * 30 * 3], out[sizeof in];
    fill_noise(in, sizeof in, 5);
    const gi_raster r = {in, 40, 30, 3, 1};
    assert_int_equal(gi_resample(&r, 40, 30, out, NULL), GLINT_OK);
    assert_memory_equal(in, out, sizeof in);
}

static void memory_runs_out(void **state) {
    (void)state;
    uint8_t in[20 * 30 * 3] = {0}, out[28 * 28 * 3];
    const gi_raster r = {in, 20, 30, 3, 6};
    for (uint64_t n = 1;; n++) {
        glint_error err = {0};
        gi_alloc_fail_at(n);
        const glint_status st = gi_resample(&r, 28, 28, out, &err);
        gi_alloc_fail_at(0);
        if (st == GLINT_OK) {
            assert_true(n > 5);
            break;
        }
        assert_int_equal(st, GLINT_ERR_MEMORY);
        assert_int_equal(err.code, GLINT_ERR_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sizes),
        cmocka_unit_test(edges),
        cmocka_unit_test(unchanged_size_is_a_copy),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
