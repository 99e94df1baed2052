/*
 * A line as each kind of address that stands in a server's settings: where Redis is, where to
 * listen, which hosts pictures may come from. What is taken and written again is the same address.
 */
#include "fetch/host_list.h"
#include "server/listen.h"
#include "store/redis_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { TEXT_BYTES = 2048 };

static void check_redis(const char *text) {
    gi_redis_url url, again;
    char out[GI_REDIS_HOST_BYTES + 16];
    glint_error err = {0};
    const glint_status st = gi_redis_url_parse(text, &url, &err);
    if (st != GLINT_OK) {
        gi_assert(st == GLINT_ERR_ARG && err.code == st && strstr(err.message, "Redis: ") != NULL);
        return;
    }
    gi_redis_url_format(&url, out, sizeof out);
    if (!url.is_unix) gi_assert(strchr(out, '@') == NULL && url.port > 0);
    gi_assert(gi_redis_url_parse(out, &again, NULL) == GLINT_OK);
    gi_assert(again.is_unix == url.is_unix && again.is_tls == url.is_tls);
    gi_assert(again.port == url.port && strcmp(again.host, url.host) == 0);
    gi_assert(strcmp(again.path, url.path) == 0 && !again.user[0] && !again.password[0]);
}

static void check_listen(const char *text) {
    gi_listen_address a, again;
    char host[INET6_ADDRSTRLEN], out[GI_LISTEN_TEXT_BYTES];
    if (gi_listen_parse(text, &a, NULL) != GLINT_OK) return;
    if (a.addr.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &a.addr, sizeof v6);
        gi_assert(inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host) != NULL);
        snprintf(out, sizeof out, "[%s]:%u", host, ntohs(v6.sin6_port));
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, &a.addr, sizeof v4);
        gi_assert(inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host) != NULL);
        snprintf(out, sizeof out, "%s:%u", host, ntohs(v4.sin_port));
    }
    gi_assert(gi_listen_parse(out, &again, NULL) == GLINT_OK);
    gi_assert(a.n_addr == again.n_addr && a.is_loopback == again.is_loopback);
    gi_assert(memcmp(&a.addr, &again.addr, sizeof a.addr) == 0);
}

static void check_pattern(const char *text) {
    gi_host_pattern p;
    gi_url_host below;
    char name[TEXT_BYTES + 2];
    if (gi_host_pattern_parse(text, &p, NULL) != GLINT_OK) return;
    gi_assert(gi_host_allowed(&p, 1, &p.host) == !p.is_wildcard);
    if (p.host.is_ip) return;
    snprintf(name, sizeof name, "a.%s", p.host.name);
    if (gi_url_parse_host(name, strlen(name), &below, NULL) == GLINT_OK)
        gi_assert(gi_host_allowed(&p, 1, &below) == p.is_wildcard);
    snprintf(name, sizeof name, "a%s", p.host.name);
    if (gi_url_parse_host(name, strlen(name), &below, NULL) == GLINT_OK)
        gi_assert(!gi_host_allowed(&p, 1, &below));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    char text[TEXT_BYTES];
    const size_t n = n_bytes < sizeof text ? n_bytes : sizeof text - 1;
    if (n > 0) memcpy(text, bytes, n);
    text[n] = '\0';
    check_redis(text);
    check_listen(text);
    check_pattern(text);
    return 0;
}
