/**
 * @file
 * What several subschemas ask of one value together: $ref and allOf put schemas side by side, and
 * so do two schemas that both describe a property. An ask is such a list; these functions read the
 * keywords of all its members as one.
 */
#ifndef GI_GRAMMAR_SCHEMA_ASK_H
#define GI_GRAMMAR_SCHEMA_ASK_H

#include "grammar/schema_parts.h"

#include <stddef.h>

#define GI_ASK_MAX 48u

/** Types of values; integers are told from other numbers. */
enum {
    GI_TYPE_NULL = 1,
    GI_TYPE_BOOLEAN = 2,
    GI_TYPE_INTEGER = 4,
    GI_TYPE_FRACTION = 8,
    GI_TYPE_STRING = 16,
    GI_TYPE_ARRAY = 32,
    GI_TYPE_OBJECT = 64,
    GI_TYPE_ANY = 127,
    GI_TYPE_NUMBER = GI_TYPE_INTEGER | GI_TYPE_FRACTION,
};

/** A subschema of the list; a choice that has been made is not made again. */
typedef struct gi_ask_member {
    const json_t *schema;
    bool any_made, one_made;
} gi_ask_member;

/** Zero-initialise. Asks that list the same in the same order are the same rule. */
typedef struct gi_ask {
    uint32_t n;
    bool never; /**< `false` is among them */
    gi_ask_member members[GI_ASK_MAX];
} gi_ask;

/** Bytes of an ask that has no room for more members than it has. */
static inline size_t gi_ask_bytes(const gi_ask *ask) {
    return offsetof(gi_ask, members) + ask->n * sizeof *ask->members;
}

/** Add a subschema and what it refers to or lists in allOf. GLINT_ERR_LIMIT. */
glint_status gi_ask_add(const gi_schema *s, gi_ask *ask, const json_t *schema, glint_error *err);

/**
 * The types a generated value may have. Where no member gives a type but some have keywords of
 * certain types, those types are meant.
 */
unsigned gi_ask_types(const gi_ask *ask);

/** Whether some member lists values (enum, const). */
bool gi_ask_has_values(const gi_ask *ask);

/** The n-th value of the first member that lists some, or NULL past the last. */
const json_t *gi_ask_value(const gi_ask *ask, size_t n);

/** Whether all members allow `value`. */
bool gi_ask_allows(const gi_schema *s, const gi_ask *ask, const json_t *value);

/** The largest of a keyword like minLength (0: none given), and the smallest of one like maxLength
 * (GI_UNLIMITED: none). */
uint32_t gi_ask_min(const gi_ask *ask, const char *keyword);
uint32_t gi_ask_max(const gi_ask *ask, const char *keyword);

/** Bounds and multiples of numbers. GLINT_ERR_LIMIT. */
glint_status gi_ask_number(const gi_schema *s, const gi_ask *ask, bool integer, gi_number_spec *ret,
                           glint_error *err);

/** Add to `out` what is asked of property `name`. GLINT_ERR_LIMIT. */
glint_status gi_ask_property(const gi_schema *s, const gi_ask *ask, const char *name, gi_ask *out,
                             glint_error *err);

/** Add to `out` what is asked of item `i`. GLINT_ERR_LIMIT. */
glint_status gi_ask_item(const gi_schema *s, const gi_ask *ask, size_t i, gi_ask *out,
                         glint_error *err);

/** How many first items have schemas of their own. */
size_t gi_ask_prefix(const gi_ask *ask);

/** Whether some member requires property `name`. */
bool gi_ask_requires(const gi_ask *ask, const char *name);

/**
 * Whether no value can meet both. True only where that is plain: different types, different listed
 * values, bounds that do not meet, or a property that both require and for which it holds. The
 * comparisons made are taken off *io_work; it is 0 when they were too many, and the answer false.
 */
bool gi_ask_excludes(const gi_schema *s, const gi_ask *a, const gi_ask *b, size_t *io_work);

/** Comparisons of values that all oneOf of a schema may take together. */
#define GI_EXCLUDE_WORK ((size_t)2000000)

#endif
