/*
 * Outside suites of JSON schemas: jsonschema-suite (what each keyword means), jsonschemabench
 * (schemas found in the wild) and maskbench (such schemas with values that fit and that do not).
 *
 * A value that the schema forbids must be refused by the checker and by the grammar. One that it
 * allows must pass the checker; the grammar writes one layout only, so it need not take it, but
 * how many it takes is printed. A schema is compiled, or refused with a message, within a second.
 * maskbench's values are also written token by token, timing the masks; GLINT_TOKENIZER names
 * another tokenizer.json than the default model's. GLINT_VERBOSE=1 prints what was refused and
 * which allowed values the grammar does not write.
 *
 * There are no known differences. Two files are not read: they hold integers beyond 64 bits, which
 * glint's JSON reader refuses.
 */
#include "../../unit/cm.h"

#include "../../unit/grammar/walk.h"
#include "mask_times.h"

#include "base/clock.h"
#include "base/filemap.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_SKIPPED = 77, PATH_MAX_BYTES = 1024, FILE_MAX = 1 << 20, FILES_MAX = 512 };

static const double COMPILE_MS_MAX = 1000.0;

typedef struct tally {
    unsigned n_schemas, n_compiled, n_unsupported, n_other;
    unsigned n_valid, n_valid_checked, n_valid_walked;
    unsigned n_invalid, n_invalid_checked, n_invalid_walked;
    unsigned n_wrong;
    double worst_ms, all_ms;
    mask_times *times; /* NULL: masks are not timed */
} tally;

static gi_schema *compile(const json_t *schema, const char *name, tally *t) {
    gi_schema *s = NULL;
    glint_error err = {0};
    char *text = json_dumps(schema, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_non_null(text);
    const double start_ms = gi_clock_ms();
    const glint_status st = gi_schema_compile(text, strlen(text), NULL, &s, &err);
    const double ms = gi_clock_ms() - start_ms;
    t->n_schemas++;
    t->all_ms += ms;
    if (ms > t->worst_ms) t->worst_ms = ms;
    if (ms > COMPILE_MS_MAX) fail_msg("%s: %.0f ms", name, ms);
    if (st == GLINT_OK)
        t->n_compiled++;
    else if (st == GLINT_ERR_UNSUPPORTED)
        t->n_unsupported++;
    else
        t->n_other++;
    if (st != GLINT_OK && !err.message[0]) fail_msg("%s: no message", name);
    if (st != GLINT_OK && getenv("GLINT_VERBOSE"))
        print_message("  %s: %s: %s\n", name, glint_status_name(st), err.message);
    free(text);
    return s;
}

static void try_value(const gi_schema *s, const json_t *schema, const json_t *value, bool valid,
                      const char *suite, const char *name, const char *what, tally *t) {
    size_t n = 0, n_taken = 0;
    glint_error err = {0};
    char *text = walk_text(schema, value, &n);
    const glint_status st = gi_schema_check(s, value, &err);
    const bool walked = walk_accepts(s, text, n, &n_taken);
    bool wrong;
    if (valid) {
        t->n_valid++;
        t->n_valid_checked += st == GLINT_OK;
        t->n_valid_walked += walked;
        wrong = st != GLINT_OK;
        if (walked && t->times) mask_times_add(t->times, s, text, n);
    } else {
        t->n_invalid++;
        t->n_invalid_checked += st != GLINT_OK;
        t->n_invalid_walked += !walked;
        wrong = st == GLINT_OK || walked;
    }
    if (wrong) {
        t->n_wrong++;
        print_error("%s: %s: %s: should be %s: checker %s %s, grammar %s: %.200s\n", suite, name,
                    what, valid ? "valid" : "invalid", glint_status_name(st), err.message,
                    walked ? "takes it" : "refuses it", text);
    } else if (valid && !walked && getenv("GLINT_VERBOSE")) {
        print_message("  not written: %s: %.*s<here>%.60s\n", name, (int)n_taken, text,
                      text + n_taken);
    }
    free(text);
}

static void print_tally(const char *suite, const tally *t) {
    print_message("%s: %u schemas: %u compiled, %u unsupported, %u otherwise refused; compile "
                  "mean %.2f ms, worst %.1f ms\n",
                  suite, t->n_schemas, t->n_compiled, t->n_unsupported, t->n_other,
                  t->all_ms / t->n_schemas, t->worst_ms);
    if (t->n_valid + t->n_invalid == 0) return;
    print_message("%s: %u valid: checker takes %u, grammar %u; %u invalid: checker refuses %u, "
                  "grammar %u\n",
                  suite, t->n_valid, t->n_valid_checked, t->n_valid_walked, t->n_invalid,
                  t->n_invalid_checked, t->n_invalid_walked);
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The *.json files of a folder and its folders, in order. */
static size_t list_files(const char *dir, char **paths, size_t n) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        char path[PATH_MAX_BYTES];
        const size_t len = strlen(e->d_name);
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_type == DT_DIR) {
            n = list_files(path, paths, n);
        } else if (len > 5 && strcmp(e->d_name + len - 5, ".json") == 0) {
            assert_in_range(n, 0, FILES_MAX - 1);
            paths[n] = strdup(path);
            assert_non_null(paths[n++]);
        }
    }
    closedir(d);
    return n;
}

typedef void (*file_fn)(const json_t *json, const char *suite, const char *name, tally *t);

static void run(const char *suite, file_fn fn, mask_times *times) {
    char *paths[FILES_MAX], dir[PATH_MAX_BYTES];
    tally t = {.times = times};
    snprintf(dir, sizeof dir, "%s/%s", getenv("GLINT_SUITES"), suite);
    const size_t n = list_files(dir, paths, 0);
    qsort(paths, n, sizeof *paths, compare_paths);
    for (size_t i = 0; i < n; i++) {
        json_t *json = NULL;
        glint_error err = {0};
        gi_buf file;
        gi_buf_init(&file, FILE_MAX);
        assert_int_equal(gi_file_read(paths[i], &file, &err), GLINT_OK);
        if (gi_json_parse_any(file.data, file.len, paths[i], &json, &err) == GLINT_OK)
            fn(json, suite, paths[i] + strlen(dir) + 1, &t);
        else
            print_message("%s: not read: %s\n", suite, err.message);
        gi_buf_done(&file);
        json_decref(json);
        free(paths[i]);
    }
    print_tally(suite, &t);
    assert_true(t.n_compiled > 0);
    assert_int_equal(t.n_wrong, 0);
}

/* [{description, schema, tests: [{description, data, valid}]}] */
static void keyword_file(const json_t *json, const char *suite, const char *name, tally *t) {
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *group = json_array_get(json, i), *schema = json_object_get(group, "schema");
        const json_t *tests = json_object_get(group, "tests");
        char what[PATH_MAX_BYTES];
        snprintf(what, sizeof what, "%s: %s", name,
                 json_string_value(json_object_get(group, "description")));
        gi_schema *s = compile(schema, what, t);
        for (size_t k = 0; s && k < json_array_size(tests); k++) {
            const json_t *row = json_array_get(tests, k);
            try_value(s, schema, json_object_get(row, "data"),
                      json_is_true(json_object_get(row, "valid")), suite, what,
                      json_string_value(json_object_get(row, "description")), t);
        }
        gi_schema_free(s);
    }
}

static void mask_file(const json_t *json, const char *suite, const char *name, tally *t) {
    const json_t *schema = json_object_get(json, "schema"), *tests = json_object_get(json, "tests");
    gi_schema *s = compile(schema, name, t);
    for (size_t k = 0; s && k < json_array_size(tests); k++) {
        const json_t *row = json_array_get(tests, k);
        try_value(s, schema, json_object_get(row, "data"),
                  json_is_true(json_object_get(row, "valid")), suite, name,
                  json_string_value(json_object_get(row, "description")), t);
    }
    gi_schema_free(s);
}

static void bench_file(const json_t *json, const char *suite, const char *name, tally *t) {
    gi_schema_free(compile(json, name, t));
}

static void jsonschema_suite(void **state) {
    (void)state;
    run("jsonschema-suite", keyword_file, NULL);
}

static void jsonschemabench(void **state) {
    (void)state;
    run("jsonschemabench", bench_file, NULL);
}

static void maskbench(void **state) {
    (void)state;
    mask_times *times = mask_times_open();
    run("maskbench", mask_file, times);
    mask_times_close(times);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsonschema_suite),
        cmocka_unit_test(jsonschemabench),
        cmocka_unit_test(maskbench),
    };
    const char *suites = getenv("GLINT_SUITES");
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "%s/maskbench", suites ? suites : "");
    DIR *d = suites ? opendir(path) : NULL;
    if (!d) {
        print_message("SKIPPED: no outside suites at %s\n", path);
        return EXIT_SKIPPED;
    }
    closedir(d);
    return cmocka_run_group_tests_name("schema_suites", tests, NULL, NULL);
}
