/*
 * glint ask: one question about one or more pictures, answered on the terminal as it comes.
 * Everything goes through the public header, as in any other program that uses the library; only
 * the JSON answer is the server's, so that both look the same.
 */
#include "ask_args.h"
#include "interrupt.h"
#include "pictures.h"

#include "base/clock.h"
#include "image/prepare.h"
#include "server/reply.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { JSON_BYTES_MAX = 16 * 1024 * 1024 };

static const char ABOUT[] =
    "Asks a model about pictures and prints its answer as it is written. An argument is a picture\n"
    "if it exists or looks like a path; `-` reads one from standard input. The last argument,\n"
    "otherwise, is the question. Pictures are JPEG, PNG, WebP or GIF (first frame).\n";

static const char FOOTER[] =
    "Examples:\n"
    "  glint ask photo.jpg 'What is in this picture?'\n"
    "  glint ask --task audit --json listing.png\n"
    "  curl -s https://example.com/a.png | glint ask - 'Read the text.'\n"
    "  glint ask --timings before.jpg after.jpg 'What changed?'\n\n"
    "Exit status: 0 answered, 1 fault of glint or the output cannot be written, 2 wrong use,\n"
    "3 a picture or the question cannot be read or is refused, 4 the model cannot be loaded,\n"
    "5 out of memory, 6 --timeout passed, 130 interrupted.\n";

/* A run, from first to last byte. */
typedef struct ask_run {
    gi_ask_args *args;
    gi_pictures pictures;
    const char *question;
    const char *task;
    glint_engine *engine;
    gi_interrupt interrupt;
    double load_ms, total_ms;
    char last_byte; /* of what was printed; to end the line once */
    bool output_failed;
} ask_run;

/* ---- terminal ---- */

static void show_progress(void *ctx, double fraction, const char *what) {
    (void)ctx;
    fprintf(stderr, "\r\033[K%3.0f %%  %s", fraction * 100.0, what);
    fflush(stderr);
}

static void clear_progress(void) {
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

static bool print_piece(void *ctx, const char *piece, size_t n_bytes) {
    ask_run *run = ctx;
    run->last_byte = piece[n_bytes - 1];
    if (fwrite(piece, 1, n_bytes, stdout) == n_bytes && fflush(stdout) == 0) return true;
    run->output_failed = true;
    return false;
}

static void print_rate(const char *name, double ms, int n_tokens) {
    fprintf(stderr, "  %-14s%10.1f ms", name, ms);
    if (n_tokens > 0 && ms > 0)
        fprintf(stderr, "  %6d tokens, %.0f a second", n_tokens, n_tokens * 1000.0 / ms);
    fputc('\n', stderr);
}

static void print_timings(const ask_run *run, const glint_result *r) {
    const glint_timing *t = &r->timing;
    fprintf(stderr, "\n%s, %s\n", glint_engine_get_info(run->engine)->model_name,
            glint_engine_get_info(run->engine)->device);
    print_rate("load", run->load_ms, 0);
    print_rate("decode image", t->decode_image_ms, 0);
    print_rate("preprocess", t->preprocess_ms, 0);
    print_rate("encode", t->encode_ms, r->usage.image_tokens);
    print_rate("prefill", t->prefill_ms, r->usage.prompt_tokens);
    print_rate("decode", t->decode_ms, r->usage.completion_tokens);
    print_rate("total", run->total_ms, 0);
    fprintf(stderr, "  %-14s%10.2f\n", "confidence", r->confidence);
}

/* ---- the answer ---- */

static int finish_text(ask_run *run, const glint_result *r) {
    if (run->last_byte != '\n') putchar('\n');
    if (gi_command_end_output(GI_EXIT_OK) != GI_EXIT_OK) return GI_EXIT_INTERNAL;
    if (run->args->thinking && r->reasoning) fprintf(stderr, "(%s)\n", r->reasoning);
    if (r->finish == GLINT_FINISH_LENGTH)
        fprintf(stderr, "glint ask: cut off after %d tokens; --max-tokens allows more\n",
                r->usage.completion_tokens);
    if (r->finish == GLINT_FINISH_INVALID)
        fprintf(stderr, "glint ask: the answer has not the form that task \"%s\" asks for\n",
                run->task);
    return GI_EXIT_OK;
}

static int finish_json(const ask_run *run, const glint_result *r) {
    const gi_reply answer = {.id = "ask",
                             .model = glint_engine_get_info(run->engine)->model_name,
                             .task = run->task,
                             .results = {r},
                             .n_choices = 1,
                             .total_ms = run->total_ms};
    glint_error err = {0};
    gi_buf json;
    gi_buf_init(&json, JSON_BYTES_MAX);
    int code;
    if (gi_infer_form.whole(&answer, &json, &err) == GLINT_OK) {
        puts((const char *)json.data);
        code = gi_command_end_output(GI_EXIT_OK);
    } else {
        code = gi_command_fail("ask", GI_EXIT_INTERNAL, &err);
    }
    gi_buf_done(&json);
    return code;
}

static int run_failed(const ask_run *run, const glint_error *err) {
    if (run->last_byte && run->last_byte != '\n') putchar('\n');
    fflush(stdout);
    if (err->code == GLINT_ERR_CANCELLED)
        return run->output_failed ? GI_EXIT_INTERNAL : GI_EXIT_INTERRUPTED;
    return gi_command_fail(
        "ask", err->code == GLINT_ERR_DEADLINE ? GI_EXIT_DEADLINE : GI_EXIT_INTERNAL, err);
}

static glint_request make_request(const ask_run *run, glint_image images[GLINT_IMAGES_MAX]) {
    const gi_ask_args *a = run->args;
    for (size_t i = 0; i < run->pictures.n; i++)
        images[i] = (glint_image){.bytes = run->pictures.files[i].data,
                                  .n_bytes = run->pictures.files[i].len};
    return (glint_request){.images = images,
                           .n_images = run->pictures.n,
                           .prompt = run->question ? run->question : "",
                           .task = run->task,
                           .max_tokens = (int)a->max_tokens,
                           .temperature = a->temperature,
                           .top_p = a->top_p,
                           .top_k = (int)a->top_k,
                           .seed = (uint64_t)a->seed,
                           .stops = a->stops.values,
                           .n_stops = a->stops.n,
                           .timeout_ms = (double)a->timeout_ms,
                           .thinking = a->thinking};
}

/* The first picture that is refused when it stands alone; its name goes before the message. */
static const char *find_refused(const ask_run *run, const glint_request *request) {
    for (size_t i = 0; i < run->pictures.n; i++) {
        glint_request one = *request;
        glint_job *job = NULL;
        one.images = &request->images[i];
        one.n_images = 1;
        if (glint_job_create(run->engine, &one, &job, NULL) != GLINT_OK)
            return run->pictures.names[i];
        glint_job_free(job);
    }
    return NULL;
}

static int unknown_task(const ask_run *run) {
    char names[256] = "";
    size_t len = 0;
    glint_task_info task;
    glint_tasks *tasks = glint_engine_tasks(run->engine);
    for (size_t i = 0; len < sizeof names && glint_tasks_get(tasks, i, &task); i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "", task.name);
    glint_tasks_unref(tasks);
    glint_error err;
    gi_fail(&err, GLINT_ERR_ARG, "no task is called \"%.60s\"; there are %s", run->task, names);
    return gi_command_fail("ask", GI_EXIT_USAGE, &err);
}

static int create_failed(const ask_run *run, const glint_request *request, const glint_error *err) {
    const char *param = err->param ? err->param : "";
    if (strcmp(param, "image") == 0) {
        const char *name = find_refused(run, request);
        glint_error named = *err;
        if (name) gi_fail(&named, err->code, "%.150s: %s", name, err->message);
        return gi_command_fail("ask", GI_EXIT_INPUT, &named);
    }
    if (strcmp(param, "task") == 0) return unknown_task(run);
    const bool is_option = err->code == GLINT_ERR_ARG && strcmp(param, "prompt") != 0;
    return gi_command_fail("ask", is_option ? GI_EXIT_USAGE : GI_EXIT_INPUT, err);
}

static int answer(ask_run *run) {
    glint_image images[GLINT_IMAGES_MAX];
    const glint_request request = make_request(run, images);
    glint_error err = {0};
    glint_job *job = NULL;
    const double start_ms = gi_clock_ms();
    if (glint_job_create(run->engine, &request, &job, &err) != GLINT_OK)
        return create_failed(run, &request, &err);
    gi_interrupt_set_job(&run->interrupt, job);
    const glint_status st = glint_job_run(job, run->args->json ? NULL : print_piece, run, &err);
    gi_interrupt_set_job(&run->interrupt, NULL);
    run->total_ms = gi_clock_ms() - start_ms;
    const glint_result *r = glint_job_result(job);
    int code;
    if (st != GLINT_OK)
        code = run_failed(run, &err);
    else
        code = run->args->json ? finish_json(run, r) : finish_text(run, r);
    if (code == GI_EXIT_OK && run->args->timings) print_timings(run, r);
    glint_job_free(job);
    return code;
}

/* ---- loading ---- */

static glint_status load(ask_run *run, glint_error *err) {
    const bool is_terminal = isatty(STDERR_FILENO) == 1;
    glint_engine_options options;
    GI_TRY(gi_engine_args_resolve(&run->args->engine, &options, err));
    options.on_progress = is_terminal ? show_progress : NULL;
    const double start_ms = gi_clock_ms();
    const glint_status st = glint_engine_open(&options, &run->engine, err);
    run->load_ms = gi_clock_ms() - start_ms;
    if (is_terminal) clear_progress();
    return st;
}

/* Pictures before the model: a wrong path is said at once, not after loading 20 GB. */
static int ask(ask_run *run, const gi_options *o) {
    const gi_ask_args *a = run->args;
    glint_error err = {0};
    size_t n_pictures;
    if (gi_pictures_split(o->operands, o->n_operands, a->prompt == NULL, &n_pictures,
                          &run->question, &err) != GLINT_OK)
        return gi_command_fail("ask", GI_EXIT_INPUT, &err);
    if (a->prompt) run->question = a->prompt;
    if (n_pictures == 0 && !a->prompt) {
        gi_fail(&err, GLINT_ERR_ARG,
                "no picture given; see glint ask --help (a question without one: --prompt)");
        return gi_command_fail("ask", GI_EXIT_USAGE, &err);
    }
    run->task = a->task ? a->task : run->question ? "ask" : "describe";
    if (gi_pictures_read(&run->pictures, o->operands, n_pictures,
                         gi_image_limits_default().file_bytes_max, &err) != GLINT_OK)
        return gi_command_fail("ask", GI_EXIT_INPUT, &err);
    if (gi_interrupt_init(&run->interrupt, &err) != GLINT_OK)
        return gi_command_fail("ask", GI_EXIT_INTERNAL, &err);
    int code;
    if (load(run, &err) == GLINT_OK)
        code = answer(run);
    else /* what the engine calls a wrong value was an option here */
        code =
            gi_command_fail("ask", err.code == GLINT_ERR_ARG ? GI_EXIT_USAGE : GI_EXIT_MODEL, &err);
    glint_engine_close(run->engine);
    if (gi_interrupt_done(&run->interrupt)) code = GI_EXIT_INTERRUPTED;
    return code;
}

int gi_command_ask(int argc, char **argv) {
    gi_ask_args a = {0};
    gi_options o = {.command = "ask",
                    .usage = "glint ask [OPTION]... PICTURE... [QUESTION]",
                    .about = ABOUT,
                    .footer = FOOTER,
                    .groups = {gi_ask_args_options(&a), gi_engine_args_options(&a.engine)},
                    .operands_max = GI_OPTION_VALUES_MAX};
    int code = GI_EXIT_OK;
    if (!gi_command_begin(&o, argc, argv, &code)) return code;
    ask_run run = {.args = &a};
    code = ask(&run, &o);
    gi_pictures_done(&run.pictures);
    gi_options_done(&o);
    return code;
}
