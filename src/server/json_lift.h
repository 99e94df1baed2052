/**
 * @file
 * JSON with pictures in it. A general parser looks at each byte of a string several times, and a
 * picture is a string of a million bytes; so strings that are plainly base64 are lifted out of the
 * text first and stay where they are:
 *
 *     {"image":"iVBORw0...","prompt":"?"}   ->   {"image":"\u00000","prompt":"?"}, [iVBORw0...]
 *
 * Lifting changes no verdict: a lifted string is a whole, valid JSON string, and another valid
 * string stands in its place. The stand-ins begin with a zero byte, and nothing is lifted from a
 * text that has a zero byte in a string of its own, so none can be forged.
 */
#ifndef GI_SERVER_JSON_LIFT_H
#define GI_SERVER_JSON_LIFT_H

#include "base/json.h"

/** Most strings lifted from one text; the others stay. */
#define GI_JSON_LIFT_MAX       16
/** Shortest string worth it, in bytes. */
#define GI_JSON_LIFT_BYTES_MIN 1024

/** A string, borrowed; may hold zeros. */
typedef struct gi_json_span {
    const char *s;
    size_t n;
} gi_json_span;

/** A parsed text. Zero-initialise. */
typedef struct gi_json_lifted {
    json_t *json; /**< any value; owned */
    gi_json_span spans[GI_JSON_LIFT_MAX];
    size_t n_spans;
} gi_json_lifted;

/**
 * Parse n bytes, which must stay where they are as long as *ret is used. Errors as
 * gi_json_parse_any. *ret is untouched on failure; the caller frees it.
 */
glint_status gi_json_lift_parse(const char *text, size_t n, gi_json_lifted *ret, glint_error *err);

/** Free the JSON. A zeroed one is fine. */
void gi_json_lift_done(gi_json_lifted *j);

/** The value of a JSON string, lifted or not. */
gi_json_span gi_json_lift_string(const gi_json_lifted *j, const json_t *string);

/** Put lifted strings back into a value inside, so that it can be written. False: no memory. */
bool gi_json_lift_restore(const gi_json_lifted *j, json_t *value);

#endif
