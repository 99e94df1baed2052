/*
 * jansson tells the line of a syntax error but not of a value. So an entry's line is counted in the
 * text, which is known to be valid JSON when that is done.
 */
#include "server/auth_file.h"

#include "base/filemap.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

glint_status gi_auth_file_open(const char *path, size_t max_bytes, gi_auth_file *ret,
                               glint_error *err) {
    gi_auth_file f = {.path = path};
    gi_buf_init(&f.text, max_bytes);
    glint_status st = gi_file_read(path, &f.text, err);
    if (st == GLINT_OK) st = gi_json_parse(f.text.data, f.text.len, path, &f.root, err);
    if (st == GLINT_OK && !json_is_object(f.root))
        st = gi_fail(err, GLINT_ERR_FORMAT, "%s:1: must be a JSON object", path);
    if (st != GLINT_OK) {
        gi_auth_file_close(&f);
        return st;
    }
    *ret = f;
    return GLINT_OK;
}

void gi_auth_file_close(gi_auth_file *f) {
    if (f->text.data) OPENSSL_cleanse(f->text.data, f->text.len);
    gi_buf_done(&f->text);
    json_decref(f->root);
    f->root = NULL;
}

/* Where a string that begins at i ends: behind its closing quote. */
static size_t skip_string(const char *s, size_t n, size_t i) {
    for (i++; i < n && s[i] != '"'; i++) i += s[i] == '\\';
    return i + 1;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The offset at which entry `wanted` of the section begins. Escapes in the section's name are not
 * seen; the first entry of the file is then named. */
static size_t entry_at(const char *s, size_t n, const char *section, size_t wanted) {
    const size_t n_section = strlen(section);
    size_t depth = 0, n_seen = 0;
    bool is_in = false, is_begin = false;
    for (size_t i = 0; i < n; i++) {
        if (is_space(s[i])) continue;
        if (is_in && depth == 2 && is_begin && s[i] != ']' && s[i] != '}' && n_seen++ == wanted)
            return i;
        is_begin = false;
        if (s[i] == '"') {
            const size_t end = skip_string(s, n, i);
            if (depth == 1)
                is_in = end - i == n_section + 2 && memcmp(s + i + 1, section, n_section) == 0;
            i = end - 1;
        } else if (s[i] == '{' || s[i] == '[') {
            depth++;
            is_begin = true;
        } else if (s[i] == '}' || s[i] == ']') {
            depth--;
        } else if (s[i] == ',') {
            is_begin = true;
            if (depth == 1) is_in = false;
        }
    }
    return 0;
}

void gi_auth_file_where(const gi_auth_file *f, const char *section, size_t i, char *out,
                        size_t out_bytes) {
    const char *s = (const char *)f->text.data;
    const size_t at = entry_at(s, f->text.len, section, i);
    size_t line = 1;
    for (size_t k = 0; k < at; k++) line += s[k] == '\n';
    snprintf(out, out_bytes, "%s:%zu", f->path, line);
}

glint_status gi_auth_file_check_members(const json_t *obj, const char *where,
                                        const char *const *known, glint_error *err) {
    const char *name;
    json_t *value;
    if (!json_is_object(obj)) return gi_fail(err, GLINT_ERR_FORMAT, "%s: must be an object", where);
    json_object_foreach((json_t *)(uintptr_t)obj, name, value) {
        const char *const *k = known;
        while (*k && strcmp(*k, name) != 0) k++;
        if (!*k) return gi_fail(err, GLINT_ERR_FORMAT, "%s: unknown member \"%.40s\"", where, name);
    }
    return GLINT_OK;
}
