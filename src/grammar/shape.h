/**
 * @file
 * The shape of an answer: a small subset of JSON schema, compiled once and checked against
 * values. Keywords: type, properties, required, additionalProperties (true or false), items,
 * enum (strings), minItems, maxItems; title, description and $schema are notes. Any other keyword
 * is refused by name, so that no rule is silently ignored.
 */
#ifndef GI_GRAMMAR_SHAPE_H
#define GI_GRAMMAR_SHAPE_H

#include "base/json.h"

/** Most strings in one enum. */
#define GI_SHAPE_ENUM_MAX 64

typedef struct gi_shape gi_shape;

/**
 * Compile a schema.
 *
 * @param schema read during the call only.
 * @param what   names the source in messages ("templates/audit.json: schema").
 * @return GLINT_ERR_FORMAT (a keyword of the wrong type), GLINT_ERR_UNSUPPORTED (a keyword or
 *         type that is not understood), GLINT_ERR_LIMIT, GLINT_ERR_MEMORY; the message names the
 *         place, as in `audit.json: schema.properties.reasons: "pattern" is not supported`.
 */
glint_status gi_shape_compile(const json_t *schema, const char *what, gi_shape **ret,
                              glint_error *err);

/** Free. NULL is fine. */
void gi_shape_free(gi_shape *shape);

/**
 * GLINT_OK when `value` has the shape, else GLINT_ERR_FORMAT with the first place that does not
 * ("answer.reasons[2] must be a string"). Threads: any number on one shape.
 */
glint_status gi_shape_check(const gi_shape *shape, const json_t *value, glint_error *err);

/**
 * The strings allowed for required top-level property `field`; NULL and 0 when it is not one that
 * an enum restricts. They live as long as the shape.
 */
const char *const *gi_shape_labels(const gi_shape *shape, const char *field, size_t *ret_n);

#endif
