/* One c-ares channel per lookup, turned until it has answered or the time is over. */
#include "store/lookup.h"

#include "base/clock.h"

#include <ares.h>
#include <arpa/inet.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

enum { TRY_MS = 250, TRIES = 4, TURN_MS = 50 };

typedef struct lookup {
    bool is_done;
    int code; /* ARES_... */
    uint16_t port;
    gi_lookup_address found[GI_LOOKUP_MAX];
    size_t n;
} lookup;

static void on_answer(void *arg, int code, int timeouts, struct ares_addrinfo *answer) {
    (void)timeouts;
    lookup *l = arg;
    l->is_done = true;
    l->code = code;
    if (!answer) return;
    for (const struct ares_addrinfo_node *a = answer->nodes; a && l->n < GI_LOOKUP_MAX;
         a = a->ai_next) {
        gi_lookup_address *to = &l->found[l->n];
        if ((size_t)a->ai_addrlen > sizeof to->at) continue;
        memcpy(&to->at, a->ai_addr, (size_t)a->ai_addrlen);
        to->n = (socklen_t)a->ai_addrlen;
        if (to->at.sa.sa_family == AF_INET6)
            to->at.v6.sin6_port = htons(l->port);
        else
            to->at.v4.sin_port = htons(l->port);
        l->n++;
    }
    ares_freeaddrinfo(answer);
}

/* Wait for the channel's sockets, a moment at most, and let it go on. */
static void turn(ares_channel channel, double until_ms) {
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    const unsigned bits = (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
    nfds_t n = 0;
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        const short in = bits >> i & 1 ? POLLIN : 0;
        const short out = bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0;
        if (in || out) fds[n++] = (struct pollfd){.fd = sockets[i], .events = (short)(in | out)};
    }
    const double ms = fmin(fmax(ceil(until_ms - gi_clock_ms()), 0), TURN_MS);
    poll(fds, n, (int)ms);
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents)
            ares_process_fd(channel, fds[i].revents & ~POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
                            fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* timeouts */
}

/* Without a lookup: the host is an address. */
static bool is_address(const char *host, uint16_t port, gi_lookup_address *ret) {
    gi_lookup_address a = {0};
    if (inet_pton(AF_INET, host, &a.at.v4.sin_addr) == 1) {
        a.at.v4.sin_family = AF_INET;
        a.at.v4.sin_port = htons(port);
        a.n = sizeof a.at.v4;
    } else if (inet_pton(AF_INET6, host, &a.at.v6.sin6_addr) == 1) {
        a.at.v6.sin6_family = AF_INET6;
        a.at.v6.sin6_port = htons(port);
        a.n = sizeof a.at.v6;
    } else {
        return false;
    }
    *ret = a;
    return true;
}

glint_status gi_lookup(const char *host, uint16_t port, double until_ms,
                       gi_lookup_address ret[GI_LOOKUP_MAX], size_t *ret_n, glint_error *err) {
    if (is_address(host, port, &ret[0])) {
        *ret_n = 1;
        return GLINT_OK;
    }
    lookup l = {.port = port};
    ares_channel channel;
    struct ares_options options = {.timeout = TRY_MS, .tries = TRIES};
    if (ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS)
        return gi_fail(err, GLINT_ERR_MEMORY, "%s: cannot start a lookup", host);
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(channel, host, NULL, &hints, on_answer, &l);
    while (!l.is_done && gi_clock_ms() < until_ms) turn(channel, until_ms);
    const bool is_late = !l.is_done;
    ares_destroy(channel); /* calls on_answer when it is still under way */
    if (is_late) return gi_fail(err, GLINT_ERR_DEADLINE, "%s: no answer to the lookup", host);
    if (l.code != ARES_SUCCESS || l.n == 0)
        return gi_fail(err, GLINT_ERR_IO, "%s: lookup: %s", host, ares_strerror(l.code));
    memcpy(ret, l.found, l.n * sizeof *ret);
    *ret_n = l.n;
    return GLINT_OK;
}
