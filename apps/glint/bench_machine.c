/*
 * glint bench machine: the ceilings that every other figure is quoted against.
 */
#include "bench.h"

#include "bench_ceilings.h"

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

typedef struct machine_args {
    gi_bench_common common;
    double sample_ms;
    int64_t read_mb, n_threads;
    const char *cpu_mask;
} machine_args;

#define AT(member) offsetof(machine_args, member)

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
     .choices = "ref|avx2|avx512|avx512vnni|avx512bf16",
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

int gi_bench_machine(int argc, char **argv) {
    machine_args a = {0};
    gi_options o = {.command = "bench machine",
                    .usage = "glint bench machine [OPTION]...",
                    .about = ABOUT,
                    .footer = FOOTER,
                    .groups = {GI_OPTION_GROUP(ROWS, &a), gi_bench_common_options(&a.common)}};
    int code = GI_EXIT_OK;
    if (!gi_command_begin(&o, argc, argv, &code)) return code;
    glint_error err = {0};
    gi_bench_card card;
    gi_bench_ceilings ceilings;
    if (gi_bench_card_read((int)a.n_threads, a.cpu_mask, &card, &err) != GLINT_OK ||
        gi_bench_ceilings_measure(&card, (size_t)a.common.rounds, a.sample_ms,
                                  (size_t)a.read_mb << 20, &ceilings, &err) != GLINT_OK) {
        code = gi_command_fail("bench machine", GI_EXIT_INTERNAL, &err);
        goto done;
    }
    bool ok = true;
    if (a.common.json) {
        ok = gi_bench_print_json(json_pack("{ss so so}", "kind", "machine", "card",
                                           gi_bench_card_json(&card), "ceilings",
                                           gi_bench_ceilings_json(&ceilings)));
    } else {
        gi_bench_card_print(&card);
        gi_bench_ceilings_print(&ceilings);
    }
    code = gi_command_end_output(ok ? GI_EXIT_OK : GI_EXIT_INTERNAL);
done:
    gi_options_done(&o);
    return code;
}
