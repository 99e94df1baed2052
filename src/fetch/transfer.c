/*
 * What libcurl is told, and what it is kept from. Everything it could take from its surroundings is
 * set off explicitly: proxies, cookies, credentials, other protocols, redirects, alternative
 * services. CONNECT_TO makes it connect to the checked address, and is part of the key under which
 * it reuses connections; the socket callback compares once more, right before the connect.
 */
#include "fetch/transfer.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SLOW_S = 2, IDLE_CONNECTION_S = 20, CONNECTION_S = 120 };

static size_t give_up(gi_transfer *t, glint_status code, const char *why) {
    if (t->refusal == GLINT_OK) {
        t->refusal = code;
        t->why = why;
    }
    return 0; /* fewer bytes than given: libcurl stops */
}

static size_t on_header(char *line, size_t size, size_t n, void *arg) {
    gi_transfer *t = arg;
    n *= size;
    if (n == 0 || t->body_has_begun) { /* trailers say nothing we want, but they count */
        t->head.n_bytes += n;
        return t->head.n_bytes <= GI_REPLY_HEAD_BYTES_MAX ? n
                                                          : give_up(t, GLINT_ERR_IO, "trailers");
    }
    return gi_reply_head_line(&t->head, line, n) ? n
                                                 : give_up(t, GLINT_ERR_IO, "its reply's headers");
}

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
    gi_transfer *t = arg;
    n *= size;
    t->body_has_begun = true;
    if (n > t->request.body_bytes_max - t->body.len)
        return give_up(t, GLINT_ERR_LIMIT, "larger than a picture may be");
    if (!gi_fetch_budget_take(t->request.budget, n))
        return give_up(t, GLINT_ERR_BUSY, "no room for more fetched pictures");
    if (gi_buf_push(&t->body, data, n, NULL) != GLINT_OK) {
        gi_fetch_budget_give(t->request.budget, n);
        return give_up(t, GLINT_ERR_MEMORY, "no memory");
    }
    return n;
}

/* The second belt: no socket for anything but the one address and port. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
    gi_transfer *t = arg;
    gi_ip ip;
    uint16_t port;
    if (purpose != CURLSOCKTYPE_IPCXN || !gi_ip_from_sockaddr(&a->addr, &ip, &port) ||
        !gi_ip_equals(&ip, &t->request.ip) || port != t->request.url->port) {
        give_up(t, GLINT_ERR_INTERNAL, "libcurl chose another address");
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static bool add(struct curl_slist **list, const char *text) {
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer) *list = longer;
    return longer != NULL;
}

static bool make_lists(gi_transfer *t) {
    const gi_transfer_request *q = &t->request;
    char ip[GI_IP_TEXT_BYTES], text[GI_REPLY_ETAG_BYTES + 32];
    gi_ip_format(&q->ip, ip);
    snprintf(text, sizeof text, "::%s:%u", ip, (unsigned)q->url->port);
    if (!add(&t->connect_to, text) ||
        !add(&t->headers, "Accept: image/jpeg, image/png, image/webp, image/gif"))
        return false;
    if (!q->validators) return true;
    if (q->validators->etag[0]) {
        snprintf(text, sizeof text, "If-None-Match: %s", q->validators->etag);
        return add(&t->headers, text);
    }
    snprintf(text, sizeof text, "If-Modified-Since: %s", q->validators->last_modified);
    return add(&t->headers, text);
}

/* Each option matters, so that one that fails stops the transfer. */
static bool set_options(gi_transfer *t, void *owner) {
    const gi_transfer_request *q = &t->request;
    CURL *e = t->easy;
    CURLcode bad = CURLE_OK;
#define SET(option, value)                                                                         \
    if (bad == CURLE_OK) bad = curl_easy_setopt(e, option, value)
    SET(CURLOPT_URL, q->url->text);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_CONNECT_TO, t->connect_to);
    SET(CURLOPT_PROTOCOLS_STR, q->url->is_https ? "https" : "http");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_USERAGENT, "glint/" GLINT_VERSION);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (q->ca_file) {
        SET(CURLOPT_CAINFO, q->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, q->total_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, q->connect_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, q->rate_min_bytes_s);
    SET(CURLOPT_LOW_SPEED_TIME, (long)SLOW_S);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)q->body_bytes_max);
    SET(CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S);
    SET(CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_S);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->words);
    SET(CURLOPT_PRIVATE, owner);
#undef SET
    return bad == CURLE_OK;
}

glint_status gi_transfer_create(CURLM *multi, const gi_transfer_request *request, void *owner,
                                gi_transfer **ret, glint_error *err) {
    gi_transfer *t = gi_calloc(1, sizeof *t);
    if (!t) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a transfer");
    t->request = *request;
    gi_buf_init(&t->body, request->body_bytes_max);
    t->easy = curl_easy_init();
    if (!t->easy || !make_lists(t) || !set_options(t, owner) ||
        curl_multi_add_handle(multi, t->easy) != CURLM_OK) {
        gi_transfer_free(multi, t);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a transfer");
    }
    *ret = t;
    return GLINT_OK;
}

glint_status gi_transfer_done(gi_transfer *t, CURLcode code, glint_error *err) {
    if (t->refusal != GLINT_OK) return gi_fail(err, t->refusal, "%s", t->why);
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        t->status = (int)status;
        return GLINT_OK;
    }
    curl_off_t connected_us = 0;
    curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    t->could_not_connect =
        code == CURLE_COULDNT_CONNECT || (code == CURLE_OPERATION_TIMEDOUT && connected_us == 0);
    const glint_status st = code == CURLE_OUT_OF_MEMORY       ? GLINT_ERR_MEMORY
                            : code == CURLE_FILESIZE_EXCEEDED ? GLINT_ERR_LIMIT
                                                              : GLINT_ERR_IO;
    return gi_fail(err, st, "%s", t->words[0] ? t->words : curl_easy_strerror(code));
}

void gi_transfer_free(CURLM *multi, gi_transfer *t) {
    if (!t) return;
    if (t->easy) {
        curl_multi_remove_handle(multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    curl_slist_free_all(t->connect_to);
    curl_slist_free_all(t->headers);
    gi_fetch_budget_give(t->request.budget, t->body.len);
    gi_buf_done(&t->body);
    gi_free(t);
}
