/**
 * @file
 * Host name to addresses, without a thread: a lookup that is polled beside the transfers, can be
 * given up at any moment, and takes at most a few seconds. /etc/hosts and DNS as /etc/resolv.conf
 * says, read anew for each lookup; no search domains, so that a name means the same everywhere.
 *
 *     gi_resolve_begin("example.com", &r, &err);
 *     while (!gi_resolve_step(r)) poll(gi_resolve_fds(...), gi_resolve_wait_ms(r));
 *     gi_resolve_result(r, ips, &n_ips, &err);
 *     gi_resolve_free(r);
 */
#ifndef GI_FETCH_RESOLVE_H
#define GI_FETCH_RESOLVE_H

#include "base/fail.h"
#include "fetch/ip_class.h"

#include <poll.h>
#include <stddef.h>

/** Most addresses that a host may have; one with more is refused. */
#define GI_RESOLVE_IPS_MAX 32

/** Most descriptors of one lookup. */
#define GI_RESOLVE_FDS_MAX 16

typedef struct gi_resolve gi_resolve;

/** Send the questions. GLINT_ERR_MEMORY, GLINT_ERR_IO. */
glint_status gi_resolve_begin(const char *host, gi_resolve **ret, glint_error *err);

/** Do what can be done without waiting. True when the lookup is over. */
bool gi_resolve_step(gi_resolve *r);

/** What to poll for; returns the number written, at most GI_RESOLVE_FDS_MAX. */
size_t gi_resolve_fds(const gi_resolve *r, struct pollfd *fds);

/** Longest time until the next step is due. */
int gi_resolve_wait_ms(const gi_resolve *r);

/** All addresses of a lookup that is over, IPv4 and IPv6 in turn, IPv4 first, each in the order of
 * the answer; none twice.
 * GLINT_ERR_IO when there is none or a family of address is unknown. */
glint_status gi_resolve_result(const gi_resolve *r, gi_ip ret_ips[GI_RESOLVE_IPS_MAX],
                               size_t *ret_n_ips, glint_error *err);

/** Give up or clean up. NULL is fine. */
void gi_resolve_free(gi_resolve *r);

#endif
