/*
 * Reads keywords over a list of subschemas. The scan has checked their types.
 */
#include "grammar/schema_ask.h"

#include "base/parse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static glint_status add_one(const gi_schema *s, gi_ask *ask, const json_t *schema,
                            glint_error *err) {
    if (json_is_false(schema)) ask->never = true;
    if (!json_is_object(schema)) return GLINT_OK;
    for (uint32_t i = 0; i < ask->n; i++)
        if (ask->members[i].schema == schema) return GLINT_OK;
    if (ask->n == GI_ASK_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "%s: more than %u schemas for one value",
                       gi_schema_place(s, schema), GI_ASK_MAX);
    ask->members[ask->n++].schema = schema;
    return GLINT_OK;
}

glint_status gi_ask_add(const gi_schema *s, gi_ask *ask, const json_t *schema, glint_error *err) {
    uint32_t i = ask->n;
    GI_TRY(add_one(s, ask, schema, err));
    for (; i < ask->n; i++) {
        const json_t *at = ask->members[i].schema, *all = json_object_get(at, "allOf");
        const gi_site *site = gi_schema_site(s, at);
        if (site && site->ref) GI_TRY(add_one(s, ask, site->ref, err));
        for (size_t k = 0; k < json_array_size(all); k++)
            GI_TRY(add_one(s, ask, json_array_get(all, k), err));
    }
    return GLINT_OK;
}

static unsigned type_bits(const char *type) {
    static const struct {
        const char *name;
        unsigned bits;
    } types[] = {{"object", GI_TYPE_OBJECT}, {"array", GI_TYPE_ARRAY},
                 {"string", GI_TYPE_STRING}, {"integer", GI_TYPE_INTEGER},
                 {"number", GI_TYPE_NUMBER}, {"boolean", GI_TYPE_BOOLEAN},
                 {"null", GI_TYPE_NULL}};
    size_t i = 0;
    while (strcmp(types[i].name, type) != 0) i++;
    return types[i].bits;
}

/* The types whose keywords a schema has. */
static unsigned implied_types(const json_t *schema) {
    static const struct {
        const char *keyword;
        unsigned type;
    } keywords[] = {
        {"properties", GI_TYPE_OBJECT},
        {"required", GI_TYPE_OBJECT},
        {"additionalProperties", GI_TYPE_OBJECT},
        {"patternProperties", GI_TYPE_OBJECT},
        {"minProperties", GI_TYPE_OBJECT},
        {"maxProperties", GI_TYPE_OBJECT},
        {"items", GI_TYPE_ARRAY},
        {"prefixItems", GI_TYPE_ARRAY},
        {"minItems", GI_TYPE_ARRAY},
        {"maxItems", GI_TYPE_ARRAY},
        {"minLength", GI_TYPE_STRING},
        {"maxLength", GI_TYPE_STRING},
        {"pattern", GI_TYPE_STRING},
        {"minimum", GI_TYPE_NUMBER},
        {"maximum", GI_TYPE_NUMBER},
        {"exclusiveMinimum", GI_TYPE_NUMBER},
        {"exclusiveMaximum", GI_TYPE_NUMBER},
        {"multipleOf", GI_TYPE_NUMBER},
    };
    unsigned types = 0;
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (json_object_get(schema, keywords[i].keyword)) types |= keywords[i].type;
    const char *format = json_string_value(json_object_get(schema, "format"));
    if (format && gi_format_pattern(format)) types |= GI_TYPE_STRING;
    return types;
}

unsigned gi_ask_types(const gi_ask *ask) {
    unsigned types = GI_TYPE_ANY, implied = 0;
    bool given = false;
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *type = json_object_get(ask->members[i].schema, "type");
        implied |= implied_types(ask->members[i].schema);
        if (!type) continue;
        unsigned own = json_is_string(type) ? type_bits(json_string_value(type)) : 0;
        for (size_t k = 0; k < json_array_size(type); k++)
            own |= type_bits(json_string_value(json_array_get(type, k)));
        types &= own;
        given = true;
    }
    return given || !implied ? types : implied;
}

static const json_t *values_of(const json_t *schema, bool *ret_one) {
    const json_t *one = json_object_get(schema, "const");
    *ret_one = one != NULL;
    return one ? one : json_object_get(schema, "enum");
}

bool gi_ask_has_values(const gi_ask *ask) {
    bool one;
    for (uint32_t i = 0; i < ask->n; i++)
        if (values_of(ask->members[i].schema, &one)) return true;
    return false;
}

const json_t *gi_ask_value(const gi_ask *ask, size_t n) {
    bool one;
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *v = values_of(ask->members[i].schema, &one);
        if (v && one) return n == 0 ? v : NULL;
        if (v) return json_array_get(v, n);
    }
    return NULL;
}

bool gi_ask_allows(const gi_schema *s, const gi_ask *ask, const json_t *value) {
    for (uint32_t i = 0; i < ask->n; i++)
        if (gi_schema_check_at(s, ask->members[i].schema, value, NULL) != GLINT_OK) return false;
    return !ask->never;
}

uint32_t gi_ask_min(const gi_ask *ask, const char *keyword) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *v = json_object_get(ask->members[i].schema, keyword);
        const uint32_t n = v ? (uint32_t)json_number_value(v) : 0;
        if (n > most) most = n;
    }
    return most;
}

uint32_t gi_ask_max(const gi_ask *ask, const char *keyword) {
    uint32_t least = GI_UNLIMITED;
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *v = json_object_get(ask->members[i].schema, keyword);
        const uint32_t n = v ? (uint32_t)json_number_value(v) : GI_UNLIMITED;
        if (n < least) least = n;
    }
    return least;
}

/*
 * A bound in units of 1 / GI_NUMBER_SCALE, rounded down. Real numbers count as the shortest decimal
 * that reads back the same, which is what the schema's author wrote. Far ones are cut: no number
 * is generated out there.
 */
static gi_i128 scaled(const json_t *number, bool *ret_exact) {
    const gi_i128 far = (gi_i128)INT64_MAX * GI_NUMBER_SCALE * 2;
    *ret_exact = true;
    if (json_is_integer(number)) return json_integer_value(number) * GI_NUMBER_SCALE;
    const double v = json_real_value(number);
    char text[40];
    double back = NAN;
    if (fabs(v) > 1e19) return v < 0 ? -far : far;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, v);
        if (gi_parse_double(text, &back) && back == v) break;
    }
    /* [-]d.dddde[-]dd: digits first, then the places that the exponent still asks for */
    gi_i128 value = 0;
    int places = GI_NUMBER_DIGITS;
    int64_t exponent = 0;
    bool behind = false;
    const char *p = text + (text[0] == '-');
    for (; *p && *p != 'e'; p++) {
        if (*p == '.') {
            behind = true;
            continue;
        }
        value = value * 10 + (*p - '0');
        places -= behind;
    }
    if (*p == 'e') (void)gi_parse_i64(p[1] == '+' ? p + 2 : p + 1, &exponent);
    places += (int)exponent;
    if (text[0] == '-') value = -value;
    for (; places > 0; places--) value *= 10;
    for (; places < 0; places++) {
        const gi_i128 rest = value % 10;
        if (rest) *ret_exact = false;
        value = value / 10 - (rest < 0);
    }
    return value;
}

/*
 * With a bound that is itself excluded, a number may not come so near to it that reading it as a
 * double gives the bound: 14 digits in all tell any two doubles apart.
 */
static void keep_apart(gi_number_spec *spec, gi_i128 bound) {
    int digits = 14;
    if (bound == 0) return;
    for (gi_i128 v = bound < 0 ? -bound : bound; v >= GI_NUMBER_SCALE && digits > 0; v /= 10)
        digits--;
    if (digits < spec->fraction_max) spec->fraction_max = digits;
}

static void raise_min(gi_number_spec *spec, const json_t *number, bool open) {
    bool exact;
    gi_i128 v = scaled(number, &exact);
    if (open) keep_apart(spec, v);
    if (open || !exact) v++;
    if (!spec->has_min || v > spec->min) spec->min = v;
    spec->has_min = true;
}

static void lower_max(gi_number_spec *spec, const json_t *number, bool open) {
    bool exact;
    gi_i128 v = scaled(number, &exact);
    if (open) keep_apart(spec, v);
    if (open && exact) v--;
    if (!spec->has_max || v < spec->max) spec->max = v;
    spec->has_max = true;
}

glint_status gi_ask_number(const gi_schema *s, const gi_ask *ask, bool integer, gi_number_spec *ret,
                           glint_error *err) {
    gi_number_spec spec = {.integer = integer, .fraction_max = GI_NUMBER_DIGITS};
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *at = ask->members[i].schema;
        const json_t *min = json_object_get(at, "minimum"), *max = json_object_get(at, "maximum");
        const json_t *above = json_object_get(at, "exclusiveMinimum");
        const json_t *below = json_object_get(at, "exclusiveMaximum");
        const json_t *multiple = json_object_get(at, "multipleOf");
        if (min) raise_min(&spec, min, json_is_true(above));
        if (max) lower_max(&spec, max, json_is_true(below));
        if (json_is_number(above)) raise_min(&spec, above, true);
        if (json_is_number(below)) lower_max(&spec, below, true);
        if (!multiple) continue;
        int64_t a = (int64_t)json_number_value(multiple), b = spec.multiple_of;
        const int64_t product = b ? a * b : a;
        while (b) {
            const int64_t rest = a % b;
            a = b;
            b = rest;
        }
        spec.multiple_of = spec.multiple_of ? product / a : product;
        spec.integer = true;
        if (spec.multiple_of > 10000)
            return gi_fail(err, GLINT_ERR_LIMIT, "%s: \"multipleOf\" is above 10000",
                           gi_schema_place(s, at));
    }
    *ret = spec;
    return GLINT_OK;
}

/* Add what one member asks of property `name`. */
static glint_status add_property(const gi_schema *s, const json_t *schema, const char *name,
                                 gi_ask *out, glint_error *err) {
    const json_t *own = json_object_get(json_object_get(schema, "properties"), name);
    const json_t *others = json_object_get(schema, "additionalProperties");
    const char *pattern;
    json_t *of_pattern;
    bool covered = own != NULL;
    if (own) GI_TRY(gi_ask_add(s, out, own, err));
    json_object_foreach(json_object_get(schema, "patternProperties"), pattern, of_pattern) {
        if (!gi_regex_matches(gi_schema_pattern(s, pattern), name, strlen(name))) continue;
        covered = true;
        GI_TRY(gi_ask_add(s, out, of_pattern, err));
    }
    return covered || !others ? GLINT_OK : gi_ask_add(s, out, others, err);
}

glint_status gi_ask_property(const gi_schema *s, const gi_ask *ask, const char *name, gi_ask *out,
                             glint_error *err) {
    for (uint32_t i = 0; i < ask->n; i++)
        GI_TRY(add_property(s, ask->members[i].schema, name, out, err));
    return GLINT_OK;
}

/* First items with schemas of their own, and the schema of the others. */
static const json_t *prefix_of(const json_t *schema, const json_t **ret_others) {
    const json_t *items = json_object_get(schema, "items");
    *ret_others = items;
    if (!json_is_array(items)) return json_object_get(schema, "prefixItems");
    *ret_others = json_object_get(schema, "additionalItems");
    return items;
}

size_t gi_ask_prefix(const gi_ask *ask) {
    size_t most = 0;
    const json_t *others;
    for (uint32_t i = 0; i < ask->n; i++) {
        const size_t n = json_array_size(prefix_of(ask->members[i].schema, &others));
        if (n > most) most = n;
    }
    return most;
}

glint_status gi_ask_item(const gi_schema *s, const gi_ask *ask, size_t i, gi_ask *out,
                         glint_error *err) {
    for (uint32_t k = 0; k < ask->n; k++) {
        const json_t *others, *prefix = prefix_of(ask->members[k].schema, &others);
        const json_t *item = i < json_array_size(prefix) ? json_array_get(prefix, i) : others;
        if (item) GI_TRY(gi_ask_add(s, out, item, err));
    }
    return GLINT_OK;
}

bool gi_ask_requires(const gi_ask *ask, const char *name) {
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *names = json_object_get(ask->members[i].schema, "required");
        for (size_t k = 0; k < json_array_size(names); k++)
            if (strcmp(json_string_value(json_array_get(names, k)), name) == 0) return true;
    }
    return false;
}
