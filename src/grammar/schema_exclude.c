/*
 * oneOf asks that exactly one branch fits. A grammar that follows any branch is right only when no
 * value fits two, and these are the plain cases in which that can be seen. The types a schema
 * merely implies prove nothing here: {"required":["a"]} allows a number.
 */
#include "grammar/schema_ask.h"

#include <string.h>

enum { DEPTH_MAX = 4 };

/* The types that values may have by the standard: what no member gives is not narrowed. */
static unsigned allowed_types(const gi_ask *ask) {
    gi_ask given = {.n = 0};
    for (uint32_t i = 0; i < ask->n; i++)
        if (json_object_get(ask->members[i].schema, "type"))
            given.members[given.n++] = ask->members[i];
    return given.n ? gi_ask_types(&given) : GI_TYPE_ANY;
}

/* Whether every value that `a` lists is refused by b. */
static bool values_exclude(const gi_schema *s, const gi_ask *a, const gi_ask *b, size_t *io_work) {
    const json_t *v;
    size_t n_others = 8;
    if (!gi_ask_has_values(a)) return false;
    if (gi_ask_has_values(b))
        while (gi_ask_value(b, n_others)) n_others++;
    for (size_t i = 0; (v = gi_ask_value(a, i)) != NULL; i++) {
        *io_work -= n_others < *io_work ? n_others : *io_work;
        if (*io_work == 0) return false;
        if (gi_ask_allows(s, b, v) && gi_ask_allows(s, a, v)) return false;
    }
    return true;
}

static bool numbers_exclude(const gi_schema *s, const gi_ask *a, const gi_ask *b) {
    gi_number_spec x, y;
    if (gi_ask_number(s, a, false, &x, NULL) != GLINT_OK ||
        gi_ask_number(s, b, false, &y, NULL) != GLINT_OK)
        return false;
    return (x.has_max && y.has_min && x.max < y.min) || (y.has_max && x.has_min && y.max < x.min);
}

static bool lengths_exclude(const gi_ask *a, const gi_ask *b, const char *min, const char *max) {
    return gi_ask_max(a, max) < gi_ask_min(b, min) || gi_ask_max(b, max) < gi_ask_min(a, min);
}

static bool excludes(const gi_schema *s, const gi_ask *a, const gi_ask *b, int depth,
                     size_t *io_work);

/* Whether a property that `a` requires cannot be what `b` asks of it. */
static bool properties_exclude(const gi_schema *s, const gi_ask *a, const gi_ask *b, int depth,
                               size_t *io_work) {
    for (uint32_t i = 0; i < a->n; i++) {
        const json_t *names = json_object_get(a->members[i].schema, "required");
        for (size_t k = 0; k < json_array_size(names); k++) {
            const char *name = json_string_value(json_array_get(names, k));
            gi_ask in_a = {.n = 0}, in_b = {.n = 0};
            if (gi_ask_property(s, a, name, &in_a, NULL) != GLINT_OK ||
                gi_ask_property(s, b, name, &in_b, NULL) != GLINT_OK)
                return false;
            if (in_b.never ||
                (gi_ask_requires(b, name) && excludes(s, &in_a, &in_b, depth + 1, io_work)))
                return true;
        }
    }
    return false;
}

static bool excludes(const gi_schema *s, const gi_ask *a, const gi_ask *b, int depth,
                     size_t *io_work) {
    if (a->never || b->never) return true;
    if (depth == DEPTH_MAX) return false;
    const unsigned common = allowed_types(a) & allowed_types(b);
    if (values_exclude(s, a, b, io_work) || values_exclude(s, b, a, io_work)) return true;
    if (*io_work == 0) return false;
    --*io_work;
    if (common & (GI_TYPE_NULL | GI_TYPE_BOOLEAN)) return false;
    if (common & GI_TYPE_NUMBER && !numbers_exclude(s, a, b)) return false;
    if (common & GI_TYPE_STRING && !lengths_exclude(a, b, "minLength", "maxLength")) return false;
    if (common & GI_TYPE_ARRAY && !lengths_exclude(a, b, "minItems", "maxItems")) return false;
    return !(common & GI_TYPE_OBJECT) || properties_exclude(s, a, b, depth, io_work) ||
           properties_exclude(s, b, a, depth, io_work);
}

bool gi_ask_excludes(const gi_schema *s, const gi_ask *a, const gi_ask *b, size_t *io_work) {
    return excludes(s, a, b, 0, io_work);
}
