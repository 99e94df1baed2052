/*
 * From text to grammar in order: scan, build, and here what needs all rules at once: what each one
 * costs, so that recursion ends in time, and the bytes it may begin with.
 */
#include "grammar/schema.h"

#include "base/alloc.h"
#include "grammar/schema_parts.h"

#include <stdlib.h>
#include <string.h>

static uint32_t plus(uint32_t a, uint32_t b) {
    return a == GI_COST_NEVER || b == GI_COST_NEVER || a + b > GI_COST_MAX ? GI_COST_NEVER : a + b;
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static int compare_u32(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/*
 * The required properties one after another, and room for as many more as there must be: the
 * cheapest ones, or names that are not listed.
 */
static uint32_t object_cost(const gi_schema *s, const gi_object_rule *o) {
    uint32_t costs[GI_SCHEMA_PROPERTIES_MAX], most = 0, n_required = 0;
    for (uint32_t i = 0; i < o->n_properties; i++) {
        costs[i] = s->rules[o->values[i]].cost;
        if (!o->required[i]) continue;
        most = larger(most, costs[i]);
        n_required++;
    }
    if (n_required > o->max || o->min > o->max) return GI_COST_NEVER;
    if (o->min > 0 && o->extra) {
        most = larger(most, plus(o->min, s->rules[o->extra_value].cost));
    } else if (o->min > 0) {
        if (o->min > o->n_properties) return GI_COST_NEVER;
        qsort(costs, o->n_properties, sizeof *costs, compare_u32);
        most = larger(most, costs[o->min - 1]);
    }
    return plus(GI_COST_BRACKET, most);
}

static uint32_t array_cost(const gi_schema *s, const gi_array_rule *a) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < a->min && i <= a->n_prefix; i++)
        most = larger(most, s->rules[i < a->n_prefix ? a->prefix[i] : a->items].cost);
    return plus(GI_COST_BRACKET, most);
}

static uint32_t choice_cost(const gi_schema *s, const gi_rule *r) {
    uint32_t least = GI_COST_NEVER;
    for (uint32_t i = 0; i < r->as.choice.n; i++) {
        const uint32_t cost = s->rules[r->as.choice.branches[i]].cost;
        if (cost < least) least = cost;
    }
    return least;
}

static uint32_t cost_of(const gi_schema *s, const gi_rule *r) {
    switch ((gi_rule_kind)r->kind) {
    case GI_RULE_OBJECT:
        return object_cost(s, r->as.object);
    case GI_RULE_ARRAY:
        return array_cost(s, r->as.array);
    case GI_RULE_CHOICE:
        return choice_cost(s, r);
    case GI_RULE_STRING:
    case GI_RULE_BYTES:
        return r->cost;
    case GI_RULE_NEVER:
    case GI_RULE_PENDING:
        break;
    }
    return GI_COST_NEVER;
}

/* Costs from above: what is never cheap enough to be reached stays GI_COST_NEVER. */
static void find_costs(gi_schema *s) {
    for (uint32_t i = 0; i < s->n_rules; i++)
        if (s->rules[i].kind != GI_RULE_BYTES) s->rules[i].cost = GI_COST_NEVER;
    for (uint32_t i = 0; i < s->n_rules; i++)
        if (s->rules[i].kind == GI_RULE_STRING) s->rules[i].cost = 0;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = s->n_rules; i-- > 0;) {
            const uint32_t cost = cost_of(s, &s->rules[i]);
            more |= cost != s->rules[i].cost;
            s->rules[i].cost = cost;
        }
    }
}

static void set_first(gi_rule *r, uint8_t lo, uint8_t hi) {
    for (unsigned b = lo; b <= hi; b++) r->first[b / 64] |= UINT64_C(1) << b % 64;
}

static void find_first(gi_rule *r) {
    if (r->cost == GI_COST_NEVER) return;
    if (r->kind == GI_RULE_STRING) set_first(r, '"', '"');
    if (r->kind == GI_RULE_OBJECT) set_first(r, '{', '{');
    if (r->kind == GI_RULE_ARRAY) set_first(r, '[', '[');
    if (r->kind != GI_RULE_BYTES) return;
    for (uint32_t e = r->as.bytes->first[0]; e < r->as.bytes->first[1]; e++)
        set_first(r, r->as.bytes->edges[e].lo, r->as.bytes->edges[e].hi);
}

/* Replace the branches of a choice by what they choose from in turn, each once, none that never
 * fits. `seen` [n_rules] is zero before and after; `pending` [n_rules]. */
static glint_status flatten(gi_schema *s, uint32_t i_rule, bool *seen, uint32_t *pending,
                            uint32_t *found, glint_error *err) {
    gi_rule *r = &s->rules[i_rule];
    uint32_t n_pending = 0, n_found = 0, n_seen = 0;
    uint32_t *visited = found + s->n_rules;
    pending[n_pending++] = i_rule;
    seen[i_rule] = true;
    visited[n_seen++] = i_rule;
    while (n_pending > 0) {
        const gi_rule *at = &s->rules[pending[--n_pending]];
        if (at->cost == GI_COST_NEVER) continue;
        if (at->kind != GI_RULE_CHOICE) {
            found[n_found++] = (uint32_t)(at - s->rules);
            for (int w = 0; w < 4; w++) r->first[w] |= at->first[w];
            continue;
        }
        for (uint32_t i = at->as.choice.n; i-- > 0;) {
            const uint32_t to = at->as.choice.branches[i];
            if (seen[to]) continue;
            seen[to] = true;
            visited[n_seen++] = to;
            pending[n_pending++] = to;
        }
    }
    for (uint32_t i = 0; i < n_seen; i++) seen[visited[i]] = false;
    uint32_t *branches = gi_arena_alloc(&s->arena, n_found ? n_found : 1, sizeof *branches);
    if (!branches) return gi_schema_no_memory(s, err);
    memcpy(branches, found, n_found * sizeof *branches);
    r->as.choice.branches = branches;
    r->as.choice.n = n_found;
    return GLINT_OK;
}

glint_status gi_schema_finish(gi_schema *s, glint_error *err) {
    find_costs(s);
    if (s->rules[s->root].cost > GI_COST_MAX)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: no value that glint can write meets it",
                       s->what);
    const size_t n = s->n_rules;
    bool *seen = gi_calloc(n, sizeof *seen);
    uint32_t *lists = gi_calloc(n, 3 * sizeof *lists);
    glint_status st = GLINT_OK;
    if (!seen || !lists) st = gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", s->what);
    for (size_t i = 0; i < n && st == GLINT_OK; i++) find_first(&s->rules[i]);
    for (size_t i = 0; i < n && st == GLINT_OK; i++)
        if (s->rules[i].kind == GI_RULE_CHOICE)
            st = flatten(s, (uint32_t)i, seen, lists, lists + n, err);
    gi_free(seen);
    gi_free(lists);
    return st;
}

/* What a top-level property is, where it is plain: through references. */
static const json_t *resolve(const gi_schema *s, const json_t *schema) {
    for (int i = 0; i < 16; i++) {
        const gi_site *site = gi_schema_site(s, schema);
        if (!site || !site->ref) return schema;
        schema = site->ref;
    }
    return NULL;
}

static glint_status find_labels(gi_schema *s, const char *name, const json_t *list,
                                glint_error *err) {
    const size_t n = json_array_size(list);
    if (n == 0 || n > GI_SCHEMA_LABELS_MAX) return GLINT_OK;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        const char *text = json_string_value(v);
        if (!text || !*text || strlen(text) != json_string_length(v)) return GLINT_OK;
    }
    gi_labels *l = gi_arena_alloc(&s->arena, 1, sizeof *l);
    if (!l) return gi_schema_no_memory(s, err);
    l->labels = gi_arena_alloc(&s->arena, n, sizeof *l->labels);
    if (!l->labels) return gi_schema_no_memory(s, err);
    for (size_t i = 0; i < n; i++) l->labels[i] = json_string_value(json_array_get(list, i));
    *l = (gi_labels){name, l->labels, n, s->labels};
    s->labels = l;
    return GLINT_OK;
}

/* Labels point into the schema's JSON, which lives as long. */
static glint_status find_all_labels(gi_schema *s, glint_error *err) {
    const json_t *root = resolve(s, s->json);
    const json_t *required = json_object_get(root, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        const json_t *property = json_object_get(json_object_get(root, "properties"), name);
        const json_t *at = property ? resolve(s, property) : NULL;
        GI_TRY(find_labels(s, name, json_object_get(at, "enum"), err));
    }
    return GLINT_OK;
}

const char *const *gi_schema_labels(const gi_schema *schema, const char *field, size_t *ret_n) {
    *ret_n = 0;
    for (const gi_labels *l = schema->labels; l; l = l->next) {
        if (strcmp(l->name, field) != 0) continue;
        *ret_n = l->n;
        return l->labels;
    }
    return NULL;
}

glint_status gi_schema_compile(const char *json, size_t n_bytes, const gi_schema_options *options,
                               gi_schema **ret, glint_error *err) {
    const gi_schema_options o = options ? *options : (gi_schema_options){.what = NULL};
    const char *what = o.what ? o.what : "schema";
    gi_schema *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", what);
    gi_arena_init(&s->arena, GI_SCHEMA_MEMORY_MAX);
    s->layout = o.layout;
    s->strict = o.strict;
    s->regex_work = GI_REGEX_WORK;
    glint_status st = GLINT_OK;
    s->what = gi_arena_strndup(&s->arena, what, strnlen(what, GI_PLACE_BYTES - 1));
    if (!s->what) GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", what));
    GI_TRY_DONE(gi_schema_scan(s, json, n_bytes, err));
    GI_TRY_DONE(gi_schema_build(s, err));
    GI_TRY_DONE(find_all_labels(s, err));
    *ret = s;
    s = NULL;
done:
    if (st == GLINT_ERR_MEMORY && gi_schema_is_full(&s->arena))
        st = gi_fail(err, GLINT_ERR_LIMIT, "%s is too large", what);
    gi_schema_free(s);
    return st;
}

void gi_schema_free(gi_schema *schema) {
    if (!schema) return;
    json_decref(schema->json);
    gi_arena_done(&schema->arena);
    gi_free(schema);
}
