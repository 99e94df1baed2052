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

enum { LONG_NAME = 70 };

static const gi_option ROWS[] = {
    {.name = "words-max",
     .letter = 'w',
     .kind = GI_OPTION_INT,
     .offset = offsetof(values, n_words),
     .value = "N",
     .fallback = "7",
     .min = 1,
     .max = 9,
     .help = "words"},
    {.name = "name",
     .kind = GI_OPTION_TEXT,
     .offset = offsetof(values, name),
     .value = "TEXT",
     .flag_only = true,
     .help = "x"},
};

static const gi_option MORE_ROWS[] = {
    {.name = "More:", .kind = GI_OPTION_HEADING},
    {.name = "loud", .kind = GI_OPTION_SWITCH, .offset = offsetof(values, is_loud), .help = "x"},
    {.name = "host",
     .kind = GI_OPTION_LIST,
     .offset = offsetof(values, hosts),
     .value = "X",
     .help = "x"},
};

/* With an empty group in between, which says nothing. */
static gi_options describe(values *v) {
    return (gi_options){.command = "test",
                        .usage = "glint test",
                        .about = "Tests.\n",
                        .groups = {GI_OPTION_GROUP(ROWS, v), {0}, GI_OPTION_GROUP(MORE_ROWS, v)},
                        .has_config = true};
}

/* Parse, and free what the parser holds: of the values only numbers may be looked at. */
static glint_status parse(int argc, char **argv, values *ret, glint_error *err) {
    *ret = (values){0};
    gi_options o = describe(ret);
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

/* ---- tables ---- */

static void rows_of_all_groups_follow_each_other(void **state) {
    static const char *const names[] = {"words-max", "name", "More:", "loud", "host"};
    values v = {0};
    gi_options o = describe(&v);
    for (size_t i = 0; i < 5; i++) assert_string_equal(gi_options_at(&o, i)->name, names[i]);
    assert_null(gi_options_at(&o, 5));
    size_t n;
    assert_string_equal(gi_options_common(&o, &n)[0].name, "help");
    assert_int_equal(n, 2);
    o.has_config = false;
    gi_options_common(&o, &n);
    assert_int_equal(n, 1);
}

static void each_group_has_its_own_struct(void **state) {
    values a = {0}, b = {0};
    gi_options o = {.command = "test",
                    .groups = {GI_OPTION_GROUP(ROWS, &a), GI_OPTION_GROUP(MORE_ROWS, &b)}};
    char words[] = "--words-max=3", loud[] = "--loud";
    char *argv[] = {words, loud};
    assert_int_equal(gi_options_parse(&o, 2, argv, NULL), GLINT_OK);
    assert_int_equal(a.n_words, 3);
    assert_false(a.is_loud);
    assert_int_equal(b.n_words, 0);
    assert_true(b.is_loud);
    gi_options_done(&o);
}

static void help_shows_all_and_wins(void **state) {
    char help[] = "--help", bad[] = "--words-max=0", text[2048];
    char *argv[] = {bad, help};
    values v = {0};
    gi_options o = describe(&v);
    assert_int_equal(gi_options_parse(&o, 2, argv, NULL), GLINT_OK);
    assert_true(o.help_wanted);
    FILE *f = fmemopen(text, sizeof text, "w");
    gi_options_print_help(&o, f);
    fclose(f);
    assert_string_equal(
        text, "Usage: glint test\n\nTests.\n\nOptions:\n"
              "  -w, --words-max N         words (1 to 9; default 7)\n"
              "      --name TEXT           x\n"
              "\nMore:\n"
              "      --loud                x\n"
              "      --host X              x (may be repeated)\n"
              "\nOther:\n"
              "  -h, --help                show this text\n"
              "      --config FILE         JSON object with any of these settings by name\n"
              "\nAn option can also be set by a variable: --words-max by "
              "GLINT_WORDS_MAX.\n");
    gi_options_done(&o);
}

/* ---- values ---- */

/* What only a flag may say: neither a variable nor the file, nor --config in the file. */
static void flag_only_is_flag_only(void **state) {
    static const char *const keys[] = {"name", "config", "help", "More:"};
    char flag[] = "--name=x", config[64];
    char *argv[] = {flag}, *config_argv[] = {config};
    values v;
    setenv("GLINT_NAME", "from the environment", 1);
    assert_int_equal(parse(0, NULL, &v, NULL), GLINT_OK);
    assert_null(v.name);
    assert_int_equal(parse(1, argv, &v, NULL), GLINT_OK);
    assert_string_equal(v.name, "x");
    unsetenv("GLINT_NAME");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char path[32], text[64];
        snprintf(text, sizeof text, "{\"%s\": \"x\"}", keys[i]);
        write_config(path, text);
        snprintf(config, sizeof config, "--config=%s", path);
        glint_error err = {0};
        assert_int_equal(parse(1, config_argv, &v, &err), GLINT_ERR_ARG);
        assert_non_null(strstr(err.message, "unknown setting"));
        unlink(path);
    }
}

static void sources_and_changes_are_known(void **state) {
    char path[32], config[64], expected[64], words[] = "--words-max=3", host[] = "--host=b";
    char *a_argv[] = {config, words}, *b_argv[] = {config, words, host};
    values a = {0}, b = {0};
    gi_options x = describe(&a), y = describe(&b);
    write_config(path, "{\"loud\": true,\n \"host\": [\"a\"]}");
    snprintf(config, sizeof config, "--config=%s", path);
    snprintf(expected, sizeof expected, "%s:2: host", path);
    assert_int_equal(gi_options_parse(&x, 2, a_argv, NULL), GLINT_OK);
    setenv("GLINT_LOUD", "1", 1);
    assert_int_equal(gi_options_parse(&y, 3, b_argv, NULL), GLINT_OK);
    unsetenv("GLINT_LOUD");
    assert_string_equal(gi_options_source(&x, "words-max"), "--words-max");
    assert_string_equal(gi_options_source(&x, "host"), expected);
    assert_string_equal(gi_options_source(&y, "host"), "--host");
    assert_string_equal(gi_options_source(&y, "loud"), "GLINT_LOUD");
    assert_null(gi_options_source(&x, "name"));
    for (size_t i = 0; i < 4; i++) assert_true(gi_options_equal(&x, &y, i));
    assert_false(gi_options_equal(&x, &y, 4)); /* the hosts */
    assert_ptr_equal(gi_options_value(&x, 0), &a.n_words);
    assert_ptr_equal(gi_options_value(&x, 4), &a.hosts);
    assert_null(gi_options_value(&x, 5));
    b.n_words = 4;
    b.is_loud = false;
    assert_false(gi_options_equal(&x, &y, 0));
    assert_false(gi_options_equal(&x, &y, 3));
    b.name = "x";
    assert_false(gi_options_equal(&x, &y, 1));
    gi_options_done(&x);
    gi_options_done(&y);
    unlink(path);
}

static void the_config_file_may_come_from_a_variable(void **state) {
    char path[32], other[32], flag[64];
    char *argv[] = {flag};
    values v;
    write_config(path, "{\"words_max\": 2}");
    write_config(other, "{\"words_max\": 3}");
    setenv("GLINT_CONFIG", path, 1);
    assert_int_equal(parse(0, NULL, &v, NULL), GLINT_OK);
    assert_int_equal(v.n_words, 2);
    snprintf(flag, sizeof flag, "--config=%s", other);
    assert_int_equal(parse(1, argv, &v, NULL), GLINT_OK);
    assert_int_equal(v.n_words, 3);
    unsetenv("GLINT_CONFIG");
    unlink(path);
    unlink(other);
}

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

/* ---- messages about values ---- */

static void expect_blame(const gi_options *o, const char *message, const char *expected) {
    glint_error err = {.code = GLINT_ERR_IO};
    snprintf(err.message, sizeof err.message, "%s", message);
    gi_options_blame_value(o, &err);
    assert_string_equal(err.message, expected);
    assert_int_equal(err.code, GLINT_ERR_IO);
}

static void a_refused_value_is_told_with_its_source(void **state) {
    char path[32], config[64], expected[96], name[] = "--name=b", *argv[] = {config, name};
    values v = {0};
    gi_options o = describe(&v);
    write_config(path, "{\"loud\": true,\n \"host\": [\"a\", \"c\"]}");
    snprintf(config, sizeof config, "--config=%s", path);
    assert_int_equal(gi_options_parse(&o, 2, argv, NULL), GLINT_OK);
    expect_blame(&o, "b: no such thing", "--name: b: no such thing");
    expect_blame(&o, "\"b\" is nothing", "--name: \"b\" is nothing");
    snprintf(expected, sizeof expected, "%s:2: host: c: is it", path);
    expect_blame(&o, "c: is it", expected);
    expect_blame(&o, "bc: another", "bc: another");
    expect_blame(&o, "b:3: has a place", "b:3: has a place");
    expect_blame(&o, "", "");
    expect_blame(&o, "\"", "\"");
    v.name = "c"; /* now it could be either */
    expect_blame(&o, "c: no such thing", "c: no such thing");
    v.name = "";
    expect_blame(&o, "\"\" is nothing", "--name: \"\" is nothing");
    expect_blame(&o, ": nothing", ": nothing");
    glint_error err = {.code = GLINT_ERR_ARG, .message = "no"};
    gi_options_blame(&o, "words-max", GLINT_ERR_ARG, &err);
    assert_string_equal(err.message, "--words-max: no");
    gi_options_blame(&o, "words-max", GLINT_OK, &err);
    assert_string_equal(err.message, "--words-max: no");
    gi_options_done(&o);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_unknown_flag_is_refused),
        cmocka_unit_test(a_long_unknown_setting_is_refused),
        cmocka_unit_test(a_near_name_is_suggested),
        cmocka_unit_test(rows_of_all_groups_follow_each_other),
        cmocka_unit_test(each_group_has_its_own_struct),
        cmocka_unit_test(help_shows_all_and_wins),
        cmocka_unit_test(flag_only_is_flag_only),
        cmocka_unit_test(sources_and_changes_are_known),
        cmocka_unit_test(the_config_file_may_come_from_a_variable),
        cmocka_unit_test(the_nearest_source_wins),
        cmocka_unit_test(a_refused_value_is_told_with_its_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
