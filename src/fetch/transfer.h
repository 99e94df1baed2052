/**
 * @file
 * One GET of one URL from one address: the hop between a checked URL and its reply. No redirect is
 * followed and no name is looked up here; the URL's host only names the server (Host, TLS), the
 * address is the caller's. libcurl does the talking, on the caller's multi handle.
 */
#ifndef GI_FETCH_TRANSFER_H
#define GI_FETCH_TRANSFER_H

#include "base/buf.h"
#include "fetch/bytes.h"
#include "fetch/reply_head.h"

#include <curl/curl.h>

/** What to get. Borrowed until the transfer is freed. */
typedef struct gi_transfer_request {
    const gi_url *url;
    gi_ip ip;                        /**< the only address that will be connected to */
    const gi_validators *validators; /**< of a kept copy, which makes a 304 possible; or NULL */
    const char *ca_file;             /**< PEM file of trusted roots; NULL = the system's */
    size_t body_bytes_max;
    gi_fetch_budget *budget; /**< the body's bytes are taken from it as they arrive */
    long connect_ms, total_ms;
    long rate_min_bytes_s; /**< a slower reply is given up after 2 s */
} gi_transfer_request;

/** Under way, or over once gi_transfer_done was told so. */
typedef struct gi_transfer {
    gi_transfer_request request;
    CURL *easy;
    struct curl_slist *connect_to, *headers;
    gi_reply_head head;
    gi_buf body; /**< complete when the transfer succeeded */
    bool body_has_begun;
    glint_status refusal; /**< why one of the callbacks gave up; GLINT_OK = none did */
    const char *why;
    bool could_not_connect; /**< set by gi_transfer_done: another address may do */
    int status;             /**< HTTP, set by gi_transfer_done */
    char words[CURL_ERROR_SIZE];
} gi_transfer;

/** Start. GLINT_ERR_MEMORY. The handle's private pointer is `owner`. */
glint_status gi_transfer_create(CURLM *multi, const gi_transfer_request *request, void *owner,
                                gi_transfer **ret, glint_error *err);

/** Take libcurl's verdict. GLINT_OK: there is a whole reply, of whatever status. GLINT_ERR_IO,
 * GLINT_ERR_LIMIT (too large), GLINT_ERR_BUSY (budget), GLINT_ERR_MEMORY. */
glint_status gi_transfer_done(gi_transfer *t, CURLcode code, glint_error *err);

/** Take off the multi handle, giving up what is under way; free. A body that was not taken goes
 * back to the budget. NULL is fine. */
void gi_transfer_free(CURLM *multi, gi_transfer *t);

#endif
