/*
 * src/image/decoder: pictures come out of the processes as they do here; processes that are killed
 * are replaced; nothing is left behind.
 */
#include "make_picture.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "image/decoder.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 10 << 20, PIDS_MAX = 64 };

static gi_image_spec plain_spec(void) {
    return (gi_image_spec){14, 2, 2, 12544, 9633792, {0, 0, 0}, {1, 1, 1}};
}

static gi_decoder *create(int n_slots) {
    gi_decoder *d = NULL;
    glint_error err;
    if (gi_decoder_create(n_slots, FILE_BYTES_MAX, &d, &err)) fail_msg("%s", err.message);
    return d;
}

static glint_status prepare(gi_decoder *d, const gi_buf *file, const gi_image_limits *limits,
                            gi_patches *ret, glint_error *err) {
    const gi_image_spec spec = plain_spec();
    return gi_image_prepare(file->data, file->len, &spec, limits, 1024, d, ret, err);
}

/* Same status, same words, same rows. */
static void expect_same(gi_decoder *d, const gi_buf *file, const gi_image_limits *limits) {
    gi_patches here = {0}, there = {0};
    glint_error err_here = {0}, err_there = {0};
    const glint_status st = prepare(NULL, file, limits, &here, &err_here);
    const glint_status st_there = prepare(d, file, limits, &there, &err_there);
    if (st_there != st) fail_msg("%s / %s", err_here.message, err_there.message);
    assert_string_equal(err_there.message, err_here.message);
    if (st == GLINT_OK) {
        assert_true(here.grid_w == there.grid_w && here.grid_h == there.grid_h);
        assert_true(here.source_w == there.source_w && here.source_h == there.source_h);
        assert_true(there.decode_ms > 0 && there.preprocess_ms > 0);
        assert_memory_equal(here.rows, there.rows,
                            (size_t)here.grid_w * here.grid_h * 588 * sizeof(float));
    }
    gi_patches_done(&here);
    gi_patches_done(&there);
}

static gi_buf noise_png(uint32_t width, uint32_t height, uint32_t seed) {
    uint8_t *pixels = gi_alloc((size_t)width * height * 3);
    fill_noise(pixels, (size_t)width * height * 3, seed);
    gi_buf png = png_of_rgb(pixels, width, height);
    gi_free(pixels);
    return png;
}

static void same_as_here(void **state) {
    (void)state;
    gi_decoder *d = create(1);
    const gi_image_limits limits = gi_image_limits_default();
    uint8_t pixels[60 * 50 * 4];
    fill_noise(pixels, sizeof pixels, 1);
    gi_buf exif = exif_of(1, 6, 3, 1);
    gi_buf files[] = {jpeg_of(pixels, 60, 50, 3, 0, exif.data, exif.len),
                      jpeg_of(pixels, 60, 50, 4, 1, NULL, 0),
                      webp_of(pixels, 60, 50, 4),
                      png_of_rgb(pixels, 60, 50),
                      noise_png(1500, 1100, 3),
                      noise_png(1, 37, 3),
                      noise_png(1, 201, 3)};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            expect_same(d, &files[i], &limits);
            const size_t whole = files[i].len;
            for (size_t cut = 1; cut < 5; cut++) {
                files[i].len = whole * cut / 5;
                expect_same(d, &files[i], &limits);
            }
            files[i].len = whole;
        }
    }
    gi_image_limits small = limits;
    small.pixels_max = 100;
    expect_same(d, &files[0], &small);
    small = limits;
    small.decode_bytes_max = 10000;
    expect_same(d, &files[1], &small);
    small = limits;
    small.file_bytes_max = 100;
    expect_same(d, &files[0], &small);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) gi_buf_done(&files[i]);
    gi_buf_done(&exif);
    gi_decoder_free(d);
}

static void bad_arguments(void **state) {
    (void)state;
    gi_decoder *d = NULL;
    assert_int_equal(gi_decoder_create(0, FILE_BYTES_MAX, &d, NULL), GLINT_ERR_ARG);
    assert_int_equal(gi_decoder_create(1, SIZE_MAX, &d, NULL), GLINT_ERR_ARG);
    assert_int_equal(gi_decoder_create(GI_DECODER_SLOTS_MAX + 1, FILE_BYTES_MAX, &d, NULL),
                     GLINT_ERR_ARG);
    assert_null(d);
    gi_decoder_free(NULL);
    gi_decoder_release(NULL);
    gi_decoder_release(&(gi_decoder_lease){0});

    d = create(1);
    gi_image_limits l = gi_image_limits_default();
    l.file_bytes_max++;
    gi_buf png = noise_png(30, 30, 1);
    gi_patches p;
    assert_int_equal(prepare(d, &png, &l, &p, NULL), GLINT_ERR_ARG);
    gi_buf_done(&png);
    gi_decoder_free(d);
}

/* 39 megapixels that libwebp makes in one go, with the clock at 20 ms. */
static void cpu_time(void **state) {
    (void)state;
    gi_decoder *d = create(1);
    gi_image_limits l = gi_image_limits_default();
    uint8_t *pixels = gi_calloc(6000 * 4000, 3);
    gi_buf webp = webp_of(pixels, 6000, 4000, 3);
    gi_free(pixels);
    l.decode_cpu_ms_max = 20;
    const double start_ms = gi_clock_ms();
    gi_patches p;
    glint_error err = {0};
    assert_int_equal(prepare(d, &webp, &l, &p, &err), GLINT_ERR_LIMIT);
    assert_string_equal(err.message,
                        "WebP picture takes too long to decode; the limit is 20 ms of CPU time");
    assert_true(gi_clock_ms() - start_ms < 5000);
    l.decode_cpu_ms_max = 20000; /* and the next picture is none the worse for it */
    assert_int_equal(prepare(d, &webp, &l, &p, &err), GLINT_OK);
    gi_patches_done(&p);
    gi_buf_done(&webp);
    gi_decoder_free(d);
}

/* Process ids whose parent is `parent`, from /proc. */
static size_t children_of(pid_t parent, pid_t *ret) {
    size_t n = 0;
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        char path[300], line[512];
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (!f) continue;
        const char *end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        fclose(f);
        if (end && strtol(end + 4, NULL, 10) == parent && n < PIDS_MAX) {
            ret[n++] = (pid_t)strtol(e->d_name, NULL, 10);
        }
    }
    closedir(dir);
    return n;
}

static size_t open_descriptors(void) {
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static void nothing_is_left(void **state) {
    (void)state;
    pid_t pids[PIDS_MAX], spares[PIDS_MAX];
    const size_t n_open = open_descriptors();
    for (int i = 0; i < 3; i++) {
        gi_decoder *d = create(3);
        assert_int_equal(children_of(getpid(), pids), 3);
        gi_decoder_free(d);
        assert_int_equal(children_of(getpid(), pids), 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
    assert_int_equal(open_descriptors(), n_open);

    /* One child waits in each process; pictures leave no others behind, and no zombie. */
    gi_decoder *d = create(1);
    const gi_image_limits limits = gi_image_limits_default();
    gi_buf png = noise_png(30, 30, 1);
    for (int i = 0; i < 50; i++) expect_same(d, &png, &limits);
    assert_int_equal(children_of(getpid(), pids), 1);
    assert_in_range(children_of(pids[0], spares), 0, 1);
    gi_buf_done(&png);
    gi_decoder_free(d);
}

/* kill -9 of the process and of its waiting child. */
static void killed_processes(void **state) {
    (void)state;
    gi_decoder *d = create(1);
    const gi_image_limits limits = gi_image_limits_default();
    gi_buf png = noise_png(300, 300, 1);
    for (int i = 0; i < 4; i++) {
        pid_t pid[PIDS_MAX], spare[PIDS_MAX];
        gi_patches p = {0};
        glint_error err = {0};
        assert_int_equal(children_of(getpid(), pid), 1);
        if (i % 2) {
            while (children_of(pid[0], spare) == 0) usleep(1000);
            kill(spare[0], SIGKILL);
        } else {
            kill(pid[0], SIGKILL);
        }
        /* A new process is started, and the picture is not lost. */
        if (prepare(d, &png, &limits, &p, &err)) fail_msg("%s", err.message);
        gi_patches_done(&p);
        expect_same(d, &png, &limits);
    }
    gi_buf_done(&png);
    gi_decoder_free(d);
}

static void *kill_at_work(void *arg) {
    const bool *is_done = arg;
    pid_t program[PIDS_MAX], child[PIDS_MAX];
    while (!__atomic_load_n(is_done, __ATOMIC_ACQUIRE)) {
        if (children_of(getpid(), program) == 1 && children_of(program[0], child) == 1) {
            kill(child[0], SIGABRT);
        }
        usleep(20000);
    }
    return NULL;
}

/* A child that dies of a signal, as of a fault in a library, costs its picture only. */
static void crashes(void **state) {
    (void)state;
    gi_decoder *d = create(1);
    const gi_image_limits limits = gi_image_limits_default();
    gi_buf png = noise_png(2000, 1000, 1);
    size_t n_ok = 0, n_broken = 0, n_early = 0;
    bool is_done = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, kill_at_work, &is_done), 0);
    for (int i = 0; i < 40 || (n_broken == 0 && i < 400); i++) {
        gi_patches p = {0};
        glint_error err = {0};
        const glint_status st = prepare(d, &png, &limits, &p, &err);
        if (st == GLINT_OK) {
            n_ok++;
        } else if (st == GLINT_ERR_FORMAT) {
            assert_string_equal(err.message, "PNG picture is broken and cannot be decoded");
            n_broken++;
        } else {
            assert_int_equal(st, GLINT_ERR_INTERNAL); /* hit twice before it had a picture */
            n_early++;
        }
        gi_patches_done(&p);
    }
    __atomic_store_n(&is_done, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    print_message("%zu pictures came out, %zu were hit, %zu lost their process\n", n_ok, n_broken,
                  n_early);
    assert_true(n_broken > 0);
    expect_same(d, &png, &limits);
    gi_buf_done(&png);
    gi_decoder_free(d);
}

/* The number behind `name` in a file of /proc, or -1. */
static long proc_number(pid_t pid, const char *file, const char *name) {
    char path[64], line[256];
    long value = -1;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, name, strlen(name)) == 0) value = strtol(line + strlen(name), NULL, 10);
    }
    if (f) fclose(f);
    return value;
}

typedef struct witness {
    bool is_done;
    bool saw_filter;
    long new_privileges, descriptors, data_bytes, cpu_s;
} witness;

/* Looks at the child while it works. */
static void *watch(void *arg) {
    witness *w = arg;
    pid_t program[PIDS_MAX], child[PIDS_MAX];
    while (!__atomic_load_n(&w->is_done, __ATOMIC_ACQUIRE) && !w->saw_filter) {
        if (children_of(getpid(), program) != 1 || children_of(program[0], child) != 1) continue;
        if (proc_number(child[0], "status", "Seccomp:") != 2) continue;
        w->saw_filter = true;
        w->new_privileges = proc_number(child[0], "status", "NoNewPrivs:");
        w->descriptors = proc_number(child[0], "limits", "Max open files");
        w->data_bytes = proc_number(child[0], "limits", "Max data size");
        w->cpu_s = proc_number(child[0], "limits", "Max cpu time");
    }
    return NULL;
}

/* At work, a child is limited in system calls, privileges, descriptors, memory and CPU time. */
static void locked_in(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("sanitizers need system calls and memory of their own\n");
    skip();
#endif
    gi_decoder *d = create(1);
    const gi_image_limits limits = gi_image_limits_default();
    gi_buf png = noise_png(1700, 1700, 1);
    witness w = {.new_privileges = -1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
    for (int i = 0; i < 20 && !__atomic_load_n(&w.saw_filter, __ATOMIC_ACQUIRE); i++) {
        gi_patches p = {0};
        prepare(d, &png, &limits, &p, NULL);
        gi_patches_done(&p);
    }
    __atomic_store_n(&w.is_done, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_true(w.saw_filter);
    assert_int_equal(w.new_privileges, 1);
    assert_int_equal(w.descriptors, 0);
    assert_in_range(w.data_bytes, limits.decode_bytes_max, limits.decode_bytes_max + (32 << 20));
    assert_in_range(w.cpu_s, 1, 3);
    gi_buf_done(&png);
    gi_decoder_free(d);
}

enum { THREADS = 6, ROUNDS = 25 };

typedef struct user {
    gi_decoder *decoder;
    uint32_t seed;
    size_t n_wrong;
} user;

static void *use(void *arg) {
    user *u = arg;
    const gi_image_limits limits = gi_image_limits_default();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const uint32_t side = 28 + (u->seed * 31 + i * 17) % 200;
        gi_buf png = noise_png(side, 100, u->seed * 1000 + i);
        if (i % 5 == 4) png.len /= 2;
        gi_patches here = {0}, there = {0};
        const glint_status a = prepare(NULL, &png, &limits, &here, NULL);
        const glint_status b = prepare(u->decoder, &png, &limits, &there, NULL);
        if (a != b || (a == GLINT_OK && memcmp(here.rows, there.rows,
                                               (size_t)here.grid_w * here.grid_h * 588 * 4) != 0)) {
            u->n_wrong++;
        }
        gi_patches_done(&here);
        gi_patches_done(&there);
        gi_buf_done(&png);
    }
    return NULL;
}

/* More threads than slots; every one gets its own picture back. */
static void many_threads(void **state) {
    (void)state;
    gi_decoder *d = create(2);
    pthread_t threads[THREADS];
    user users[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        users[i] = (user){d, i + 1, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(users[i].n_wrong, 0);
    }
    gi_decoder_free(d);
}

static void memory_runs_out(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        gi_decoder *d = NULL;
        glint_error err = {0};
        gi_alloc_fail_at(n);
        const glint_status st = gi_decoder_create(1, FILE_BYTES_MAX, &d, &err);
        gi_alloc_fail_at(0);
        if (st == GLINT_OK) {
            gi_decoder_free(d);
            assert_true(n > 2);
            break;
        }
        assert_int_equal(st, GLINT_ERR_MEMORY);
    }
}

/* The signal mask and the ignored signals of the caller do not reach the processes. */
static void callers_signals(void **state) {
    (void)state;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    signal(SIGPROF, SIG_IGN);
    cpu_time(NULL);
    signal(SIGPROF, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_here),     cmocka_unit_test(bad_arguments),
        cmocka_unit_test(cpu_time),         cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(killed_processes), cmocka_unit_test(crashes),
        cmocka_unit_test(locked_in),        cmocka_unit_test(many_threads),
        cmocka_unit_test(memory_runs_out),  cmocka_unit_test(callers_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
