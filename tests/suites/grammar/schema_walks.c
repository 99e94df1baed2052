/*
 * schema_walks N SEED: prints N lines {"schema":...,"answer":...}: random schemas and an answer to
 * each that its grammar wrote, for another validator to judge.
 */
#include "../../unit/cm.h"

#include "../../unit/grammar/random_schema.h"
#include "grammar/automaton.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 4000, CELLS = 4096, KEPT = 512 };

static bool is_complete(const gi_schema *s, const gi_thread *threads, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (gi_automaton_is_complete(s, &threads[i])) return true;
    return false;
}

/* Bytes that bring an answer to its end are tried first once it is long. */
static uint8_t nth_choice(uint32_t random, unsigned i, bool is_long) {
    static const char order[] = "\"}]:,0nx\\";
    if (is_long && i < sizeof order - 1)
        return (uint8_t)order[(random % 4 + i) % (sizeof order - 1)];
    return (uint8_t)(random + i * 67);
}

/* Random bytes that the grammar takes; 0 when it got too long. */
static size_t walk(const gi_schema *s, uint64_t *seed, char *text) {
    static gi_cell pool[CELLS];
    static uint32_t marks[CELLS + 1];
    gi_thread threads[GI_THREADS_MAX], next[GI_THREADS_MAX];
    gi_cells cells = {pool, 0, CELLS};
    size_t n_threads = 1, n = 0;
    threads[0] = gi_automaton_begin(s);
    while (n < TEXT_MAX) {
        const uint32_t random = random_next(seed), n_cells = cells.n;
        size_t n_next = 0;
        uint8_t byte = 0;
        if (is_complete(s, threads, n_threads) && random % 4 < 2) return n;
        for (unsigned i = 0; i < 300 && n_next == 0; i++) {
            cells.n = n_cells;
            byte = nth_choice(random, i, n > 200);
            for (size_t t = 0; t < n_threads; t++)
                gi_automaton_step(s, &cells, &threads[t], byte, next, &n_next, GI_THREADS_MAX);
        }
        if (n_next == 0) return is_complete(s, threads, n_threads) ? n : 0;
        text[n++] = (char)byte;
        n_threads = gi_automaton_compact(&cells, next, n_next, KEPT, marks);
        memcpy(threads, next, n_threads * sizeof *threads);
    }
    return 0;
}

int main(int argc, char **argv) {
    static char text[TEXT_MAX];
    gi_buf schema;
    if (argc != 3) return 2;
    gi_buf_init(&schema, GI_SCHEMA_BYTES_MAX);
    uint64_t seed = strtoull(argv[2], NULL, 10);
    for (long left = strtol(argv[1], NULL, 10); left > 0;) {
        gi_schema *s = NULL;
        gi_buf_clear(&schema);
        random_schema(&seed, &schema);
        if (gi_schema_compile((const char *)schema.data, schema.len, NULL, &s, NULL) != GLINT_OK)
            continue;
        const size_t n = walk(s, &seed, text);
        if (n > 0)
            printf("{\"schema\":%s,\"answer\":%.*s}\n", (const char *)schema.data, (int)n, text);
        left -= n > 0;
        gi_schema_free(s);
    }
    gi_buf_done(&schema);
    return 0;
}
