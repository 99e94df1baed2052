/*
 * Outside picture suites: every file is decoded, directly and in a decoder process, and held
 * against Pillow's verdict and pixels (ORACLE.tsv) and the promises of image-bombs/index.json.
 *
 * Accepted by Pillow: accepted here, same size, same pixels to the bit. Rejected: refused here.
 * Broken behind the header: either, but the same each time and in both ways. Differences are
 * counted as wrong unless a limit of ours explains them or known_differences.tsv lists the file.
 */
#include "picture_oracle.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/filemap.h"
#include "base/json.h"
#include "image/decode.h"
#include "image/decoder.h"
#include "image/prepare.h"
#include "image/probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 }; /* memory is the sanitizer's, too */
#else
enum { IS_SANITIZED = 0 };
#endif

enum { EXIT_SKIPPED = 77, SLOTS = 2, RSS_KIB_MAX = 256 * 1024 };

static const double CPU_MS_MAX = 1500; /* the limit of 1 s, and room for a busy machine */

static const char *const SUITES[] = {
    "png-gofuzz",      "png-imagers", "png-libpng",  "png-misc",         "png-pngsuite",
    "jpeg-afl",        "jpeg-misc",   "jpeg-gofuzz", "jpeg-decoder-ref", "jpeg-decoder-crash",
    "gif-gofuzz",      "gif-imagers", "gif-misc",    "webp-gofuzz",      "webp-libwebp",
    "webp-misc",       "exif-pillow", "image-bombs", "image-shapes",     "photos",
    "hash-collisions",
};

typedef struct tally {
    size_t n, n_pixels_equal, n_refused, n_over_limit, n_free, n_listed, n_wrong;
    double ms_max;
    gi_decoder *decoder;
} tally;

static gi_image_spec spec(void) {
    return (gi_image_spec){14,
                           2,
                           2,
                           12544,
                           9633792,
                           {0.48145466f, 0.4578275f, 0.40821073f},
                           {0.26862954f, 0.26130258f, 0.27577711f}};
}

static double cpu_ms(void) {
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void complain(tally *t, const oracle_row *row, const char *what) {
    print_error("%s: %s\n", row->path, what);
    t->n_wrong++;
}

/* A size that Pillow takes and our limits do not. */
static bool is_over_limit(const oracle_row *row, const gi_verdict *v) {
    const gi_image_limits l = gi_image_limits_default();
    const uint64_t w = row->width, h = row->height;
    return (v->refusal == GI_REFUSAL_SIDE && (w > l.side_px_max || h > l.side_px_max)) ||
           (v->refusal == GI_REFUSAL_PIXELS && w * h > l.pixels_max) ||
           (v->refusal == GI_REFUSAL_ASPECT && (w > h * l.aspect_max || h > w * l.aspect_max));
}

/* What differs between our verdict and Pillow's. */
static difference compare(tally *t, const oracle_row *row, const gi_verdict *v, const gi_raster *r,
                          const char *hash) {
    const bool accepted = v->refusal == GI_REFUSAL_NONE;
    if (row->says == ORACLE_HEADER_ONLY) {
        t->n_free++;
        return DIFFERS_NOT;
    }
    if (!accepted) {
        t->n_refused++;
        if (row->says == ORACLE_REJECT) return DIFFERS_NOT;
        if (!is_over_limit(row, v)) return DIFFERS_REFUSED;
        t->n_over_limit++;
        return DIFFERS_NOT;
    }
    if (row->says == ORACLE_REJECT) return DIFFERS_ACCEPTED;
    if (r->width != row->width || r->height != row->height) complain(t, row, "wrong size");
    /* 16-bit grey: Pillow clips to 255 what glint reduces to its high byte. */
    if (!strcmp(row->mode, "I")) return DIFFERS_NOT;
    if (strcmp(hash, row->hash) != 0) return DIFFERS_PIXELS;
    t->n_pixels_equal++;
    return DIFFERS_NOT;
}

/* Both ways, to the end: same status, same words, same rows. */
static void compare_ways(tally *t, const oracle_row *row, const uint8_t *bytes, size_t n_bytes) {
    const gi_image_spec s = spec();
    const gi_image_limits limits = gi_image_limits_default();
    gi_patches here = {0}, there = {0};
    glint_error err_here = {0}, err_there = {0};
    const double start_ms = gi_clock_ms();
    const glint_status st_there =
        gi_image_prepare(bytes, n_bytes, &s, &limits, 1024, t->decoder, &there, &err_there);
    t->ms_max = fmax(t->ms_max, gi_clock_ms() - start_ms);
    const glint_status st_here =
        gi_image_prepare(bytes, n_bytes, &s, &limits, 1024, NULL, &here, &err_here);
    if (st_here != st_there || strcmp(err_here.message, err_there.message) != 0) {
        print_error("%s / %s\n", err_here.message, err_there.message);
        complain(t, row, "another end in a decoder process");
    }
    if (st_here == GLINT_OK && st_there == GLINT_OK) {
        const size_t n = (size_t)here.grid_w * here.grid_h * 588 * sizeof(float);
        if (here.grid_w != there.grid_w || here.grid_h != there.grid_h ||
            memcmp(here.rows, there.rows, n) != 0) {
            complain(t, row, "other patches from a decoder process");
        }
    }
    if (st_here == GLINT_ERR_INTERNAL || st_here == GLINT_ERR_ARG || st_here == GLINT_ERR_MEMORY) {
        complain(t, row, err_here.message);
    }
    gi_patches_done(&here);
    gi_patches_done(&there);
}

/* What a tenant is charged for a picture is what decoding it costs. */
static void check_probe(tally *t, const oracle_row *row, const uint8_t *bytes, size_t n_bytes,
                        const gi_verdict *v) {
    uint32_t width = 0, height = 0;
    const bool is_known = gi_image_probe(bytes, n_bytes, &width, &height);
    if (v->refusal == GI_REFUSAL_NONE && (!is_known || width != v->width || height != v->height))
        complain(t, row, "its size is told wrong");
}

static void try_file(void *ctx, const oracle_row *row) {
    tally *t = ctx;
    size_t n_bytes;
    const gi_image_limits limits = gi_image_limits_default();
    uint8_t *bytes = oracle_read(row->path, &n_bytes);
    gi_verdict v[2];
    char hash[2][ORACLE_HASH_BYTES] = {"-", "-"};
    difference found = DIFFERS_NOT;
    for (int i = 0; i < 2; i++) {
        gi_raster r = {0};
        const double start_ms = cpu_ms();
        v[i] = gi_decode(bytes, n_bytes, &limits, &r);
        if (cpu_ms() - start_ms > CPU_MS_MAX) complain(t, row, "takes too long");
        if (r.pixels) oracle_hash(r.pixels, (size_t)r.width * r.height, r.channels, hash[i]);
        if (i == 0) found = compare(t, row, &v[i], &r, hash[i]);
        gi_free(r.pixels);
    }
    if (v[0].refusal != v[1].refusal || strcmp(hash[0], hash[1]) != 0) {
        complain(t, row, "not the same twice");
    }
    const difference listed = oracle_listed(row->path);
    if (found != DIFFERS_NOT && found == listed) t->n_listed++;
    if (found != listed) {
        static const char *const WHAT[] = {"listed, but does not differ", "refused", "accepted",
                                           "other pixels"};
        complain(t, row, WHAT[found]);
    }
    check_probe(t, row, bytes, n_bytes, &v[0]);
    compare_ways(t, row, bytes, n_bytes);
    gi_free(bytes);
    t->n++;
}

static void oracles(void **state) {
    (void)state;
    size_t n_files = 0, n_wrong = 0;
    const gi_image_limits limits = gi_image_limits_default();
    gi_decoder *decoder = NULL;
    glint_error err;
    if (gi_decoder_create(SLOTS, limits.file_bytes_max, &decoder, &err))
        fail_msg("%s", err.message);
    print_message("%-20s%7s%9s%9s%9s%7s%8s%7s%9s\n", "suite", "files", "equal", "refused",
                  "(limit)", "either", "listed", "wrong", "max ms");
    for (size_t i = 0; i < sizeof SUITES / sizeof SUITES[0]; i++) {
        tally t = {.decoder = decoder};
        oracle_each(SUITES[i], try_file, &t);
        print_message("%-20s%7zu%9zu%9zu%9zu%7zu%8zu%7zu%9.0f\n", SUITES[i], t.n, t.n_pixels_equal,
                      t.n_refused, t.n_over_limit, t.n_free, t.n_listed, t.n_wrong, t.ms_max);
        n_files += t.n;
        n_wrong += t.n_wrong;
    }
    gi_decoder_free(decoder);
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    print_message("%zu files, %zu wrong, at most %ld MB\n", n_files, n_wrong, u.ru_maxrss / 1024);
    assert_int_equal(n_wrong + oracle_unused(), 0);
    assert_true(n_files >= 1700); /* the suites are all there */
    if (!IS_SANITIZED) assert_in_range(u.ru_maxrss, 1, RSS_KIB_MAX);
}

/* What preparing a file comes to in a process of its own. */
typedef struct cost {
    glint_status status;
    double cpu_ms;
    long growth_kib;
} cost;

static cost price(const char *path) {
    size_t n_bytes;
    int fds[2];
    cost c = {0};
    uint8_t *bytes = oracle_read(path, &n_bytes);
    assert_int_equal(pipe(fds), 0);
    const pid_t child = fork();
    if (child == 0) {
        const gi_image_spec s = spec();
        const gi_image_limits limits = gi_image_limits_default();
        gi_patches p = {0};
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        const double start_ms = cpu_ms();
        c.status = gi_image_prepare(bytes, n_bytes, &s, &limits, 1024, NULL, &p, NULL);
        c.cpu_ms = cpu_ms() - start_ms;
        getrusage(RUSAGE_SELF, &after);
        c.growth_kib = after.ru_maxrss - before.ru_maxrss;
        _exit(write(fds[1], &c, sizeof c) == sizeof c ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], &c, sizeof c), sizeof c);
    close(fds[0]);
    close(fds[1]);
    gi_free(bytes);
    return c;
}

/* What index.json promises, in words of ours: 4xx, 200, or either; and how much it may cost. */
static bool is_kept(const char *expect, const cost *c) {
    const bool may_refuse = strstr(expect, "4xx") != NULL;
    const bool may_accept = strstr(expect, "200") || strstr(expect, "first frame");
    const long growth_kib_max = strstr(expect, "<16 MB") ? 16 * 1024 : RSS_KIB_MAX;
    const bool client_error = c->status == GLINT_ERR_LIMIT || c->status == GLINT_ERR_FORMAT ||
                              c->status == GLINT_ERR_UNSUPPORTED;
    if (strstr(expect, "unsupported") && c->status != GLINT_ERR_UNSUPPORTED) return false;
    if (!IS_SANITIZED && c->growth_kib > growth_kib_max) return false;
    return c->cpu_ms < 1000 && (c->status == GLINT_OK ? may_accept : may_refuse && client_error);
}

static void bombs(void **state) {
    (void)state;
    size_t n_bytes, n = 0, n_wrong = 0;
    json_t *index = NULL;
    double cpu_ms_max = 0;
    long growth_kib_max = 0;
    uint8_t *text = oracle_read("image-bombs/index.json", &n_bytes);
    assert_int_equal(gi_json_parse(text, n_bytes, "index.json", &index, NULL), GLINT_OK);
    gi_free(text);
    for (; n < json_array_size(index); n++) {
        const json_t *row = json_array_get(index, n);
        const char *file = json_string_value(json_object_get(row, "file"));
        const char *expect = json_string_value(json_object_get(row, "expect"));
        char path[ORACLE_TEXT_BYTES];
        snprintf(path, sizeof path, "image-bombs/%s", file);
        const cost c = price(path);
        if (!is_kept(expect, &c)) {
            print_error("%s: expected %s, found %s, %.0f ms, %ld KiB\n", file, expect,
                        glint_status_name(c.status), c.cpu_ms, c.growth_kib);
            n_wrong++;
        }
        cpu_ms_max = fmax(cpu_ms_max, c.cpu_ms);
        growth_kib_max = c.growth_kib > growth_kib_max ? c.growth_kib : growth_kib_max;
    }
    json_decref(index);
    print_message("image-bombs: %zu promises, %zu broken, at most %.0f ms and %ld MB\n", n, n_wrong,
                  cpu_ms_max, growth_kib_max / 1024);
    assert_int_equal(n_wrong, 0);
    assert_true(n >= 33);
}

static gi_patches prepare_file(const char *path) {
    size_t n_bytes;
    const gi_image_spec s = spec();
    const gi_image_limits limits = gi_image_limits_default();
    gi_patches p = {0};
    uint8_t *bytes = oracle_read(path, &n_bytes);
    assert_int_equal(gi_image_prepare(bytes, n_bytes, &s, &limits, 1024, NULL, &p, NULL), GLINT_OK);
    gi_free(bytes);
    return p;
}

/* One picture stored in seven orientations is the same picture. */
static void orientations(void **state) {
    (void)state;
    static const char *const KINDS[] = {"jpg", "webp"};
    double worst = 0;
    for (size_t k = 0; k < 2; k++) {
        char path[ORACLE_TEXT_BYTES];
        snprintf(path, sizeof path, "exif-pillow/hopper_orientation_2.%s", KINDS[k]);
        gi_patches first = prepare_file(path);
        for (int o = 3; o <= 8; o++) {
            snprintf(path, sizeof path, "exif-pillow/hopper_orientation_%d.%s", o, KINDS[k]);
            gi_patches p = prepare_file(path);
            assert_true(p.grid_w == first.grid_w && p.grid_h == first.grid_h);
            const size_t n = (size_t)p.grid_w * p.grid_h * 588;
            double sum = 0;
            for (size_t i = 0; i < n; i++) sum += fabs((double)p.rows[i] - (double)first.rows[i]);
            worst = fmax(worst, sum / (double)n);
            gi_patches_done(&p);
        }
        gi_patches_done(&first);
    }
    /* In units of the spread of natural pictures; another picture, or this one turned, is at 1. */
    print_message("orientations: mean difference at most %.4f\n", worst);
    assert_true(worst < 0.1);
}

enum { TIMED_RUNS = 15 };

static int compare_double(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, TIMED_RUNS, sizeof *values, compare_double);
    return values[TIMED_RUNS / 2];
}

/* Prints what one photograph takes, here and in a decoder process; the figures of docs. */
static void time_photo(void *ctx, const oracle_row *row) {
    gi_decoder *decoder = ctx;
    if (row->says != ORACLE_DECODE || IS_SANITIZED) return;
    double total[2][TIMED_RUNS], decode[TIMED_RUNS], preprocess[TIMED_RUNS];
    size_t n_bytes;
    const gi_image_spec s = spec();
    const gi_image_limits limits = gi_image_limits_default();
    uint8_t *bytes = oracle_read(row->path, &n_bytes);
    for (int i = 0; i < 2 * TIMED_RUNS; i++) {
        gi_patches p = {0};
        const int way = i % 2, run = i / 2;
        const double start_ms = gi_clock_ms();
        assert_int_equal(
            gi_image_prepare(bytes, n_bytes, &s, &limits, 1024, way ? decoder : NULL, &p, NULL),
            GLINT_OK);
        total[way][run] = gi_clock_ms() - start_ms;
        if (way == 0) {
            decode[run] = p.decode_ms;
            preprocess[run] = p.preprocess_ms;
        }
        gi_patches_done(&p);
    }
    const double here = median(total[0]), there = median(total[1]);
    print_message("%-34s%5u x %-5u%7.1f%9.1f%9.1f%9.2f\n", row->path, row->width, row->height,
                  median(decode), median(preprocess), here, there - here);
    gi_free(bytes);
}

static void photo_times(void **state) {
    (void)state;
    const gi_image_limits limits = gi_image_limits_default();
    gi_decoder *decoder = NULL;
    assert_int_equal(gi_decoder_create(1, limits.file_bytes_max, &decoder, NULL), GLINT_OK);
    print_message("median of %d, ms%33s%9s%9s%9s\n", TIMED_RUNS, "decode", "resize", "all",
                  "+process");
    assert_int_equal(oracle_each("photos", time_photo, decoder), 12);
    gi_decoder_free(decoder);
}

int main(void) {
    char path[1024];
    const char *suites = getenv("GLINT_SUITES");
    const int n = snprintf(path, sizeof path, "%s/image-bombs/index.json", suites ? suites : "");
    if (n < 0 || (size_t)n >= sizeof path || !gi_file_exists(path)) {
        puts("skipped: no folder $GLINT_SUITES/image-bombs");
        return EXIT_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bombs), /* first: its children must begin small */
        cmocka_unit_test(oracles),
        cmocka_unit_test(orientations),
        cmocka_unit_test(photo_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
