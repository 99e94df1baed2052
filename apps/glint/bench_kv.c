/*
 * glint bench kv: what the KV cache saves. On: the prompt runs once, then one token at a time. Off:
 * for every token the whole text so far runs again, as it must when no keys and values are kept.
 * One run of each to the longest length gives the times of all shorter ones on its way.
 */
#include "bench.h"

#include "bench_card.h"
#include "bench_rig.h"
#include "engine_args.h"
#include "bench_series.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

enum { BAR_COLUMNS = 50 };

typedef struct kv_bench {
    gi_bench_common common;
    gi_engine_args args;
    glint_engine_options engine; /* what args say */
    gi_option_list lengths;
    int64_t prompt;
    size_t tokens[GI_OPTION_VALUES_MAX]; /* answers' lengths, rising */
    gi_bench_series on[GI_OPTION_VALUES_MAX], off[GI_OPTION_VALUES_MAX]; /* ms */
    size_t n;
    gi_bench_rig rig;
    gi_bench_card card;
} kv_bench;

static glint_status read_lengths(kv_bench *b, glint_error *err) {
    static const size_t lengths[] = {32, 64, 128, 256, 512};
    GI_TRY(gi_bench_numbers("tokens", &b->lengths, 1, 1 << 14, lengths, 5, b->tokens, &b->n, err));
    for (size_t i = 1; i < b->n; i++)
        if (b->tokens[i] <= b->tokens[i - 1])
            return gi_fail(err, GLINT_ERR_ARG, "--tokens must rise");
    return GLINT_OK;
}

static glint_status load(kv_bench *b, glint_error *err) {
    GI_TRY(gi_engine_args_resolve(&b->args, &b->engine, err));
    const gi_bench_rig_options o = {.engine = b->engine,
                                    .n_sequences = 1,
                                    .tokens_max = (size_t)b->prompt + b->tokens[b->n - 1]};
    return gi_bench_rig_init(&b->rig, &o, err);
}

/* Generate to the longest length; the i-th token is known when the text before it has run. */
static void generate(kv_bench *b, bool cache, gi_bench_series *series) {
    const size_t prompt = (size_t)b->prompt;
    const double start_ms = gi_clock_ms();
    for (size_t i = 0, at = 0; at < b->n; i++) {
        if (cache && i > 0)
            gi_bench_rig_decode(&b->rig, 1, prompt + i - 1);
        else
            gi_bench_rig_prefill(&b->rig, 0, 0, prompt + i);
        if (i + 1 < b->tokens[at]) continue;
        if (series) gi_bench_series_push(&series[at], gi_clock_ms() - start_ms);
        at++;
    }
}

static void measure(kv_bench *b) {
    generate(b, true, NULL); /* warms up */
    for (int64_t round = 0; round < b->common.rounds; round++) {
        generate(b, true, b->on);
        generate(b, false, b->off);
    }
}

/* Share of the time without the cache that the cache saves. */
static double saved(const kv_bench *b, size_t i) {
    return 1 - gi_bench_series_median(&b->on[i]) / gi_bench_series_median(&b->off[i]);
}

static void print_bar(const char *label, double ms, double longest_ms) {
    const int columns = (int)(BAR_COLUMNS * ms / longest_ms + 0.5);
    printf("    %-4s", label);
    for (int i = 0; i < columns || i == 0; i++) putchar('#');
    printf(" %.0f ms\n", ms);
}

static void print_text(const kv_bench *b) {
    gi_bench_card_print(&b->card);
    printf("\n%s on %s, weights %s\nprompt of %" PRId64 " tokens, medians of %" PRId64
           " runs, milliseconds to the last token\n\n",
           b->args.dir, b->rig.dev->description, gi_bench_rig_format(&b->rig), b->prompt,
           b->common.rounds);
    printf("  tokens     cache on    cache off     saved    faster\n");
    for (size_t i = 0; i < b->n; i++) {
        const double on = gi_bench_series_median(&b->on[i]);
        const double off = gi_bench_series_median(&b->off[i]);
        printf("  %6zu%13.1f%13.1f%8.1f %%%9.1fx\n", b->tokens[i], on, off, 100 * saved(b, i),
               off / on);
    }
    const double longest_ms = gi_bench_series_median(&b->off[b->n - 1]);
    for (size_t i = 0; i < b->n; i++) {
        printf("\n  %zu tokens\n", b->tokens[i]);
        print_bar("on", gi_bench_series_median(&b->on[i]), longest_ms);
        print_bar("off", gi_bench_series_median(&b->off[i]), longest_ms);
    }
}

static json_t *report_json(const kv_bench *b) {
    json_t *points = json_array();
    for (size_t i = 0; i < b->n; i++)
        json_array_append_new(points,
                              json_pack("{sI so so sf}", "tokens", (json_int_t)b->tokens[i],
                                        "on_ms", gi_bench_series_json(&b->on[i]), "off_ms",
                                        gi_bench_series_json(&b->off[i]), "saved", saved(b, i)));
    return json_pack("{ss so ss ss ss sI so}", "kind", "kv", "card", gi_bench_card_json(&b->card),
                     "model", b->args.dir, "device", b->rig.dev->description, "dtype",
                     gi_bench_rig_format(&b->rig), "prompt_tokens", (json_int_t)b->prompt, "points",
                     points);
}

static const char ABOUT[] =
    "Measures the generation of answers with the KV cache on and off, prompt included. Without "
    "the\n"
    "cache the whole text runs through the decoder again for every token.\n";

static const char FOOTER[] =
    "Examples:\n"
    "  glint bench kv\n"
    "  glint bench kv --json > kv.json && bench/plot kv.json > kv.svg\n\n"
    "Exit status: 0 measured, 2 wrong use, 4 the model cannot be loaded, 5 out of memory.\n";

#define AT(member) offsetof(kv_bench, member)

static const gi_option ROWS[] = {
    {.name = "tokens",
     .kind = GI_OPTION_LIST,
     .offset = AT(lengths),
     .value = "N",
     .help = "lengths of the answer, rising",
     .unset = "32, 64, 128, 256, 512"},
    {.name = "prompt",
     .kind = GI_OPTION_INT,
     .offset = AT(prompt),
     .value = "N",
     .fallback = "200",
     .min = 1,
     .max = 1 << 14,
     .help = "tokens of the prompt; an audit of a 336 px picture has\nabout 200"},
};

static gi_options describe(void *state) {
    kv_bench *b = state;
    return (gi_options){.command = "bench kv",
                        .usage = "glint bench kv [OPTION]... [DIR]",
                        .about = ABOUT,
                        .footer = FOOTER,
                        .groups = {GI_OPTION_GROUP(ROWS, b), gi_bench_common_options(&b->common),
                                   gi_engine_args_options(&b->args)},
                        .operands_max = 1};
}

static int run(void *state, const gi_options *o, glint_error *err) {
    kv_bench *b = state;
    if (o->n_operands) b->args.model = o->operands[0];
    if (gi_bench_card_read((int)b->args.threads, b->args.cpu_mask, &b->card, err) != GLINT_OK ||
        read_lengths(b, err) != GLINT_OK)
        return gi_command_fail("bench kv", GI_EXIT_USAGE, err);
    if (load(b, err) != GLINT_OK) return gi_command_fail("bench kv", GI_EXIT_MODEL, err);
    measure(b);
    if (b->common.json) return gi_command_print_json(report_json(b), GI_BENCH_JSON_INDENT);
    print_text(b);
    return GI_EXIT_OK;
}

static void done(void *state) {
    kv_bench *b = state;
    gi_bench_rig_done(&b->rig);
}

int gi_bench_kv(int argc, char **argv) {
    static const gi_bench_spec spec = {sizeof(kv_bench), describe, run, done};
    return gi_bench_main(&spec, argc, argv);
}
