/**
 * @file
 * The fields of POST /v1/multimodal/inference, declared once: name, type, range, default, words.
 * The table drives the checks of JSON bodies and forms alike, and the documentation.
 */
#ifndef GI_SERVER_FIELDS_H
#define GI_SERVER_FIELDS_H

#include <glint/glint.h>

#include "server/api_error.h"
#include "server/json_lift.h"
#include "server/multipart.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How a field's value is read. */
typedef enum gi_field_type {
    GI_FIELD_TEXT,     /**< string of min..max bytes, any character -> gi_json_span */
    GI_FIELD_NAME,     /**< string of min..max bytes without zeros -> const char * */
    GI_FIELD_INT,      /**< integer min..max -> int64_t */
    GI_FIELD_NUMBER,   /**< finite number min..max -> double */
    GI_FIELD_BOOL,     /**< true or false -> bool */
    GI_FIELD_NAMES,    /**< string, or array of up to GLINT_STOPS_MAX -> stops, n_stops */
    GI_FIELD_PICTURE,  /**< one picture -> pictures, n_pictures */
    GI_FIELD_PICTURES, /**< array of up to GLINT_IMAGES_MAX pictures */
    GI_FIELD_LATER,    /**< known, but not done yet: anything but its default is refused */
} gi_field_type;

/** A row of the table. */
typedef struct gi_field {
    const char *name;
    gi_field_type type;
    double min, max;          /**< bytes for strings, else the value; see also max_of */
    size_t offset;            /**< of the member in gi_infer_fields */
    size_t limit_offset;      /**< of an int64_t in gi_field_limits that lowers max; 0 = none */
    const char *default_text; /**< as the documentation says it */
    const char *doc;          /**< one line */
} gi_field;

/** Limits that the server's settings put below the table's. */
typedef struct gi_field_limits {
    int64_t unused; /**< so that no member has offset 0 */
    int64_t max_side_px;
    int64_t timeout_ms;
} gi_field_limits;

/** One picture as it came. */
typedef struct gi_field_picture {
    const char *base64; /**< [n] characters, or NULL */
    const void *bytes;  /**< [n] the file itself, or NULL */
    size_t n;
} gi_field_picture;

/** The values, defaults filled in. Strings and pictures are borrowed from the JSON or the form. */
typedef struct gi_infer_fields {
    gi_field_picture pictures[GLINT_IMAGES_MAX];
    size_t n_pictures;
    gi_json_span prompt;
    const char *task;
    int64_t max_tokens; /**< 0 = the template's */
    double temperature, top_p;
    int64_t top_k, seed;
    const char *stops[GLINT_STOPS_MAX];
    size_t n_stops;
    int64_t max_side_px; /**< 0 = the server's */
    int64_t timeout_ms;
    bool cache;
} gi_infer_fields;

/** The i-th row, or NULL past the last. */
const gi_field *gi_fields_get(size_t i);

/** The row of a name of n bytes, or NULL. */
const gi_field *gi_fields_find(const char *name, size_t n);

/**
 * Check a JSON value and read it. null stands for "not given".
 *
 * @param files   [n_files] pictures that came as form files, before those in the JSON.
 * @param ret     filled in whole; borrows from `body` and `files`. Untouched on failure.
 * @return false with `error` set, naming the field.
 */
bool gi_fields_read(const gi_json_lifted *body, const gi_field_picture *files, size_t n_files,
                    const gi_field_limits *limits, gi_infer_fields *ret, gi_api_error *error);

/**
 * Turn a form's parts into the JSON object that would say the same, and its pictures. Numbers,
 * booleans and arrays are read as JSON; `image` may come several times.
 *
 * @param ret_files   room for GLINT_IMAGES_MAX; borrow from the parts.
 * @param ret_body    a new object; the caller json_decref()s it.
 */
bool gi_fields_from_form(const gi_multipart_part *parts, size_t n_parts, json_t **ret_body,
                         gi_field_picture *ret_files, size_t *ret_n_files, gi_api_error *error);

#endif
