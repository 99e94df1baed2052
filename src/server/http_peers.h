/**
 * @file
 * How many connections each address has, so that one cannot have them all. IPv6 counts by /64, the
 * least that one client is given. This machine's own addresses are not counted: a proxy or a tunnel
 * there speaks for many. One thread.
 */
#ifndef GI_SERVER_HTTP_PEERS_H
#define GI_SERVER_HTTP_PEERS_H

#include "base/fail.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/** An address, IPv4 mapped into IPv6; all zero: not counted. */
typedef struct gi_http_peer_key {
    struct in6_addr v6;
} gi_http_peer_key;

gi_http_peer_key gi_http_peer_key_of(const struct sockaddr *address);

typedef struct gi_http_peers gi_http_peers;

/** For at most connections_max connections, each_max of one address; 0 = no limit.
 * GLINT_ERR_MEMORY. */
glint_status gi_http_peers_create(size_t connections_max, size_t each_max, gi_http_peers **ret,
                                  glint_error *err);

/** NULL is fine. */
void gi_http_peers_free(gi_http_peers *p);

/** Whether one more connection from there is within the limit. */
bool gi_http_peers_may(const gi_http_peers *p, gi_http_peer_key key);

/** One more is open, or one less. */
void gi_http_peers_add(gi_http_peers *p, gi_http_peer_key key);
void gi_http_peers_remove(gi_http_peers *p, gi_http_peer_key key);

#endif
