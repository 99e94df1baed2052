/*
 * src/model/mrope: positions of text and pictures, written out by hand, and the angles of both
 * towers against their formulas in double.
 */
#include "../cm.h"

#include "model/mrope.h"

#include <math.h>
#include <string.h>

static void assert_positions(size_t n, const gi_mrope_image *images, size_t n_images,
                             const int32_t *want, int32_t want_next) {
    int32_t pos[3 * 64];
    assert_true(n <= 64);
    memset(pos, 0x55, sizeof pos);
    assert_int_equal(gi_mrope_positions(n, images, n_images, pos), want_next);
    for (size_t axis = 0; axis < 3; axis++)
        for (size_t t = 0; t < n; t++)
            if (pos[axis * n + t] != want[axis * n + t])
                fail_msg("axis %zu, token %zu: %d, not %d", axis, t, pos[axis * n + t],
                         want[axis * n + t]);
}

static void text_counts_up(void **state) {
    (void)state;
    static const int32_t want[] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
    assert_positions(4, NULL, 0, want, 4);
    assert_positions(0, NULL, 0, want, 0);
}

/* a [2 x 3] b: the text goes on at 1 + max(2, 3). */
static void a_picture_between_text(void **state) {
    (void)state;
    static const int32_t want[3][8] = {
        {0, 1, 1, 1, 1, 1, 1, 4},
        {0, 1, 1, 1, 2, 2, 2, 4},
        {0, 1, 2, 3, 1, 2, 3, 4},
    };
    const gi_mrope_image image = {.first_token = 1, .rows = 2, .cols = 3};
    assert_positions(8, &image, 1, want[0], 5);
}

/* a b [3 x 1] c [1 x 2] d e */
static void two_pictures_with_text(void **state) {
    (void)state;
    static const int32_t want[3][10] = {
        {0, 1, 2, 2, 2, 5, 6, 6, 8, 9},
        {0, 1, 2, 3, 4, 5, 6, 6, 8, 9},
        {0, 1, 2, 2, 2, 5, 6, 7, 8, 9},
    };
    const gi_mrope_image images[] = {{.first_token = 2, .rows = 3, .cols = 1},
                                     {.first_token = 6, .rows = 1, .cols = 2}};
    assert_positions(10, images, 2, want[0], 10);
}

/* Back to back, at the very beginning and at the very end. */
static void pictures_without_text(void **state) {
    (void)state;
    static const int32_t want[3][6] = {
        {0, 0, 0, 0, 2, 2},
        {0, 0, 1, 1, 2, 2},
        {0, 1, 0, 1, 2, 3},
    };
    const gi_mrope_image images[] = {{.first_token = 0, .rows = 2, .cols = 2},
                                     {.first_token = 4, .rows = 1, .cols = 2}};
    assert_positions(6, images, 2, want[0], 4);
}

/* The square's diagonal: 16 x 16 visual tokens take 16 positions, so rope_delta is -240. */
static void a_large_picture_takes_few_positions(void **state) {
    (void)state;
    static int32_t pos[3 * 272];
    const gi_mrope_image image = {.first_token = 5, .rows = 16, .cols = 16};
    assert_int_equal(gi_mrope_positions(272, &image, 1, pos), 272 - 240);
    for (size_t i = 0; i < 256; i++) {
        assert_int_equal(pos[5 + i], 5);
        assert_int_equal(pos[272 + 5 + i], 5 + i / 16);
        assert_int_equal(pos[2 * 272 + 5 + i], 5 + i % 16);
    }
    assert_int_equal(pos[261], 21);
}

/* GLM-4.6V-Flash: 64 of 128 dimensions, pairs 8 + 12 + 12, base 500000. */
static const gi_text_config glm46v = {
    .head_dim = 128, .rotary_dim = 64, .mrope_section = {8, 12, 12}, .rope_theta = 500000};

static void frequencies_fall_by_powers(void **state) {
    (void)state;
    float freq[32];
    gi_mrope_frequencies(&glm46v, freq);
    assert_true(freq[0] == 1.0f);
    for (int j = 0; j < 32; j++) {
        const double want = pow(500000, -2.0 * j / 64);
        assert_true(fabs((double)freq[j] - want) < 1e-7 * want);
    }
}

static void pairs_follow_their_axis(void **state) {
    (void)state;
    float freq[32], cos_[32], sin_[32];
    gi_mrope_frequencies(&glm46v, freq);
    static const int32_t pos[3] = {3, 100, 4000};
    gi_mrope_angles(&glm46v, freq, pos, cos_, sin_);
    for (int j = 0; j < 32; j++) {
        const int axis = j < 8 ? 0 : j < 20 ? 1 : 2;
        /* The angle is rounded to F32, as in the published code. */
        const double angle = (double)((float)pos[axis] * freq[j]);
        assert_true(fabs((double)cos_[j] - cos(angle)) < 1e-6);
        assert_true(fabs((double)sin_[j] - sin(angle)) < 1e-6);
    }
    static const int32_t origin[3] = {0, 0, 0};
    gi_mrope_angles(&glm46v, freq, origin, cos_, sin_);
    for (int j = 0; j < 32; j++) assert_true(cos_[j] == 1.0f && sin_[j] == 0.0f);
}

/* Text has the same position on all axes: M-RoPE is then plain RoPE. */
static void text_is_plain_rope(void **state) {
    (void)state;
    float freq[32], a[2][32], b[2][32];
    gi_text_config plain = glm46v;
    plain.mrope_section[0] = 32;
    plain.mrope_section[1] = plain.mrope_section[2] = 0;
    gi_mrope_frequencies(&glm46v, freq);
    static const int32_t pos[3] = {77, 77, 77};
    gi_mrope_angles(&glm46v, freq, pos, a[0], a[1]);
    gi_mrope_angles(&plain, freq, pos, b[0], b[1]);
    assert_memory_equal(a, b, sizeof a);
}

/* A 4 x 6 grid in merge blocks of 2 x 2: each patch has the angles of its own row and column. */
static void vision_angles_follow_merge_blocks(void **state) {
    (void)state;
    enum { H = 4, W = 6, D = 16, HALF = D / 2, QUARTER = D / 4 };
    const gi_vision_config cfg = {.head_dim = D, .merge = 2, .rope_theta = 500};
    float cos_[H * W * HALF], sin_[H * W * HALF];
    gi_vision_angles(&cfg, H, W, cos_, sin_);
    size_t p = 0;
    for (int by = 0; by < H; by += 2)
        for (int bx = 0; bx < W; bx += 2)
            for (int y = by; y < by + 2; y++)
                for (int x = bx; x < bx + 2; x++, p++)
                    for (int j = 0; j < HALF; j++) {
                        const double freq = pow(500, -(double)(j % QUARTER) / QUARTER);
                        const double angle = (j < QUARTER ? y : x) * freq;
                        assert_true(fabs((double)cos_[p * HALF + (size_t)j] - cos(angle)) < 1e-6);
                        assert_true(fabs((double)sin_[p * HALF + (size_t)j] - sin(angle)) < 1e-6);
                    }
    assert_int_equal(p, H * W);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_counts_up),
        cmocka_unit_test(a_picture_between_text),
        cmocka_unit_test(two_pictures_with_text),
        cmocka_unit_test(pictures_without_text),
        cmocka_unit_test(a_large_picture_takes_few_positions),
        cmocka_unit_test(frequencies_fall_by_powers),
        cmocka_unit_test(pairs_follow_their_axis),
        cmocka_unit_test(text_is_plain_rope),
        cmocka_unit_test(vision_angles_follow_merge_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
