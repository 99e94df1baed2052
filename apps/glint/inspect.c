/*
 * glint inspect: opens a checkpoint as the engine would, so that what it reports was checked, and
 * says in parameters and bytes what it is and what serving it would take. Reads no weight.
 */
#include "engine_args.h"
#include "machine.h"
#include "needs.h"

#include "base/clock.h"
#include "model/checkpoint.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

enum { JSON_INDENT_COLUMNS = 2 };

static const char ABOUT[] =
    "Says what a checkpoint is: architecture, parameters, number formats, and the memory a server\n"
    "needs for it. Checks every setting and the name, shape and format of every weight.\n";

static const char FOOTER[] =
    "Examples:\n"
    "  glint inspect\n"
    "  glint inspect ~/GLM-4.6V-Flash --seqs 16 --tokens 4096\n"
    "  glint inspect --json | jq .memory.total_bytes\n\n"
    "Exit status: 0 the checkpoint is sound, 2 wrong use, 4 it is not, 5 out of memory.\n";

/* What the options say. */
typedef struct inspect_args {
    const char *model, *dtype, *kv_dtype;
    int64_t n_seqs, n_tokens, max_side;
    bool json;
} inspect_args;

/* ---- for people ---- */

/* 1234567 as "1,234,567". */
static const char *grouped(char out[32], uint64_t n) {
    char digits[24];
    const int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *p = out;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) *p++ = ',';
        *p++ = digits[i];
    }
    *p = '\0';
    return out;
}

static const char *mebibytes(char out[32], uint64_t bytes) {
    const double mib = (double)bytes / (1024.0 * 1024.0);
    if (mib < 10240.0)
        snprintf(out, 32, "%.1f MiB", mib);
    else
        snprintf(out, 32, "%.1f GiB", mib / 1024.0);
    return out;
}

static void print_part(const char *name, uint64_t params, uint64_t total) {
    char n[32];
    if (params)
        printf("  %-28s%16s  %5.1f %%\n", name, grouped(n, params),
               100.0 * (double)params / (double)total);
}

static void print_parts(const gi_checkpoint *k) {
    const gi_checkpoint_sizes *z = &k->sizes;
    const gi_config *c = &k->config;
    char name[64];
    printf("\nParameters\n");
    print_part(c->text.tied_head ? "embedding, also the head" : "embedding", z->embed_params,
               z->total_params);
    snprintf(name, sizeof name, "decoder, %zu layers", c->text.n_layers);
    print_part(name, z->text_params, z->total_params);
    print_part("head", z->head_params, z->total_params);
    snprintf(name, sizeof name, "vision tower, %zu blocks", c->vision.depth);
    print_part(name, z->vision_params, z->total_params);
    print_part("merger", z->merger_params, z->total_params);
    print_part("total", z->total_params, z->total_params);
    printf("\nNumber formats\n");
    const struct {
        const char *name;
        uint64_t bytes;
    } formats[] = {{"BF16", z->bf16_bytes},
                   {"F16", z->f16_bytes},
                   {"F32", z->f32_bytes},
                   {"INT8", z->int8_bytes}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].bytes) {
            char n[32];
            printf("  %-28s%16s\n", formats[i].name, mebibytes(n, formats[i].bytes));
        }
}

/* Visual tokens of the smallest and largest picture. */
static uint64_t visual_tokens(const gi_image_spec *s, uint64_t pixels) {
    const uint64_t side = (uint64_t)s->patch_px * s->merge;
    return pixels / (s->temporal * side * side);
}

static void print_shape(const gi_config *c) {
    const gi_text_config *t = &c->text;
    const gi_vision_config *v = &c->vision;
    char n[32];
    printf("\nDecoder   %zu wide, MLP %zu, %zu heads of %zu sharing %zu KV heads\n", t->hidden,
           t->ffn, t->n_heads, t->head_dim, t->n_kv_heads);
    printf(
        "          %zu of %zu dimensions rotated (time %zu, row %zu, column %zu pairs), base %g\n",
        t->rotary_dim, t->head_dim, t->mrope_section[0], t->mrope_section[1], t->mrope_section[2],
        t->rope_theta);
    printf("          vocabulary %s", grouped(n, t->vocab));
    printf(", up to %s tokens\n", grouped(n, t->positions_max));
    printf("Vision    %zu wide, %zu heads of %zu, patches of %zu px merged %zux%zu\n", v->hidden,
           v->n_heads, v->head_dim, v->patch, v->merge, v->merge);
    printf("          a picture becomes %" PRIu64 " to %" PRIu64 " tokens\n",
           visual_tokens(&c->image, c->image.pixels_min),
           visual_tokens(&c->image, c->image.pixels_max));
}

static void print_memory(const gi_needs *n, const gi_machine_memory *m) {
    char a[32];
    printf("\nMemory to serve %" PRId64 " sequence%s of %s tokens\n", n->n_seqs,
           n->n_seqs == 1 ? "" : "s", grouped(a, (uint64_t)n->n_tokens));
    printf("  %-28s%16s\n", "weights as used", mebibytes(a, n->weights));
    printf("  %-28s%16s\n", "KV cache", mebibytes(a, n->kv));
    printf("  %-28s%16s\n", "working memory", mebibytes(a, n->scratch));
    printf("  %-28s%16s\n", "total", mebibytes(a, n->total));
    if (m->available_bytes == 0) {
        printf("This machine does not say how much memory is free.\n");
        return;
    }
    printf("  %-28s%16s  %s\n",
           m->limit_bytes < m->system_bytes ? "free below the container limit" : "free here",
           mebibytes(a, m->available_bytes),
           n->total <= m->available_bytes ? "enough" : "NOT ENOUGH");
}

static void print_text(const char *dir, const gi_checkpoint *k, const gi_needs *n,
                       const gi_machine_memory *m, double open_ms) {
    const gi_checkpoint_sizes *z = &k->sizes;
    char bytes[32];
    printf("%s\n%s, %.2f %s parameters, %s in %zu tensors and %zu file%s (opened in %.1f ms)\n",
           dir, k->config.architecture,
           (double)z->total_params / (z->total_params >= 1000000000 ? 1e9 : 1e6),
           z->total_params >= 1000000000 ? "G" : "M", mebibytes(bytes, z->total_bytes),
           z->n_tensors, z->n_files, z->n_files == 1 ? "" : "s", open_ms);
    print_shape(&k->config);
    print_parts(k);
    print_memory(n, m);
}

/* ---- for programs ---- */

static json_t *text_json(const gi_text_config *t) {
    return json_pack(
        "{sI sI sI sI sI sI sI sI sI s[III] sf sf sb sb}", "hidden", (json_int_t)t->hidden,
        "layers", (json_int_t)t->n_layers, "heads", (json_int_t)t->n_heads, "kv_heads",
        (json_int_t)t->n_kv_heads, "head_dim", (json_int_t)t->head_dim, "ffn", (json_int_t)t->ffn,
        "vocab", (json_int_t)t->vocab, "positions_max", (json_int_t)t->positions_max, "rotary_dim",
        (json_int_t)t->rotary_dim, "mrope_section", (json_int_t)t->mrope_section[0],
        (json_int_t)t->mrope_section[1], (json_int_t)t->mrope_section[2], "rope_theta",
        t->rope_theta, "rms_eps", (double)t->rms_eps, "qkv_bias", (int)t->qkv_bias, "tied_head",
        (int)t->tied_head);
}

static json_t *vision_json(const gi_config *c) {
    const gi_vision_config *v = &c->vision;
    return json_pack("{sI sI sI sI sI sI sI sI sI sI}", "hidden", (json_int_t)v->hidden, "depth",
                     (json_int_t)v->depth, "heads", (json_int_t)v->n_heads, "block_ffn",
                     (json_int_t)v->block_ffn, "merger_ffn", (json_int_t)v->merger_ffn, "patch_px",
                     (json_int_t)v->patch, "merge", (json_int_t)v->merge, "image_px",
                     (json_int_t)v->image_size, "tokens_min",
                     (json_int_t)visual_tokens(&c->image, c->image.pixels_min), "tokens_max",
                     (json_int_t)visual_tokens(&c->image, c->image.pixels_max));
}

static json_t *report_json(const char *dir, const gi_checkpoint *k, const gi_needs *n,
                           const gi_machine_memory *m) {
    const gi_checkpoint_sizes *z = &k->sizes;
    json_t *params =
        json_pack("{sI sI sI sI sI sI}", "embedding", (json_int_t)z->embed_params, "decoder",
                  (json_int_t)z->text_params, "head", (json_int_t)z->head_params, "vision",
                  (json_int_t)z->vision_params, "merger", (json_int_t)z->merger_params, "total",
                  (json_int_t)z->total_params);
    json_t *bytes = json_pack("{sI sI sI sI sI}", "bf16", (json_int_t)z->bf16_bytes, "int8",
                              (json_int_t)z->int8_bytes, "f16", (json_int_t)z->f16_bytes, "f32",
                              (json_int_t)z->f32_bytes, "total", (json_int_t)z->total_bytes);
    json_t *memory =
        json_pack("{sI sI sI sI sI sI sI sb}", "sequences", (json_int_t)n->n_seqs, "tokens",
                  (json_int_t)n->n_tokens, "weight_bytes", (json_int_t)n->weights, "kv_bytes",
                  (json_int_t)n->kv, "scratch_bytes", (json_int_t)n->scratch, "total_bytes",
                  (json_int_t)n->total, "available_bytes", (json_int_t)m->available_bytes, "enough",
                  (int)(n->total <= m->available_bytes));
    return json_pack("{ss ss sI sI so so so so so}", "directory", dir, "architecture",
                     k->config.architecture, "files", (json_int_t)z->n_files, "tensors",
                     (json_int_t)z->n_tensors, "decoder", text_json(&k->config.text), "vision",
                     vision_json(&k->config), "parameters", params, "bytes", bytes, "memory",
                     memory);
}

#define AT(member) offsetof(inspect_args, member)

static const gi_option ROWS[] = {
    {.name = "model",
     .letter = 'm',
     .kind = GI_OPTION_TEXT,
     .offset = AT(model),
     .value = "DIR",
     .help = GI_COMMAND_MODEL_HELP},
    {.name = "seqs",
     .kind = GI_OPTION_INT,
     .offset = AT(n_seqs),
     .value = "N",
     .fallback = "8",
     .min = 1,
     .max = 4096,
     .help = "sequences served at once"},
    {.name = "tokens",
     .kind = GI_OPTION_INT,
     .offset = AT(n_tokens),
     .value = "N",
     .fallback = "2048",
     .min = 1,
     .max = 1 << 20,
     .help = "tokens of each, prompt and answer"},
    {.name = "max-side",
     .kind = GI_OPTION_INT,
     .offset = AT(max_side),
     .value = "PX",
     .fallback = "1024",
     .min = 28,
     .max = 16384,
     .help = "longest side of a picture"},
    {.name = "dtype",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(dtype),
     .value = "FORMAT",
     .fallback = "auto",
     .choices = GI_ENGINE_ARGS_DTYPES,
     .help = "number format of the products"},
    {.name = "kv-dtype",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(kv_dtype),
     .value = "FORMAT",
     .fallback = "auto",
     .choices = GI_ENGINE_ARGS_KV_DTYPES,
     .help = "number format of the KV cache"},
    {.name = "json",
     .letter = 'j',
     .kind = GI_OPTION_SWITCH,
     .offset = AT(json),
     .help = "the same as JSON"},
};

int gi_command_inspect(int argc, char **argv) {
    inspect_args a = {0};
    gi_options o = {.command = "inspect",
                    .usage = "glint inspect [OPTION]... [DIR]",
                    .about = ABOUT,
                    .footer = FOOTER,
                    .groups = {GI_OPTION_GROUP(ROWS, &a)},
                    .operands_max = 1};
    int code = GI_EXIT_OK;
    if (!gi_command_begin(&o, argc, argv, &code)) return code;
    glint_error err = {0};
    gi_checkpoint *k = NULL;
    char dir[GI_PATH_BYTES];
    const double start_ms = gi_clock_ms();
    if (gi_command_model_dir(o.n_operands ? o.operands[0] : a.model, dir, &err) != GLINT_OK ||
        gi_checkpoint_open(dir, &k, &err) != GLINT_OK) {
        code = gi_command_fail("inspect", GI_EXIT_MODEL, &err);
        goto done;
    }
    const double open_ms = gi_clock_ms() - start_ms;
    const gi_needs n =
        gi_needs_compute(k, gi_engine_args_dtype(a.dtype), gi_engine_args_dtype(a.kv_dtype),
                         a.n_seqs, a.n_tokens, (uint32_t)a.max_side);
    const gi_machine_memory m = gi_machine_get_memory();
    if (a.json)
        code = gi_command_print_json(report_json(dir, k, &n, &m), JSON_INDENT_COLUMNS);
    else
        print_text(dir, k, &n, &m, open_ms);
    code = gi_command_end_output(code);
done:
    gi_checkpoint_close(k);
    gi_options_done(&o);
    return code;
}
