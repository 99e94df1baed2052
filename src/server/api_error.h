/**
 * @file
 * Every error glint answers with, in one table: HTTP status, type, code and words. The words are
 * fixed; no library's text and no path, address or name from inside the machine reaches a client.
 */
#ifndef GI_SERVER_API_ERROR_H
#define GI_SERVER_API_ERROR_H

#include "base/buf.h"

#include <stdbool.h>

/** Identifies a row of the table. GI_API_OK is "no error". */
typedef enum gi_api_code {
    GI_API_OK,
    GI_API_BAD_HTTP,
    GI_API_INVALID_JSON,
    GI_API_INVALID_MULTIPART,
    GI_API_UNKNOWN_FIELD,
    GI_API_DUPLICATE_FIELD,
    GI_API_INVALID_TYPE,
    GI_API_INVALID_VALUE,
    GI_API_CONFLICTING_FIELDS,
    GI_API_MISSING_INPUT,
    GI_API_UNKNOWN_TASK,
    GI_API_INVALID_IMAGE_REF,
    GI_API_TOO_MANY_IMAGES,
    GI_API_REFUSED_VALUE,
    GI_API_CONTEXT_TOO_LONG,
    GI_API_UNAUTHENTICATED,
    GI_API_FORBIDDEN,
    GI_API_FOREIGN_ORIGIN,
    GI_API_NOT_FOUND,
    GI_API_UNKNOWN_MODEL,
    GI_API_METHOD_NOT_ALLOWED,
    GI_API_REQUEST_TIMEOUT,
    GI_API_BODY_TOO_LARGE,
    GI_API_BODY_NOT_ALLOWED,
    GI_API_UNSUPPORTED_MEDIA_TYPE,
    GI_API_UNSUPPORTED_ENCODING,
    GI_API_UNSUPPORTED_IMAGE,
    GI_API_EXPECTATION_FAILED,
    GI_API_UNKNOWN_HOST,
    GI_API_UNSUPPORTED_FEATURE,
    GI_API_IMAGE_URLS_DISABLED,
    GI_API_IMAGE_FETCH_FAILED,
    GI_API_BROKEN_IMAGE,
    GI_API_IMAGE_REFUSED,
    GI_API_QUEUE_FULL,
    GI_API_TENANT_QUEUE_FULL,
    GI_API_RATE_LIMITED,
    GI_API_MEGAPIXELS_LIMITED,
    GI_API_AUTH_BLOCKED,
    GI_API_HEADERS_TOO_LARGE,
    GI_API_INTERNAL,
    GI_API_LOADING,
    GI_API_DRAINING,
    GI_API_OVERLOADED,
    GI_API_UNMEETABLE,
    GI_API_AUDIT_UNAVAILABLE,
    GI_API_STUCK,
    GI_API_DEADLINE,
    GI_API_HTTP_VERSION,
    GI_API_CODE_COUNT,
} gi_api_code;

/** One row. */
typedef struct gi_api_error_info {
    int status;       /**< HTTP */
    const char *type; /**< family, "invalid_request_error" */
    const char *code; /**< "unknown_field" */
    const char *message;
    int retry_after_s; /**< default Retry-After; 0 = none */
} gi_api_error_info;

/** Room for a field's name and for a sentence about a field, in bytes. */
#define GI_API_PARAM_BYTES  80
#define GI_API_DETAIL_BYTES 160

/** An error about to be answered. Zero-initialised is "no error". */
typedef struct gi_api_error {
    gi_api_code code;
    char param[GI_API_PARAM_BYTES];   /**< the field it is about, or "" for null */
    char detail[GI_API_DETAIL_BYTES]; /**< words in place of the table's, or "" */
    int retry_after_s;                /**< in place of the table's, or 0 */
} gi_api_error;

/** The row of a code; never NULL. */
const gi_api_error_info *gi_api_error_get(gi_api_code code);

/**
 * Fill an error; the first one stays.
 * @param param a field's name, from the table or the client (cut and cleaned here); NULL = none.
 * @return false, so that a check can `return gi_api_fail(...)`.
 */
bool gi_api_fail(gi_api_error *error, gi_api_code code, const char *param);

/** The same with words of our own about the field. */
bool gi_api_fail_detail(gi_api_error *error, gi_api_code code, const char *param, const char *fmt,
                        ...) __attribute__((format(printf, 4, 5)));

/** Append {"error":{...}} to `ret`. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_api_error_write(const gi_api_error *error, const char *request_id, gi_buf *ret,
                                glint_error *err);

#endif
