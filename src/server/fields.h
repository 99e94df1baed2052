/**
 * @file
 * The fields of the routes that ask the model, declared once: name, type, range, default, words.
 * The tables drive the checks of JSON bodies and forms alike, docs/api.md and /openapi.json.
 *
 *     fields.c         the tables
 *     fields_read.c    JSON -> gi_infer_fields
 *     fields_form.c    form -> JSON
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

/** Most answers to one request. */
#define GI_CHOICES_MAX      4
/** Most bytes of a schema, written compactly. */
#define GI_SCHEMA_BYTES_MAX (64 * 1024)
/** Largest integer that every JSON reader keeps exactly: 2^53 - 1. */
#define GI_FIELD_INT_MAX    9007199254740991.0
/** A seed that stands for "another one each time". */
#define GI_SEED_RANDOM      INT64_MIN

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
    GI_FIELD_SCHEMA,   /**< object of at most max bytes -> const json_t * */
    GI_FIELD_MESSAGES, /**< array of min..max objects -> const json_t *; see chat_turns.h */
    GI_FIELD_FORMAT, /**< {"type": "text" | "json_object" | "json_schema"} -> schema, any_object */
    GI_FIELD_STREAM_OPTIONS, /**< {"include_usage": bool} -> include_usage */
    GI_FIELD_ONLY,           /**< known, but only with its default, which is JSON */
    GI_FIELD_IGNORED,        /**< known and without effect */
} gi_field_type;

/** Limits that the server's settings put below the table's. */
typedef struct gi_field_limits {
    int64_t max_side_px;
    int64_t timeout_ms;
} gi_field_limits;

/** Which of them a field is under. */
typedef enum gi_field_limit {
    GI_FIELD_LIMIT_NONE,
    GI_FIELD_LIMIT_SIDE,
    GI_FIELD_LIMIT_TIMEOUT,
} gi_field_limit;

/** A row of a table. */
typedef struct gi_field {
    const char *name;
    gi_field_type type;
    double min, max;          /**< bytes for strings, else the value */
    size_t offset;            /**< of the member in gi_infer_fields */
    gi_field_limit limit;     /**< what lowers max */
    const char *default_text; /**< as the documentation says it; JSON where it is a value */
    const char *doc;          /**< one line */
} gi_field;

/** One picture as it came. */
typedef struct gi_field_picture {
    const char *base64; /**< [n] characters, or NULL */
    const char *url;    /**< [n] characters, or NULL */
    const void *bytes;  /**< [n] the file itself, or NULL */
    size_t n;
} gi_field_picture;

/** The values of either route, defaults filled in. Strings, pictures and JSON are borrowed from
 * the body or the form. */
typedef struct gi_infer_fields {
    gi_field_picture pictures[GLINT_IMAGES_MAX];
    size_t n_pictures;
    gi_json_span prompt;
    const char *task;
    int64_t max_tokens; /**< 0 = the template's */
    double temperature, top_p;
    int64_t top_k;
    int64_t seed;  /**< or GI_SEED_RANDOM */
    bool has_seed; /**< one was given */
    const char *stops[GLINT_STOPS_MAX];
    size_t n_stops;
    int64_t max_side_px; /**< 0 = the server's */
    int64_t timeout_ms;
    bool cache;
    bool stream;
    const json_t *schema; /**< of the answer, or NULL */
    /* Of chat completions alone: */
    bool any_object; /**< the answer must be a JSON object, of any schema */
    const char *model;
    const json_t *messages;
    int64_t n_choices; /**< 1..GI_CHOICES_MAX */
    bool include_usage;
    bool logprobs;
    int64_t top_logprobs;
} gi_infer_fields;

/** A route's fields. */
typedef struct gi_field_table {
    const gi_field *rows;
    size_t n;
    const gi_infer_fields *defaults;
    bool is_chat; /**< asks by turns, which a form has no place for */
} gi_field_table;

/** POST /v1/multimodal/inference and POST /v1/chat/completions. */
extern const gi_field_table gi_infer_table, gi_chat_table;

/** The row of a name of n bytes, or NULL. */
const gi_field *gi_fields_find(const gi_field_table *table, const char *name, size_t n);

/** The largest value of a number, under the server's own limits. */
double gi_field_max(const gi_field *field, const gi_field_limits *limits);

/**
 * Check a JSON value and read it. null stands for "not given".
 *
 * @param files   [n_files] pictures that came as form files, before those in the JSON.
 * @param ret     filled in whole; borrows from `body` and `files`. Untouched on failure.
 * @return false with `error` set, naming the field.
 */
bool gi_fields_read(const gi_field_table *table, const gi_json_lifted *body,
                    const gi_field_picture *files, size_t n_files, const gi_field_limits *limits,
                    gi_infer_fields *ret, gi_api_error *error);

/**
 * Add a picture given as text to fields; for those that lie deeper in the JSON.
 * @param param its name in errors.
 */
bool gi_fields_add_picture(gi_infer_fields *fields, gi_json_span text, const char *param,
                           gi_api_error *error);

/**
 * Turn a form's parts into the JSON object that would say the same, and its pictures. Numbers,
 * booleans, objects and arrays are read as JSON; `image` may come several times.
 *
 * @param ret_files   room for GLINT_IMAGES_MAX; borrow from the parts.
 * @param ret_body    a new object; the caller json_decref()s it.
 */
bool gi_fields_from_form(const gi_field_table *table, const gi_multipart_part *parts,
                         size_t n_parts, json_t **ret_body, gi_field_picture *ret_files,
                         size_t *ret_n_files, gi_api_error *error);

#endif
