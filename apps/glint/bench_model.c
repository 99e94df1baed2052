/*
 * glint bench model: each part of a model alone. A round runs every item once, so that slow spells
 * of the machine meet all items; the first round warms up and is thrown away.
 *
 * Timed: for prefill and decode the call that takes token ids and gives logits, for the tower the
 * call that takes patches and gives visual tokens. Not timed: loading, tokenising, decoding and
 * resizing pictures, choosing the next token.
 */
#include "bench.h"

#include "bench_audit.h"
#include "bench_ceilings.h"
#include "bench_rig.h"
#include "engine_args.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { CEILING_ROUNDS = 5, CEILING_READ_MB = 256 };
#define CEILING_SAMPLE_MS 20.0

typedef enum work_kind { WORK_PREFILL, WORK_DECODE, WORK_VISION } work_kind;

/* One line of the report. */
typedef struct item {
    work_kind work;
    size_t size; /* tokens, sequences or pixels */
    size_t grid; /* WORK_VISION: patches on a side */
    gi_bench_series ms;
} item;

enum { ITEMS_MAX = 3 * GI_OPTION_VALUES_MAX };

typedef struct model_bench {
    gi_bench_common common;
    gi_engine_args args;
    glint_engine_options engine; /* what args say */
    gi_option_list prefill, decode, pixels, pictures;
    int64_t decode_past, decode_tokens;
    bool no_ceilings;
    item items[ITEMS_MAX];
    size_t n_items;
    gi_bench_audit audits[GI_OPTION_VALUES_MAX]; /* [pictures.n] */
    glint_engine *whole;                         /* of the audits; NULL without pictures */
    gi_bench_rig rig;
    gi_bench_card card;
    gi_bench_ceilings ceilings; /* of .card; not measured with no_ceilings */
} model_bench;

static void add_items(model_bench *b, work_kind work, const size_t *sizes, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (sizes[i] > 0) b->items[b->n_items++] = (item){.work = work, .size = sizes[i]};
}

/* The items asked for; a 0 in a list leaves that kind of work out. */
static glint_status list_items(model_bench *b, glint_error *err) {
    static const size_t prefill[] = {128, 512}, decode[] = {1, 4, 8, 16},
                        pixels[] = {224, 336, 448, 1024};
    size_t sizes[GI_OPTION_VALUES_MAX], n;
    GI_TRY(gi_bench_numbers("prefill", &b->prefill, 0, 1 << 16, prefill, 2, sizes, &n, err));
    add_items(b, WORK_PREFILL, sizes, n);
    GI_TRY(gi_bench_numbers("decode", &b->decode, 0, 256, decode, 4, sizes, &n, err));
    add_items(b, WORK_DECODE, sizes, n);
    GI_TRY(gi_bench_numbers("pixels", &b->pixels, 0, 4096, pixels, 4, sizes, &n, err));
    add_items(b, WORK_VISION, sizes, n);
    return GLINT_OK;
}

static glint_status load_towers(model_bench *b, glint_error *err) {
    gi_config config;
    GI_TRY(gi_config_load(b->args.dir, &config, err));
    gi_bench_rig_options o = {.engine = b->engine, .n_sequences = 1, .tokens_max = 1};
    for (size_t i = 0; i < b->n_items; i++) {
        item *it = &b->items[i];
        size_t tokens = 0, patches = 0;
        if (it->work == WORK_PREFILL) tokens = it->size;
        if (it->work == WORK_DECODE) tokens = (size_t)(b->decode_past + b->decode_tokens);
        if (it->work == WORK_DECODE && it->size > o.n_sequences) o.n_sequences = it->size;
        if (it->work == WORK_VISION) {
            it->grid = gi_bench_grid(&config.vision, it->size);
            patches = it->grid * it->grid;
        }
        if (tokens > o.tokens_max) o.tokens_max = tokens;
        if (patches > o.patches_max) o.patches_max = patches;
    }
    if (o.tokens_max > config.text.positions_max)
        return gi_fail(err, GLINT_ERR_ARG, "%zu tokens: the model has %zu positions", o.tokens_max,
                       config.text.positions_max);
    return gi_bench_rig_init(&b->rig, &o, err);
}

static glint_status load(model_bench *b, glint_error *err) {
    GI_TRY(gi_engine_args_resolve(&b->args, &b->engine, err));
    for (size_t i = 0; i < b->pictures.n; i++)
        GI_TRY(gi_bench_audit_init(&b->audits[i], b->pictures.values[i], err));
    /* First, because it starts processes and they should inherit little. */
    if (b->pictures.n) GI_TRY(glint_engine_open(&b->engine, &b->whole, err));
    return load_towers(b, err);
}

static void encode(gi_bench_rig *rig, size_t grid) {
    const gi_vision_picture picture = {.patches = rig->patches, .grid_h = grid, .grid_w = grid};
    gi_vision_begin(rig->vision, &picture, 1);
    gi_vision_run(rig->vision, SIZE_MAX);
    gi_vision_end(rig->vision);
}

static void run_item(model_bench *b, const item *it) {
    gi_bench_rig *rig = &b->rig;
    switch (it->work) {
    case WORK_PREFILL:
        gi_bench_rig_prefill(rig, 0, 0, it->size);
        break;
    case WORK_DECODE:
        for (int64_t i = 0; i < b->decode_tokens; i++)
            gi_bench_rig_decode(rig, it->size, (size_t)(b->decode_past + i));
        break;
    case WORK_VISION:
        encode(rig, it->grid);
        break;
    }
}

static glint_status run_round(model_bench *b, bool warm_up, glint_error *err) {
    for (size_t i = 0; i < b->n_items; i++) {
        const double start_ms = gi_clock_ms();
        run_item(b, &b->items[i]);
        const double ms = gi_clock_ms() - start_ms;
        if (!warm_up) gi_bench_series_push(&b->items[i].ms, ms);
    }
    for (size_t i = 0; i < b->pictures.n; i++)
        GI_TRY(gi_bench_audit_run(&b->audits[i], b->whole, warm_up, err));
    return GLINT_OK;
}

static glint_status measure(model_bench *b, glint_error *err) {
    bool has_decode = false;
    for (size_t i = 0; i < b->n_items; i++) has_decode |= b->items[i].work == WORK_DECODE;
    if (has_decode && b->decode_past > 0)
        for (size_t s = 0; s < b->rig.n_sequences; s++)
            gi_bench_rig_prefill(&b->rig, s, 0, (size_t)b->decode_past);
    GI_TRY(run_round(b, true, err));
    for (int64_t i = 0; i < b->common.rounds; i++) GI_TRY(run_round(b, false, err));
    return GLINT_OK;
}

/* ---- what the figures mean ---- */

/* Operations of one run. */
static double item_ops(const model_bench *b, const item *it) {
    const gi_config *c = &b->rig.ckpt->config;
    if (it->work == WORK_VISION) return gi_vision_ops(&c->vision, it->grid * it->grid);
    if (it->work == WORK_PREFILL) return gi_bench_text_ops(&c->text, 0, it->size, 1);
    const size_t n = (size_t)b->decode_tokens;
    return (double)it->size * gi_bench_text_ops(&c->text, (size_t)b->decode_past, n, n);
}

/* Bytes of weights that one run must read: of interest where a step has few rows. */
static double item_weight_bytes(const model_bench *b, const item *it) {
    if (it->work != WORK_DECODE) return 0;
    const double bytes_per_weight = b->rig.text_format == GI_CPU_S8 ? 1 : 2;
    return bytes_per_weight * gi_bench_decode_params(&b->rig.ckpt->config.text) *
           (double)b->decode_tokens;
}

/* Tokens of one run; of a picture, its visual tokens. */
static double item_tokens(const model_bench *b, const item *it) {
    const size_t merge = b->rig.ckpt->config.vision.merge;
    if (it->work == WORK_PREFILL) return (double)it->size;
    if (it->work == WORK_DECODE) return (double)(it->size * (size_t)b->decode_tokens);
    return (double)(it->grid * it->grid / (merge * merge));
}

/* The arithmetic that bounds an item: what its weights are held in; -1 when unknown. */
static int item_ceiling(const model_bench *b, const item *it) {
    if (b->no_ceilings) return -1;
    int i = -1;
    if (b->rig.text_format == GI_CPU_S8 && it->work != WORK_VISION)
        i = gi_bench_ceilings_find(&b->ceilings, "s8");
    else if (b->rig.text_format != GI_CPU_F32)
        i = gi_bench_ceilings_find(&b->ceilings, "bf16");
    return i >= 0 ? i : gi_bench_ceilings_find(&b->ceilings, "f32");
}

static uint64_t peak_bytes(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

/* ---- reports ---- */

static void item_name(const model_bench *b, const item *it, char out[48]) {
    if (it->work == WORK_PREFILL)
        snprintf(out, 48, "prefill %zu tokens", it->size);
    else if (it->work == WORK_DECODE)
        snprintf(out, 48, "decode %zu sequence%s", it->size, it->size == 1 ? "" : "s");
    else
        snprintf(out, 48, "vision %zu px, %.0f tokens", it->size, item_tokens(b, it));
}

static void print_item(const model_bench *b, const item *it) {
    char name[48];
    item_name(b, it, name);
    const double ms = gi_bench_series_median(&it->ms), tokens = item_tokens(b, it);
    if (it->work == WORK_VISION)
        printf("  %-24s%10.2f ms   ", name, ms);
    else
        printf("  %-24s%10.1f tok/s", name, tokens / ms * 1e3);
    printf("  %5.1f %%", 100 * (gi_bench_series_max(&it->ms) - gi_bench_series_min(&it->ms)) / ms);
    const int i = item_ceiling(b, it);
    const double gops = item_ops(b, it) / ms * 1e-6, gb = item_weight_bytes(b, it) / ms * 1e-6;
    printf("%10.1f GOP/s", gops);
    if (i >= 0)
        printf("  %5.1f %% of %s", 100 * gops / gi_bench_series_median(&b->ceilings.all[i]),
               gi_peaks[i].name);
    if (gb > 0) printf("%s%.1f GB/s", i >= 0 ? "; " : "  ", gb);
    if (gb > 0 && i >= 0)
        printf(", %.1f %% of reading", 100 * gb / gi_bench_ceilings_read_gb_per_s(&b->ceilings));
    putchar('\n');
}

static void print_audit(const gi_bench_audit *a) {
    const glint_timing *t = &a->timing;
    const char *slash = strrchr(a->path, '/');
    printf("  audit of %-15.40s%10.2f ms     %6.1f %%  %d tokens in, %d out; picture %.1f, vision "
           "%.1f, "
           "prefill %.1f, decode %.1f ms\n",
           slash ? slash + 1 : a->path, gi_bench_series_median(&a->ms),
           100 * (gi_bench_series_max(&a->ms) - gi_bench_series_min(&a->ms)) /
               gi_bench_series_median(&a->ms),
           a->usage.prompt_tokens, a->usage.completion_tokens,
           t->decode_image_ms + t->preprocess_ms, t->encode_ms, t->prefill_ms, t->decode_ms);
}

static void print_text(const model_bench *b) {
    gi_bench_card_print(&b->card);
    if (!b->no_ceilings) gi_bench_ceilings_print(&b->ceilings);
    printf("\n%s on %s, weights %s\n", b->args.dir, b->rig.dev->description,
           gi_bench_rig_format(&b->rig));
    printf("  loaded in %.0f ms", b->rig.load_ms);
    if (!b->whole) /* else the model is in memory twice */
        printf("; peak memory %.1f MiB", (double)peak_bytes() / (1024.0 * 1024.0));
    putchar('\n');
    printf("\n  %-24s%16s  %7s%16s\n", "medians", "", "spread", "");
    for (size_t i = 0; i < b->n_items; i++) print_item(b, &b->items[i]);
    for (size_t i = 0; i < b->pictures.n; i++) print_audit(&b->audits[i]);
    printf("\nDecode: %" PRId64 " tokens of each sequence after %" PRId64
           "; GB/s counts weights alone.\n",
           b->decode_tokens, b->decode_past);
}

static json_t *item_json(const model_bench *b, const item *it) {
    static const char *const works[] = {"prefill", "decode", "vision"};
    const double ms = gi_bench_series_median(&it->ms), tokens = item_tokens(b, it);
    const double gops = item_ops(b, it) / ms * 1e-6, gb = item_weight_bytes(b, it) / ms * 1e-6;
    json_t *o =
        json_pack("{ss sI sf so sf sf}", "work", works[it->work], "size", (json_int_t)it->size,
                  "tokens", tokens, "ms", gi_bench_series_json(&it->ms), "tokens_per_s",
                  tokens / ms * 1e3, "gops_per_s", gops);
    const int i = item_ceiling(b, it);
    if (i >= 0) {
        json_object_set_new(o, "ceiling", json_string(gi_peaks[i].key));
        json_object_set_new(o, "of_ceiling",
                            json_real(gops / gi_bench_series_median(&b->ceilings.all[i])));
    }
    if (gb > 0) json_object_set_new(o, "weight_gb_per_s", json_real(gb));
    if (gb > 0 && i >= 0)
        json_object_set_new(o, "of_reading",
                            json_real(gb / gi_bench_ceilings_read_gb_per_s(&b->ceilings)));
    return o;
}

static json_t *report_json(const model_bench *b) {
    json_t *items = json_array();
    for (size_t i = 0; i < b->n_items; i++)
        json_array_append_new(items, item_json(b, &b->items[i]));
    json_t *audits = json_array();
    for (size_t i = 0; i < b->pictures.n; i++)
        json_array_append_new(audits, gi_bench_audit_json(&b->audits[i]));
    json_t *report = json_pack("{ss so ss ss ss sf sI sI sI so so}", "kind", "model", "card",
                               gi_bench_card_json(&b->card), "model", b->args.dir, "device",
                               b->rig.dev->description, "dtype", gi_bench_rig_format(&b->rig),
                               "load_ms", b->rig.load_ms, "peak_bytes", (json_int_t)peak_bytes(),
                               "decode_past", (json_int_t)b->decode_past, "decode_tokens",
                               (json_int_t)b->decode_tokens, "items", items, "audits", audits);
    if (!b->no_ceilings)
        json_object_set_new(report, "ceilings", gi_bench_ceilings_json(&b->ceilings));
    return report;
}

/* ---- the command ---- */

static const char ABOUT[] =
    "Measures the parts of a model, each alone, with random tokens and pixels: prefill of a "
    "prompt,\n"
    "decoding of one and of several sequences together, and the vision tower; beside the ceilings\n"
    "of this machine. Lists: repeat the option; 0 leaves the part out.\n";

static const char FOOTER[] =
    "Examples:\n"
    "  glint bench model\n"
    "  glint bench model ~/GLM-4.6V-Flash --prefill 512 --decode 1 --decode 8 --pixels 0\n"
    "  glint bench model --cpu-mask avx2 --json > avx2.json\n\n"
    "Exit status: 0 measured, 2 wrong use, 4 the model cannot be loaded, 5 out of memory.\n";

#define AT(member) offsetof(model_bench, member)

static const gi_option ROWS[] = {
    {.name = "prefill",
     .kind = GI_OPTION_LIST,
     .offset = AT(prefill),
     .value = "N",
     .help = "prompts of N tokens",
     .unset = "128, 512"},
    {.name = "decode",
     .kind = GI_OPTION_LIST,
     .offset = AT(decode),
     .value = "N",
     .help = "N sequences together",
     .unset = "1, 4, 8, 16"},
    {.name = "pixels",
     .kind = GI_OPTION_LIST,
     .offset = AT(pixels),
     .value = "N",
     .help = "square pictures of N pixels a side",
     .unset = "224, 336, 448, 1024"},
    {.name = "picture",
     .kind = GI_OPTION_LIST,
     .offset = AT(pictures),
     .value = "FILE",
     .help = "whole audits of this picture, one at a time"},
    {.name = "decode-past",
     .kind = GI_OPTION_INT,
     .offset = AT(decode_past),
     .value = "N",
     .fallback = "128",
     .min = 0,
     .max = 1 << 16,
     .help = "tokens a sequence has before decoding"},
    {.name = "decode-tokens",
     .kind = GI_OPTION_INT,
     .offset = AT(decode_tokens),
     .value = "N",
     .fallback = "64",
     .min = 1,
     .max = 1 << 16,
     .help = "tokens decoded of each sequence in one run"},
    {.name = "no-ceilings",
     .kind = GI_OPTION_SWITCH,
     .offset = AT(no_ceilings),
     .help = "do not measure the machine first"},
};

static gi_options describe(void *state) {
    model_bench *b = state;
    return (gi_options){.command = "bench model",
                        .usage = "glint bench model [OPTION]... [DIR]",
                        .about = ABOUT,
                        .footer = FOOTER,
                        .groups = {GI_OPTION_GROUP(ROWS, b), gi_bench_common_options(&b->common),
                                   gi_engine_args_options(&b->args)},
                        .operands_max = 1};
}

static int run(void *state, const gi_options *o, glint_error *err) {
    model_bench *b = state;
    if (o->n_operands) b->args.model = o->operands[0];
    if (gi_bench_card_read((int)b->args.threads, b->args.cpu_mask, &b->card, err) != GLINT_OK ||
        list_items(b, err) != GLINT_OK)
        return gi_command_fail("bench model", GI_EXIT_USAGE, err);
    if (!b->no_ceilings &&
        gi_bench_ceilings_measure(&b->card, CEILING_ROUNDS, CEILING_SAMPLE_MS,
                                  (size_t)CEILING_READ_MB << 20, &b->ceilings, err) != GLINT_OK)
        return gi_command_fail("bench model", GI_EXIT_INTERNAL, err);
    if (load(b, err) != GLINT_OK) return gi_command_fail("bench model", GI_EXIT_MODEL, err);
    if (measure(b, err) != GLINT_OK) return gi_command_fail("bench model", GI_EXIT_INPUT, err);
    if (b->common.json) return gi_command_print_json(report_json(b), GI_BENCH_JSON_INDENT);
    print_text(b);
    return GI_EXIT_OK;
}

static void done(void *state) {
    model_bench *b = state;
    gi_bench_rig_done(&b->rig);
    for (size_t i = 0; i < b->pictures.n; i++) gi_bench_audit_done(&b->audits[i]);
    glint_engine_close(b->whole);
}

int gi_bench_model(int argc, char **argv) {
    static const gi_bench_spec spec = {sizeof(model_bench), describe, run, done};
    return gi_bench_main(&spec, argc, argv);
}
