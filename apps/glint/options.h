/**
 * @file
 * Command-line options, declared once: a table row gives an option's name, type, range, default
 * and help, and parsing, environment variables, config file and --help all follow from it.
 *
 *     static const gi_option specs[] = {
 *         {.name = "threads", .letter = 't', .kind = GI_OPTION_INT, .target = &n, .value = "N",
 *          .min = 1, .max = 256, .fallback = NULL, .help = "worker threads"},
 *     };
 *
 * A value comes from the first of these that has it: the flag, the variable GLINT_NAME (dashes
 * become underscores: GLINT_MAX_TOKENS), the config file (a JSON object with the same names, in
 * small letters), the default.
 */
#ifndef APPS_GLINT_OPTIONS_H
#define APPS_GLINT_OPTIONS_H

#include "base/arena.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Most values of a list option, and most operands. */
#define GI_OPTION_VALUES_MAX 64

typedef enum gi_option_kind {
    GI_OPTION_HEADING, /**< no option: a line of help between groups of options */
    GI_OPTION_SWITCH,  /**< bool; `--x` or `--x=true|false` */
    GI_OPTION_INT,     /**< int64_t */
    GI_OPTION_NUMBER,  /**< double */
    GI_OPTION_TEXT,    /**< const char *; NULL until given */
    GI_OPTION_CHOICE,  /**< const char *, one of `choices` */
    GI_OPTION_LIST,    /**< gi_option_list; each use adds a value, a variable holds a,b,c */
} gi_option_kind;

/** Values of a list option. */
typedef struct gi_option_list {
    const char *values[GI_OPTION_VALUES_MAX];
    size_t n;
} gi_option_list;

typedef struct gi_option {
    const char *name; /**< "max-tokens"; of a heading: its text */
    char letter;      /**< 't' for -t; 0 = none */
    gi_option_kind kind;
    void *target;         /**< what the kind says */
    const char *value;    /**< name of the value in help: "N", "DIR", "MS" */
    const char *fallback; /**< the default, read like a given value; NULL = target stays as it is */
    const char *unset;    /**< what holds without a value or fallback, for help: "the task's" */
    const char *choices;  /**< "auto|f32|int8" */
    double min, max;      /**< range of INT and NUMBER, both ends allowed */
    bool flag_only;       /**< not read from variables or the config file */
    const char *help;     /**< what it does, with the unit; may be several lines */
} gi_option;

/** A command's options. The caller sets the first block; gi_options_parse the second. */
typedef struct gi_options {
    const char *command;    /**< "ask"; names the program in messages: "glint ask" */
    const char *usage;      /**< "glint ask [OPTION]... PICTURE... [QUESTION]" */
    const char *about;      /**< what the command does, before the options; ends in a newline */
    const char *footer;     /**< examples and exit codes, after the options; or NULL */
    const gi_option *specs; /**< [n_specs]; -h, --help and, if has_config, --config are added */
    size_t n_specs;
    bool has_config;     /**< --config FILE and GLINT_CONFIG */
    size_t operands_max; /**< more is an error */

    const char *operands[GI_OPTION_VALUES_MAX]; /**< what is not an option, in order */
    size_t n_operands;
    const char **sources; /**< [n_specs] see gi_options_source */
    bool help_wanted;     /**< -h or --help was there: the caller prints help and exits with 0 */
    gi_arena arena;       /**< strings from variables and the config file */
} gi_options;

/**
 * Read flags, variables and config file into the targets.
 *
 * @param argv [argc] without program and command name; strings must outlive the options.
 * @return GLINT_ERR_ARG: unknown option (with the nearest name), missing or unreadable value, out
 *         of range; the message names where the value came from. GLINT_ERR_IO, _FORMAT (config
 *         file), GLINT_ERR_MEMORY.
 */
glint_status gi_options_parse(gi_options *o, int argc, char **argv, glint_error *err);

/** Print usage, about, options with range and default, and footer. */
void gi_options_print_help(const gi_options *o, FILE *to);

/**
 * Where an option's value came from, as messages about it begin: "--listen", "GLINT_LISTEN" or
 * "serve.json:3: listen"; NULL when it is the default.
 */
const char *gi_options_source(const gi_options *o, const char *name);

/** Whether two targets of one row of a table, parsed apart, hold the same value. */
bool gi_option_equal(const gi_option *a, const gi_option *b);

/** Free strings; targets must not be used any more. */
void gi_options_done(gi_options *o);

/**
 * The word of `words` [n] nearest to `word`, or NULL when none is near: at most two letters
 * added, dropped, changed or swapped, or `word` is the beginning of one.
 */
const char *gi_options_nearest(const char *word, const char *const *words, size_t n);

#endif
