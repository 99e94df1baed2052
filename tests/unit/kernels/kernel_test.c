/*
 * Guarded memory, replayable random data, and comparison, for the kernel tests.
 */
#include "kernel_test.h"

#include "base/alloc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Room for the deepest INT8 panel that fits a sum, 4 MiB. */
enum { PAGE = 4096, MAP_BYTES = 5 << 20, MARGIN = 256 };

bool kt_open(kt_run *r) {
    for (size_t i = 0; i < KT_BLOCKS; i++) {
        unsigned char *map = mmap(NULL, MAP_BYTES + 2 * PAGE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) return false;
        if (mprotect(map, PAGE, PROT_NONE) || mprotect(map + PAGE + MAP_BYTES, PAGE, PROT_NONE))
            return false;
        r->blocks[i].map = map + PAGE;
        r->blocks[i].shadow = gi_alloc(MAP_BYTES);
        if (!r->blocks[i].shadow) return false;
    }
    return true;
}

void kt_close(kt_run *r) {
    for (size_t i = 0; i < KT_BLOCKS; i++) {
        if (r->blocks[i].map) munmap(r->blocks[i].map - PAGE, MAP_BYTES + 2 * PAGE);
        gi_free(r->blocks[i].shadow);
    }
}

bool kt_differs(const gi_kernels *a, const gi_kernels *b, size_t slot) {
    return memcmp((const char *)a + slot, (const char *)b + slot, sizeof(void (*)(void))) != 0;
}

/* ---- random data ---------------------------------------------------------------------------- */

/* SplitMix64: Steele, Lea & Flood 2014. */
uint64_t kt_random(kt_run *r) {
    uint64_t z = r->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

size_t kt_range(kt_run *r, size_t lo, size_t hi) {
    return lo + kt_random(r) % (hi - lo + 1);
}

double kt_uniform(kt_run *r) {
    return (double)(kt_random(r) >> 11) * 0x1p-53;
}

size_t kt_length(kt_run *r, size_t max) {
    size_t n = kt_range(r, 1, max);
    switch (kt_range(r, 0, 3)) {
    case 0: /* small */
        n = kt_range(r, 1, max < 40 ? max : 40);
        break;
    case 1: /* next to a multiple of 16 */
        n = n / 16 * 16 + kt_range(r, 0, 2);
        n = n > 1 ? n - 1 : 1;
        break;
    default:
        break;
    }
    return n < max ? n : max;
}

gi_dtype kt_float_type(kt_run *r) {
    static const gi_dtype types[] = {GI_DTYPE_F32, GI_DTYPE_BF16, GI_DTYPE_F16};
    return types[kt_range(r, 0, 2)];
}

float kt_value(kt_run *r, kt_kind kind) {
    static const float strange[] = {
        __builtin_nanf(""), INFINITY,  -INFINITY,       0.0f,     -0.0f, 0x1p-149f,
        -0x1.8p-130f,       0x1p-126f, 0x1.fffffep127f, -0x1p127f};
    const float v = (float)(2 * kt_uniform(r) - 1);
    if (kind == KT_WIDE) return ldexpf(v, (int)kt_range(r, 0, 40) - 20);
    if (kind == KT_STRANGE && kt_range(r, 0, 3) == 0)
        return strange[kt_range(r, 0, sizeof strange / sizeof strange[0] - 1)];
    return v;
}

void kt_fill_f32(kt_run *r, float *p, size_t n, kt_kind kind) {
    for (size_t i = 0; i < n; i++) p[i] = kt_value(r, kind);
}

/* A float to binary16, the fraction cut off: any half will do, it need not be the nearest. */
static uint16_t to_half(float f) {
    const uint32_t bits = gi_f32_to_bits(f), sign = bits >> 16 & 0x8000u;
    const int exponent = (int)(bits >> 23 & 0xFF) - 127;
    if (isnan(f)) return (uint16_t)(sign | 0x7E00u);
    if (exponent > 15) return (uint16_t)(sign | 0x7C00u);
    const uint32_t fraction = (bits & 0x7FFFFFu) | 0x800000u;
    if (exponent < -14)
        return (uint16_t)(sign | (exponent < -25 ? 0 : fraction >> (-1 - exponent)));
    return (uint16_t)(sign | (uint32_t)(exponent + 15) << 10 | (fraction >> 13 & 0x3FFu));
}

void kt_fill(kt_run *r, void *p, gi_dtype type, size_t n, kt_kind kind) {
    uint16_t *half = p;
    if (type == GI_DTYPE_F32) {
        kt_fill_f32(r, p, n, kind);
    } else {
        for (size_t i = 0; i < n; i++) {
            const float v = kt_value(r, kind);
            half[i] = type == GI_DTYPE_BF16 ? gi_f32_to_bf16(v) : to_half(v);
        }
    }
}

float kt_get(const void *p, gi_dtype type, size_t i) {
    if (type == GI_DTYPE_F32) return ((const float *)p)[i];
    const uint16_t half = ((const uint16_t *)p)[i];
    return type == GI_DTYPE_BF16 ? gi_bf16_to_f32(half) : gi_f16_to_f32(half);
}

/* ---- guarded memory ------------------------------------------------------------------------- */

void kt_begin(kt_run *r, uint64_t seed, uint64_t i_case, uint64_t i_round) {
    r->n_blocks = 0;
    r->shape[0] = '\0';
    r->random = seed;
    r->random = kt_random(r) + i_case;
    r->random = kt_random(r) + i_round;
}

void *kt_buffer(kt_run *r, size_t n_bytes, size_t align) {
    if (r->n_blocks == KT_BLOCKS || n_bytes == 0 || n_bytes > MAP_BYTES - MARGIN - r->slack ||
        n_bytes % align) {
        kt_fail(r, "the test asks for a buffer that it cannot have: %zu bytes", n_bytes);
        return r->blocks[0].map; /* big enough for whatever follows */
    }
    kt_block *b = &r->blocks[r->n_blocks++];
    const bool at_end = kt_range(r, 0, 3) > 0; /* reading too far is the likelier mistake */
    b->data = at_end ? b->map + MAP_BYTES - r->slack - n_bytes : b->map;
    b->n_bytes = n_bytes;
    b->n_rows = b->row_bytes = b->stride_bytes = 0;
    unsigned char *begin = at_end ? b->data - MARGIN : b->data;
    for (size_t i = 0; i < n_bytes + MARGIN; i += 8) {
        const uint64_t bits = kt_random(r);
        const size_t left = n_bytes + MARGIN - i;
        memcpy(begin + i, &bits, left < 8 ? left : 8);
    }
    if (at_end) memset(b->data + n_bytes, 0x5A, r->slack);
    return b->data;
}

void kt_writable(kt_run *r, const void *data, size_t n_rows, size_t row_bytes,
                 size_t stride_bytes) {
    for (size_t i = 0; i < r->n_blocks; i++) {
        kt_block *b = &r->blocks[i];
        if (b->data != data) continue;
        if (n_rows && (n_rows - 1) * stride_bytes + row_bytes > b->n_bytes)
            kt_fail(r, "the test lets a kernel write past a buffer");
        b->n_rows = n_rows;
        b->row_bytes = row_bytes;
        b->stride_bytes = stride_bytes;
        return;
    }
    kt_fail(r, "the test lets a kernel write to what is no buffer");
}

/* The bytes to look at: the buffer and the margin on the side without a guard page. */
static void window(const kt_block *b, size_t *ret_begin, size_t *ret_end) {
    const size_t data = (size_t)(b->data - b->map);
    *ret_begin = data ? data - MARGIN : 0;
    *ret_end = data ? MAP_BYTES : b->n_bytes + MARGIN;
}

void kt_arm(kt_run *r) {
    for (size_t i = 0; i < r->n_blocks; i++) {
        size_t begin, end;
        window(&r->blocks[i], &begin, &end);
        memcpy(r->blocks[i].shadow + begin, r->blocks[i].map + begin, end - begin);
    }
}

void kt_verify(kt_run *r) {
    for (size_t i = 0; i < r->n_blocks; i++) {
        const kt_block *b = &r->blocks[i];
        size_t begin, end;
        window(b, &begin, &end);
        const size_t data = (size_t)(b->data - b->map);
        /* What may be written is made equal, and then all must be. */
        for (size_t row = 0; row < b->n_rows; row++) {
            const size_t at = data + row * b->stride_bytes;
            memcpy(b->shadow + at, b->map + at, b->row_bytes);
        }
        if (memcmp(b->shadow + begin, b->map + begin, end - begin) == 0) continue;
        size_t at = begin;
        while (b->shadow[at] == b->map[at]) at++;
        kt_fail(r, "wrote byte %td of buffer %zu, which is %zu bytes long",
                (ptrdiff_t)at - (ptrdiff_t)data, i, b->n_bytes);
    }
}

/* ---- comparison ----------------------------------------------------------------------------- */

void kt_shape(kt_run *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->shape, sizeof r->shape, format, args);
    va_end(args);
}

void kt_fail(kt_run *r, const char *format, ...) {
    if (r->fail[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(r->fail, sizeof r->fail, format, args);
    va_end(args);
}

void kt_near(kt_run *r, const char *what, size_t i, size_t j, double got, double want,
             double allowed) {
    if (isnan(want) && isnan(got)) return;
    if (isinf(want) && got == want) return;
    const double error = fabs(got - want);
    if (error <= allowed) {
        if (error > r->worst * allowed) r->worst = error / allowed;
        return;
    }
    kt_fail(r, "%s[%zu][%zu] is %.9g, must be %.9g within %.3g", what, i, j, got, want, allowed);
}

void kt_same(kt_run *r, const char *what, size_t i, size_t j, float got, float want) {
    if (isnan(got) ? isnan(want) : gi_f32_to_bits(got) == gi_f32_to_bits(want)) return;
    kt_fail(r, "%s[%zu][%zu] is %.9g, must be %.9g exactly", what, i, j, (double)got, (double)want);
}

void kt_same_int(kt_run *r, const char *what, size_t i, size_t j, int64_t got, int64_t want) {
    if (got == want) return;
    kt_fail(r, "%s[%zu][%zu] is %lld, must be %lld", what, i, j, (long long)got, (long long)want);
}

void kt_nan(kt_run *r, const char *what, size_t i, size_t j, float got, bool want_nan) {
    if (isnan(got) == want_nan) return;
    kt_fail(r, "%s[%zu][%zu] is %g, must %sbe NaN", what, i, j, (double)got,
            want_nan ? "" : "not ");
}
