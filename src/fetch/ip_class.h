/**
 * @file
 * Which IP addresses glint may connect to when a stranger named the host. Decided on the address
 * itself, never on text.
 *
 * Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190), IPv6
 * Global Unicast Address Assignments, and the documented addresses of cloud metadata services.
 */
#ifndef GI_FETCH_IP_CLASS_H
#define GI_FETCH_IP_CLASS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/** An address; IPv4 uses the first 4 bytes, the rest is zero. Network order. */
typedef struct gi_ip {
    bool is_v6;
    uint8_t bytes[16];
} gi_ip;

typedef enum gi_ip_class {
    GI_IP_PUBLIC,    /**< globally reachable unicast */
    GI_IP_PRIVATE,   /**< loopback, private networks: only with --allow-private-images */
    GI_IP_FORBIDDEN, /**< never: metadata services, link-local, multicast, reserved, and addresses
                          that carry another one inside (IPv4-mapped, 6to4, Teredo, NAT64) */
} gi_ip_class;

/** Room for an address as text, brackets included. */
#define GI_IP_TEXT_BYTES 48

/**
 * @param ret_name  if not NULL: what the range is called, for the log; a constant string.
 * Threads: pure.
 */
gi_ip_class gi_ip_classify(const gi_ip *ip, const char **ret_name);

/** The address of a socket address; false for families other than IPv4 and IPv6. */
bool gi_ip_from_sockaddr(const struct sockaddr *sa, gi_ip *ret, uint16_t *ret_port);

/** Whether two addresses are the same. */
bool gi_ip_equals(const gi_ip *a, const gi_ip *b);

/** "192.0.2.1", or "[2001:db8::1]" with its brackets. */
void gi_ip_format(const gi_ip *ip, char out[GI_IP_TEXT_BYTES]);

#endif
