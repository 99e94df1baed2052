/*
 * The tree of a pattern becomes states, built from the end to the start.
 */
#include "grammar/regex_parts.h"

/* Visits of the tree: an empty group may be repeated as often as one likes. */
enum { EMITTED_MAX = 200000 };

typedef struct emitter {
    gi_nfa *nfa;
    uint32_t n_emitted;
} emitter;

static glint_status add_state(const emitter *e, gi_nfa_kind kind, uint32_t a, uint32_t b,
                              uint32_t *ret) {
    gi_nfa *nfa = e->nfa;
    if (nfa->n_states == GI_NFA_STATES_MAX) return gi_nfa_too_large(nfa);
    nfa->states[nfa->n_states] = (gi_nfa_state){a, b, (uint8_t)kind};
    *ret = (uint32_t)nfa->n_states++;
    return GLINT_OK;
}

/* States for `t` that go on to *io; *io becomes where they start. Depth: that of the groups. */
static glint_status emit(emitter *e, const gi_regex_tree *t, uint32_t *io) {
    if (++e->n_emitted > EMITTED_MAX) return gi_nfa_too_large(e->nfa);
    const uint32_t then = *io;
    uint32_t entry = then, all = then;
    switch (t->kind) {
    case GI_REGEX_SET:
        return add_state(e, GI_NFA_SET, then, t->set, io);
    case GI_REGEX_BEGIN:
        return add_state(e, GI_NFA_BEGIN, then, 0, io);
    case GI_REGEX_END:
        return add_state(e, GI_NFA_END, then, 0, io);
    case GI_REGEX_CAT:
        for (const gi_regex_part *part = t->parts; part; part = part->prev)
            GI_TRY(emit(e, part->tree, io));
        break;
    case GI_REGEX_ALT:
        for (const gi_regex_part *part = t->parts; part; part = part->prev) {
            entry = then;
            GI_TRY(emit(e, part->tree, &entry));
            if (part == t->parts)
                all = entry;
            else
                GI_TRY(add_state(e, GI_NFA_SPLIT, entry, all, &all));
        }
        *io = all;
        break;
    case GI_REGEX_REPEAT:
        if (t->max == GI_UNLIMITED) {
            GI_TRY(add_state(e, GI_NFA_SPLIT, then, then, io));
            entry = *io;
            GI_TRY(emit(e, t->sub, &entry));
            e->nfa->states[*io].a = entry;
        }
        for (uint32_t i = t->min; t->max != GI_UNLIMITED && i < t->max; i++) {
            GI_TRY(emit(e, t->sub, io));
            GI_TRY(add_state(e, GI_NFA_SPLIT, *io, then, io));
        }
        for (uint32_t i = 0; i < t->min; i++) GI_TRY(emit(e, t->sub, io));
        break;
    }
    return GLINT_OK;
}

glint_status gi_nfa_add(gi_nfa *nfa, const char *pattern, uint32_t *ret_start) {
    emitter e = {.nfa = nfa};
    const gi_regex_tree *t = NULL;
    gi_char_draft any = {.n = 0};
    uint32_t set = 0, match = 0, step = 0, state = 0;
    GI_TRY(gi_regex_parse(nfa, pattern, &t));
    (void)gi_char_draft_add(&any, 0, GI_LAST_CHAR);
    GI_TRY(gi_nfa_keep_set(nfa, &any, &set));
    /* anything, the pattern, anything */
    GI_TRY(add_state(&e, GI_NFA_MATCH, 0, 0, &match));
    GI_TRY(add_state(&e, GI_NFA_SPLIT, match, match, &state));
    GI_TRY(add_state(&e, GI_NFA_SET, state, set, &step));
    nfa->states[state].a = step;
    GI_TRY(emit(&e, t, &state));
    GI_TRY(add_state(&e, GI_NFA_SPLIT, state, state, ret_start));
    GI_TRY(add_state(&e, GI_NFA_SET, *ret_start, set, &step));
    nfa->states[*ret_start].a = step;
    return GLINT_OK;
}
