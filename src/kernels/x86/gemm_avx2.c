/*
 * Packed products for AVX2.
 *
 * INT8: without VNNI, the multiply-add of bytes adds pairs to 16 bits and saturates, which a
 * product of u8 by s8 reaches. So bytes are widened first: of each 4-byte unit the even ones are
 * u & 0x00FF and the odd ones u >> 8, both already 16-bit lanes in order, and vpmaddwd with
 * (x0, x2) and (x1, x3) gives exact sums of two products in the output's own 32-bit lane. That is
 * two multiplications per 32 products, as many as the way over 16-bit sums takes.
 * BF16: a pair widens to two floats by a shift and a mask, then FMA.
 *
 * A tile is up to 6 rows (INT8: 4) by 16 outputs, and reads of each unit of the panel one cache
 * line. x is widened once per piece of UNITS units for all 64 outputs, into an array on the stack
 * of which every element is broadcast by a load. The pieces and the order within depend on n_units
 * alone, so that a row's sum is the same whatever its neighbours.
 */
#include "kernels/x86/tiers.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

enum { LANES = 8, VEC_BYTES = 32, VECS = GI_TILE_N / LANES, TILE_VECS = 2 };
enum { UNITS = 32, PREFETCH_BYTES = 12 * GI_UNIT_BYTES };

static inline __m256i load_unit(const void *unit, int vec) {
    return _mm256_load_si256((const __m256i *)unit + vec);
}

/*
 * A piece is read a cache line in every four at a time, which a processor does not foresee; so
 * each of its tiles fetches, in order, a part of the next piece (or the next panel).
 */
static inline const char *next_piece(const void *panel, size_t n_units, size_t j) {
    return (const char *)panel + UNITS * GI_UNIT_BYTES + n_units * j * (GI_UNIT_BYTES / GI_TILE_N);
}

/* ---- INT8 ----------------------------------------------------------------------------------- */

/* A piece of a row of x: bytes 0 and 2, and bytes 1 and 3, of each unit as pairs of 16 bits. */
typedef struct pairs_s8 {
    int32_t even[UNITS], odd[UNITS];
} pairs_s8;

static void widen_s8(pairs_s8 *p, const int8_t *x, size_t n_units) {
    for (size_t u = 0; u < n_units; u += LANES) {
        const int8_t *units = x + 4 * u;
        int8_t tail[4 * LANES] = {0};
        if (n_units - u < LANES) units = memcpy(tail, units, 4 * (n_units - u));
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)units);
        const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8);
        _mm256_storeu_si256((__m256i *)(void *)(p->even + u), even);
        _mm256_storeu_si256((__m256i *)(void *)(p->odd + u), _mm256_srai_epi16(v, 8));
    }
}

static inline __m256i load_sum(const int32_t *acc, bool is_first) {
    return is_first ? _mm256_setzero_si256()
                    : _mm256_loadu_si256((const __m256i *)(const void *)acc);
}

static inline __m256i dot2(__m256i sum, __m256i w, int32_t pair) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(w, _mm256_set1_epi32(pair)));
}

/* n_m rows by 16 outputs, whose columns of acc and panel begin at the pointers. */
static inline __attribute__((always_inline)) void tile_s8(int32_t *restrict acc, const pairs_s8 *x,
                                                          const uint8_t *panel, size_t n_units,
                                                          bool is_first, const char *ahead,
                                                          const int n_m) {
    const __m256i low = _mm256_set1_epi16(0x00FF);
    __m256i sum[GI_TILE_M][TILE_VECS];
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < TILE_VECS; v++)
            sum[m][v] = load_sum(acc + m * GI_TILE_N + LANES * v, is_first);
    for (size_t u = 0; u < n_units; u++) {
        const uint8_t *unit = panel + u * GI_UNIT_BYTES;
        _mm_prefetch(ahead + u * TILE_VECS * VEC_BYTES, _MM_HINT_T0);
        const __m256i w0 = load_unit(unit, 0), w1 = load_unit(unit, 1);
        const __m256i even0 = _mm256_and_si256(w0, low), even1 = _mm256_and_si256(w1, low);
        const __m256i odd0 = _mm256_srli_epi16(w0, 8), odd1 = _mm256_srli_epi16(w1, 8);
        for (int m = 0; m < n_m; m++) {
            sum[m][0] = dot2(sum[m][0], even0, x[m].even[u]);
            sum[m][1] = dot2(sum[m][1], even1, x[m].even[u]);
            sum[m][0] = dot2(sum[m][0], odd0, x[m].odd[u]);
            sum[m][1] = dot2(sum[m][1], odd1, x[m].odd[u]);
        }
    }
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < TILE_VECS; v++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + m * GI_TILE_N) + v, sum[m][v]);
}

/* A piece of all outputs. Each number of rows is a function of its own, with registers to itself.
 */
#define DECL_PIECE_S8(name)                                                                        \
    void name(int32_t *restrict acc, const pairs_s8 *x, const uint8_t *panel, size_t n_units,      \
              bool is_first)

/* One row: the panel is read in order, as a stream from memory wants. */
static DECL_PIECE_S8(piece_s8_1) {
    const __m256i low = _mm256_set1_epi16(0x00FF);
    __m256i sum[VECS];
    for (int v = 0; v < VECS; v++) sum[v] = load_sum(acc + LANES * v, is_first);
    for (size_t u = 0; u < n_units; u++) {
        const uint8_t *unit = panel + u * GI_UNIT_BYTES;
        for (int v = 0; v < VECS; v++) {
            const __m256i w = load_unit(unit, v);
            sum[v] = dot2(sum[v], _mm256_and_si256(w, low), x->even[u]);
            sum[v] = dot2(sum[v], _mm256_srli_epi16(w, 8), x->odd[u]);
        }
    }
    for (int v = 0; v < VECS; v++) _mm256_storeu_si256((__m256i *)(void *)acc + v, sum[v]);
}

static __attribute__((noinline)) DECL_PIECE_S8(piece_s8_2) {
    for (size_t j = 0; j < GI_TILE_N; j += TILE_VECS * LANES)
        tile_s8(acc + j, x, panel + 4 * j, n_units, is_first, next_piece(panel, n_units, j), 2);
}

static __attribute__((noinline)) DECL_PIECE_S8(piece_s8_3) {
    for (size_t j = 0; j < GI_TILE_N; j += TILE_VECS * LANES)
        tile_s8(acc + j, x, panel + 4 * j, n_units, is_first, next_piece(panel, n_units, j), 3);
}

static __attribute__((noinline)) DECL_PIECE_S8(piece_s8_4) {
    for (size_t j = 0; j < GI_TILE_N; j += TILE_VECS * LANES)
        tile_s8(acc + j, x, panel + 4 * j, n_units, is_first, next_piece(panel, n_units, j), 4);
}

/* Up to 4 rows have room in the registers, weights and a product included; 5 and 6 are two goes
 * over a piece that is in the first level of cache. */
static GI_DECL_GEMM_S8(gemm_s8) {
    pairs_s8 pairs[GI_TILE_M];
    for (size_t u = 0; u < n_units; u += UNITS) {
        const size_t n = n_units - u < UNITS ? n_units - u : UNITS;
        const uint8_t *piece = panel + u * GI_UNIT_BYTES;
        for (size_t m = 0; m < n_m; m++) widen_s8(&pairs[m], x + m * ld_x + 4 * u, n);
        switch (n_m) {
        case 1:
            piece_s8_1(acc, pairs, piece, n, u == 0);
            break;
        case 2:
            piece_s8_2(acc, pairs, piece, n, u == 0);
            break;
        case 4:
            piece_s8_4(acc, pairs, piece, n, u == 0);
            break;
        default:
            piece_s8_3(acc, pairs, piece, n, u == 0);
            if (n_m == 5) piece_s8_2(acc + 3 * GI_TILE_N, pairs + 3, piece, n, u == 0);
            if (n_m == 6) piece_s8_3(acc + 3 * GI_TILE_N, pairs + 3, piece, n, u == 0);
            break;
        }
    }
}

/* ---- BF16 ----------------------------------------------------------------------------------- */

/* A piece of x as floats: first and second column of each unit. */
typedef struct pairs_f32 {
    float x[GI_TILE_M][2 * UNITS];
} pairs_f32;

static void widen_bf16(pairs_f32 *p, const uint16_t *x, size_t ld_x, size_t n_m, size_t n_units) {
    for (size_t m = 0; m < n_m; m++) {
        const uint16_t *row = x + m * ld_x;
        size_t i = 0;
        for (; i + LANES <= 2 * n_units; i += LANES) {
            const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)(row + i));
            const __m256i f = _mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
            _mm256_storeu_ps(p->x[m] + i, _mm256_castsi256_ps(f));
        }
        for (; i < 2 * n_units; i++) p->x[m][i] = gi_bf16_to_f32(row[i]);
    }
}

static inline __m256 even_bf16(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
}

static inline __m256 odd_bf16(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32((int)0xFFFF0000u)));
}

/*
 * n_m rows by n_v vectors of outputs. Two vectors at a time share a broadcast of x, which is then
 * needed again for the next two: there are loads to spare, but no registers.
 */
static inline __attribute__((always_inline)) void
tile_bf16(float *restrict acc, size_t ld_acc, const pairs_f32 *x, const uint16_t *panel,
          size_t n_units, bool is_first, const char *ahead, const int n_m, const int n_v) {
    __m256 sum[GI_TILE_M][2 * TILE_VECS];
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < n_v; v++)
            sum[m][v] = is_first ? _mm256_setzero_ps()
                                 : _mm256_loadu_ps(acc + (size_t)m * ld_acc + LANES * v);
    for (size_t u = 0; u < n_units; u++) {
        const uint16_t *unit = panel + u * (GI_UNIT_BYTES / 2);
        for (int v = 0; v < n_v; v += 2) {
            _mm_prefetch(ahead + (u * (size_t)n_v + (size_t)v) * VEC_BYTES, _MM_HINT_T0);
            const __m256i pair0 = load_unit(unit, v), pair1 = load_unit(unit, v + 1);
            __m256 w0 = even_bf16(pair0), w1 = even_bf16(pair1);
            for (int m = 0; m < n_m; m++) {
                const __m256 xv = _mm256_set1_ps(x->x[m][2 * u]);
                sum[m][v] = _mm256_fmadd_ps(w0, xv, sum[m][v]);
                sum[m][v + 1] = _mm256_fmadd_ps(w1, xv, sum[m][v + 1]);
            }
            w0 = odd_bf16(pair0);
            w1 = odd_bf16(pair1);
            for (int m = 0; m < n_m; m++) {
                const __m256 xv = _mm256_set1_ps(x->x[m][2 * u + 1]);
                sum[m][v] = _mm256_fmadd_ps(w0, xv, sum[m][v]);
                sum[m][v + 1] = _mm256_fmadd_ps(w1, xv, sum[m][v + 1]);
            }
        }
    }
    for (int m = 0; m < n_m; m++)
        for (int v = 0; v < n_v; v++)
            _mm256_storeu_ps(acc + (size_t)m * ld_acc + LANES * v, sum[m][v]);
}

#define DECL_PIECE_BF16(name)                                                                      \
    void name(float *restrict acc, size_t ld_acc, const pairs_f32 *x, const uint16_t *panel,       \
              size_t n_units, bool is_first)

/* A multiply-add takes 4 cycles and two may begin in each: 8 sums at least, so few rows are wide.
 */
static DECL_PIECE_BF16(piece_bf16_1) {
    (void)ld_acc;
    __m256 sum[VECS];
    for (int v = 0; v < VECS; v++)
        sum[v] = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(acc + 8 * v);
    for (size_t u = 0; u < n_units; u++) {
        const uint16_t *unit = panel + u * (GI_UNIT_BYTES / 2);
        const __m256 x0 = _mm256_set1_ps(x->x[0][2 * u]), x1 = _mm256_set1_ps(x->x[0][2 * u + 1]);
        for (int v = 0; v < VECS; v++) {
            const __m256i pair = load_unit(unit, v);
            sum[v] = _mm256_fmadd_ps(even_bf16(pair), x0, sum[v]);
            sum[v] = _mm256_fmadd_ps(odd_bf16(pair), x1, sum[v]);
        }
    }
    for (int v = 0; v < VECS; v++) _mm256_storeu_ps(acc + 8 * v, sum[v]);
}

static __attribute__((noinline)) DECL_PIECE_BF16(piece_bf16_2) {
    for (size_t j = 0; j < GI_TILE_N; j += 4 * LANES)
        tile_bf16(acc + j, ld_acc, x, panel + 2 * j, n_units, is_first,
                  next_piece(panel, n_units, j), 2, 4);
}

static __attribute__((noinline)) DECL_PIECE_BF16(piece_bf16_3) {
    for (size_t j = 0; j < GI_TILE_N; j += 2 * LANES)
        tile_bf16(acc + j, ld_acc, x, panel + 2 * j, n_units, is_first,
                  next_piece(panel, n_units, j), 3, 2);
}

static __attribute__((noinline)) DECL_PIECE_BF16(piece_bf16_4) {
    for (size_t j = 0; j < GI_TILE_N; j += 2 * LANES)
        tile_bf16(acc + j, ld_acc, x, panel + 2 * j, n_units, is_first,
                  next_piece(panel, n_units, j), 4, 2);
}

static __attribute__((noinline)) DECL_PIECE_BF16(piece_bf16_5) {
    for (size_t j = 0; j < GI_TILE_N; j += 2 * LANES)
        tile_bf16(acc + j, ld_acc, x, panel + 2 * j, n_units, is_first,
                  next_piece(panel, n_units, j), 5, 2);
}

static __attribute__((noinline)) DECL_PIECE_BF16(piece_bf16_6) {
    for (size_t j = 0; j < GI_TILE_N; j += 2 * LANES)
        tile_bf16(acc + j, ld_acc, x, panel + 2 * j, n_units, is_first,
                  next_piece(panel, n_units, j), 6, 2);
}

static GI_DECL_GEMM_BF16(gemm_bf16) {
    pairs_f32 pairs;
    for (size_t u = 0; u < n_units; u += UNITS) {
        const size_t n = n_units - u < UNITS ? n_units - u : UNITS;
        widen_bf16(&pairs, x + 2 * u, ld_x, n_m, n);
        const uint16_t *piece = panel + u * (GI_UNIT_BYTES / 2);
        switch (n_m) {
        case 1:
            piece_bf16_1(acc, ld_acc, &pairs, piece, n, u == 0);
            break;
        case 2:
            piece_bf16_2(acc, ld_acc, &pairs, piece, n, u == 0);
            break;
        case 3:
            piece_bf16_3(acc, ld_acc, &pairs, piece, n, u == 0);
            break;
        case 4:
            piece_bf16_4(acc, ld_acc, &pairs, piece, n, u == 0);
            break;
        case 5:
            piece_bf16_5(acc, ld_acc, &pairs, piece, n, u == 0);
            break;
        default:
            piece_bf16_6(acc, ld_acc, &pairs, piece, n, u == 0);
            break;
        }
    }
}

void gi_kernels_init_gemm_avx2(gi_kernels *k) {
    k->gemm_s8 = gemm_s8;
    k->gemm_bf16 = gemm_bf16;
}
