/*
 * Checks of the matrix products and of the packing before them.
 */
#include "kernel_test.h"

#include <math.h>
#include <string.h>

enum { DEPTH_MAX = 600, UNITS_MAX = 160, PANEL_ROWS_MAX = 20 };

/* ---- gemm_s8 -------------------------------------------------------------------------------- */

typedef struct s8_product {
    int32_t *acc;
    int8_t *x;
    uint8_t *panel;
    size_t ld_x, n_m, n_units;
} s8_product;

static s8_product s8_make(kt_run *r, size_t n_m, size_t n_units) {
    s8_product p = {.n_m = n_m, .n_units = n_units};
    p.ld_x = 4 * n_units + kt_range(r, 0, 1) * kt_range(r, 0, 70);
    p.acc = KT_ARRAY(r, int32_t, n_m * GI_TILE_N);
    p.x = KT_ARRAY(r, int8_t, (n_m - 1) * p.ld_x + 4 * n_units);
    p.panel = kt_buffer(r, n_units * GI_UNIT_BYTES, 64);
    kt_writable(r, p.acc, 1, n_m * GI_TILE_N * sizeof *p.acc, 0);
    kt_shape(r, "n_m=%zu n_units=%zu ld_x=%zu", n_m, n_units, p.ld_x);
    return p;
}

static void s8_run_and_compare(kt_run *r, const s8_product *p) {
    kt_arm(r);
    r->k->gemm_s8(p->acc, p->x, p->ld_x, p->n_m, p->panel, p->n_units);
    kt_verify(r);
    for (size_t m = 0; m < p->n_m; m++)
        for (size_t j = 0; j < GI_TILE_N; j++) {
            int64_t sum = 0;
            for (size_t i = 0; i < 4 * p->n_units; i++)
                sum += p->x[m * p->ld_x + i] * p->panel[i / 4 * GI_UNIT_BYTES + 4 * j + i % 4];
            kt_same_int(r, "acc", m, j, p->acc[m * GI_TILE_N + j], sum);
        }
}

static void s8_shapes(kt_run *r) {
    const size_t n_m = kt_range(r, 1, GI_TILE_M);
    const s8_product p = s8_make(r, n_m, kt_length(r, UNITS_MAX));
    s8_run_and_compare(r, &p);
}

/* The ends of both ranges, where sums of 16 bits would saturate. */
static void s8_extremes(kt_run *r) {
    static const int8_t x_ends[] = {127, -127, -128, 0};
    static const uint8_t w_ends[] = {255, 0, 1, 128};
    const size_t n_m = kt_range(r, 1, GI_TILE_M);
    const s8_product p = s8_make(r, n_m, kt_length(r, UNITS_MAX));
    const size_t n_x_ends = kt_range(r, 1, 4), n_w_ends = kt_range(r, 1, 4);
    for (size_t m = 0; m < p.n_m; m++)
        for (size_t i = 0; i < 4 * p.n_units; i++)
            p.x[m * p.ld_x + i] = x_ends[kt_range(r, 0, n_x_ends - 1)];
    for (size_t i = 0; i < p.n_units * GI_UNIT_BYTES; i++)
        p.panel[i] = w_ends[kt_range(r, 0, n_w_ends - 1)];
    s8_run_and_compare(r, &p);
}

/* As deep as the header allows, and every product as large: 2^31 is near. */
static void s8_deepest(kt_run *r) {
    if (kt_range(r, 0, 15)) return; /* 4 MiB of weights: not in every round */
    const s8_product p = s8_make(r, 1, 16384);
    memset(p.panel, 255, p.n_units * GI_UNIT_BYTES);
    memset(p.x, kt_range(r, 0, 1) ? 127 : -127, 4 * p.n_units);
    s8_run_and_compare(r, &p);
}

/* ---- gemm_bf16 ------------------------------------------------------------------------------ */

typedef struct bf16_product {
    float *acc;
    uint16_t *x, *panel;
    size_t ld_acc, ld_x, n_m, n_units;
} bf16_product;

static bf16_product bf16_make(kt_run *r, kt_kind kind) {
    bf16_product p = {.n_m = kt_range(r, 1, GI_TILE_M), .n_units = kt_length(r, UNITS_MAX)};
    p.ld_acc = GI_TILE_N + kt_range(r, 0, 1) * kt_range(r, 0, 70);
    p.ld_x = 2 * p.n_units + kt_range(r, 0, 1) * kt_range(r, 0, 70);
    p.acc = KT_ARRAY(r, float, (p.n_m - 1) * p.ld_acc + GI_TILE_N);
    p.x = KT_ARRAY(r, uint16_t, (p.n_m - 1) * p.ld_x + 2 * p.n_units);
    p.panel = kt_buffer(r, p.n_units * GI_UNIT_BYTES, 64);
    kt_writable(r, p.acc, p.n_m, GI_TILE_N * sizeof *p.acc, p.ld_acc * sizeof *p.acc);
    kt_fill(r, p.x, GI_DTYPE_BF16, (p.n_m - 1) * p.ld_x + 2 * p.n_units, kind);
    kt_fill(r, p.panel, GI_DTYPE_BF16, p.n_units * GI_UNIT_BYTES / 2, kind);
    kt_shape(r, "n_m=%zu n_units=%zu ld_acc=%zu ld_x=%zu", p.n_m, p.n_units, p.ld_acc, p.ld_x);
    return p;
}

static void bf16_run(kt_run *r, const bf16_product *p) {
    kt_arm(r);
    r->k->gemm_bf16(p->acc, p->ld_acc, p->x, p->ld_x, p->n_m, p->panel, p->n_units);
    kt_verify(r);
}

static float bf16_weight(const bf16_product *p, size_t i, size_t j) {
    return gi_bf16_to_f32(p->panel[i / 2 * (GI_UNIT_BYTES / 2) + 2 * j + i % 2]);
}

/* Within 2^-16 of sum |x w|, as the header says; deeper sums than 256 may lose what F32 loses. */
static void bf16_compare(kt_run *r, const bf16_product *p, size_t m) {
    const double tolerance = fmax(0x1p-16, 2 * (double)p->n_units * KT_EPS);
    for (size_t j = 0; j < GI_TILE_N; j++) {
        double sum = 0, size = 0;
        for (size_t i = 0; i < 2 * p->n_units; i++) {
            const double xw =
                (double)gi_bf16_to_f32(p->x[m * p->ld_x + i]) * (double)bf16_weight(p, i, j);
            sum += xw;
            size += fabs(xw);
        }
        kt_near(r, "acc", m, j, (double)p->acc[m * p->ld_acc + j], sum,
                tolerance * size + 0x1p-120);
    }
}

static void bf16_shapes(kt_run *r) {
    const bf16_product p = bf16_make(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE);
    bf16_run(r, &p);
    for (size_t m = 0; m < p.n_m; m++) bf16_compare(r, &p, m);
}

static void bf16_alone(kt_run *r) {
    const bf16_product p = bf16_make(r, KT_WIDE);
    bf16_run(r, &p);
    for (size_t m = 0; m < p.n_m; m++) {
        float alone[GI_TILE_N];
        r->k->gemm_bf16(alone, GI_TILE_N, p.x + m * p.ld_x, p.ld_x, 1, p.panel, p.n_units);
        for (size_t j = 0; j < GI_TILE_N; j++)
            kt_same(r, "acc", m, j, p.acc[m * p.ld_acc + j], alone[j]);
    }
}

/* One NaN in x spoils its row, one in the weights its column, and nothing else. */
static void bf16_nan(kt_run *r) {
    const bf16_product p = bf16_make(r, KT_PLAIN);
    const bool in_x = kt_range(r, 0, 1);
    const size_t m = kt_range(r, 0, p.n_m - 1), j = kt_range(r, 0, GI_TILE_N - 1);
    const size_t i = kt_range(r, 0, 2 * p.n_units - 1);
    if (in_x)
        p.x[m * p.ld_x + i] = 0x7FC0;
    else
        p.panel[i / 2 * (GI_UNIT_BYTES / 2) + 2 * j + i % 2] = 0xFFC1;
    bf16_run(r, &p);
    for (size_t mm = 0; mm < p.n_m; mm++)
        for (size_t jj = 0; jj < GI_TILE_N; jj++)
            kt_nan(r, "acc", mm, jj, p.acc[mm * p.ld_acc + jj], in_x ? mm == m : jj == j);
}

static void bf16_strange(kt_run *r) {
    const bf16_product p = bf16_make(r, KT_STRANGE);
    bf16_run(r, &p);
}

/* ---- gemm_panel ----------------------------------------------------------------------------- */

typedef struct panel_product {
    float *acc, *x, *panel;
    float before[PANEL_ROWS_MAX * GI_PANEL_N];
    size_t ld_x, n_m, n_k;
} panel_product;

static void panel_make(kt_run *r, kt_kind kind, panel_product *p) {
    p->n_m = kt_range(r, 1, PANEL_ROWS_MAX);
    p->n_k = kt_length(r, DEPTH_MAX);
    p->ld_x = p->n_k + kt_range(r, 0, 1) * kt_range(r, 0, 70);
    p->acc = KT_ARRAY(r, float, p->n_m *GI_PANEL_N);
    p->x = KT_ARRAY(r, float, (p->n_m - 1) * p->ld_x + p->n_k);
    p->panel = KT_ARRAY(r, float, p->n_k *GI_PANEL_N);
    kt_writable(r, p->acc, 1, p->n_m * GI_PANEL_N * sizeof *p->acc, 0);
    kt_fill_f32(r, p->acc, p->n_m * GI_PANEL_N, kind);
    kt_fill_f32(r, p->x, (p->n_m - 1) * p->ld_x + p->n_k, kind);
    kt_fill_f32(r, p->panel, p->n_k * GI_PANEL_N, kind);
    memcpy(p->before, p->acc, p->n_m * GI_PANEL_N * sizeof *p->acc);
    kt_shape(r, "n_m=%zu n_k=%zu ld_x=%zu", p->n_m, p->n_k, p->ld_x);
}

static void panel_run(kt_run *r, const panel_product *p) {
    kt_arm(r);
    r->k->gemm_panel(p->acc, p->x, p->ld_x, p->n_m, p->panel, p->n_k);
    kt_verify(r);
}

static void panel_shapes(kt_run *r) {
    panel_product p;
    panel_make(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE, &p);
    panel_run(r, &p);
    for (size_t m = 0; m < p.n_m; m++)
        for (size_t j = 0; j < GI_PANEL_N; j++) {
            double sum = (double)p.before[m * GI_PANEL_N + j], size = fabs(sum);
            for (size_t k = 0; k < p.n_k; k++) {
                const double xw = (double)p.x[m * p.ld_x + k] * (double)p.panel[k * GI_PANEL_N + j];
                sum += xw;
                size += fabs(xw);
            }
            kt_near(r, "acc", m, j, (double)p.acc[m * GI_PANEL_N + j], sum,
                    (double)(p.n_k + 2) * KT_EPS * size);
        }
}

static void panel_alone(kt_run *r) {
    panel_product p;
    panel_make(r, KT_WIDE, &p);
    panel_run(r, &p);
    for (size_t m = 0; m < p.n_m; m++) {
        float alone[GI_PANEL_N];
        memcpy(alone, p.before + m * GI_PANEL_N, sizeof alone);
        r->k->gemm_panel(alone, p.x + m * p.ld_x, p.ld_x, 1, p.panel, p.n_k);
        for (size_t j = 0; j < GI_PANEL_N; j++)
            kt_same(r, "acc", m, j, p.acc[m * GI_PANEL_N + j], alone[j]);
    }
}

static void panel_nan(kt_run *r) {
    panel_product p;
    panel_make(r, KT_PLAIN, &p);
    const bool in_x = kt_range(r, 0, 1);
    const size_t m = kt_range(r, 0, p.n_m - 1), j = kt_range(r, 0, GI_PANEL_N - 1);
    const size_t k = kt_range(r, 0, p.n_k - 1);
    *(in_x ? &p.x[m * p.ld_x + k] : &p.panel[k * GI_PANEL_N + j]) = NAN;
    panel_run(r, &p);
    for (size_t mm = 0; mm < p.n_m; mm++)
        for (size_t jj = 0; jj < GI_PANEL_N; jj++)
            kt_nan(r, "acc", mm, jj, p.acc[mm * GI_PANEL_N + jj], in_x ? mm == m : jj == j);
}

static void panel_strange(kt_run *r) {
    panel_product p;
    panel_make(r, KT_STRANGE, &p);
    panel_run(r, &p);
}

/* ---- pack_panel, dot, widen ----------------------------------------------------------------- */

static void pack_shapes(kt_run *r) {
    const gi_dtype type = kt_float_type(r);
    const size_t n_rows = kt_range(r, 0, 1) ? GI_PANEL_N : kt_range(r, 1, GI_PANEL_N);
    const size_t n_k = kt_length(r, DEPTH_MAX), k0 = kt_range(r, 0, 1) * kt_range(r, 0, 70);
    const size_t n = n_rows * (k0 + n_k), size = gi_dtype_bytes(type);
    float *panel = KT_ARRAY(r, float, n_k *GI_PANEL_N);
    unsigned char *weights = kt_buffer(r, n * size, size);
    kt_fill(r, weights, type, n, kt_range(r, 0, 1) ? KT_PLAIN : KT_STRANGE);
    /* In any order; the last row ends with the buffer. */
    const void *rows[GI_PANEL_N];
    const size_t turn = kt_range(r, 0, n_rows - 1);
    size_t index[GI_PANEL_N];
    for (size_t j = 0; j < n_rows; j++) {
        index[j] = (j + turn) % n_rows;
        rows[j] = weights + index[j] * (k0 + n_k) * size;
    }
    kt_writable(r, panel, 1, n_k * GI_PANEL_N * sizeof *panel, 0);
    kt_shape(r, "%s n_rows=%zu k0=%zu n_k=%zu", gi_dtype_name(type), n_rows, k0, n_k);
    kt_arm(r);
    r->k->pack_panel(panel, rows, n_rows, type, k0, n_k);
    kt_verify(r);
    for (size_t k = 0; k < n_k; k++)
        for (size_t j = 0; j < GI_PANEL_N; j++)
            kt_same(r, "panel", k, j, panel[k * GI_PANEL_N + j],
                    j < n_rows ? kt_get(weights, type, index[j] * (k0 + n_k) + k0 + k) : 0);
}

static void dot_round(kt_run *r, kt_kind kind) {
    const gi_dtype type = kt_float_type(r);
    const size_t n = kt_length(r, DEPTH_MAX), size = gi_dtype_bytes(type);
    float *x = KT_ARRAY(r, float, n);
    void *w = kt_buffer(r, n * size, size);
    kt_fill_f32(r, x, n, kind);
    kt_fill(r, w, type, n, kind);
    kt_shape(r, "%s n_k=%zu", gi_dtype_name(type), n);
    kt_arm(r);
    const float got = r->k->dot(x, w, type, n);
    kt_verify(r);
    double sum = 0, scale = 0;
    for (size_t k = 0; k < n; k++) {
        const double xw = (double)x[k] * (double)kt_get(w, type, k);
        sum += xw;
        scale += fabs(xw);
    }
    if (kind != KT_STRANGE)
        kt_near(r, "dot", 0, 0, (double)got, sum, (double)(n + 2) * KT_EPS * scale);
    else if (isnan(sum))
        kt_nan(r, "dot", 0, 0, got, true);
}

static void dot_shapes(kt_run *r) {
    dot_round(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE);
}

static void dot_strange(kt_run *r) {
    dot_round(r, KT_STRANGE);
}

static void widen_shapes(kt_run *r) {
    const gi_dtype type = kt_float_type(r);
    const size_t n = kt_length(r, DEPTH_MAX), size = gi_dtype_bytes(type);
    float *dst = KT_ARRAY(r, float, n);
    void *src = kt_buffer(r, n * size, size); /* any bits at all, NaN of all kinds among them */
    if (kt_range(r, 0, 1)) kt_fill(r, src, type, n, KT_STRANGE);
    kt_writable(r, dst, 1, n * sizeof *dst, 0);
    kt_shape(r, "%s n=%zu", gi_dtype_name(type), n);
    kt_arm(r);
    r->k->widen(dst, src, type, n);
    kt_verify(r);
    for (size_t i = 0; i < n; i++) kt_same(r, "dst", 0, i, dst[i], kt_get(src, type, i));
}

const kt_case kt_product_cases[] = {
    KT_CASE(gemm_s8, "shapes", s8_shapes),
    KT_CASE(gemm_s8, "extremes", s8_extremes),
    KT_CASE(gemm_s8, "deepest", s8_deepest),
    KT_CASE(gemm_bf16, "shapes", bf16_shapes),
    KT_CASE(gemm_bf16, "row alone", bf16_alone),
    KT_CASE(gemm_bf16, "NaN", bf16_nan),
    KT_CASE(gemm_bf16, "strange", bf16_strange),
    KT_CASE(gemm_panel, "shapes", panel_shapes),
    KT_CASE(gemm_panel, "row alone", panel_alone),
    KT_CASE(gemm_panel, "NaN", panel_nan),
    KT_CASE(gemm_panel, "strange", panel_strange),
    KT_CASE(pack_panel, "shapes", pack_shapes),
    KT_CASE(dot, "shapes", dot_shapes),
    KT_CASE(dot, "strange", dot_strange),
    KT_CASE(widen, "shapes", widen_shapes),
};
const size_t kt_n_product_cases = sizeof kt_product_cases / sizeof kt_product_cases[0];
