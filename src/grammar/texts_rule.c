/*
 * A list of texts as a tree of their common beginnings, one state a node. Sorted texts with a
 * common beginning lie side by side, so a node is a range of texts and a depth.
 */
#include "grammar/bytes_rule.h"

#include <stdlib.h>
#include <string.h>

enum { STATES_MAX = 65000 };

typedef struct node {
    uint32_t begin, end, depth;
} node;

int32_t gi_bytes_rule_step(const gi_bytes_rule *r, uint32_t state, uint8_t byte) {
    uint32_t lo = r->first[state], hi = r->first[state + 1];
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (r->edges[mid].hi < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == r->first[state + 1] || r->edges[lo].lo > byte) return -1;
    return r->edges[lo].to;
}

static int compare_texts(const void *a, const void *b) {
    const gi_text *x = a, *y = b;
    const int c = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return c ? c : x->n < y->n ? -1 : x->n > y->n;
}

/* Breadth first, so that the edges of a state lie together. */
static uint32_t grow(const gi_text *texts, node *nodes, uint32_t *first, gi_bytes_edge *edges,
                     bool *ends) {
    uint32_t n = 1, n_edges = 0;
    for (uint32_t i = 0; i < n; i++) {
        node at = nodes[i];
        first[i] = n_edges;
        while (at.begin < at.end && texts[at.begin].n == at.depth) {
            ends[i] = true;
            at.begin++;
        }
        for (uint32_t t = at.begin; t < at.end;) {
            const uint8_t byte = (uint8_t)texts[t].bytes[at.depth];
            uint32_t end = t;
            while (end < at.end && (uint8_t)texts[end].bytes[at.depth] == byte) end++;
            edges[n_edges++] = (gi_bytes_edge){byte, byte, (uint16_t)n};
            nodes[n++] = (node){t, end, at.depth + 1};
            t = end;
        }
    }
    first[n] = n_edges;
    return n;
}

glint_status gi_texts_rule(gi_arena *arena, gi_text *texts, size_t n, const char *place,
                           const gi_bytes_rule **ret, glint_error *err) {
    size_t n_bytes = 1;
    for (size_t i = 0; i < n; i++) n_bytes += texts[i].n;
    if (n_bytes > STATES_MAX) return gi_fail(err, GLINT_ERR_LIMIT, "%s: enum is too large", place);
    qsort(texts, n, sizeof *texts, compare_texts);
    gi_bytes_rule *r = gi_arena_alloc(arena, 1, sizeof *r);
    node *nodes = gi_arena_alloc(arena, n_bytes, sizeof *nodes);
    uint32_t *first = gi_arena_alloc(arena, n_bytes + 1, sizeof *first);
    gi_bytes_edge *edges = gi_arena_alloc(arena, n_bytes, sizeof *edges);
    bool *ends = gi_arena_alloc(arena, n_bytes, sizeof *ends);
    if (!r || !nodes || !first || !edges || !ends)
        return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", place);
    nodes[0] = (node){0, (uint32_t)n, 0};
    const uint32_t n_states = grow(texts, nodes, first, edges, ends);
    *r = (gi_bytes_rule){first, edges, ends, n_states};
    *ret = r;
    return GLINT_OK;
}
