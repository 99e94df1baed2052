/**
 * @file
 * What a compiled schema is made of; shared by the files schema*.c and automaton*.c.
 *
 *     text --schema_scan--> json + sites   every subschema: keywords known, references resolved
 *          --schema_facts-> facts          what a set of subschemas asks of one value
 *          --schema_build-> rules          the grammar, a rule for each such set
 */
#ifndef GI_GRAMMAR_SCHEMA_PARTS_H
#define GI_GRAMMAR_SCHEMA_PARTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "grammar/bytes_rule.h"
#include "grammar/schema.h"
#include "grammar/string_rule.h"

/** Longest place in a message, in bytes; longer ones are cut. */
#define GI_PLACE_BYTES 160
/** A rule that nothing can meet. */
#define GI_COST_NEVER  UINT32_MAX

/**
 * Room for one answer's open brackets and names: each open object or array takes
 * GI_COST_BRACKET, each name of an open object that the schema does not list takes 1. So nesting
 * stays within GI_JSON_DEPTH_MAX, and an object has at most 189 such names.
 */
#define GI_COST_BRACKET 3u
#define GI_COST_MAX     (GI_COST_BRACKET * GI_JSON_DEPTH_MAX)

/** A subschema where it stands in the text. */
typedef struct gi_site {
    const json_t *schema; /**< identity */
    const char *place;    /**< "schema.properties.a" */
    const json_t *ref;    /**< what its $ref points to, or NULL */
} gi_site;

/** A pattern or format by its text. */
typedef struct gi_pattern {
    const char *text;
    const gi_regex *regex;
} gi_pattern;

typedef enum gi_rule_kind {
    GI_RULE_PENDING, /**< not built yet */
    GI_RULE_NEVER,
    GI_RULE_BYTES,
    GI_RULE_STRING,
    GI_RULE_OBJECT,
    GI_RULE_ARRAY,
    GI_RULE_CHOICE,
} gi_rule_kind;

/** A node of the tree of names: the bytes `"name":` of all properties, as they are written. */
typedef struct gi_name_node {
    uint32_t child, sibling; /**< 0: none */
    uint32_t property;       /**< at the end of a name: its property; else UINT32_MAX */
    uint32_t first, n;       /**< properties below, in order: below[first..first + n) */
    uint8_t byte;
} gi_name_node;

typedef struct gi_object_rule {
    uint32_t n_properties;
    uint32_t *values;    /**< [n_properties] rules */
    bool *required;      /**< [n_properties] */
    uint32_t *stop;      /**< [n_properties + 1] first required one from i on */
    gi_name_node *names; /**< node 0: what follows the opening quote */
    uint32_t *below;
    const gi_string_rule *extra; /**< what other names are like; NULL: there are none */
    uint32_t extra_value;        /**< rule */
    uint32_t min, max;           /**< properties */
} gi_object_rule;

typedef struct gi_array_rule {
    uint32_t n_prefix;
    uint32_t *prefix; /**< [n_prefix] rules of the first items */
    uint32_t items;   /**< rule of the others */
    uint32_t min, max;
} gi_array_rule;

/** What one value may be. */
typedef struct gi_rule {
    uint8_t kind;      /**< gi_rule_kind */
    uint32_t cost;     /**< least room (GI_COST_*) that a value takes; GI_COST_NEVER */
    uint64_t first[4]; /**< bit b: a value may begin with byte b */
    union {
        const gi_bytes_rule *bytes;
        const gi_string_rule *string;
        gi_object_rule *object;
        gi_array_rule *array;
        struct {
            uint32_t *branches; /**< [n] rules; none of them a choice once all is built */
            uint32_t n;
        } choice;
    } as;
} gi_rule;

/** The strings of a required top-level property. */
typedef struct gi_labels {
    const char *name;
    const char **labels; /**< [n] */
    size_t n;
    const struct gi_labels *next;
} gi_labels;

struct gi_schema {
    gi_arena arena;
    json_t *json;
    const char *what;
    gi_json_layout layout;
    bool strict;
    gi_site *sites; /**< [n_slots], open addressing by pointer */
    size_t n_slots, n_sites;
    gi_pattern *patterns; /**< [n_patterns] */
    size_t n_patterns, cap_patterns;
    size_t regex_work; /**< what is left of GI_REGEX_WORK */
    gi_rule *rules;    /**< [n_rules] */
    uint32_t n_rules, root;
    const gi_labels *labels;
};

/** Read and check the text: fills json, sites and patterns. */
glint_status gi_schema_scan(gi_schema *s, const char *text, size_t n_bytes, glint_error *err);

/** Build the rules. */
glint_status gi_schema_build(gi_schema *s, glint_error *err);

/** What needs all rules: costs, first bytes, choices between choices. GLINT_ERR_FORMAT when nothing
 * meets the schema. */
glint_status gi_schema_finish(gi_schema *s, glint_error *err);

/** The site of a subschema, or NULL. */
const gi_site *gi_schema_site(const gi_schema *s, const json_t *schema);

/** The place of a subschema, for messages. */
const char *gi_schema_place(const gi_schema *s, const json_t *schema);

/** The automaton of a pattern met by the scan, or NULL. */
const gi_regex *gi_schema_pattern(const gi_schema *s, const char *text);

/** The pattern that stands for a format; NULL when glint has none. */
const char *gi_format_pattern(const char *format);

/** Whether the schema drafts define `format` for strings. */
bool gi_format_is_known(const char *format);

/** Whether `value` meets one subschema. GLINT_ERR_FORMAT when it does not. */
glint_status gi_schema_check_at(const gi_schema *s, const json_t *schema, const json_t *value,
                                glint_error *err);

/** GLINT_ERR_MEMORY. Where an arena was full, gi_schema_compile makes GLINT_ERR_LIMIT of it. */
glint_status gi_schema_no_memory(const gi_schema *s, glint_error *err);

/** Whether an arena has come to its limit: its chunks are small beside that. */
static inline bool gi_schema_is_full(const gi_arena *a) {
    return a->total_bytes > a->max_bytes - a->max_bytes / 8;
}

/** Append a value as the layout writes it: names in the order they have, numbers at their
 * shortest. */
glint_status gi_json_write(const json_t *value, gi_json_layout layout, gi_buf *out,
                           glint_error *err);

/** Append a string with its quotes. */
glint_status gi_json_write_string(const char *s, size_t n, gi_buf *out, glint_error *err);

#endif
