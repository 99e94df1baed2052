/*
 * Objects. A generated object has its properties in the schema's order, then, where the schema
 * says so itself, others: additionalProperties given and not false, a pattern, or no list of
 * properties at all. Leaving them out otherwise is always right, and keeps a model from inventing
 * names; the checker takes them.
 */
#include "grammar/schema_build.h"

#include <string.h>

static glint_status no_memory(const gi_builder *b) {
    return gi_schema_no_memory(b->s, b->err);
}

static glint_status add_name(const gi_builder *b, const char **names, uint32_t *io_n,
                             const char *name) {
    for (uint32_t i = 0; i < *io_n; i++)
        if (strcmp(names[i], name) == 0) return GLINT_OK;
    if (*io_n == GI_SCHEMA_PROPERTIES_MAX)
        return gi_fail(b->err, GLINT_ERR_LIMIT, "%s: an object with more than %u properties",
                       b->s->what, GI_SCHEMA_PROPERTIES_MAX);
    names[(*io_n)++] = name;
    return GLINT_OK;
}

/* All names that the ask lists, required ones without a schema last. */
static glint_status list_names(const gi_builder *b, const gi_ask *ask, const char **names,
                               uint32_t *ret_n) {
    const char *key;
    json_t *value;
    *ret_n = 0;
    for (uint32_t i = 0; i < ask->n; i++)
        json_object_foreach(json_object_get(ask->members[i].schema, "properties"), key, value)
            GI_TRY(add_name(b, names, ret_n, key));
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *list = json_object_get(ask->members[i].schema, "required");
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *name = json_array_get(list, k);
            if (strlen(json_string_value(name)) != json_string_length(name))
                return gi_fail(b->err, GLINT_ERR_UNSUPPORTED,
                               "%s: \"required\": a name with a zero byte", gi_build_place(b, ask));
            GI_TRY(add_name(b, names, ret_n, json_string_value(name)));
        }
    }
    return GLINT_OK;
}

static uint32_t find_child(const gi_name_node *nodes, uint32_t at, uint8_t byte) {
    uint32_t c = nodes[at].child;
    while (c && nodes[c].byte != byte) c = nodes[c].sibling;
    return c;
}

/* The tree of `name":` for all names; `below` lists the properties under each node in order. */
static glint_status build_names(const gi_builder *b, gi_object_rule *o, const char **names) {
    gi_arena *arena = &b->s->arena;
    gi_buf text;
    glint_status st = GLINT_OK;
    size_t n_bytes = 1;
    uint32_t n = 1;
    for (uint32_t i = 0; i < o->n_properties; i++) n_bytes += 6 * strlen(names[i]) + 3;
    gi_name_node *nodes = gi_arena_alloc(&b->s->arena, n_bytes, sizeof *nodes);
    gi_buf_init(&text, n_bytes + 8);
    if (!nodes) return no_memory(b);
    nodes[0].property = UINT32_MAX;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < o->n_properties; i++) {
            uint32_t at = 0;
            gi_buf_clear(&text);
            GI_TRY_DONE(gi_json_write_string(names[i], strlen(names[i]), &text, b->err));
            GI_TRY_DONE(gi_buf_puts(&text, b->s->layout == GI_JSON_SPACED ? ": " : ":", b->err));
            for (size_t k = 1; k <= text.len; k++) {
                if (pass == 0) nodes[at].n++;
                if (pass == 1) o->below[nodes[at].first + nodes[at].n++] = i;
                if (k == text.len) break;
                uint32_t child = find_child(nodes, at, text.data[k]);
                if (!child) {
                    child = n++;
                    nodes[child] = (gi_name_node){
                        .sibling = nodes[at].child, .property = UINT32_MAX, .byte = text.data[k]};
                    nodes[at].child = child;
                }
                at = child;
            }
            nodes[at].property = i;
        }
        uint32_t first = 0;
        for (uint32_t k = 0; k < n && pass == 0; k++) {
            nodes[k].first = first;
            first += nodes[k].n;
            nodes[k].n = 0;
        }
        if (pass == 0) o->below = gi_arena_alloc(arena, first ? first : 1, sizeof *o->below);
        if (!o->below) {
            st = no_memory(b);
            goto done;
        }
    }
    o->names = nodes;
done:
    gi_buf_done(&text);
    return st;
}

static glint_status build_properties(gi_builder *b, const gi_ask *ask, gi_object_rule *o,
                                     const char **names) {
    gi_arena *arena = &b->s->arena;
    const uint32_t n = o->n_properties;
    o->values = gi_arena_alloc(arena, n ? n : 1, sizeof *o->values);
    o->required = gi_arena_alloc(arena, n ? n : 1, sizeof *o->required);
    o->stop = gi_arena_alloc(arena, n + 1, sizeof *o->stop);
    if (!o->values || !o->required || !o->stop) return no_memory(b);
    for (uint32_t i = 0; i < n; i++) {
        gi_ask value = {.n = 0};
        GI_TRY(gi_ask_property(b->s, ask, names[i], &value, b->err));
        GI_TRY(gi_build_rule(b, &value, &o->values[i]));
        o->required[i] = gi_ask_requires(ask, names[i]);
    }
    o->stop[n] = n;
    for (uint32_t i = n; i-- > 0;) o->stop[i] = o->required[i] ? i : o->stop[i + 1];
    return build_names(b, o, names);
}

/* Which other names there may be. */
typedef struct others {
    bool listed, opened, closed;
    const char *pattern; /* or NULL */
} others;

static glint_status find_others(const gi_builder *b, const gi_ask *ask, others *ret) {
    *ret = (others){.pattern = NULL};
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *at = ask->members[i].schema;
        const json_t *patterns = json_object_get(at, "patternProperties");
        const json_t *additional = json_object_get(at, "additionalProperties");
        const char *pattern;
        json_t *value;
        ret->listed |= json_object_get(at, "properties") != NULL;
        ret->opened |= additional && !json_is_false(additional);
        ret->closed |= json_is_false(additional) && json_object_size(patterns) == 0;
        json_object_foreach((json_t *)(uintptr_t)patterns, pattern, value) {
            if (ret->pattern && strcmp(ret->pattern, pattern) != 0)
                return gi_fail(b->err, GLINT_ERR_UNSUPPORTED,
                               "%s: \"patternProperties\" with more than one pattern",
                               gi_schema_place(b->s, at));
            ret->pattern = pattern;
        }
    }
    return GLINT_OK;
}

/* What is asked of a name that no member lists: that of the pattern, and of members without it. */
static glint_status ask_other(const gi_builder *b, const gi_ask *ask, gi_ask *out) {
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *at = ask->members[i].schema, *additional;
        const json_t *patterns = json_object_get(at, "patternProperties");
        const char *pattern;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)patterns, pattern, value)
            GI_TRY(gi_ask_add(b->s, out, value, b->err));
        additional = json_object_get(at, "additionalProperties");
        if (additional && json_object_size(patterns) == 0)
            GI_TRY(gi_ask_add(b->s, out, additional, b->err));
    }
    return GLINT_OK;
}

static glint_status build_others(gi_builder *b, const gi_ask *ask, const others *x,
                                 gi_object_rule *o) {
    gi_ask value = {.n = 0};
    if (x->closed || (x->listed && !x->opened && !x->pattern)) return GLINT_OK;
    GI_TRY(ask_other(b, ask, &value));
    if (value.never) return GLINT_OK;
    const char *place = gi_build_place(b, ask);
    const gi_regex *regex = x->pattern ? gi_schema_pattern(b->s, x->pattern) : b->any;
    GI_TRY(gi_build_rule(b, &value, &o->extra_value));
    GI_TRY(gi_build_string(b, regex, GI_SPELL_PLAIN, 0, GI_UNLIMITED, place, &o->extra));
    /* else names might run out in the middle of one: they must not come twice */
    if (o->extra && !gi_string_is_endless(o->extra))
        return gi_fail(b->err, GLINT_ERR_UNSUPPORTED,
                       "%s: \"patternProperties\" is supported for patterns that have no longest "
                       "name only",
                       place);
    return GLINT_OK;
}

glint_status gi_build_object(gi_builder *b, const gi_ask *ask, gi_rule *ret) {
    gi_object_rule *o = gi_arena_alloc(&b->s->arena, 1, sizeof *o);
    size_t n_names = 1;
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *at = ask->members[i].schema;
        n_names += json_object_size(json_object_get(at, "properties"));
        n_names += json_array_size(json_object_get(at, "required"));
    }
    const char **names = gi_arena_alloc(&b->scratch, n_names, sizeof *names);
    if (!o || !names) return no_memory(b);
    others x;
    GI_TRY(find_others(b, ask, &x));
    GI_TRY(list_names(b, ask, names, &o->n_properties));
    GI_TRY(build_properties(b, ask, o, names));
    GI_TRY(build_others(b, ask, &x, o));
    o->min = gi_ask_min(ask, "minProperties");
    o->max = gi_ask_max(ask, "maxProperties");
    ret->kind = GI_RULE_OBJECT;
    ret->as.object = o;
    return GLINT_OK;
}
