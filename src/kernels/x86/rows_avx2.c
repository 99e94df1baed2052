/*
 * Row kernels for AVX2: norm, quantisation, dequantisation, rounding to BF16, SwiGLU.
 */
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/tiers.h"

#include <float.h>
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

enum { LANES = 8 };

static GI_DECL_RMSNORM(rmsnorm) {
    const __m256i tail = tail_mask_avx2(n);
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t v = 0; v < 4; v++) {
            const __m256 xv = _mm256_loadu_ps(x + i + LANES * v);
            sum[v] = _mm256_fmadd_ps(xv, xv, sum[v]);
        }
    for (; i + LANES <= n; i += LANES) {
        const __m256 xv = _mm256_loadu_ps(x + i);
        sum[0] = _mm256_fmadd_ps(xv, xv, sum[0]);
    }
    if (i < n) {
        const __m256 xv = _mm256_maskload_ps(x + i, tail);
        sum[1] = _mm256_fmadd_ps(xv, xv, sum[1]);
    }
    const float squares =
        sum_avx2(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
    const __m256 r = _mm256_set1_ps(1.0f / __builtin_sqrtf(squares / (float)n + eps));
    for (i = 0; i + LANES <= n; i += LANES) {
        const __m256 xv = _mm256_mul_ps(_mm256_loadu_ps(x + i), r);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(xv, _mm256_loadu_ps(weight + i)));
    }
    if (i < n) {
        const __m256 xv = _mm256_mul_ps(_mm256_maskload_ps(x + i, tail), r);
        _mm256_maskstore_ps(out + i, tail, _mm256_mul_ps(xv, _mm256_maskload_ps(weight + i, tail)));
    }
}

/* ---- INT8 ----------------------------------------------------------------------------------- */

/* The nearest integers to v times `to_q`; where that is NaN, -127. */
static inline __m256i quantize8(__m256 v, __m256 to_q) {
    return _mm256_cvtps_epi32(_mm256_max_ps(_mm256_mul_ps(v, to_q), _mm256_set1_ps(-127.0f)));
}

static inline int32_t sum_int(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}

static inline uint32_t max_uint(__m256i v) {
    __m128i s = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_max_epu32(s, _mm_shuffle_epi32(s, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(s, _mm_shuffle_epi32(s, 0xB1)));
}

/* Magnitudes as bits are in the order of their values, and NaN is above infinity. */
static float max_magnitude(const float *x, size_t n) {
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i max = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const __m256i v = _mm256_castps_si256(_mm256_loadu_ps(x + i));
        max = _mm256_max_epu32(max, _mm256_and_si256(v, magnitude));
    }
    if (i < n) {
        const __m256i v = _mm256_castps_si256(_mm256_maskload_ps(x + i, tail_mask_avx2(n)));
        max = _mm256_max_epu32(max, _mm256_and_si256(v, magnitude));
    }
    return gi_bits_to_f32(max_uint(max));
}

static GI_DECL_QUANTIZE_ROW(quantize_row) {
    const float max = max_magnitude(x, n);
    const bool is_tiny = max < GI_QUANTIZE_MIN;
    const __m256 to_q = _mm256_set1_ps(max <= FLT_MAX && !is_tiny ? 127.0f / max : 0);
    /* Packing works within 128-bit halves; this puts the groups of four back in order. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        __m256i v[4];
        for (size_t g = 0; g < 4; g++) {
            v[g] = quantize8(_mm256_loadu_ps(x + i + LANES * g), to_q);
            sum = _mm256_add_epi32(sum, v[g]);
        }
        const __m256i bytes =
            _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
        _mm256_storeu_si256((__m256i *)(void *)(q + i), _mm256_permutevar8x32_epi32(bytes, order));
    }
    for (; i < n; i += LANES) {
        const size_t n_left = n - i < LANES ? n - i : LANES;
        const __m256i mask = n_left < LANES ? tail_mask_avx2(n_left) : _mm256_set1_epi32(-1);
        const __m256i v = _mm256_and_si256(quantize8(_mm256_maskload_ps(x + i, mask), to_q), mask);
        sum = _mm256_add_epi32(sum, v);
        int32_t lanes[LANES];
        _mm256_storeu_si256((__m256i *)(void *)lanes, v);
        for (size_t l = 0; l < n_left; l++) q[i + l] = (int8_t)lanes[l];
    }
    if (n_padded > n) memset(q + n, 0, n_padded - n);
    *ret_sum = sum_int(sum);
    return is_tiny ? 0 : max / 127.0f;
}

static GI_DECL_DEQUANTIZE(dequantize) {
    for (size_t m = 0; m < n_m; m++) {
        const __m256i correction = _mm256_set1_epi32(128 * sum[m]);
        const __m256 xs = _mm256_set1_ps(x_scale[m]);
        for (size_t j = 0; j < GI_TILE_N; j += LANES) {
            const size_t i = m * GI_TILE_N + j;
            const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(acc + i));
            const __m256 f = _mm256_cvtepi32_ps(_mm256_sub_epi32(a, correction));
            const __m256 b = bias ? _mm256_loadu_ps(bias + j) : _mm256_setzero_ps();
            const __m256 ws = _mm256_loadu_ps(w_scale + j);
            _mm256_storeu_ps(y + i, _mm256_fmadd_ps(_mm256_mul_ps(f, xs), ws, b));
        }
    }
}

/* ---- BF16 ----------------------------------------------------------------------------------- */

/* Nearest even on the bits: add just less than half of the last place, or half if it is odd. Each
 * result is in the low half of its 32-bit lane. */
static inline __m256i to_bf16(__m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
    const __m256 rounded = _mm256_castsi256_ps(_mm256_add_epi32(bits, half));
    const __m256 is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    const __m256 out = _mm256_blendv_ps(rounded, _mm256_castsi256_ps(quiet), is_nan);
    return _mm256_srli_epi32(_mm256_castps_si256(out), 16);
}

static inline void store_bf16x16(uint16_t *dst, __m256 a, __m256 b) {
    const __m256i packed = _mm256_packus_epi32(to_bf16(a), to_bf16(b));
    _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_permute4x64_epi64(packed, 0xD8));
}

/* n <= 8 of them. */
static inline void store_bf16(uint16_t *dst, __m256 v, size_t n) {
    uint32_t lanes[LANES];
    _mm256_storeu_si256((__m256i *)(void *)lanes, to_bf16(v));
    for (size_t l = 0; l < n; l++) dst[l] = (uint16_t)lanes[l];
}

static GI_DECL_NARROW_ROW(narrow_row) {
    const __m256 factor = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        store_bf16x16(dst + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), factor),
                      _mm256_mul_ps(_mm256_loadu_ps(x + i + LANES), factor));
    if (i + LANES <= n) {
        store_bf16(dst + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), factor), LANES);
        i += LANES;
    }
    if (i < n) {
        const __m256 v = _mm256_maskload_ps(x + i, tail_mask_avx2(n));
        store_bf16(dst + i, _mm256_mul_ps(v, factor), n - i);
    }
    if (n_padded > n) memset(dst + n, 0, (n_padded - n) * sizeof *dst);
}

static GI_DECL_SOFTMAX_BF16(softmax_bf16) {
    const __m256 max = _mm256_set1_ps(max_row_avx2(s, n));
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const __m256 a = exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(s + i), max));
        const __m256 b = exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(s + i + LANES), max));
        sum = _mm256_add_ps(sum, _mm256_add_ps(a, b));
        store_bf16x16(p + i, a, b);
    }
    for (; i < n; i += LANES) {
        const size_t n_left = n - i < LANES ? n - i : LANES;
        const __m256i mask = n_left < LANES ? tail_mask_avx2(n_left) : _mm256_set1_epi32(-1);
        __m256 e = exp_avx2(_mm256_sub_ps(_mm256_maskload_ps(s + i, mask), max));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(mask));
        sum = _mm256_add_ps(sum, e);
        store_bf16(p + i, e, n_left);
    }
    if (n_padded > n) memset(p + n, 0, (n_padded - n) * sizeof *p);
    return 1.0f / sum_avx2(sum);
}

/* ---- elementwise ---------------------------------------------------------------------------- */

static inline __m256 swiglu8(__m256 gate, __m256 up) {
    const __m256 e = exp_avx2(_mm256_sub_ps(_mm256_setzero_ps(), gate));
    return _mm256_mul_ps(up, _mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e)));
}

static GI_DECL_SWIGLU(swiglu) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(out + i, swiglu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i < n) {
        const __m256i tail = tail_mask_avx2(n);
        _mm256_maskstore_ps(
            out + i, tail,
            swiglu8(_mm256_maskload_ps(gate + i, tail), _mm256_maskload_ps(up + i, tail)));
    }
}

static GI_DECL_ADD_ROW(add_row) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(out + i, _mm256_add_ps(_mm256_loadu_ps(out + i), _mm256_loadu_ps(x + i)));
    for (; i < n; i++) out[i] += x[i];
}

void gi_kernels_init_rows_avx2(gi_kernels *k) {
    k->rmsnorm = rmsnorm;
    k->quantize_row = quantize_row;
    k->dequantize = dequantize;
    k->narrow_row = narrow_row;
    k->softmax_bf16 = softmax_bf16;
    k->swiglu = swiglu;
    k->add_row = add_row;
}
