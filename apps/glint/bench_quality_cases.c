/*
 * Questions and right answers in memory. The file is trusted to be one that train/scenes or its
 * user wrote, but not to be whole: what is missing is named.
 */
#include "bench_quality_cases.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "base/json_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

glint_status gi_quality_verdict(const json_t *verdict, char **ret, glint_error *err) {
    json_t *result = json_object_get(verdict, "result");
    json_t *reasons = json_object_get(verdict, "reasons");
    char *text = NULL;
    if (json_is_string(result) && json_is_array(reasons)) {
        json_t *both = json_pack("{sOsO}", "result", result, "reasons", reasons);
        gi_buf out;
        gi_buf_init(&out, GI_QUALITY_CASES_BYTES_MAX);
        if (both && gi_json_dump(both, JSON_COMPACT, &out, NULL) == GLINT_OK)
            text = (char *)gi_buf_take(&out, NULL);
        gi_buf_done(&out);
        json_decref(both);
        if (!text) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a verdict");
    }
    *ret = text;
    return GLINT_OK;
}

static glint_status take_answer(gi_quality_case *c, const char *answer, glint_error *err) {
    if (answer[0] == '{' &&
        gi_json_parse(answer, strlen(answer), "answer", &c->verdict, NULL) == GLINT_ERR_MEMORY)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for an answer");
    GI_TRY(gi_quality_verdict(c->verdict, &c->want, err));
    if (c->want) {
        c->label = json_string_value(json_object_get(c->verdict, "result"));
        return GLINT_OK;
    }
    c->want = gi_strndup(answer, strlen(answer));
    return c->want ? GLINT_OK : gi_fail(err, GLINT_ERR_MEMORY, "no memory for an answer");
}

static glint_status take_case(gi_quality_case *c, const json_t *entry, size_t i, glint_error *err) {
    char what[64];
    const char *answer = NULL;
    snprintf(what, sizeof what, "cases.json, entry %zu", i);
    if (!json_is_object(entry)) return gi_fail(err, GLINT_ERR_FORMAT, "%s: not an object", what);
    c->task = "ask";
    GI_TRY(gi_json_get_string(entry, what, "image", true, &c->image, err));
    GI_TRY(gi_json_get_string(entry, what, "task", false, &c->task, err));
    GI_TRY(gi_json_get_string(entry, what, "prompt", true, &c->prompt, err));
    GI_TRY(gi_json_get_string(entry, what, "answer", true, &answer, err));
    return take_answer(c, answer, err);
}

glint_status gi_quality_cases_read(gi_quality_cases *c, const char *dir, glint_error *err) {
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, dir, "cases.json", err));
    GI_TRY(gi_json_load(path, GI_QUALITY_CASES_BYTES_MAX, &c->root, err));
    const size_t n = json_array_size(c->root);
    if (n == 0) return gi_fail(err, GLINT_ERR_FORMAT, "%.200s: no array of questions", path);
    if (n > GI_QUALITY_CASES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "%.200s: more than %zu questions", path,
                       GI_QUALITY_CASES_MAX);
    c->items = gi_calloc(n, sizeof *c->items);
    if (!c->items) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu questions", n);
    for (size_t i = 0; i < n; i++) {
        c->n++; /* from here on gi_quality_cases_done frees it */
        GI_TRY(take_case(&c->items[i], json_array_get(c->root, i), i, err));
    }
    return GLINT_OK;
}

void gi_quality_cases_done(gi_quality_cases *c) {
    for (size_t i = 0; i < c->n; i++) {
        gi_free(c->items[i].want);
        json_decref(c->items[i].verdict);
    }
    gi_free(c->items);
    json_decref(c->root);
    *c = (gi_quality_cases){0};
}

/* Code points of `text`, at most GI_QUALITY_CHARS_MAX. Continuation bytes are put to the character
 * before them, so that every text has some; `out` [GI_QUALITY_CHARS_MAX]. */
static size_t split(const char *text, uint32_t *out) {
    size_t n = 0;
    int n_left = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (n_left > 0 && (*p & 0xc0) == 0x80) {
            out[n - 1] = out[n - 1] << 6 | (*p & 0x3f);
            n_left--;
            continue;
        }
        if (n == GI_QUALITY_CHARS_MAX) break;
        out[n++] = *p;
        n_left = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
    }
    return n;
}

glint_status gi_quality_distance(const char *a, const char *b, size_t *ret_distance,
                                 size_t *ret_chars, glint_error *err) {
    uint32_t *memory = gi_calloc(3 * GI_QUALITY_CHARS_MAX + 1, sizeof *memory);
    if (!memory) return gi_fail(err, GLINT_ERR_MEMORY, "no memory to compare two answers");
    uint32_t *x = memory, *y = x + GI_QUALITY_CHARS_MAX, *row = y + GI_QUALITY_CHARS_MAX;
    const size_t nx = split(a, x), ny = split(b, y);
    for (size_t j = 0; j <= ny; j++) row[j] = (uint32_t)j;
    for (size_t i = 1; i <= nx; i++) {
        uint32_t corner = row[0]; /* of the row above, one to the left */
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= ny; j++) {
            const uint32_t change = corner + (x[i - 1] != y[j - 1]);
            const uint32_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    *ret_distance = row[ny];
    *ret_chars = ny;
    gi_free(memory);
    return GLINT_OK;
}
