/*
 * src/engine/task: the built-in templates, templates from a directory, and every mistake in one.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "engine/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static void write_file(const char *name, const char *text) {
    char path[GI_PATH_BYTES];
    assert_int_equal(gi_path_join(path, sizeof path, dir, name, NULL), GLINT_OK);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void remove_file(const char *name) {
    char path[GI_PATH_BYTES];
    gi_path_join(path, sizeof path, dir, name, NULL);
    assert_int_equal(unlink(path), 0);
}

static gi_templates *load(const char *from) {
    gi_templates *t = NULL;
    glint_error e = {0};
    if (gi_templates_load(from, &t, &e) != GLINT_OK) fail_msg("%s", e.message);
    return t;
}

static void assert_renders(const gi_task *t, const char *prompt, const char *want) {
    gi_buf b;
    gi_buf_init(&b, 1 << 16);
    assert_int_equal(gi_task_render(t, prompt, strlen(prompt), &b, NULL), GLINT_OK);
    assert_string_equal(b.data, want);
    gi_buf_done(&b);
}

static void built_in_templates(void **state) {
    (void)state;
    static const char *const names[] = {"audit", "ask", "describe", "ocr", "extract", NULL};
    gi_templates *t = load(NULL);
    for (size_t i = 0; names[i]; i++) assert_string_equal(gi_templates_get(t, i)->name, names[i]);
    assert_null(gi_templates_get(t, 5));
    assert_null(gi_templates_find(t, "Audit"));
    const gi_task *audit = gi_templates_find(t, "audit");
    assert_string_equal(audit->label_field, "result");
    assert_int_equal(audit->n_labels, 3);
    assert_string_equal(audit->labels[0], "pass");
    assert_string_equal(audit->labels[1], "review");
    assert_string_equal(audit->labels[2], "reject");
    assert_non_null(audit->schema);
    assert_null(audit->system);
    assert_int_equal(audit->max_tokens, 256);
    assert_int_equal(audit->n_languages, 2);
    assert_renders(audit, " {prompt} 图 {schema}\n", " {prompt} 图 {schema}\n");
    assert_renders(audit, "", audit->default_prompt);
    assert_renders(audit, " \r\n\t", audit->default_prompt);
    const gi_task *ask = gi_templates_find(t, "ask");
    assert_true(!ask->schema && !ask->label_field && ask->n_labels == 0);
    gi_buf b;
    glint_error e = {0};
    gi_buf_init(&b, 5);
    assert_int_equal(gi_task_render(ask, NULL, 0, &b, &e), GLINT_ERR_ARG);
    assert_non_null(strstr(e.message, "\"ask\" needs a prompt"));
    assert_int_equal(gi_task_render(ask, "123456", 6, &b, NULL), GLINT_ERR_LIMIT);
    gi_buf_done(&b);
    gi_templates_free(t);
    gi_templates_free(NULL);
}

static void templates_for_general_models(void **state) {
    (void)state;
    char path[GI_PATH_BYTES];
    gi_path_join(path, sizeof path, getenv("GLINT_SOURCE_ROOT"), "templates/instruct", NULL);
    gi_templates *t = load(path);
    const gi_task *audit = gi_templates_find(t, "audit");
    assert_non_null(audit->system);
    assert_string_equal(audit->label_field, "result");
    assert_int_equal(audit->n_labels, 3);
    assert_string_equal(audit->prompt_before, "");
    assert_non_null(strstr(audit->prompt_behind, "\"enum\":[\"pass\",\"review\",\"reject\"]"));
    gi_templates_free(t);
}

static void templates_from_a_directory(void **state) {
    (void)state;
    write_file("b.json", "{\"name\":\"mine\",\"description\":\"d\",\"max_tokens\":7,"
                         "\"system\":\"As {schema}.\",\"label\":\"r\","
                         "\"prompt\":\"{\\\"a\\\": {x} {} {schema}}: {prompt}!{\","
                         "\"schema\":{\"type\":\"object\",\"properties\":{\"r\":{\"enum\":[\"y\","
                         "\"{prompt}\"]}},\"required\":[\"r\"]}}");
    gi_templates *t = NULL;
    glint_error e = {0};
    assert_int_equal(gi_templates_load(dir, &t, &e), GLINT_ERR_FORMAT);
    assert_non_null(strstr(e.message, "slot {x} has no place"));
    write_file("b.json", "{\"name\":\"mine\",\"description\":\"d\",\"max_tokens\":7,"
                         "\"system\":\"As {schema}.\",\"label\":\"r\","
                         "\"prompt\":\"{\\\"a\\\": {X} {} {schema}}: {prompt}!{\","
                         "\"schema\":{\"type\":\"object\",\"properties\":{\"r\":{\"enum\":[\"y\","
                         "\"{prompt}\"]}},\"required\":[\"r\"]}}");
    write_file("a.json", "{\"name\":\"audit\",\"description\":\"d\",\"prompt\":\"{prompt}\","
                         "\"max_tokens\":9}");
    write_file("notes.txt", "not a template");
    t = load(dir);
    assert_null(gi_templates_find(t, "audit")->schema);
    assert_int_equal(gi_templates_get(t, 0)->max_tokens, 9); /* keeps its place */
    const gi_task *mine = gi_templates_get(t, 5);
    assert_string_equal(mine->name, "mine");
    assert_null(gi_templates_get(t, 6));
    assert_int_equal(mine->n_languages, 0);
#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"r\":{\"enum\":[\"y\",\"{prompt}\"]}},\"required\":["   \
    "\"r\"]}"
    assert_string_equal(mine->system, "As " SCHEMA ".");
    assert_renders(mine, "{prompt}", "{\"a\": {X} {} " SCHEMA "}: {prompt}!{");
    gi_templates_free(t);
    /* Later names win. */
    write_file("c.json", "{\"name\":\"mine\",\"description\":\"d\",\"prompt\":\"{prompt}\","
                         "\"max_tokens\":11}");
    t = load(dir);
    assert_int_equal(gi_templates_find(t, "mine")->max_tokens, 11);
    assert_null(gi_templates_get(t, 6));
    gi_templates_free(t);
    remove_file("a.json");
    remove_file("b.json");
    remove_file("c.json");
    remove_file("notes.txt");
}

#define REST ",\"description\":\"d\",\"prompt\":\"{prompt}\",\"max_tokens\":1}"

static void mistakes_are_told_by_file_and_key(void **state) {
    (void)state;
    static const struct {
        const char *json;
        glint_status status;
        const char *says;
    } rows[] = {
        {"", GLINT_ERR_FORMAT, "not valid JSON"},
        {"[]", GLINT_ERR_FORMAT, "not an object"},
        {"{\"name\":\"x\",\"nmae\":1" REST, GLINT_ERR_UNSUPPORTED, "unknown key \"nmae\""},
        {"{\"x\":1", GLINT_ERR_FORMAT, "not valid JSON"},
        {"{\"name\":\"\"" REST, GLINT_ERR_FORMAT, "\"name\" must be"},
        {"{\"name\":\"A b\"" REST, GLINT_ERR_FORMAT, "\"name\" must be"},
        {"{\"name\":7" REST, GLINT_ERR_FORMAT, "\"name\" must be a string"},
        {"{\"name\":\"x\",\"languages\":\"zh\"" REST, GLINT_ERR_FORMAT, "\"languages\""},
        {"{\"name\":\"x\",\"languages\":[1]" REST, GLINT_ERR_FORMAT, "\"languages\""},
        {"{\"name\":\"x\",\"system\":\"{prompt}\"" REST, GLINT_ERR_FORMAT, "\"system\": slot"},
        {"{\"name\":\"x\",\"system\":\"{schema}\"" REST, GLINT_ERR_FORMAT, "\"system\": slot"},
        {"{\"name\":\"x\",\"label\":\"r\"" REST, GLINT_ERR_FORMAT, "\"label\""},
        {"{\"name\":\"x\",\"schema\":{\"type\":\"strange\"}" REST, GLINT_ERR_UNSUPPORTED,
         "schema: \"type\": \"strange\""},
        {"{\"name\":\"x\",\"schema\":{\"type\":\"object\",\"properties\":{\"r\":{\"type\":"
         "\"string\"}},\"required\":[\"r\"]},\"label\":\"r\"" REST,
         GLINT_ERR_FORMAT, "\"label\""},
        {"{\"name\":\"x\",\"description\":\"d\",\"prompt\":\"ask\",\"max_tokens\":1}",
         GLINT_ERR_FORMAT, "\"prompt\" has no {prompt}"},
        {"{\"name\":\"x\",\"description\":\"d\",\"prompt\":\"{prompt}{prompt}\",\"max_tokens\":1}",
         GLINT_ERR_FORMAT, "\"prompt\": slot {prompt}"},
        {"{\"name\":\"x\",\"description\":\"d\",\"prompt\":\"{prompt}\"}", GLINT_ERR_FORMAT,
         "\"max_tokens\" is missing"},
        {"{\"name\":\"x\",\"description\":\"d\",\"prompt\":\"{prompt}\",\"max_tokens\":0}",
         GLINT_ERR_FORMAT, "\"max_tokens\""},
        {"{\"name\":\"x\",\"description\":\"d\",\"prompt\":\"{prompt}\",\"max_tokens\":4097}",
         GLINT_ERR_FORMAT, "\"max_tokens\""},
        {"{\"name\":\"x\",\"prompt\":\"{prompt}\",\"max_tokens\":1}", GLINT_ERR_FORMAT,
         "\"description\" is missing"},
        {"{\"name\":\"x\",\"description\":\"d\",\"max_tokens\":1}", GLINT_ERR_FORMAT,
         "\"prompt\" is missing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gi_templates *t = NULL;
        glint_error e = {0};
        write_file("bad.json", rows[i].json);
        const glint_status st = gi_templates_load(dir, &t, &e);
        if (st != rows[i].status || !strstr(e.message, rows[i].says) ||
            !strstr(e.message, "bad.json"))
            fail_msg("%s: %s", rows[i].json, e.message);
        assert_null(t);
    }
    remove_file("bad.json");
    gi_templates *t = NULL;
    assert_int_equal(gi_templates_load("/nonexistent", &t, NULL), GLINT_ERR_IO);
}

static void sizes_are_capped(void **state) {
    (void)state;
    char name[32];
    gi_templates *t = NULL;
    glint_error e = {0};
    char *big = gi_alloc(70000);
    assert_non_null(big);
    memset(big, ' ', 69999);
    big[69999] = '\0';
    write_file("big.json", big);
    gi_free(big);
    assert_int_equal(gi_templates_load(dir, &t, &e), GLINT_ERR_LIMIT);
    assert_non_null(strstr(e.message, "big.json"));
    remove_file("big.json");
    for (int i = 0; i < 252; i++) { /* with the five built-in ones: one too many */
        char text[160];
        snprintf(name, sizeof name, "t%d.json", i);
        snprintf(text, sizeof text, "{\"name\":\"t%d\"" REST, i);
        write_file(name, text);
    }
    assert_int_equal(gi_templates_load(dir, &t, &e), GLINT_ERR_LIMIT);
    assert_non_null(strstr(e.message, "256"));
    remove_file("t0.json");
    t = load(dir);
    assert_non_null(gi_templates_get(t, 255));
    gi_templates_free(t);
    for (int i = 1; i < 252; i++) {
        snprintf(name, sizeof name, "t%d.json", i);
        remove_file(name);
    }
}

static void short_of_memory(void **state) {
    (void)state;
    write_file("mine.json", "{\"name\":\"mine\"" REST);
    gi_templates *t = NULL;
    uint64_t n;
    for (n = 1; !t; n++) {
        gi_alloc_fail_at(n);
        const glint_status st = gi_templates_load(dir, &t, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_true(n > 10);
    gi_templates_free(t);
    remove_file("mine.json");
}

static int make_dir(void **state) {
    (void)state;
    const char name[] = "/tmp/glint-templates-XXXXXX";
    memcpy(dir, name, sizeof name);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_templates),
        cmocka_unit_test(templates_for_general_models),
        cmocka_unit_test(templates_from_a_directory),
        cmocka_unit_test(mistakes_are_told_by_file_and_key),
        cmocka_unit_test(sizes_are_capped),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests_name("task", tests, make_dir, remove_dir);
}
