/**
 * @file
 * An answer written straight to the socket, for the moments when the HTTP library does not let one
 * answer: in the middle of a body that grew too large or comes too slowly, and before the headers
 * are complete.
 */
#ifndef GI_SERVER_HTTP_RAW_H
#define GI_SERVER_HTTP_RAW_H

#include "server/api_error.h"

/**
 * Write a whole error answer with "Connection: close" and close the sending half. Does not block:
 * what does not fit the socket's buffer is lost, as is everything else on this connection.
 */
void gi_http_raw_answer(int fd, const gi_api_error *error, const char *request_id);

#endif
