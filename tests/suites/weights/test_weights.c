/*
 * Outside suites malformed-safetensors and malformed-gguf: each file is opened as weights. What
 * index.json wants accepted is accepted, what it wants rejected is refused with a message, and
 * each file takes less than a second and 64 MB.
 */
#include "../../unit/cm.h"

#include "base/filemap.h"
#include "base/json.h"
#include "model/safetensors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { EXIT_SKIPPED = 77, PATH_MAX_BYTES = 1024 };

static const double CPU_MS_MAX = 1000.0;
static const long GROWTH_KIB_MAX = 64 * 1000 * 1000 / 1024;

static double cpu_ms(void) {
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static long peak_kib(void) {
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_maxrss;
}

static void suite_path(char out[PATH_MAX_BYTES], const char *suite, const char *file) {
    const int n = snprintf(out, PATH_MAX_BYTES, "%s/%s/%s", getenv("GLINT_SUITES"), suite, file);
    assert_in_range(n, 1, PATH_MAX_BYTES - 1);
}

/* Open within the budget; what is refused has a message of one line that names the file. */
static glint_status open_in_budget(const char *path, glint_error *err) {
    gi_safetensors st = {0};
    const double start_ms = cpu_ms();
    const long start_kib = peak_kib();
    *err = (glint_error){0};
    const glint_status status = gi_safetensors_open(path, &st, err);
    gi_safetensors_close(&st);
    if (cpu_ms() - start_ms > CPU_MS_MAX || peak_kib() - start_kib > GROWTH_KIB_MAX)
        fail_msg("%s: %.0f ms, %ld KiB", path, cpu_ms() - start_ms, peak_kib() - start_kib);
    if (status != GLINT_OK && (!strstr(err->message, path) || strchr(err->message, '\n')))
        fail_msg("%s: message '%s'", path, err->message);
    return status;
}

static void malformed_safetensors(void **state) {
    (void)state;
    char path[PATH_MAX_BYTES];
    json_t *index = NULL;
    glint_error err;
    suite_path(path, "malformed-safetensors", "index.json");
    assert_int_equal(gi_json_load(path, 1 << 20, &index, &err), GLINT_OK);
    size_t n_accepted = 0, n_refused = 0, n_either = 0, n_wrong = 0;
    for (size_t i = 0; i < json_array_size(index); i++) {
        const json_t *row = json_array_get(index, i);
        const char *file = json_string_value(json_object_get(row, "file"));
        const char *expect = json_string_value(json_object_get(row, "expect"));
        assert_non_null(file);
        assert_non_null(expect);
        suite_path(path, "malformed-safetensors", file);
        assert_true(gi_file_exists(path));
        const glint_status status = open_in_budget(path, &err);
        const bool wants_accept = strcmp(expect, "accept") == 0;
        const bool either = strncmp(expect, "reject or ignore", 16) == 0;
        assert_true(wants_accept || strncmp(expect, "reject", 6) == 0);
        n_either += either;
        n_accepted += !either && status == GLINT_OK;
        n_refused += !either && status != GLINT_OK;
        if (!either && wants_accept != (status == GLINT_OK)) {
            print_error("%s: expected %s, found %s %s\n", file, expect, glint_status_name(status),
                        err.message);
            n_wrong++;
        }
    }
    json_decref(index);
    print_message(
        "malformed-safetensors: %zu accepted, %zu refused, %zu free to choose, %zu wrong\n",
        n_accepted, n_refused, n_either, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_accepted >= 6 && n_refused >= 13); /* the suite is all there */
}

/* None of them is safetensors, the good one included. */
static void malformed_gguf(void **state) {
    (void)state;
    char path[PATH_MAX_BYTES];
    suite_path(path, "malformed-gguf", ".");
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t n = 0;
    for (const struct dirent *e; (e = readdir(dir));) {
        glint_error err;
        if (e->d_name[0] == '.') continue;
        suite_path(path, "malformed-gguf", e->d_name);
        assert_int_not_equal(open_in_budget(path, &err), GLINT_OK);
        n++;
    }
    closedir(dir);
    print_message("malformed-gguf: %zu refused\n", n);
    assert_in_range(n, 13, 1000);
}

int main(void) {
    char path[PATH_MAX_BYTES];
    const char *suites = getenv("GLINT_SUITES");
    const int n =
        snprintf(path, sizeof path, "%s/malformed-safetensors/index.json", suites ? suites : "");
    if (n < 0 || (size_t)n >= sizeof path || !gi_file_exists(path)) {
        puts("skipped: no folder $GLINT_SUITES/malformed-safetensors");
        return EXIT_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_safetensors),
        cmocka_unit_test(malformed_gguf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
