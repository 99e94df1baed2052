/*
 * Reads task templates. Strings and schemas live as long as the set; a template is checked whole
 * before it is used, so that a mistake in a file is told at start and not by a request.
 *
 * Refused: unknown keys, unknown slots, a prompt without {prompt} or with more than one, a label
 * that the schema does not restrict to an enum.
 */
#include "engine/task.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/filemap.h"
#include "base/json_text.h"
#include "base/log.h"
#include "engine/builtin_tasks.h"

#include <glint/glint.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX           256
#define TASK_FILE_BYTES_MAX (64u << 10)
#define TASK_TEXT_BYTES_MAX (256u << 10)
#define TASK_NAME_BYTES_MAX 64
#define LANGUAGES_MAX       32

struct gi_templates {
    gi_arena arena;
    size_t n;
    gi_task items[TASKS_MAX];
    gi_schema *schemas[TASKS_MAX]; /* of the task with the same index, or NULL */
    gi_sha256 hash;                /* while loading */
    gi_digest digest;
};

/* A template being read. */
typedef struct reader {
    gi_templates *tasks;
    gi_json_text place; /* for messages */
    const json_t *json;
    char *schema_text; /* compact, or NULL */
    glint_error *err;
} reader;

static glint_status no_memory(const reader *r) {
    return gi_fail(r->err, GLINT_ERR_MEMORY, "%s: no memory", r->place.what);
}

/* Pass a status through; a failure is said to be about `key`. */
static glint_status at(const reader *r, const char *key, glint_status st) {
    gi_json_at(&r->place, r->json, key, st, r->err);
    return st;
}

static glint_status get_string(const reader *r, const char *key, bool required, const char **ret) {
    return at(r, key, gi_json_get_string(r->json, NULL, key, required, ret, r->err));
}

static glint_status check_keys(const reader *r) {
    static const char *const known[] = {
        "name",           "description", "languages", "system", "prompt",
        "default_prompt", "max_tokens",  "schema",    "label",  NULL};
    if (!json_is_object(r->json))
        return gi_json_fail_at(&r->place, r->json, NULL, r->err, GLINT_ERR_FORMAT, "not an object");
    const char *key = gi_json_unknown_key(r->json, known);
    if (!key) return GLINT_OK;
    return gi_json_fail_at(&r->place, r->json, key, r->err, GLINT_ERR_UNSUPPORTED,
                           "unknown key \"%.80s\"", key);
}

static glint_status read_name(const reader *r, const char **ret) {
    const char *name = NULL;
    GI_TRY(get_string(r, "name", true, &name));
    const size_t n = strlen(name);
    if (n == 0 || n > TASK_NAME_BYTES_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != n)
        return gi_json_fail_at(&r->place, r->json, "name", r->err, GLINT_ERR_FORMAT,
                               "\"name\" must be 1 to %d of a-z 0-9 _ -", TASK_NAME_BYTES_MAX);
    *ret = gi_arena_strndup(&r->tasks->arena, name, n);
    return *ret ? GLINT_OK : no_memory(r);
}

/* A string as it stands in the file; *ret stays NULL when the key is absent. */
static glint_status read_string(const reader *r, const char *key, bool required, const char **ret) {
    const char *s = NULL;
    GI_TRY(get_string(r, key, required, &s));
    if (!s) return GLINT_OK;
    *ret = gi_arena_strndup(&r->tasks->arena, s, strlen(s));
    return *ret ? GLINT_OK : no_memory(r);
}

static glint_status read_languages(const reader *r, gi_task *t) {
    const json_t *list = NULL;
    GI_TRY(at(r, "languages", gi_json_get_array(r->json, NULL, "languages", false, &list, r->err)));
    const size_t n = json_array_size(list);
    if (n > LANGUAGES_MAX)
        return gi_json_fail_at(&r->place, r->json, "languages", r->err, GLINT_ERR_LIMIT,
                               "more than %d languages", LANGUAGES_MAX);
    const char **tags = gi_arena_alloc(&r->tasks->arena, n ? n : 1, sizeof *tags);
    if (!tags) return no_memory(r);
    for (size_t i = 0; i < n; i++) {
        const json_t *tag = json_array_get(list, i);
        if (!json_is_string(tag))
            return gi_json_fail_at(&r->place, r->json, "languages", r->err, GLINT_ERR_FORMAT,
                                   "\"languages\" must hold strings");
        tags[i] =
            gi_arena_strndup(&r->tasks->arena, json_string_value(tag), json_string_length(tag));
        if (!tags[i]) return no_memory(r);
    }
    t->languages = tags;
    t->n_languages = n;
    return GLINT_OK;
}

/* The next {word} of `s`, a word being letters and underscores; NULL when there is none. */
static const char *find_slot(const char *s, size_t *ret_n) {
    for (; (s = strchr(s, '{')) != NULL; s++) {
        const size_t n = strspn(s + 1, "abcdefghijklmnopqrstuvwxyz_");
        if (n == 0 || s[1 + n] != '}') continue;
        *ret_n = n + 2;
        return s;
    }
    return NULL;
}

static bool slot_is(const char *slot, size_t n, const char *name) {
    return n == strlen(name) && memcmp(slot, name, n) == 0;
}

static glint_status bad_slot(const reader *r, const char *key, const char *slot, size_t n) {
    return gi_json_fail_at(&r->place, r->json, key, r->err, GLINT_ERR_FORMAT,
                           "\"%s\": slot %.*s has no place here", key, (int)n, slot);
}

/*
 * Fill {schema} in the text of `key` and cut it at {prompt}: ret_parts[0] before, [1] behind it
 * (NULL when the text has no {prompt}).
 */
static glint_status fill_slots(const reader *r, const char *key, const char *text,
                               const char *ret_parts[2]) {
    gi_buf parts[2];
    size_t n_slot = 0, i = 0;
    glint_status st = GLINT_OK;
    for (int k = 0; k < 2; k++) gi_buf_init(&parts[k], TASK_TEXT_BYTES_MAX);
    const char *slot;
    for (; (slot = find_slot(text, &n_slot)) != NULL; text = slot + n_slot) {
        GI_TRY_DONE(gi_buf_push(&parts[i], text, (size_t)(slot - text), r->err));
        if (slot_is(slot, n_slot, "{prompt}") && i == 0 && strcmp(key, "prompt") == 0)
            i = 1;
        else if (slot_is(slot, n_slot, "{schema}") && r->schema_text)
            GI_TRY_DONE(gi_buf_puts(&parts[i], r->schema_text, r->err));
        else
            GI_TRY_DONE(bad_slot(r, key, slot, n_slot));
    }
    GI_TRY_DONE(gi_buf_puts(&parts[i], text, r->err));
    for (size_t k = 0; k <= i; k++) {
        ret_parts[k] =
            gi_arena_strndup(&r->tasks->arena, (const char *)parts[k].data, parts[k].len);
        if (!ret_parts[k]) GI_TRY_DONE(no_memory(r));
    }
done:
    for (int k = 0; k < 2; k++) gi_buf_done(&parts[k]);
    return st;
}

static glint_status read_texts(const reader *r, gi_task *t) {
    const char *system = NULL, *prompt = NULL;
    const char *parts[2] = {NULL, NULL};
    GI_TRY(read_string(r, "description", true, &t->description));
    GI_TRY(read_string(r, "default_prompt", false, &t->default_prompt));
    GI_TRY(get_string(r, "system", false, &system));
    GI_TRY(get_string(r, "prompt", true, &prompt));
    if (system) {
        GI_TRY(fill_slots(r, "system", system, parts));
        t->system = parts[0];
    }
    GI_TRY(fill_slots(r, "prompt", prompt, parts));
    if (!parts[1])
        return gi_json_fail_at(&r->place, r->json, "prompt", r->err, GLINT_ERR_FORMAT,
                               "\"prompt\" has no {prompt}");
    t->prompt_before = parts[0];
    t->prompt_behind = parts[1];
    return GLINT_OK;
}

static glint_status read_label(const reader *r, gi_task *t) {
    GI_TRY(read_string(r, "label", false, &t->label_field));
    if (!t->label_field) return GLINT_OK;
    if (t->schema) t->labels = gi_schema_labels(t->schema, t->label_field, &t->n_labels);
    if (t->labels) return GLINT_OK;
    return gi_json_fail_at(&r->place, r->json, "label", r->err, GLINT_ERR_FORMAT,
                           "\"label\": the schema has no required property \"%.80s\" with an enum",
                           t->label_field);
}

/* Everything but the schema, which the caller has put into t->schema. */
static glint_status read_task(const reader *r, gi_task *t) {
    int64_t max_tokens = 0;
    GI_TRY(check_keys(r));
    GI_TRY(read_name(r, &t->name));
    GI_TRY(read_texts(r, t));
    GI_TRY(read_languages(r, t));
    GI_TRY(at(r, "max_tokens",
              gi_json_get_int(r->json, NULL, "max_tokens", true, 1, GLINT_MAX_TOKENS_MAX,
                              &max_tokens, r->err)));
    t->max_tokens = (int)max_tokens;
    return read_label(r, t);
}

static glint_status read_schema(reader *r, gi_schema **ret) {
    const json_t *schema = NULL;
    GI_TRY(at(r, "schema", gi_json_get_object(r->json, NULL, "schema", false, &schema, r->err)));
    if (!schema) return GLINT_OK;
    gi_buf text;
    size_t n = 0;
    gi_buf_init(&text, TASK_TEXT_BYTES_MAX);
    if (gi_json_dump(schema, JSON_COMPACT, &text, NULL) == GLINT_OK)
        r->schema_text = (char *)gi_buf_take(&text, &n);
    gi_buf_done(&text);
    if (!r->schema_text) return no_memory(r);
    const gi_schema_options options = {.strict = true};
    return at(r, "schema", gi_schema_compile(r->schema_text, n, &options, ret, r->err));
}

/* Put a template in its place: that of the earlier one of the same name, or the end. */
static glint_status place(gi_templates *tasks, const gi_task *t, gi_schema *schema,
                          const char *what, glint_error *err) {
    size_t i = 0;
    while (i < tasks->n && strcmp(tasks->items[i].name, t->name) != 0) i++;
    if (i == TASKS_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "%s: more than %d templates", what, TASKS_MAX);
    if (i < tasks->n) gi_log(GI_LOG_DEBUG, "task", "%s replaces task \"%s\"", what, t->name);
    if (i == tasks->n) tasks->n++;
    gi_schema_free(tasks->schemas[i]);
    tasks->items[i] = *t;
    tasks->schemas[i] = schema;
    return GLINT_OK;
}

static glint_status add_template(gi_templates *tasks, const void *data, size_t n_bytes,
                                 const char *what, glint_error *err) {
    reader r = {.tasks = tasks, .err = err};
    json_t *json = NULL;
    gi_schema *schema = NULL;
    gi_task t = {0};
    gi_sha256_bytes(&tasks->hash, data, n_bytes);
    GI_TRY(gi_json_parse(data, n_bytes, what, &json, err));
    r.json = json;
    r.place = (gi_json_text){.what = what, .text = data, .n_bytes = n_bytes, .root = json};
    glint_status st = read_schema(&r, &schema);
    t.schema = schema;
    if (st == GLINT_OK) st = read_task(&r, &t);
    if (st == GLINT_OK) st = place(tasks, &t, schema, what, err);
    if (st != GLINT_OK) gi_schema_free(schema);
    gi_free(r.schema_text);
    json_decref(json);
    return st;
}

static glint_status add_file(gi_templates *tasks, const char *dir, const char *name,
                             glint_error *err) {
    char path[GI_PATH_BYTES];
    gi_buf file;
    GI_TRY(gi_path_join(path, sizeof path, dir, name, err));
    gi_buf_init(&file, TASK_FILE_BYTES_MAX);
    glint_status st = gi_file_read(path, &file, err);
    if (st == GLINT_OK) st = add_template(tasks, file.data, file.len, path, err);
    gi_buf_done(&file);
    return st;
}

static bool is_template(const char *name) {
    const size_t n = strlen(name);
    return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".json") == 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The template files of an open directory, in byte order. */
static glint_status list_files(gi_templates *tasks, DIR *d, const char *dir,
                               const char *names[TASKS_MAX], size_t *ret_n, glint_error *err) {
    size_t n = 0;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(d)) != NULL) {
        if (!is_template(entry->d_name)) continue;
        if (n == TASKS_MAX)
            return gi_fail(err, GLINT_ERR_LIMIT, "%s: more than %d templates", dir, TASKS_MAX);
        names[n] = gi_arena_strndup(&tasks->arena, entry->d_name, strlen(entry->d_name));
        if (!names[n]) return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", dir);
        n++;
    }
    if (errno) return gi_fail(err, GLINT_ERR_IO, "%s: templates: %s", dir, strerror(errno));
    qsort(names, n, sizeof *names, compare_names);
    *ret_n = n;
    return GLINT_OK;
}

static glint_status add_directory(gi_templates *tasks, const char *dir, glint_error *err) {
    const char *names[TASKS_MAX];
    size_t n = 0;
    DIR *d = opendir(dir);
    if (!d) return gi_fail(err, GLINT_ERR_IO, "%s: templates: %s", dir, strerror(errno));
    glint_status st = list_files(tasks, d, dir, names, &n, err);
    closedir(d);
    for (size_t i = 0; i < n && st == GLINT_OK; i++) st = add_file(tasks, dir, names[i], err);
    return st;
}

glint_status gi_templates_load(const char *dir, gi_templates **ret, glint_error *err) {
    gi_templates *tasks = gi_calloc(1, sizeof *tasks);
    if (!tasks) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for templates");
    gi_arena_init(&tasks->arena, (size_t)TASKS_MAX * 4 * TASK_TEXT_BYTES_MAX);
    glint_status st = gi_sha256_init(&tasks->hash, err);
    if (st == GLINT_OK) gi_sha256_begin(&tasks->hash, "glint templates 1");
    for (const gi_embedded *f = gi_builtin_tasks; f->name && st == GLINT_OK; f++)
        st = add_template(tasks, f->data, f->size_bytes, f->name, err);
    if (st == GLINT_OK && dir) st = add_directory(tasks, dir, err);
    if (st == GLINT_OK) st = gi_sha256_end(&tasks->hash, &tasks->digest, err);
    gi_sha256_done(&tasks->hash);
    if (st != GLINT_OK) {
        gi_templates_free(tasks);
        return st;
    }
    *ret = tasks;
    return GLINT_OK;
}

void gi_templates_free(gi_templates *tasks) {
    if (!tasks) return;
    for (size_t i = 0; i < tasks->n; i++) gi_schema_free(tasks->schemas[i]);
    gi_arena_done(&tasks->arena);
    gi_free(tasks);
}

const gi_digest *gi_templates_digest(const gi_templates *tasks) {
    return &tasks->digest;
}

const gi_task *gi_templates_find(const gi_templates *tasks, const char *name) {
    for (size_t i = 0; i < tasks->n; i++)
        if (strcmp(tasks->items[i].name, name) == 0) return &tasks->items[i];
    return NULL;
}

const gi_task *gi_templates_get(const gi_templates *tasks, size_t i) {
    return i < tasks->n ? &tasks->items[i] : NULL;
}

/* White space that a form or a shell leaves behind; it asks nothing. */
static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!memchr(" \t\r\n", s[i], 4)) return false;
    return true;
}

glint_status gi_task_render(const gi_task *task, const char *prompt, size_t n_prompt_bytes,
                            gi_buf *ret, glint_error *err) {
    if (is_blank(prompt, n_prompt_bytes)) {
        if (!task->default_prompt)
            return gi_fail(err, GLINT_ERR_ARG, "task \"%s\" needs a prompt", task->name);
        prompt = task->default_prompt;
        n_prompt_bytes = strlen(prompt);
    }
    GI_TRY(gi_buf_puts(ret, task->prompt_before, err));
    GI_TRY(gi_buf_push(ret, prompt, n_prompt_bytes, err));
    return gi_buf_puts(ret, task->prompt_behind, err);
}
