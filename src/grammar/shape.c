/*
 * A schema becomes a tree of nodes in one arena; checking a value walks the two trees together.
 * Depth is bounded by the parser (GI_JSON_DEPTH_MAX), size by the file it came from.
 */
#include "grammar/shape.h"

#include "base/alloc.h"
#include "base/arena.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Most memory of a compiled schema, in bytes. */
#define SHAPE_BYTES_MAX (16u << 20)
/* Room for the place named in a message, in bytes; longer ones are cut. */
#define PLACE_BYTES     160

typedef enum node_type {
    ANY,
    OBJECT,
    ARRAY,
    STRING,
    INTEGER,
    NUMBER,
    BOOLEAN,
    NOTHING,
    N_TYPES,
} node_type;

static const struct {
    const char *name, *in_words;
} types[N_TYPES] = {
    {"", "anything"},
    {"object", "an object"},
    {"array", "an array"},
    {"string", "a string"},
    {"integer", "an integer"},
    {"number", "a number"},
    {"boolean", "true or false"},
    {"null", "null"},
};

typedef struct node {
    node_type type;
    bool closed; /* additionalProperties: false */
    size_t n_properties, n_labels;
    const char **names;       /* [n_properties] */
    struct node **properties; /* [n_properties] */
    bool *required;           /* [n_properties] */
    const char **labels;      /* [n_labels] of enum */
    const struct node *items; /* NULL: anything */
    int64_t items_min, items_max;
} node;

struct gi_shape {
    gi_arena arena;
    const node *root;
};

typedef struct compiler {
    gi_arena *arena;
    glint_error *err;
} compiler;

static glint_status no_memory(const compiler *c) {
    return gi_fail(c->err, GLINT_ERR_MEMORY, "no memory for the schema");
}

static glint_status compile(const compiler *c, const json_t *schema, const char *place, node **ret);

static const char *copy_string(const compiler *c, const json_t *s) {
    return gi_arena_strndup(c->arena, json_string_value(s), json_string_length(s));
}

static glint_status compile_type(const compiler *c, const json_t *schema, const char *place,
                                 node *n) {
    const char *type = NULL;
    GI_TRY(gi_json_get_string(schema, place, "type", false, &type, c->err));
    if (!type) return GLINT_OK;
    for (int i = OBJECT; i < N_TYPES; i++) {
        if (strcmp(type, types[i].name) != 0) continue;
        n->type = (node_type)i;
        return GLINT_OK;
    }
    return gi_fail(c->err, GLINT_ERR_UNSUPPORTED, "%s: type \"%s\"", place, type);
}

static glint_status compile_properties(const compiler *c, const json_t *schema, const char *place,
                                       node *n) {
    const json_t *properties = NULL;
    bool open = true;
    GI_TRY(gi_json_get_object(schema, place, "properties", false, &properties, c->err));
    GI_TRY(gi_json_get_bool(schema, place, "additionalProperties", false, &open, c->err));
    n->closed = !open;
    n->n_properties = json_object_size(properties);
    if (n->n_properties == 0) return GLINT_OK;
    n->names = gi_arena_alloc(c->arena, n->n_properties, sizeof *n->names);
    n->properties = gi_arena_alloc(c->arena, n->n_properties, sizeof *n->properties);
    n->required = gi_arena_alloc(c->arena, n->n_properties, sizeof *n->required);
    if (!n->names || !n->properties || !n->required) return no_memory(c);
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach((json_t *)(uintptr_t)properties, key, value) {
        char inner[PLACE_BYTES];
        snprintf(inner, sizeof inner, "%s.properties.%s", place, key);
        n->names[i] = gi_arena_strndup(c->arena, key, strlen(key));
        if (!n->names[i]) return no_memory(c);
        GI_TRY(compile(c, value, inner, &n->properties[i]));
        i++;
    }
    return GLINT_OK;
}

static glint_status compile_required(const compiler *c, const json_t *schema, const char *place,
                                     node *n) {
    const json_t *list = NULL;
    GI_TRY(gi_json_get_array(schema, place, "required", false, &list, c->err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t k = 0;
        while (name && k < n->n_properties && strcmp(name, n->names[k]) != 0) k++;
        if (!name || k == n->n_properties)
            return gi_fail(c->err, GLINT_ERR_FORMAT, "%s: required: \"%s\" is not in properties",
                           place, name ? name : "?");
        n->required[k] = true;
    }
    return GLINT_OK;
}

static glint_status compile_enum(const compiler *c, const json_t *schema, const char *place,
                                 node *n) {
    const json_t *list = NULL;
    GI_TRY(gi_json_get_array(schema, place, "enum", false, &list, c->err));
    if (!list) return GLINT_OK;
    const size_t count = json_array_size(list);
    if (count == 0 || count > GI_SHAPE_ENUM_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: enum must have 1 to %d values", place,
                       GI_SHAPE_ENUM_MAX);
    if (n->type == ANY) n->type = STRING;
    n->labels = gi_arena_alloc(c->arena, count, sizeof *n->labels);
    if (!n->labels) return no_memory(c);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        if (n->type != STRING || !json_is_string(value) || json_string_length(value) == 0 ||
            strlen(json_string_value(value)) != json_string_length(value))
            return gi_fail(c->err, GLINT_ERR_UNSUPPORTED,
                           "%s: enum of other values than non-empty strings", place);
        n->labels[i] = copy_string(c, value);
        if (!n->labels[i]) return no_memory(c);
        n->n_labels++;
    }
    return GLINT_OK;
}

static glint_status compile_items(const compiler *c, const json_t *schema, const char *place,
                                  node *n) {
    const json_t *items = NULL;
    n->items_max = INT64_MAX;
    GI_TRY(gi_json_get_object(schema, place, "items", false, &items, c->err));
    GI_TRY(gi_json_get_int(schema, place, "minItems", false, 0, INT32_MAX, &n->items_min, c->err));
    GI_TRY(gi_json_get_int(schema, place, "maxItems", false, 0, INT32_MAX, &n->items_max, c->err));
    if (!items) return GLINT_OK;
    char inner[PLACE_BYTES];
    node *compiled = NULL;
    snprintf(inner, sizeof inner, "%s.items", place);
    GI_TRY(compile(c, items, inner, &compiled));
    n->items = compiled;
    return GLINT_OK;
}

/* Every keyword is known; those of one type are only with that type. */
static glint_status check_keywords(const compiler *c, const json_t *schema, const char *place,
                                   node_type type) {
    static const struct {
        const char *keyword;
        node_type type;
    } known[] = {
        {"type", ANY},        {"title", ANY},
        {"description", ANY}, {"$schema", ANY},
        {"enum", STRING},     {"properties", OBJECT},
        {"required", OBJECT}, {"additionalProperties", OBJECT},
        {"items", ARRAY},     {"minItems", ARRAY},
        {"maxItems", ARRAY},
    };
    const size_t n_known = sizeof known / sizeof *known;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value) {
        size_t i = 0;
        while (i < n_known && strcmp(key, known[i].keyword) != 0) i++;
        if (i == n_known)
            return gi_fail(c->err, GLINT_ERR_UNSUPPORTED, "%s: \"%s\" is not supported", place,
                           key);
        if (known[i].type != ANY && known[i].type != type)
            return gi_fail(c->err, GLINT_ERR_UNSUPPORTED, "%s: \"%s\" without \"type\": \"%s\"",
                           place, key, types[known[i].type].name);
    }
    return GLINT_OK;
}

static glint_status compile(const compiler *c, const json_t *schema, const char *place,
                            node **ret) {
    if (!json_is_object(schema))
        return gi_fail(c->err, GLINT_ERR_FORMAT, "%s must be an object", place);
    node *n = gi_arena_alloc(c->arena, 1, sizeof *n);
    if (!n) return no_memory(c);
    GI_TRY(compile_type(c, schema, place, n));
    GI_TRY(compile_enum(c, schema, place, n));
    GI_TRY(check_keywords(c, schema, place, n->type));
    GI_TRY(compile_properties(c, schema, place, n));
    GI_TRY(compile_required(c, schema, place, n));
    GI_TRY(compile_items(c, schema, place, n));
    *ret = n;
    return GLINT_OK;
}

glint_status gi_shape_compile(const json_t *schema, const char *what, gi_shape **ret,
                              glint_error *err) {
    gi_shape *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the schema");
    gi_arena_init(&s->arena, SHAPE_BYTES_MAX);
    const compiler c = {&s->arena, err};
    node *root = NULL;
    const glint_status st = compile(&c, schema, what, &root);
    if (st != GLINT_OK) {
        gi_shape_free(s);
        return st;
    }
    s->root = root;
    *ret = s;
    return GLINT_OK;
}

void gi_shape_free(gi_shape *shape) {
    if (!shape) return;
    gi_arena_done(&shape->arena);
    gi_free(shape);
}

static bool has_type(const json_t *v, node_type type) {
    switch (type) {
    case OBJECT:
        return json_is_object(v);
    case ARRAY:
        return json_is_array(v);
    case STRING:
        return json_is_string(v);
    case INTEGER:
        return json_is_integer(v) ||
               (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)));
    case NUMBER:
        return json_is_number(v);
    case BOOLEAN:
        return json_is_boolean(v);
    case NOTHING:
        return json_is_null(v);
    case ANY:
    case N_TYPES:
        break;
    }
    return true;
}

static glint_status check(const node *n, const json_t *v, const char *place, glint_error *err);

static glint_status check_object(const node *n, const json_t *v, const char *place,
                                 glint_error *err) {
    size_t n_known = 0;
    for (size_t i = 0; i < n->n_properties; i++) {
        const json_t *member = json_object_get(v, n->names[i]);
        char inner[PLACE_BYTES];
        snprintf(inner, sizeof inner, "%s.%s", place, n->names[i]);
        if (!member && n->required[i])
            return gi_fail(err, GLINT_ERR_FORMAT, "%s is missing", inner);
        if (!member) continue;
        GI_TRY(check(n->properties[i], member, inner, err));
        n_known++;
    }
    if (n->closed && json_object_size(v) > n_known)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s has members that are not allowed", place);
    return GLINT_OK;
}

static glint_status check_array(const node *n, const json_t *v, const char *place,
                                glint_error *err) {
    const size_t count = json_array_size(v);
    if (count < (uint64_t)n->items_min || count > (uint64_t)n->items_max)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s has %zu items", place, count);
    for (size_t i = 0; n->items && i < count; i++) {
        char inner[PLACE_BYTES];
        snprintf(inner, sizeof inner, "%s[%zu]", place, i);
        GI_TRY(check(n->items, json_array_get(v, i), inner, err));
    }
    return GLINT_OK;
}

static glint_status check(const node *n, const json_t *v, const char *place, glint_error *err) {
    if (!has_type(v, n->type))
        return gi_fail(err, GLINT_ERR_FORMAT, "%s must be %s", place, types[n->type].in_words);
    if (n->type == OBJECT) return check_object(n, v, place, err);
    if (n->type == ARRAY) return check_array(n, v, place, err);
    for (size_t i = 0; i < n->n_labels; i++)
        if (strcmp(n->labels[i], json_string_value(v)) == 0 &&
            strlen(n->labels[i]) == json_string_length(v))
            return GLINT_OK;
    if (n->n_labels > 0)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s is not one of the allowed values", place);
    return GLINT_OK;
}

glint_status gi_shape_check(const gi_shape *shape, const json_t *value, glint_error *err) {
    return check(shape->root, value, "answer", err);
}

const char *const *gi_shape_labels(const gi_shape *shape, const char *field, size_t *ret_n) {
    const node *root = shape->root;
    *ret_n = 0;
    for (size_t i = 0; i < root->n_properties; i++) {
        if (strcmp(root->names[i], field) != 0 || !root->required[i]) continue;
        *ret_n = root->properties[i]->n_labels;
        return *ret_n ? root->properties[i]->labels : NULL;
    }
    return NULL;
}
