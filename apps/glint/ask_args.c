/*
 * The table of options of glint ask.
 */
#include "ask_args.h"

#include <string.h>

static void question_options(gi_ask_args *a, gi_option *specs, size_t *n_specs) {
    const gi_option rows[] = {
        {.name = "Question:", .kind = GI_OPTION_HEADING},
        {.name = "task",
         .letter = 't',
         .kind = GI_OPTION_TEXT,
         .target = &a->task,
         .value = "NAME",
         .help = "audit, ask, describe, ocr, extract or a template's name",
         .unset = "ask; describe without a question"},
        {.name = "prompt",
         .letter = 'p',
         .kind = GI_OPTION_TEXT,
         .target = &a->prompt,
         .value = "TEXT",
         .flag_only = true,
         .help = "the question; then every argument is a picture, and there may be none"},
        {.name = "think",
         .kind = GI_OPTION_SWITCH,
         .target = &a->thinking,
         .help = "let a thinking model think; shown on stderr"},
    };
    memcpy(specs + *n_specs, rows, sizeof rows);
    *n_specs += sizeof rows / sizeof rows[0];
}

static void answer_options(gi_ask_args *a, gi_option *specs, size_t *n_specs) {
    const gi_option rows[] = {
        {.name = "Answer:", .kind = GI_OPTION_HEADING},
        {.name = "json",
         .letter = 'j',
         .kind = GI_OPTION_SWITCH,
         .target = &a->json,
         .help = "one JSON object, as from POST /v1/multimodal/inference"},
        {.name = "timings",
         .kind = GI_OPTION_SWITCH,
         .target = &a->timings,
         .help = "where the time went, on stderr"},
        {.name = "max-tokens",
         .letter = 'n',
         .kind = GI_OPTION_INT,
         .target = &a->max_tokens,
         .value = "N",
         .min = 1,
         .max = GLINT_MAX_TOKENS_MAX,
         .help = "longest answer in tokens",
         .unset = "the task's"},
        {.name = "timeout",
         .kind = GI_OPTION_INT,
         .target = &a->timeout_ms,
         .value = "MS",
         .fallback = "0",
         .min = 0,
         .max = 3600000,
         .help = "give up after so many ms; 0 = never"},
    };
    memcpy(specs + *n_specs, rows, sizeof rows);
    *n_specs += sizeof rows / sizeof rows[0];
}

static void sampling_options(gi_ask_args *a, gi_option *specs, size_t *n_specs) {
    const gi_option rows[] = {
        {.name = "Sampling:", .kind = GI_OPTION_HEADING},
        {.name = "temperature",
         .kind = GI_OPTION_NUMBER,
         .target = &a->temperature,
         .value = "X",
         .fallback = "0",
         .min = 0,
         .max = 2,
         .help = "0 = always the likeliest token"},
        {.name = "top-p",
         .kind = GI_OPTION_NUMBER,
         .target = &a->top_p,
         .value = "X",
         .fallback = "1",
         .min = 0.000001,
         .max = 1,
         .help = "draw from the likeliest tokens of this total probability"},
        {.name = "top-k",
         .kind = GI_OPTION_INT,
         .target = &a->top_k,
         .value = "N",
         .fallback = "0",
         .min = 0,
         .max = 1000000,
         .help = "draw from this many tokens; 0 = all"},
        {.name = "seed",
         .kind = GI_OPTION_INT,
         .target = &a->seed,
         .value = "N",
         .fallback = "0",
         .min = 0,
         .max = 9007199254740991,
         .help = "same seed, same answer"},
        {.name = "stop",
         .kind = GI_OPTION_LIST,
         .target = &a->stops,
         .value = "TEXT",
         .flag_only = true,
         .help = "end the answer before this text"},
    };
    memcpy(specs + *n_specs, rows, sizeof rows);
    *n_specs += sizeof rows / sizeof rows[0];
}

void gi_ask_args_options(gi_ask_args *a, gi_option *specs, size_t *n_specs) {
    question_options(a, specs, n_specs);
    answer_options(a, specs, n_specs);
    sampling_options(a, specs, n_specs);
    gi_engine_args_options(&a->engine, specs, n_specs);
}
