/**
 * @file
 * The addresses of Redis' host, looked up with a time limit, which getaddrinfo does not have.
 */
#ifndef GI_STORE_LOOKUP_H
#define GI_STORE_LOOKUP_H

#include "base/fail.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define GI_LOOKUP_MAX 8

/** An address with its port. */
typedef struct gi_lookup_address {
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    socklen_t n;
} gi_lookup_address;

/**
 * Addresses of a name, as the system's resolv.conf and hosts say, or of an address itself.
 * @return GLINT_ERR_IO (no such host, no answer), GLINT_ERR_DEADLINE, GLINT_ERR_MEMORY.
 */
glint_status gi_lookup(const char *host, uint16_t port, double until_ms,
                       gi_lookup_address ret[GI_LOOKUP_MAX], size_t *ret_n, glint_error *err);

#endif
