/*
 * The socket is opened here and not by the HTTP library, so that "address in use" can be said in
 * words before anything else is started.
 */
#include "server/listen.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 256, PORT_MAX = 65535 };

static glint_status bad_address(const char *text, glint_error *err) {
    return gi_fail(err, GLINT_ERR_ARG,
                   "\"%.80s\" is not an address to listen on; write 127.0.0.1:8080, [::1]:8080 or "
                   "0.0.0.0:8080",
                   text);
}

static bool is_loopback_v6(const struct in6_addr *a) {
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

glint_status gi_listen_parse(const char *text, gi_listen_address *ret, glint_error *err) {
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || !gi_parse_u64(colon + 1, &port) || port > PORT_MAX) return bad_address(text, err);
    char host[INET6_ADDRSTRLEN];
    size_t n = (size_t)(colon - text);
    const bool is_bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (is_bracketed) {
        text++;
        n -= 2;
    }
    if (n >= sizeof host) return bad_address(text, err);
    memcpy(host, text, n);
    host[n] = '\0';

    gi_listen_address a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a.addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&a.addr;
    if (is_bracketed) {
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return bad_address(text, err);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        a.n_addr = sizeof *v6;
        a.is_loopback = is_loopback_v6(&v6->sin6_addr);
    } else {
        const char *literal = strcmp(host, "localhost") == 0 ? "127.0.0.1"
                              : host[0] == '\0'              ? "0.0.0.0"
                                                             : host;
        if (inet_pton(AF_INET, literal, &v4->sin_addr) != 1) return bad_address(text, err);
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        a.n_addr = sizeof *v4;
        a.is_loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    *ret = a;
    return GLINT_OK;
}

/* "127.0.0.1:8080" or "[::1]:8080"; returns the port. */
static unsigned address_text(const struct sockaddr_storage *addr, char out[GI_LISTEN_TEXT_BYTES]) {
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port;
    if (addr->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, addr, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        port = ntohs(v6.sin6_port);
        snprintf(out, GI_LISTEN_TEXT_BYTES, "[%s]:%u", host, port);
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, addr, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        port = ntohs(v4.sin_port);
        snprintf(out, GI_LISTEN_TEXT_BYTES, "%s:%u", host, port);
    }
    return port;
}

static glint_status explain(int why, const gi_listen_address *a, glint_error *err) {
    char text[GI_LISTEN_TEXT_BYTES];
    const unsigned port = address_text(&a->addr, text);
    if (why == EADDRINUSE)
        return gi_fail(err, GLINT_ERR_IO,
                       "%s is taken by another program. Stop that program, or choose another port: "
                       "--listen %.*s:%u",
                       text, (int)(strrchr(text, ':') - text), text, port % PORT_MAX + 1);
    if (why == EACCES)
        return gi_fail(err, GLINT_ERR_IO,
                       "%s: no permission; ports below 1024 are for root, choose another: "
                       "--listen %.*s:8080",
                       text, (int)(strrchr(text, ':') - text), text);
    if (why == EADDRNOTAVAIL)
        return gi_fail(err, GLINT_ERR_IO, "%s: this machine has no such address", text);
    return gi_fail(err, GLINT_ERR_IO, "%s: cannot listen: %s", text, strerror(why));
}

glint_status gi_listen_open(const gi_listen_address *a, int *ret_fd,
                            char ret_text[GI_LISTEN_TEXT_BYTES], glint_error *err) {
    const int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return explain(errno, a, err);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof bound;
    if (bind(fd, (const struct sockaddr *)(const void *)&a->addr, a->n_addr) != 0 ||
        listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)(void *)&bound, &n) != 0) {
        const int why = errno;
        close(fd);
        return explain(why, a, err);
    }
    address_text(&bound, ret_text);
    *ret_fd = fd;
    return GLINT_OK;
}
