/*
 * A glint engine without a model, for the black-box tests of the server: the prompt is a script of
 * `key=value` separated by ';' that says what the engine should do, so that a test can ask for any
 * moment it wants to see.
 *
 *     run_ms=N        compute for N milliseconds
 *     prepare_ms=N    decode pictures for N milliseconds
 *     create=CODE     glint_job_create fails: arg, limit, limit_image, memory, busy, internal
 *     run=CODE        glint_job_run fails: deadline, memory, internal
 *     finish=NAME     length, invalid
 *     say=TEXT        the answer's text; in an audit its only reason
 *     fail_alloc=N    the N-th allocation from here on fails, whoever makes it
 *
 * A model directory that ends in "load_ms=N" takes so long to load, one that ends in "broken"
 * fails.
 */
#include <glint/glint.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "server/json_out.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_BYTES = 256, TEXT_BYTES_MAX = 1 << 20, SIDE_MAX = 16384 };

struct glint_engine {
    glint_engine_info info;
    _Atomic bool running;
};

struct glint_job {
    glint_engine *engine;
    gi_buf script, text, data;
    double deadline_ms;
    _Atomic bool cancelled;
    bool is_audit, has_run;
    glint_result result;
};

static const char *const TASKS[] = {"audit", "ask", "describe", "ocr", "extract"};

/* The value of `key` in the script, "" when it is missing. */
static const char *get(const gi_buf *script, const char *key, char out[VALUE_BYTES]) {
    const size_t n_key = strlen(key);
    out[0] = '\0';
    for (const char *p = script->data ? (const char *)script->data : ""; *p;) {
        const size_t n = strcspn(p, ";");
        if (n > n_key && p[n_key] == '=' && memcmp(p, key, n_key) == 0 &&
            n - n_key - 1 < VALUE_BYTES) {
            memcpy(out, p + n_key + 1, n - n_key - 1);
            out[n - n_key - 1] = '\0';
        }
        p += n + (p[n] == ';');
    }
    return out;
}

static uint64_t get_number(const gi_buf *script, const char *key) {
    char value[VALUE_BYTES];
    uint64_t n = 0;
    return gi_parse_u64(get(script, key, value), &n) ? n : 0;
}

glint_status glint_engine_open(const glint_engine_options *options, glint_engine **ret,
                               glint_error *err) {
    const char *dir = options->model_dir;
    const char *load = strstr(dir, "load_ms=");
    uint64_t load_ms = 0;
    if (load && gi_parse_u64(load + strlen("load_ms="), &load_ms)) usleep((unsigned)load_ms * 1000);
    if (strstr(dir, "broken"))
        return gi_fail(err, GLINT_ERR_FORMAT, "%s/config.json: not valid JSON", dir);
    glint_engine *e = gi_calloc(1, sizeof *e);
    if (!e) return gi_fail(err, GLINT_ERR_MEMORY, "no memory");
    e->info = (glint_engine_info){.model_name = "fake",
                                  .device = "none",
                                  .n_params = 1000000,
                                  .context_tokens_max = 8192,
                                  .vocab_size = 256,
                                  .fingerprint = "fake"};
    *ret = e;
    return GLINT_OK;
}

void glint_engine_close(glint_engine *engine) {
    gi_free(engine);
}

const glint_engine_info *glint_engine_get_info(const glint_engine *engine) {
    return &engine->info;
}

const char *glint_engine_task_name(const glint_engine *engine, size_t i) {
    (void)engine;
    return i < sizeof TASKS / sizeof TASKS[0] ? TASKS[i] : NULL;
}

static glint_status check_image(const glint_image *image, glint_error *err) {
    const uint8_t *b = image->bytes;
    if (image->n_bytes >= 3 && memcmp(b, "\xFF\xD8\xFF", 3) == 0) return GLINT_OK;
    if (image->n_bytes >= 8 && memcmp(b, "\x89PNG\r\n\x1A\n", 8) == 0) {
        if (image->n_bytes < 45)
            return gi_fail_param(err, gi_fail(err, GLINT_ERR_FORMAT, "png: cut short"), "image");
        const unsigned width =
            (unsigned)b[16] << 24 | (unsigned)b[17] << 16 | (unsigned)b[18] << 8 | (unsigned)b[19];
        if (width > SIDE_MAX)
            return gi_fail_param(err, gi_fail(err, GLINT_ERR_LIMIT, "png: too wide"), "image");
        return GLINT_OK;
    }
    return gi_fail_param(err, gi_fail(err, GLINT_ERR_UNSUPPORTED, "not a picture"), "image");
}

static glint_status scripted_failure(const char *code, glint_error *err) {
    static const struct {
        const char *name;
        glint_status status;
        const char *param;
    } CODES[] = {
        {"arg", GLINT_ERR_ARG, "prompt"},
        {"limit", GLINT_ERR_LIMIT, "prompt"},
        {"limit_image", GLINT_ERR_LIMIT, "image"},
        {"memory", GLINT_ERR_MEMORY, NULL},
        {"busy", GLINT_ERR_BUSY, NULL},
        {"internal", GLINT_ERR_INTERNAL, NULL},
        {"deadline", GLINT_ERR_DEADLINE, NULL},
    };
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++)
        if (strcmp(CODES[i].name, code) == 0)
            return gi_fail_param(err, gi_fail(err, CODES[i].status, "secret words of the engine"),
                                 CODES[i].param);
    return GLINT_OK;
}

glint_status glint_job_create(glint_engine *engine, const glint_request *request, glint_job **ret,
                              glint_error *err) {
    char value[VALUE_BYTES];
    for (size_t i = 0; i < request->n_images; i++) GI_TRY(check_image(&request->images[i], err));
    glint_job *j = gi_calloc(1, sizeof *j);
    if (!j) return gi_fail(err, GLINT_ERR_MEMORY, "no memory");
    j->engine = engine;
    gi_buf_init(&j->script, TEXT_BYTES_MAX + 1);
    gi_buf_init(&j->text, TEXT_BYTES_MAX);
    gi_buf_init(&j->data, TEXT_BYTES_MAX);
    glint_status st = gi_buf_push(&j->script, request->prompt, request->n_prompt_bytes, err);
    if (st == GLINT_OK) st = scripted_failure(get(&j->script, "create", value), err);
    if (st != GLINT_OK) {
        glint_job_free(j);
        return st;
    }
    usleep((unsigned)get_number(&j->script, "prepare_ms") * 1000);
    gi_alloc_fail_at(get_number(&j->script, "fail_alloc"));
    j->is_audit = strcmp(request->task, "audit") == 0;
    if (request->timeout_ms > 0) j->deadline_ms = gi_clock_ms() + request->timeout_ms;
    j->result.usage.prompt_tokens = (int)request->n_prompt_bytes;
    j->result.usage.image_tokens = 64 * (int)request->n_images;
    j->result.text = "";
    *ret = j;
    return GLINT_OK;
}

static glint_status compute(glint_job *j, glint_error *err) {
    const double until_ms = gi_clock_ms() + (double)get_number(&j->script, "run_ms");
    do {
        if (atomic_load(&j->cancelled)) return gi_fail(err, GLINT_ERR_CANCELLED, "cancelled");
        if (j->deadline_ms > 0 && gi_clock_ms() >= j->deadline_ms)
            return gi_fail(err, GLINT_ERR_DEADLINE, "too late");
        if (gi_clock_ms() < until_ms) usleep(500);
        j->result.usage.completion_tokens++;
    } while (gi_clock_ms() < until_ms);
    return GLINT_OK;
}

static glint_status say(glint_job *j, glint_error *err) {
    char words[VALUE_BYTES], finish[VALUE_BYTES];
    const size_t n = strlen(get(&j->script, "say", words));
    get(&j->script, "finish", finish);
    GI_TRY(gi_buf_push(&j->text, words, n, err));
    j->result.text = j->text.data ? (const char *)j->text.data : "";
    j->result.n_text_bytes = j->text.len;
    j->result.confidence = 0.75;
    j->result.finish = GLINT_FINISH_STOP;
    if (strcmp(finish, "length") == 0) j->result.finish = GLINT_FINISH_LENGTH;
    if (strcmp(finish, "invalid") == 0) j->result.finish = GLINT_FINISH_INVALID;
    if (!j->is_audit || j->result.finish != GLINT_FINISH_STOP) return GLINT_OK;
    GI_TRY(gi_buf_puts(&j->data, "{\"result\":\"reject\",\"reasons\":[", err));
    GI_TRY(gi_json_out_string(&j->data, words, n, err));
    GI_TRY(gi_buf_puts(&j->data, "]}", err));
    j->result.data_json = (const char *)j->data.data;
    return GLINT_OK;
}

glint_status glint_job_run(glint_job *j, glint_text_fn on_text, void *ctx, glint_error *err) {
    char value[VALUE_BYTES];
    (void)on_text;
    (void)ctx;
    if (j->has_run) return gi_fail(err, GLINT_ERR_ARG, "ran already");
    if (atomic_exchange(&j->engine->running, true))
        return gi_fail(err, GLINT_ERR_BUSY, "two jobs at once");
    j->has_run = true;
    glint_status st = scripted_failure(get(&j->script, "run", value), err);
    const double begun_ms = gi_clock_ms();
    if (st == GLINT_OK) st = compute(j, err);
    if (st == GLINT_OK) st = say(j, err);
    j->result.timing.decode_ms = gi_clock_ms() - begun_ms;
    atomic_store(&j->engine->running, false);
    return st;
}

void glint_job_cancel(glint_job *job) {
    atomic_store(&job->cancelled, true);
}

const glint_result *glint_job_result(const glint_job *job) {
    return &job->result;
}

void glint_job_free(glint_job *job) {
    if (!job) return;
    gi_buf_done(&job->script);
    gi_buf_done(&job->text);
    gi_buf_done(&job->data);
    gi_free(job);
}

const char *glint_version(void) {
    return "fake";
}
