/*
 * Names are compared after the URL parser has brought both sides into one form; a wildcard stands
 * for whole labels, and never for an address.
 */
#include "fetch/host_list.h"

#include <string.h>

glint_status gi_host_pattern_parse(const char *text, gi_host_pattern *ret, glint_error *err) {
    gi_host_pattern p = {.is_wildcard = text[0] == '*' && text[1] == '.'};
    const char *host = p.is_wildcard ? text + 2 : text;
    if (gi_url_parse_host(host, strlen(host), &p.host, NULL) != GLINT_OK ||
        (p.is_wildcard && p.host.is_ip))
        return gi_fail(err, GLINT_ERR_ARG,
                       "\"%.80s\" is not a host; write example.com, *.example.com, 192.0.2.7 or "
                       "[2001:db8::7]",
                       text);
    *ret = p;
    return GLINT_OK;
}

static bool matches(const gi_host_pattern *p, const gi_url_host *host) {
    if (p->host.is_ip != host->is_ip) return false;
    if (host->is_ip) return gi_ip_equals(&p->host.ip, &host->ip);
    const size_t n = strlen(host->name), n_pattern = strlen(p->host.name);
    if (!p->is_wildcard) return n == n_pattern && memcmp(host->name, p->host.name, n) == 0;
    return n > n_pattern + 1 && host->name[n - n_pattern - 1] == '.' &&
           memcmp(host->name + n - n_pattern, p->host.name, n_pattern) == 0;
}

bool gi_host_allowed(const gi_host_pattern *patterns, size_t n, const gi_url_host *host) {
    for (size_t i = 0; i < n; i++)
        if (matches(&patterns[i], host)) return true;
    return false;
}
