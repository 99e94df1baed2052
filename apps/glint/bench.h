/**
 * @file
 * The measurements of `glint bench`, what they share and the frame they run in.
 */
#ifndef APPS_GLINT_BENCH_H
#define APPS_GLINT_BENCH_H

#include "command.h"

#include <glint/glint.h>
#include <jansson.h>

int gi_bench_machine(int argc, char **argv);
int gi_bench_model(int argc, char **argv);
int gi_bench_kv(int argc, char **argv);
int gi_bench_loss(int argc, char **argv);
int gi_bench_serve(int argc, char **argv);
int gi_bench_quality(int argc, char **argv);

/** Of the reports as JSON. */
#define GI_BENCH_JSON_INDENT 1

/** What every measurement can be told. */
typedef struct gi_bench_common {
    int64_t rounds;
    bool json;
} gi_bench_common;

/** The rows of those options; values go into `c`. */
gi_option_group gi_bench_common_options(gi_bench_common *c);

/**
 * A list option's values as numbers.
 *
 * @param name     the option's name, for messages.
 * @param fallback [n_fallback] used when the list is empty.
 * @param ret      [GI_OPTION_VALUES_MAX]
 * @return GLINT_ERR_ARG: not a number in [min, max].
 */
glint_status gi_bench_numbers(const char *name, const gi_option_list *list, size_t min, size_t max,
                              const size_t *fallback, size_t n_fallback, size_t *ret, size_t *ret_n,
                              glint_error *err);

/** A measurement as a command. */
typedef struct gi_bench_spec {
    size_t state_bytes; /**< of what it is told and what it holds: allocated and zeroed */
    gi_options (*describe)(void *state); /**< its options, with values in `state` */
    /** Measure and print. Returns the exit code, after gi_command_fail where it is not 0. */
    int (*run)(void *state, const gi_options *o, glint_error *err);
    void (*done)(void *state); /**< after run, whatever became of it; or NULL */
} gi_bench_spec;

/** The main of a measurement: options in, its exit code out. */
int gi_bench_main(const gi_bench_spec *spec, int argc, char **argv);

#endif
