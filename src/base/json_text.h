/**
 * @file
 * JSON and its text. Lines: jansson tells the line of a syntax error, but not where a value stands
 * that means nothing. So values are found again in the text they came from, when something is
 * wrong with one.
 *
 *     const gi_json_text t = {.what = path, .text = text, .n_bytes = n, .root = root};
 *     st = gi_json_get_int(obj, NULL, "max_tokens", ...);
 *     gi_json_at(&t, obj, "max_tokens", st, err); // FILE:7: "max_tokens" is 0, must be
 * ...
 */
#ifndef GI_BASE_JSON_TEXT_H
#define GI_BASE_JSON_TEXT_H

#include "base/buf.h"
#include "base/json.h"

/** A text and what gi_json_parse made of it, unchanged since. All borrowed. */
typedef struct gi_json_text {
    const char *what; /**< names it in messages: its path */
    const char *text;
    size_t n_bytes;
    const json_t *root;
} gi_json_text;

/** A file whose text is such a text, and an object. */
typedef struct gi_json_file {
    gi_buf bytes;
    json_t *root;
    gi_json_text place;
} gi_json_file;

/** Read and parse at most max_bytes. Errors name the file, and the line of broken JSON.
 * @param path must outlive it. */
glint_status gi_json_file_open(const char *path, size_t max_bytes, gi_json_file *ret,
                               glint_error *err);

/** Wipe the text, for it may have been keys, and free. The tree's strings are freed as they are:
 * jansson's memory is not overwritten. A zeroed one is fine. */
void gi_json_file_close(gi_json_file *f);

/**
 * The line, from 1, on which member `key` of `obj` begins; that of `obj` itself when `key` is NULL
 * or not there; 1 when `obj` is not in the text.
 *
 * @param obj a value under t->root. Of true, false and null, which are all one, the first is found.
 */
size_t gi_json_line(const gi_json_text *t, const json_t *obj, const char *key);

/** Put "WHAT:LINE: " before the message of a failure that is about `key` of `obj`. Does nothing
 * with GLINT_OK and GLINT_ERR_MEMORY. */
void gi_json_at(const gi_json_text *t, const json_t *obj, const char *key, glint_status st,
                glint_error *err);

/** Fail with code and message about `key` of `obj`: gi_fail, then gi_json_at. */
glint_status gi_json_fail_at(const gi_json_text *t, const json_t *obj, const char *key,
                             glint_error *err, glint_status code, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

#ifdef __clang_analyzer__ /* as gi_fail */
#define gi_json_fail_at(t, obj, key, err, code, ...)                                               \
    (gi_json_fail_at((t), (obj), (key), (err), (code), __VA_ARGS__), (code))
#endif

/** The first key of `obj` that is not among `known`, a list that ends with NULL; or NULL. */
const char *gi_json_unknown_key(const json_t *obj, const char *const *known);

/**
 * Append a value as text.
 * @param flags jansson's: JSON_COMPACT, JSON_INDENT(n), JSON_ENCODE_ANY...
 * @return GLINT_ERR_LIMIT, GLINT_ERR_MEMORY; nothing is appended then.
 */
glint_status gi_json_dump(const json_t *value, size_t flags, gi_buf *ret, glint_error *err);

#endif
