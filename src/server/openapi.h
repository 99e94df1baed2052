/**
 * @file
 * GET /openapi.json: the interface for machines, OpenAPI 3.1. openapi.json holds what is the same
 * everywhere (routes, shapes of answers); fields, ranges, errors and this server's limits are put
 * in from the tables that the checks are made from.
 */
#ifndef GI_SERVER_OPENAPI_H
#define GI_SERVER_OPENAPI_H

#include "base/embedded.h"
#include "server/fields.h"

/** openapi.json, as it was when the program was built. Ends with a NULL name. */
extern const gi_embedded gi_openapi_base[];

/** What a server's settings say. */
typedef struct gi_openapi_limits {
    gi_field_limits fields;
    int64_t body_bytes_max;
} gi_openapi_limits;

/** Append the description. GLINT_ERR_MEMORY, GLINT_ERR_LIMIT. */
glint_status gi_openapi_write(const gi_openapi_limits *limits, gi_buf *ret, glint_error *err);

#endif
