/*
 * Checks of the kernels that work on one row: norm, activation, quantisation and their like.
 */
#include "kernel_test.h"

#include <math.h>
#include <string.h>

enum { LENGTH_MAX = 700 };

/* ---- rmsnorm -------------------------------------------------------------------------------- */

static void rmsnorm_round(kt_run *r, kt_kind kind, size_t n, bool in_place) {
    float *x = KT_ARRAY(r, float, n), *weight = KT_ARRAY(r, float, n);
    float *out = in_place ? x : KT_ARRAY(r, float, n);
    const float eps = kt_range(r, 0, 1) ? 1e-5f : 1e-6f;
    kt_fill_f32(r, x, n, kind);
    kt_fill_f32(r, weight, n, kind == KT_STRANGE ? KT_STRANGE : KT_PLAIN);
    if (kt_range(r, 0, 9) == 0) memset(x, 0, n * sizeof *x);
    const size_t i_nan = kind == KT_STRANGE ? kt_range(r, 0, n - 1) : n;
    if (i_nan < n) x[i_nan] = NAN;
    float before[LENGTH_MAX];
    memcpy(before, x, n * sizeof *x);
    kt_writable(r, out, 1, n * sizeof *out, 0);
    kt_shape(r, "n=%zu%s", n, in_place ? " in place" : "");
    kt_arm(r);
    r->k->rmsnorm(out, x, weight, n, eps);
    kt_verify(r);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)before[i] * (double)before[i];
    const double factor = 1 / sqrt(sum / (double)n + (double)eps);
    /* Half the relative error of the sum, which the root halves, and four roundings. */
    const double tolerance = ((double)n / 2 + 4) * KT_EPS;
    for (size_t i = 0; i < n; i++) {
        const double want = (double)before[i] * factor * (double)weight[i];
        if (i_nan < n)
            kt_nan(r, "out", 0, i, out[i], true);
        else
            kt_near(r, "out", 0, i, (double)out[i], want, tolerance * fabs(want) + 0x1p-140);
    }
}

static void rmsnorm_shapes(kt_run *r) {
    const size_t n = kt_length(r, LENGTH_MAX);
    rmsnorm_round(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE, n, kt_range(r, 0, 1));
}

static void rmsnorm_nan(kt_run *r) {
    rmsnorm_round(r, KT_STRANGE, kt_length(r, LENGTH_MAX), kt_range(r, 0, 1));
}

/* ---- swiglu --------------------------------------------------------------------------------- */

/* Gates where exp is ordinary, where it leaves F32's range, and the largest there are. */
static float gate_value(kt_run *r) {
    static const float far[] = {87.0f,   88.5f, 89.0f, 95.0f, 104.0f,    110.0f,
                                1000.0f, 1e10f, 1e20f, 3e38f, 0x1p-149f, 0.0f};
    const float v = (float)(2 * kt_uniform(r) - 1);
    if (kt_range(r, 0, 3)) return 20 * v;
    const float f = far[kt_range(r, 0, sizeof far / sizeof far[0] - 1)];
    return v < 0 ? -f : f;
}

static void swiglu_shapes(kt_run *r) {
    const size_t n = kt_length(r, LENGTH_MAX);
    float *gate = KT_ARRAY(r, float, n), *up = KT_ARRAY(r, float, n);
    const size_t where = kt_range(r, 0, 2);
    float *out = where == 0 ? gate : where == 1 ? up : KT_ARRAY(r, float, n);
    float gate_before[LENGTH_MAX], up_before[LENGTH_MAX];
    for (size_t i = 0; i < n; i++) {
        gate_before[i] = gate[i] = gate_value(r);
        up_before[i] = up[i] = kt_value(r, KT_PLAIN);
    }
    kt_writable(r, out, 1, n * sizeof *out, 0);
    kt_shape(r, "n=%zu out=%s", n, where == 0 ? "gate" : where == 1 ? "up" : "elsewhere");
    kt_arm(r);
    r->k->swiglu(out, gate, up, n);
    kt_verify(r);
    for (size_t i = 0; i < n; i++) {
        const double g = (double)gate_before[i], want = (double)up_before[i] * (g / (1 + exp(-g)));
        /* The exponent is off by half a rounding of the gate; results near 1e-38 may be 0. */
        const double tolerance = (fmin(fabs(g), 110) + 16) * KT_EPS;
        kt_near(r, "out", 0, i, (double)out[i], want, tolerance * fabs(want) + 0x1p-118);
    }
}

static void swiglu_strange(kt_run *r) {
    const size_t n = kt_length(r, LENGTH_MAX);
    float *gate = KT_ARRAY(r, float, n), *up = KT_ARRAY(r, float, n), *out = KT_ARRAY(r, float, n);
    kt_fill_f32(r, gate, n, KT_STRANGE);
    kt_fill_f32(r, up, n, KT_STRANGE);
    kt_writable(r, out, 1, n * sizeof *out, 0);
    kt_shape(r, "n=%zu", n);
    kt_arm(r);
    r->k->swiglu(out, gate, up, n);
    kt_verify(r);
    for (size_t i = 0; i < n; i++)
        if (isnan(gate[i]) || isnan(up[i])) kt_nan(r, "out", 0, i, out[i], true);
}

/* ---- quantize_row --------------------------------------------------------------------------- */

/*
 * Every tier multiplies by 127 / max in F32 and rounds to nearest even, so that all give the same
 * bytes; and the byte is the nearest to x / scale but for what F32 loses next to a tie.
 */
static void quantize_round(kt_run *r, kt_kind kind) {
    const size_t n = kt_length(r, LENGTH_MAX);
    const size_t n_padded = n + kt_range(r, 0, 1) * kt_range(r, 0, 70);
    float *x = KT_ARRAY(r, float, n);
    int8_t *q = KT_ARRAY(r, int8_t, n_padded);
    int32_t *sum = KT_ARRAY(r, int32_t, 1), want_sum, have = 0;
    kt_fill_f32(r, x, n, kind);
    if (kind == KT_PLAIN) /* ties, if the largest is 127 */
        for (size_t i = 0; i < n; i++) x[i] = i ? rintf(x[i] * 250) / 2 : 127.0f;
    if (kind != KT_STRANGE && kt_range(r, 0, 9) == 0) memset(x, 0, n * sizeof *x);
    kt_writable(r, q, 1, n_padded, 0);
    kt_writable(r, sum, 1, sizeof *sum, 0);
    kt_shape(r, "n=%zu n_padded=%zu", n, n_padded);
    kt_arm(r);
    const float scale = r->k->quantize_row(q, sum, x, n, n_padded);
    kt_verify(r);
    for (size_t i = 0; i < n; i++) {
        have += q[i];
        if (q[i] == -128) kt_fail(r, "q[%zu] is -128", i);
    }
    kt_same_int(r, "sum", 0, 0, *sum, have);
    for (size_t i = n; i < n_padded; i++) kt_same_int(r, "padding", 0, i, q[i], 0);
    if (kind == KT_STRANGE) {
        float max = 0; /* NaN, once it is */
        for (size_t i = 0; i < n; i++) max = fabsf(x[i]) <= max || isnan(max) ? max : fabsf(x[i]);
        kt_same(r, "scale", 0, 0, scale, max < GI_QUANTIZE_MIN ? 0 : max / 127.0f);
        return;
    }
    int8_t want[LENGTH_MAX];
    const float want_scale = r->ref->quantize_row(want, &want_sum, x, n, n);
    kt_same(r, "scale", 0, 0, scale, want_scale);
    for (size_t i = 0; i < n; i++) {
        kt_same_int(r, "q", 0, i, q[i], want[i]);
        if (scale > 0)
            kt_near(r, "q", 0, i, q[i], (double)x[i] / (double)scale, 0.5 + 128 * 3 * KT_EPS);
    }
}

static void quantize_shapes(kt_run *r) {
    quantize_round(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE);
}

static void quantize_strange(kt_run *r) {
    quantize_round(r, KT_STRANGE);
}

/* Rows so small that 127 / max leaves F32's range. */
static void quantize_tiny(kt_run *r) {
    const size_t n = kt_length(r, LENGTH_MAX);
    float *x = KT_ARRAY(r, float, n);
    int8_t *q = KT_ARRAY(r, int8_t, n);
    int32_t *sum = KT_ARRAY(r, int32_t, 1), have = 0;
    const int exponent = -100 - (int)kt_range(r, 0, 49);
    for (size_t i = 0; i < n; i++) x[i] = ldexpf(kt_value(r, KT_PLAIN), exponent);
    kt_writable(r, q, 1, n, 0);
    kt_writable(r, sum, 1, sizeof *sum, 0);
    kt_shape(r, "n=%zu, size 2^%d", n, exponent);
    kt_arm(r);
    const double scale = (double)r->k->quantize_row(q, sum, x, n, n);
    kt_verify(r);
    for (size_t i = 0; i < n; i++) {
        have += q[i];
        kt_near(r, "q * scale", 0, i, q[i] * scale, (double)x[i],
                0.51 * scale + (double)GI_QUANTIZE_MIN);
    }
    kt_same_int(r, "sum", 0, 0, *sum, have);
}

/* ---- narrow_row, dequantize, add_row -------------------------------------------------------- */

/* Exact but for numbers below 2^-126 before or after rounding, which may become 0. */
static void narrow_same(kt_run *r, size_t i, uint16_t got, float product) {
    const uint16_t want = gi_f32_to_bf16(product);
    if (isnan(product))
        kt_nan(r, "dst", 0, i, gi_bf16_to_f32(got), true);
    else if (fabsf(product) >= 0x1p-126f || (got & 0x7FFFu) != 0)
        kt_same_int(r, "dst", 0, i, got, want);
}

static void narrow_round(kt_run *r, kt_kind kind) {
    const size_t n = kt_length(r, LENGTH_MAX);
    const size_t n_padded = n + kt_range(r, 0, 1) * kt_range(r, 0, 70);
    const float scale = kt_range(r, 0, 1) ? 1.0f : kt_value(r, KT_WIDE);
    float *x = KT_ARRAY(r, float, n);
    uint16_t *dst = KT_ARRAY(r, uint16_t, n_padded);
    kt_fill_f32(r, x, n, kind);
    if (kind == KT_PLAIN) /* halves of the last place, above an even one and above an odd one */
        for (size_t i = 0; i < n; i += 3)
            x[i] = gi_bits_to_f32((gi_f32_to_bits(x[i]) & 0xFFFF0000u) | 0x8000u);
    kt_writable(r, dst, 1, n_padded * sizeof *dst, 0);
    kt_shape(r, "n=%zu n_padded=%zu scale=%g", n, n_padded, (double)scale);
    kt_arm(r);
    r->k->narrow_row(dst, x, scale, n, n_padded);
    kt_verify(r);
    for (size_t i = 0; i < n; i++) narrow_same(r, i, dst[i], x[i] * scale);
    for (size_t i = n; i < n_padded; i++) kt_same_int(r, "padding", 0, i, dst[i], 0);
}

static void narrow_shapes(kt_run *r) {
    narrow_round(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE);
}

static void narrow_strange(kt_run *r) {
    narrow_round(r, KT_STRANGE);
}

static void dequantize_round(kt_run *r, kt_kind kind) {
    const size_t n_m = kt_range(r, 1, GI_TILE_M);
    float *y = KT_ARRAY(r, float, n_m *GI_TILE_N), *x_scale = KT_ARRAY(r, float, n_m);
    int32_t *acc = KT_ARRAY(r, int32_t, n_m * GI_TILE_N), *sum = KT_ARRAY(r, int32_t, n_m);
    float *w_scale = KT_ARRAY(r, float, GI_TILE_N);
    float *bias = kt_range(r, 0, 1) ? KT_ARRAY(r, float, GI_TILE_N) : NULL;
    for (size_t i = 0; i < n_m; i++) sum[i] = (int32_t)kt_range(r, 0, 4 << 20) - (2 << 20);
    for (size_t i = 0; i < n_m * GI_TILE_N; i++)
        acc[i] = (int32_t)kt_range(r, 0, 2 << 28) - (1 << 28);
    kt_fill_f32(r, x_scale, n_m, kind);
    kt_fill_f32(r, w_scale, GI_TILE_N, kind);
    if (bias) kt_fill_f32(r, bias, GI_TILE_N, kind);
    kt_writable(r, y, 1, n_m * GI_TILE_N * sizeof *y, 0);
    kt_shape(r, "n_m=%zu%s", n_m, bias ? " bias" : "");
    kt_arm(r);
    r->k->dequantize(y, acc, n_m, x_scale, sum, w_scale, bias);
    kt_verify(r);
    for (size_t m = 0; m < n_m; m++)
        for (size_t j = 0; j < GI_TILE_N; j++) {
            const double product = (double)(acc[m * GI_TILE_N + j] - 128 * sum[m]) *
                                   (double)x_scale[m] * (double)w_scale[j];
            const double b = bias ? (double)bias[j] : 0;
            if (kind != KT_STRANGE)
                kt_near(r, "y", m, j, (double)y[m * GI_TILE_N + j], product + b,
                        4 * KT_EPS * (fabs(product) + fabs(b)));
            else if (isnan(x_scale[m]) || isnan(w_scale[j]) || isnan(b))
                kt_nan(r, "y", m, j, y[m * GI_TILE_N + j], true);
        }
}

static void dequantize_shapes(kt_run *r) {
    dequantize_round(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE);
}

static void dequantize_strange(kt_run *r) {
    dequantize_round(r, KT_STRANGE);
}

static void add_row_shapes(kt_run *r) {
    const size_t n = kt_length(r, LENGTH_MAX);
    float *out = KT_ARRAY(r, float, n), *x = KT_ARRAY(r, float, n), before[LENGTH_MAX];
    const kt_kind kind = kt_range(r, 0, 1) ? KT_WIDE : KT_STRANGE;
    kt_fill_f32(r, out, n, kind);
    kt_fill_f32(r, x, n, kind);
    memcpy(before, out, n * sizeof *out);
    kt_writable(r, out, 1, n * sizeof *out, 0);
    kt_shape(r, "n=%zu", n);
    kt_arm(r);
    r->k->add_row(out, x, n);
    kt_verify(r);
    for (size_t i = 0; i < n; i++) kt_same(r, "out", 0, i, out[i], before[i] + x[i]);
}

const kt_case kt_row_cases[] = {
    KT_CASE(rmsnorm, "shapes", rmsnorm_shapes),
    KT_CASE(rmsnorm, "NaN", rmsnorm_nan),
    KT_CASE(swiglu, "shapes", swiglu_shapes),
    KT_CASE(swiglu, "strange", swiglu_strange),
    KT_CASE(quantize_row, "shapes", quantize_shapes),
    KT_CASE(quantize_row, "strange", quantize_strange),
    KT_CASE(quantize_row, "tiny", quantize_tiny),
    KT_CASE(narrow_row, "shapes", narrow_shapes),
    KT_CASE(narrow_row, "strange", narrow_strange),
    KT_CASE(dequantize, "shapes", dequantize_shapes),
    KT_CASE(dequantize, "strange", dequantize_strange),
    KT_CASE(add_row, "shapes", add_row_shapes),
};
const size_t kt_n_row_cases = sizeof kt_row_cases / sizeof kt_row_cases[0];
