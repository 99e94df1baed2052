/*
 * src/image/fit: the sizes of pictures. Equality with transformers is in test_golden_image.c; here
 * are the properties that hold for every size.
 */
#include "../cm.h"

#include "image/fit.h"

#include <stdbool.h>

enum { FACTOR = 28 };

static gi_image_spec published_spec(void) {
    return (gi_image_spec){14, 2, 2, 12544, 9633792, {0, 0, 0}, {1, 1, 1}};
}

static void known_sizes(void **state) {
    (void)state;
    /* width, height, patches down, patches across */
    static const uint32_t CASES[][4] = {
        {6000, 4000, 128, 192}, {4000, 3000, 134, 180}, {3000, 3000, 156, 156},
        {5000, 4000, 140, 174}, {1700, 2200, 158, 122}, {100, 100, 8, 8},
        {512, 512, 36, 36},     {1024, 1024, 74, 74},   {1, 1, 6, 6},
        {28, 27, 6, 6},         {1, 200, 400, 2},       {42, 42, 6, 6},
        {70, 700, 50, 4},
    };
    const gi_image_spec spec = published_spec();
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint32_t w = 0, h = 0;
        assert_int_equal(gi_image_smart_resize(&spec, CASES[i][0], CASES[i][1], &w, &h, NULL),
                         GLINT_OK);
        assert_int_equal(h / 14, CASES[i][2]);
        assert_int_equal(w / 14, CASES[i][3]);
    }
}

static void too_narrow(void **state) {
    (void)state;
    const gi_image_spec spec = published_spec();
    uint32_t w = 5, h = 6;
    glint_error err = {0};
    assert_int_equal(gi_image_smart_resize(&spec, 1, 201, &w, &h, &err), GLINT_ERR_LIMIT);
    assert_string_equal(err.message,
                        "picture is 1 x 201 pixels; one side may be at most 200 times the other");
    assert_int_equal(gi_image_smart_resize(&spec, 201, 1, &w, &h, NULL), GLINT_ERR_LIMIT);
    assert_int_equal(gi_image_smart_resize(&spec, 0, 1, &w, &h, NULL), GLINT_ERR_ARG);
    assert_int_equal(gi_image_smart_resize(&spec, 1, UINT32_MAX, &w, &h, NULL), GLINT_ERR_ARG);
    assert_true(w == 5 && h == 6);
}

/* Whole blocks; within the bounds, but for a side that cannot be smaller than one block. */
static void check_size(const gi_image_spec *spec, uint32_t width, uint32_t height) {
    uint32_t w = 0, h = 0;
    const glint_status st = gi_image_smart_resize(spec, width, height, &w, &h, NULL);
    const uint64_t longer = width > height ? width : height;
    const uint64_t shorter = width > height ? height : width;
    if (st != GLINT_OK) {
        /* int() of the scaled sides may tip a ratio of just 200 over. */
        assert_int_equal(st, GLINT_ERR_LIMIT);
        assert_true(longer * FACTOR + FACTOR > shorter * 200 * (FACTOR - 1));
        return;
    }
    assert_true(longer <= shorter * 201);
    if (w == 0 || h == 0 || w % FACTOR || h % FACTOR) {
        fail_msg("%u x %u -> %u x %u", width, height, w, h);
    }
    const uint64_t area = (uint64_t)spec->temporal * w * h;
    if (w > FACTOR && h > FACTOR && area > spec->pixels_max) {
        fail_msg("%u x %u -> %u x %u, more than %llu", width, height, w, h,
                 (unsigned long long)spec->pixels_max);
    }
    if (area < spec->pixels_min && area * 4 < spec->pixels_max) {
        fail_msg("%u x %u -> %u x %u, less than %llu", width, height, w, h,
                 (unsigned long long)spec->pixels_min);
    }
}

static void every_size(void **state) {
    (void)state;
    gi_image_spec specs[3] = {published_spec(), published_spec(), published_spec()};
    specs[1].pixels_max = 401408;
    specs[2].pixels_min = 50176;
    specs[2].pixels_max = 200704;
    for (size_t s = 0; s < 3; s++) {
        for (uint32_t w = 1; w <= 4000; w += w < 300 ? 1 : 7) {
            for (uint32_t h = 1; h <= 4000; h += h < 300 ? 1 : 11) check_size(&specs[s], w, h);
        }
        for (uint32_t side = 1; side <= 1 << 24; side *= 2) {
            check_size(&specs[s], side, 1 << 24);
            check_size(&specs[s], (1 << 24) - 1, side);
        }
    }
}

static void cap_keeps_shape(void **state) {
    (void)state;
    /* width, height, cap, width, height after */
    static const uint32_t CASES[][5] = {
        {4000, 3000, 1024, 1024, 768},  {3000, 4000, 1024, 768, 1024},
        {1024, 1024, 1024, 1024, 1024}, {800, 600, 1024, 800, 600},
        {1025, 1, 1024, 1025, 1},       {16384, 82, 1024, 5595, 28},
        {16384, 8192, 28, 56, 28},      {3, 3, 1, 3, 3},
        {1999, 1001, 1000, 1000, 501},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint32_t w = CASES[i][0], h = CASES[i][1];
        gi_image_cap(CASES[i][2], FACTOR, &w, &h);
        assert_int_equal(w, CASES[i][3]);
        assert_int_equal(h, CASES[i][4]);
    }
}

/* Never up, never below the floor, and what the aspect limit lets in stays acceptable. */
static void cap_of_every_size(void **state) {
    (void)state;
    const gi_image_spec spec = published_spec();
    static const uint32_t CAPS[] = {1, 28, 336, 1024, 16384};
    for (size_t c = 0; c < sizeof CAPS / sizeof CAPS[0]; c++) {
        for (uint32_t width = 1; width <= 16384; width = width * 21 / 20 + 1) {
            for (uint32_t height = width / 200 + 1; height <= 16384; height = height * 9 / 8 + 1) {
                if (width > (uint64_t)height * 200 || height > (uint64_t)width * 200) continue;
                uint32_t w = width, h = height, rw, rh;
                gi_image_cap(CAPS[c], FACTOR, &w, &h);
                const bool is_within = w <= CAPS[c] && h <= CAPS[c];
                const bool is_at_floor = w <= FACTOR || h <= FACTOR;
                if (w > width || h > height || !(is_within || is_at_floor) ||
                    gi_image_smart_resize(&spec, w, h, &rw, &rh, NULL) != GLINT_OK) {
                    fail_msg("%u x %u capped to %u: %u x %u", width, height, CAPS[c], w, h);
                }
            }
        }
    }
}

static void senseless_specs(void **state) {
    (void)state;
    gi_image_spec s = published_spec();
    assert_int_equal(gi_image_spec_check(&s, NULL), GLINT_OK);
    s.patch_px = 0;
    assert_int_equal(gi_image_spec_check(&s, NULL), GLINT_ERR_ARG);
    s = published_spec();
    s.merge = 9;
    assert_int_equal(gi_image_spec_check(&s, NULL), GLINT_ERR_ARG);
    s = published_spec();
    s.temporal = 0;
    assert_int_equal(gi_image_spec_check(&s, NULL), GLINT_ERR_ARG);
    s = published_spec();
    s.pixels_min = s.pixels_max + 1;
    assert_int_equal(gi_image_spec_check(&s, NULL), GLINT_ERR_ARG);
    s = published_spec();
    s.std[1] = 0;
    assert_int_equal(gi_image_spec_check(&s, NULL), GLINT_ERR_ARG);
    s = published_spec();
    s.mean[2] = __builtin_nanf("");
    assert_int_equal(gi_image_spec_check(&s, NULL), GLINT_ERR_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sizes),       cmocka_unit_test(too_narrow),
        cmocka_unit_test(every_size),        cmocka_unit_test(cap_keeps_shape),
        cmocka_unit_test(cap_of_every_size), cmocka_unit_test(senseless_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
