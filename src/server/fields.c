/*
 * The table and the checks made from it. What JSON says is read strictly: a string is no number,
 * 1.0 is the integer 1, -0 is 0, and an integer beyond 2^53 is refused, because most languages'
 * JSON would already have rounded it.
 */
#include "server/fields.h"

#include "server/picture_ref.h"

#include <math.h>
#include <string.h>

#define AT(member)    offsetof(gi_infer_fields, member)
#define LIMIT(member) offsetof(gi_field_limits, member)

/* Largest integer that every JSON reader keeps exactly: 2^53 - 1. */
static const double INT_EXACT_MAX = 9007199254740991.0;

static const gi_field FIELDS[] = {
    {"image", GI_FIELD_PICTURE, 0, 0, AT(pictures), 0, "none",
     "A picture: base64, or a data:image/...;base64, URI. In a form: a file part; may be "
     "repeated."},
    {"images", GI_FIELD_PICTURES, 0, GLINT_IMAGES_MAX, AT(pictures), 0, "none",
     "Several pictures, in the order the prompt speaks of them."},
    {"prompt", GI_FIELD_TEXT, 0, GLINT_PROMPT_BYTES_MAX, AT(prompt), 0, "the task's own",
     "What to answer about the pictures."},
    {"task", GI_FIELD_NAME, 1, 64, AT(task), 0, "\"audit\"",
     "Which template to use: audit, ask, describe, ocr, or another of the server's."},
    {"max_tokens", GI_FIELD_INT, 1, GLINT_MAX_TOKENS_MAX, AT(max_tokens), 0, "the task's",
     "Most tokens of the answer."},
    {"temperature", GI_FIELD_NUMBER, 0, 2, AT(temperature), 0, "0",
     "0 takes the most likely token each time; more makes answers vary."},
    {"top_p", GI_FIELD_NUMBER, 1e-6, 1, AT(top_p), 0, "1",
     "With a temperature: sample among the likeliest tokens that together have this probability."},
    {"top_k", GI_FIELD_INT, 0, 1000000, AT(top_k), 0, "0",
     "With a temperature: sample among this many likeliest tokens; 0 = all."},
    {"seed", GI_FIELD_INT, 0, 9007199254740991.0, AT(seed), 0, "0",
     "With a temperature: the same seed gives the same answer."},
    {"stop", GI_FIELD_NAMES, 1, GLINT_STOP_BYTES_MAX, AT(stops), 0, "none",
     "A string, or up to 8, at which the answer ends; not part of the answer."},
    {"max_side", GI_FIELD_INT, 28, 16384, AT(max_side_px), LIMIT(max_side_px), "the server's",
     "Longest side, in pixels, a picture is scaled down to."},
    {"schema", GI_FIELD_LATER, 0, 0, 0, 0, "none", "Not supported yet."},
    {"timeout_ms", GI_FIELD_INT, 1, 3600000, AT(timeout_ms), LIMIT(timeout_ms), "the server's",
     "Give up after this many milliseconds."},
    {"stream", GI_FIELD_LATER, 0, 0, 0, 0, "false", "Not supported yet."},
    {"cache", GI_FIELD_BOOL, 0, 0, AT(cache), 0, "true",
     "Whether an earlier equal answer may be given again; none are kept yet."},
};

enum { N_FIELDS = sizeof FIELDS / sizeof FIELDS[0] };

const gi_field *gi_fields_get(size_t i) {
    return i < N_FIELDS ? &FIELDS[i] : NULL;
}

const gi_field *gi_fields_find(const char *name, size_t n) {
    for (size_t i = 0; i < N_FIELDS; i++)
        if (strlen(FIELDS[i].name) == n && memcmp(FIELDS[i].name, name, n) == 0) return &FIELDS[i];
    return NULL;
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
    double max = r->field->max;
    if (r->field->limit_offset) {
        const int64_t *limit =
            (const int64_t *)(const void *)((const char *)r->limits + r->field->limit_offset);
        if ((double)*limit < max) max = (double)*limit;
    }
    /* Beyond 2^53 the comparison in doubles could be off by one; nothing reaches that far. */
    if (fabs(d) > INT_EXACT_MAX || d < r->field->min || d > max)
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

static bool add_picture(const reading *r, gi_field_picture picture) {
    if (r->to->n_pictures == GLINT_IMAGES_MAX)
        return gi_api_fail(r->error, GI_API_TOO_MANY_IMAGES, r->field->name);
    r->to->pictures[r->to->n_pictures++] = picture;
    return true;
}

static bool read_picture(const reading *r, const json_t *v) {
    if (!json_is_string(v)) return wrong_type(r, "a string");
    const gi_json_span span = gi_json_lift_string(r->body, v);
    gi_field_picture picture = {0};
    if (!gi_picture_ref_parse(span.s, span.n, r->field->name, &picture.base64, &picture.n,
                              r->error))
        return false;
    return add_picture(r, picture);
}

static bool read_pictures(const reading *r, const json_t *v) {
    if (!json_is_array(v)) return wrong_type(r, "an array of strings");
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!read_picture(r, json_array_get(v, i))) return false;
    return true;
}

static bool read_field(const reading *r, const json_t *v) {
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
    case GI_FIELD_LATER:
        return (json_is_false(v) && strcmp(r->field->default_text, "false") == 0) ||
               gi_api_fail(r->error, GI_API_UNSUPPORTED_FEATURE, r->field->name);
    }
    return gi_api_fail(r->error, GI_API_INTERNAL, r->field->name);
}

static bool is_given(const json_t *body, const char *name) {
    const json_t *v = json_object_get(body, name);
    return v && !json_is_null(v);
}

bool gi_fields_read(const gi_json_lifted *body, const gi_field_picture *files, size_t n_files,
                    const gi_field_limits *limits, gi_infer_fields *ret, gi_api_error *error) {
    if (!json_is_object(body->json))
        return gi_api_fail_detail(error, GI_API_INVALID_TYPE, NULL,
                                  "The body must be a JSON object.");
    gi_infer_fields f = {.prompt = {.s = ""},
                         .task = "audit",
                         .top_p = 1,
                         .cache = true,
                         .timeout_ms = limits->timeout_ms};
    reading r = {.field = &FIELDS[0], .body = body, .limits = limits, .to = &f, .error = error};
    for (size_t i = 0; i < n_files; i++)
        if (!add_picture(&r, files[i])) return false;
    /* jansson keeps the order of the request, so the first mistake a reader sees is reported. */
    const char *key;
    json_t *value;
    json_object_foreach(body->json, key, value) {
        r.field = gi_fields_find(key, strlen(key));
        if (!r.field) return gi_api_fail(error, GI_API_UNKNOWN_FIELD, key);
        if (!read_field(&r, value)) return false;
    }
    if (is_given(body->json, "image") && is_given(body->json, "images"))
        return gi_api_fail(error, GI_API_CONFLICTING_FIELDS, "images");
    if (f.n_pictures == 0 && f.prompt.n == 0) return gi_api_fail(error, GI_API_MISSING_INPUT, NULL);
    *ret = f;
    return true;
}

/* ---- forms ---- */

/* The JSON value that `text` spells, or NULL: "[" text "]" must be an array of one. */
static json_t *parse_scalar(const char *text, size_t n) {
    gi_buf b;
    json_t *array = NULL, *value = NULL;
    gi_buf_init(&b, GLINT_PROMPT_BYTES_MAX);
    if (gi_buf_puts(&b, "[", NULL) == GLINT_OK && gi_buf_push(&b, text, n, NULL) == GLINT_OK &&
        gi_buf_puts(&b, "]", NULL) == GLINT_OK &&
        gi_json_parse(b.data, b.len, "field", &array, NULL) == GLINT_OK &&
        json_array_size(array) == 1)
        value = json_incref(json_array_get(array, 0));
    json_decref(array);
    gi_buf_done(&b);
    return value;
}

static bool is_text_type(gi_field_type type) {
    return type == GI_FIELD_TEXT || type == GI_FIELD_NAME || type == GI_FIELD_NAMES;
}

static bool is_picture_type(gi_field_type type) {
    return type == GI_FIELD_PICTURE || type == GI_FIELD_PICTURES;
}

/* Put a part's value into the object: appended to an array where a field may be repeated. */
static bool add_part(json_t *body, const gi_field *field, const gi_multipart_part *part,
                     gi_api_error *error) {
    const char *text = (const char *)part->data;
    const bool is_text = is_text_type(field->type) || is_picture_type(field->type);
    json_t *value = is_text ? json_stringn(text, part->n_bytes) : parse_scalar(text, part->n_bytes);
    if (!value)
        return gi_api_fail_detail(
            error, GI_API_INVALID_VALUE, field->name,
            is_text ? "%s is not valid UTF-8." : "%s must be written as in JSON.", field->name);
    const bool repeats = field->type == GI_FIELD_NAMES || is_picture_type(field->type);
    /* Pictures gather in "images", whatever the parts are called, so that they keep their order. */
    const char *key = is_picture_type(field->type) ? "images" : field->name;
    json_t *have = json_object_get(body, key);
    if (have && !repeats) {
        json_decref(value);
        return gi_api_fail(error, GI_API_DUPLICATE_FIELD, field->name);
    }
    bool ok;
    if (!repeats) {
        ok = json_object_set_new(body, key, value) == 0;
    } else {
        if (!have && json_object_set_new(body, key, json_array()) == 0)
            have = json_object_get(body, key);
        ok = json_array_append_new(have, value) == 0;
    }
    return ok || gi_api_fail(error, GI_API_OVERLOADED, NULL);
}

bool gi_fields_from_form(const gi_multipart_part *parts, size_t n_parts, json_t **ret_body,
                         gi_field_picture *ret_files, size_t *ret_n_files, gi_api_error *error) {
    json_t *body = json_object();
    size_t n_files = 0;
    bool ok = body || gi_api_fail(error, GI_API_OVERLOADED, NULL);
    for (size_t i = 0; ok && i < n_parts; i++) {
        const gi_multipart_part *part = &parts[i];
        const gi_field *field = gi_fields_find(part->name, strlen(part->name));
        if (!field) {
            ok = gi_api_fail(error, GI_API_UNKNOWN_FIELD, part->name);
        } else if (!is_picture_type(field->type) || !part->is_file) {
            ok = add_part(body, field, part, error);
        } else if (n_files == GLINT_IMAGES_MAX) {
            ok = gi_api_fail(error, GI_API_TOO_MANY_IMAGES, field->name);
        } else {
            ret_files[n_files++] = (gi_field_picture){.bytes = part->data, .n = part->n_bytes};
        }
    }
    if (!ok) {
        json_decref(body);
        return false;
    }
    *ret_body = body;
    *ret_n_files = n_files;
    return true;
}
