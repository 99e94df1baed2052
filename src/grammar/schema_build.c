/*
 * Rules are built from a list of work: building one may ask for others, which go to the end of the
 * list, so neither references nor recursive schemas make the builder recurse. Equal asks are one
 * rule; their number is bounded by GI_SCHEMA_RULES_MAX.
 *
 * anyOf and oneOf become a choice between rules that each have the rest of the ask as well.
 */
#include "grammar/schema_build.h"

#include <string.h>

enum { SLOTS = 32768 };

static glint_status no_memory(const gi_builder *b) {
    return gi_schema_no_memory(b->s, b->err);
}

const char *gi_build_place(const gi_builder *b, const gi_ask *ask) {
    return ask->n ? gi_schema_place(b->s, ask->members[0].schema) : b->s->what;
}

static glint_status new_rule(gi_builder *b, uint32_t *ret) {
    gi_schema *s = b->s;
    if (s->n_rules == GI_SCHEMA_RULES_MAX)
        return gi_fail(b->err, GLINT_ERR_LIMIT, "%s needs more than %u rules", s->what,
                       GI_SCHEMA_RULES_MAX);
    if (s->n_rules == b->cap) {
        const uint32_t cap = b->cap ? 2 * b->cap : 32;
        gi_rule *rules = gi_arena_alloc(&s->arena, cap, sizeof *rules);
        gi_ask **asks = gi_arena_alloc(&b->scratch, cap, sizeof *asks);
        if (!rules || !asks) return no_memory(b);
        if (b->cap) memcpy(rules, s->rules, b->cap * sizeof *rules);
        if (b->cap) memcpy(asks, b->asks, b->cap * sizeof *asks);
        s->rules = rules;
        b->asks = asks;
        b->cap = cap;
    }
    *ret = s->n_rules++;
    return GLINT_OK;
}

static bool same_ask(const gi_ask *a, const gi_ask *b) {
    if (a->n != b->n || a->never != b->never) return false;
    for (uint32_t i = 0; i < a->n; i++) {
        const gi_ask_member *x = &a->members[i], *y = &b->members[i];
        if (x->schema != y->schema || x->any_made != y->any_made || x->one_made != y->one_made)
            return false;
    }
    return true;
}

glint_status gi_build_rule(gi_builder *b, const gi_ask *ask, uint32_t *ret) {
    uint64_t h = ask->never;
    for (uint32_t i = 0; i < ask->n; i++) {
        const gi_ask_member *m = &ask->members[i];
        h = (h ^ (uintptr_t)m->schema ^ m->any_made ^ (uint64_t)m->one_made << 1) *
            UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 32;
    }
    size_t at = h % SLOTS;
    for (; b->slots[at]; at = (at + 1) % SLOTS) {
        const gi_ask *other = b->asks[b->slots[at] - 1];
        if (!same_ask(other, ask)) continue;
        *ret = b->slots[at] - 1;
        return GLINT_OK;
    }
    uint32_t rule;
    GI_TRY(new_rule(b, &rule));
    gi_ask *copy = gi_arena_alloc(&b->scratch, 1, gi_ask_bytes(ask));
    if (!copy) return no_memory(b);
    memcpy(copy, ask, gi_ask_bytes(ask));
    b->asks[rule] = copy;
    b->slots[at] = rule + 1;
    *ret = rule;
    return GLINT_OK;
}

glint_status gi_build_string(gi_builder *b, const gi_regex *regex, gi_spelling spelling,
                             uint32_t min, uint32_t max, const char *place,
                             const gi_string_rule **ret) {
    gi_made_string *made = b->strings;
    while (made && (made->regex != regex || made->spelling != spelling)) made = made->next;
    if (!made) {
        made = gi_arena_alloc(&b->scratch, 1, sizeof *made);
        if (!made) return no_memory(b);
        *made = (gi_made_string){regex, spelling, NULL, b->strings};
        GI_TRY(gi_char_reader_create(&b->s->arena, regex, spelling, &made->reader, b->err));
        b->strings = made;
    }
    return gi_string_rule_create(&b->s->arena, regex, made->reader, min, max, place,
                                 &b->s->regex_work, ret, b->err);
}

/* The patterns and formats of an ask, each once. */
static glint_status list_patterns(const gi_builder *b, const gi_ask *ask, const char **patterns,
                                  size_t max, size_t *ret_n) {
    *ret_n = 0;
    for (uint32_t i = 0; i < ask->n; i++) {
        const json_t *at = ask->members[i].schema;
        const char *format = json_string_value(json_object_get(at, "format"));
        const char *own[2] = {json_string_value(json_object_get(at, "pattern")),
                              format ? gi_format_pattern(format) : NULL};
        for (int k = 0; k < 2; k++) {
            size_t j = 0;
            while (own[k] && j < *ret_n && strcmp(patterns[j], own[k]) != 0) j++;
            if (!own[k] || j < *ret_n) continue;
            if (*ret_n == max)
                return gi_fail(b->err, GLINT_ERR_LIMIT, "%s: more than %zu patterns for one value",
                               gi_schema_place(b->s, at), max);
            patterns[(*ret_n)++] = own[k];
        }
    }
    return GLINT_OK;
}

static glint_status build_string(gi_builder *b, const gi_ask *ask, gi_rule *ret) {
    const char *patterns[8], *place = gi_build_place(b, ask);
    const uint32_t min = gi_ask_min(ask, "minLength"), max = gi_ask_max(ask, "maxLength");
    const gi_regex *regex = b->any;
    size_t n = 0;
    GI_TRY(list_patterns(b, ask, patterns, 8, &n));
    if (n == 1) regex = gi_schema_pattern(b->s, patterns[0]);
    if (n > 1)
        GI_TRY(
            gi_regex_compile(&b->s->arena, patterns, n, place, &b->s->regex_work, &regex, b->err));
    const gi_spelling spelling = n == 0 ? GI_SPELL_ANY : GI_SPELL_NEEDED;
    const gi_string_rule *rule = NULL;
    GI_TRY(gi_build_string(b, regex, spelling, min, max, place, &rule));
    ret->kind = rule ? GI_RULE_STRING : GI_RULE_NEVER;
    ret->as.string = rule;
    return GLINT_OK;
}

static bool same_spec(const gi_number_spec *a, const gi_number_spec *b) {
    return a->min == b->min && a->max == b->max && a->has_min == b->has_min &&
           a->has_max == b->has_max && a->integer == b->integer &&
           a->multiple_of == b->multiple_of && a->fraction_max == b->fraction_max;
}

static glint_status build_number(gi_builder *b, const gi_ask *ask, bool integer, gi_rule *ret) {
    gi_number_spec spec;
    GI_TRY(gi_ask_number(b->s, ask, integer, &spec, b->err));
    gi_made_number *made = b->numbers;
    while (made && !same_spec(&made->spec, &spec)) made = made->next;
    if (!made) {
        made = gi_arena_alloc(&b->scratch, 1, sizeof *made);
        if (!made) return no_memory(b);
        made->spec = spec;
        GI_TRY(gi_number_rule(&b->s->arena, &spec, gi_build_place(b, ask), &made->rule, b->err));
        made->next = b->numbers;
        b->numbers = made;
    }
    ret->kind = made->rule ? GI_RULE_BYTES : GI_RULE_NEVER;
    ret->as.bytes = made->rule;
    return GLINT_OK;
}

static glint_status build_array(gi_builder *b, const gi_ask *ask, gi_rule *ret) {
    gi_array_rule *a = gi_arena_alloc(&b->s->arena, 1, sizeof *a);
    if (!a) return no_memory(b);
    a->n_prefix = (uint32_t)gi_ask_prefix(ask);
    a->prefix = gi_arena_alloc(&b->s->arena, a->n_prefix + 1, sizeof *a->prefix);
    if (!a->prefix) return no_memory(b);
    for (uint32_t i = 0; i <= a->n_prefix; i++) {
        gi_ask item = {.n = 0};
        GI_TRY(gi_ask_item(b->s, ask, i, &item, b->err));
        GI_TRY(gi_build_rule(b, &item, i < a->n_prefix ? &a->prefix[i] : &a->items));
    }
    a->min = gi_ask_min(ask, "minItems");
    a->max = gi_ask_max(ask, "maxItems");
    ret->kind = a->min <= a->max ? GI_RULE_ARRAY : GI_RULE_NEVER;
    ret->as.array = a;
    return GLINT_OK;
}

/* A list of texts; the depth of the deepest value is what it costs. */
static glint_status build_texts(gi_builder *b, gi_text *texts, size_t n, const char *place,
                                gi_rule *ret) {
    ret->kind = GI_RULE_NEVER;
    if (n == 0) return GLINT_OK;
    ret->kind = GI_RULE_BYTES;
    return gi_texts_rule(&b->s->arena, texts, n, place, &ret->as.bytes, b->err);
}

static uint32_t depth_of(const json_t *v) {
    const char *key;
    json_t *member;
    uint32_t most = 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        const uint32_t d = depth_of(member);
        if (d > most) most = d;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        const uint32_t d = depth_of(json_array_get(v, i));
        if (d > most) most = d;
    }
    return most + (json_is_object(v) || json_is_array(v));
}

/* enum and const: those of the values that all members allow. */
static glint_status build_values(gi_builder *b, const gi_ask *ask, gi_rule *ret) {
    const json_t *v;
    size_t n = 0, n_values = 0;
    while (gi_ask_value(ask, n_values)) n_values++;
    gi_text *texts = gi_arena_alloc(&b->scratch, n_values ? n_values : 1, sizeof *texts);
    if (!texts) return no_memory(b);
    for (size_t i = 0; (v = gi_ask_value(ask, i)) != NULL; i++) {
        if (!gi_ask_allows(b->s, ask, v)) continue;
        gi_buf text;
        gi_buf_init(&text, 8 * GI_SCHEMA_BYTES_MAX);
        const glint_status st = gi_json_write(v, b->s->layout, &text, b->err);
        if (st == GLINT_OK) {
            texts[n].n = text.len;
            texts[n].bytes = gi_arena_strndup(&b->s->arena, (const char *)text.data, text.len);
        }
        gi_buf_done(&text);
        GI_TRY(st);
        if (!texts[n++].bytes) return no_memory(b);
        const uint32_t cost = GI_COST_BRACKET * depth_of(v);
        if (cost > ret->cost) ret->cost = cost;
    }
    return build_texts(b, texts, n, gi_build_place(b, ask), ret);
}

static glint_status build_words(gi_builder *b, unsigned type, gi_rule *ret) {
    gi_text words[] = {{"true", 4}, {"false", 5}}, null[] = {{"null", 4}};
    return type == GI_TYPE_NULL ? build_texts(b, null, 1, b->s->what, ret)
                                : build_texts(b, words, 2, b->s->what, ret);
}

static glint_status build_type(gi_builder *b, const gi_ask *ask, unsigned type, gi_rule *ret) {
    switch (type) {
    case GI_TYPE_STRING:
        return build_string(b, ask, ret);
    case GI_TYPE_OBJECT:
        return gi_build_object(b, ask, ret);
    case GI_TYPE_ARRAY:
        return build_array(b, ask, ret);
    case GI_TYPE_INTEGER:
    case GI_TYPE_FRACTION:
        return build_number(b, ask, type == GI_TYPE_INTEGER, ret);
    default:
        return build_words(b, type, ret);
    }
}

/* A rule for each type, and a choice between them where there are several. */
static glint_status build_types(gi_builder *b, const gi_ask *ask, gi_rule *ret) {
    unsigned types = gi_ask_types(ask);
    if (types & GI_TYPE_FRACTION) types &= ~(unsigned)GI_TYPE_INTEGER; /* a number is either */
    if (types == 0) {
        ret->kind = GI_RULE_NEVER;
        return GLINT_OK;
    }
    if ((types & (types - 1)) == 0) return build_type(b, ask, types, ret);
    uint32_t *branches = gi_arena_alloc(&b->s->arena, 8, sizeof *branches), n = 0;
    if (!branches) return no_memory(b);
    for (; types; types &= types - 1) {
        gi_rule branch = {0};
        GI_TRY(build_type(b, ask, types & -types, &branch));
        GI_TRY(new_rule(b, &branches[n]));
        b->s->rules[branches[n++]] = branch;
    }
    ret->kind = GI_RULE_CHOICE;
    ret->as.choice.branches = branches;
    ret->as.choice.n = n;
    return GLINT_OK;
}

static glint_status check_one_of(gi_builder *b, const json_t *schema, const json_t *list) {
    const size_t n = json_array_size(list);
    gi_ask *asks = gi_arena_alloc(&b->scratch, n, sizeof *asks);
    if (!asks) return no_memory(b);
    for (size_t i = 0; i < n; i++)
        GI_TRY(gi_ask_add(b->s, &asks[i], json_array_get(list, i), b->err));
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            if (!gi_ask_excludes(b->s, &asks[i], &asks[k], &b->exclude_work))
                return b->exclude_work == 0
                           ? gi_fail(b->err, GLINT_ERR_LIMIT, "%s: \"oneOf\" is too large",
                                     gi_schema_place(b->s, schema))
                           : gi_fail(b->err, GLINT_ERR_UNSUPPORTED,
                                     "%s: \"oneOf\" is supported where its members plainly exclude "
                                     "each "
                                     "other; use \"anyOf\"",
                                     gi_schema_place(b->s, schema));
    return GLINT_OK;
}

/* A choice between the members of the first anyOf or oneOf that is not made yet. */
static glint_status build_choice(gi_builder *b, const gi_ask *ask, uint32_t i_member, bool one,
                                 gi_rule *ret) {
    const json_t *schema = ask->members[i_member].schema;
    const json_t *list = json_object_get(schema, one ? "oneOf" : "anyOf");
    const size_t n = json_array_size(list);
    if (one) GI_TRY(check_one_of(b, schema, list));
    uint32_t *branches = gi_arena_alloc(&b->s->arena, n, sizeof *branches);
    if (!branches) return no_memory(b);
    for (size_t i = 0; i < n; i++) {
        gi_ask branch;
        memset(&branch, 0, sizeof branch);
        memcpy(&branch, ask, gi_ask_bytes(ask));
        *(one ? &branch.members[i_member].one_made : &branch.members[i_member].any_made) = true;
        GI_TRY(gi_ask_add(b->s, &branch, json_array_get(list, i), b->err));
        GI_TRY(gi_build_rule(b, &branch, &branches[i]));
    }
    ret->kind = GI_RULE_CHOICE;
    ret->as.choice.branches = branches;
    ret->as.choice.n = (uint32_t)n;
    return GLINT_OK;
}

static glint_status build(gi_builder *b, const gi_ask *ask, gi_rule *ret) {
    ret->kind = GI_RULE_NEVER;
    if (ask->never) return GLINT_OK;
    if (gi_ask_has_values(ask)) return build_values(b, ask, ret);
    for (uint32_t i = 0; i < ask->n; i++) {
        const gi_ask_member *m = &ask->members[i];
        if (!m->any_made && json_object_get(m->schema, "anyOf"))
            return build_choice(b, ask, i, false, ret);
        if (!m->one_made && json_object_get(m->schema, "oneOf"))
            return build_choice(b, ask, i, true, ret);
    }
    return build_types(b, ask, ret);
}

static glint_status build_all(gi_builder *b) {
    gi_schema *s = b->s;
    gi_ask root = {.n = 0};
    b->slots = gi_arena_alloc(&b->scratch, SLOTS, sizeof *b->slots);
    if (!b->slots) return no_memory(b);
    GI_TRY(gi_regex_compile(&s->arena, NULL, 0, s->what, &s->regex_work, &b->any, b->err));
    GI_TRY(gi_ask_add(s, &root, s->json, b->err));
    GI_TRY(gi_build_rule(b, &root, &s->root));
    for (uint32_t i = 0; i < s->n_rules; i++) {
        if (!b->asks[i]) continue;
        gi_rule rule = {0};
        GI_TRY(build(b, b->asks[i], &rule));
        s->rules[i] = rule;
    }
    return gi_schema_finish(s, b->err);
}

glint_status gi_schema_build(gi_schema *s, glint_error *err) {
    gi_builder b = {.s = s, .exclude_work = GI_EXCLUDE_WORK, .err = err};
    gi_arena_init(&b.scratch, GI_SCHEMA_MEMORY_MAX);
    glint_status st = build_all(&b);
    if (st == GLINT_ERR_MEMORY && gi_schema_is_full(&b.scratch))
        st = gi_fail(err, GLINT_ERR_LIMIT, "%s is too large", s->what);
    gi_arena_done(&b.scratch);
    return st;
}
