/*
 * Text and tree are walked together: jansson keeps members in their order and refuses a key that
 * comes twice, so the n-th member of the one is the n-th of the other and no key has to be read.
 * The text is known to be valid, and its depth bounded, or there would be no tree.
 */
#include "base/json_text.h"

#include "base/filemap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct walk {
    const char *s;
    size_t n, i;
    const json_t *obj; /* looked for */
    const char *key;   /* or NULL */
    size_t found;      /* offset, or SIZE_MAX */
} walk;

static void skip_space(walk *w) {
    while (w->i < w->n && memchr(" \t\r\n", w->s[w->i], 4)) w->i++;
}

/* Behind the string that begins here. */
static void skip_string(walk *w) {
    for (w->i++; w->i < w->n && w->s[w->i] != '"'; w->i++) w->i += w->s[w->i] == '\\';
    w->i++;
}

/* Behind the comma or bracket after a value. */
static void skip_separator(walk *w) {
    skip_space(w);
    w->i++;
}

static void walk_value(walk *w, const json_t *v);

static void walk_object(walk *w, const json_t *v) {
    const char *key;
    json_t *member;
    w->i++;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        skip_space(w);
        if (v == w->obj && w->key && strcmp(w->key, key) == 0) w->found = w->i;
        skip_string(w);
        skip_separator(w); /* the colon */
        walk_value(w, member);
        skip_separator(w);
    }
}

static void walk_array(walk *w, const json_t *v) {
    w->i++;
    for (size_t i = 0; i < json_array_size(v); i++) {
        walk_value(w, json_array_get(v, i));
        skip_separator(w);
    }
}

/* From the white space before a value to its end; an empty object or array ends with its bracket,
 * others behind what separated their last member from it. */
static void walk_value(walk *w, const json_t *v) {
    skip_space(w);
    if (v == w->obj && w->found == SIZE_MAX) w->found = w->i;
    if (json_is_string(v)) {
        skip_string(w);
    } else if (json_is_object(v) && json_object_size(v) > 0) {
        walk_object(w, v);
    } else if (json_is_array(v) && json_array_size(v) > 0) {
        walk_array(w, v);
    } else if (json_is_object(v) || json_is_array(v)) {
        w->i++;
        skip_separator(w);
    } else {
        while (w->i < w->n && !memchr(",]} \t\r\n", w->s[w->i], 7)) w->i++;
    }
}

size_t gi_json_line(const gi_json_text *t, const json_t *obj, const char *key) {
    walk w = {.s = t->text, .n = t->n_bytes, .obj = obj, .key = key, .found = SIZE_MAX};
    walk_value(&w, t->root);
    size_t line = 1;
    for (size_t i = 0; w.found != SIZE_MAX && i < w.found && i < t->n_bytes; i++)
        line += t->text[i] == '\n';
    return line;
}

void gi_json_at(const gi_json_text *t, const json_t *obj, const char *key, glint_status st,
                glint_error *err) {
    if (st == GLINT_OK || st == GLINT_ERR_MEMORY || !err) return;
    const glint_error why = *err;
    gi_fail(err, st, "%s:%zu: %s", t->what, gi_json_line(t, obj, key), why.message);
}

#undef gi_json_fail_at
glint_status gi_json_fail_at(const gi_json_text *t, const json_t *obj, const char *key,
                             glint_error *err, glint_status code, const char *fmt, ...) {
    char message[GLINT_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    gi_fail(err, code, "%s", message);
    gi_json_at(t, obj, key, code, err);
    return code;
}

const char *gi_json_unknown_key(const json_t *obj, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)obj, key, value) {
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0) k++;
        if (!*k) return key;
    }
    return NULL;
}

/* ---- writing ---- */

typedef struct dump {
    gi_buf *to;
    glint_error *err;
    glint_status st;
} dump;

static int push(const char *bytes, size_t n, void *ctx) {
    dump *d = ctx;
    d->st = gi_buf_push(d->to, bytes, n, d->err);
    return d->st == GLINT_OK ? 0 : -1;
}

glint_status gi_json_dump(const json_t *value, size_t flags, gi_buf *ret, glint_error *err) {
    const size_t n_before = ret->len;
    dump d = {.to = ret, .err = err};
    if (json_dump_callback(value, push, &d, flags) == 0) return GLINT_OK;
    ret->len = n_before;
    if (ret->data) ret->data[n_before] = 0;
    if (d.st == GLINT_OK) d.st = gi_fail(err, GLINT_ERR_MEMORY, "no memory to write JSON");
    return d.st;
}

/* ---- files ---- */

glint_status gi_json_file_open(const char *path, size_t max_bytes, gi_json_file *ret,
                               glint_error *err) {
    gi_json_file f = {0};
    gi_buf_init(&f.bytes, max_bytes);
    glint_status st = gi_file_read(path, &f.bytes, err);
    if (st == GLINT_OK) st = gi_json_parse(f.bytes.data, f.bytes.len, path, &f.root, err);
    if (st == GLINT_OK && !json_is_object(f.root))
        st = gi_fail(err, GLINT_ERR_FORMAT, "%s:1: must be a JSON object", path);
    if (st != GLINT_OK) {
        gi_json_file_close(&f);
        return st;
    }
    f.place = (gi_json_text){
        .what = path, .text = (const char *)f.bytes.data, .n_bytes = f.bytes.len, .root = f.root};
    *ret = f;
    return GLINT_OK;
}

void gi_json_file_close(gi_json_file *f) {
    gi_buf_wipe(&f->bytes);
    json_decref(f->root);
    f->root = NULL;
}
