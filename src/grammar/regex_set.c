/*
 * Sets of characters while a pattern is read, and the list of all that were read.
 */
#include "grammar/regex_parts.h"

#include <stdlib.h>
#include <string.h>

bool gi_char_draft_add(gi_char_draft *d, uint32_t lo, uint32_t hi) {
    if (d->n == GI_CHAR_DRAFT_MAX) return false;
    d->ranges[d->n++] = (gi_char_range){lo, hi, 0};
    return true;
}

static int compare_ranges(const void *a, const void *b) {
    const gi_char_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void draft_sort(gi_char_draft *d) {
    qsort(d->ranges, d->n, sizeof *d->ranges, compare_ranges);
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (n > 0 && d->ranges[i].lo <= d->ranges[n - 1].hi + 1) {
            if (d->ranges[i].hi > d->ranges[n - 1].hi) d->ranges[n - 1].hi = d->ranges[i].hi;
        } else {
            d->ranges[n++] = d->ranges[i];
        }
    }
    d->n = n;
}

bool gi_char_draft_negate(gi_char_draft *d) {
    gi_char_draft out = {.n = 0};
    uint32_t from = 0;
    draft_sort(d);
    for (size_t i = 0; i < d->n; i++) {
        if (d->ranges[i].lo > from && !gi_char_draft_add(&out, from, d->ranges[i].lo - 1))
            return false;
        from = d->ranges[i].hi + 1;
    }
    if (from <= GI_LAST_CHAR && !gi_char_draft_add(&out, from, GI_LAST_CHAR)) return false;
    *d = out;
    return true;
}

/* As ECMA-262 has them. */
bool gi_char_draft_add_named(gi_char_draft *d, int c, bool *ret_fits) {
    static const gi_char_range digits[] = {{'0', '9', 0}};
    static const gi_char_range words[] = {
        {'0', '9', 0}, {'A', 'Z', 0}, {'_', '_', 0}, {'a', 'z', 0}};
    static const gi_char_range spaces[] = {
        {9, 13, 0},          {32, 32, 0},         {0xA0, 0xA0, 0},     {0x1680, 0x1680, 0},
        {0x2000, 0x200A, 0}, {0x2028, 0x2029, 0}, {0x202F, 0x202F, 0}, {0x205F, 0x205F, 0},
        {0x3000, 0x3000, 0}, {0xFEFF, 0xFEFF, 0}};
    static const struct {
        int letter;
        const gi_char_range *ranges;
        size_t n;
    } named[] = {{'d', digits, 1}, {'w', words, 4}, {'s', spaces, 10}};
    for (size_t i = 0; i < 3; i++) {
        const bool negated = c == named[i].letter - 'a' + 'A';
        if (c != named[i].letter && !negated) continue;
        gi_char_draft own = {.n = 0};
        *ret_fits = true;
        for (size_t k = 0; k < named[i].n; k++)
            *ret_fits &= gi_char_draft_add(&own, named[i].ranges[k].lo, named[i].ranges[k].hi);
        if (negated) *ret_fits &= gi_char_draft_negate(&own);
        for (size_t k = 0; k < own.n; k++)
            *ret_fits &= gi_char_draft_add(d, own.ranges[k].lo, own.ranges[k].hi);
        return true;
    }
    return false;
}

glint_status gi_nfa_keep_set(gi_nfa *nfa, gi_char_draft *d, uint32_t *ret) {
    draft_sort(d);
    const size_t size = d->n * sizeof *d->ranges;
    for (size_t i = 0; i < nfa->n_sets; i++) {
        if (nfa->sets[i].n != d->n) continue;
        if (size && memcmp(nfa->sets[i].ranges, d->ranges, size) != 0) continue;
        *ret = (uint32_t)i;
        return GLINT_OK;
    }
    if (nfa->n_sets == GI_NFA_SETS_MAX) return gi_nfa_too_large(nfa);
    gi_char_set *s = &nfa->sets[nfa->n_sets];
    s->ranges = gi_arena_alloc(nfa->arena, d->n ? d->n : 1, sizeof *s->ranges);
    if (!s->ranges) return gi_nfa_no_memory(nfa);
    if (size) memcpy(s->ranges, d->ranges, size);
    s->n = d->n;
    *ret = (uint32_t)nfa->n_sets++;
    return GLINT_OK;
}
