/*
 * The checks made from the tables. What JSON says is read strictly: a string is no number,
 * 1.0 is the integer 1, -0 is 0, and an integer beyond 2^53 is refused, because most languages'
 * JSON would already have rounded it.
 */
#include "server/fields.h"

#include "server/picture_ref.h"

#include <math.h>
#include <string.h>

const gi_field *gi_fields_find(const gi_field_table *table, const char *name, size_t n) {
    for (size_t i = 0; i < table->n; i++)
        if (strlen(table->rows[i].name) == n && memcmp(table->rows[i].name, name, n) == 0)
            return &table->rows[i];
    return NULL;
}

double gi_field_max(const gi_field *field, const gi_field_limits *limits) {
    double limit = field->max;
    if (field->limit == GI_FIELD_LIMIT_SIDE) limit = (double)limits->max_side_px;
    if (field->limit == GI_FIELD_LIMIT_TIMEOUT) limit = (double)limits->timeout_ms;
    return fmin(limit, field->max);
}

/* One field being read. */
typedef struct reading {
    const gi_field *field;
    const gi_json_lifted *body;
    const gi_field_limits *limits;
    gi_infer_fields *to;
    gi_api_error *error;
} reading;

static void *member(const reading *r) {
    return (char *)r->to + r->field->offset;
}

static bool wrong_type(const reading *r, const char *want) {
    return gi_api_fail_detail(r->error, GI_API_INVALID_TYPE, r->field->name, "%s must be %s.",
                              r->field->name, want);
}

static bool read_int(const reading *r, const json_t *v) {
    double d = json_number_value(v);
    if (!json_is_number(v) || d != floor(d)) return wrong_type(r, "an integer");
    const double max = gi_field_max(r->field, r->limits);
    /* Beyond 2^53 the comparison in doubles could be off by one; nothing reaches that far. */
    if (fabs(d) > GI_FIELD_INT_MAX || d < r->field->min || d > max)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s must be an integer from %.0f to %.0f.", r->field->name,
                                  r->field->min, max);
    *(int64_t *)member(r) = (int64_t)d;
    return true;
}

static bool read_number(const reading *r, const json_t *v) {
    if (!json_is_number(v)) return wrong_type(r, "a number");
    const double d = json_number_value(v);
    if (!isfinite(d) || d < r->field->min || d > r->field->max)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s must be a number from %g to %g.", r->field->name,
                                  r->field->min, r->field->max);
    *(double *)member(r) = d + 0.0; /* -0 becomes 0 */
    return true;
}

/* A string within the row's bytes; zeros only where a length goes with it. */
static bool read_string(const reading *r, const json_t *v, bool zeros, gi_json_span *ret) {
    if (!json_is_string(v)) return wrong_type(r, "a string");
    const gi_json_span span = gi_json_lift_string(r->body, v);
    if ((double)span.n < r->field->min || (double)span.n > r->field->max)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s must be %.0f to %.0f bytes long.", r->field->name,
                                  r->field->min, r->field->max);
    if (!zeros && memchr(span.s, '\0', span.n))
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s must not contain a zero byte.", r->field->name);
    *ret = span;
    return true;
}

/* A short one, zero-terminated: too short to have been lifted. */
static bool read_name(const reading *r, const json_t *v, const char **ret) {
    gi_json_span span;
    if (!read_string(r, v, false, &span)) return false;
    *ret = json_string_value(v);
    return true;
}

static bool read_names(const reading *r, const json_t *v) {
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (!json_is_array(v) && !json_is_string(v))
        return wrong_type(r, "a string or an array of strings");
    if (n > GLINT_STOPS_MAX)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s may have at most %d strings.", r->field->name,
                                  GLINT_STOPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        if (!read_name(r, s, &r->to->stops[i])) return false;
    }
    r->to->n_stops = n;
    return true;
}

static bool add_picture(gi_infer_fields *to, gi_field_picture picture, const char *param,
                        gi_api_error *error) {
    if (to->n_pictures == GLINT_IMAGES_MAX)
        return gi_api_fail(error, GI_API_TOO_MANY_IMAGES, param);
    to->pictures[to->n_pictures++] = picture;
    return true;
}

bool gi_fields_add_picture(gi_infer_fields *fields, gi_json_span text, const char *param,
                           gi_api_error *error) {
    gi_picture_ref ref;
    if (!gi_picture_ref_parse(text.s, text.n, param, &ref, error)) return false;
    const gi_field_picture picture = {.base64 = ref.base64, .url = ref.url, .n = ref.n};
    return add_picture(fields, picture, param, error);
}

static bool read_picture(const reading *r, const json_t *v) {
    if (!json_is_string(v)) return wrong_type(r, "a string");
    return gi_fields_add_picture(r->to, gi_json_lift_string(r->body, v), r->field->name, r->error);
}

static bool read_pictures(const reading *r, const json_t *v) {
    if (!json_is_array(v)) return wrong_type(r, "an array of strings");
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!read_picture(r, json_array_get(v, i))) return false;
    return true;
}

static bool read_schema(const reading *r, json_t *v, const json_t **ret) {
    if (!json_is_object(v)) return wrong_type(r, "an object");
    if (!gi_json_lift_restore(r->body, v)) return gi_api_fail(r->error, GI_API_OVERLOADED, NULL);
    if (json_dumpb(v, NULL, 0, JSON_COMPACT) > GI_SCHEMA_BYTES_MAX)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "A schema may have at most %d bytes.", GI_SCHEMA_BYTES_MAX);
    *ret = v;
    return true;
}

/* {"type": "json_schema", "json_schema": {"schema": {...}, "name": ...}} */
static bool read_format(const reading *r, const json_t *v) {
    if (!json_is_object(v)) return wrong_type(r, "an object");
    const char *type = json_string_value(json_object_get(v, "type"));
    if (type && strcmp(type, "text") == 0) return true;
    if (type && strcmp(type, "json_object") == 0) {
        r->to->any_object = true;
        return true;
    }
    if (!type || strcmp(type, "json_schema") != 0)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s.type must be text, json_object or json_schema.",
                                  r->field->name);
    json_t *schema = json_object_get(json_object_get(v, "json_schema"), "schema");
    if (!schema)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s.json_schema.schema is missing.", r->field->name);
    return read_schema(r, schema, &r->to->schema);
}

static bool read_stream_options(const reading *r, const json_t *v) {
    if (!json_is_object(v)) return wrong_type(r, "an object");
    const json_t *usage = json_object_get(v, "include_usage");
    if (usage && !json_is_null(usage) && !json_is_boolean(usage))
        return wrong_type(r, "an object whose include_usage is true or false");
    r->to->include_usage = json_is_true(usage);
    return true;
}

static bool read_messages(const reading *r, const json_t *v) {
    if (!json_is_array(v)) return wrong_type(r, "an array of objects");
    const double n = (double)json_array_size(v);
    if (n < r->field->min || n > r->field->max)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, r->field->name,
                                  "%s must have %.0f to %.0f entries.", r->field->name,
                                  r->field->min, r->field->max);
    *(const json_t **)member(r) = v;
    return true;
}

/* A field that is known so that its default may be sent. */
static bool read_only(const reading *r, const json_t *v) {
    const char *text = r->field->default_text;
    json_t *only = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!only) return gi_api_fail(r->error, GI_API_OVERLOADED, NULL);
    const bool ok = json_is_number(v) && json_is_number(only)
                        ? json_number_value(v) == json_number_value(only)
                        : json_equal(v, only);
    json_decref(only);
    return ok || gi_api_fail_detail(r->error, GI_API_UNSUPPORTED_FEATURE, r->field->name,
                                    "This server takes %s only as %s.", r->field->name, text);
}

static bool read_field(const reading *r, json_t *v) {
    if (json_is_null(v)) return true;
    switch (r->field->type) {
    case GI_FIELD_TEXT:
        return read_string(r, v, true, member(r));
    case GI_FIELD_NAME:
        return read_name(r, v, member(r));
    case GI_FIELD_INT:
        return read_int(r, v);
    case GI_FIELD_NUMBER:
        return read_number(r, v);
    case GI_FIELD_BOOL:
        if (!json_is_boolean(v)) return wrong_type(r, "true or false");
        *(bool *)member(r) = json_is_true(v);
        return true;
    case GI_FIELD_NAMES:
        return read_names(r, v);
    case GI_FIELD_PICTURE:
        return read_picture(r, v);
    case GI_FIELD_PICTURES:
        return read_pictures(r, v);
    case GI_FIELD_SCHEMA:
        return read_schema(r, v, member(r));
    case GI_FIELD_MESSAGES:
        return read_messages(r, v);
    case GI_FIELD_FORMAT:
        return read_format(r, v);
    case GI_FIELD_STREAM_OPTIONS:
        return read_stream_options(r, v);
    case GI_FIELD_ONLY:
        return read_only(r, v);
    case GI_FIELD_IGNORED:
        return true;
    }
    return gi_api_fail(r->error, GI_API_INTERNAL, r->field->name);
}

static bool is_given(const json_t *body, const char *name) {
    const json_t *v = json_object_get(body, name);
    return v && !json_is_null(v);
}

/* What goes together and what does not. */
static bool check_whole(const json_t *body, const gi_infer_fields *f, bool is_chat,
                        gi_api_error *error) {
    if (!is_chat) {
        if (is_given(body, "image") && is_given(body, "images"))
            return gi_api_fail(error, GI_API_CONFLICTING_FIELDS, "images");
        return f->n_pictures > 0 || f->prompt.n > 0 ||
               gi_api_fail(error, GI_API_MISSING_INPUT, NULL);
    }
    if (is_given(body, "max_tokens") && is_given(body, "max_completion_tokens"))
        return gi_api_fail(error, GI_API_CONFLICTING_FIELDS, "max_tokens");
    return f->messages || gi_api_fail(error, GI_API_MISSING_INPUT, "messages");
}

bool gi_fields_read(const gi_field_table *table, const gi_json_lifted *body,
                    const gi_field_picture *files, size_t n_files, const gi_field_limits *limits,
                    gi_infer_fields *ret, gi_api_error *error) {
    if (!json_is_object(body->json))
        return gi_api_fail_detail(error, GI_API_INVALID_TYPE, NULL,
                                  "The body must be a JSON object.");
    gi_infer_fields f = *table->defaults;
    f.timeout_ms = limits->timeout_ms;
    reading r = {.body = body, .limits = limits, .to = &f, .error = error};
    for (size_t i = 0; i < n_files; i++)
        if (!add_picture(&f, files[i], "image", error)) return false;
    /* jansson keeps the order of the request, so the first mistake a reader sees is reported. */
    const char *key;
    json_t *value;
    json_object_foreach(body->json, key, value) {
        r.field = gi_fields_find(table, key, strlen(key));
        if (!r.field) return gi_api_fail(error, GI_API_UNKNOWN_FIELD, key);
        if (!read_field(&r, value)) return false;
    }
    f.has_seed = is_given(body->json, "seed");
    if (!check_whole(body->json, &f, table->is_chat, error)) return false;
    *ret = f;
    return true;
}
