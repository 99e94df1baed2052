/*
 * One declaration of the model's options for ask, serve and whatever else loads a model.
 */
#include "engine_args.h"

#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(gi_engine_args, member)

static const gi_option ROWS[] = {
    {.name = "Model:", .kind = GI_OPTION_HEADING},
    {.name = "model",
     .letter = 'm',
     .kind = GI_OPTION_TEXT,
     .offset = AT(model),
     .value = "DIR",
     .help = GI_COMMAND_MODEL_HELP},
    {.name = "templates",
     .kind = GI_OPTION_TEXT,
     .offset = AT(templates),
     .value = "DIR",
     .help = "more task templates (*.json)"},
    {.name = "dtype",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(dtype),
     .value = "FORMAT",
     .fallback = "auto",
     .choices = GI_ENGINE_ARGS_DTYPES,
     .help = "number format of the products; int8: of the decoder, with\n"
             "a BF16 vision tower"},
    {.name = "kv-dtype",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(kv_dtype),
     .value = "FORMAT",
     .fallback = "auto",
     .choices = GI_ENGINE_ARGS_KV_DTYPES,
     .help = "number format of the KV cache; auto: BF16, F32 with F32"},
    {.name = "threads",
     .kind = GI_OPTION_INT,
     .offset = AT(threads),
     .value = "N",
     .min = 1,
     .max = 256,
     .help = "threads of the model",
     .unset = "the usable CPUs"},
    {.name = "max-side",
     .kind = GI_OPTION_INT,
     .offset = AT(max_side),
     .value = "PX",
     .fallback = "1024",
     .min = 28,
     .max = 16384,
     .help = "longest side of a picture; larger ones are scaled down"},
    {.name = "context",
     .kind = GI_OPTION_INT,
     .offset = AT(context),
     .value = "N",
     .min = 1,
     .max = 1 << 20,
     .help = "longest prompt and answer in tokens",
     .unset = "the model's, at most 8192"},
    {.name = "cpu-mask",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(cpu_mask),
     .value = "TIER",
     .unset = "the best here",
     .choices = GI_ENGINE_ARGS_CPU_TIERS,
     .help = "best kernel tier allowed"},
};

gi_option_group gi_engine_args_options(gi_engine_args *a) {
    return (gi_option_group)GI_OPTION_GROUP(ROWS, a);
}

glint_dtype gi_engine_args_dtype(const char *name) {
    static const struct {
        const char *name;
        glint_dtype dtype;
    } dtypes[] = {{"f32", GLINT_DTYPE_F32},
                  {"bf16", GLINT_DTYPE_BF16},
                  {"int8", GLINT_DTYPE_INT8},
                  {"int8-all", GLINT_DTYPE_INT8_ALL}};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(name, dtypes[i].name) == 0) return dtypes[i].dtype;
    return GLINT_DTYPE_AUTO;
}

glint_status gi_engine_args_resolve(gi_engine_args *a, glint_engine_options *ret,
                                    glint_error *err) {
    GI_TRY(gi_command_model_dir(a->model, a->dir, err));
    *ret = (glint_engine_options){
        .model_dir = a->dir,
        .template_dir = a->templates,
        .n_threads = (int)a->threads,
        .context_tokens_max = (int)a->context,
        .max_side_px = (int)a->max_side,
        .dtype = gi_engine_args_dtype(a->dtype),
        .kv_dtype = gi_engine_args_dtype(a->kv_dtype),
        .cpu_mask = a->cpu_mask,
    };
    return GLINT_OK;
}
