/*
 * A form is turned into the JSON that would say the same, so that there is one set of checks. Files
 * stay where they are.
 */
#include "server/fields.h"

#include "base/utf8.h"

#include <string.h>

/* The JSON value that `text` spells: "[" text "]" must be an array of one. */
static glint_status parse_scalar(const char *text, size_t n, json_t **ret) {
    gi_buf b;
    json_t *array = NULL;
    gi_buf_init(&b, GLINT_PROMPT_BYTES_MAX);
    glint_status st = gi_buf_puts(&b, "[", NULL);
    if (st == GLINT_OK) st = gi_buf_push(&b, text, n, NULL);
    if (st == GLINT_OK) st = gi_buf_puts(&b, "]", NULL);
    if (st == GLINT_OK) st = gi_json_parse(b.data, b.len, "field", &array, NULL);
    if (st == GLINT_OK && json_array_size(array) != 1) st = GLINT_ERR_FORMAT;
    if (st == GLINT_OK) *ret = json_incref(json_array_get(array, 0));
    json_decref(array);
    gi_buf_done(&b);
    return st;
}

static glint_status make_text(const char *text, size_t n, json_t **ret) {
    if (!gi_utf8_is_valid((const uint8_t *)text, n, NULL)) return GLINT_ERR_FORMAT;
    *ret = json_stringn(text, n);
    return *ret ? GLINT_OK : GLINT_ERR_MEMORY;
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
    json_t *value = NULL;
    const glint_status st = is_text ? make_text(text, part->n_bytes, &value)
                                    : parse_scalar(text, part->n_bytes, &value);
    if (st == GLINT_ERR_MEMORY) return gi_api_fail(error, GI_API_OVERLOADED, NULL);
    if (st != GLINT_OK)
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

bool gi_fields_from_form(const gi_field_table *table, const gi_multipart_part *parts,
                         size_t n_parts, json_t **ret_body, gi_field_picture *ret_files,
                         size_t *ret_n_files, gi_api_error *error) {
    json_t *body = json_object();
    size_t n_files = 0;
    bool ok = body || gi_api_fail(error, GI_API_OVERLOADED, NULL);
    for (size_t i = 0; ok && i < n_parts; i++) {
        const gi_multipart_part *part = &parts[i];
        const gi_field *field = gi_fields_find(table, part->name, strlen(part->name));
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
