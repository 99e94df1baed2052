/*
 * The table, and the JSON made from a row. `type` says who should act: the client
 * (invalid_request_error), the client later (rate_limit_error, unavailable_error, timeout_error),
 * the server's owner (server_error).
 */
#include "server/api_error.h"

#include "base/utf8.h"
#include "server/json_out.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define INVALID "invalid_request_error"

static const gi_api_error_info TABLE[GI_API_CODE_COUNT] = {
    [GI_API_OK] = {200, "", "", "", 0},
    [GI_API_BAD_HTTP] = {400, INVALID, "bad_http", "The request is not valid HTTP.", 0},
    [GI_API_INVALID_JSON] = {400, INVALID, "invalid_json",
                             "The body is not valid JSON: a syntax error, a key given twice, "
                             "invalid UTF-8, a number out of range, or nesting deeper than 64.",
                             0},
    [GI_API_INVALID_MULTIPART] = {400, INVALID, "invalid_multipart",
                                  "The body is not a valid multipart/form-data message.", 0},
    [GI_API_UNKNOWN_FIELD] = {400, INVALID, "unknown_field", "There is no field of this name.", 0},
    [GI_API_DUPLICATE_FIELD] = {400, INVALID, "duplicate_field", "The field is given twice.", 0},
    [GI_API_INVALID_TYPE] = {400, INVALID, "invalid_type", "The value has the wrong type.", 0},
    [GI_API_INVALID_VALUE] = {400, INVALID, "invalid_value", "The value is out of range.", 0},
    [GI_API_CONFLICTING_FIELDS] = {400, INVALID, "conflicting_fields",
                                   "Two fields say the same thing; give one of them.", 0},
    [GI_API_MISSING_INPUT] = {400, INVALID, "missing_input",
                              "The request has neither a picture nor a prompt.", 0},
    [GI_API_UNKNOWN_TASK] = {400, INVALID, "unknown_task",
                             "There is no task of this name; GET /v1/tasks lists those there are.",
                             0},
    [GI_API_INVALID_IMAGE_REF] = {400, INVALID, "invalid_image",
                                  "The picture is neither a URL, nor base64 (standard alphabet, "
                                  "padded, no white space), nor a data:image/...;base64, URI.",
                                  0},
    [GI_API_TOO_MANY_IMAGES] = {400, INVALID, "too_many_images",
                                "A request may have at most 8 pictures.", 0},
    [GI_API_REFUSED_VALUE] = {400, INVALID, "refused_value",
                              "The model cannot take this value; a task without a question of "
                              "its own needs a prompt.",
                              0},
    [GI_API_CONTEXT_TOO_LONG] = {400, INVALID, "context_length_exceeded",
                                 "The pictures and the prompt are longer than the model's context.",
                                 0},
    [GI_API_UNAUTHENTICATED] = {401, "authentication_error", "unauthenticated",
                                "This needs a valid credential: Authorization: Bearer with a token "
                                "or an API key.",
                                0},
    [GI_API_FORBIDDEN] = {403, "permission_error", "forbidden",
                          "The credential does not allow this.", 0},
    [GI_API_FOREIGN_ORIGIN] = {403, "permission_error", "foreign_origin",
                               "A page of another site may not use this server.", 0},
    [GI_API_NOT_FOUND] = {404, "not_found_error", "not_found", "There is nothing here.", 0},
    [GI_API_UNKNOWN_MODEL] = {404, "not_found_error", "model_not_found",
                              "There is no model of this name; GET /v1/models lists those there "
                              "are.",
                              0},
    [GI_API_METHOD_NOT_ALLOWED] = {405, INVALID, "method_not_allowed",
                                   "This method is not allowed here; see the Allow header.", 0},
    [GI_API_REQUEST_TIMEOUT] = {408, "timeout_error", "request_timeout",
                                "The request did not arrive in time.", 0},
    [GI_API_BODY_TOO_LARGE] = {413, INVALID, "body_too_large",
                               "The body is larger than this server takes.", 0},
    [GI_API_BODY_NOT_ALLOWED] = {413, INVALID, "body_not_allowed", "This route takes no body.", 0},
    [GI_API_UNSUPPORTED_MEDIA_TYPE] = {415, INVALID, "unsupported_media_type",
                                       "Send application/json or multipart/form-data.", 0},
    [GI_API_UNSUPPORTED_ENCODING] = {415, INVALID, "unsupported_encoding",
                                     "Send the body without a Content-Encoding.", 0},
    [GI_API_UNSUPPORTED_IMAGE] = {415, INVALID, "unsupported_image",
                                  "A picture is not a JPEG, PNG, WebP or GIF this server reads.",
                                  0},
    [GI_API_EXPECTATION_FAILED] = {417, INVALID, "expectation_failed",
                                   "Only \"Expect: 100-continue\" is known.", 0},
    [GI_API_UNKNOWN_HOST] = {421, INVALID, "unknown_host",
                             "This server is not known by the name in the Host header; its owner "
                             "can add the name with --allow-host.",
                             0},
    [GI_API_UNSUPPORTED_FEATURE] = {422, INVALID, "unsupported_feature",
                                    "This server does not do that yet.", 0},
    [GI_API_IMAGE_URLS_DISABLED] = {422, INVALID, "image_urls_disabled",
                                    "Picture URLs are not enabled on this server; send the "
                                    "picture itself, as base64, a data: URI or an upload.",
                                    0},
    [GI_API_IMAGE_FETCH_FAILED] = {422, INVALID, "image_fetch_failed",
                                   "A picture could not be fetched from its URL, or what was "
                                   "fetched is no picture this server reads.",
                                   0},
    [GI_API_BROKEN_IMAGE] = {422, INVALID, "broken_image", "A picture is damaged or incomplete.",
                             0},
    [GI_API_IMAGE_REFUSED] = {422, INVALID, "image_refused",
                              "A picture is larger or narrower than this server reads.", 0},
    [GI_API_QUEUE_FULL] = {429, "rate_limit_error", "queue_full",
                           "Too many requests are waiting; try again later.", 1},
    [GI_API_TENANT_QUEUE_FULL] = {429, "rate_limit_error", "tenant_queue_full",
                                  "Too many of your own requests are waiting; wait for some of "
                                  "their answers.",
                                  1},
    [GI_API_RATE_LIMITED] = {429, "rate_limit_error", "rate_limited",
                             "The limit on requests is used up; see Retry-After.", 1},
    [GI_API_MEGAPIXELS_LIMITED] = {429, "rate_limit_error", "megapixels_limited",
                                   "The limit on pixels of pictures is used up; see Retry-After.",
                                   1},
    [GI_API_AUTH_BLOCKED] = {429, "rate_limit_error", "too_many_failures",
                             "Too many wrong credentials came from this address; see Retry-After.",
                             1},
    [GI_API_HEADERS_TOO_LARGE] = {431, INVALID, "headers_too_large",
                                  "The request has too many or too long header fields.", 0},
    [GI_API_INTERNAL] = {500, "server_error", "internal", "The server failed to answer.", 0},
    [GI_API_LOADING] = {503, "unavailable_error", "loading", "The model is still loading.", 2},
    [GI_API_DRAINING] = {503, "unavailable_error", "draining", "The server is shutting down.", 5},
    [GI_API_OVERLOADED] = {503, "unavailable_error", "overloaded",
                           "The server is short of memory; try again later.", 1},
    [GI_API_UNMEETABLE] = {503, "unavailable_error", "deadline_unmeetable",
                           "There is too much to do to answer within the deadline; try again "
                           "later.",
                           1},
    [GI_API_AUDIT_UNAVAILABLE] = {503, "unavailable_error", "audit_unavailable",
                                  "The server cannot write its audit log, and answers nothing "
                                  "without it.",
                                  5},
    [GI_API_STUCK] = {503, "unavailable_error", "stuck",
                      "The server does not get on with its work.", 5},
    [GI_API_DEADLINE] = {504, "timeout_error", "deadline_exceeded",
                         "The deadline passed before the answer was complete.", 0},
    [GI_API_HTTP_VERSION] = {505, INVALID, "http_version", "Use HTTP/1.1 or HTTP/1.0.", 0},
};

const gi_api_error_info *gi_api_error_get(gi_api_code code) {
    return &TABLE[(unsigned)code < GI_API_CODE_COUNT ? code : GI_API_INTERNAL];
}

/* Copy as much of a name as fits, up to the first byte that is not printable ASCII. */
static void set_param(gi_api_error *error, const char *param) {
    size_t n = 0;
    for (; param[n] && n < sizeof error->param - 1; n++) {
        if (param[n] < 0x20 || param[n] > 0x7E) break;
        error->param[n] = param[n];
    }
    error->param[n] = '\0';
}

bool gi_api_fail(gi_api_error *error, gi_api_code code, const char *param) {
    if (error->code != GI_API_OK) return false;
    *error = (gi_api_error){.code = code};
    if (param) set_param(error, param);
    return false;
}

bool gi_api_fail_detail(gi_api_error *error, gi_api_code code, const char *param, const char *fmt,
                        ...) {
    if (error->code != GI_API_OK) return false;
    gi_api_fail(error, code, param);
    va_list args;
    va_start(args, fmt);
    vsnprintf(error->detail, sizeof error->detail, fmt, args);
    va_end(args);
    const size_t n = strlen(error->detail);
    error->detail[gi_utf8_complete_prefix((const uint8_t *)error->detail, n)] = '\0';
    return false;
}

glint_status gi_api_error_write(const gi_api_error *error, const char *request_id, gi_buf *ret,
                                glint_error *err) {
    const gi_api_error_info *info = gi_api_error_get(error->code);
    const char *message = error->detail[0] ? error->detail : info->message;
    GI_TRY(gi_buf_printf(ret, err, "{\"error\":{\"type\":\"%s\",\"code\":\"%s\",\"message\":",
                         info->type, info->code));
    GI_TRY(gi_json_out_string(ret, message, strlen(message), err));
    GI_TRY(gi_buf_puts(ret, ",\"param\":", err));
    if (error->param[0])
        GI_TRY(gi_json_out_string(ret, error->param, strlen(error->param), err));
    else
        GI_TRY(gi_buf_puts(ret, "null", err));
    GI_TRY(gi_buf_puts(ret, ",\"request_id\":", err));
    GI_TRY(gi_json_out_string(ret, request_id, strlen(request_id), err));
    return gi_buf_puts(ret, "}}", err);
}
