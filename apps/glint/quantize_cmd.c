/*
 * glint quantize: a checkpoint rewritten with packed weights.
 */
#include "command.h"

#include "base/clock.h"
#include "model/quantize.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct totals {
    bool is_quiet;
    const char *vision;
    uint64_t source_bytes, written_bytes;
    size_t n_weights;
    double begin_ms;
} totals;

static const gi_option ROWS[] = {
    {.name = "quiet",
     .letter = 'q',
     .kind = GI_OPTION_SWITCH,
     .offset = offsetof(totals, is_quiet),
     .help = "print only the summary"},
    {.name = "vision",
     .kind = GI_OPTION_CHOICE,
     .offset = offsetof(totals, vision),
     .value = "FORMAT",
     .fallback = "bf16",
     .choices = "bf16|int8",
     .help = "of the vision tower's weights; int8\nencodes pictures a quarter faster and loses\n"
             "a little more (docs/quantization.md)"},
};

static void print_report(void *ctx, const gi_quantize_report *r, uint64_t done, uint64_t total) {
    totals *t = ctx;
    t->source_bytes += r->source_bytes;
    t->written_bytes += r->written_bytes;
    if (t->is_quiet) return;
    if (t->n_weights++ == 0)
        printf("%-62s %-12s %10s %10s %9s %9s\n", "weight", "stored as", "bytes", "now", "error",
               "worst row");
    printf("%-62s %-12s %10llu %10llu", r->name, r->format, (unsigned long long)r->source_bytes,
           (unsigned long long)r->written_bytes);
    if (strcmp(r->format, "as it is") != 0)
        printf(" %8.4f%% %8.4f%%", 100 * r->relative_error, 100 * r->worst_row_error);
    printf("\n");
    (void)done;
    (void)total;
}

int gi_command_quantize(int argc, char **argv) {
    totals t = {.begin_ms = gi_clock_ms()};
    gi_options o = {
        .command = "quantize",
        .usage = "glint quantize [OPTION]... SRC DST",
        .about =
            "Rewrites the checkpoint in directory SRC into directory DST with packed weights:\n"
            "the decoder as INT8 with a scale per output, the vision tower as BF16 or INT8. glint\n"
            "maps the result and uses it where it lies; other programs cannot read it.\n",
        .footer =
            "Exit status: 0 done, 2 wrong usage, 4 SRC cannot be read or DST not be written.\n",
        .groups = {GI_OPTION_GROUP(ROWS, &t)},
        .operands_max = 2,
    };
    int exit_code;
    if (!gi_command_begin(&o, argc, argv, &exit_code)) return exit_code;
    glint_error err = {0};
    const gi_quantize_options options = {
        .is_vision_int8 = strcmp(t.vision, "int8") == 0, .progress = print_report, .ctx = &t};
    if (o.n_operands != 2) {
        gi_fail(&err, GLINT_ERR_ARG, "needs two directories: glint quantize SRC DST");
        exit_code = gi_command_fail("quantize", GI_EXIT_USAGE, &err);
    } else if (gi_quantize(o.operands[0], o.operands[1], &options, &err) != GLINT_OK) {
        exit_code = gi_command_fail("quantize", GI_EXIT_MODEL, &err);
    } else {
        printf("%s: %.1f MB, from %.1f MB, in %.2f s\n", o.operands[1],
               (double)t.written_bytes / 1e6, (double)t.source_bytes / 1e6,
               (gi_clock_ms() - t.begin_ms) / 1e3);
        exit_code = gi_command_end_output(GI_EXIT_OK);
    }
    gi_options_done(&o);
    return exit_code;
}
