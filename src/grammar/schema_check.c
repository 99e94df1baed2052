/*
 * Checks values against the schema as it was written, keyword by keyword, as the standard reads.
 * It shares with the grammar only the automata of patterns.
 *
 * A reference leads from schema to schema without going down in the value, so besides the value's
 * depth (bounded by its parser) the number of schemas one inside the other is bounded here.
 */
#include "grammar/schema_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NESTED_MAX = 256, CHECKS_MAX = 2000000 };

typedef struct checker {
    const gi_schema *s;
    glint_error *err; /* NULL while a branch is tried out */
    unsigned n_nested, n_checks;
} checker;

static glint_status check(checker *c, const json_t *schema, const json_t *v, const char *place);

static glint_status says(const checker *c, const char *place, const char *what) {
    return gi_fail(c->err, GLINT_ERR_FORMAT, "%s %s", place, what);
}

static bool has_type(const json_t *v, const char *type) {
    if (strcmp(type, "object") == 0) return json_is_object(v);
    if (strcmp(type, "array") == 0) return json_is_array(v);
    if (strcmp(type, "string") == 0) return json_is_string(v);
    if (strcmp(type, "boolean") == 0) return json_is_boolean(v);
    if (strcmp(type, "null") == 0) return json_is_null(v);
    if (strcmp(type, "number") == 0) return json_is_number(v);
    return json_is_integer(v) ||
           (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)));
}

static glint_status check_type(const checker *c, const json_t *type, const json_t *v,
                               const char *place) {
    static const struct {
        const char *type, *in_words;
    } words[] = {{"object", "an object"},     {"array", "an array"},  {"string", "a string"},
                 {"integer", "an integer"},   {"number", "a number"}, {"null", "null"},
                 {"boolean", "true or false"}};
    if (json_is_array(type)) {
        for (size_t i = 0; i < json_array_size(type); i++)
            if (has_type(v, json_string_value(json_array_get(type, i)))) return GLINT_OK;
        return says(c, place, "is of none of the allowed types");
    }
    if (!type || has_type(v, json_string_value(type))) return GLINT_OK;
    size_t i = 0;
    while (strcmp(words[i].type, json_string_value(type)) != 0) i++;
    return gi_fail(c->err, GLINT_ERR_FORMAT, "%s must be %s", place, words[i].in_words);
}

/* Equal as JSON schema sees it: 1 and 1.0 are one number, true is none. */
static bool equal(const json_t *a, const json_t *b) {
    const char *key;
    json_t *value;
    if (json_is_number(a) && json_is_number(b)) {
        if (json_is_integer(a) && json_is_integer(b))
            return json_integer_value(a) == json_integer_value(b);
        return json_number_value(a) == json_number_value(b);
    }
    if (json_typeof(a) != json_typeof(b)) return false;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b)) return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!equal(json_array_get(a, i), json_array_get(b, i))) return false;
        return true;
    }
    if (!json_is_object(a)) return json_equal(a, b);
    if (json_object_size(a) != json_object_size(b)) return false;
    json_object_foreach((json_t *)(uintptr_t)a, key, value) {
        const json_t *other = json_object_get(b, key);
        if (!other || !equal(value, other)) return false;
    }
    return true;
}

static glint_status check_values(const checker *c, const json_t *schema, const json_t *v,
                                 const char *place) {
    const json_t *list = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
    bool found = !list;
    for (size_t i = 0; i < json_array_size(list) && !found; i++)
        found = equal(json_array_get(list, i), v);
    if (one && !equal(one, v)) found = false;
    return found ? GLINT_OK : says(c, place, "is not one of the allowed values");
}

/* -1, 0, 1: a is below, equal to, above b. */
static int compare(const json_t *a, const json_t *b) {
    if (json_is_integer(a) && json_is_integer(b)) {
        const json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return x < y ? -1 : x > y;
    }
    const double x = json_number_value(a), y = json_number_value(b);
    return x < y ? -1 : x > y;
}

static glint_status check_number(const checker *c, const json_t *schema, const json_t *v,
                                 const char *place) {
    const json_t *min = json_object_get(schema, "minimum"),
                 *max = json_object_get(schema, "maximum");
    const json_t *above = json_object_get(schema, "exclusiveMinimum");
    const json_t *below = json_object_get(schema, "exclusiveMaximum");
    const json_t *multiple = json_object_get(schema, "multipleOf");
    if (min && compare(v, min) < (json_is_true(above) ? 1 : 0))
        return says(c, place, "is too small");
    if (max && compare(v, max) > (json_is_true(below) ? -1 : 0))
        return says(c, place, "is too large");
    if (json_is_number(above) && compare(v, above) <= 0) return says(c, place, "is too small");
    if (json_is_number(below) && compare(v, below) >= 0) return says(c, place, "is too large");
    if (!multiple) return GLINT_OK;
    const double step = json_number_value(multiple);
    const bool divides = json_is_integer(v) ? json_integer_value(v) % (json_int_t)step == 0
                                            : fmod(json_real_value(v), step) == 0;
    return divides ? GLINT_OK : says(c, place, "is not a multiple of what it must be");
}

static size_t count_of(const json_t *schema, const char *key, size_t otherwise) {
    const json_t *v = json_object_get(schema, key);
    return v ? (size_t)json_number_value(v) : otherwise;
}

static bool matches(const checker *c, const char *pattern, const char *s, size_t n) {
    const gi_regex *regex = pattern ? gi_schema_pattern(c->s, pattern) : NULL;
    return !regex || gi_regex_matches(regex, s, n);
}

static glint_status check_string(const checker *c, const json_t *schema, const json_t *v,
                                 const char *place) {
    const char *s = json_string_value(v);
    const size_t n = json_string_length(v);
    size_t n_chars = 0;
    for (size_t i = 0; i < n; i++) n_chars += (s[i] & 0xC0) != 0x80;
    if (n_chars < count_of(schema, "minLength", 0)) return says(c, place, "is too short");
    if (n_chars > count_of(schema, "maxLength", SIZE_MAX)) return says(c, place, "is too long");
    if (!matches(c, json_string_value(json_object_get(schema, "pattern")), s, n))
        return says(c, place, "does not match its pattern");
    const char *format = json_string_value(json_object_get(schema, "format"));
    if (format && !matches(c, gi_format_pattern(format), s, n))
        return gi_fail(c->err, GLINT_ERR_FORMAT, "%s is not of format \"%s\"", place, format);
    return GLINT_OK;
}

static glint_status check_array(checker *c, const json_t *schema, const json_t *v,
                                const char *place) {
    const size_t n = json_array_size(v);
    const json_t *items = json_object_get(schema, "items");
    const json_t *prefix = json_object_get(schema, "prefixItems");
    if (json_is_array(items)) {
        prefix = items;
        items = json_object_get(schema, "additionalItems");
    }
    if (n < count_of(schema, "minItems", 0) || n > count_of(schema, "maxItems", SIZE_MAX))
        return gi_fail(c->err, GLINT_ERR_FORMAT, "%s has %zu items", place, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *schema_i = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
        char inner[GI_PLACE_BYTES];
        if (!schema_i) continue;
        snprintf(inner, sizeof inner, "%s[%zu]", place, i);
        GI_TRY(check(c, schema_i, json_array_get(v, i), inner));
    }
    return GLINT_OK;
}

static glint_status check_member(checker *c, const json_t *schema, const char *key, const json_t *v,
                                 const char *place) {
    const json_t *own = json_object_get(json_object_get(schema, "properties"), key);
    const json_t *others = json_object_get(schema, "additionalProperties");
    const char *pattern;
    json_t *of_pattern;
    char inner[GI_PLACE_BYTES];
    bool covered = own != NULL;
    snprintf(inner, sizeof inner, "%s.%s", place, key);
    if (own) GI_TRY(check(c, own, v, inner));
    json_object_foreach(json_object_get(schema, "patternProperties"), pattern, of_pattern) {
        if (!matches(c, pattern, key, strlen(key))) continue;
        covered = true;
        GI_TRY(check(c, of_pattern, v, inner));
    }
    if (covered || !others) return GLINT_OK;
    if (json_is_false(others)) return says(c, place, "has members that are not allowed");
    return check(c, others, v, inner);
}

static glint_status check_object(checker *c, const json_t *schema, const json_t *v,
                                 const char *place) {
    const json_t *required = json_object_get(schema, "required");
    const size_t n = json_object_size(v);
    const char *key;
    json_t *member;
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (!json_object_get(v, name))
            return gi_fail(c->err, GLINT_ERR_FORMAT, "%s.%s is missing", place, name);
    }
    if (n < count_of(schema, "minProperties", 0) || n > count_of(schema, "maxProperties", SIZE_MAX))
        return gi_fail(c->err, GLINT_ERR_FORMAT, "%s has %zu members", place, n);
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
        GI_TRY(check_member(c, schema, key, member, place));
    return GLINT_OK;
}

static glint_status check_branches(checker *c, const json_t *schema, const json_t *v,
                                   const char *place) {
    const json_t *all = json_object_get(schema, "allOf"), *any = json_object_get(schema, "anyOf");
    const json_t *one = json_object_get(schema, "oneOf");
    for (size_t i = 0; i < json_array_size(all); i++)
        GI_TRY(check(c, json_array_get(all, i), v, place));
    glint_error *const err = c->err;
    size_t n_any = 0, n_one = 0;
    glint_status st = GLINT_OK;
    c->err = NULL;
    for (size_t i = 0; i < json_array_size(any) && n_any == 0 && st != GLINT_ERR_LIMIT; i++)
        n_any += (st = check(c, json_array_get(any, i), v, place)) == GLINT_OK;
    for (size_t i = 0; i < json_array_size(one) && n_one < 2 && st != GLINT_ERR_LIMIT; i++)
        n_one += (st = check(c, json_array_get(one, i), v, place)) == GLINT_OK;
    c->err = err;
    if (st == GLINT_ERR_LIMIT) return gi_fail(err, st, "%s takes too much work to check", place);
    if (any && n_any == 0) return says(c, place, "fits none of the allowed forms");
    if (one && n_one != 1)
        return says(c, place, n_one ? "fits more than one form" : "fits none of the allowed forms");
    return GLINT_OK;
}

static glint_status check_keywords(checker *c, const json_t *schema, const json_t *v,
                                   const char *place) {
    const gi_site *site = gi_schema_site(c->s, schema);
    if (site && site->ref) GI_TRY(check(c, site->ref, v, place));
    GI_TRY(check_type(c, json_object_get(schema, "type"), v, place));
    GI_TRY(check_values(c, schema, v, place));
    if (json_is_number(v)) GI_TRY(check_number(c, schema, v, place));
    if (json_is_string(v)) GI_TRY(check_string(c, schema, v, place));
    if (json_is_array(v)) GI_TRY(check_array(c, schema, v, place));
    if (json_is_object(v)) GI_TRY(check_object(c, schema, v, place));
    return check_branches(c, schema, v, place);
}

static glint_status check(checker *c, const json_t *schema, const json_t *v, const char *place) {
    if (json_is_true(schema)) return GLINT_OK;
    if (json_is_false(schema)) return says(c, place, "must not be there");
    if (c->n_nested == NESTED_MAX || ++c->n_checks > CHECKS_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s takes too much work to check", place);
    c->n_nested++;
    const glint_status st = check_keywords(c, schema, v, place);
    c->n_nested--;
    return st;
}

glint_status gi_schema_check_at(const gi_schema *s, const json_t *schema, const json_t *value,
                                glint_error *err) {
    checker c = {.s = s, .err = err};
    return check(&c, schema, value, "answer");
}

glint_status gi_schema_check(const gi_schema *s, const json_t *value, glint_error *err) {
    return gi_schema_check_at(s, s->json, value, err);
}
