/**
 * @file
 * What the inside of a JSON string may be, byte by byte: characters as UTF-8 or escaped, their
 * number, and the automaton of a pattern over them.
 *
 * Two automata run together. The reader reads bytes and knows at the end of each character which
 * class it is of; the regex steps once a character. A byte is let through only where some
 * character that it may begin leads to an end that the bounds on length allow, so nothing ends up
 * in a corner.
 */
#ifndef GI_GRAMMAR_STRING_RULE_H
#define GI_GRAMMAR_STRING_RULE_H

#include "grammar/regex.h"

/** Entry of a reader's table: no such byte here. */
#define GI_READER_NONE 0xFFFFu
/** Bit of an entry: the character is complete; the low bits are its class. */
#define GI_READER_CHAR 0x8000u

/** Reads one character at a time; state 0 is between two of them. Immutable. */
typedef struct gi_char_reader {
    uint16_t (*next)[256]; /**< [n_states] */
    uint64_t *reach;       /**< [n_states] classes that may yet come out */
    uint32_t n_states;
} gi_char_reader;

/** Which spellings of a character a reader reads. */
typedef enum gi_spelling {
    GI_SPELL_PLAIN,  /**< as it is; nothing that needs an escape: names of properties */
    GI_SPELL_NEEDED, /**< escaped only where JSON demands it */
    GI_SPELL_ANY,    /**< as it is or escaped, surrogates in pairs: one class only */
} gi_spelling;

/** Immutable. */
typedef struct gi_string_rule {
    const gi_char_reader *reader;
    const gi_regex *regex;
    uint32_t min, max;        /**< characters; GI_UNLIMITED: no most */
    const uint32_t *shortest; /**< [n_states] characters to the nearest end */
    const uint32_t *longest;  /**< [n_states] to the farthest, or GI_UNLIMITED */
    const uint64_t *lengths; /**< [n_states][n_words] bit n: n characters lead to an end; or NULL */
    uint32_t n_words;
    const uint64_t *live; /**< [n_states] bit c: class c leads to an end */
    const bool *is_free;  /**< [n_states] characters that JSON writes as they are never fail */
    bool is_open;         /**< no pattern: between two characters any one is fine, if max allows */
} gi_string_rule;

/** GLINT_ERR_LIMIT, _MEMORY. */
glint_status gi_char_reader_create(gi_arena *arena, const gi_regex *regex, gi_spelling spelling,
                                   const gi_char_reader **ret, glint_error *err);

/**
 * A rule over `regex` and `reader`, which it keeps pointers to; work is taken off *io_work as for
 * gi_regex_compile. *ret stays NULL when no string meets it.
 * GLINT_ERR_LIMIT (pattern and lengths together are too much), _MEMORY.
 */
glint_status gi_string_rule_create(gi_arena *arena, const gi_regex *regex,
                                   const gi_char_reader *reader, uint32_t min, uint32_t max,
                                   const char *place, size_t *io_work, const gi_string_rule **ret,
                                   glint_error *err);

/** Where a string stands: regex state, reader state, characters so far. */
typedef struct gi_string_at {
    uint32_t state, part, count;
} gi_string_at;

/** The place behind the opening quote. */
static inline gi_string_at gi_string_begin(const gi_string_rule *r) {
    return (gi_string_at){r->regex->start, 0, 0};
}

/** Take a byte of the content. False: it is not allowed here, *at is as it was. */
bool gi_string_step(const gi_string_rule *r, gi_string_at *at, uint8_t byte);

/** Whether every run of plain characters (gi_vocab_trie) is fine from here on, however long. */
static inline bool gi_string_is_free(const gi_string_rule *r, const gi_string_at *at) {
    return at->part == 0 && r->max == GI_UNLIMITED && r->is_free[at->state];
}

/** Whether the closing quote may come now. */
bool gi_string_may_end(const gi_string_rule *r, const gi_string_at *at);

/** Whether, from every place within a string, endlessly many different ends are possible. */
bool gi_string_is_endless(const gi_string_rule *r);

#endif
