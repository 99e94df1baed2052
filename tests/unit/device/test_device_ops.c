/*
 * The CPU device's operations against plain loops in double, at sizes that fit no tile. The
 * bounds are not guesses: each follows from how far a number may be rounded in its format.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "device/device.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 300, COLS_MAX = 330, OUT_MAX = 260 };

static uint64_t rng = 1;

static uint64_t next_random(void) {
    uint64_t z = rng += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* -1..1 */
static float uniform(void) {
    return (float)(next_random() >> 40) * 0x1p-23f - 1.0f;
}

static void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = uniform();
}

enum { HEADS = 4, KV_HEADS = 2, HEAD_DIM = 24 };

static gi_device *open_device_for(gi_cpu_format format, int n_threads, size_t head_dim) {
    const gi_device_cpu_options o = {
        .n_threads = n_threads,
        .text_format = format,
        .vision_format = format,
        .kv_format = format,
        .linear_elems_max = (size_t)ROWS_MAX * COLS_MAX,
        .linear_cols_max = COLS_MAX,
        .linear_rows_max = ROWS_MAX,
        .kv_tokens_max = 256,
        .patches_max = ROWS_MAX,
        .text_cols = HEADS * head_dim,
        .text_head_dim = head_dim,
        .vision_cols = HEADS * HEAD_DIM,
        .vision_heads = HEADS,
    };
    gi_device *dev = NULL;
    glint_error err = {0};
    if (gi_device_cpu_create(&o, &dev, &err)) fail_msg("%s", err.message);
    return dev;
}

static gi_device *open_device(gi_cpu_format format, int n_threads) {
    return open_device_for(format, n_threads, HEAD_DIM);
}

static gi_act make_act(gi_device *dev, const float *src, size_t rows, size_t cols) {
    gi_act a;
    assert_int_equal(dev->ops->act_create(dev, rows, cols, &a, NULL), GLINT_OK);
    if (src) dev->ops->act_upload(dev, a, 0, src, rows);
    return a;
}

/* ---- linear --------------------------------------------------------------------------------- */

/* One product, its weights in BF16 or F32, in up to three parts, some with a bias. */
typedef struct product {
    size_t n_tokens, n_cols, n_rows; /* n_rows of all parts */
    gi_dtype type;
    gi_epilogue epilogue;
    bool has_norm, has_bias;
    float x[ROWS_MAX * COLS_MAX], w[OUT_MAX * COLS_MAX], bias[OUT_MAX], norm[COLS_MAX];
    uint16_t w16[OUT_MAX * COLS_MAX];
    float before[ROWS_MAX * OUT_MAX], got[ROWS_MAX * OUT_MAX];
} product;

static const float EPS = 1e-5f;

static void make_product(product *p, gi_epilogue epilogue) {
    p->n_tokens = 1 + next_random() % (next_random() % 2 ? ROWS_MAX : 12);
    p->n_cols = 1 + next_random() % COLS_MAX;
    p->n_rows = epilogue == GI_EPILOGUE_SWIGLU ? 2 * (1 + next_random() % (OUT_MAX / 2))
                                               : 3 + next_random() % (OUT_MAX - 2);
    p->epilogue = epilogue;
    p->type = next_random() % 2 ? GI_DTYPE_BF16 : GI_DTYPE_F32;
    p->has_norm = next_random() % 2;
    p->has_bias = epilogue != GI_EPILOGUE_SWIGLU && next_random() % 2;
    fill(p->x, p->n_tokens * p->n_cols);
    fill(p->w, p->n_rows * p->n_cols);
    fill(p->norm, p->n_cols);
    fill(p->before, p->n_tokens * p->n_rows);
    for (size_t i = 0; i < p->n_rows; i++) p->bias[i] = p->has_bias ? uniform() : 0;
    for (size_t i = 0; i < p->n_rows * p->n_cols && p->type == GI_DTYPE_BF16; i++) {
        p->w16[i] = gi_f32_to_bf16(p->w[i]);
        p->w[i] = gi_bf16_to_f32(p->w16[i]);
    }
}

/* Rows cut into one to three parts, wherever. */
static gi_matrix *make_matrix(gi_device *dev, const product *p) {
    gi_matrix_spec spec = {.name = "test",
                           .use = GI_MATRIX_TEXT,
                           .is_swiglu = p->epilogue == GI_EPILOGUE_SWIGLU,
                           .n_cols = p->n_cols};
    spec.n_parts = spec.is_swiglu ? 1 : 1 + next_random() % 3;
    for (size_t i = 0, row = 0; i < spec.n_parts; row += spec.parts[i++].n_rows) {
        const size_t left = p->n_rows - row, parts_left = spec.n_parts - i;
        gi_matrix_part *part = &spec.parts[i];
        part->n_rows = parts_left == 1 ? left : 1 + next_random() % (left - parts_left + 1);
        part->type = p->type;
        part->weight = p->type == GI_DTYPE_F32 ? (const void *)(p->w + row * p->n_cols)
                                               : (const void *)(p->w16 + row * p->n_cols);
        if (p->has_bias) {
            part->bias = p->bias + row;
            part->bias_type = GI_DTYPE_F32;
        }
    }
    gi_matrix *m = NULL;
    assert_int_equal(dev->ops->matrix_create(dev, &spec, &m, NULL), GLINT_OK);
    return m;
}

static void run_product(gi_device *dev, product *p) {
    const size_t n_out = p->epilogue == GI_EPILOGUE_SWIGLU ? p->n_rows / 2 : p->n_rows;
    gi_act x = make_act(dev, p->x, p->n_tokens, p->n_cols);
    gi_act out = make_act(dev, p->before, p->n_tokens, n_out);
    gi_matrix *m = make_matrix(dev, p);
    gi_vector *norm = NULL;
    assert_int_equal(dev->ops->vector_create(dev, p->norm, GI_DTYPE_F32, p->n_cols, &norm, NULL),
                     GLINT_OK);
    dev->ops->linear(dev, &(gi_linear_args){.out = out,
                                            .x = x,
                                            .n_tokens = p->n_tokens,
                                            .rms_norm = p->has_norm ? norm : NULL,
                                            .rms_eps = EPS,
                                            .matrix = m,
                                            .epilogue = p->epilogue});
    dev->ops->act_download(dev, out, 0, p->got, p->n_tokens);
    dev->ops->vector_free(dev, norm);
    dev->ops->matrix_free(dev, m);
    dev->ops->act_free(dev, &x);
    dev->ops->act_free(dev, &out);
}

/* Row t of x as the product sees it before it is made narrow. */
static void normed_row(const product *p, size_t t, double *x) {
    double squares = 0;
    for (size_t k = 0; k < p->n_cols; k++) x[k] = (double)p->x[t * p->n_cols + k];
    if (!p->has_norm) return;
    for (size_t k = 0; k < p->n_cols; k++) squares += x[k] * x[k];
    const double r = 1 / sqrt(squares / (double)p->n_cols + (double)EPS);
    for (size_t k = 0; k < p->n_cols; k++) x[k] *= r * (double)p->norm[k];
}

static double largest(const double *x, size_t n) {
    double max = 0;
    for (size_t i = 0; i < n; i++) max = fmax(max, fabs(x[i]));
    return max;
}

/*
 * Output j of row x: its value, and how far rounding may move it. x and w are off by at most
 * half a step each: of INT8's scale, or of the last bit of BF16; F32 sums add a little.
 */
static double exact(const product *p, gi_cpu_format format, const double *x, size_t j,
                    double *ret_bound) {
    const float *w = p->w + j * p->n_cols;
    double wide[COLS_MAX], y = (double)p->bias[j], bound = 0;
    for (size_t k = 0; k < p->n_cols; k++) wide[k] = (double)w[k];
    const double x_step = largest(x, p->n_cols) / 127, w_step = largest(wide, p->n_cols) / 127;
    for (size_t k = 0; k < p->n_cols; k++) {
        double ex = 1e-6 * fabs(x[k]), ew = 0;
        if (format == GI_CPU_BF16) {
            ex += fabs(x[k]) / 256;
            ew = p->type == GI_DTYPE_BF16 ? 0 : fabs(wide[k]) / 256;
        } else if (format == GI_CPU_S8) {
            ex += x_step / 2 * 1.001;
            ew = w_step / 2 * 1.001;
        }
        y += x[k] * wide[k];
        bound += fabs(x[k]) * ew + fabs(wide[k]) * ex + ex * ew + 1e-5 * fabs(x[k] * wide[k]);
    }
    *ret_bound = bound + 1e-6;
    return y;
}

static double silu(double g) {
    return g / (1 + exp(-g));
}

static void check_product(const product *p, gi_cpu_format format) {
    const bool two = p->epilogue == GI_EPILOGUE_SWIGLU;
    const size_t n_out = two ? p->n_rows / 2 : p->n_rows;
    double x[COLS_MAX];
    for (size_t t = 0; t < p->n_tokens; t++) {
        normed_row(p, t, x);
        for (size_t j = 0; j < n_out; j++) {
            double bound, bound_up, y = exact(p, format, x, j, &bound);
            if (two) {
                const double up = exact(p, format, x, n_out + j, &bound_up);
                /* |silu'| <= 1.1 */
                bound = 1.1 * bound * (fabs(up) + bound_up) + fabs(silu(y)) * bound_up + 1e-6;
                y = up * silu(y);
            } else if (p->epilogue == GI_EPILOGUE_ADD) {
                y += (double)p->before[t * n_out + j];
            }
            const double got = (double)p->got[t * n_out + j];
            if (!(fabs(got - y) <= bound))
                fail_msg("format %d, epilogue %d, %zu x %zu x %zu, row %zu, output %zu: %g, not "
                         "%g +- %g",
                         format, p->epilogue, p->n_tokens, p->n_cols, p->n_rows, t, j, got, y,
                         bound);
        }
    }
}

static void linear_is_the_product(void **state) {
    (void)state;
    static const gi_cpu_format formats[] = {GI_CPU_F32, GI_CPU_BF16, GI_CPU_S8};
    static const gi_epilogue epilogues[] = {GI_EPILOGUE_STORE, GI_EPILOGUE_ADD, GI_EPILOGUE_SWIGLU};
    product *p = gi_calloc(1, sizeof *p);
    assert_non_null(p);
    for (size_t f = 0; f < 3; f++) {
        gi_device *dev = open_device(formats[f], 2);
        for (int i = 0; i < 60; i++) {
            make_product(p, epilogues[i % 3]);
            run_product(dev, p);
            check_product(p, formats[f]);
        }
        gi_device_free(dev);
    }
    gi_free(p);
}

static void linear_refuses_mixed_parts(void **state) {
    (void)state;
    gi_device *dev = open_device(GI_CPU_BF16, 1);
    static const float w[64];
    const gi_matrix_spec spec = {.name = "mixed",
                                 .use = GI_MATRIX_TEXT,
                                 .parts = {{.weight = w, .type = GI_DTYPE_F32, .n_rows = 1},
                                           {.weight = w, .type = GI_DTYPE_BF16, .n_rows = 1}},
                                 .n_parts = 2,
                                 .n_cols = 8};
    gi_matrix *m = NULL;
    glint_error err = {0};
    assert_int_equal(dev->ops->matrix_create(dev, &spec, &m, &err), GLINT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "mixed"));
    assert_null(m);
    gi_device_free(dev);
}

/* Sums of longer products would leave 32 bits: wrong answers that look like right ones. */
static void int8_refuses_what_its_sums_cannot_hold(void **state) {
    (void)state;
    enum { COLS = 4 * GI_S8_UNITS_MAX + 1 };
    gi_device *dev = open_device(GI_CPU_S8, 1);
    static const float w[COLS];
    const gi_matrix_spec spec = {.name = "wide",
                                 .use = GI_MATRIX_TEXT,
                                 .parts = {{.weight = w, .type = GI_DTYPE_F32, .n_rows = 1}},
                                 .n_parts = 1,
                                 .n_cols = COLS};
    gi_matrix *m = NULL;
    glint_error err = {0};
    assert_int_equal(dev->ops->matrix_create(dev, &spec, &m, &err), GLINT_ERR_UNSUPPORTED);
    assert_string_equal(err.message,
                        "wide: 65537 columns are too many for INT8, which takes 65536");
    assert_null(m);
    gi_device_free(dev);
}

/* ---- attention ------------------------------------------------------------------------------ */

/* Softmax of q k / sqrt(d) over n keys, times values; strides in floats. */
static void attend(const float *q, const float *k, const float *v, size_t ld, size_t n, size_t d,
                   double *out) {
    double s[ROWS_MAX], sum = 0, max = -1e300;
    for (size_t j = 0; j < n; j++) {
        s[j] = 0;
        for (size_t i = 0; i < d; i++) s[j] += (double)q[i] * (double)k[j * ld + i];
        s[j] /= sqrt((double)d);
        max = fmax(max, s[j]);
    }
    for (size_t j = 0; j < n; j++) sum += s[j] = exp(s[j] - max);
    for (size_t i = 0; i < d; i++) out[i] = 0;
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < d; i++) out[i] += s[j] / sum * (double)v[j * ld + i];
}

/*
 * Of errors times the root of the number of keys: rounding averages out over keys, so that number
 * stays the same, while a key too many or too few among n moves an output by about 1 / n, which
 * is 0.05 by this measure at the 300 keys here, and more at fewer. The bars stand at twice what
 * is observed: 1.5e-6, 7e-3, 1.5e-2.
 */
static double attention_bar(gi_cpu_format format) {
    return format == GI_CPU_F32 ? 4e-6 : format == GI_CPU_BF16 ? 1.4e-2 : 3e-2;
}

/* All patches of a picture see all; the angles are turns by a half: q and k change sign. */
static void vision_attention_sees_all_patches(void **state) {
    (void)state;
    enum { D = HEAD_DIM, COLS = HEADS * D };
    static const gi_cpu_format formats[] = {GI_CPU_F32, GI_CPU_BF16};
    static const size_t counts[] = {4, 60, 64, 68, 132, 300};
    float *qkv = gi_calloc((size_t)ROWS_MAX * 3 * COLS, sizeof *qkv);
    float *got = gi_calloc((size_t)ROWS_MAX * COLS, sizeof *got);
    static float cos_[ROWS_MAX * D / 2], sin_[ROWS_MAX * D / 2];
    assert_true(qkv && got);
    for (size_t i = 0; i < ROWS_MAX * D / 2; i++) cos_[i] = -1;
    for (size_t f = 0; f < 2; f++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            gi_device *dev = open_device(formats[f], 2);
            const size_t n = counts[c];
            fill(qkv, n * 3 * COLS);
            gi_act in = make_act(dev, qkv, n, 3 * COLS), out = make_act(dev, NULL, n, COLS);
            dev->ops->vision_attention(dev, &(gi_vision_attention_args){.out = out,
                                                                        .qkv = in,
                                                                        .n_patches = n,
                                                                        .n_heads = HEADS,
                                                                        .rope_cos = cos_,
                                                                        .rope_sin = sin_});
            dev->ops->act_download(dev, out, 0, got, n);
            double worst = 0, want[D];
            for (size_t p = 0; p < n; p++)
                for (size_t h = 0; h < HEADS; h++) {
                    attend(qkv + p * 3 * COLS + h * D, qkv + COLS + h * D, qkv + 2 * COLS + h * D,
                           3 * COLS, n, D, want);
                    for (size_t i = 0; i < D; i++)
                        worst = fmax(worst, sqrt((double)n) *
                                                fabs((double)got[p * COLS + h * D + i] - want[i]));
                }
            if (!(worst < attention_bar(formats[f])))
                fail_msg("format %d, %zu patches: %.2e", formats[f], n, worst);
            dev->ops->act_free(dev, &in);
            dev->ops->act_free(dev, &out);
            gi_device_free(dev);
        }
    gi_free(qkv);
    gi_free(got);
}

enum { TOKENS = 200, LD_MAX = (HEADS + 2 * KV_HEADS) * HEAD_DIM };

/* One sequence in pieces through blocks in any order; layer 1 of 2. */
static void run_text(gi_device *dev, gi_kv_store *kv, const float *qkv, size_t d, float *got) {
    static const size_t pieces[] = {1, 70, 6, 64, 2, 57};
    static const int32_t blocks[] = {12, 3, 7, 0, 9, 1, 15, 4, 2, 8, 14, 5, 11};
    static float cos_[TOKENS * HEAD_DIM / 2], sin_[TOKENS * HEAD_DIM / 2];
    const size_t ld = (HEADS + 2 * KV_HEADS) * d;
    for (size_t i = 0; i < sizeof cos_ / sizeof cos_[0]; i++) cos_[i] = -1;
    for (size_t i = 0, past = 0; i < sizeof pieces / sizeof pieces[0]; past += pieces[i++]) {
        gi_act in = make_act(dev, qkv + past * ld, pieces[i], ld);
        gi_act out = make_act(dev, NULL, pieces[i], HEADS * d);
        const gi_span span = {.n_rows = pieces[i], .n_past = past, .blocks = blocks};
        dev->ops->attention(dev, &(gi_attention_args){.out = out,
                                                      .qkv = in,
                                                      .spans = &span,
                                                      .n_spans = 1,
                                                      .rope_cos = cos_,
                                                      .rope_sin = sin_,
                                                      .rotary_dim = d,
                                                      .n_heads = HEADS,
                                                      .layer = 1,
                                                      .kv = kv});
        dev->ops->act_download(dev, out, 0, got + past * HEADS * d, pieces[i]);
        dev->ops->act_free(dev, &in);
        dev->ops->act_free(dev, &out);
    }
}

/* Token t sees 0..t. */
static void text_attention_is_causal(void **state) {
    (void)state;
    static const struct {
        gi_cpu_format format;
        size_t head_dim;
        glint_status status;
    } rows[] = {
        {GI_CPU_F32, HEAD_DIM, GLINT_OK}, {GI_CPU_BF16, HEAD_DIM, GLINT_OK},
        {GI_CPU_S8, HEAD_DIM, GLINT_OK},  {GI_CPU_F32, 6, GLINT_OK},
        {GI_CPU_BF16, 6, GLINT_OK},       {GI_CPU_S8, 6, GLINT_ERR_UNSUPPORTED},
    };
    static float qkv[TOKENS * LD_MAX], got[TOKENS * HEADS * HEAD_DIM];
    fill(qkv, sizeof qkv / sizeof qkv[0]);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const size_t d = rows[r].head_dim, ld = (HEADS + 2 * KV_HEADS) * d;
        gi_device *dev = open_device_for(rows[r].format, 2, d);
        const gi_kv_shape shape = {.n_layers = 2,
                                   .n_blocks = 16,
                                   .n_kv_heads = KV_HEADS,
                                   .head_dim = d,
                                   .block_tokens = dev->ops->kv_block_tokens(dev)};
        gi_kv_store *kv = NULL;
        assert_int_equal(dev->ops->kv_create(dev, &shape, &kv, NULL), rows[r].status);
        if (kv) run_text(dev, kv, qkv, d, got);
        double worst = 0, want[HEAD_DIM];
        for (size_t i = 0; kv && i < TOKENS * HEADS; i++) {
            const size_t t = i / HEADS, h = i % HEADS;
            const float *k = qkv + (HEADS + h / (HEADS / KV_HEADS)) * d;
            attend(qkv + t * ld + h * d, k, k + KV_HEADS * d, ld, t + 1, d, want);
            for (size_t c = 0; c < d; c++)
                worst = fmax(worst, sqrt((double)t + 1) * fabs((double)got[i * d + c] - want[c]));
        }
        if (!(worst < attention_bar(rows[r].format)))
            fail_msg("format %d, %zu dimensions: %.2e", rows[r].format, d, worst);
        dev->ops->kv_free(dev, kv);
        gi_device_free(dev);
    }
}

/* ---- rows ----------------------------------------------------------------------------------- */

enum { T = 21, C = 77 };

static gi_vector *make_vector(gi_device *dev, float *values) {
    gi_vector *v = NULL;
    fill(values, C);
    assert_int_equal(dev->ops->vector_create(dev, values, GI_DTYPE_F32, C, &v, NULL), GLINT_OK);
    return v;
}

static double rms(const float *row) {
    double squares = 0;
    for (size_t i = 0; i < C; i++) squares += (double)row[i] * (double)row[i];
    return sqrt(squares / C + (double)EPS);
}

static void norms(void **state) {
    (void)state;
    gi_device *dev = open_device(GI_CPU_F32, 2);
    static float x[T * C], y[T * C], got[T * C], w[C], b[C];
    fill(x, T * C);
    fill(y, T * C);
    gi_vector *wv = make_vector(dev, w), *bv = make_vector(dev, b);
    gi_act xa = make_act(dev, x, T, C), ya = make_act(dev, y, T, C);
    dev->ops->rms_norm(dev, xa, xa, T - 1, wv, EPS); /* the last row stays */
    dev->ops->act_download(dev, xa, 0, got, T);
    for (size_t i = 0; i < (T - 1) * C; i++)
        assert_true(fabs((double)got[i] - (double)x[i] / rms(x + i / C * C) * (double)w[i % C]) <
                    1e-5);
    assert_memory_equal(got + (T - 1) * C, x + (T - 1) * C, C * sizeof *x);

    dev->ops->act_upload(dev, xa, 0, x, T);
    dev->ops->rms_norm_add(dev, xa, ya, T, wv, EPS);
    dev->ops->act_download(dev, xa, 0, got, T);
    for (size_t i = 0; i < T * C; i++)
        assert_true(fabs((double)got[i] - (double)x[i] -
                         (double)y[i] / rms(y + i / C * C) * (double)w[i % C]) < 1e-5);

    for (size_t i = 0; i < T * C; i++) x[i] += 1000; /* a mean that must not eat the variance */
    dev->ops->act_upload(dev, xa, 0, x, T);
    dev->ops->layer_norm_gelu(dev, xa, T, wv, bv, EPS);
    dev->ops->act_download(dev, xa, 0, got, T);
    for (size_t t = 0; t < T; t++) {
        double mean = 0, squares = 0;
        for (size_t i = 0; i < C; i++) mean += (double)x[t * C + i] / C;
        for (size_t i = 0; i < C; i++) squares += pow((double)x[t * C + i] - mean, 2);
        for (size_t i = 0; i < C; i++) {
            const double n = ((double)x[t * C + i] - mean) / sqrt(squares / C + (double)EPS);
            const double z = n * (double)w[i] + (double)b[i];
            assert_true(fabs((double)got[t * C + i] - 0.5 * z * (1 + erf(z / sqrt(2)))) < 3e-4);
        }
    }
    dev->ops->vector_free(dev, wv);
    dev->ops->vector_free(dev, bv);
    dev->ops->act_free(dev, &xa);
    dev->ops->act_free(dev, &ya);
    gi_device_free(dev);
}

static gi_matrix *make_table(gi_device *dev, const uint16_t *rows, size_t n) {
    const gi_matrix_spec spec = {.name = "table",
                                 .use = GI_MATRIX_LOOKUP,
                                 .parts = {{.weight = rows, .type = GI_DTYPE_BF16, .n_rows = n}},
                                 .n_parts = 1,
                                 .n_cols = C};
    gi_matrix *m = NULL;
    assert_int_equal(dev->ops->matrix_create(dev, &spec, &m, NULL), GLINT_OK);
    return m;
}

static void rows_are_looked_up_and_copied(void **state) {
    (void)state;
    gi_device *dev = open_device(GI_CPU_BF16, 2);
    static uint16_t table[10 * C];
    static float before[T * C], got[T * C];
    for (size_t i = 0; i < 10 * C; i++) table[i] = gi_f32_to_bf16(uniform());
    fill(before, T * C);
    gi_matrix *m = make_table(dev, table, 10);
    gi_act out = make_act(dev, before, T, C);
    static const int32_t ids[] = {9, -1, 0, 0, -7, 5};
    dev->ops->embed(dev, out, m, ids, 6);
    dev->ops->act_download(dev, out, 0, got, T);
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < C; i++)
            assert_true(got[t * C + i] == (t < 6 && ids[t] >= 0
                                               ? gi_bf16_to_f32(table[(size_t)ids[t] * C + i])
                                               : before[t * C + i]));
    /* Overlapping in the same rows, forwards and backwards. */
    dev->ops->act_upload(dev, out, 0, before, T);
    dev->ops->copy_rows(dev, out, 2, out, 1, 10);
    dev->ops->copy_rows(dev, out, 14, out, 15, 4);
    dev->ops->act_download(dev, out, 0, got, T);
    assert_memory_equal(got + 2 * C, before + C, 10 * C * sizeof *got);
    assert_memory_equal(got + 14 * C, before + 15 * C, 4 * C * sizeof *got);
    dev->ops->matrix_free(dev, m);
    dev->ops->act_free(dev, &out);
    gi_device_free(dev);
}

/* A grid of the table's own size takes the table as it is, in the order of merge blocks. */
static void positions_at_their_own_size(void **state) {
    (void)state;
    enum { SIDE = 4 };
    gi_device *dev = open_device(GI_CPU_F32, 2);
    static uint16_t table[SIDE * SIDE * C];
    static float before[SIDE * SIDE * C], got[SIDE * SIDE * C];
    for (size_t i = 0; i < SIDE * SIDE * C; i++) table[i] = gi_f32_to_bf16(uniform());
    fill(before, SIDE * SIDE * C);
    gi_matrix *m = make_table(dev, table, SIDE * SIDE);
    gi_act x = make_act(dev, before, SIDE * SIDE, C);
    dev->ops->add_position(
        dev, &(gi_add_position_args){
                 .x = x, .table = m, .side = SIDE, .grid_h = SIDE, .grid_w = SIDE, .merge = 2});
    dev->ops->act_download(dev, x, 0, got, SIDE * SIDE);
    static const size_t order[] = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15};
    for (size_t p = 0; p < SIDE * SIDE; p++)
        for (size_t i = 0; i < C; i++) {
            const float want = before[p * C + i] + gi_bf16_to_f32(table[order[p] * C + i]);
            assert_true(fabsf(got[p * C + i] - want) < 1e-6f);
        }
    dev->ops->matrix_free(dev, m);
    dev->ops->act_free(dev, &x);
    gi_device_free(dev);
}

static void short_of_memory(void **state) {
    (void)state;
    static const gi_cpu_format formats[] = {GI_CPU_F32, GI_CPU_BF16};
    for (size_t f = 0; f < 2; f++) {
        const uint64_t before = gi_alloc_count();
        gi_device_free(open_device(formats[f], 2));
        const uint64_t n_allocs = gi_alloc_count() - before;
        assert_true(n_allocs >= 5);
        const gi_device_cpu_options o = {.n_threads = 2,
                                         .text_format = formats[f],
                                         .vision_format = formats[f],
                                         .kv_format = formats[f],
                                         .linear_elems_max = 64,
                                         .linear_cols_max = 8,
                                         .linear_rows_max = 8,
                                         .kv_tokens_max = 64,
                                         .patches_max = 4,
                                         .text_cols = 8,
                                         .text_head_dim = 8,
                                         .vision_cols = 8,
                                         .vision_heads = 1};
        for (uint64_t n = 1; n <= n_allocs; n++) {
            gi_device *dev = NULL;
            gi_alloc_fail_at(n);
            assert_int_equal(gi_device_cpu_create(&o, &dev, NULL), GLINT_ERR_MEMORY);
            assert_null(dev);
        }
        gi_alloc_fail_at(0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_is_the_product),
        cmocka_unit_test(linear_refuses_mixed_parts),
        cmocka_unit_test(int8_refuses_what_its_sums_cannot_hold),
        cmocka_unit_test(vision_attention_sees_all_patches),
        cmocka_unit_test(text_attention_is_causal),
        cmocka_unit_test(norms),
        cmocka_unit_test(rows_are_looked_up_and_copied),
        cmocka_unit_test(positions_at_their_own_size),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
