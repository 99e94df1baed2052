/**
 * @file
 * What the sub-commands of glint share: how they are found, exit codes, the default model, the
 * one-line failure.
 */
#ifndef APPS_GLINT_COMMAND_H
#define APPS_GLINT_COMMAND_H

#include "base/filemap.h"
#include "options.h"

#include <glint/error.h>
#include <jansson.h>

/** How a command ends; --help of each command lists the ones it uses. */
typedef enum gi_exit {
    GI_EXIT_OK = 0,
    GI_EXIT_INTERNAL = 1,      /**< a fault of glint, or the output could not be written */
    GI_EXIT_USAGE = 2,         /**< an option or argument is wrong */
    GI_EXIT_INPUT = 3,         /**< a picture or the question cannot be read or is refused */
    GI_EXIT_MODEL = 4,         /**< the model cannot be loaded */
    GI_EXIT_MEMORY = 5,        /**< not enough memory */
    GI_EXIT_DEADLINE = 6,      /**< the given time passed */
    GI_EXIT_INTERRUPTED = 130, /**< Ctrl-C */
} gi_exit;

/** A sub-command. */
typedef struct gi_command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /**< argv [argc] without "glint" and the command's name */
} gi_command;

/** Most commands of a set. */
#define GI_COMMAND_SET_MAX 8

/** The words that may follow "glint", "glint bench" or "glint token". */
typedef struct gi_command_set {
    const char *program;        /**< "glint bench": begins messages */
    const char *noun;           /**< what a word of them is: "measurement" */
    const char *before, *after; /**< help, around a line for each of them */
    const gi_command *commands; /**< [n] */
    size_t n;                   /**< at most GI_COMMAND_SET_MAX */
} gi_command_set;

/**
 * Run the command that argv[0] names with what follows it; -h and --help explain the set. No word
 * explains it, too, but as wrong use; an unknown one is told with the nearest.
 *
 * @return the exit code.
 */
int gi_command_dispatch(const gi_command_set *set, int argc, char **argv);

int gi_command_ask(int argc, char **argv);
int gi_command_bench(int argc, char **argv);
int gi_command_inspect(int argc, char **argv);
int gi_command_quantize(int argc, char **argv);
int gi_command_serve(int argc, char **argv);
int gi_command_token(int argc, char **argv);

/**
 * Print `glint COMMAND: message` on stderr.
 *
 * @return code, or GI_EXIT_MEMORY / GI_EXIT_INTERNAL when that is what err says.
 */
int gi_command_fail(const char *command, int code, const glint_error *err);

/**
 * Write out what stdout still holds; it may be a full disk or a closed pipe. Once, as the last act
 * of a command that printed.
 *
 * @return code, or GI_EXIT_INTERNAL when that is GI_EXIT_OK and something was lost, now or before.
 */
int gi_command_end_output(int code);

/** Print a report, indented by so many spaces, and drop the reference. GI_EXIT_INTERNAL: it is
 * NULL, as memory was short. gi_command_end_output comes after. */
int gi_command_print_json(json_t *report, size_t indent);

/**
 * The options of a command, read and, when asked for, explained.
 *
 * @return true when the command should go on; else *ret_exit is its exit code.
 */
bool gi_command_begin(gi_options *o, int argc, char **argv, int *ret_exit);

/** Where models/default lies: beside the program's build or installation, or here. */
#define GI_COMMAND_MODEL_HELP                                                                      \
    "directory of a checkpoint as published (default: models/default beside glint, or here)"

/**
 * The model's directory: `given`, or the first of EXE/../models/default,
 * EXE/../share/glint/models/default and models/default that has a config.json.
 *
 * @return GLINT_ERR_IO when there is none.
 */
glint_status gi_command_model_dir(const char *given, char out[GI_PATH_BYTES], glint_error *err);

#endif
