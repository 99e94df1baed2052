/*
 * One c-ares channel per lookup: it has its own sockets and random ids, and freeing it cancels the
 * lookup. Asking for both families at once, its answers are not sorted by c-ares, which would
 * connect() a socket to each address before anyone has checked it.
 */
#include "fetch/resolve.h"

#include "base/alloc.h"

#include <ares.h>
#include <string.h>
#include <sys/time.h>

enum { TRY_MS = 1500, TRIES = 2 };

struct gi_resolve {
    ares_channel channel;
    bool is_done;
    int code; /* ARES_... */
    gi_ip ips[GI_RESOLVE_IPS_MAX];
    size_t n_ips;
    bool has_stranger; /* an address that cannot be told, or one too many */
};

static void add(gi_resolve *r, const struct sockaddr *sa) {
    gi_ip ip;
    if (!gi_ip_from_sockaddr(sa, &ip, NULL)) {
        r->has_stranger = true;
        return;
    }
    for (size_t i = 0; i < r->n_ips; i++)
        if (gi_ip_equals(&r->ips[i], &ip)) return;
    if (r->n_ips < GI_RESOLVE_IPS_MAX)
        r->ips[r->n_ips++] = ip;
    else
        r->has_stranger = true;
}

/* The first node from `a` on that is of IPv4, or that is not. */
static const struct ares_addrinfo_node *of_family(const struct ares_addrinfo_node *a, bool is_v4) {
    while (a && (a->ai_family == AF_INET) != is_v4) a = a->ai_next;
    return a;
}

/* One of each family in turn: where one of them has no route, its addresses are not all tried
 * first.
 */
static void add_all(gi_resolve *r, const struct ares_addrinfo_node *nodes) {
    const struct ares_addrinfo_node *v4 = of_family(nodes, true), *v6 = of_family(nodes, false);
    while (v4 || v6) {
        if (v4) {
            add(r, v4->ai_addr);
            v4 = of_family(v4->ai_next, true);
        }
        if (v6) {
            add(r, v6->ai_addr);
            v6 = of_family(v6->ai_next, false);
        }
    }
}

static void on_answer(void *arg, int code, int timeouts, struct ares_addrinfo *answer) {
    (void)timeouts;
    gi_resolve *r = arg;
    r->is_done = true;
    r->code = code;
    if (!answer) return;
    if (code == ARES_SUCCESS) add_all(r, answer->nodes);
    ares_freeaddrinfo(answer);
}

glint_status gi_resolve_begin(const char *host, gi_resolve **ret, glint_error *err) {
    gi_resolve *r = gi_calloc(1, sizeof *r);
    if (!r) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a lookup");
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = TRY_MS,
        .tries = TRIES,
    };
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS;
    const int code = ares_init_options(&r->channel, &options, mask);
    if (code != ARES_SUCCESS) {
        gi_free(r);
        return gi_fail(err, code == ARES_ENOMEM ? GLINT_ERR_MEMORY : GLINT_ERR_IO,
                       "cannot start a lookup: %s", ares_strerror(code));
    }
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(r->channel, host, NULL, &hints, on_answer, r);
    *ret = r;
    return GLINT_OK;
}

size_t gi_resolve_fds(const gi_resolve *r, struct pollfd *fds) {
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    /* Not by ARES_GETSOCK_WRITABLE, which shifts a bit into the sign. */
    const unsigned bits = (unsigned)ares_getsock(r->channel, sockets, ARES_GETSOCK_MAXNUM);
    size_t n = 0;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events = 0;
        if (bits >> i & 1) events |= POLLIN;
        if (bits >> (i + ARES_GETSOCK_MAXNUM) & 1) events |= POLLOUT;
        if (events) fds[n++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    return n;
}

bool gi_resolve_step(gi_resolve *r) {
    struct pollfd fds[GI_RESOLVE_FDS_MAX];
    const size_t n = r->is_done ? 0 : gi_resolve_fds(r, fds);
    if (n > 0) poll(fds, n, 0);
    for (size_t i = 0; i < n; i++) {
        const bool can_read = fds[i].revents & (POLLIN | POLLERR | POLLHUP);
        const bool can_write = fds[i].revents & POLLOUT;
        if (can_read || can_write)
            ares_process_fd(r->channel, can_read ? fds[i].fd : ARES_SOCKET_BAD,
                            can_write ? fds[i].fd : ARES_SOCKET_BAD);
    }
    if (!r->is_done) ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* timeouts */
    return r->is_done;
}

int gi_resolve_wait_ms(const gi_resolve *r) {
    struct timeval most = {.tv_sec = TRY_MS / 1000, .tv_usec = TRY_MS % 1000 * 1000}, room;
    const struct timeval *t = ares_timeout(r->channel, &most, &room);
    return (int)(t->tv_sec * 1000 + t->tv_usec / 1000) + 1;
}

glint_status gi_resolve_result(const gi_resolve *r, gi_ip ret_ips[GI_RESOLVE_IPS_MAX],
                               size_t *ret_n_ips, glint_error *err) {
    if (r->code == ARES_ENOMEM) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a lookup");
    if (r->code != ARES_SUCCESS)
        return gi_fail(err, GLINT_ERR_IO, "lookup: %s", ares_strerror(r->code));
    if (r->has_stranger || r->n_ips == 0)
        return gi_fail(err, GLINT_ERR_IO, "lookup: no usable set of addresses");
    memcpy(ret_ips, r->ips, r->n_ips * sizeof *r->ips);
    *ret_n_ips = r->n_ips;
    return GLINT_OK;
}

void gi_resolve_free(gi_resolve *r) {
    if (!r) return;
    ares_destroy(r->channel); /* calls on_answer with ARES_EDESTRUCTION when still under way */
    gi_free(r);
}
