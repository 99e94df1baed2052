/*
 * The micro-benchmark: each kernel of each tier, beside what the machine could do at best.
 *
 * A sample is a loop of at least SAMPLE_NS of the thread's own time, so that waiting for the
 * processor does not count; kernel and ceiling take turns, so that what a neighbour does to caches
 * and clock falls on both. Printed are the median, the best, and the best as a part of the best
 * that the ceiling gave. The ceiling of a product is the tier's multiply-add with operands in
 * registers. For the rest it is a yardstick: reading READ_BYTES, which fit the first level of cache
 * (or, where the weights come from memory, all of them), with the tier's widest loads; what also
 * stores may go above it. One thread does it all.
 */
#include "kernel_test.h"

#include "base/alloc.h"
#include "kernels/peak/peak.h"
#include "kernels/x86/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 11, SAMPLE_NS = 3000000, PEAK_ROUNDS = 4096, READ_BYTES = 16384 };
enum { ROW = 4096, X_ROWS = 32, STREAM_BYTES = 64 << 20, HEAD = 128, KEYS = 512 };

/* Operands, shared by all kernels; each takes what it needs of it. */
typedef struct bench_data {
    unsigned char *weights; /* [STREAM_BYTES] */
    float *x, *y, *z;       /* [X_ROWS, ROW] */
    int32_t *acc;           /* [GI_TILE_M, GI_TILE_N] */
    int8_t *q;              /* [X_ROWS, ROW] */
    uint16_t *h;            /* [X_ROWS, ROW] */
    double sum;             /* of what would otherwise be left out */
} bench_data;

typedef enum ceiling { CEILING_S8, CEILING_BF16, CEILING_F32, CEILING_READ } ceiling;

typedef struct bench_entry {
    const char *kernel, *shape;
    size_t slot; /* in gi_kernels */
    ceiling ceiling;
    double work; /* operations, or bytes read and written, of one call */
    size_t n_m, n;
    void (*call)(const gi_kernels *k, bench_data *d, size_t n_m, size_t n);
} bench_entry;

/* ---- one call of each kernel ---------------------------------------------------------------- */

static void call_gemm_s8(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->gemm_s8(d->acc, d->q, n, n_m, d->weights, n / 4);
}

static void call_gemm_bf16(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->gemm_bf16(d->y, GI_TILE_N, d->h, n, n_m, (const uint16_t *)(const void *)d->weights, n / 2);
}

/* All of the weights, panel after panel, as one row of a decoding step does. */
static void stream_gemm_s8(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    for (size_t at = 0; at < STREAM_BYTES; at += n * GI_TILE_N)
        k->gemm_s8(d->acc, d->q, n, n_m, d->weights + at, n / 4);
}

static void stream_gemm_bf16(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    for (size_t at = 0; at < STREAM_BYTES; at += 2 * n * GI_TILE_N)
        k->gemm_bf16(d->y, GI_TILE_N, d->h, n, n_m,
                     (const uint16_t *)(const void *)(d->weights + at), n / 2);
}

static void call_gemm_panel(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->gemm_panel(d->y, d->x, ROW, n_m, d->z, n);
}

static void call_pack_panel(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    const void *rows[GI_PANEL_N];
    for (size_t j = 0; j < n_m; j++) rows[j] = d->h + j * ROW;
    k->pack_panel(d->y, rows, n_m, GI_DTYPE_BF16, 0, n);
}

static void call_dot(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    d->sum += (double)k->dot(d->x, d->h, n_m == 0 ? GI_DTYPE_F16 : GI_DTYPE_BF16, n);
}

static void call_widen(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->widen(d->y, d->h, n_m == 0 ? GI_DTYPE_F16 : GI_DTYPE_BF16, n);
}

static void call_rmsnorm(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->rmsnorm(d->y, d->x, d->z, n, 1e-5f);
}

static void call_swiglu(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->swiglu(d->y, d->x, d->z, n);
}

static void call_quantize_row(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    int32_t sum;
    d->sum += (double)k->quantize_row(d->q, &sum, d->x, n, n);
}

static void call_narrow_row(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->narrow_row(d->h, d->x, 1.0f, n, n);
}

static void call_dequantize(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    static const int32_t sums[GI_TILE_M] = {1, 2, 3, 4, 5, 6};
    k->dequantize(d->y, d->acc, n_m, d->x, sums, d->z, d->z + ROW);
}

static void call_add_row(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->add_row(d->y, d->x, n);
}

static void call_attn_scores(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->attn_scores(d->y, KEYS, d->x, HEAD, n_m, d->z, KEYS, HEAD, n, 0.1f);
}

static void call_attn_mix(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    k->attn_mix(d->y, HEAD, d->x, KEYS, n_m, d->z, HEAD, n, HEAD);
}

/* In place, so the row is copied first; the copy is a small part of the time. */
static void call_softmax(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    memcpy(d->y, d->x, n * sizeof *d->y);
    k->softmax(d->y, n);
}

static void call_softmax_bf16(const gi_kernels *k, bench_data *d, size_t n_m, size_t n) {
    memcpy(d->y, d->x, n * sizeof *d->y);
    d->sum += (double)k->softmax_bf16(d->h, d->y, n, n);
}

#define OPS(m, n, k)       (2.0 * (m) * (n) * (k))
#define ENTRY(name, shape) #name, shape, offsetof(gi_kernels, name)
static const bench_entry entries[] = {
    {ENTRY(gemm_s8, "6x64x256 L1"), CEILING_S8, OPS(6, 64, 256), 6, 256, call_gemm_s8},
    {ENTRY(gemm_s8, "6x64x4096 L2"), CEILING_S8, OPS(6, 64, 4096), 6, 4096, call_gemm_s8},
    {ENTRY(gemm_s8, "5x64x4096 L2"), CEILING_S8, OPS(5, 64, 4096), 5, 4096, call_gemm_s8},
    {ENTRY(gemm_s8, "4x64x4096 L2"), CEILING_S8, OPS(4, 64, 4096), 4, 4096, call_gemm_s8},
    {ENTRY(gemm_s8, "3x64x4096 L2"), CEILING_S8, OPS(3, 64, 4096), 3, 4096, call_gemm_s8},
    {ENTRY(gemm_s8, "2x64x4096 L2"), CEILING_S8, OPS(2, 64, 4096), 2, 4096, call_gemm_s8},
    {ENTRY(gemm_s8, "1x64x4096 L2"), CEILING_S8, OPS(1, 64, 4096), 1, 4096, call_gemm_s8},
    {ENTRY(gemm_s8, "4x64x4096 RAM"), CEILING_READ, STREAM_BYTES, 4, 4096, stream_gemm_s8},
    {ENTRY(gemm_s8, "1x64x4096 RAM"), CEILING_READ, STREAM_BYTES, 1, 4096, stream_gemm_s8},
    {ENTRY(gemm_bf16, "6x64x128 L1"), CEILING_BF16, OPS(6, 64, 128), 6, 128, call_gemm_bf16},
    {ENTRY(gemm_bf16, "6x64x2048 L2"), CEILING_BF16, OPS(6, 64, 2048), 6, 2048, call_gemm_bf16},
    {ENTRY(gemm_bf16, "5x64x2048 L2"), CEILING_BF16, OPS(5, 64, 2048), 5, 2048, call_gemm_bf16},
    {ENTRY(gemm_bf16, "4x64x2048 L2"), CEILING_BF16, OPS(4, 64, 2048), 4, 2048, call_gemm_bf16},
    {ENTRY(gemm_bf16, "3x64x2048 L2"), CEILING_BF16, OPS(3, 64, 2048), 3, 2048, call_gemm_bf16},
    {ENTRY(gemm_bf16, "2x64x2048 L2"), CEILING_BF16, OPS(2, 64, 2048), 2, 2048, call_gemm_bf16},
    {ENTRY(gemm_bf16, "1x64x2048 L2"), CEILING_BF16, OPS(1, 64, 2048), 1, 2048, call_gemm_bf16},
    {ENTRY(gemm_bf16, "4x64x4096 RAM"), CEILING_READ, STREAM_BYTES, 4, 4096, stream_gemm_bf16},
    {ENTRY(gemm_bf16, "1x64x4096 RAM"), CEILING_READ, STREAM_BYTES, 1, 4096, stream_gemm_bf16},
    {ENTRY(gemm_panel, "32x16x1024"), CEILING_F32, OPS(32, 16, 1024), 32, 1024, call_gemm_panel},
    {ENTRY(gemm_panel, "5x16x1024"), CEILING_F32, OPS(5, 16, 1024), 5, 1024, call_gemm_panel},
    {ENTRY(pack_panel, "16x1024 BF16"), CEILING_READ, 16 * 1024 * 6, 16, 1024, call_pack_panel},
    {ENTRY(dot, "4096 BF16"), CEILING_READ, ROW * 6, 1, ROW, call_dot},
    {ENTRY(dot, "4096 F16"), CEILING_READ, ROW * 6, 0, ROW, call_dot},
    {ENTRY(widen, "4096 BF16"), CEILING_READ, ROW * 6, 1, ROW, call_widen},
    {ENTRY(widen, "4096 F16"), CEILING_READ, ROW * 6, 0, ROW, call_widen},
    {ENTRY(rmsnorm, "4096"), CEILING_READ, ROW * 12, 1, ROW, call_rmsnorm},
    {ENTRY(swiglu, "4096"), CEILING_READ, ROW * 12, 1, ROW, call_swiglu},
    {ENTRY(quantize_row, "4096"), CEILING_READ, ROW * 5, 1, ROW, call_quantize_row},
    {ENTRY(narrow_row, "4096"), CEILING_READ, ROW * 6, 1, ROW, call_narrow_row},
    {ENTRY(dequantize, "6x64"), CEILING_READ, 6 * 64 * 8, 6, 64, call_dequantize},
    {ENTRY(add_row, "4096"), CEILING_READ, ROW * 12, 1, ROW, call_add_row},
    {ENTRY(attn_scores, "4x128x512"), CEILING_F32, OPS(4, HEAD, KEYS), 4, KEYS, call_attn_scores},
    {ENTRY(attn_scores, "1x128x512"), CEILING_F32, OPS(1, HEAD, KEYS), 1, KEYS, call_attn_scores},
    {ENTRY(attn_mix, "4x512x128"), CEILING_F32, OPS(4, HEAD, KEYS), 4, KEYS, call_attn_mix},
    {ENTRY(attn_mix, "1x512x128"), CEILING_F32, OPS(1, HEAD, KEYS), 1, KEYS, call_attn_mix},
    {ENTRY(softmax, "512"), CEILING_READ, KEYS * 8, 1, KEYS, call_softmax},
    {ENTRY(softmax_bf16, "1024"), CEILING_READ, 1024 * 6, 1, 1024, call_softmax_bf16},
};

/* ---- timing --------------------------------------------------------------------------------- */

typedef struct timed {
    const bench_entry *entry; /* NULL: the ceiling */
    const gi_kernels *k;
    const gi_peak *peak;            /* NULL: reading */
    const gi_peak_reading *reading; /* NULL: not reading */
    size_t read_bytes;
    bench_data *data;
    double work;
} timed;

static void call_once(const timed *t) {
    if (t->entry)
        t->entry->call(t->k, t->data, t->entry->n_m, t->entry->n);
    else if (t->peak)
        t->data->sum += t->peak->run(PEAK_ROUNDS);
    else
        t->data->sum += (double)t->reading->run(t->data->weights, t->read_bytes);
}

static uint64_t thread_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* 10^9 operations or bytes a second over one sample of at least SAMPLE_NS. */
static double sample(const timed *t) {
    const uint64_t begin = thread_ns();
    uint64_t elapsed = 0, calls = 0;
    for (uint64_t batch = 1; elapsed < SAMPLE_NS; batch *= 2) {
        for (uint64_t i = 0; i < batch; i++) call_once(t);
        calls += batch;
        elapsed = thread_ns() - begin;
    }
    return t->work * (double)calls / (double)elapsed;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts; the median is then in the middle and the best at the end. */
static void sort_rates(double *rates) {
    qsort(rates, SAMPLES, sizeof *rates, by_value);
}

/* The fastest loop of a kind that the tier may run; NULL: none is written for it. */
static const gi_peak *find_peak(ceiling c, unsigned flags) {
    const gi_peak *best = NULL;
    for (size_t i = 0; i < GI_PEAKS_N; i++) {
        const gi_peak *p = &gi_peaks[i];
        const bool is_s8 = strncmp(p->key, "s8", 2) == 0, is_bf16 = strncmp(p->key, "bf16", 4) == 0;
        const bool fits = c == CEILING_S8 ? is_s8 : !is_s8 && (c == CEILING_BF16 || !is_bf16);
        if (fits && (p->cpu & ~flags) == 0) best = p;
    }
    return best;
}

/* The fastest pattern of reading n_bytes that the tier may use, by one sample of each. */
static const gi_peak_reading *find_reading(unsigned flags, size_t n_bytes, bench_data *d) {
    const gi_peak_reading *best = NULL;
    double best_rate = 0;
    for (size_t i = 0; i < GI_PEAK_READINGS_N; i++) {
        const timed t = {.reading = &gi_peak_readings[i],
                         .read_bytes = n_bytes,
                         .data = d,
                         .work = (double)n_bytes};
        if ((t.reading->cpu & ~flags) != 0) continue;
        const double rate = sample(&t);
        if (rate <= best_rate) continue;
        best_rate = rate;
        best = t.reading;
    }
    return best;
}

static void bench_one(const bench_entry *e, const gi_kernels *k, unsigned flags, bench_data *d) {
    const bool is_read = e->ceiling == CEILING_READ;
    const size_t read_bytes = e->work == STREAM_BYTES ? STREAM_BYTES : READ_BYTES;
    const gi_peak *peak = is_read ? NULL : find_peak(e->ceiling, flags);
    const timed kernel = {.entry = e, .k = k, .data = d, .work = e->work};
    const timed best = {.peak = peak,
                        .reading = is_read ? find_reading(flags, read_bytes, d) : NULL,
                        .read_bytes = read_bytes,
                        .data = d,
                        .work = peak ? (double)(peak->ops_per_round * PEAK_ROUNDS)
                                     : (double)read_bytes};
    double rates[SAMPLES], ceilings[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++) {
        rates[i] = sample(&kernel);
        ceilings[i] = is_read || peak ? sample(&best) : 0;
    }
    sort_rates(rates);
    sort_rates(ceilings);
    const double best_rate = rates[SAMPLES - 1], best_ceiling = ceilings[SAMPLES - 1];
    printf("%-12s %-14s %-11s %8.1f %8.1f %-7s", e->kernel, e->shape, k->tier, rates[SAMPLES / 2],
           best_rate,
           is_read                    ? "GB/s"
           : e->ceiling == CEILING_S8 ? "GOP/s"
                                      : "GFLOP/s");
    if (best_ceiling > 0)
        printf(" %4.0f %% of %6.1f (%s)", 100 * best_rate / best_ceiling, best_ceiling,
               peak ? peak->name : best.reading->name);
    printf("\n");
    fflush(stdout);
}

static bool data_open(bench_data *d) {
    *d = (bench_data){
        .weights = gi_alloc_aligned(STREAM_BYTES, 1),
        .x = gi_alloc_aligned((size_t)X_ROWS * ROW, sizeof *d->x),
        .y = gi_alloc_aligned((size_t)X_ROWS * ROW, sizeof *d->y),
        .z = gi_alloc_aligned((size_t)X_ROWS * ROW, sizeof *d->z),
        .acc = gi_alloc_aligned((size_t)GI_TILE_M * GI_TILE_N, sizeof *d->acc),
        .q = gi_alloc_aligned((size_t)X_ROWS * ROW, sizeof *d->q),
        .h = gi_alloc_aligned((size_t)X_ROWS * ROW, sizeof *d->h),
    };
    if (!d->weights || !d->x || !d->y || !d->z || !d->acc || !d->q || !d->h) return false;
    /* 0x3C.. is a small positive number in BF16 and a byte like any other in INT8. */
    memset(d->weights, 0x3C, STREAM_BYTES);
    memset(d->q, 0x15, (size_t)X_ROWS * ROW);
    for (size_t i = 0; i < (size_t)X_ROWS * ROW; i++) {
        d->x[i] = (float)(i * 37 % 101) / 50 - 1;
        d->y[i] = 0;
        d->z[i] = (float)(i * 53 % 97) / 48 - 1;
        d->h[i] = gi_f32_to_bf16(d->x[i]);
    }
    return true;
}

static void data_done(bench_data *d) {
    gi_free(d->weights);
    gi_free(d->x);
    gi_free(d->y);
    gi_free(d->z);
    gi_free(d->acc);
    gi_free(d->q);
    gi_free(d->h);
}

int kt_bench(const char *kernel) {
    bench_data d;
    if (!data_open(&d)) {
        data_done(&d);
        fprintf(stderr, "test_kernels: no memory\n");
        return 2;
    }
    char brand[GI_CPU_BRAND_BYTES];
    gi_cpu_brand(brand);
    printf("%s, one thread, median and best of %d samples of %d ms\n", brand, SAMPLES,
           SAMPLE_NS / 1000000);
    bool found = false;
    gi_kernels k = {0};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (kernel && strcmp(kernel, entries[i].kernel) != 0) continue;
        found = true;
        for (size_t j = 0; j < GI_CPU_N_TIERS; j++) {
            const gi_kernels below = k;
            gi_kernels_get(gi_cpu_tiers[j].name, &k);
            if (strcmp(k.tier, gi_cpu_tiers[j].name) != 0) continue; /* not on this machine */
            if (j && !kt_differs(&k, &below, entries[i].slot)) continue;
            bench_one(&entries[i], &k, gi_cpu_tiers[j].flags, &d);
        }
    }
    data_done(&d);
    if (!found) fprintf(stderr, "test_kernels: no kernel '%s' in the benchmark\n", kernel);
    return found ? 0 : 2;
}
