/*
 * The common frame of every sub-command: options in, one line and an exit code out.
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int gi_command_fail(const char *command, int code, const glint_error *err) {
    fprintf(stderr, "glint %s: %s\n", command, err->message);
    if (err->code == GLINT_ERR_MEMORY) return GI_EXIT_MEMORY;
    return err->code == GLINT_ERR_INTERNAL ? GI_EXIT_INTERNAL : code;
}

/* ---- finding a command ---- */

static void print_set(const gi_command_set *set, FILE *to) {
    fputs(set->before, to);
    for (size_t i = 0; i < set->n; i++)
        fprintf(to, "  %-10s%s\n", set->commands[i].name, set->commands[i].summary);
    fputs(set->after, to);
}

int gi_command_dispatch(const gi_command_set *set, int argc, char **argv) {
    if (argc < 1) {
        print_set(set, stderr);
        return GI_EXIT_USAGE;
    }
    const char *word = argv[0];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_set(set, stdout);
        return gi_command_end_output(GI_EXIT_OK);
    }
    const char *names[GI_COMMAND_SET_MAX];
    gi_assert(set->n <= GI_COMMAND_SET_MAX);
    for (size_t i = 0; i < set->n; i++) {
        names[i] = set->commands[i].name;
        if (strcmp(word, names[i]) == 0) return set->commands[i].run(argc - 1, argv + 1);
    }
    glint_error err;
    const char *near = gi_options_nearest(word, names, set->n);
    if (near)
        gi_fail(&err, GLINT_ERR_ARG, "unknown %s \"%.60s\"; did you mean \"%s\"?", set->noun, word,
                near);
    else
        gi_fail(&err, GLINT_ERR_ARG, "unknown %s \"%.60s\"; see %s --help", set->noun, word,
                set->program);
    fprintf(stderr, "%s: %s\n", set->program, err.message);
    return GI_EXIT_USAGE;
}

/* ---- its beginning and end ---- */

/* A write that failed earlier is only in ferror: the next fflush may well find room. */
int gi_command_end_output(int code) {
    const bool is_lost = fflush(stdout) != 0 || ferror(stdout) != 0;
    return is_lost && code == GI_EXIT_OK ? GI_EXIT_INTERNAL : code;
}

int gi_command_print_json(json_t *report, size_t indent) {
    const bool is_made = report && json_dumpf(report, stdout, JSON_INDENT(indent)) == 0;
    json_decref(report);
    if (is_made) putchar('\n');
    return is_made ? GI_EXIT_OK : GI_EXIT_INTERNAL;
}

bool gi_command_begin(gi_options *o, int argc, char **argv, int *ret_exit) {
    glint_error err = {0};
    if (gi_options_parse(o, argc, argv, &err) != GLINT_OK) {
        *ret_exit = gi_command_fail(o->command, GI_EXIT_USAGE, &err);
        gi_options_done(o);
        return false;
    }
    if (!o->help_wanted) return true;
    gi_options_print_help(o, stdout);
    *ret_exit = gi_command_end_output(GI_EXIT_OK);
    gi_options_done(o);
    return false;
}

/* ---- the default model ---- */

/* The directory of the running program, without a slash at its end. */
static bool program_dir(char out[GI_PATH_BYTES]) {
    const ssize_t n = readlink("/proc/self/exe", out, GI_PATH_BYTES - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    *slash = '\0';
    return true;
}

static bool has_config(const char *dir) {
    char path[GI_PATH_BYTES];
    return gi_path_join(path, sizeof path, dir, "config.json", NULL) == GLINT_OK &&
           gi_file_exists(path);
}

glint_status gi_command_model_dir(const char *given, char out[GI_PATH_BYTES], glint_error *err) {
    if (given) {
        const size_t n = strlen(given);
        if (n >= GI_PATH_BYTES)
            return gi_fail(err, GLINT_ERR_ARG, "the model's path is longer than %d bytes",
                           GI_PATH_BYTES - 1);
        memcpy(out, given, n + 1);
        return GLINT_OK;
    }
    static const char *const beside[] = {"../models/default", "../share/glint/models/default"};
    char program[GI_PATH_BYTES], path[GI_PATH_BYTES];
    if (program_dir(program))
        for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
            if (gi_path_join(path, sizeof path, program, beside[i], NULL) == GLINT_OK &&
                has_config(path) && realpath(path, out))
                return GLINT_OK;
    if (has_config("models/default")) {
        memcpy(out, "models/default", sizeof "models/default");
        return GLINT_OK;
    }
    return gi_fail(err, GLINT_ERR_IO,
                   "no model beside the program or in models/default; name one with --model DIR or "
                   "GLINT_MODEL");
}
