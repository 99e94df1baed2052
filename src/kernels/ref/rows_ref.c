/*
 * Reference row kernels: norm, activation, attention pieces.
 */
#include "kernels/ref/ref.h"

#include <math.h>

void gi_rmsnorm_ref(float *out, const float *x, const float *weight, size_t n, float eps) {
    enum { LANES = 8 };
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += x[i + l] * x[i + l];
    float sum = 0;
    for (; i < n; i++) sum += x[i] * x[i];
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    const float r = 1.0f / sqrtf(sum / (float)n + eps);
    for (i = 0; i < n; i++) out[i] = x[i] * r * weight[i];
}

void gi_swiglu_ref(float *out, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = up[i] * (gate[i] / (1.0f + expf(-gate[i])));
}

void gi_attn_scores_ref(float *restrict s, size_t ld_s, const float *q, size_t ld_q, size_t n_q,
                        const float *kt, size_t ld_kt, size_t d, size_t n, float scale) {
    enum { BLOCK = 64 };
    for (size_t i = 0; i < n_q; i++) {
        const float *qi = q + i * ld_q;
        float *si = s + i * ld_s;
        for (size_t j0 = 0; j0 < n; j0 += BLOCK) {
            const size_t w = n - j0 < BLOCK ? n - j0 : BLOCK;
            float sum[BLOCK] = {0};
            for (size_t k = 0; k < d; k++) {
                const float *row = kt + k * ld_kt + j0;
                for (size_t j = 0; j < w; j++) sum[j] += qi[k] * row[j];
            }
            for (size_t j = 0; j < w; j++) si[j0 + j] = sum[j] * scale;
        }
    }
}

void gi_softmax_ref(float *s, size_t n) {
    float max = s[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = s[i] > max ? s[i] : max;
    for (size_t i = 0; i < n; i++) {
        s[i] = expf(s[i] - max);
        sum += s[i];
    }
    for (size_t i = 0; i < n; i++) s[i] /= sum;
}

void gi_attn_mix_ref(float *restrict out, size_t ld_o, const float *p, size_t ld_p, size_t n_q,
                     const float *v, size_t ld_v, size_t n, size_t d) {
    for (size_t i = 0; i < n_q; i++)
        for (size_t j = 0; j < n; j++) {
            const float pij = p[i * ld_p + j];
            for (size_t k = 0; k < d; k++) out[i * ld_o + k] += pij * v[j * ld_v + k];
        }
}
