/**
 * @file
 * What the options of glint ask say.
 */
#ifndef APPS_GLINT_ASK_ARGS_H
#define APPS_GLINT_ASK_ARGS_H

#include "engine_args.h"

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

/** The rows of its own; the model's are gi_engine_args_options(&a->engine). */
gi_option_group gi_ask_args_options(gi_ask_args *a);

#endif
