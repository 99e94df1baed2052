/**
 * @file
 * What the files of a pattern's compiler hand on: regex_parse.c reads the pattern into a tree, with
 * the sets of regex_set.c; regex_emit.c makes of it a machine that may be in several states at
 * once; regex_build.c makes that deterministic.
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

/** A set being collected. */
enum { GI_CHAR_DRAFT_MAX = 256 };
typedef struct gi_char_draft {
    gi_char_range ranges[GI_CHAR_DRAFT_MAX]; /**< in any order; may overlap */
    size_t n;
} gi_char_draft;

#define GI_LAST_CHAR 0x10FFFFu

/** Add lo..hi. False, as below: the set has too many ranges. */
bool gi_char_draft_add(gi_char_draft *d, uint32_t lo, uint32_t hi);

/** All characters that are not in it. */
bool gi_char_draft_negate(gi_char_draft *d);

/** Add \d \w \s or a complement; `c` is the letter. False: it is none of these letters. */
bool gi_char_draft_add_named(gi_char_draft *d, int c, bool *ret_fits);

typedef enum gi_regex_kind {
    GI_REGEX_SET,
    GI_REGEX_CAT,
    GI_REGEX_ALT,
    GI_REGEX_REPEAT,
    GI_REGEX_BEGIN,
    GI_REGEX_END,
} gi_regex_kind;

/** A pattern, or a part of one. */
typedef struct gi_regex_tree {
    gi_regex_kind kind;
    uint32_t set;                      /**< SET */
    uint32_t min, max;                 /**< REPEAT; max may be GI_UNLIMITED */
    const struct gi_regex_tree *sub;   /**< REPEAT */
    const struct gi_regex_part *parts; /**< CAT, ALT: the last one */
} gi_regex_tree;

/** A link of the list of parts. */
typedef struct gi_regex_part {
    const gi_regex_tree *tree;
    const struct gi_regex_part *prev;
} gi_regex_part;

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

/** Put a set among the machine's, or find it there. */
glint_status gi_nfa_keep_set(gi_nfa *nfa, gi_char_draft *d, uint32_t *ret);

/** Read a pattern; its tree lives in the scratch arena. */
glint_status gi_regex_parse(gi_nfa *nfa, const char *pattern, const gi_regex_tree **ret);

/** Add a pattern; *ret_start is where its machine starts, anchored at neither side. */
glint_status gi_nfa_add(gi_nfa *nfa, const char *pattern, uint32_t *ret_start);

/** GLINT_ERR_LIMIT. */
static inline glint_status gi_nfa_too_large(const gi_nfa *nfa) {
    return gi_fail(nfa->err, GLINT_ERR_LIMIT, "%s: \"pattern\" is too large", nfa->place);
}

/** "no memory", or GLINT_ERR_LIMIT where the scratch arena has reached its limit. */
static inline glint_status gi_nfa_no_memory(const gi_nfa *nfa) {
    if (nfa->arena->total_bytes > nfa->arena->max_bytes / 2) return gi_nfa_too_large(nfa);
    return gi_fail(nfa->err, GLINT_ERR_MEMORY, "%s: no memory for \"pattern\"", nfa->place);
}

#endif
