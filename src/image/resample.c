/*
 * Two passes over one inner loop: a weighted sum of n vectors of LANES bytes, in SSE2, which every
 * x86-64 has.
 *
 * Down a column the vectors are pieces of neighbouring rows, as they lie. Along a row they would be
 * single pixels, too short to be fast; so STRIP rows at a time are turned into pixel-major order
 * (pixel 0 of all rows, pixel 1 of all rows, ...), summed with the same loop, and turned back.
 */
#include "image/resample.h"

#include "base/alloc.h"

#include <emmintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LANES = 16, STRIP = 16, GROUP = 3 * STRIP, BITS_MAX = 22 };

static __m128i load(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* One axis: output i is the sum over j < n[i] of w[i * taps + j] * input[lo[i] + j]. */
typedef struct axis {
    uint32_t n_in, n_out, taps; /* taps: room per output */
    int bits;                   /* of fraction in w */
    uint32_t *lo, *n;           /* [n_out] */
    int16_t *w;                 /* [n_out, taps] */
} axis;

static void axis_done(axis *a) {
    gi_free(a->lo);
    gi_free(a->n);
    gi_free(a->w);
}

static double cubic(double x) {
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
}

/* Taps of output i, weights in full precision; returns the largest weight. */
static double weigh(axis *a, uint32_t i, double *w) {
    const double scale = (double)a->n_in / a->n_out;
    const double support = 2 * fmax(scale, 1), inverse = scale >= 1 ? 1 / scale : 1;
    const double center = scale * (i + 0.5);
    const int64_t first = (int64_t)(center - support + 0.5);
    const int64_t last = (int64_t)(center + support + 0.5);
    const int64_t lo = first > 0 ? first : 0;
    int64_t n = (last < a->n_in ? last : a->n_in) - lo;
    if (n > a->taps) n = a->taps;
    double sum = 0, largest = 0;
    for (int64_t j = 0; j < n; j++) {
        w[j] = cubic(((double)(lo + j) - center + 0.5) * inverse);
        sum += w[j];
    }
    for (int64_t j = 0; j < n; j++) {
        w[j] /= sum;
        largest = fmax(largest, w[j]);
    }
    a->lo[i] = (uint32_t)lo;
    a->n[i] = (uint32_t)n;
    return largest;
}

/* The weights of output i as int16. Zeros at either end are dropped: an axis that keeps its size
 * is left with one weight, and is copied. */
static void quantize(axis *a, uint32_t i, const double *exact) {
    int16_t *w = a->w + (size_t)i * a->taps;
    uint32_t n = 0;
    for (uint32_t j = 0; j < a->n[i]; j++) {
        const double v = exact[j];
        const int16_t q = (int16_t)(v * (1 << a->bits) + (v < 0 ? -0.5 : 0.5));
        if (n == 0 && q == 0) {
            a->lo[i]++;
        } else {
            w[n++] = q;
        }
    }
    while (n > 0 && w[n - 1] == 0) n--;
    a->n[i] = n;
}

/* Read the same axis backwards. */
static void mirror(axis *a) {
    for (uint32_t i = 0; i < a->n_out; i++) {
        int16_t *w = a->w + (size_t)i * a->taps;
        const uint32_t n = a->n[i];
        for (uint32_t j = 0; j < n / 2; j++) {
            const int16_t t = w[j];
            w[j] = w[n - 1 - j];
            w[n - 1 - j] = t;
        }
        a->lo[i] = a->n_in - a->lo[i] - n;
    }
}

static glint_status axis_init(axis *a, uint32_t n_in, uint32_t n_out, bool mirrored,
                              glint_error *err) {
    a->n_in = n_in;
    a->n_out = n_out;
    a->taps = (uint32_t)ceil(2 * fmax((double)n_in / n_out, 1)) * 2 + 1;
    double *exact = gi_calloc(a->taps, sizeof *exact);
    a->lo = gi_calloc(n_out, sizeof *a->lo);
    a->n = gi_calloc(n_out, sizeof *a->n);
    a->w = gi_calloc((size_t)n_out * a->taps, sizeof *a->w);
    if (!exact || !a->lo || !a->n || !a->w) {
        gi_free(exact);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory left to resize the picture");
    }
    double largest = 0;
    for (uint32_t i = 0; i < n_out; i++) largest = fmax(largest, weigh(a, i, exact));
    while (a->bits < BITS_MAX && (int)(0.5 + largest * (1 << (a->bits + 1))) < 1 << 15) a->bits++;
    gi_assert(a->bits > 0);
    for (uint32_t i = 0; i < n_out; i++) {
        weigh(a, i, exact);
        quantize(a, i, exact);
    }
    if (mirrored) mirror(a);
    gi_free(exact);
    return GLINT_OK;
}

/* out[k] = clamp(sum over j of w[j] * in[j * stride + k]) for k < LANES. Two taps at a time: madd
 * multiplies 16-bit pairs and adds each pair in 32 bits. */
static void sum_lanes(const uint8_t *in, size_t stride, const int16_t *w, uint32_t n_taps, int bits,
                      uint8_t *out) {
    const __m128i zero = _mm_setzero_si128();
    __m128i acc[4];
    for (int i = 0; i < 4; i++) acc[i] = _mm_set1_epi32(1 << (bits - 1));
    for (uint32_t j = 0; j < n_taps; j += 2, in += 2 * stride) {
        const bool is_pair = j + 1 < n_taps;
        const int second = is_pair ? w[j + 1] : 0;
        const __m128i weights = _mm_set1_epi32((uint16_t)w[j] | second * 65536);
        const __m128i a = load(in), b = is_pair ? load(in + stride) : zero;
        const __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
        acc[0] = _mm_add_epi32(acc[0], _mm_madd_epi16(_mm_unpacklo_epi8(low, zero), weights));
        acc[1] = _mm_add_epi32(acc[1], _mm_madd_epi16(_mm_unpackhi_epi8(low, zero), weights));
        acc[2] = _mm_add_epi32(acc[2], _mm_madd_epi16(_mm_unpacklo_epi8(high, zero), weights));
        acc[3] = _mm_add_epi32(acc[3], _mm_madd_epi16(_mm_unpackhi_epi8(high, zero), weights));
    }
    const __m128i shift = _mm_cvtsi32_si128(bits);
    for (int i = 0; i < 4; i++) acc[i] = _mm_sra_epi32(acc[i], shift);
    const __m128i low = _mm_packs_epi32(acc[0], acc[1]), high = _mm_packs_epi32(acc[2], acc[3]);
    _mm_storeu_si128((__m128i *)(void *)out, _mm_packus_epi16(low, high));
}

/* The same for fewer bytes. */
static void sum_few(const uint8_t *in, size_t stride, const int16_t *w, uint32_t n_taps, int bits,
                    size_t n_bytes, uint8_t *out) {
    for (size_t k = 0; k < n_bytes; k++) {
        int32_t acc = 1 << (bits - 1);
        for (uint32_t j = 0; j < n_taps; j++) acc += w[j] * in[j * stride + k];
        acc >>= bits;
        out[k] = (uint8_t)(acc < 0 ? 0 : acc > 255 ? 255 : acc);
    }
}

/* in u8 [n_in, row_bytes] -> out u8 [n_out, row_bytes] */
static void resize_columns(const axis *a, const uint8_t *in, size_t row_bytes, uint8_t *out) {
    for (uint32_t i = 0; i < a->n_out; i++) {
        const uint8_t *first = in + a->lo[i] * row_bytes;
        const int16_t *w = a->w + (size_t)i * a->taps;
        uint8_t *row = out + i * row_bytes;
        size_t x = 0;
        for (; x + LANES <= row_bytes; x += LANES) {
            sum_lanes(first + x, row_bytes, w, a->n[i], a->bits, row + x);
        }
        sum_few(first + x, row_bytes, w, a->n[i], a->bits, row_bytes - x, row + x);
    }
}

/* Up to STRIP rows [n_rows, n, 3] to and from pixel-major [n, STRIP, 3]. */
static void gather_strip(const uint8_t *rows, size_t row_bytes, uint32_t n_rows, uint8_t *strip) {
    for (uint32_t r = 0; r < n_rows; r++, rows += row_bytes) {
        uint8_t *to = strip + (size_t)3 * r;
        for (size_t x = 0; x < row_bytes; x += 3, to += GROUP) {
            to[0] = rows[x];
            to[1] = rows[x + 1];
            to[2] = rows[x + 2];
        }
    }
}

static void scatter_pixel(const uint8_t *group, size_t row_bytes, uint32_t n_rows, uint8_t *rows) {
    for (uint32_t r = 0; r < n_rows; r++, rows += row_bytes, group += 3) {
        rows[0] = group[0];
        rows[1] = group[1];
        rows[2] = group[2];
    }
}

/* in u8 [n_rows, n_in, 3] -> out u8 [n_rows, n_out, 3]; strip: u8 [n_in, STRIP, 3] */
static void resize_rows(const axis *a, const uint8_t *in, uint32_t n_rows, uint8_t *strip,
                        uint8_t *out) {
    const size_t in_bytes = (size_t)a->n_in * 3, out_bytes = (size_t)a->n_out * 3;
    for (uint32_t y = 0; y < n_rows; y += STRIP) {
        const uint32_t n = n_rows - y < STRIP ? n_rows - y : STRIP;
        gather_strip(in + y * in_bytes, in_bytes, n, strip);
        for (uint32_t i = 0; i < a->n_out; i++) {
            const uint8_t *first = strip + (size_t)a->lo[i] * GROUP;
            const int16_t *w = a->w + (size_t)i * a->taps;
            uint8_t group[GROUP];
            for (size_t k = 0; k < GROUP; k += LANES) {
                sum_lanes(first + k, GROUP, w, a->n[i], a->bits, group + k);
            }
            scatter_pixel(group, out_bytes, n, out + y * out_bytes + (size_t)i * 3);
        }
    }
}

/* in u8 [width, height, 3] -> out u8 [height, width, 3] */
static void transpose(const uint8_t *in, uint32_t width, uint32_t height, uint8_t *out) {
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++, out += 3) {
            memcpy(out, in + ((size_t)x * height + y) * 3, 3);
        }
    }
}

glint_status gi_resample(const gi_raster *src, uint32_t width, uint32_t height, uint8_t *out,
                         glint_error *err) {
    /* Which stored axes run backwards, by orientation. */
    static const bool MIRROR_X[9] = {[2] = true, [3] = true, [7] = true, [8] = true};
    static const bool MIRROR_Y[9] = {[3] = true, [4] = true, [6] = true, [7] = true};
    const bool transposed = gi_raster_is_transposed(src);
    const uint32_t n_x = transposed ? height : width, n_y = transposed ? width : height;
    /* Between the passes: upright columns are done first, which are stored rows if transposed. */
    const size_t n_between = transposed ? (size_t)src->width * n_y : (size_t)src->height * n_x;

    glint_status st;
    axis ax = {0}, ay = {0};
    uint8_t *strip = gi_calloc(src->width, GROUP);
    uint8_t *between = gi_calloc(n_between, 3);
    uint8_t *turned = transposed ? gi_calloc((size_t)width * height, 3) : NULL;
    if (!strip || !between || (transposed && !turned)) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory left to resize the picture");
        goto done;
    }
    GI_TRY_DONE(axis_init(&ax, src->width, n_x, MIRROR_X[src->orientation], err));
    GI_TRY_DONE(axis_init(&ay, src->height, n_y, MIRROR_Y[src->orientation], err));
    if (transposed) {
        resize_columns(&ay, src->pixels, (size_t)src->width * 3, between);
        resize_rows(&ax, between, n_y, strip, turned);
        transpose(turned, width, height, out);
    } else {
        resize_rows(&ax, src->pixels, src->height, strip, between);
        resize_columns(&ay, between, (size_t)n_x * 3, out);
    }
done:
    axis_done(&ax);
    axis_done(&ay);
    gi_free(strip);
    gi_free(between);
    gi_free(turned);
    return st;
}
