/*
 * Runs the loops of kernels/peak on one thread and on all. A sample is cut into many more pieces
 * than threads, so that a thread that wakes late costs a piece and not half the sample.
 */
#include "bench_ceilings.h"

#include "base/alloc.h"
#include "base/workers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PIECES_PER_THREAD = 16,
    CALIBRATION_ROUNDS = 100000,
    READ_PIECE_BYTES = 4 << 20,
    HUGE_PAGE_BYTES = 2 << 20,
};

/* One sample: the same number of rounds in every piece, or a stretch of memory. */
typedef struct sample {
    const gi_peak *peak;
    const gi_peak_reading *reading;
    size_t rounds_per_piece;
    const unsigned char *memory;
    unsigned cpu;
    struct {
        _Alignas(GI_ALIGN_BYTES) double value;
        unsigned long long sum;
    } sinks[GI_WORKERS_MAX]; /* by worker; keeps results alive */
} sample;

static void run_peak(void *ctx, size_t begin, size_t end, int i_worker) {
    sample *s = ctx;
    for (size_t i = begin; i < end; i++)
        s->sinks[i_worker].value += s->peak->run(s->rounds_per_piece);
}

static void run_read(void *ctx, size_t begin, size_t end, int i_worker) {
    sample *s = ctx;
    s->sinks[i_worker].sum +=
        s->reading->run(s->memory + begin * READ_PIECE_BYTES, (end - begin) * READ_PIECE_BYTES);
}

/* 10^9 operations a second. */
static double sample_peak(gi_workers *crew, sample *s, const gi_peak *peak, double sample_ms,
                          double ns_per_round) {
    const size_t n_pieces = (size_t)gi_workers_count(crew) * PIECES_PER_THREAD;
    s->peak = peak;
    s->rounds_per_piece = (size_t)ceil(sample_ms * 1e6 / ns_per_round / PIECES_PER_THREAD);
    const uint64_t start = gi_clock_ns();
    gi_workers_run(crew, n_pieces, 1, run_peak, s);
    const double ns = (double)(gi_clock_ns() - start);
    return (double)peak->ops_per_round * (double)s->rounds_per_piece * (double)n_pieces / ns;
}

/* Best of a few: only sets the length of the samples. */
static double calibrate(const gi_peak *peak) {
    double best = HUGE_VAL;
    for (int i = 0; i < 5; i++) {
        const uint64_t start = gi_clock_ns();
        peak->run(CALIBRATION_ROUNDS);
        best = fmin(best, (double)(gi_clock_ns() - start));
    }
    return best / CALIBRATION_ROUNDS;
}

/* GB/s. The memory holds ones, so that the sum tells whether all of it was read. */
static glint_status sample_read(gi_workers *crew, sample *s, size_t n_bytes, double *ret,
                                glint_error *err) {
    for (int i = 0; i < GI_WORKERS_MAX; i++) s->sinks[i].sum = 0;
    const uint64_t start = gi_clock_ns();
    gi_workers_run(crew, n_bytes / READ_PIECE_BYTES, 1, run_read, s);
    const double ns = (double)(gi_clock_ns() - start);
    unsigned long long sum = 0;
    for (int i = 0; i < GI_WORKERS_MAX; i++) sum += s->sinks[i].sum;
    if (sum != n_bytes / 8 * 0x0101010101010101u)
        return gi_fail(err, GLINT_ERR_INTERNAL, "streaming reads gave a wrong sum");
    *ret = (double)n_bytes / ns;
    return GLINT_OK;
}

static glint_status measure(gi_workers *one, gi_workers *all, sample *s, size_t rounds,
                            double sample_ms, gi_bench_ceilings *c, glint_error *err) {
    double ns_per_round[GI_PEAKS_N];
    for (size_t i = 0; i < GI_PEAKS_N; i++)
        if ((gi_peaks[i].cpu & s->cpu) == gi_peaks[i].cpu)
            ns_per_round[i] = calibrate(&gi_peaks[i]);
    for (size_t r = 0; r < rounds; r++) {
        for (size_t i = 0; i < GI_PEAKS_N; i++) {
            const gi_peak *p = &gi_peaks[i];
            if ((p->cpu & s->cpu) != p->cpu) continue;
            gi_bench_series_push(&c->one[i], sample_peak(one, s, p, sample_ms, ns_per_round[i]));
            gi_bench_series_push(&c->all[i], sample_peak(all, s, p, sample_ms, ns_per_round[i]));
        }
        for (size_t i = 0; i < GI_PEAK_READINGS_N; i++) {
            double gb_per_s = 0;
            s->reading = &gi_peak_readings[i];
            if ((s->reading->cpu & s->cpu) != s->reading->cpu) continue;
            GI_TRY(sample_read(one, s, c->read_bytes, &gb_per_s, err));
            gi_bench_series_push(&c->read_one[i], gb_per_s);
            GI_TRY(sample_read(all, s, c->read_bytes, &gb_per_s, err));
            gi_bench_series_push(&c->read_all[i], gb_per_s);
        }
    }
    return GLINT_OK;
}

glint_status gi_bench_ceilings_measure(const gi_bench_card *card, size_t rounds, double sample_ms,
                                       size_t read_bytes, gi_bench_ceilings *ret,
                                       glint_error *err) {
    gi_bench_ceilings c = {.card = card,
                           .read_bytes = read_bytes & ~((size_t)READ_PIECE_BYTES - 1)};
    gi_workers *one = NULL, *all = NULL;
    sample *s = gi_alloc_aligned(1, sizeof *s);
    /* Large pages, as packed weights would want them: else the reads measure page tables. */
    unsigned char *raw = gi_alloc_aligned(1, c.read_bytes + HUGE_PAGE_BYTES);
    glint_status st = GLINT_OK;
    if (!s || !raw) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu MiB to read", read_bytes >> 20);
        goto done;
    }
    memset(s, 0, sizeof *s);
    unsigned char *memory = raw + (-(uintptr_t)raw & (HUGE_PAGE_BYTES - 1));
    (void)madvise(memory, c.read_bytes, MADV_HUGEPAGE); /* refused: small pages, still right */
    memset(memory, 1, c.read_bytes);
    s->memory = memory;
    s->cpu = card->cpu_flags;
    GI_TRY_DONE(gi_workers_create(1, &one, err));
    GI_TRY_DONE(gi_workers_create(card->n_threads, &all, err));
    GI_TRY_DONE(measure(one, all, s, rounds, sample_ms, &c, err));
    *ret = c;
done:
    gi_workers_free(all);
    gi_workers_free(one);
    gi_free(raw);
    gi_free(s);
    return st;
}

int gi_bench_ceilings_find(const gi_bench_ceilings *c, const char *prefix) {
    int best = -1;
    for (int i = 0; i < GI_PEAKS_N; i++)
        if (c->all[i].n > 0 && strncmp(gi_peaks[i].key, prefix, strlen(prefix)) == 0 &&
            (best < 0 ||
             gi_bench_series_median(&c->all[i]) > gi_bench_series_median(&c->all[best])))
            best = i;
    return best;
}

/* Index in gi_peak_readings of the fastest pattern of one thread, or of all. */
static size_t fastest_reading(const gi_bench_ceilings *c, bool all_threads) {
    const gi_bench_series *series = all_threads ? c->read_all : c->read_one;
    size_t best = 0;
    for (size_t i = 1; i < GI_PEAK_READINGS_N; i++)
        if (gi_bench_series_median(&series[i]) > gi_bench_series_median(&series[best])) best = i;
    return best;
}

double gi_bench_ceilings_read_gb_per_s(const gi_bench_ceilings *c) {
    return gi_bench_series_median(&c->read_all[fastest_reading(c, true)]);
}

static void print_row(const char *name, const gi_bench_series *one, const gi_bench_series *all,
                      const char *unit) {
    printf("  %-22s%9.1f  (%5.1f to %5.1f)%9.1f  (%5.1f to %5.1f)  %s\n", name,
           gi_bench_series_median(one), gi_bench_series_min(one), gi_bench_series_max(one),
           gi_bench_series_median(all), gi_bench_series_min(all), gi_bench_series_max(all), unit);
}

void gi_bench_ceilings_print(const gi_bench_ceilings *c) {
    char heading[32];
    snprintf(heading, sizeof heading, "%d thread%s", c->card->n_threads,
             c->card->n_threads == 1 ? "" : "s");
    printf("\nCeilings, medians of %zu  %16s%27s\n", c->read_all[0].n, "1 thread", heading);
    for (size_t i = 0; i < GI_PEAKS_N; i++)
        if (c->all[i].n > 0) print_row(gi_peaks[i].name, &c->one[i], &c->all[i], gi_peaks[i].unit);
    char name[32];
    snprintf(name, sizeof name, "reading %zu MiB", c->read_bytes >> 20);
    const size_t one = fastest_reading(c, false);
    const size_t all = fastest_reading(c, true);
    print_row(name, &c->read_one[one], &c->read_all[all], "GB/s");
    printf("  of the patterns of reading the best here: %s (1 thread); %s\n",
           gi_peak_readings[one].name, gi_peak_readings[all].name);
}

static json_t *readings_json(const gi_bench_ceilings *c) {
    json_t *patterns = json_array();
    for (size_t i = 0; i < GI_PEAK_READINGS_N; i++)
        if (c->read_all[i].n > 0)
            json_array_append_new(patterns,
                                  json_pack("{ss ss so so}", "key", gi_peak_readings[i].key, "name",
                                            gi_peak_readings[i].name, "one_thread",
                                            gi_bench_series_json(&c->read_one[i]), "all_threads",
                                            gi_bench_series_json(&c->read_all[i])));
    return patterns;
}

json_t *gi_bench_ceilings_json(const gi_bench_ceilings *c) {
    json_t *peaks = json_array();
    for (size_t i = 0; i < GI_PEAKS_N; i++) {
        if (c->all[i].n == 0) continue;
        json_array_append_new(peaks, json_pack("{ss ss ss so so}", "key", gi_peaks[i].key, "name",
                                               gi_peaks[i].name, "unit", gi_peaks[i].unit,
                                               "one_thread", gi_bench_series_json(&c->one[i]),
                                               "all_threads", gi_bench_series_json(&c->all[i])));
    }
    const size_t one = fastest_reading(c, false);
    const size_t all = fastest_reading(c, true);
    return json_pack("{so s{sI ss so ss so ss so}}", "arithmetic", peaks, "read", "bytes",
                     (json_int_t)c->read_bytes, "unit", "GB/s", "one_thread",
                     gi_bench_series_json(&c->read_one[one]), "one_thread_pattern",
                     gi_peak_readings[one].key, "all_threads",
                     gi_bench_series_json(&c->read_all[all]), "all_threads_pattern",
                     gi_peak_readings[all].key, "patterns", readings_json(c));
}
