/*
 * Any text as a schema: compiled or refused with a message within the limits; what compiles is
 * walked at random under its own grammar, and what comes out whole must be JSON that the checker
 * takes. The first eight bytes choose the walk.
 */
#include "grammar/automaton.h"
#include "grammar/schema.h"

#include <string.h>

enum { STEPS_MAX = 400, CELLS_KEPT = 512, CELLS = 2048, TEXT_MAX = STEPS_MAX + 1 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static uint32_t next_random(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static bool is_complete(const gi_schema *s, const gi_thread *threads, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (gi_automaton_is_complete(s, &threads[i])) return true;
    return false;
}

static void check(const gi_schema *s, const char *text, size_t n) {
    json_t *value = NULL;
    glint_error err = {0};
    gi_assert(gi_json_parse_any(text, n, "answer", &value, &err) == GLINT_OK);
    const glint_status st = gi_schema_check(s, value, &err);
    gi_assert(st == GLINT_OK || st == GLINT_ERR_LIMIT);
    json_decref(value);
}

/* A byte at a time, each one taken at random among those that the grammar takes. */
static void walk(const gi_schema *s, uint64_t seed) {
    static gi_cell pool[CELLS];
    static uint32_t marks[CELLS + 1];
    gi_thread threads[GI_THREADS_MAX], next[GI_THREADS_MAX];
    gi_cells cells = {pool, 0, CELLS};
    char text[TEXT_MAX];
    size_t n_threads = 1, n = 0;
    threads[0] = gi_automaton_begin(s);
    while (n < STEPS_MAX) {
        const bool complete = is_complete(s, threads, n_threads);
        if (complete) check(s, text, n);
        const uint32_t from = next_random(&seed), n_cells = cells.n;
        size_t n_next = 0;
        uint32_t i = 0;
        for (; i < 256 && n_next == 0; i++) {
            cells.n = n_cells;
            for (size_t t = 0; t < n_threads; t++)
                gi_automaton_step(s, &cells, &threads[t], (uint8_t)(from + i * 67), next, &n_next,
                                  GI_THREADS_MAX);
        }
        gi_assert(n_next > 0 || complete); /* no corner */
        if (n_next == 0) return;
        text[n++] = (char)(uint8_t)(from + (i - 1) * 67);
        n_threads = gi_automaton_compact(&cells, next, n_next, CELLS_KEPT, marks);
        gi_assert(n_threads > 0);
        memcpy(threads, next, n_threads * sizeof *threads);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    uint64_t seed = 0;
    gi_schema *s = NULL;
    glint_error err = {0};
    if (n_bytes < sizeof seed) return 0;
    memcpy(&seed, bytes, sizeof seed);
    const gi_schema_options o = {.strict = seed & 1};
    const glint_status st =
        gi_schema_compile((const char *)bytes + sizeof seed, n_bytes - sizeof seed, &o, &s, &err);
    if (st != GLINT_OK) {
        gi_assert(err.code == st && err.message[0]);
        return 0;
    }
    for (int i = 0; i < 4; i++) walk(s, seed + (uint64_t)i);
    gi_schema_free(s);
    return 0;
}
