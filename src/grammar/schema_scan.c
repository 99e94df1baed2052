/*
 * One walk over the text of a schema: every keyword of every subschema is known and of the right
 * type, every reference points to a subschema, every pattern is compiled. What comes after need
 * not check any of this again. Depth is that of the JSON text (GI_JSON_DEPTH_MAX).
 *
 * Subschemas that nothing refers to are held to the same rules.
 */
#include "grammar/schema_parts.h"

#include "base/ascii.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What the value of a keyword must be. */
typedef enum keyword_kind {
    NOTE,        /* says nothing about values */
    SUB,         /* a subschema */
    SUB_MAP,     /* an object of subschemas */
    SUB_LIST,    /* a list of subschemas */
    SUB_OR_LIST, /* either: items before draft 2020-12 */
    PATTERN_MAP, /* an object of subschemas whose keys are patterns */
    TYPES,
    VALUES,
    ANY_VALUE,
    COUNT,
    NUMBER,
    NUMBER_OR_BOOL, /* exclusiveMinimum before draft 6 */
    NAMES,
    PATTERN,
    FORMAT,
    REF,
    ONLY_FALSE, /* understood where it asks for nothing */
    REFUSED,
} keyword_kind;

static const struct {
    const char *name;
    keyword_kind kind;
} keywords[] = {
    {"type", TYPES},
    {"properties", SUB_MAP},
    {"required", NAMES},
    {"items", SUB_OR_LIST},
    {"enum", VALUES},
    {"const", ANY_VALUE},
    {"additionalProperties", SUB},
    {"patternProperties", PATTERN_MAP},
    {"minProperties", COUNT},
    {"maxProperties", COUNT},
    {"prefixItems", SUB_LIST},
    {"additionalItems", SUB},
    {"minItems", COUNT},
    {"maxItems", COUNT},
    {"uniqueItems", ONLY_FALSE},
    {"minLength", COUNT},
    {"maxLength", COUNT},
    {"pattern", PATTERN},
    {"format", FORMAT},
    {"minimum", NUMBER},
    {"maximum", NUMBER},
    {"exclusiveMinimum", NUMBER_OR_BOOL},
    {"exclusiveMaximum", NUMBER_OR_BOOL},
    {"multipleOf", NUMBER},
    {"anyOf", SUB_LIST},
    {"oneOf", SUB_LIST},
    {"allOf", SUB_LIST},
    {"$ref", REF},
    {"$defs", SUB_MAP},
    {"definitions", SUB_MAP},
    {"$schema", NOTE},
    {"$comment", NOTE},
    {"$vocabulary", NOTE},
    {"$anchor", NOTE},
    {"$dynamicAnchor", NOTE},
    {"id", NOTE},
    {"title", NOTE},
    {"description", NOTE},
    {"default", NOTE},
    {"example", NOTE},
    {"examples", NOTE},
    {"deprecated", NOTE},
    {"readOnly", NOTE},
    {"writeOnly", NOTE},
    {"contentEncoding", NOTE},
    {"contentMediaType", NOTE},
    {"contentSchema", NOTE},
    {"$dynamicRef", REFUSED},
    {"$recursiveRef", REFUSED},
    {"$recursiveAnchor", REFUSED},
    {"not", REFUSED},
    {"if", REFUSED},
    {"then", REFUSED},
    {"else", REFUSED},
    {"contains", REFUSED},
    {"minContains", REFUSED},
    {"maxContains", REFUSED},
    {"propertyNames", REFUSED},
    {"dependencies", REFUSED},
    {"dependentRequired", REFUSED},
    {"dependentSchemas", REFUSED},
    {"unevaluatedItems", REFUSED},
    {"unevaluatedProperties", REFUSED},
    {"extends", REFUSED},
    {"disallow", REFUSED},
    {"divisibleBy", REFUSED},
};

typedef struct scanner {
    gi_schema *s;
    glint_error *err;
} scanner;

/* A keyword being looked at. */
typedef struct spot {
    const json_t *schema;
    const char *place, *key;
    const json_t *value;
} spot;

glint_status gi_schema_no_memory(const gi_schema *s, glint_error *err) {
    return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", s->what);
}

static size_t slot_of(const gi_schema *s, const json_t *schema) {
    size_t at = ((uintptr_t)schema >> 4) * 2654435761u % s->n_slots;
    while (s->sites[at].schema && s->sites[at].schema != schema) at = (at + 1) % s->n_slots;
    return at;
}

const gi_site *gi_schema_site(const gi_schema *s, const json_t *schema) {
    const gi_site *site = &s->sites[slot_of(s, schema)];
    return site->schema ? site : NULL;
}

const char *gi_schema_place(const gi_schema *s, const json_t *schema) {
    const gi_site *site = gi_schema_site(s, schema);
    return site ? site->place : s->what;
}

const gi_regex *gi_schema_pattern(const gi_schema *s, const char *text) {
    for (size_t i = 0; i < s->n_patterns; i++)
        if (strcmp(s->patterns[i].text, text) == 0) return s->patterns[i].regex;
    return NULL;
}

static glint_status add_pattern(const scanner *c, const char *place, const char *text) {
    gi_schema *s = c->s;
    const gi_regex *regex = NULL;
    if (gi_schema_pattern(s, text)) return GLINT_OK;
    if (strlen(text) > GI_SCHEMA_PATTERN_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: \"pattern\" is too long", place);
    if (s->n_patterns == s->cap_patterns) {
        const size_t cap = s->cap_patterns ? 2 * s->cap_patterns : 16;
        gi_pattern *p = gi_arena_alloc(&s->arena, cap, sizeof *p);
        if (!p) return gi_schema_no_memory(s, c->err);
        if (s->n_patterns) memcpy(p, s->patterns, s->n_patterns * sizeof *p);
        s->patterns = p;
        s->cap_patterns = cap;
    }
    const char *copy = gi_arena_strndup(&s->arena, text, strlen(text));
    if (!copy) return gi_schema_no_memory(s, c->err);
    GI_TRY(gi_regex_compile(&s->arena, &copy, 1, place, &s->regex_work, &regex, c->err));
    s->patterns[s->n_patterns++] = (gi_pattern){copy, regex};
    return GLINT_OK;
}

static glint_status must_be(const scanner *c, const spot *at, const char *what) {
    return gi_fail(c->err, GLINT_ERR_FORMAT, "%s: \"%s\" must be %s", at->place, at->key, what);
}

static glint_status scan(const scanner *c, const json_t *schema, const char *place);

static glint_status scan_map(const scanner *c, const spot *at, bool patterns) {
    const char *key;
    json_t *value;
    if (!json_is_object(at->value)) return must_be(c, at, "an object");
    if (json_object_size(at->value) > GI_SCHEMA_PROPERTIES_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: \"%s\" has more than %u members", at->place,
                       at->key, GI_SCHEMA_PROPERTIES_MAX);
    json_object_foreach((json_t *)(uintptr_t)at->value, key, value) {
        char inner[GI_PLACE_BYTES];
        snprintf(inner, sizeof inner, "%s.%s.%s", at->place, at->key, key);
        if (patterns) GI_TRY(add_pattern(c, inner, key));
        GI_TRY(scan(c, value, inner));
    }
    return GLINT_OK;
}

static glint_status scan_list(const scanner *c, const spot *at) {
    const size_t n = json_array_size(at->value);
    if (!json_is_array(at->value) || n == 0) return must_be(c, at, "a list of schemas");
    if (n > GI_SCHEMA_BRANCHES_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: \"%s\" has more than %u members", at->place,
                       at->key, GI_SCHEMA_BRANCHES_MAX);
    for (size_t i = 0; i < n; i++) {
        char inner[GI_PLACE_BYTES];
        snprintf(inner, sizeof inner, "%s.%s[%zu]", at->place, at->key, i);
        GI_TRY(scan(c, json_array_get(at->value, i), inner));
    }
    return GLINT_OK;
}

static glint_status scan_sub(const scanner *c, const spot *at) {
    char inner[GI_PLACE_BYTES];
    snprintf(inner, sizeof inner, "%s.%s", at->place, at->key);
    return scan(c, at->value, inner);
}

static glint_status scan_types(const scanner *c, const spot *at) {
    static const char *const names[] = {"object", "array",   "string", "integer",
                                        "number", "boolean", "null"};
    const size_t n = json_is_array(at->value) ? json_array_size(at->value) : 1;
    if (n == 0) return must_be(c, at, "a type or a list of types");
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_is_array(at->value) ? json_array_get(at->value, i) : at->value;
        if (!json_is_string(t)) return must_be(c, at, "a type or a list of types");
        size_t k = 0;
        while (k < 7 && strcmp(names[k], json_string_value(t)) != 0) k++;
        if (k == 7)
            return gi_fail(c->err, GLINT_ERR_UNSUPPORTED, "%s: \"type\": \"%s\" is not supported",
                           at->place, json_string_value(t));
    }
    return GLINT_OK;
}

static glint_status scan_values(const scanner *c, const spot *at) {
    const size_t n = json_array_size(at->value);
    if (!json_is_array(at->value) || n == 0) return must_be(c, at, "a list of values");
    if (n > GI_SCHEMA_ENUM_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: \"%s\" has more than %u values", at->place,
                       at->key, GI_SCHEMA_ENUM_MAX);
    return GLINT_OK;
}

static glint_status scan_count(const scanner *c, const spot *at) {
    const double v = json_number_value(at->value);
    if (!json_is_number(at->value) || v < 0 || v != floor(v))
        return must_be(c, at, "an integer, 0 or more");
    if (v > GI_SCHEMA_COUNT_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: \"%s\" is above %u", at->place, at->key,
                       GI_SCHEMA_COUNT_MAX);
    return GLINT_OK;
}

static glint_status scan_number(const scanner *c, const spot *at) {
    const bool is_bool = json_is_boolean(at->value);
    if (is_bool && strncmp(at->key, "exclusive", 9) == 0) return GLINT_OK;
    if (!json_is_number(at->value)) return must_be(c, at, "a number");
    if (strcmp(at->key, "multipleOf") != 0) return GLINT_OK;
    const double v = json_number_value(at->value);
    if (v <= 0) return must_be(c, at, "above 0");
    if (v != floor(v))
        return gi_fail(c->err, GLINT_ERR_UNSUPPORTED,
                       "%s: \"multipleOf\" is supported for integers only", at->place);
    if (v > 10000)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: \"multipleOf\" is above 10000", at->place);
    return GLINT_OK;
}

static glint_status scan_names(const scanner *c, const spot *at) {
    if (!json_is_array(at->value)) return must_be(c, at, "a list of strings");
    for (size_t i = 0; i < json_array_size(at->value); i++)
        if (!json_is_string(json_array_get(at->value, i)))
            return must_be(c, at, "a list of strings");
    return GLINT_OK;
}

static glint_status scan_format(const scanner *c, const spot *at) {
    if (!json_is_string(at->value)) return must_be(c, at, "a string");
    const char *format = json_string_value(at->value), *pattern = gi_format_pattern(format);
    if (pattern) return add_pattern(c, at->place, pattern);
    if (!c->s->strict && !gi_format_is_known(format)) return GLINT_OK;
    return gi_fail(c->err, GLINT_ERR_UNSUPPORTED, "%s: \"format\": \"%s\" is not supported",
                   at->place, format);
}

static glint_status scan_pattern(const scanner *c, const spot *at) {
    if (!json_is_string(at->value) ||
        strlen(json_string_value(at->value)) != json_string_length(at->value))
        return must_be(c, at, "a string");
    return add_pattern(c, at->place, json_string_value(at->value));
}

/* The next part of a JSON pointer, with ~0 ~1 and %XX undone; false at a mistake. */
static bool take_part(const char **io_at, char part[GI_PLACE_BYTES]) {
    size_t n = 0;
    const char *p = *io_at + 1;
    for (; *p && *p != '/'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '%') {
            const int hi = gi_ascii_hex_value(p[1]);
            const int lo = hi >= 0 ? gi_ascii_hex_value(p[2]) : -1;
            if (lo < 0) return false;
            c = (unsigned char)(hi * 16 + lo);
            p += 2;
        }
        if (n > 0 && part[n - 1] == '~' && (c == '0' || c == '1')) {
            part[n - 1] = c == '0' ? '\x01' : '/'; /* \x01: a tilde that is done */
            continue;
        }
        if (n + 1 >= GI_PLACE_BYTES || c < 2) return false;
        part[n++] = (char)c;
    }
    for (size_t i = 0; i < n; i++)
        if (part[i] == '\x01') part[i] = '~';
    part[n] = 0;
    *io_at = p;
    return true;
}

/* The part of the text that a reference within the document names, or NULL. */
static const json_t *follow(const gi_schema *s, const char *ref) {
    const json_t *at = s->json;
    const char *p = ref + 1;
    while (at && *p) {
        char part[GI_PLACE_BYTES];
        if (*p != '/' || !take_part(&p, part)) return NULL;
        if (json_is_object(at)) {
            at = json_object_get(at, part);
        } else {
            size_t i = 0;
            for (const char *d = part; *d; d++)
                if (!gi_ascii_is_digit(*d) || (i = i * 10 + (size_t)(*d - '0')) > 100000)
                    return NULL;
            at = *part ? json_array_get(at, i) : NULL;
        }
    }
    return at;
}

static glint_status scan_ref(const scanner *c, const spot *at) {
    const char *ref = json_string_value(at->value);
    if (!ref) return must_be(c, at, "a string");
    const char *id = json_string_value(json_object_get(c->s->json, "$id"));
    if (id && *id && strncmp(ref, id, strlen(id)) == 0 && ref[strlen(id)] == '#') ref += strlen(id);
    if (*ref != '#' || (ref[1] && ref[1] != '/'))
        return gi_fail(c->err, GLINT_ERR_UNSUPPORTED,
                       "%s: \"$ref\": only references like \"#/$defs/name\" are supported",
                       at->place);
    const json_t *target = follow(c->s, ref);
    if (!target)
        return gi_fail(c->err, GLINT_ERR_FORMAT, "%s: \"$ref\" points to nothing", at->place);
    c->s->sites[slot_of(c->s, at->schema)].ref = target;
    return GLINT_OK;
}

static glint_status refuse(const scanner *c, const spot *at) {
    return gi_fail(c->err, GLINT_ERR_UNSUPPORTED, "%s: \"%s\" is not supported", at->place,
                   at->key);
}

static glint_status scan_keyword(const scanner *c, const spot *at, keyword_kind kind) {
    switch (kind) {
    case NOTE:
    case ANY_VALUE:
        return GLINT_OK;
    case SUB:
        return scan_sub(c, at);
    case SUB_MAP:
    case PATTERN_MAP:
        return scan_map(c, at, kind == PATTERN_MAP);
    case SUB_LIST:
        return scan_list(c, at);
    case SUB_OR_LIST:
        if (json_is_array(at->value))
            return json_array_size(at->value) ? scan_list(c, at) : GLINT_OK;
        return scan_sub(c, at);
    case TYPES:
        return scan_types(c, at);
    case VALUES:
        return scan_values(c, at);
    case COUNT:
        return scan_count(c, at);
    case NUMBER:
    case NUMBER_OR_BOOL:
        return scan_number(c, at);
    case NAMES:
        return scan_names(c, at);
    case PATTERN:
        return scan_pattern(c, at);
    case FORMAT:
        return scan_format(c, at);
    case REF:
        return scan_ref(c, at);
    case ONLY_FALSE:
        return json_is_false(at->value) ? GLINT_OK : refuse(c, at);
    case REFUSED:
        break;
    }
    return refuse(c, at);
}

static glint_status add_site(const scanner *c, const json_t *schema, const char *place) {
    gi_schema *s = c->s;
    gi_site *site = &s->sites[slot_of(s, schema)];
    if (site->schema) return GLINT_OK; /* true and false are one value each */
    const char *copy = gi_arena_strndup(&s->arena, place, strlen(place));
    if (!copy) return gi_schema_no_memory(s, c->err);
    *site = (gi_site){schema, copy, NULL};
    s->n_sites++;
    return GLINT_OK;
}

static glint_status scan(const scanner *c, const json_t *schema, const char *place) {
    static const size_t n_keywords = sizeof keywords / sizeof *keywords;
    GI_TRY(add_site(c, schema, place));
    if (json_is_boolean(schema)) return GLINT_OK;
    if (!json_is_object(schema))
        return gi_fail(c->err, GLINT_ERR_FORMAT, "%s must be an object", place);
    spot at = {.schema = schema, .place = place};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value) {
        size_t i = 0;
        at.key = key;
        at.value = value;
        while (i < n_keywords && strcmp(key, keywords[i].name) != 0) i++;
        if (i < n_keywords)
            GI_TRY(scan_keyword(c, &at, keywords[i].kind));
        else if (strcmp(key, "$id") == 0 ? schema != c->s->json : c->s->strict)
            return refuse(c, &at);
    }
    return GLINT_OK;
}

glint_status gi_schema_scan(gi_schema *s, const char *text, size_t n_bytes, glint_error *err) {
    const scanner c = {s, err};
    if (n_bytes > GI_SCHEMA_BYTES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "%s has more than %u bytes", s->what,
                       GI_SCHEMA_BYTES_MAX);
    GI_TRY(gi_json_parse_any(text, n_bytes, s->what, &s->json, err));
    /* a subschema takes two bytes at least, and one more to part it from the next */
    for (s->n_slots = 64; s->n_slots < n_bytes; s->n_slots *= 2) continue;
    s->sites = gi_arena_alloc(&s->arena, s->n_slots, sizeof *s->sites);
    if (!s->sites) return gi_schema_no_memory(s, err);
    GI_TRY(scan(&c, s->json, s->what));
    /* What only a reference makes a schema. Each turn adds a site, and there is room for all. */
    for (size_t i = 0; i < s->n_slots; i++) {
        const gi_site *site = &s->sites[i];
        if (!site->ref || gi_schema_site(s, site->ref)) continue;
        char place[GI_PLACE_BYTES];
        const json_t *ref = json_object_get(site->schema, "$ref");
        snprintf(place, sizeof place, "%s: \"%s\"", s->what, json_string_value(ref));
        GI_TRY(scan(&c, site->ref, place));
        i = SIZE_MAX; /* from the start: the scan may have added references anywhere */
    }
    return GLINT_OK;
}
