/**
 * @file
 * Sets of byte strings as deterministic automata: numbers within bounds, and lists of texts.
 */
#ifndef GI_GRAMMAR_BYTES_RULE_H
#define GI_GRAMMAR_BYTES_RULE_H

#include "base/arena.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 gi_i128;

/** Numbers are counted in units of 1e-15, so that decimal bounds are exact. */
#define GI_NUMBER_SCALE  ((gi_i128)1000000000000000)
#define GI_NUMBER_DIGITS 15

typedef struct gi_bytes_edge {
    uint8_t lo, hi; /**< bytes lo..hi lead to state `to` */
    uint16_t to;
} gi_bytes_edge;

/** Starts in state 0; from every state an accepting one can be reached. Immutable. */
typedef struct gi_bytes_rule {
    const uint32_t *first;      /**< [n_states + 1] state i has edges first[i]..first[i + 1] */
    const gi_bytes_edge *edges; /**< in order of bytes within a state */
    const bool *accepts;        /**< [n_states] */
    uint32_t n_states;
} gi_bytes_rule;

/** The state behind `byte`, or -1. */
int32_t gi_bytes_rule_step(const gi_bytes_rule *r, uint32_t state, uint8_t byte);

/** Which numbers. Bounds in units of 1 / GI_NUMBER_SCALE, inclusive. */
typedef struct gi_number_spec {
    gi_i128 min, max;
    bool has_min, has_max;
    bool integer;
    int64_t multiple_of; /**< 0, or integers that are multiples of it */
    int fraction_max;    /**< most digits behind the point, 0..GI_NUMBER_DIGITS */
} gi_number_spec;

/**
 * The numbers that meet `spec` as JSON without superfluous zeros in front, and no "-0" for
 * integers. Integers reach 2^53 - 1 either way unless a bound says otherwise, so that every reader
 * takes them exactly; other numbers have up to 15 digits before and behind the point, and an
 * exponent of up to two digits where nothing bounds them.
 * *ret stays NULL when there is none. GLINT_ERR_LIMIT, _MEMORY.
 */
glint_status gi_number_rule(gi_arena *arena, const gi_number_spec *spec, const char *place,
                            const gi_bytes_rule **ret, glint_error *err);

/** A text of a list. */
typedef struct gi_text {
    const char *bytes;
    size_t n;
} gi_text;

/**
 * Exactly the given texts (n >= 1, none empty), which are sorted in place.
 * GLINT_ERR_LIMIT, _MEMORY.
 */
glint_status gi_texts_rule(gi_arena *arena, gi_text *texts, size_t n, const char *place,
                           const gi_bytes_rule **ret, glint_error *err);

#endif
