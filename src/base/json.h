/**
 * @file
 * Reading JSON settings files, and getters whose errors name the file and the key.
 * Parsing is jansson's; this adds the limits (bytes, depth, duplicate keys refused) and words.
 */
#ifndef GI_BASE_JSON_H
#define GI_BASE_JSON_H

#include "base/fail.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Deepest nesting accepted from anywhere. */
#define GI_JSON_DEPTH_MAX 64

/**
 * Parse n bytes. `what` names the source in messages ("config.json", "request body").
 * GLINT_ERR_FORMAT with line and column, also for duplicate keys, nesting deeper than
 * GI_JSON_DEPTH_MAX and bytes after the value; GLINT_ERR_MEMORY. The caller json_decref()s.
 */
glint_status gi_json_parse(const void *data, size_t n_bytes, const char *what, json_t **ret,
                           glint_error *err);

/** The same, but the value may be of any type, not only an object or array. */
glint_status gi_json_parse_any(const void *data, size_t n_bytes, const char *what, json_t **ret,
                               glint_error *err);

/** Read and parse a file of at most max_bytes. */
glint_status gi_json_load(const char *path, size_t max_bytes, json_t **ret, glint_error *err);

/*
 * Getters: the value of `key` in object `obj`. Missing or null keeps *ret (the default) unless
 * `required`. The wrong type or a value outside [min, max] is GLINT_ERR_FORMAT and names `what`
 * (NULL: not, for whoever puts a place before the message) and `key`.
 */

/** Integer in [min, max]. A float that is a whole number is accepted. */
glint_status gi_json_get_int(const json_t *obj, const char *what, const char *key, bool required,
                             int64_t min, int64_t max, int64_t *ret, glint_error *err);

/** Finite number in [min, max]. */
glint_status gi_json_get_double(const json_t *obj, const char *what, const char *key, bool required,
                                double min, double max, double *ret, glint_error *err);

/** true or false. */
glint_status gi_json_get_bool(const json_t *obj, const char *what, const char *key, bool required,
                              bool *ret, glint_error *err);

/** String; *ret points into obj. */
glint_status gi_json_get_string(const json_t *obj, const char *what, const char *key, bool required,
                                const char **ret, glint_error *err);

/** Object; *ret is borrowed. */
glint_status gi_json_get_object(const json_t *obj, const char *what, const char *key, bool required,
                                const json_t **ret, glint_error *err);

/** Array; *ret is borrowed. */
glint_status gi_json_get_array(const json_t *obj, const char *what, const char *key, bool required,
                               const json_t **ret, glint_error *err);

#endif
