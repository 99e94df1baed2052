/**
 * @file
 * The measurements of `glint bench` and the options they share.
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

/** Print a report and drop the reference; false when it could not be made or written. */
bool gi_bench_print_json(json_t *report);

#endif
