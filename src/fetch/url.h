/**
 * @file
 * Absolute http and https URLs. The one parser: what it returns is what is checked, resolved,
 * connected to and sent, and nothing reads the client's text again.
 *
 * Strict where two programs are known to read two things: refused are backslashes, control bytes,
 * spaces and anything RFC 3986 has no place for, user names and passwords, hosts outside ASCII,
 * percent-encoding in the host, IPv4 in any form but four plain decimal numbers, zone ids, empty
 * labels and a trailing dot, empty ports and ports with leading zeros. What is accepted has the
 * host, port and path that the URL Standard (url.spec.whatwg.org) gives it: dot segments removed,
 * bytes outside ASCII percent-encoded. A fragment is dropped.
 */
#ifndef GI_FETCH_URL_H
#define GI_FETCH_URL_H

#include "base/fail.h"
#include "fetch/ip_class.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longest URL, as given and as rewritten. */
#define GI_URL_BYTES_MAX 4096

/** Room for a host name and its terminating zero. */
#define GI_URL_HOST_BYTES 254

/** A host: a name in lower case, or an address. */
typedef struct gi_url_host {
    char name[GI_URL_HOST_BYTES]; /**< "example.com"; an address as text, IPv6 in brackets */
    bool is_ip;
    gi_ip ip; /**< set when is_ip */
} gi_url_host;

/** A parsed URL. Plain data, copied by assignment. */
typedef struct gi_url {
    bool is_https;
    gi_url_host host;
    uint16_t port;                   /**< always set; 80 and 443 by default */
    size_t n;                        /**< bytes of text */
    size_t origin_n, path_n;         /**< text = origin path query */
    char text[GI_URL_BYTES_MAX + 1]; /**< rewritten: "https://example.com/a.png?x=1" */
} gi_url;

/** Parse n bytes. GLINT_ERR_ARG with a reason that quotes nothing of the URL. Threads: pure. */
glint_status gi_url_parse(const char *s, size_t n, gi_url *ret, glint_error *err);

/** Parse a reference (a Location header) that may be relative to `base`. Same errors; also for a
 * reference that stays on the same document. `ret` may be `base`. */
glint_status gi_url_resolve(const gi_url *base, const char *s, size_t n, gi_url *ret,
                            glint_error *err);

/** Parse a host as it stands in a URL, IPv6 in brackets. Same errors. */
glint_status gi_url_parse_host(const char *s, size_t n, gi_url_host *ret, glint_error *err);

#endif
