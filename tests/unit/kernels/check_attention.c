/*
 * Checks of the pieces of attention: scores, softmax, mix.
 */
#include "kernel_test.h"

#include <math.h>
#include <string.h>

enum { QUERIES = 4, KEYS_MAX = 300, HEAD_MAX = 160 };

/* ---- attn_scores ---------------------------------------------------------------------------- */

typedef struct scores_job {
    float *s, *q, *kt;
    size_t ld_s, ld_q, ld_kt, n_q, d, n;
    float scale;
} scores_job;

static scores_job scores_make(kt_run *r, kt_kind kind) {
    scores_job j = {.n_q = kt_range(r, 1, QUERIES),
                    .d = kt_length(r, HEAD_MAX),
                    .n = kt_length(r, KEYS_MAX),
                    .scale = kt_value(r, KT_PLAIN)};
    j.ld_s = j.n + kt_range(r, 0, 1) * kt_range(r, 0, 40);
    j.ld_q = j.d + kt_range(r, 0, 1) * kt_range(r, 0, 40);
    j.ld_kt = j.n + kt_range(r, 0, 1) * kt_range(r, 0, 40);
    const size_t n_q_floats = (j.n_q - 1) * j.ld_q + j.d, n_kt_floats = (j.d - 1) * j.ld_kt + j.n;
    j.s = KT_ARRAY(r, float, (j.n_q - 1) * j.ld_s + j.n);
    j.q = KT_ARRAY(r, float, n_q_floats);
    j.kt = KT_ARRAY(r, float, n_kt_floats);
    kt_fill_f32(r, j.q, n_q_floats, kind);
    kt_fill_f32(r, j.kt, n_kt_floats, kind);
    kt_writable(r, j.s, j.n_q, j.n * sizeof *j.s, j.ld_s * sizeof *j.s);
    kt_shape(r, "n_q=%zu d=%zu n=%zu ld_s=%zu ld_q=%zu ld_kt=%zu", j.n_q, j.d, j.n, j.ld_s, j.ld_q,
             j.ld_kt);
    return j;
}

static void scores_run(kt_run *r, const scores_job *j) {
    kt_arm(r);
    r->k->attn_scores(j->s, j->ld_s, j->q, j->ld_q, j->n_q, j->kt, j->ld_kt, j->d, j->n, j->scale);
    kt_verify(r);
}

static void scores_shapes(kt_run *r) {
    const scores_job j = scores_make(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE);
    scores_run(r, &j);
    for (size_t i = 0; i < j.n_q; i++)
        for (size_t key = 0; key < j.n; key++) {
            double sum = 0, size = 0;
            for (size_t k = 0; k < j.d; k++) {
                const double qk = (double)j.q[i * j.ld_q + k] * (double)j.kt[k * j.ld_kt + key];
                sum += qk;
                size += fabs(qk);
            }
            kt_near(r, "s", i, key, (double)j.s[i * j.ld_s + key], sum * (double)j.scale,
                    (double)(j.d + 3) * KT_EPS * size * fabs((double)j.scale) + 0x1p-120);
        }
}

static void scores_alone(kt_run *r) {
    const scores_job j = scores_make(r, KT_WIDE);
    scores_run(r, &j);
    for (size_t i = 0; i < j.n_q; i++) {
        float alone[KEYS_MAX];
        r->k->attn_scores(alone, j.n, j.q + i * j.ld_q, j.ld_q, 1, j.kt, j.ld_kt, j.d, j.n,
                          j.scale);
        for (size_t key = 0; key < j.n; key++)
            kt_same(r, "s", i, key, j.s[i * j.ld_s + key], alone[key]);
    }
}

static void scores_nan(kt_run *r) {
    const scores_job j = scores_make(r, KT_PLAIN);
    const bool in_q = kt_range(r, 0, 1);
    const size_t i = kt_range(r, 0, j.n_q - 1), key = kt_range(r, 0, j.n - 1);
    const size_t k = kt_range(r, 0, j.d - 1);
    *(in_q ? &j.q[i * j.ld_q + k] : &j.kt[k * j.ld_kt + key]) = NAN;
    scores_run(r, &j);
    for (size_t ii = 0; ii < j.n_q; ii++)
        for (size_t kk = 0; kk < j.n; kk++)
            kt_nan(r, "s", ii, kk, j.s[ii * j.ld_s + kk], in_q ? ii == i : kk == key);
}

static void scores_strange(kt_run *r) {
    const scores_job j = scores_make(r, KT_STRANGE);
    scores_run(r, &j);
}

/* ---- attn_mix ------------------------------------------------------------------------------- */

typedef struct mix_job {
    float *out, *p, *v;
    float before[QUERIES * HEAD_MAX]; /* [n_q, d] */
    size_t ld_o, ld_p, ld_v, n_q, n, d;
} mix_job;

static void mix_make(kt_run *r, kt_kind kind, mix_job *j) {
    j->n_q = kt_range(r, 1, QUERIES);
    j->d = kt_length(r, HEAD_MAX);
    j->n = kt_length(r, KEYS_MAX);
    j->ld_o = j->d + kt_range(r, 0, 1) * kt_range(r, 0, 40);
    j->ld_p = j->n + kt_range(r, 0, 1) * kt_range(r, 0, 40);
    j->ld_v = j->d + kt_range(r, 0, 1) * kt_range(r, 0, 40);
    const size_t n_o = (j->n_q - 1) * j->ld_o + j->d, n_p = (j->n_q - 1) * j->ld_p + j->n;
    const size_t n_v = (j->n - 1) * j->ld_v + j->d;
    j->out = KT_ARRAY(r, float, n_o);
    j->p = KT_ARRAY(r, float, n_p);
    j->v = KT_ARRAY(r, float, n_v);
    kt_fill_f32(r, j->out, n_o, kind);
    kt_fill_f32(r, j->p, n_p, kind);
    kt_fill_f32(r, j->v, n_v, kind);
    for (size_t i = 0; i < j->n_q; i++)
        memcpy(j->before + i * j->d, j->out + i * j->ld_o, j->d * sizeof *j->out);
    kt_writable(r, j->out, j->n_q, j->d * sizeof *j->out, j->ld_o * sizeof *j->out);
    kt_shape(r, "n_q=%zu n=%zu d=%zu ld_o=%zu ld_p=%zu ld_v=%zu", j->n_q, j->n, j->d, j->ld_o,
             j->ld_p, j->ld_v);
}

static void mix_run(kt_run *r, const mix_job *j) {
    kt_arm(r);
    r->k->attn_mix(j->out, j->ld_o, j->p, j->ld_p, j->n_q, j->v, j->ld_v, j->n, j->d);
    kt_verify(r);
}

static void mix_shapes(kt_run *r) {
    mix_job j;
    mix_make(r, kt_range(r, 0, 1) ? KT_PLAIN : KT_WIDE, &j);
    mix_run(r, &j);
    for (size_t i = 0; i < j.n_q; i++)
        for (size_t k = 0; k < j.d; k++) {
            double sum = (double)j.before[i * j.d + k], size = fabs(sum);
            for (size_t key = 0; key < j.n; key++) {
                const double pv = (double)j.p[i * j.ld_p + key] * (double)j.v[key * j.ld_v + k];
                sum += pv;
                size += fabs(pv);
            }
            kt_near(r, "out", i, k, (double)j.out[i * j.ld_o + k], sum,
                    (double)(j.n + 2) * KT_EPS * size);
        }
}

static void mix_alone(kt_run *r) {
    mix_job j;
    mix_make(r, KT_WIDE, &j);
    mix_run(r, &j);
    for (size_t i = 0; i < j.n_q; i++) {
        float *alone = j.before + i * j.d;
        r->k->attn_mix(alone, j.d, j.p + i * j.ld_p, j.ld_p, 1, j.v, j.ld_v, j.n, j.d);
        for (size_t k = 0; k < j.d; k++) kt_same(r, "out", i, k, j.out[i * j.ld_o + k], alone[k]);
    }
}

static void mix_nan(kt_run *r) {
    mix_job j;
    mix_make(r, KT_PLAIN, &j);
    const bool in_p = kt_range(r, 0, 1);
    const size_t i = kt_range(r, 0, j.n_q - 1), key = kt_range(r, 0, j.n - 1);
    const size_t k = kt_range(r, 0, j.d - 1);
    *(in_p ? &j.p[i * j.ld_p + key] : &j.v[key * j.ld_v + k]) = NAN;
    mix_run(r, &j);
    for (size_t ii = 0; ii < j.n_q; ii++)
        for (size_t kk = 0; kk < j.d; kk++)
            kt_nan(r, "out", ii, kk, j.out[ii * j.ld_o + kk], in_p ? ii == i : kk == k);
}

static void mix_strange(kt_run *r) {
    mix_job j;
    mix_make(r, KT_STRANGE, &j);
    mix_run(r, &j);
}

/* ---- softmax -------------------------------------------------------------------------------- */

/* Scores of all sizes; some masked out by -inf or by a very low number, as callers do. */
static void fill_scores(kt_run *r, float *s, size_t n) {
    const double spread = ldexp(1, (int)kt_range(r, 0, 9));
    const bool masked = kt_range(r, 0, 1);
    for (size_t i = 0; i < n; i++) {
        s[i] = (float)(spread * (2 * kt_uniform(r) - 1));
        if (masked && i && kt_range(r, 0, 4) == 0)
            s[i] = kt_range(r, 0, 1) ? -INFINITY : kt_range(r, 0, 1) ? -1e9f : -0x1.fffffep127f;
    }
}

/* exp(s[i] - max) in double, into e; their sum. */
static double exponentials(const float *s, size_t n, double *e) {
    double max = (double)s[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = fmax(max, (double)s[i]);
    for (size_t i = 0; i < n; i++) sum += e[i] = exp((double)s[i] - max);
    return sum;
}

/* Relative error of one exponential of log `e`: s - max is rounded, the rest is exp's own. */
static double exp_tolerance(double e) {
    return (e > 0 ? fmin(fabs(log(e)), 110) : 0) * KT_EPS + 8 * KT_EPS;
}

static void softmax_shapes(kt_run *r) {
    const size_t n = kt_length(r, KEYS_MAX);
    float *s = KT_ARRAY(r, float, n);
    double e[KEYS_MAX];
    fill_scores(r, s, n);
    const double sum = exponentials(s, n, e);
    kt_writable(r, s, 1, n * sizeof *s, 0);
    kt_shape(r, "n=%zu", n);
    kt_arm(r);
    r->k->softmax(s, n);
    kt_verify(r);
    for (size_t i = 0; i < n; i++)
        kt_near(r, "s", 0, i, (double)s[i], e[i] / sum,
                (exp_tolerance(e[i]) + (double)(n + 8) * KT_EPS) * e[i] / sum + 0x1p-120);
}

static void softmax_nan(kt_run *r) {
    const size_t n = kt_length(r, KEYS_MAX);
    float *s = KT_ARRAY(r, float, n);
    fill_scores(r, s, n);
    s[kt_range(r, 0, n - 1)] = NAN;
    kt_writable(r, s, 1, n * sizeof *s, 0);
    kt_shape(r, "n=%zu", n);
    kt_arm(r);
    r->k->softmax(s, n);
    kt_verify(r);
    for (size_t i = 0; i < n; i++) kt_nan(r, "s", 0, i, s[i], true);
}

static void softmax_strange(kt_run *r) {
    const size_t n = kt_length(r, KEYS_MAX);
    float *s = KT_ARRAY(r, float, n);
    kt_fill_f32(r, s, n, KT_STRANGE);
    kt_writable(r, s, 1, n * sizeof *s, 0);
    kt_shape(r, "n=%zu", n);
    kt_arm(r);
    r->k->softmax(s, n);
    kt_verify(r);
}

static void softmax_bf16_shapes(kt_run *r) {
    const size_t n = kt_length(r, KEYS_MAX);
    const size_t n_padded = n + kt_range(r, 0, 1) * kt_range(r, 0, 70);
    float *s = KT_ARRAY(r, float, n);
    uint16_t *p = KT_ARRAY(r, uint16_t, n_padded);
    double e[KEYS_MAX];
    fill_scores(r, s, n);
    const double sum = exponentials(s, n, e);
    kt_writable(r, s, 1, n * sizeof *s, 0);
    kt_writable(r, p, 1, n_padded * sizeof *p, 0);
    kt_shape(r, "n=%zu n_padded=%zu", n, n_padded);
    kt_arm(r);
    const float factor = r->k->softmax_bf16(p, s, n, n_padded);
    kt_verify(r);
    kt_near(r, "factor", 0, 0, (double)factor, 1 / sum, ((double)n + 128) * KT_EPS / sum);
    for (size_t i = 0; i < n; i++)
        kt_near(r, "p", 0, i, (double)gi_bf16_to_f32(p[i]), e[i],
                (exp_tolerance(e[i]) + 0x1p-8) * e[i] + 0x1p-120);
    for (size_t i = n; i < n_padded; i++) kt_same_int(r, "padding", 0, i, p[i], 0);
}

static void softmax_bf16_strange(kt_run *r) {
    const size_t n = kt_length(r, KEYS_MAX);
    float *s = KT_ARRAY(r, float, n);
    uint16_t *p = KT_ARRAY(r, uint16_t, n);
    kt_fill_f32(r, s, n, KT_STRANGE);
    const size_t i_nan = kt_range(r, 0, n - 1);
    s[i_nan] = NAN;
    kt_writable(r, s, 1, n * sizeof *s, 0);
    kt_writable(r, p, 1, n * sizeof *p, 0);
    kt_shape(r, "n=%zu", n);
    kt_arm(r);
    const float factor = r->k->softmax_bf16(p, s, n, n);
    kt_verify(r);
    kt_nan(r, "factor", 0, 0, factor, true);
    kt_nan(r, "p", 0, i_nan, gi_bf16_to_f32(p[i_nan]), true);
}

const kt_case kt_attention_cases[] = {
    KT_CASE(attn_scores, "shapes", scores_shapes),
    KT_CASE(attn_scores, "row alone", scores_alone),
    KT_CASE(attn_scores, "NaN", scores_nan),
    KT_CASE(attn_scores, "strange", scores_strange),
    KT_CASE(attn_mix, "shapes", mix_shapes),
    KT_CASE(attn_mix, "row alone", mix_alone),
    KT_CASE(attn_mix, "NaN", mix_nan),
    KT_CASE(attn_mix, "strange", mix_strange),
    KT_CASE(softmax, "shapes", softmax_shapes),
    KT_CASE(softmax, "NaN", softmax_nan),
    KT_CASE(softmax, "strange", softmax_strange),
    KT_CASE(softmax_bf16, "shapes", softmax_bf16_shapes),
    KT_CASE(softmax_bf16, "strange", softmax_bf16_strange),
};
const size_t kt_n_attention_cases = sizeof kt_attention_cases / sizeof kt_attention_cases[0];
