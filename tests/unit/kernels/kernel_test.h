/*
 * What the kernel tests share: guarded memory, replayable random data, and comparison.
 *
 * A check runs one kernel of one tier once, on random shapes and data: it asks for buffers, says
 * which bytes the kernel may write, calls it between kt_arm and kt_verify, and compares what came
 * out with the definition in kernels.h, computed in double or in integers. The reference tier is
 * checked the same way, so that it is more than a second opinion.
 */
#ifndef TESTS_KERNELS_KERNEL_TEST_H
#define TESTS_KERNELS_KERNEL_TEST_H

#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KT_BLOCKS = 8 };

/*
 * A buffer between two pages that cannot be touched. It ends where the second begins, or begins
 * where the first ends, so that reading or writing past that side faults; the bytes on its other
 * side are known and compared.
 */
typedef struct kt_block {
    unsigned char *map;    /* first byte between the guard pages */
    unsigned char *data;   /* the buffer */
    unsigned char *shadow; /* what the bytes were before the call, from `map` on */
    size_t n_bytes;
    /* What may be written: n_rows runs of row_bytes, stride_bytes apart, from `data` on. */
    size_t n_rows, row_bytes, stride_bytes;
} kt_block;

typedef struct kt_run {
    const gi_kernels *k;   /* the tier under test */
    const gi_kernels *ref; /* the scalar reference */
    uint64_t random;       /* state of the generator */
    kt_block blocks[KT_BLOCKS];
    size_t n_blocks;
    size_t slack;    /* bytes between a buffer's end and the guard page; a multiple of 64 */
    char shape[160]; /* what the round is about, for messages */
    char fail[400];  /* first failure; "" = none */
    double worst;    /* largest error, as a part of what is allowed */
} kt_run;

/* One property of one kernel. `slot` is the kernel's offset in gi_kernels. */
typedef struct kt_case {
    const char *kernel, *property;
    size_t slot;
    void (*round)(kt_run *r);
} kt_case;

#define KT_CASE(name, property, function)                                                          \
    { #name, property, offsetof(gi_kernels, name), function }

extern const kt_case kt_product_cases[], kt_row_cases[], kt_attention_cases[];
extern const size_t kt_n_product_cases, kt_n_row_cases, kt_n_attention_cases;

/* Whether two tables have different functions at a slot: a tier is tested for its own alone. */
bool kt_differs(const gi_kernels *a, const gi_kernels *b, size_t slot);

/* Map the blocks and give them back. kt_open returns false when memory is short. */
bool kt_open(kt_run *r);
void kt_close(kt_run *r);

/* Begin a round: no buffers, data that depend on the three numbers alone. */
void kt_begin(kt_run *r, uint64_t seed, uint64_t i_case, uint64_t i_round);

/* n_bytes (at least 1), contents random, aligned to `align` (a power of two that divides n_bytes);
 * nothing of it may be written until kt_writable says so. */
void *kt_buffer(kt_run *r, size_t n_bytes, size_t align);
#define KT_ARRAY(r, type, n) ((type *)kt_buffer((r), (n) * sizeof(type), sizeof(type)))

/* The kernel may write n_rows rows of row_bytes, stride_bytes apart, at the start of `data`. */
void kt_writable(kt_run *r, const void *data, size_t n_rows, size_t row_bytes, size_t stride_bytes);

/* Remember all bytes; compare those that may not be written with what they were. */
void kt_arm(kt_run *r);
void kt_verify(kt_run *r);

/* Uniform numbers: 64 bits; lo..hi, both included; [0, 1). */
uint64_t kt_random(kt_run *r);
size_t kt_range(kt_run *r, size_t lo, size_t hi);
double kt_uniform(kt_run *r);
/* A length 1..max: often small, often next to a multiple of 16. */
size_t kt_length(kt_run *r, size_t max);
gi_dtype kt_float_type(kt_run *r);

/* Kinds of data. KT_STRANGE has NaN, infinities, zeros, subnormals and the largest numbers. */
typedef enum kt_kind { KT_PLAIN, KT_WIDE, KT_STRANGE } kt_kind;
float kt_value(kt_run *r, kt_kind kind);
void kt_fill_f32(kt_run *r, float *p, size_t n, kt_kind kind);
/* n elements of `type` (F32, BF16, F16). */
void kt_fill(kt_run *r, void *p, gi_dtype type, size_t n, kt_kind kind);
/* Element i of an array of `type`, as F32. */
float kt_get(const void *p, gi_dtype type, size_t i);

/* Say what the round is about: "n_m=3 n_units=17". */
void kt_shape(kt_run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Fail; only the first message is kept. */
void kt_fail(kt_run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* |got - want| <= allowed; where `want` is NaN, `got` must be. `what`, i, j name the output. */
void kt_near(kt_run *r, const char *what, size_t i, size_t j, double got, double want,
             double allowed);
/* Equal bits, or both NaN. */
void kt_same(kt_run *r, const char *what, size_t i, size_t j, float got, float want);
void kt_same_int(kt_run *r, const char *what, size_t i, size_t j, int64_t got, int64_t want);
/* NaN or not, as `want_nan` says. */
void kt_nan(kt_run *r, const char *what, size_t i, size_t j, float got, bool want_nan);

/* One rounding of F32, relative. A sum of n terms in any order is within n of them. */
#define KT_EPS 0x1p-24

/* Time the kernels of all tiers, or the one named. Returns an exit status. */
int kt_bench(const char *kernel);

#endif
