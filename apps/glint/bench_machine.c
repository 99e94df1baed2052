/*
 * glint bench machine: the ceilings that every other figure is quoted against.
 */
#include "bench.h"

#include "bench_ceilings.h"
#include "engine_args.h"

#include "base/workers.h"

#include <stddef.h>
#include <stdio.h>

static const char ABOUT[] =
    "Measures what this machine can do at best: multiply-adds with all operands in registers, by\n"
    "instruction set, and streaming reads from memory, the best of several patterns; with one\n"
    "thread and with all.\n";

static const char FOOTER[] = "Examples:\n"
                             "  glint bench machine\n"
                             "  glint bench machine --threads 4 --json > machine.json\n\n"
                             "Exit status: 0 measured, 2 wrong use, 5 out of memory.\n";

typedef struct machine_bench {
    gi_bench_common common;
    double sample_ms;
    int64_t read_mb, n_threads;
    const char *cpu_mask;
    gi_bench_card card;
    gi_bench_ceilings ceilings;
} machine_bench;

#define AT(member) offsetof(machine_bench, member)

static const gi_option ROWS[] = {
    {.name = "threads",
     .kind = GI_OPTION_INT,
     .offset = AT(n_threads),
     .value = "N",
     .min = 1,
     .max = GI_WORKERS_MAX,
     .unset = "the usable CPUs",
     .help = "threads of the measurement"},
    {.name = "cpu-mask",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(cpu_mask),
     .value = "TIER",
     .unset = "the best here",
     .choices = GI_ENGINE_ARGS_CPU_TIERS,
     .help = "best kernel tier allowed"},
    {.name = "sample-ms",
     .kind = GI_OPTION_NUMBER,
     .offset = AT(sample_ms),
     .value = "MS",
     .fallback = "40",
     .min = 1,
     .max = 10000,
     .help = "length of one run of arithmetic, milliseconds"},
    {.name = "read-mb",
     .kind = GI_OPTION_INT,
     .offset = AT(read_mb),
     .value = "N",
     .fallback = "512",
     .min = 16,
     .max = 65536,
     .help = "memory to read, MiB; more than the caches hold"},
};

static gi_options describe(void *state) {
    machine_bench *b = state;
    return (gi_options){.command = "bench machine",
                        .usage = "glint bench machine [OPTION]...",
                        .about = ABOUT,
                        .footer = FOOTER,
                        .groups = {GI_OPTION_GROUP(ROWS, b), gi_bench_common_options(&b->common)}};
}

static int run(void *state, const gi_options *o, glint_error *err) {
    machine_bench *b = state;
    (void)o;
    if (gi_bench_card_read((int)b->n_threads, b->cpu_mask, &b->card, err) != GLINT_OK ||
        gi_bench_ceilings_measure(&b->card, (size_t)b->common.rounds, b->sample_ms,
                                  (size_t)b->read_mb << 20, &b->ceilings, err) != GLINT_OK)
        return gi_command_fail("bench machine", GI_EXIT_INTERNAL, err);
    if (b->common.json)
        return gi_command_print_json(json_pack("{ss so so}", "kind", "machine", "card",
                                               gi_bench_card_json(&b->card), "ceilings",
                                               gi_bench_ceilings_json(&b->ceilings)),
                                     GI_BENCH_JSON_INDENT);
    gi_bench_card_print(&b->card);
    gi_bench_ceilings_print(&b->ceilings);
    return GI_EXIT_OK;
}

int gi_bench_machine(int argc, char **argv) {
    static const gi_bench_spec spec = {sizeof(machine_bench), describe, run, NULL};
    return gi_bench_main(&spec, argc, argv);
}
