/*
 * Row kernels for AVX-512 (F, BW, DQ, VL): norm, quantisation, dequantisation, rounding to BF16,
 * SwiGLU.
 */
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/tiers.h"

#include <float.h>
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

enum { VECS = GI_TILE_N / 16 };

static inline __mmask16 tail_mask(size_t n) {
    return (__mmask16)((1u << n % 16) - 1);
}

static GI_DECL_RMSNORM(rmsnorm) {
    const __mmask16 tail = tail_mask(n);
    __m512 sum = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 v = _mm512_loadu_ps(x + i);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    if (tail) {
        const __m512 v = _mm512_maskz_loadu_ps(tail, x + i);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    const float mean = _mm512_reduce_add_ps(sum) / (float)n;
    const __m512 r = _mm512_set1_ps(1.0f / __builtin_sqrtf(mean + eps));
    for (i = 0; i + 16 <= n; i += 16) {
        const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + i), r);
        _mm512_storeu_ps(out + i, _mm512_mul_ps(v, _mm512_loadu_ps(weight + i)));
    }
    if (tail) {
        const __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(tail, x + i), r);
        _mm512_mask_storeu_ps(out + i, tail,
                              _mm512_mul_ps(v, _mm512_maskz_loadu_ps(tail, weight + i)));
    }
}

/* The nearest integers to v times `to_q`; where that is NaN, -127. */
static inline __m512i quantize16(__m512 v, __m512 to_q) {
    return _mm512_cvtps_epi32(_mm512_max_ps(_mm512_mul_ps(v, to_q), _mm512_set1_ps(-127.0f)));
}

static GI_DECL_QUANTIZE_ROW(quantize_row) {
    const __mmask16 tail = tail_mask(n);
    /* Magnitudes as bits are in the order of their values, and NaN is above infinity. */
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i max_v = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        max_v = _mm512_max_epi32(max_v, _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude));
    if (tail) {
        const __m512i v = _mm512_maskz_loadu_epi32(tail, x + i);
        max_v = _mm512_max_epi32(max_v, _mm512_and_si512(v, magnitude));
    }
    const float max = gi_bits_to_f32((uint32_t)_mm512_reduce_max_epi32(max_v));
    const bool is_tiny = max < GI_QUANTIZE_MIN;
    const __m512 to_q = _mm512_set1_ps(max <= FLT_MAX && !is_tiny ? 127.0f / max : 0);
    __m512i sum = _mm512_setzero_si512();
    for (i = 0; i + 16 <= n; i += 16) {
        const __m512i v = quantize16(_mm512_loadu_ps(x + i), to_q);
        sum = _mm512_add_epi32(sum, v);
        _mm_storeu_si128((__m128i *)(void *)(q + i), _mm512_cvtsepi32_epi8(v));
    }
    if (tail) {
        const __m512i v = quantize16(_mm512_maskz_loadu_ps(tail, x + i), to_q);
        sum = _mm512_mask_add_epi32(sum, tail, sum, v);
        _mm512_mask_cvtsepi32_storeu_epi8(q + i, tail, v);
    }
    if (n_padded > n) memset(q + n, 0, n_padded - n);
    *ret_sum = _mm512_reduce_add_epi32(sum);
    return is_tiny ? 0 : max / 127.0f;
}

/* Nearest even on the bits: add just less than half of the last place, or half if it is odd. */
static inline __m256i to_bf16(__m512 v) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    __m512i rounded = _mm512_add_epi32(bits, half);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x00400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

static GI_DECL_NARROW_ROW(narrow_row) {
    const __mmask16 tail = tail_mask(n);
    const __m512 factor = _mm512_set1_ps(scale);
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(void *)(dst + i),
                            to_bf16(_mm512_mul_ps(_mm512_loadu_ps(x + i), factor)));
    if (tail)
        _mm256_mask_storeu_epi16(
            dst + i, tail, to_bf16(_mm512_mul_ps(_mm512_maskz_loadu_ps(tail, x + i), factor)));
    if (n_padded > n) memset(dst + n, 0, (n_padded - n) * sizeof *dst);
}

static GI_DECL_SOFTMAX_BF16(softmax_bf16) {
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    const __mmask16 tail = tail_mask(n);
    __m512 max_v = lowest, sum_v = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) max_v = _mm512_max_ps(max_v, _mm512_loadu_ps(s + i));
    if (tail) max_v = _mm512_max_ps(max_v, _mm512_mask_loadu_ps(lowest, tail, s + i));
    max_v = _mm512_set1_ps(_mm512_reduce_max_ps(max_v));
    for (i = 0; i < n; i += 16) {
        const __mmask16 mask = n - i < 16 ? tail : 0xFFFF;
        const __m512 x = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, s + i), max_v);
        const __m512 e = _mm512_maskz_mov_ps(mask, exp_avx512(x));
        sum_v = _mm512_add_ps(sum_v, e);
        _mm256_mask_storeu_epi16(p + i, mask, to_bf16(e));
    }
    if (n_padded > n) memset(p + n, 0, (n_padded - n) * sizeof *p);
    return 1.0f / _mm512_reduce_add_ps(sum_v);
}

static GI_DECL_DEQUANTIZE(dequantize) {
    __m512 ws[VECS], b[VECS];
    for (int v = 0; v < VECS; v++) {
        ws[v] = _mm512_loadu_ps(w_scale + 16 * v);
        b[v] = bias ? _mm512_loadu_ps(bias + 16 * v) : _mm512_setzero_ps();
    }
    for (size_t m = 0; m < n_m; m++) {
        const __m512i correction = _mm512_set1_epi32(128 * sum[m]);
        const __m512 xs = _mm512_set1_ps(x_scale[m]);
        for (int v = 0; v < VECS; v++) {
            const __m512i a = _mm512_loadu_si512(acc + m * GI_TILE_N + 16 * v);
            const __m512 f = _mm512_cvtepi32_ps(_mm512_sub_epi32(a, correction));
            _mm512_storeu_ps(y + m * GI_TILE_N + 16 * v,
                             _mm512_fmadd_ps(_mm512_mul_ps(f, xs), ws[v], b[v]));
        }
    }
}

static inline __m512 swiglu16(__m512 gate, __m512 up) {
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512 e = exp_avx512(_mm512_sub_ps(_mm512_setzero_ps(), gate));
    return _mm512_mul_ps(up, _mm512_div_ps(gate, _mm512_add_ps(one, e)));
}

static GI_DECL_SWIGLU(swiglu) {
    const __mmask16 tail = tail_mask(n);
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, swiglu16(_mm512_loadu_ps(gate + i), _mm512_loadu_ps(up + i)));
    if (tail)
        _mm512_mask_storeu_ps(
            out + i, tail,
            swiglu16(_mm512_maskz_loadu_ps(tail, gate + i), _mm512_maskz_loadu_ps(tail, up + i)));
}

static GI_DECL_ADD_ROW(add_row) {
    const __mmask16 tail = tail_mask(n);
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, _mm512_add_ps(_mm512_loadu_ps(out + i), _mm512_loadu_ps(x + i)));
    if (tail)
        _mm512_mask_storeu_ps(out + i, tail,
                              _mm512_add_ps(_mm512_maskz_loadu_ps(tail, out + i),
                                            _mm512_maskz_loadu_ps(tail, x + i)));
}

void gi_kernels_init_rows_avx512(gi_kernels *k) {
    k->rmsnorm = rmsnorm;
    k->quantize_row = quantize_row;
    k->narrow_row = narrow_row;
    k->softmax_bf16 = softmax_bf16;
    k->dequantize = dequantize;
    k->swiglu = swiglu;
    k->add_row = add_row;
}
