#include "../cm.h"

#include "walk.h"

#include "grammar/automaton.h"
#include "grammar/schema_parts.h"

#include <stdlib.h>
#include <string.h>

enum { CELLS = 4096, KEPT = 512 };

static size_t step_all(const gi_schema *s, gi_cells *cells, const gi_thread *from, size_t n,
                       uint8_t byte, gi_thread *to) {
    size_t n_to = 0;
    for (size_t i = 0; i < n; i++)
        gi_automaton_step(s, cells, &from[i], byte, to, &n_to, GI_THREADS_MAX);
    return n_to;
}

bool walk_accepts(const gi_schema *s, const char *text, size_t n, size_t *ret_n_taken) {
    gi_cell *pool = calloc(CELLS, sizeof *pool);
    uint32_t *marks = calloc(CELLS + 1, sizeof *marks);
    gi_thread threads[2][GI_THREADS_MAX];
    gi_cells cells = {pool, 0, CELLS};
    size_t n_threads = 1, at = 0;
    threads[0][0] = gi_automaton_begin(s);
    for (; at < n; at++) {
        const size_t n_next =
            step_all(s, &cells, threads[at % 2], n_threads, (uint8_t)text[at], threads[1 - at % 2]);
        if (n_next == 0) break;
        n_threads = gi_automaton_compact(&cells, threads[1 - at % 2], n_next, KEPT, marks);
    }
    bool complete = false;
    for (size_t i = 0; i < n_threads && at == n; i++)
        complete |= gi_automaton_is_complete(s, &threads[at % 2][i]);
    if (ret_n_taken) *ret_n_taken = at;
    free(pool);
    free(marks);
    return complete;
}

/* Every name under "properties" in the schema, in order of appearance. */
static void list_names(const json_t *schema, bool are_names, json_t *names) {
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value) {
        if (are_names && !json_object_get(names, key))
            json_object_set_new(names, key, json_integer((json_int_t)json_object_size(names)));
        list_names(value, !are_names && strcmp(key, "properties") == 0, names);
    }
    json_array_foreach((json_t *)(uintptr_t)schema, i, value) list_names(value, false, names);
}

static json_t *in_order(const json_t *value, const json_t *names) {
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_array(value)) {
        json_t *out = json_array();
        json_array_foreach((json_t *)(uintptr_t)value, i, member)
            json_array_append_new(out, in_order(member, names));
        return out;
    }
    if (!json_is_object(value)) return json_incref((json_t *)(uintptr_t)value);
    json_t *out = json_object();
    json_object_foreach((json_t *)(uintptr_t)names, key, member) {
        const json_t *own = json_object_get(value, key);
        if (own) json_object_set_new(out, key, in_order(own, names));
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member) if (!json_object_get(out, key))
        json_object_set_new(out, key, in_order(member, names));
    return out;
}

char *walk_text(const json_t *schema, const json_t *value, size_t *ret_n) {
    json_t *names = json_object();
    gi_buf out;
    gi_buf_init(&out, 16 << 20);
    list_names(schema, false, names);
    json_t *ordered = in_order(value, names);
    assert_int_equal(gi_json_write(ordered, GI_JSON_COMPACT, &out, NULL), GLINT_OK);
    json_decref(ordered);
    json_decref(names);
    char *text = malloc(out.len + 1);
    memcpy(text, out.data, out.len + 1);
    *ret_n = out.len;
    gi_buf_done(&out);
    return text;
}
