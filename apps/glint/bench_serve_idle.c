/*
 * Plain sockets: nothing is sent on them while the load runs, so no library has to watch them.
 */
#include "bench_serve_idle.h"

#include "base/alloc.h"

#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_S = 10, URL_PART_BYTES = 256 };

/* Host without brackets, and port, of an http URL. */
static glint_status take_apart(const char *url, char host[URL_PART_BYTES],
                               char port[URL_PART_BYTES], glint_error *err) {
    CURLU *u = curl_url();
    char *scheme = NULL, *h = NULL, *p = NULL;
    glint_status st = GLINT_OK;
    if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &h, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_PORT, &p, CURLU_DEFAULT_PORT) != CURLUE_OK) {
        st = gi_fail(err, GLINT_ERR_ARG, "\"%.200s\" is no URL", url);
    } else if (strcmp(scheme, "http") != 0) {
        st = gi_fail(err, GLINT_ERR_UNSUPPORTED, "idle connections speak http only");
    } else {
        const size_t n = strlen(h);
        const int bracket = n > 1 && h[0] == '[';
        snprintf(host, URL_PART_BYTES, "%.*s", (int)n - 2 * bracket, h + bracket);
        snprintf(port, URL_PART_BYTES, "%s", p);
    }
    curl_free(scheme);
    curl_free(h);
    curl_free(p);
    curl_url_cleanup(u);
    return st;
}

static int connect_to(const struct addrinfo *list) {
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        const int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0) return -1;
        const struct timeval patience = {.tv_sec = PATIENCE_S};
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) return fd;
        const int why = errno;
        close(fd);
        errno = why;
    }
    return -1;
}

/* Ask once and take what comes first; the answer is small. */
static bool ask(int fd, const char *host) {
    char line[URL_PART_BYTES + 64], answer[2048];
    const int n = snprintf(line, sizeof line, "GET /health HTTP/1.1\r\nHost: %s\r\n\r\n", host);
    return send(fd, line, (size_t)n, MSG_NOSIGNAL) == n &&
           recv(fd, answer, sizeof answer, 0) > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

glint_status gi_load_idle_open(gi_load_idle *idle, const char *url, size_t n, glint_error *err) {
    char host[URL_PART_BYTES], port[URL_PART_BYTES];
    GI_TRY(take_apart(url, host, port, err));
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const int failed = getaddrinfo(host, port, &hints, &list);
    if (failed) return gi_fail(err, GLINT_ERR_ARG, "%.200s: %s", host, gai_strerror(failed));
    idle->fds = gi_calloc(n ? n : 1, sizeof *idle->fds);
    glint_status st = GLINT_OK;
    if (!idle->fds) st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu connections", n);
    while (st == GLINT_OK && idle->n < n) {
        const int fd = connect_to(list);
        if (fd < 0) {
            st =
                gi_fail(err, GLINT_ERR_IO, "idle connection %zu: %s", idle->n + 1, strerror(errno));
            break;
        }
        idle->fds[idle->n++] = fd;
        if (!ask(fd, host))
            st = gi_fail(err, GLINT_ERR_IO, "idle connection %zu: /health is not answered with 200",
                         idle->n);
    }
    freeaddrinfo(list);
    return st;
}

size_t gi_load_idle_count(const gi_load_idle *idle) {
    size_t n = 0;
    char bytes[512];
    for (size_t i = 0; i < idle->n; i++) {
        ssize_t got;
        do got = recv(idle->fds[i], bytes, sizeof bytes, MSG_DONTWAIT);
        while (got > 0); /* the rest of the one answer */
        n += got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
    return n;
}

void gi_load_idle_close(gi_load_idle *idle) {
    for (size_t i = 0; i < idle->n; i++) close(idle->fds[i]);
    gi_free(idle->fds);
    *idle = (gi_load_idle){0};
}
