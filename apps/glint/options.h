/**
 * @file
 * Command-line options, declared once: a table row gives an option's name, type, range, default
 * and help, and parsing, environment variables, config file and --help all follow from it. Values
 * go into the members of a struct, which a command names beside the table:
 *
 *     static const gi_option ROWS[] = {
 *         {.name = "threads", .letter = 't', .kind = GI_OPTION_INT,
 *          .offset = offsetof(args, n_threads), .value = "N", .min = 1, .max = 256,
 *          .help = "worker threads"},
 *     };
 *     gi_options o = {.groups = {GI_OPTION_GROUP(ROWS, &args)}};
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

/** Room for a name of an option in any of its spellings, and the final zero. */
#define GI_OPTION_NAME_BYTES 64

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

/** A row; without names its members stand in this order. */
typedef struct gi_option {
    const char *name; /**< "max-tokens"; of a heading: its text */
    char letter;      /**< 't' for -t; 0 = none */
    gi_option_kind kind;
    size_t offset;        /**< of the member that takes the value; its type is what the kind says */
    const char *value;    /**< name of the value in help: "N", "DIR", "MS" */
    const char *fallback; /**< the default, read like a given value; NULL = the member stays */
    const char *choices;  /**< "auto|f32|int8" */
    double min, max;      /**< range of INT and NUMBER, both ends allowed */
    const char *help;     /**< what it does, with the unit; may be several lines */
    const char *unset;    /**< what holds without a value or fallback, for help: "the task's" */
    bool flag_only;       /**< not read from variables or the config file */
} gi_option;

/** A table and the struct that takes its values. */
typedef struct gi_option_group {
    const gi_option *rows; /**< [n] */
    size_t n;
    void *base;
} gi_option_group;

/** Initialises the group of a table that is an array; its offsets are of what `values` points to.
 */
#define GI_OPTION_GROUP(table, values)                                                             \
    { .rows = (table), .n = sizeof(table) / sizeof((table)[0]), .base = (values) }

/** Most groups of a command. */
#define GI_OPTION_GROUPS_MAX 6

/** A command's options. The caller sets the first block; gi_options_parse the second. */
typedef struct gi_options {
    const char *command; /**< "ask"; names the program in messages: "glint ask" */
    const char *usage;   /**< "glint ask [OPTION]... PICTURE... [QUESTION]" */
    const char *about;   /**< what the command does, before the options; ends in a newline */
    const char *footer;  /**< examples and exit codes, after the options; or NULL */
    gi_option_group groups[GI_OPTION_GROUPS_MAX]; /**< as in --help; empty ones say nothing */
    bool has_config;                              /**< --config FILE and GLINT_CONFIG */
    size_t operands_max;                          /**< more is an error */

    const char *operands[GI_OPTION_VALUES_MAX]; /**< what is not an option, in order */
    size_t n_operands;
    const char **sources; /**< [gi_options_count] see gi_options_source */
    bool help_wanted;     /**< -h or --help was there: the caller prints help and exits with 0 */
    const char *config;   /**< the config file; NULL = none */
    gi_arena arena;       /**< strings from variables and the config file */
} gi_options;

/** Rows of all groups, headings too. */
size_t gi_options_count(const gi_options *o);

/** The i-th of them; NULL after the last. */
const gi_option *gi_options_at(const gi_options *o, size_t i);

/** The rows that every command has beside its own: -h and, if has_config, --config. [*ret_n] */
const gi_option *gi_options_common(const gi_options *o, size_t *ret_n);

/**
 * Read flags, variables and config file into the members.
 *
 * @param argv [argc] without program and command name; strings must outlive the options.
 * @return GLINT_ERR_ARG: unknown option (with the nearest name), missing or unreadable value, out
 *         of range; the message names where the value came from. GLINT_ERR_IO, _FORMAT (config
 *         file), GLINT_ERR_MEMORY.
 */
glint_status gi_options_parse(gi_options *o, int argc, char **argv, glint_error *err);

/** Print usage, about, options with range and default, and footer. */
void gi_options_print_help(const gi_options *o, FILE *to);

/** The member with the value of the i-th row, of the type that its kind says; NULL after the last.
 */
void *gi_options_value(const gi_options *o, size_t i);

/** Whether the i-th row has the same value in two options of the same tables, parsed apart. */
bool gi_options_equal(const gi_options *a, const gi_options *b, size_t i);

/**
 * Where an option's value came from, as messages about it begin: "--listen", "GLINT_LISTEN" or
 * "serve.json:3: listen"; NULL when it is the default.
 */
const char *gi_options_source(const gi_options *o, const char *name);

/** Put an option's source, or its flag when it has the default, before the message of a failure
 * that is about its value. Does nothing with GLINT_OK and GLINT_ERR_MEMORY. */
void gi_options_blame(const gi_options *o, const char *name, glint_status st, glint_error *err);

/**
 * Do that for the one option whose value the message begins with, followed by a colon and a space,
 * or in quotation marks: parts of glint that refuse a name, an address or a file quote it, but do
 * not know where it was written. Does nothing when no option or several have that value.
 */
void gi_options_blame_value(const gi_options *o, glint_error *err);

/** Free strings; texts and lists must not be used any more. */
void gi_options_done(gi_options *o);

/** What the option is called in the config file: "max_tokens" for "max-tokens". */
void gi_option_key(const char *name, char ret[GI_OPTION_NAME_BYTES]);

/** And among the variables: "GLINT_MAX_TOKENS". */
void gi_option_variable(const char *name, char ret[GI_OPTION_NAME_BYTES]);

/**
 * The word of `words` [n] nearest to `word`, or NULL when none is near: at most two letters
 * added, dropped, changed or swapped, or `word` is the beginning of one.
 */
const char *gi_options_nearest(const char *word, const char *const *words, size_t n);

#endif
