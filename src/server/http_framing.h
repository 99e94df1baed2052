/**
 * @file
 * Checks on the head of a request that the HTTP library leaves to others: what could be read in two
 * ways by two programs on the path is refused, and the limits on headers are kept (RFC 9112
 * sections 5 and 6).
 */
#ifndef GI_SERVER_HTTP_FRAMING_H
#define GI_SERVER_HTTP_FRAMING_H

#include "server/api_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the headers say; zero-initialise. */
typedef struct gi_http_framing {
    size_t n_headers, n_bytes;
    int n_host, n_content_length, n_transfer_encoding;
    uint64_t content_length; /**< bytes, when n_content_length is 1 */
    bool is_chunked;
    bool expects_continue;
    gi_api_code fault; /**< the first rule broken, or GI_API_OK */
} gi_http_framing;

/** Look at one header. Sizes without terminators; the value without white space around it. */
void gi_http_framing_header(gi_http_framing *f, const char *name, size_t n_name, const char *value,
                            size_t n_value);

/** Look at the whole: the request line, and how the headers go together. */
void gi_http_framing_end(gi_http_framing *f, const char *method, const char *target,
                         const char *version);

#endif
