/**
 * @file
 * Where nobody is asked who he is, a browser is what strangers reach the server through: a page of
 * any site may send it forms, and a name of any site may be made to point at 127.0.0.1 (DNS
 * rebinding). What a browser says about that, Host and Origin, no page can change.
 */
#ifndef GI_SERVER_SITE_H
#define GI_SERVER_SITE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Whether a Host header names this machine: an address, "localhost" or a name below it, or one of
 * names[n], of which "*" stands for all. Ports do not matter.
 */
bool gi_site_is_known(const char *host, const char *const *names, size_t n);

/** Whether an Origin header ("https://name:port") names the same host as a Host header. Neither
 * scheme nor port are compared: a proxy in front has others. */
bool gi_site_is_same(const char *origin, const char *host);

#endif
