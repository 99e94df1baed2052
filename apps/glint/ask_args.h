/**
 * @file
 * What the options of glint ask say.
 */
#ifndef APPS_GLINT_ASK_ARGS_H
#define APPS_GLINT_ASK_ARGS_H

#include "engine_args.h"

/** Room for the rows of gi_ask_args_options. */
#define GI_ASK_ARGS_OPTIONS (15 + GI_ENGINE_ARGS_OPTIONS)

/** Zero-initialise. */
typedef struct gi_ask_args {
    gi_engine_args engine;
    const char *task, *prompt; /**< NULL = not given */
    gi_option_list stops;
    int64_t max_tokens; /**< 0 = the task's */
    int64_t top_k, seed, timeout_ms;
    double temperature, top_p;
    bool json, timings, thinking;
} gi_ask_args;

/** Append the rows; there must be room for GI_ASK_ARGS_OPTIONS. */
void gi_ask_args_options(gi_ask_args *a, gi_option *specs, size_t *n_specs);

#endif
