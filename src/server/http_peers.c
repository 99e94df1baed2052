/*
 * A plain list of addresses that have connections now: at most as long as there are connections,
 * and looked through once for each that comes or goes.
 */
#include "server/http_peers.h"

#include "base/alloc.h"

#include <string.h>

typedef struct peer {
    gi_http_peer_key key;
    size_t n;
} peer;

struct gi_http_peers {
    size_t each_max;
    size_t n, n_max;
    peer list[];
};

static const gi_http_peer_key NOT_COUNTED = {IN6ADDR_ANY_INIT};

static bool is_equal(gi_http_peer_key a, gi_http_peer_key b) {
    return memcmp(&a.v6, &b.v6, sizeof a.v6) == 0;
}

gi_http_peer_key gi_http_peer_key_of(const struct sockaddr *address) {
    enum { PREFIX_BYTES = 8, MAPPED_AT = 12, LOOPBACK_NET = 127 };
    gi_http_peer_key key = NOT_COUNTED;
    uint8_t *b = key.v6.s6_addr;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        b[10] = b[11] = 0xFF;
        memcpy(b + MAPPED_AT, &v4.sin_addr, sizeof v4.sin_addr);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        key.v6 = v6.sin6_addr;
    }
    const bool is_v4 = IN6_IS_ADDR_V4MAPPED(&key.v6);
    if (is_v4 ? b[MAPPED_AT] == LOOPBACK_NET : IN6_IS_ADDR_LOOPBACK(&key.v6)) return NOT_COUNTED;
    if (!is_v4) memset(b + PREFIX_BYTES, 0, sizeof key.v6 - PREFIX_BYTES);
    return key;
}

glint_status gi_http_peers_create(size_t connections_max, size_t each_max, gi_http_peers **ret,
                                  glint_error *err) {
    gi_http_peers *p = gi_calloc(1, sizeof *p + connections_max * sizeof p->list[0]);
    if (!p) return gi_fail(err, GLINT_ERR_MEMORY, "http: no memory");
    p->each_max = each_max;
    p->n_max = connections_max;
    *ret = p;
    return GLINT_OK;
}

void gi_http_peers_free(gi_http_peers *p) {
    gi_free(p);
}

/* Its place, or p->n. */
static size_t find(const gi_http_peers *p, gi_http_peer_key key) {
    size_t i = 0;
    while (i < p->n && !is_equal(p->list[i].key, key)) i++;
    return i;
}

bool gi_http_peers_may(const gi_http_peers *p, gi_http_peer_key key) {
    if (p->each_max == 0 || is_equal(key, NOT_COUNTED)) return true;
    const size_t i = find(p, key);
    return i == p->n || p->list[i].n < p->each_max;
}

void gi_http_peers_add(gi_http_peers *p, gi_http_peer_key key) {
    const size_t i = find(p, key);
    if (is_equal(key, NOT_COUNTED) || i == p->n_max) return;
    if (i == p->n) p->list[p->n++] = (peer){.key = key};
    p->list[i].n++;
}

void gi_http_peers_remove(gi_http_peers *p, gi_http_peer_key key) {
    const size_t i = find(p, key);
    if (i == p->n || --p->list[i].n > 0) return;
    p->list[i] = p->list[--p->n];
}
