/*
 * The table of options: where values come from and which wins, and what is said of names that no
 * option has, however long they are.
 */
#include "../cm.h"

#include "../../../apps/glint/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct values {
    int64_t n_words;
    const char *name;
    bool is_loud;
    gi_option_list hosts;
} values;

enum { N_SPECS = 4, LONG_NAME = 70 };

static void describe(values *v, gi_option specs[N_SPECS], gi_options *ret) {
    const gi_option rows[N_SPECS] = {
        {.name = "words-max",
         .letter = 'w',
         .kind = GI_OPTION_INT,
         .target = &v->n_words,
         .value = "N",
         .fallback = "7",
         .min = 1,
         .max = 9,
         .help = "words"},
        {.name = "name", .kind = GI_OPTION_TEXT, .target = &v->name, .value = "TEXT", .help = "x"},
        {.name = "loud", .kind = GI_OPTION_SWITCH, .target = &v->is_loud, .help = "x"},
        {.name = "host", .kind = GI_OPTION_LIST, .target = &v->hosts, .value = "X", .help = "x"},
    };
    memcpy(specs, rows, sizeof rows);
    *ret = (gi_options){.command = "test", .specs = specs, .n_specs = N_SPECS, .has_config = true};
}

/* Parse, and free what the parser holds: of the values only numbers may be looked at. */
static glint_status parse(int argc, char **argv, values *ret, glint_error *err) {
    gi_option specs[N_SPECS];
    gi_options o;
    *ret = (values){0};
    describe(ret, specs, &o);
    const glint_status st = gi_options_parse(&o, argc, argv, err);
    gi_options_done(&o);
    return st;
}

static void write_config(char path[32], const char *text) {
    snprintf(path, 32, "/tmp/glint-options-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* ---- names that no option has ---- */

/* At a word buffer's end, and beyond it: no byte past the name may be read. */
static void a_long_unknown_flag_is_refused(void **state) {
    for (size_t len = 30; len <= LONG_NAME; len++) {
        char *flag = malloc(len + 3); /* of its exact size, for the address sanitizer */
        char expected[160];
        glint_error err = {0};
        values v;
        snprintf(flag, len + 3, "--%.*s", (int)len,
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        assert_int_equal(parse(1, &flag, &v, &err), GLINT_ERR_ARG);
        snprintf(expected, sizeof expected, "unknown option --%.60s; see glint test --help",
                 flag + 2);
        assert_string_equal(err.message, expected);
        free(flag);
    }
}

static void a_long_unknown_setting_is_refused(void **state) {
    for (size_t len = 30; len <= LONG_NAME; len++) {
        char path[32], text[128], config[64];
        char key[LONG_NAME + 1] = "";
        glint_error err = {0};
        values v;
        memset(key, 'y', len);
        snprintf(text, sizeof text, "{\"%s\": 1}", key);
        write_config(path, text);
        snprintf(config, sizeof config, "--config=%s", path);
        char *argv[] = {config};
        assert_int_equal(parse(1, argv, &v, &err), GLINT_ERR_ARG);
        assert_non_null(strstr(err.message, "unknown setting \"yyy"));
        assert_null(strstr(err.message, "did you mean"));
        unlink(path);
    }
}

static void a_near_name_is_suggested(void **state) {
    char flag[] = "--word-max", prefix[] = "--wor=3", config[64], path[32];
    char *argv[] = {flag}, *prefix_argv[] = {prefix}, *config_argv[] = {config};
    glint_error err = {0};
    values v;
    assert_int_equal(parse(1, argv, &v, &err), GLINT_ERR_ARG);
    assert_string_equal(err.message, "unknown option --word-max; did you mean --words-max?");
    assert_int_equal(parse(1, prefix_argv, &v, &err), GLINT_ERR_ARG);
    assert_string_equal(err.message, "unknown option --wor; did you mean --words-max?");
    write_config(path, "{\"word_max\": 1}");
    snprintf(config, sizeof config, "--config=%s", path);
    assert_int_equal(parse(1, config_argv, &v, &err), GLINT_ERR_ARG);
    assert_non_null(strstr(err.message, "did you mean \"words_max\"?"));
    unlink(path);
}

/* ---- values ---- */

static void the_nearest_source_wins(void **state) {
    char path[32], config[64], flag[] = "-w5";
    char *config_argv[] = {config, flag};
    values v;
    assert_int_equal(parse(0, NULL, &v, NULL), GLINT_OK);
    assert_int_equal(v.n_words, 7);
    write_config(path, "{\"words_max\": 2, \"loud\": true, \"host\": [\"a\", \"b\"]}");
    snprintf(config, sizeof config, "--config=%s", path);
    assert_int_equal(parse(1, config_argv, &v, NULL), GLINT_OK);
    assert_int_equal(v.n_words, 2);
    assert_true(v.is_loud);
    assert_int_equal(v.hosts.n, 2);
    setenv("GLINT_WORDS_MAX", "4", 1);
    setenv("GLINT_HOST", "c,,d,e", 1);
    assert_int_equal(parse(1, config_argv, &v, NULL), GLINT_OK);
    assert_int_equal(v.n_words, 4);
    assert_int_equal(v.hosts.n, 3);
    assert_int_equal(parse(2, config_argv, &v, NULL), GLINT_OK);
    assert_int_equal(v.n_words, 5);
    unsetenv("GLINT_WORDS_MAX");
    unsetenv("GLINT_HOST");
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_unknown_flag_is_refused),
        cmocka_unit_test(a_long_unknown_setting_is_refused),
        cmocka_unit_test(a_near_name_is_suggested),
        cmocka_unit_test(the_nearest_source_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
