/*
 * Lines of a text that jansson takes: those of members lie within the text, and do not fall from
 * one member to the next.
 */
#include "base/json_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const gi_json_text *t, const json_t *v, size_t *io_line, size_t n_lines) {
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        const size_t line = gi_json_line(t, v, key);
        if (line < *io_line || line > n_lines) abort();
        *io_line = line;
        check(t, member, io_line, n_lines);
    }
    for (size_t i = 0; i < json_array_size(v); i++)
        check(t, json_array_get(v, i), io_line, n_lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    json_t *root = NULL;
    size_t line = 1, n_lines = 1;
    if (n > 4096 || gi_json_parse(data, n, "text", &root, NULL) != GLINT_OK) return 0;
    for (size_t i = 0; i < n; i++) n_lines += data[i] == '\n';
    const gi_json_text t = {.what = "text", .text = (const char *)data, .n_bytes = n, .root = root};
    check(&t, root, &line, n_lines);
    json_decref(root);
    return 0;
}
