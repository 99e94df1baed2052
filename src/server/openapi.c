/*
 * A row of a table becomes a JSON schema. Byte limits of strings are given as lengths: a text has
 * no more characters than bytes, so what the schema refuses the server refuses too.
 *
 * jansson's setters take NULL and report it, so that values are made in place and a failure of
 * memory is found at the end of each object.
 */
#include "server/openapi.h"

#include "base/json_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DOC_BYTES = 512 };

/* Integers as such: a schema that says "maximum": 4096.0 is right, but not pleasant. */
static json_t *number(double v) {
    return v == floor(v) && fabs(v) < 1e16 ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *type(const char *name) {
    return json_pack("{s:s}", "type", name);
}

static json_t *ref(const char *name) {
    char path[DOC_BYTES];
    snprintf(path, sizeof path, "#/components/schemas/%s", name);
    return json_pack("{s:s}", "$ref", path);
}

static json_t *text(double min, double max) {
    return json_pack("{s:s, s:I, s:I}", "type", "string", "minLength", (json_int_t)min, "maxLength",
                     (json_int_t)max);
}

static json_t *list(json_t *items, double min, double max) {
    return json_pack("{s:s, s:o, s:I, s:I}", "type", "array", "items", items, "minItems",
                     (json_int_t)min, "maxItems", (json_int_t)max);
}

static json_t *schema_of(const gi_field *f, const gi_field_limits *limits, json_t *fallback) {
    switch (f->type) {
    case GI_FIELD_TEXT:
    case GI_FIELD_NAME:
        return text(f->min, f->max);
    case GI_FIELD_INT:
    case GI_FIELD_NUMBER:
        return json_pack("{s:s, s:o, s:o}", "type", f->type == GI_FIELD_INT ? "integer" : "number",
                         "minimum", number(f->min), "maximum", number(gi_field_max(f, limits)));
    case GI_FIELD_BOOL:
        return type("boolean");
    case GI_FIELD_NAMES:
        return json_pack("{s:[o, o]}", "anyOf", text(f->min, f->max),
                         list(text(f->min, f->max), 0, GLINT_STOPS_MAX));
    case GI_FIELD_PICTURE:
        return type("string");
    case GI_FIELD_PICTURES:
        return list(type("string"), f->min, f->max);
    case GI_FIELD_SCHEMA:
        return type("object");
    case GI_FIELD_MESSAGES:
        return list(ref("ChatMessage"), f->min, f->max);
    case GI_FIELD_FORMAT:
        return ref("ResponseFormat");
    case GI_FIELD_STREAM_OPTIONS:
        return ref("StreamOptions");
    case GI_FIELD_ONLY:
        return json_pack("{s:O}", "const", fallback);
    case GI_FIELD_IGNORED:
        break;
    }
    return json_object();
}

/* The schema, or null, which stands for "not given". Takes the reference. */
static json_t *or_null(json_t *schema) {
    const char *name = json_string_value(json_object_get(schema, "type"));
    json_t *forms = json_object_get(schema, "anyOf");
    int failed = 0;
    if (name)
        failed = json_object_set_new(schema, "type", json_pack("[s, s]", name, "null"));
    else if (forms)
        failed = json_array_append_new(forms, type("null"));
    else if (json_object_size(schema) > 0) /* else it allows everything */
        return json_pack("{s:[o, o]}", "anyOf", schema, type("null"));
    if (!failed) return schema;
    json_decref(schema);
    return NULL;
}

/* A property of a request: its schema, words, and default, which is a value or else words too. */
static json_t *property(const gi_field *f, const gi_field_limits *limits) {
    char doc[DOC_BYTES];
    json_t *fallback = json_loads(f->default_text, JSON_DECODE_ANY, NULL);
    json_t *schema = schema_of(f, limits, fallback);
    if (f->type != GI_FIELD_MESSAGES) schema = or_null(schema); /* messages must be given */
    const bool has_words = !fallback && strcmp(f->default_text, "none") != 0;
    snprintf(doc, sizeof doc, "%s%s%s%s", f->doc, has_words ? " Default: " : "",
             has_words ? f->default_text : "", has_words ? "." : "");
    int failed = json_object_set_new(schema, "description", json_string(doc));
    if (fallback) failed |= json_object_set(schema, "default", fallback);
    json_decref(fallback);
    if (!failed) return schema;
    json_decref(schema);
    return NULL;
}

static int put_fields(json_t *schemas, const char *name, const gi_field_table *table,
                      const gi_field_limits *limits) {
    json_t *properties = json_object();
    int failed = 0;
    for (size_t i = 0; i < table->n; i++)
        failed |=
            json_object_set_new(properties, table->rows[i].name, property(&table->rows[i], limits));
    failed |= json_object_set_new(json_object_get(schemas, name), "properties", properties);
    return failed;
}

/* "400: invalid_json, ..." for each status of the table, as a response of its own. */
static int put_errors(json_t *responses) {
    int failed = 0;
    for (int code = GI_API_OK + 1; code < GI_API_CODE_COUNT; code++) {
        const gi_api_error_info *e = gi_api_error_get((gi_api_code)code);
        char status[16];
        snprintf(status, sizeof status, "%d", e->status);
        json_t *response = json_object_get(responses, status);
        if (!response) {
            response = json_pack("{s:s, s:{s:{s:o}}, s:{}}", "description", "An error.", "content",
                                 "application/json", "schema", ref("Error"), "x-codes");
            failed |= json_object_set_new(responses, status, response);
        }
        failed |= json_object_set_new(json_object_get(response, "x-codes"), e->code,
                                      json_string(e->message));
    }
    return failed;
}

/* Every operation may answer with any of them. */
static int refer_to_errors(json_t *paths, const json_t *errors) {
    const char *path, *method, *status;
    json_t *operations, *operation;
    const json_t *error;
    int failed = 0;
    json_object_foreach(paths, path, operations) {
        json_object_foreach(operations, method, operation) {
            json_t *responses = json_object_get(operation, "responses");
            json_object_foreach((json_t *)(uintptr_t)errors, status, error) {
                char target[64];
                snprintf(target, sizeof target, "#/components/responses/%s", status);
                if (json_object_get(responses, status)) continue;
                failed |=
                    json_object_set_new(responses, status, json_pack("{s:s}", "$ref", target));
            }
        }
    }
    return failed;
}

static int put_limits(json_t *info, const gi_openapi_limits *limits) {
    return json_object_set_new(info, "version", json_string(glint_version())) |
           json_object_set_new(
               info, "x-limits",
               json_pack("{s:I, s:I, s:I, s:i}", "body_bytes", (json_int_t)limits->body_bytes_max,
                         "timeout_ms", (json_int_t)limits->fields.timeout_ms, "max_side_px",
                         (json_int_t)limits->fields.max_side_px, "images", GLINT_IMAGES_MAX));
}

glint_status gi_openapi_write(const gi_openapi_limits *limits, gi_buf *ret, glint_error *err) {
    json_t *doc = NULL;
    GI_TRY(gi_json_parse(gi_openapi_base[0].data, gi_openapi_base[0].size_bytes,
                         gi_openapi_base[0].name, &doc, err));
    json_t *components = json_object_get(doc, "components");
    json_t *schemas = json_object_get(components, "schemas");
    json_t *errors = json_object_get(components, "responses");
    int failed = put_limits(json_object_get(doc, "info"), limits);
    failed |= put_fields(schemas, "InferenceRequest", &gi_infer_table, &limits->fields);
    failed |= put_fields(schemas, "ChatRequest", &gi_chat_table, &limits->fields);
    failed |= put_errors(errors);
    failed |= refer_to_errors(json_object_get(doc, "paths"), errors);
    const glint_status st =
        failed ? gi_fail(err, GLINT_ERR_MEMORY, "no memory to describe the interface")
               : gi_json_dump(doc, JSON_COMPACT, ret, err);
    json_decref(doc);
    return st;
}
