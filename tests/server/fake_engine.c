/*
 * A glint engine without a model, for the black-box tests of the server: the prompt is a script of
 * `key=value` separated by ';' that says what the engine should do, so that a test can ask for any
 * moment it wants to see.
 *
 *     run_ms=N        compute for N milliseconds, beside whoever else runs
 *     hang_ms=N       its first step takes so long, for all that run
 *     prepare_ms=N    decode pictures for N milliseconds
 *     create=CODE     glint_job_create fails: arg, limit, limit_image, memory, busy, internal
 *     run=CODE        computing fails: deadline, memory, internal
 *     end=CODE        the same, after all text
 *     finish=NAME     length, invalid
 *     say=TEXT        the answer's text; in an audit its only reason
 *     times=N         the text N times over
 *     piece=N         give the text out in pieces of N characters, not as a whole at the end
 *     every_ms=N      wait so long after each piece
 *     fail_alloc=N    the N-th allocation from here on fails, whoever makes it
 *
 * In a conversation the script is the last text. There "echo" says all turns as they came, and
 * say=seed the seed.
 *
 * A model directory that ends in "load_ms=N" takes so long to load, one that ends in "broken"
 * fails.
 */
#include <glint/glint.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "engine/engine_stats.h"
#include "engine/step.h"
#include "server/json_out.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    VALUE_BYTES = 256,
    TEXT_BYTES_MAX = 1 << 20,
    SIDE_MAX = 16384,
    SEQUENCES_MAX = 16,
    BLOCK_TOKENS = 1024,
    TOKENS_MAX = 65536, /* of a job: a token takes STEP_US or longer */
    PROMPT_TOKENS = 100,
    STEP_US = 500,
};

struct glint_engine {
    glint_engine_info info;
    _Atomic bool running;
    gi_kv_pool pool;
    int sequences_max;
};

struct glint_job {
    glint_engine *engine;
    gi_buf script, text, data;
    gi_kv_sequence sequence;
    gi_picture_state pictures[GLINT_IMAGES_MAX];
    size_t n_pictures, n_known;
    uint64_t seed;
    size_t n_given;          /* bytes of the text given out */
    double begun_ms, due_ms; /* computes until then */
    glint_text_fn on_text;
    void *text_ctx;
    bool is_audit;
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
    e->sequences_max = options->sequences_max ? options->sequences_max : 1;
    e->info = (glint_engine_info){.model_name = "fake",
                                  .device = "none",
                                  .n_params = 1000000,
                                  .context_tokens_max = 8192,
                                  .sequences_max = e->sequences_max,
                                  .vocab_size = 256};
    const size_t n_blocks = (size_t)SEQUENCES_MAX * TOKENS_MAX / BLOCK_TOKENS;
    const glint_status st = gi_kv_pool_init(&e->pool, n_blocks, BLOCK_TOKENS, 0, err);
    if (st != GLINT_OK) {
        gi_free(e);
        return st;
    }
    *ret = e;
    return GLINT_OK;
}

void glint_engine_close(glint_engine *engine) {
    if (!engine) return;
    gi_kv_pool_done(&engine->pool);
    gi_free(engine);
}

const glint_engine_info *glint_engine_get_info(const glint_engine *engine) {
    return &engine->info;
}

/* They never change, so they are never counted. */
glint_tasks *glint_engine_tasks(glint_engine *engine) {
    return (glint_tasks *)(void *)engine;
}

void glint_tasks_unref(glint_tasks *tasks) {
    (void)tasks;
}

glint_status glint_engine_reload_tasks(glint_engine *engine, glint_error *err) {
    (void)engine;
    (void)err;
    return GLINT_OK;
}

const char *glint_tasks_fingerprint(const glint_tasks *tasks) {
    (void)tasks;
    return "fake";
}

bool glint_tasks_get(const glint_tasks *tasks, size_t i, glint_task_info *ret) {
    static const char *const LANGUAGES[] = {"zh", "en"};
    (void)tasks;
    if (i >= sizeof TASKS / sizeof TASKS[0]) return false;
    const char *name = TASKS[i];
    const bool is_data = i == 0 || i == sizeof TASKS / sizeof TASKS[0] - 1;
    *ret = (glint_task_info){.name = name,
                             .description = "A \"task\".",
                             .default_prompt = i == 0 ? "say=ok" : NULL,
                             .languages = LANGUAGES,
                             .n_languages = 2,
                             .max_tokens = 256,
                             .is_data = is_data};
    return true;
}

static glint_status bad_image(glint_status code, const char *what, size_t i, glint_error *err) {
    gi_fail(err, code, "%s", what);
    err->picture = (int)i + 1;
    return gi_fail_param(err, code, "image");
}

/* The i-th of the request. */
static glint_status check_image(const glint_image *image, size_t i, glint_error *err) {
    const uint8_t *b = image->bytes;
    if (image->n_bytes >= 3 && memcmp(b, "\xFF\xD8\xFF", 3) == 0) return GLINT_OK;
    if (image->n_bytes >= 8 && memcmp(b, "\x89PNG\r\n\x1A\n", 8) == 0) {
        if (image->n_bytes < 45) return bad_image(GLINT_ERR_FORMAT, "png: cut short", i, err);
        const unsigned width =
            (unsigned)b[16] << 24 | (unsigned)b[17] << 16 | (unsigned)b[18] << 8 | (unsigned)b[19];
        if (width > SIDE_MAX) return bad_image(GLINT_ERR_LIMIT, "png: too wide", i, err);
        return GLINT_OK;
    }
    return bad_image(GLINT_ERR_UNSUPPORTED, "not a picture", i, err);
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

/* "role:text|picture|..." for each turn. */
static glint_status echo(const glint_request *r, gi_buf *out, glint_error *err) {
    static const char *const ROLES[] = {"system", "user", "assistant"};
    GI_TRY(gi_buf_puts(out, "say=", err));
    for (size_t m = 0; m < r->n_messages; m++) {
        GI_TRY(gi_buf_printf(out, err, "%s%s:", m > 0 ? " " : "", ROLES[r->messages[m].role]));
        for (size_t i = 0; i < r->messages[m].n_parts; i++) {
            const glint_part *p = &r->messages[m].parts[i];
            if (i > 0) GI_TRY(gi_buf_puts(out, "|", err));
            if (p->image)
                GI_TRY(gi_buf_printf(out, err, "<%zu bytes>", p->image->n_bytes));
            else
                GI_TRY(gi_buf_push(out, p->text, p->n_text_bytes, err));
        }
    }
    return GLINT_OK;
}

static glint_status take_script(glint_job *j, const glint_request *r, glint_error *err) {
    if (r->n_messages == 0) return gi_buf_push(&j->script, r->prompt, r->n_prompt_bytes, err);
    const glint_message *last = &r->messages[r->n_messages - 1];
    const glint_part *part = &last->parts[last->n_parts - 1];
    if (part->n_text_bytes == 4 && memcmp(part->text, "echo", 4) == 0)
        return echo(r, &j->script, err);
    return gi_buf_push(&j->script, part->text, part->n_text_bytes, err);
}

static glint_status take_images(glint_job *j, const glint_request *r, glint_error *err) {
    j->n_pictures = r->n_images;
    for (size_t i = 0; i < r->n_images; i++) GI_TRY(check_image(&r->images[i], i, err));
    for (size_t m = 0; m < r->n_messages; m++)
        for (size_t i = 0; i < r->messages[m].n_parts; i++) {
            const glint_image *image = r->messages[m].parts[i].image;
            if (!image) continue;
            GI_TRY(check_image(image, j->n_pictures, err));
            j->n_pictures++;
        }
    for (size_t i = 0; i < j->n_pictures; i++)
        j->pictures[i] = (gi_picture_state){.n_patches = 64, .work = 1e6};
    j->result.usage.image_tokens = 64 * (int)j->n_pictures;
    return GLINT_OK;
}

glint_status glint_job_create(glint_engine *engine, const glint_request *request, glint_job **ret,
                              glint_error *err) {
    char value[VALUE_BYTES];
    glint_job *j = gi_calloc(1, sizeof *j);
    if (!j) return gi_fail(err, GLINT_ERR_MEMORY, "no memory");
    j->engine = engine;
    gi_buf_init(&j->script, TEXT_BYTES_MAX + 1);
    gi_buf_init(&j->text, TEXT_BYTES_MAX);
    gi_buf_init(&j->data, TEXT_BYTES_MAX);
    glint_status st = take_script(j, request, err);
    if (st == GLINT_OK) st = take_images(j, request, err);
    if (st == GLINT_OK) st = scripted_failure(get(&j->script, "create", value), err);
    if (st == GLINT_OK) st = gi_kv_sequence_init(&j->sequence, &engine->pool, TOKENS_MAX, err);
    if (st != GLINT_OK) {
        glint_job_free(j);
        return st;
    }
    usleep((unsigned)get_number(&j->script, "prepare_ms") * 1000);
    gi_alloc_fail_at(get_number(&j->script, "fail_alloc"));
    j->is_audit = request->task && strcmp(request->task, "audit") == 0;
    j->seed = request->seed;
    j->n_known = PROMPT_TOKENS;
    j->result.usage.prompt_tokens = (int)j->script.len;
    j->result.text = "";
    *ret = j;
    return GLINT_OK;
}

/* The whole text. */
static glint_status think(glint_job *j, glint_error *err) {
    char words[VALUE_BYTES];
    get(&j->script, "say", words);
    if (strcmp(words, "seed") == 0)
        snprintf(words, sizeof words, "%llu", (unsigned long long)j->seed);
    const uint64_t times = get_number(&j->script, "times");
    for (uint64_t i = 0; i < (times ? times : 1); i++) GI_TRY(gi_buf_puts(&j->text, words, err));
    return GLINT_OK;
}

/* The bytes of the next n characters. */
static size_t next_characters(const glint_job *j, uint64_t n) {
    size_t end = j->n_given;
    while (n-- > 0 && end < j->text.len)
        for (end++; end < j->text.len && (j->text.data[end] & 0xC0) == 0x80;) end++;
    return end - j->n_given;
}

static glint_status give_piece(glint_job *j, glint_error *err) {
    const uint64_t n_characters = get_number(&j->script, "piece");
    const size_t n = n_characters ? next_characters(j, n_characters) : j->text.len;
    const char *piece = (const char *)j->text.data + j->n_given;
    j->n_given += n;
    j->due_ms = gi_clock_ms() + (double)get_number(&j->script, "every_ms");
    if (j->on_text && n > 0 && !j->on_text(j->text_ctx, piece, n))
        return gi_fail(err, GLINT_ERR_CANCELLED, "its reader wants no more");
    return GLINT_OK;
}

static glint_status end(glint_job *j, glint_error *err) {
    char words[VALUE_BYTES], finish[VALUE_BYTES], code[VALUE_BYTES];
    GI_TRY(scripted_failure(get(&j->script, "end", code), err));
    get(&j->script, "finish", finish);
    const size_t n = strlen(get(&j->script, "say", words));
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

/* ---- engine/step.h -------------------------------------------------------------------------- */

gi_engine_bounds gi_engine_get_bounds(glint_engine *e) {
    return (gi_engine_bounds){.sequences_max = (size_t)e->sequences_max,
                              .rows_max = BLOCK_TOKENS,
                              .pictures_max = GLINT_IMAGES_MAX,
                              .patches_max = 1024,
                              .vision_layers = 2,
                              .kv_pool = &e->pool};
}

gi_job_view gi_job_get_view(glint_job *j) {
    gi_job_view view = {.kv = &j->sequence,
                        .n_prompt = PROMPT_TOKENS,
                        .n_known = j->n_known,
                        .n_places = j->n_pictures};
    for (size_t i = 0; i < j->n_pictures; i++)
        view.places[i] =
            (gi_picture_place){.picture = &j->pictures[i], .first_token = 1 + i, .n_tokens = 1};
    return view;
}

glint_status gi_engine_acquire(glint_engine *e, glint_error *err) {
    if (!atomic_exchange(&e->running, true)) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_BUSY, "run by somebody else");
}

void gi_engine_release(glint_engine *e) {
    atomic_store(&e->running, false);
}

glint_status gi_job_start(glint_job *j, glint_text_fn on_text, void *ctx, glint_error *err) {
    (void)err;
    j->on_text = on_text;
    j->text_ctx = ctx;
    j->begun_ms = gi_clock_ms();
    j->due_ms = j->begun_ms + (double)get_number(&j->script, "run_ms");
    return GLINT_OK;
}

glint_status gi_job_take(glint_job *j, size_t i_logits, size_t *ret_n_known, glint_error *err) {
    char value[VALUE_BYTES];
    (void)i_logits;
    GI_TRY(scripted_failure(get(&j->script, "run", value), err));
    if (j->n_known == PROMPT_TOKENS) usleep((unsigned)get_number(&j->script, "hang_ms") * 1000);
    j->result.usage.completion_tokens++;
    *ret_n_known = ++j->n_known;
    if (gi_clock_ms() < j->due_ms && j->n_known < TOKENS_MAX) return GLINT_OK;
    if (j->text.len == 0) GI_TRY(think(j, err));
    if (j->n_given < j->text.len) GI_TRY(give_piece(j, err));
    if (j->n_given < j->text.len && j->n_known < TOKENS_MAX) return GLINT_OK;
    *ret_n_known = 0;
    return end(j, err);
}

void gi_job_conclude(glint_job *j, size_t n_cached) {
    j->result.usage.cached_tokens = (int)n_cached;
    j->result.timing.decode_ms = gi_clock_ms() - j->begun_ms;
}

void gi_engine_vision_begin(glint_engine *e, gi_picture_state *const *pictures, size_t n) {
    (void)e;
    (void)pictures;
    (void)n;
}

void gi_engine_vision_run(glint_engine *e, size_t n_layers) {
    (void)e;
    (void)n_layers;
}

void gi_engine_vision_end(glint_engine *e) {
    (void)e;
}

/* A step waits where the jobs have time to pass, and not when they are to end at once. */
void gi_engine_feed(glint_engine *e, const gi_step_feed *feeds, size_t n) {
    (void)e;
    bool waits = true;
    for (size_t i = 0; i < n; i++) waits &= gi_clock_ms() < feeds[i].job->due_ms;
    if (waits) usleep(STEP_US);
}

gi_engine_stats gi_engine_get_stats(const glint_engine *engine) {
    (void)engine;
    return (gi_engine_stats){0};
}

const glint_result *glint_job_result(const glint_job *job) {
    return &job->result;
}

void glint_job_free(glint_job *job) {
    if (!job) return;
    gi_kv_sequence_done(&job->sequence);
    gi_buf_done(&job->script);
    gi_buf_done(&job->text);
    gi_buf_done(&job->data);
    gi_free(job);
}

const char *glint_version(void) {
    return "fake";
}
