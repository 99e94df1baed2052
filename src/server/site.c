/*
 * Names are compared as text, without case; nothing is looked up. An address as Host is safe: no
 * browser takes it from a name that was rebound.
 */
#include "server/site.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* A host without its port, borrowed. */
typedef struct name {
    const char *text;
    size_t n;
} name;

static name name_of(const char *host) {
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    if (end) return (name){host, (size_t)(end + 1 - host)};
    return (name){host, strcspn(host, ":")};
}

static bool is_equal(name a, const char *text, size_t n) {
    return a.n == n && strncasecmp(a.text, text, n) == 0;
}

static bool is_address(name a) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr scratch;
    const bool is_v6 = a.n > 2 && a.text[0] == '[' && a.text[a.n - 1] == ']';
    const name inner = is_v6 ? (name){a.text + 1, a.n - 2} : a;
    if (inner.n >= sizeof text) return false;
    memcpy(text, inner.text, inner.n);
    text[inner.n] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, &scratch) == 1;
}

static bool is_local(name a) {
    static const char LOCAL[] = ".localhost";
    const size_t n = sizeof LOCAL - 1;
    return is_equal(a, LOCAL + 1, n - 1) ||
           (a.n > n && strncasecmp(a.text + a.n - n, LOCAL, n) == 0);
}

bool gi_site_is_known(const char *host, const char *const *names, size_t n) {
    const name a = name_of(host);
    if (is_address(a) || is_local(a)) return true;
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], "*") == 0 || is_equal(a, names[i], strlen(names[i]))) return true;
    return false;
}

bool gi_site_is_same(const char *origin, const char *host) {
    const char *authority = strstr(origin, "://");
    if (!authority) return false; /* "null": a page without a site */
    const name theirs = name_of(authority + 3);
    return theirs.n > 0 && is_equal(name_of(host), theirs.text, theirs.n);
}
