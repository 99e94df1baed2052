/*
 * The rules. The body has exactly one length: Content-Length once and in digits, or chunked and
 * nothing else, never both. Host comes once. Names are tokens, so that "Content-Length :" is not a
 * header another program reads differently.
 */
#include "server/http_framing.h"

#include "base/ascii.h"
#include "server/header_value.h"
#include "server/http.h"

#include <string.h>

/* Bytes a header takes on the wire beside name and value: ": " and CRLF. */
enum { HEADER_EXTRA_BYTES = 4, CONTENT_LENGTH_DIGITS_MAX = 15 };

static void fault(gi_http_framing *f, gi_api_code code) {
    if (f->fault == GI_API_OK) f->fault = code;
}

static void read_content_length(gi_http_framing *f, const char *s, size_t n) {
    uint64_t v = 0;
    if (f->n_content_length++ > 0 || n == 0) {
        fault(f, GI_API_BAD_HTTP);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!gi_ascii_is_digit(s[i])) {
            fault(f, GI_API_BAD_HTTP);
            return;
        }
        if (n <= CONTENT_LENGTH_DIGITS_MAX) v = v * 10 + (uint64_t)(s[i] - '0');
    }
    if (n > CONTENT_LENGTH_DIGITS_MAX) fault(f, GI_API_BODY_TOO_LARGE);
    f->content_length = v;
}

void gi_http_framing_header(gi_http_framing *f, const char *name, size_t n_name, const char *value,
                            size_t n_value) {
    f->n_headers++;
    f->n_bytes += n_name + n_value + HEADER_EXTRA_BYTES;
    if (f->n_headers > GI_HTTP_HEADERS_MAX || f->n_bytes > GI_HTTP_HEADER_BYTES_MAX ||
        n_name + n_value + HEADER_EXTRA_BYTES > GI_HTTP_LINE_BYTES_MAX)
        fault(f, GI_API_HEADERS_TOO_LARGE);
    if (!gi_is_token(name, n_name)) fault(f, GI_API_BAD_HTTP);
    for (size_t i = 0; i < n_value; i++)
        if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7F)
            fault(f, GI_API_BAD_HTTP);

    if (gi_token_equals(name, n_name, "host")) {
        if (f->n_host++ > 0) fault(f, GI_API_BAD_HTTP);
    } else if (gi_token_equals(name, n_name, "content-length")) {
        read_content_length(f, value, n_value);
    } else if (gi_token_equals(name, n_name, "transfer-encoding")) {
        f->is_chunked = gi_token_equals(value, n_value, "chunked");
        if (f->n_transfer_encoding++ > 0 || !f->is_chunked) fault(f, GI_API_BAD_HTTP);
    } else if (gi_token_equals(name, n_name, "content-encoding")) {
        if (!gi_token_equals(value, n_value, "identity")) fault(f, GI_API_UNSUPPORTED_ENCODING);
    } else if (gi_token_equals(name, n_name, "expect")) {
        f->expects_continue = gi_token_equals(value, n_value, "100-continue");
        if (!f->expects_continue) fault(f, GI_API_EXPECTATION_FAILED);
    }
}

/* RFC 9112 section 3.2: a path, a whole address, "*" for OPTIONS, host and port for CONNECT. */
static bool is_target_form(const char *method, const char *target) {
    if (strcmp(method, "CONNECT") == 0) return true;
    if (strcmp(target, "*") == 0) return strcmp(method, "OPTIONS") == 0;
    return target[0] == '/' || strncasecmp(target, "http://", 7) == 0 ||
           strncasecmp(target, "https://", 8) == 0;
}

void gi_http_framing_end(gi_http_framing *f, const char *method, const char *target,
                         const char *version) {
    const bool is_10 = strcmp(version, "HTTP/1.0") == 0;
    const size_t n_target = strlen(target);
    if (!is_10 && strcmp(version, "HTTP/1.1") != 0) fault(f, GI_API_HTTP_VERSION);
    if (!gi_is_token(method, strlen(method))) fault(f, GI_API_BAD_HTTP);
    if (!is_target_form(method, target)) fault(f, GI_API_BAD_HTTP);
    if (n_target > GI_HTTP_LINE_BYTES_MAX) fault(f, GI_API_HEADERS_TOO_LARGE);
    for (size_t i = 0; i < n_target; i++)
        if ((unsigned char)target[i] <= 0x20 || (unsigned char)target[i] >= 0x7F)
            fault(f, GI_API_BAD_HTTP);
    if (f->n_transfer_encoding && (f->n_content_length || is_10)) fault(f, GI_API_BAD_HTTP);
    if (!is_10 && f->n_host != 1) fault(f, GI_API_BAD_HTTP);
}
