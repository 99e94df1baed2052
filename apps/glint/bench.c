/*
 * glint bench: finds the measurement and hands over; the frame of each and the options they share.
 */
#include "bench.h"

#include "base/alloc.h"
#include "base/parse.h"
#include "bench_series.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const gi_command MEASUREMENTS[] = {
    {"machine", "what the processor and the memory can do at best", gi_bench_machine},
    {"model", "prefill, decode, vision tower and whole audits of a model", gi_bench_model},
    {"kv", "generation with the KV cache on and off", gi_bench_kv},
    {"loss", "what a number format costs in answers", gi_bench_loss},
    {"serve", "a running server under load", gi_bench_serve},
    {"quality", "right and wrong answers of a running server", gi_bench_quality},
};

static const gi_command_set SET = {
    .program = "glint bench",
    .noun = "measurement",
    .before = "Measures this machine, a model on it or a server, with the machine card.\n"
              "The machine should do nothing else meanwhile.\n\n"
              "Usage: glint bench MEASUREMENT [OPTION]...\n\nMeasurements:\n",
    .after = "\n`glint bench MEASUREMENT --help` explains one.\n",
    .commands = MEASUREMENTS,
    .n = sizeof MEASUREMENTS / sizeof MEASUREMENTS[0],
};

int gi_command_bench(int argc, char **argv) {
    return gi_command_dispatch(&SET, argc, argv);
}

int gi_bench_main(const gi_bench_spec *spec, int argc, char **argv) {
    glint_error err = {0};
    void *state = gi_calloc(1, spec->state_bytes);
    if (!state) {
        gi_fail(&err, GLINT_ERR_MEMORY, "no memory for the measurement");
        return gi_command_fail("bench", GI_EXIT_MEMORY, &err);
    }
    gi_options o = spec->describe(state);
    int code = GI_EXIT_OK;
    if (gi_command_begin(&o, argc, argv, &code)) {
        code = gi_command_end_output(spec->run(state, &o, &err));
        if (spec->done) spec->done(state);
        gi_options_done(&o);
    }
    gi_free(state);
    return code;
}

static const gi_option COMMON_ROWS[] = {
    {.name = "rounds",
     .kind = GI_OPTION_INT,
     .offset = offsetof(gi_bench_common, rounds),
     .value = "N",
     .fallback = "7",
     .min = 1,
     .max = GI_BENCH_ROUNDS_MAX,
     .help = "runs of each measurement"},
    {.name = "json",
     .letter = 'j',
     .kind = GI_OPTION_SWITCH,
     .offset = offsetof(gi_bench_common, json),
     .help = "the same as JSON, with every run"},
};

gi_option_group gi_bench_common_options(gi_bench_common *c) {
    return (gi_option_group)GI_OPTION_GROUP(COMMON_ROWS, c);
}

glint_status gi_bench_numbers(const char *name, const gi_option_list *list, size_t min, size_t max,
                              const size_t *fallback, size_t n_fallback, size_t *ret, size_t *ret_n,
                              glint_error *err) {
    for (size_t i = 0; i < list->n; i++) {
        uint64_t value;
        if (!gi_parse_u64(list->values[i], &value) || value < min || value > max)
            return gi_fail(err, GLINT_ERR_ARG, "--%s: \"%.40s\" is not a number from %zu to %zu",
                           name, list->values[i], min, max);
        ret[i] = value;
    }
    if (list->n == 0) memcpy(ret, fallback, n_fallback * sizeof *fallback);
    *ret_n = list->n ? list->n : n_fallback;
    return GLINT_OK;
}
