/*
 * glint bench loss: what a number format costs in answers. Every question of a scene list is
 * answered twice: by the reference format, and by the format in question. Then the reference's
 * own answer is fed to both, token by token, and their next-token distributions are compared.
 */
#include "bench.h"

#include "engine_args.h"

#include "base/alloc.h"
#include "engine/job.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_TOKENS_MAX = 160, LINE_BYTES_MAX = 64 * 1024, PICTURE_BYTES_MAX = 16 << 20 };

/* Counts over some of the questions. */
typedef struct tally {
    size_t n, equal, label_n, label_equal;
    size_t steps;
    double kl_sum, kl_worst;
} tally;

typedef struct loss_bench {
    bool json;
    gi_engine_args args;
    const char *against, *scenes;
    int64_t limit;
    glint_engine *reference, *candidate;
    tally total;
} loss_bench;

/* A line of the list: picture, task, question and answer, separated by tabs; \n stands for a line
 * feed. The answer, which the scene's maker knows, is not looked at here. */
typedef struct scene {
    char *picture, *kind, *question;
} scene;

static bool split_scene(char *line, scene *ret) {
    char *field[4] = {line}, *p = line;
    for (int i = 1; i < 4; i++) {
        p = strchr(p, '\t');
        if (!p) return false;
        *p++ = '\0';
        field[i] = p;
    }
    char *to = field[2];
    for (const char *from = field[2]; *from; from++) {
        const bool is_line_feed = from[0] == '\\' && from[1] == 'n';
        *to++ = is_line_feed ? '\n' : *from;
        from += is_line_feed;
    }
    *to = '\0';
    *ret = (scene){.picture = field[0], .kind = field[1], .question = field[2]};
    return true;
}

static glint_status make_job(glint_engine *e, const scene *s, const gi_buf *picture,
                             glint_job **ret, glint_error *err) {
    const glint_image image = {.bytes = picture->data, .n_bytes = picture->len};
    const glint_request r = {.images = &image,
                             .n_images = 1,
                             .prompt = s->question,
                             .task = strcmp(s->kind, "audit") == 0 ? "audit" : "ask",
                             .max_tokens = ANSWER_TOKENS_MAX};
    return glint_job_create(e, &r, ret, err);
}

/* Kullback-Leibler divergence of the candidate's next token from the reference's, in nats. */
static double divergence(const loss_bench *b) {
    const size_t n = (size_t)gi_tokenizer_count(b->reference->tokenizer);
    const float *p = gi_engine_logits(b->reference, 0), *q = gi_engine_logits(b->candidate, 0);
    const double sum_p = gi_logits_log_sum(p, n), sum_q = gi_logits_log_sum(q, n);
    double kl = 0;
    for (size_t i = 0; i < n; i++) {
        /* Rounded to a float, as in all figures so far. */
        const double log_p = (double)(float)((double)p[i] - sum_p);
        kl += exp(log_p) * (log_p - ((double)q[i] - sum_q));
    }
    return fmax(kl, 0);
}

/* Feed the reference's greedy answer to both engines and sum their divergence. */
static glint_status compare_steps(loss_bench *b, glint_job *ref, glint_job *cand,
                                  glint_error *err) {
    glint_status st;
    GI_TRY(gi_job_begin(ref, err));
    if ((st = gi_job_begin(cand, err)) != GLINT_OK) {
        gi_job_end(ref);
        return st;
    }
    for (int n = 0; n < ANSWER_TOKENS_MAX && st == GLINT_OK; n++) {
        const double kl = divergence(b);
        b->total.kl_sum += kl;
        b->total.kl_worst = fmax(b->total.kl_worst, kl);
        b->total.steps++;
        const int32_t id = gi_sampler_next(&ref->sampler, gi_engine_logits(b->reference, 0), NULL);
        if (gi_engine_is_eos(b->reference, id)) break;
        st = gi_job_feed(ref, id, err);
        if (st == GLINT_OK) st = gi_job_feed(cand, id, err);
    }
    gi_job_end(cand);
    gi_job_end(ref);
    return st;
}

/* The verdict's label: the value of "result", as long as it may be compared. */
static void label_of(const glint_result *r, char out[32]) {
    out[0] = '\0';
    json_t *v = r->data_json ? json_loads(r->data_json, 0, NULL) : NULL;
    const char *label = json_string_value(json_object_get(v, "result"));
    if (label) snprintf(out, 32, "%s", label);
    json_decref(v);
}

static glint_status run_answers(loss_bench *b, const scene *s, const gi_buf *picture,
                                glint_error *err) {
    glint_job *ref = NULL, *cand = NULL;
    glint_status st;
    GI_TRY_DONE(make_job(b->reference, s, picture, &ref, err));
    GI_TRY_DONE(make_job(b->candidate, s, picture, &cand, err));
    GI_TRY_DONE(glint_job_run(ref, NULL, NULL, err));
    GI_TRY_DONE(glint_job_run(cand, NULL, NULL, err));
    const glint_result *a = glint_job_result(ref), *c = glint_job_result(cand);
    b->total.n++;
    b->total.equal += strcmp(a->text, c->text) == 0;
    if (strcmp(s->kind, "audit") == 0) {
        char label_a[32], label_c[32];
        label_of(a, label_a);
        label_of(c, label_c);
        b->total.label_n++;
        b->total.label_equal += strcmp(label_a, label_c) == 0;
    }
done:
    glint_job_free(cand);
    glint_job_free(ref);
    return st;
}

static glint_status run_scene(loss_bench *b, const scene *s, glint_error *err) {
    gi_buf picture;
    glint_job *ref = NULL, *cand = NULL;
    glint_status st;
    gi_buf_init(&picture, PICTURE_BYTES_MAX);
    GI_TRY_DONE(gi_file_read(s->picture, &picture, err));
    GI_TRY_DONE(run_answers(b, s, &picture, err));
    GI_TRY_DONE(make_job(b->reference, s, &picture, &ref, err));
    GI_TRY_DONE(make_job(b->candidate, s, &picture, &cand, err));
    GI_TRY_DONE(compare_steps(b, ref, cand, err));
done:
    glint_job_free(cand);
    glint_job_free(ref);
    gi_buf_done(&picture);
    return st;
}

static glint_status run_list(loss_bench *b, glint_error *err) {
    FILE *f = fopen(b->scenes, "re");
    char *line = gi_alloc(LINE_BYTES_MAX);
    glint_status st = GLINT_OK;
    if (!f) st = gi_fail(err, GLINT_ERR_IO, "%s cannot be read", b->scenes);
    if (!line) st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for a line");
    while (st == GLINT_OK && b->total.n < (size_t)b->limit && fgets(line, LINE_BYTES_MAX, f)) {
        scene s;
        line[strcspn(line, "\n")] = '\0';
        st = split_scene(line, &s)
                 ? run_scene(b, &s, err)
                 : gi_fail(err, GLINT_ERR_FORMAT, "%s: line %zu has not four fields", b->scenes,
                           b->total.n + 1);
    }
    if (st == GLINT_OK && b->total.n == 0)
        st = gi_fail(err, GLINT_ERR_FORMAT, "%s: no scene", b->scenes);
    gi_free(line);
    if (f) fclose(f);
    return st;
}

/* ---- report --------------------------------------------------------------------------------- */

static int print_report(const loss_bench *b) {
    const tally *t = &b->total;
    const double mean_kl = t->steps ? t->kl_sum / (double)t->steps : 0;
    if (b->json)
        return gi_command_print_json(
            json_pack("{ss ss ss ss sI sI sI sI sI sf sf}", "kind", "loss", "model", b->args.dir,
                      "dtype", b->args.dtype, "against", b->against, "scenes", (json_int_t)t->n,
                      "equal", (json_int_t)t->equal, "verdicts", (json_int_t)t->label_n,
                      "labels_equal", (json_int_t)t->label_equal, "steps", (json_int_t)t->steps,
                      "mean_kl", mean_kl, "worst_kl", t->kl_worst),
            GI_BENCH_JSON_INDENT);
    printf("%s: %s (KV %s) against %s, %zu scenes\n\n", b->args.dir, b->args.dtype,
           b->args.kv_dtype, b->against, t->n);
    printf("  answers equal      %6zu of %zu   %6.2f %%\n", t->equal, t->n,
           100.0 * (double)t->equal / (double)t->n);
    if (t->label_n)
        printf("  verdicts equal     %6zu of %zu   %6.2f %%\n", t->label_equal, t->label_n,
               100.0 * (double)t->label_equal / (double)t->label_n);
    printf("  divergence of the next token: mean %.2e nats over %zu steps, largest %.2e\n", mean_kl,
           t->steps, t->kl_worst);
    return GI_EXIT_OK;
}

static glint_status load(loss_bench *b, glint_error *err) {
    glint_engine_options o = {0};
    GI_TRY(gi_engine_args_resolve(&b->args, &o, err));
    o.context_tokens_max = 2048;
    GI_TRY(glint_engine_open(&o, &b->candidate, err));
    o.kv_dtype = GLINT_DTYPE_AUTO;
    o.dtype = strcmp(b->against, "f32") == 0 ? GLINT_DTYPE_F32 : GLINT_DTYPE_BF16;
    return glint_engine_open(&o, &b->reference, err);
}

static int run(void *state, const gi_options *o, glint_error *err) {
    loss_bench *b = state;
    if (o->n_operands) b->args.model = o->operands[0];
    if (!b->scenes) {
        gi_fail(err, GLINT_ERR_ARG, "--scenes says which questions to ask");
        return gi_command_fail("bench loss", GI_EXIT_USAGE, err);
    }
    if (load(b, err) != GLINT_OK) return gi_command_fail("bench loss", GI_EXIT_MODEL, err);
    if (run_list(b, err) != GLINT_OK) return gi_command_fail("bench loss", GI_EXIT_INPUT, err);
    return print_report(b);
}

static void done(void *state) {
    loss_bench *b = state;
    glint_engine_close(b->reference);
    glint_engine_close(b->candidate);
}

#define AT(member) offsetof(loss_bench, member)

static const gi_option ROWS[] = {
    {.name = "scenes",
     .kind = GI_OPTION_TEXT,
     .offset = AT(scenes),
     .value = "FILE",
     .help = "questions, a line each: PICTURE, KIND, QUESTION and ANSWER\n"
             "between tabs, as train/scenes writes them; required"},
    {.name = "against",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(against),
     .choices = "bf16|f32",
     .fallback = "bf16",
     .help = "the reference's number format"},
    {.name = "limit",
     .kind = GI_OPTION_INT,
     .offset = AT(limit),
     .value = "N",
     .fallback = "1000000",
     .min = 1,
     .max = 1000000,
     .help = "most questions to ask"},
    {.name = "json",
     .letter = 'j',
     .kind = GI_OPTION_SWITCH,
     .offset = AT(json),
     .help = "the same as JSON"},
};

static gi_options describe(void *state) {
    loss_bench *b = state;
    return (gi_options){
        .command = "bench loss",
        .usage = "glint bench loss --scenes FILE [OPTION]... [DIR]",
        .about = "Measures what the number format --dtype costs in answers, against a reference "
                 "format.\n",
        .footer = "Exit status: 0 measured, 2 wrong use, 3 a scene cannot be read, 4 the model "
                  "cannot be loaded.\n",
        .groups = {GI_OPTION_GROUP(ROWS, b), gi_engine_args_options(&b->args)},
        .operands_max = 1};
}

int gi_bench_loss(int argc, char **argv) {
    static const gi_bench_spec spec = {sizeof(loss_bench), describe, run, done};
    return gi_bench_main(&spec, argc, argv);
}
