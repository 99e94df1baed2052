/**
 * @file
 * JSON schemas: what an answer must look like. A schema is compiled once, in bounded time and
 * memory, into a grammar over bytes (grammar/automaton.h) and kept as it was written for checking
 * values. The two know nothing of each other, so that one can test the other.
 *
 * docs/schema.md lists the keywords. What glint does not understand is refused by name, so that no
 * rule is silently ignored. Bounds: GI_SCHEMA_* below.
 */
#ifndef GI_GRAMMAR_SCHEMA_H
#define GI_GRAMMAR_SCHEMA_H

#include "base/json.h"

/** Longest text of a schema, in bytes. */
#define GI_SCHEMA_BYTES_MAX      (64u << 10)
/** Most values of one enum, properties of one object, branches of one anyOf. */
#define GI_SCHEMA_ENUM_MAX       1024u
#define GI_SCHEMA_PROPERTIES_MAX 1024u
#define GI_SCHEMA_BRANCHES_MAX   256u
/** Longest pattern, in bytes. */
#define GI_SCHEMA_PATTERN_MAX    2048u
/** Most rules of the compiled grammar, and most bytes of everything compiled. */
#define GI_SCHEMA_RULES_MAX      8192u
#define GI_SCHEMA_MEMORY_MAX     ((size_t)32 << 20)
/** Largest count in minLength, maxItems and their kin. */
#define GI_SCHEMA_COUNT_MAX      1000000u
/** Most labels of a field (gi_schema_labels). */
#define GI_SCHEMA_LABELS_MAX     64u

/** Immutable; any number of threads. */
typedef struct gi_schema gi_schema;

/** White space of generated JSON. */
typedef enum gi_json_layout {
    GI_JSON_COMPACT, /**< {"a":1,"b":[2,3]} */
    GI_JSON_SPACED,  /**< {"a": 1, "b": [2, 3]} */
} gi_json_layout;

typedef struct gi_schema_options {
    const char *what; /**< names the source in messages; NULL: "schema" */
    gi_json_layout layout;
    bool strict; /**< refuse keywords and formats that no draft knows; else they are notes */
} gi_schema_options;

/**
 * Compile a schema.
 *
 * @param json    n_bytes of JSON text, read during the call only.
 * @param options NULL: all defaults.
 * @return GLINT_ERR_FORMAT (not JSON, a keyword of the wrong type, a reference to nothing, a
 *         schema that no value can meet), GLINT_ERR_UNSUPPORTED (something glint does not do),
 *         GLINT_ERR_LIMIT (too large), GLINT_ERR_MEMORY. The message names the keyword and its
 *         place: `schema.properties.size: "not" is not supported`.
 * Cost: bounded; docs/schema.md has the figures. Runs no code of the schema's author: patterns
 * become automata, nothing backtracks.
 */
glint_status gi_schema_compile(const char *json, size_t n_bytes, const gi_schema_options *options,
                               gi_schema **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_schema_free(gi_schema *schema);

/**
 * GLINT_OK when `value` meets the schema, else GLINT_ERR_FORMAT with the first place that does
 * not ("answer.reasons[2] must be a string"). Reads the schema as it was written, in any order of
 * properties and any white space; formats count as rules.
 */
glint_status gi_schema_check(const gi_schema *schema, const json_t *value, glint_error *err);

/**
 * The strings allowed for required top-level property `field`; NULL and 0 when it is not one that
 * an enum restricts to 1..GI_SCHEMA_LABELS_MAX non-empty strings. They live as long as the schema.
 */
const char *const *gi_schema_labels(const gi_schema *schema, const char *field, size_t *ret_n);

#endif
