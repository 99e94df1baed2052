/**
 * @file
 * Regular expressions without backtracking: a pattern becomes a deterministic automaton over
 * classes of characters. The syntax is ECMA-262's, less what no finite automaton can do (or what
 * would need tables of Unicode properties): back references, look-around, \b, \p.
 *
 * Thompson's construction and the subset construction (Aho, Sethi, Ullman 1986, section 3.7),
 * both under limits, so that a hostile pattern costs a bounded time.
 */
#ifndef GI_GRAMMAR_REGEX_H
#define GI_GRAMMAR_REGEX_H

#include "base/arena.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Most classes of characters that one automaton tells apart. */
#define GI_REGEX_CLASSES_MAX 64u
/** Most states of one automaton. */
#define GI_REGEX_STATES_MAX  4096u
/** Steps of compiling; see gi_regex_compile. */
#define GI_REGEX_WORK        ((size_t)16000000)

/** No limit, of a count or a length. */
#define GI_UNLIMITED UINT32_MAX

/** Code points lo..hi belong to one class. */
typedef struct gi_char_range {
    uint32_t lo, hi, class_index;
} gi_char_range;

/** State 0 is dead; from every other one an accepting state can be reached. Immutable. */
typedef struct gi_regex {
    uint32_t n_classes, n_ranges, n_states, start;
    const gi_char_range *ranges; /**< [n_ranges], in order; all of Unicode but surrogates */
    const uint16_t *next;        /**< [n_states][n_classes] */
    const bool *accepts;         /**< [n_states] */
} gi_regex;

/**
 * The strings that every one of `n` patterns matches somewhere (none: all strings). They and the
 * result live in `arena`. `place` begins messages. The work done is taken off *io_work, which
 * bounds all patterns of a schema together; GI_REGEX_WORK is a fifth of a second or so.
 * GLINT_ERR_FORMAT (no pattern), _UNSUPPORTED (names the construct), _LIMIT, _MEMORY.
 */
glint_status gi_regex_compile(gi_arena *arena, const char *const *patterns, size_t n,
                              const char *place, size_t *io_work, const gi_regex **ret,
                              glint_error *err);

/** Whether n bytes of valid UTF-8 match. */
bool gi_regex_matches(const gi_regex *r, const char *text, size_t n_bytes);

/** True when no string matches. */
bool gi_regex_is_empty(const gi_regex *r);

#endif
