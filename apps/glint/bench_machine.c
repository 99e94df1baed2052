/*
 * glint bench machine: the ceilings that every other figure is quoted against.
 */
#include "bench.h"

#include "bench_ceilings.h"

#include "base/workers.h"

#include <stdio.h>

static const char ABOUT[] =
    "Measures what this machine can do at best: multiply-adds with all operands in registers, by\n"
    "instruction set, and streaming reads from memory, the best of several patterns; with one\n"
    "thread and with all.\n";

static const char FOOTER[] = "Examples:\n"
                             "  glint bench machine\n"
                             "  glint bench machine --threads 4 --json > machine.json\n\n"
                             "Exit status: 0 measured, 2 wrong use, 5 out of memory.\n";

enum { N_OPTIONS = 4 };

int gi_bench_machine(int argc, char **argv) {
    gi_bench_common common = {0};
    double sample_ms = 0;
    int64_t read_mb = 0, n_threads = 0;
    const char *cpu = NULL;
    gi_option specs[N_OPTIONS + GI_BENCH_N_COMMON] = {
        {.name = "threads",
         .kind = GI_OPTION_INT,
         .target = &n_threads,
         .value = "N",
         .min = 1,
         .max = GI_WORKERS_MAX,
         .unset = "the usable CPUs",
         .help = "threads of the measurement"},
        {.name = "cpu-mask",
         .kind = GI_OPTION_CHOICE,
         .target = &cpu,
         .value = "TIER",
         .unset = "the best here",
         .choices = "ref|avx2|avx512|avx512vnni|avx512bf16",
         .help = "best kernel tier allowed"},
        {.name = "sample-ms",
         .kind = GI_OPTION_NUMBER,
         .target = &sample_ms,
         .value = "MS",
         .fallback = "40",
         .min = 1,
         .max = 10000,
         .help = "length of one run of arithmetic, milliseconds"},
        {.name = "read-mb",
         .kind = GI_OPTION_INT,
         .target = &read_mb,
         .value = "N",
         .fallback = "512",
         .min = 16,
         .max = 65536,
         .help = "memory to read, MiB; more than the caches hold"},
    };
    gi_bench_common_options(&common, specs + N_OPTIONS);
    gi_options o = {.command = "bench machine",
                    .usage = "glint bench machine [OPTION]...",
                    .about = ABOUT,
                    .footer = FOOTER,
                    .specs = specs,
                    .n_specs = sizeof specs / sizeof specs[0]};
    int code = GI_EXIT_OK;
    if (!gi_command_begin(&o, argc, argv, &code)) return code;
    glint_error err = {0};
    gi_bench_card card;
    gi_bench_ceilings ceilings;
    if (gi_bench_card_read((int)n_threads, cpu, &card, &err) != GLINT_OK ||
        gi_bench_ceilings_measure(&card, (size_t)common.rounds, sample_ms, (size_t)read_mb << 20,
                                  &ceilings, &err) != GLINT_OK) {
        code = gi_command_fail("bench machine", GI_EXIT_INTERNAL, &err);
        goto done;
    }
    bool ok = true;
    if (common.json) {
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
