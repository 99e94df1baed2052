/**
 * @file
 * The hosts that pictures may be fetched from. Empty means none.
 *
 *     example.com       this host alone
 *     *.example.com     every host below it, at any depth, and not example.com itself
 *     192.0.2.7  [::1]  this address, where a URL names it in numbers
 */
#ifndef GI_FETCH_HOST_LIST_H
#define GI_FETCH_HOST_LIST_H

#include "fetch/url.h"

/** One entry. Plain data. */
typedef struct gi_host_pattern {
    bool is_wildcard;
    gi_url_host host; /**< of a wildcard: what follows "*." */
} gi_host_pattern;

/** Read one entry. GLINT_ERR_ARG. Threads: pure. */
glint_status gi_host_pattern_parse(const char *text, gi_host_pattern *ret, glint_error *err);

/** Whether one of n patterns allows the host. Threads: pure. */
bool gi_host_allowed(const gi_host_pattern *patterns, size_t n, const gi_url_host *host);

#endif
