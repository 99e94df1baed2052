/* The words that a principal is made of. */
#include "server/auth_principal.h"

#include "base/ascii.h"

#include <string.h>

bool gi_auth_is_name(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char c = s[i];
        if (!gi_ascii_is_alnum(c) && (c == '\0' || !strchr("._:@-", c))) return false;
    }
    return n >= 1 && n < GI_AUTH_NAME_BYTES;
}

unsigned gi_scope_parse(const char *s, size_t n) {
    if (n == 5 && memcmp(s, "infer", 5) == 0) return GI_SCOPE_INFER;
    if (n == 7 && memcmp(s, "metrics", 7) == 0) return GI_SCOPE_METRICS;
    return 0;
}
