/*
 * A folder of pictures in memory. It is read before the load begins, so that no request waits for
 * a disk; its order is that of the names, so that two runs send the same.
 */
#include "bench_serve_pictures.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "base/json_text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASES_BYTES_MAX = 64 << 20 };

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t n) {
    for (size_t i = 0; i < n; i++) gi_free(names[i]);
    gi_free(names);
}

static glint_status add_name(char ***names, size_t *n, size_t *cap, const char *name,
                             glint_error *err) {
    if (*n == GI_LOAD_PICTURES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "more than %zu files", GI_LOAD_PICTURES_MAX);
    if (*n == *cap) {
        const size_t more = *cap ? 2 * *cap : 64;
        char **grown = gi_realloc_array(*names, more, sizeof *grown);
        if (!grown) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu names", more);
        *names = grown;
        *cap = more;
    }
    char *copy = gi_strndup(name, strlen(name));
    if (!copy) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a name");
    (*names)[(*n)++] = copy;
    return GLINT_OK;
}

static glint_status list(const char *dir, char ***ret, size_t *ret_n, glint_error *err) {
    DIR *d = opendir(dir);
    if (!d) return gi_fail(err, GLINT_ERR_IO, "%.200s: %s", dir, strerror(errno));
    char **names = NULL;
    size_t n = 0, cap = 0;
    glint_status st = GLINT_OK;
    for (const struct dirent *e; st == GLINT_OK && (e = readdir(d));)
        if (e->d_name[0] != '.') st = add_name(&names, &n, &cap, e->d_name, err);
    closedir(d);
    if (st != GLINT_OK) {
        free_names(names, n);
        return st;
    }
    if (n) qsort(names, n, sizeof *names, by_name);
    *ret = names;
    *ret_n = n;
    return GLINT_OK;
}

glint_status gi_load_quote(const char *text, char **ret, glint_error *err) {
    json_t *value = json_string(text);
    if (!value) return gi_fail(err, GLINT_ERR_FORMAT, "the question is not UTF-8");
    gi_buf quoted;
    gi_buf_init(&quoted, 6 * strlen(text) + 3); /* the longest escape of a byte has six */
    const glint_status st = gi_json_dump(value, JSON_ENCODE_ANY, &quoted, err);
    if (st == GLINT_OK) *ret = (char *)gi_buf_take(&quoted, NULL);
    gi_buf_done(&quoted);
    json_decref(value);
    return st;
}

/* The case of `task` about the picture; NULL when there is none. */
static const json_t *find_case(const json_t *cases, const char *name, const char *task) {
    size_t i;
    json_t *entry;
    json_array_foreach(cases, i, entry) {
        const char *image = json_string_value(json_object_get(entry, "image"));
        const char *its_task = json_string_value(json_object_get(entry, "task"));
        if (image && strcmp(image, name) == 0 && (!its_task || strcmp(its_task, task) == 0))
            return entry;
    }
    return NULL;
}

static glint_status take_case(gi_load_pictures *p, gi_load_picture *pic, const json_t *entry,
                              glint_error *err) {
    const json_t *prompt = json_object_get(entry, "prompt");
    const json_t *answer = json_object_get(entry, "answer");
    if (json_is_string(prompt)) {
        GI_TRY(gi_load_quote(json_string_value(prompt), &pic->question, err));
        p->has_questions = true;
    }
    if (!json_is_string(answer) ||
        gi_json_parse(json_string_value(answer), json_string_length(answer), "answer", &pic->answer,
                      NULL) != GLINT_OK)
        return GLINT_OK; /* an answer in words: many are right */
    p->has_answers = true;
    return GLINT_OK;
}

static glint_status take_file(gi_load_pictures *p, const char *path, const char *name,
                              const json_t *entry, bool marked, glint_error *err) {
    gi_load_picture *pic = &p->items[p->n];
    *pic = (gi_load_picture){0};
    gi_buf_init(&pic->file, GI_LOAD_PICTURE_BYTES_MAX);
    gi_buf_init(&pic->base64, GI_LOAD_BASE64_BYTES(GI_LOAD_PICTURE_BYTES_MAX));
    p->n++; /* from here on gi_load_pictures_done frees it */
    GI_TRY(gi_file_read(path, &pic->file, err));
    size_t cut;
    if (!gi_load_mark_cut(pic->file.data, pic->file.len, &cut, &pic->is_png)) {
        gi_buf_done(&pic->file);
        p->n--;
        return GLINT_OK;
    }
    p->bytes += pic->file.len;
    if (p->bytes > GI_LOAD_PICTURES_BYTES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "the pictures have more than %zu MiB together",
                       GI_LOAD_PICTURES_BYTES_MAX >> 20);
    pic->cut = marked ? cut : 0;
    const size_t n = pic->file.len - pic->cut;
    GI_TRY(gi_buf_reserve(&pic->base64, GI_LOAD_BASE64_BYTES(n), err));
    gi_load_base64(pic->file.data + pic->cut, n, (char *)pic->base64.data);
    pic->base64.len = GI_LOAD_BASE64_BYTES(n);
    snprintf(pic->name, sizeof pic->name, "%s", name);
    return entry ? take_case(p, pic, entry, err) : GLINT_OK;
}

static glint_status read_cases(const char *dir, json_t **ret, glint_error *err) {
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, dir, "cases.json", err));
    if (!gi_file_exists(path)) return GLINT_OK;
    json_t *cases;
    GI_TRY(gi_json_load(path, CASES_BYTES_MAX, &cases, err));
    if (!json_is_array(cases)) {
        json_decref(cases);
        return gi_fail(err, GLINT_ERR_FORMAT, "%.200s: not an array", path);
    }
    *ret = cases;
    return GLINT_OK;
}

glint_status gi_load_pictures_read(gi_load_pictures *p, const char *dir, const char *task,
                                   bool marked, glint_error *err) {
    char **names = NULL;
    size_t n_names = 0;
    json_t *cases = NULL;
    glint_status st = GLINT_OK;
    GI_TRY_DONE(list(dir, &names, &n_names, err));
    GI_TRY_DONE(read_cases(dir, &cases, err));
    p->items = gi_calloc(n_names ? n_names : 1, sizeof *p->items);
    if (!p->items) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu pictures", n_names);
        goto done;
    }
    for (size_t i = 0; i < n_names; i++) {
        char path[GI_PATH_BYTES];
        GI_TRY_DONE(gi_path_join(path, sizeof path, dir, names[i], err));
        const json_t *entry = cases ? find_case(cases, names[i], task) : NULL;
        if (gi_file_exists(path) && (!cases || entry))
            GI_TRY_DONE(take_file(p, path, names[i], entry, marked, err));
    }
    if (p->n == 0)
        st = gi_fail(err, GLINT_ERR_IO, "%.200s: no JPEG or PNG picture in it%s", dir,
                     cases ? " with a case of this task in cases.json" : "");
done:
    json_decref(cases);
    free_names(names, n_names);
    return st;
}

void gi_load_pictures_done(gi_load_pictures *p) {
    for (size_t i = 0; i < p->n; i++) {
        gi_buf_done(&p->items[i].file);
        gi_buf_done(&p->items[i].base64);
        gi_free(p->items[i].question);
        json_decref(p->items[i].answer);
    }
    gi_free(p->items);
    *p = (gi_load_pictures){0};
}
