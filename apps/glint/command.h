/**
 * @file
 * What the sub-commands of glint share: exit codes, the default model, the one-line failure.
 */
#ifndef APPS_GLINT_COMMAND_H
#define APPS_GLINT_COMMAND_H

#include "base/filemap.h"
#include "options.h"

#include <glint/error.h>

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

/** A sub-command: its main. argv [argc] without "glint" and the command's name. */
typedef int (*gi_command_fn)(int argc, char **argv);

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
