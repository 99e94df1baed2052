/*
 * Weights into panels: the layout of kernels.h, element by element, and nothing beside it.
 */
#include "../cm.h"

#include "kernels/pack.h"
#include "kernels/ref/ref.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { ROWS = GI_TILE_N, COLS_MAX = 530, GUARD = 64 };

typedef struct weights {
    size_t n_rows, n_cols;
    gi_dtype type;
    float f32[ROWS][COLS_MAX];
    uint16_t half[ROWS][COLS_MAX];
    const void *rows[ROWS];
} weights;

static const struct {
    size_t n_rows, n_cols;
    gi_dtype type;
} SHAPES[] = {
    {1, 1, GI_DTYPE_F32},    {1, 3, GI_DTYPE_BF16},   {64, 4, GI_DTYPE_F32},
    {63, 5, GI_DTYPE_F16},   {17, 255, GI_DTYPE_F32}, {64, 256, GI_DTYPE_BF16},
    {2, 257, GI_DTYPE_BF16}, {64, 530, GI_DTYPE_F32}, {33, 514, GI_DTYPE_F16},
};

/* Weights of all signs and sizes; the first row has ties, as its largest is 127. */
static void fill(weights *w) {
    uint32_t state = 12345;
    for (size_t j = 0; j < w->n_rows; j++) {
        for (size_t k = 0; k < w->n_cols; k++) {
            state = state * 1664525u + 1013904223u;
            const float unit = (float)(int32_t)state * 0x1p-31f;
            const float v = j == 0 ? (k == 0 ? -127.0f : rintf(unit * 250) / 2)
                                   : ldexpf(unit, (int)(j % 9) - 4);
            const uint16_t bf16 = gi_f32_to_bf16(v);
            w->f32[j][k] = gi_bf16_to_f32(bf16);
            w->half[j][k] = bf16;
            if (w->type == GI_DTYPE_F16) {
                const unsigned n = state >> 21 & 0x3FF;
                w->half[j][k] = (uint16_t)(0x6400u | n); /* 1024 + n */
                w->f32[j][k] = 1024.0f + (float)n;
            }
        }
        w->rows[j] = w->type == GI_DTYPE_F32 ? (const void *)w->f32[j] : w->half[j];
    }
}

static _Alignas(64) uint8_t panel[(COLS_MAX / 2 + 1) * GI_UNIT_BYTES + GUARD];
static weights w;
static float scratch[COLS_MAX], scales[ROWS];

static void pack_s8(void) {
    memset(panel, 0xEE, sizeof panel);
    gi_pack_panel_s8(panel, scales, w.rows, w.n_rows, w.type, w.n_cols, gi_widen_ref, scratch);
}

static void each_byte_is_the_nearest(void **state) {
    for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
        w.n_rows = SHAPES[s].n_rows;
        w.n_cols = SHAPES[s].n_cols;
        w.type = SHAPES[s].type;
        fill(&w);
        pack_s8();
        const size_t n_bytes = gi_pack_units_s8(w.n_cols) * GI_UNIT_BYTES;
        for (size_t j = 0; j < ROWS; j++) {
            float max = 0;
            for (size_t k = 0; j < w.n_rows && k < w.n_cols; k++)
                max = fmaxf(max, fabsf(w.f32[j][k]));
            assert_true(scales[j] == max / 127.0f);
            for (size_t k = 0; k < n_bytes / ROWS; k++) {
                const bool is_weight = j < w.n_rows && k < w.n_cols && max > 0;
                const long want = is_weight ? lrintf(w.f32[j][k] * (127.0f / max)) : 0;
                assert_int_equal(panel[k / 4 * GI_UNIT_BYTES + 4 * j + k % 4], 128 + want);
            }
        }
        for (size_t i = 0; i < GUARD; i++) assert_int_equal(panel[n_bytes + i], 0xEE);
    }
}

static void rows_out_of_range(void **state) {
    w.n_rows = 6;
    w.n_cols = 9;
    w.type = GI_DTYPE_F32;
    fill(&w);
    memset(w.f32[1], 0, sizeof w.f32[1]);
    w.f32[2][8] = NAN;
    w.f32[3][0] = -INFINITY;
    for (size_t k = 0; k < w.n_cols; k++) w.f32[4][k] = ldexpf(w.f32[5][k], -130);
    pack_s8();
    assert_true(scales[0] > 0 && scales[1] == 0 && scales[4] == 0 && scales[5] > 0);
    assert_true(isnan(scales[2]) && isnan(scales[3]));
    for (size_t k = 0; k < w.n_cols; k++)
        for (size_t j = 1; j < 5; j++)
            assert_int_equal(panel[k / 4 * GI_UNIT_BYTES + 4 * j + k % 4], 128);
}

static void bf16_is_exact(void **state) {
    for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++) {
        w.n_rows = SHAPES[s].n_rows;
        w.n_cols = SHAPES[s].n_cols;
        w.type = SHAPES[s].type;
        fill(&w);
        memset(panel, 0xEE, sizeof panel);
        gi_pack_panel_bf16((uint16_t *)(void *)panel, w.rows, w.n_rows, w.type, w.n_cols,
                           gi_widen_ref, scratch);
        const size_t n_bytes = gi_pack_units_bf16(w.n_cols) * GI_UNIT_BYTES;
        for (size_t j = 0; j < ROWS; j++)
            for (size_t k = 0; k < n_bytes / ROWS / 2; k++) {
                uint16_t got;
                memcpy(&got, panel + k / 2 * GI_UNIT_BYTES + 4 * j + k % 2 * 2, sizeof got);
                const bool is_weight = j < w.n_rows && k < w.n_cols;
                assert_int_equal(got, is_weight ? gi_f32_to_bf16(w.f32[j][k]) : 0);
            }
        for (size_t i = 0; i < GUARD; i++) assert_int_equal(panel[n_bytes + i], 0xEE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_is_the_nearest),
        cmocka_unit_test(rows_out_of_range),
        cmocka_unit_test(bf16_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
