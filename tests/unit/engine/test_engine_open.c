/*
 * glint_engine_open: what an open engine says about itself, and every way it refuses.
 */
#include "engine_rig.h"

#include "base/alloc.h"
#include "base/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void describes_itself(void **state) {
    (void)state;
    glint_engine *e = rig_open(RIG_DEFAULT, (glint_engine_options){.n_threads = 2});
    const glint_engine_info *info = glint_engine_get_info(e);
    assert_string_equal(info->model_name, "default");
    assert_non_null(strstr(info->device, "cpu ("));
    assert_non_null(strstr(info->device, "2 threads"));
    assert_int_equal(info->n_params, 18441216);
    assert_int_equal(info->weight_bytes, 2 * info->n_params);
    assert_int_equal(info->context_tokens_max, 8192);
    assert_int_equal(info->vocab_size, 6144);
    static const char *const tasks[] = {"audit", "ask", "describe", "ocr", "extract"};
    glint_task_info task = {0};
    glint_tasks *set = glint_engine_tasks(e);
    for (size_t i = 0; i < 5; i++) {
        assert_true(glint_tasks_get(set, i, &task));
        assert_string_equal(task.name, tasks[i]);
    }
    assert_false(glint_tasks_get(set, SIZE_MAX, &task));
    assert_true(glint_tasks_get(set, 0, &task));
    assert_string_equal(task.name, "audit");
    assert_non_null(task.default_prompt);
    assert_int_equal(task.n_languages, 2);
    assert_string_equal(task.languages[0], "zh");
    assert_int_equal(task.max_tokens, 256);
    assert_true(task.is_data);
    assert_true(glint_tasks_get(set, 1, &task));
    assert_string_equal(task.name, "ask");
    assert_null(task.default_prompt);
    assert_false(task.is_data);
    assert_false(glint_tasks_get(set, 5, &task));
    assert_string_equal(task.name, "ask");
    glint_tasks_unref(set);
    glint_engine_close(e);
}

/* Keys and values of 6 layers, 2 heads of 64, 128 positions; INT8 has a scale for each. */
static void says_how_large_its_cache_is(void **state) {
    (void)state;
    static const struct {
        glint_dtype dtype, kv_dtype;
        uint64_t head_bytes;
    } rows[] = {{GLINT_DTYPE_F32, GLINT_DTYPE_AUTO, 2 * 64 * 4},
                {GLINT_DTYPE_AUTO, GLINT_DTYPE_AUTO, 2 * 64 * 2},
                {GLINT_DTYPE_INT8, GLINT_DTYPE_BF16, 2 * 64 * 2},
                {GLINT_DTYPE_INT8, GLINT_DTYPE_INT8, 2 * (64 + 4)},
                {GLINT_DTYPE_BF16, GLINT_DTYPE_INT8, 2 * (64 + 4)}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const glint_engine_options o = {
            .dtype = rows[i].dtype, .kv_dtype = rows[i].kv_dtype, .context_tokens_max = 128};
        glint_engine *e = rig_open(RIG_DEFAULT, o);
        assert_int_equal(glint_engine_get_info(e)->kv_bytes, 6 * 2 * 128 * rows[i].head_bytes);
        assert_int_equal(glint_engine_get_info(e)->context_tokens_max, 128);
        glint_engine_close(e);
    }
}

static void name_is_the_last_part_of_the_path(void **state) {
    (void)state;
    static const char *const paths[] = {RIG_TINY, RIG_TINY "/", RIG_TINY "///"};
    for (size_t i = 0; i < 3; i++) {
        glint_engine *e = rig_open(paths[i], (glint_engine_options){0});
        assert_string_equal(glint_engine_get_info(e)->model_name, "model");
        glint_engine_close(e);
    }
}

typedef struct progress {
    int n;
    double last;
    bool went_back;
} progress;

static void on_progress(void *ctx, double fraction, const char *what) {
    progress *p = ctx;
    assert_true(fraction >= 0 && fraction <= 1 && *what);
    p->went_back |= p->n > 0 && fraction <= p->last;
    p->last = fraction;
    p->n++;
}

static void reports_progress(void **state) {
    (void)state;
    progress p = {0};
    glint_engine_close(
        rig_open(RIG_TINY, (glint_engine_options){.on_progress = on_progress, .progress_ctx = &p}));
    assert_true(p.n >= 3 && !p.went_back);
    assert_true(p.last == 1.0);
}

/* Refused with `code`, a message that holds `word`, and nothing returned. */
static void refuse(const glint_engine_options *o, glint_status code, const char *word) {
    glint_engine *untouched = (glint_engine *)(uintptr_t)&word, *e = untouched;
    glint_error err = {0};
    const glint_status st = glint_engine_open(o, &e, &err);
    if (st != code || err.code != code || !strstr(err.message, word))
        fail_msg("wanted %d with \"%s\", got %d \"%s\"", code, word, st, err.message);
    assert_ptr_equal(e, untouched);
    assert_int_equal(glint_engine_open(o, &e, NULL), code);
}

static void refuses_bad_values(void **state) {
    (void)state;
    const char *dir = rig_path(RIG_TINY);
    const struct {
        glint_engine_options o;
        const char *word;
    } rows[] = {
        {{.model_dir = NULL}, "model"},
        {{.model_dir = ""}, "model"},
        {{.model_dir = dir, .n_threads = -1}, "threads"},
        {{.model_dir = dir, .n_threads = GI_WORKERS_MAX + 1}, "threads"},
        {{.model_dir = dir, .context_tokens_max = -1}, "context"},
        {{.model_dir = dir, .context_tokens_max = 2049}, "2048 positions"},
        {{.model_dir = dir, .max_side_px = -1}, "max side"},
        {{.model_dir = dir, .max_side_px = 27}, "max side"},
        {{.model_dir = dir, .max_side_px = 16385}, "max side"},
        {{.model_dir = dir, .dtype = (glint_dtype)5}, "dtype"},
        {{.model_dir = dir, .dtype = (glint_dtype)99}, "dtype"},
        {{.model_dir = dir, .kv_dtype = GLINT_DTYPE_F32}, "keys and values"},
        {{.model_dir = dir, .kv_dtype = GLINT_DTYPE_INT8_ALL}, "keys and values"},
        {{.model_dir = dir, .kv_dtype = (glint_dtype)99}, "keys and values"},
        {{.model_dir = dir, .cpu_mask = "sse9"}, "sse9"},
        {{.model_dir = dir, .cpu_mask = ""}, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refuse(&rows[i].o, GLINT_ERR_ARG, rows[i].word);
}

static void takes_values_at_their_limits(void **state) {
    (void)state;
    static const glint_engine_options rows[] = {
        {.n_threads = 1},
        {.n_threads = 7},
        {.max_side_px = 28},
        {.max_side_px = 16384},
        {.cpu_mask = "ref"},
        {.cpu_mask = "avx2"},
        {.cpu_mask = "avx512"},
        {.dtype = GLINT_DTYPE_INT8},
        {.dtype = GLINT_DTYPE_INT8_ALL, .kv_dtype = GLINT_DTYPE_INT8},
        {.context_tokens_max = 1},
        {.context_tokens_max = 2048},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        glint_engine_close(rig_open(RIG_TINY, rows[i]));
}

static void refuses_wrong_directories(void **state) {
    (void)state;
    glint_engine_options o = {.model_dir = "/nonexistent/model"};
    refuse(&o, GLINT_ERR_IO, "/nonexistent/model");
    o.model_dir = rig_path("tests/golden"); /* a directory, but no model */
    refuse(&o, GLINT_ERR_IO, "config.json");
    o.model_dir = rig_path(RIG_SAMPLE); /* a file */
    refuse(&o, GLINT_ERR_IO, "sample-listing.png");
}

static void refuses_bad_templates(void **state) {
    (void)state;
    char dir[] = "/tmp/glint-open-XXXXXX", file[64];
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/mine.json", dir);
    glint_engine_options o = {.model_dir = rig_path(RIG_TINY), .template_dir = "/nonexistent/t"};
    refuse(&o, GLINT_ERR_IO, "/nonexistent/t");
    static const struct {
        const char *text, *word;
        glint_status code;
    } rows[] = {
        {"not json", "mine.json", GLINT_ERR_FORMAT},
        {"{}", "mine.json", GLINT_ERR_FORMAT},
        {"{\"name\":\"m\",\"description\":\"\",\"prompt\":\"\",\"max_tokens\":1}", "{prompt}",
         GLINT_ERR_FORMAT},
        {"{\"name\":\"m\",\"description\":\"\",\"prompt\":\"{prompt}\",\"max_tokens\":0}",
         "max_tokens", GLINT_ERR_FORMAT},
    };
    o.template_dir = dir;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        FILE *f = fopen(file, "w");
        assert_non_null(f);
        fputs(rows[i].text, f);
        fclose(f);
        refuse(&o, rows[i].code, rows[i].word);
    }
    assert_int_equal(unlink(file), 0);
    glint_engine_close(rig_open(RIG_TINY, (glint_engine_options){.template_dir = dir}));
    assert_int_equal(rmdir(dir), 0);
}

static char template_dir[] = "/tmp/glint-open-XXXXXX";

/* Replace the one template of template_dir; NULL takes it away. */
static void set_template(const char *text) {
    char file[64];
    snprintf(file, sizeof file, "%s/mine.json", template_dir);
    if (!text) {
        assert_int_equal(unlink(file), 0);
        return;
    }
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool has_task(glint_engine *e, const char *name) {
    glint_tasks *set = glint_engine_tasks(e);
    glint_task_info task;
    bool is_there = false;
    for (size_t i = 0; glint_tasks_get(set, i, &task); i++)
        is_there |= strcmp(task.name, name) == 0;
    glint_tasks_unref(set);
    return is_there;
}

#define MINE(prompt, max)                                                                          \
    "{\"name\":\"mine\",\"description\":\"x\",\"prompt\":\"" prompt "\",\"max_tokens\":" max "}"

/* A user's template is listed behind the built-in ones and is answered with. */
static void uses_templates_of_a_directory(void **state) {
    (void)state;
    assert_non_null(mkdtemp(template_dir));
    set_template(MINE("Q: {prompt}", "3"));
    glint_engine *e = rig_open(RIG_TINY, (glint_engine_options){.template_dir = template_dir});
    assert_true(has_task(e, "mine"));
    static rig_answer a, b;
    rig_ask(e, &(glint_request){.task = "mine", .prompt = "x"}, &a);
    assert_int_equal(a.usage.completion_tokens, 3);
    rig_ask(e, &(glint_request){.task = "ask", .prompt = "Q: x", .max_tokens = 3}, &b);
    rig_assert_same(&a, &b);
    glint_engine_close(e);
}

/* Read again, templates hold for the jobs made from then on; a set that somebody holds stays what
 * it was, even when its file is gone; a mistake changes nothing. */
static void templates_are_read_again(void **state) {
    (void)state;
    static rig_answer a, b;
    glint_error err = {0};
    const glint_request request = {.task = "mine", .prompt = "x"};
    set_template("{\"name\":\"mine\",\"description\":\"x\",\"prompt\":\"Q: {prompt}\","
                 "\"max_tokens\":64,\"schema\":{\"enum\":[\"only this\"]}}");
    glint_engine *e = rig_open(RIG_TINY, (glint_engine_options){.template_dir = template_dir});
    glint_tasks *old = glint_engine_tasks(e);
    glint_job *early = rig_create(e, &request);

    set_template(MINE("A: {prompt}", "5"));
    assert_int_equal(glint_engine_reload_tasks(e, &err), GLINT_OK);
    rig_run(early, &a);
    assert_string_equal(a.text, "\"only this\"");
    rig_ask(e, &request, &a);
    assert_int_equal(a.usage.completion_tokens, 5);
    rig_ask(e, &(glint_request){.task = "ask", .prompt = "A: x", .max_tokens = 5}, &b);
    rig_assert_same(&a, &b);
    rig_ask(e, &(glint_request){.tasks = old, .task = "mine", .prompt = "x"}, &a);
    assert_string_equal(a.text, "\"only this\"");

    glint_tasks *now = glint_engine_tasks(e);
    assert_string_not_equal(glint_tasks_fingerprint(now), glint_tasks_fingerprint(old));
    set_template(MINE("A: {prompt}", "0"));
    assert_int_equal(glint_engine_reload_tasks(e, &err), GLINT_ERR_FORMAT);
    assert_non_null(strstr(err.message, "mine.json"));
    rig_ask(e, &request, &a);
    assert_int_equal(a.usage.completion_tokens, 5);

    set_template(NULL);
    assert_int_equal(glint_engine_reload_tasks(e, &err), GLINT_OK);
    glint_job *job = NULL;
    assert_int_equal(glint_job_create(e, &request, &job, &err), GLINT_ERR_ARG);
    assert_string_equal(err.param, "task");
    assert_false(has_task(e, "mine"));
    glint_tasks_unref(old);
    glint_tasks_unref(now);
    glint_tasks_unref(NULL);
    glint_engine_close(e);
    assert_int_equal(rmdir(template_dir), 0);
}

/* Whatever allocation fails, the old templates answer. */
static void short_of_memory_old_templates_stay(void **state) {
    (void)state;
    static rig_answer fresh, a;
    glint_engine *e = rig_open(RIG_TINY, (glint_engine_options){0});
    const glint_request request = {.task = "ask", .prompt = "x", .max_tokens = 2};
    rig_ask(e, &request, &fresh);
    glint_status st = GLINT_ERR_MEMORY;
    uint64_t n = 0;
    while (st != GLINT_OK) {
        glint_error err = {0};
        const uint64_t before = gi_alloc_count();
        gi_alloc_fail_at(++n);
        st = glint_engine_reload_tasks(e, &err);
        const bool is_met = gi_alloc_count() - before >= n;
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
        /* What may be missing is the compiled form of a regular expression. */
        if (st == GLINT_OK && is_met) st = GLINT_ERR_MEMORY;
        rig_ask(e, &request, &a);
        rig_assert_same(&a, &fresh);
    }
    assert_true(n > 20);
    glint_engine_close(e);
}

static void close_takes_null(void **state) {
    (void)state;
    glint_engine_close(NULL);
    glint_job_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(says_how_large_its_cache_is),
        cmocka_unit_test(name_is_the_last_part_of_the_path),
        cmocka_unit_test(reports_progress),
        cmocka_unit_test(refuses_bad_values),
        cmocka_unit_test(takes_values_at_their_limits),
        cmocka_unit_test(refuses_wrong_directories),
        cmocka_unit_test(refuses_bad_templates),
        cmocka_unit_test(uses_templates_of_a_directory),
        cmocka_unit_test(templates_are_read_again),
        cmocka_unit_test(short_of_memory_old_templates_stay),
        cmocka_unit_test(close_takes_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
