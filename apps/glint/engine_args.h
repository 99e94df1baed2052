/**
 * @file
 * The options that say which model to load and how, the same in every command that loads one.
 */
#ifndef APPS_GLINT_ENGINE_ARGS_H
#define APPS_GLINT_ENGINE_ARGS_H

#include "command.h"

#include <glint/glint.h>

/** Their values. Zero-initialise. */
typedef struct gi_engine_args {
    const char *model, *templates, *dtype, *kv_dtype, *cpu_mask;
    int64_t threads, max_side, context;
    char dir[GI_PATH_BYTES]; /**< the model's directory, after gi_engine_args_resolve */
} gi_engine_args;

/** The choices of --dtype and --kv-dtype. */
#define GI_ENGINE_ARGS_DTYPES    "auto|f32|bf16|int8|int8-all"
#define GI_ENGINE_ARGS_KV_DTYPES "auto|bf16|int8"
/** Of --cpu-mask. */
#define GI_ENGINE_ARGS_CPU_TIERS "ref|avx2|avx512|avx512vnni|avx512bf16"

/** What a choice means. */
glint_dtype gi_engine_args_dtype(const char *name);

/** Their rows, a heading first; values go into `a`. */
gi_option_group gi_engine_args_options(gi_engine_args *a);

/**
 * Find the model and fill in the engine's options; they point into `a`. GLINT_ERR_IO when there
 * is no model.
 */
glint_status gi_engine_args_resolve(gi_engine_args *a, glint_engine_options *ret, glint_error *err);

#endif
