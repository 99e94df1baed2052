/**
 * @file
 * The state of building rules; shared by schema_build.c and schema_object.c.
 */
#ifndef GI_GRAMMAR_SCHEMA_BUILD_H
#define GI_GRAMMAR_SCHEMA_BUILD_H

#include "grammar/schema_ask.h"

/** Number rules, string rules and readers of characters that were made, to be shared. */
typedef struct gi_made_number {
    gi_number_spec spec;
    const gi_bytes_rule *rule;
    struct gi_made_number *next;
} gi_made_number;

typedef struct gi_made_string {
    const gi_regex *regex;
    gi_spelling spelling;
    const gi_char_reader *reader;
    struct gi_made_string *next;
} gi_made_string;

typedef struct gi_builder {
    gi_schema *s;
    gi_arena scratch;
    gi_ask **asks;   /**< [cap] of each rule; NULL for those built at once */
    uint32_t *slots; /**< [n_slots] rule + 1, by ask */
    uint32_t n_slots, cap;
    const gi_regex *any; /**< all strings */
    size_t exclude_work; /**< what is left of GI_EXCLUDE_WORK */
    gi_made_number *numbers;
    gi_made_string *strings;
    glint_error *err;
} gi_builder;

/** The rule of an ask; it is built later. Takes a copy. */
glint_status gi_build_rule(gi_builder *b, const gi_ask *ask, uint32_t *ret);

/** A string rule; *ret stays NULL when nothing meets it. */
glint_status gi_build_string(gi_builder *b, const gi_regex *regex, gi_spelling spelling,
                             uint32_t min, uint32_t max, const char *place,
                             const gi_string_rule **ret);

/** Fill a rule with an object's; GI_RULE_NEVER when there is none. */
glint_status gi_build_object(gi_builder *b, const gi_ask *ask, gi_rule *ret);

/** Where an ask stands, for messages. */
const char *gi_build_place(const gi_builder *b, const gi_ask *ask);

#endif
