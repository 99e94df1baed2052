/**
 * @file
 * What regex_parse.c hands to regex_build.c: the pattern as a machine that may be in several
 * states at once.
 */
#ifndef GI_GRAMMAR_REGEX_PARTS_H
#define GI_GRAMMAR_REGEX_PARTS_H

#include "grammar/regex.h"

#define GI_NFA_STATES_MAX 16384u
#define GI_NFA_SETS_MAX   512u

/** A set of characters: sorted, disjoint, not adjacent. */
typedef struct gi_char_set {
    gi_char_range *ranges; /**< [n]; class_index is not used */
    size_t n;
} gi_char_set;

typedef enum gi_nfa_kind {
    GI_NFA_SPLIT, /**< to a and b, reading nothing */
    GI_NFA_SET,   /**< to a, reading a character of set b */
    GI_NFA_BEGIN, /**< to a, at the beginning only */
    GI_NFA_END,   /**< to a, at the end only */
    GI_NFA_MATCH,
} gi_nfa_kind;

typedef struct gi_nfa_state {
    uint32_t a, b;
    uint8_t kind; /**< gi_nfa_kind */
} gi_nfa_state;

/** The machines of several patterns share the sets. */
typedef struct gi_nfa {
    gi_arena *arena;      /**< scratch, gone when the pattern is compiled */
    gi_nfa_state *states; /**< [GI_NFA_STATES_MAX] */
    size_t n_states;
    gi_char_set sets[GI_NFA_SETS_MAX];
    size_t n_sets;
    const char *place;
    glint_error *err;
} gi_nfa;

/** Add a pattern; *ret_start is where its machine starts, anchored at neither side. */
glint_status gi_nfa_add(gi_nfa *nfa, const char *pattern, uint32_t *ret_start);

/** "no memory", or GLINT_ERR_LIMIT where the scratch arena has reached its limit. */
static inline glint_status gi_nfa_no_memory(const gi_nfa *nfa) {
    if (nfa->arena->total_bytes > nfa->arena->max_bytes / 2)
        return gi_fail(nfa->err, GLINT_ERR_LIMIT, "%s: \"pattern\" is too large", nfa->place);
    return gi_fail(nfa->err, GLINT_ERR_MEMORY, "%s: no memory for \"pattern\"", nfa->place);
}

#endif
