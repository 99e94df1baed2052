/*
 * Lines of a text that jansson takes: those of members lie within the text, and do not fall from
 * one member to the next. Written anew by jansson with a line for each member and element, the
 * text has every member on the line that counting gives.
 *
 * jansson is not instrumented, so that without seeds hardly an object is found:
 * fuzz/run json_text 60 templates ../shared/suites/json-nst
 */
#include "base/json_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_order(const gi_json_text *t, const json_t *v, size_t *io_line, size_t n_lines) {
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        const size_t line = gi_json_line(t, v, key);
        if (line < *io_line || line > n_lines) abort();
        *io_line = line;
        check_order(t, member, io_line, n_lines);
    }
    for (size_t i = 0; i < json_array_size(v); i++)
        check_order(t, json_array_get(v, i), io_line, n_lines);
}

/* v begins on line *io_line of an indented text; at return that is the line of its end. */
static void check_exact(const gi_json_text *t, const json_t *v, size_t *io_line) {
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        ++*io_line;
        if (gi_json_line(t, v, key) != *io_line) abort();
        check_exact(t, member, io_line);
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        ++*io_line;
        check_exact(t, json_array_get(v, i), io_line);
    }
    if (json_object_size(v) > 0 || json_array_size(v) > 0) ++*io_line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    json_t *root = NULL;
    size_t line = 1, n_lines = 1;
    if (n > 4096 || gi_json_parse(data, n, "text", &root, NULL) != GLINT_OK) return 0;
    for (size_t i = 0; i < n; i++) n_lines += data[i] == '\n';
    gi_json_text t = {.what = "text", .text = (const char *)data, .n_bytes = n, .root = root};
    check_order(&t, root, &line, n_lines);

    char indented[65536];
    t.n_bytes = json_dumpb(root, indented, sizeof indented, JSON_INDENT(1));
    t.text = indented;
    line = 1;
    if (t.n_bytes > 0 && t.n_bytes <= sizeof indented) check_exact(&t, root, &line);
    json_decref(root);
    return 0;
}
