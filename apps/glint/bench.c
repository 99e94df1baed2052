/*
 * glint bench: finds the measurement and hands over.
 */
#include "bench.h"

#include "base/parse.h"
#include "bench_series.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *summary;
    gi_command_fn run;
} MEASUREMENTS[] = {
    {"machine", "what the processor and the memory can do at best", gi_bench_machine},
    {"model", "prefill, decode, vision tower and whole audits of a model", gi_bench_model},
    {"kv", "generation with the KV cache on and off", gi_bench_kv},
    {"loss", "what a number format costs in answers", gi_bench_loss},
    {"serve", "a running server under load", gi_bench_serve},
    {"quality", "right and wrong answers of a running server", gi_bench_quality},
};

enum { N_MEASUREMENTS = sizeof MEASUREMENTS / sizeof MEASUREMENTS[0] };

static void print_help(FILE *to) {
    fputs("Measures this machine, a model on it or a server, with the machine card.\n"
          "The machine should do nothing else meanwhile.\n\n"
          "Usage: glint bench MEASUREMENT [OPTION]...\n\nMeasurements:\n",
          to);
    for (size_t i = 0; i < N_MEASUREMENTS; i++)
        fprintf(to, "  %-10s%s\n", MEASUREMENTS[i].name, MEASUREMENTS[i].summary);
    fputs("\n`glint bench MEASUREMENT --help` explains one.\n", to);
}

int gi_command_bench(int argc, char **argv) {
    const char *word = argc > 0 ? argv[0] : NULL;
    if (!word) {
        print_help(stderr);
        return GI_EXIT_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(stdout);
        return gi_command_end_output(GI_EXIT_OK);
    }
    const char *names[N_MEASUREMENTS];
    for (size_t i = 0; i < N_MEASUREMENTS; i++) {
        names[i] = MEASUREMENTS[i].name;
        if (strcmp(word, names[i]) == 0) return MEASUREMENTS[i].run(argc - 1, argv + 1);
    }
    glint_error err;
    const char *near = gi_options_nearest(word, names, N_MEASUREMENTS);
    if (near)
        gi_fail(&err, GLINT_ERR_ARG, "no measurement \"%.60s\"; did you mean \"%s\"?", word, near);
    else
        gi_fail(&err, GLINT_ERR_ARG, "no measurement \"%.60s\"; see glint bench --help", word);
    return gi_command_fail("bench", GI_EXIT_USAGE, &err);
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

bool gi_bench_print_json(json_t *report) {
    const bool ok = report && json_dumpf(report, stdout, JSON_INDENT(1)) == 0;
    json_decref(report);
    if (ok) putchar('\n');
    return ok;
}
