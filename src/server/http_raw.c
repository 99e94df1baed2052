/*
 * The receiving half stays open, and the caller goes on reading: closing with unread bytes in the
 * buffer makes the kernel send RST, which can take the answer away from a client still sending.
 */
#include "server/http_raw.h"

#include <string.h>
#include <sys/socket.h>

enum { RAW_BYTES_MAX = 4096 };

/* The words of the status line, of the statuses that are answered here. */
static const char *status_words(int status) {
    switch (status) {
    case 400:
        return "Bad Request";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

void gi_http_raw_answer(int fd, const gi_api_error *error, const char *request_id) {
    const gi_api_error_info *info = gi_api_error_get(error->code);
    gi_buf body, all;
    gi_buf_init(&body, RAW_BYTES_MAX);
    gi_buf_init(&all, RAW_BYTES_MAX);
    bool ok = gi_api_error_write(error, request_id, &body, NULL) == GLINT_OK;
    ok = ok &&
         gi_buf_printf(&all, NULL,
                       "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\nX-Request-Id: %s\r\n",
                       info->status, status_words(info->status), body.len, request_id) == GLINT_OK;
    if (ok && info->retry_after_s > 0)
        ok = gi_buf_printf(&all, NULL, "Retry-After: %d\r\n", info->retry_after_s) == GLINT_OK;
    ok = ok && gi_buf_puts(&all, "\r\n", NULL) == GLINT_OK &&
         gi_buf_push(&all, body.data, body.len, NULL) == GLINT_OK;
    if (ok) {
        const ssize_t n = send(fd, all.data, all.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)n; /* a peer that is gone cannot be told */
    }
    shutdown(fd, SHUT_WR);
    gi_buf_done(&body);
    gi_buf_done(&all);
}
