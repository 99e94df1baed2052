/*
 * Schemes are compared without case, as RFC 3986 asks. A base64 text cannot contain ':', so there
 * is no text that could be read in two ways.
 */
#include "server/picture_ref.h"

#include "server/header_value.h"

#include <string.h>

static bool has_prefix(const char *s, size_t n, const char *lower) {
    const size_t n_prefix = strlen(lower);
    return n >= n_prefix && gi_token_equals(s, n_prefix, lower);
}

bool gi_picture_ref_parse(const char *s, size_t n, const char *param, gi_picture_ref *ret,
                          gi_api_error *error) {
    if (has_prefix(s, n, "http:") || has_prefix(s, n, "https:")) {
        *ret = (gi_picture_ref){.url = s, .n = n};
        return true;
    }
    if (has_prefix(s, n, "data:")) {
        if (!has_prefix(s, n, "data:image/"))
            return gi_api_fail(error, GI_API_INVALID_IMAGE_REF, param);
        const char *subtype = s + strlen("data:image/"), *end = s + n;
        const char *semicolon = memchr(subtype, ';', (size_t)(end - subtype));
        if (!semicolon || !gi_is_token(subtype, (size_t)(semicolon - subtype)) ||
            !has_prefix(semicolon, (size_t)(end - semicolon), ";base64,"))
            return gi_api_fail(error, GI_API_INVALID_IMAGE_REF, param);
        const char *base64 = semicolon + strlen(";base64,");
        n = (size_t)(end - base64);
        s = base64;
    }
    if (n == 0 || n % 4 != 0 || memchr(s, ':', n))
        return gi_api_fail(error, GI_API_INVALID_IMAGE_REF, param);
    *ret = (gi_picture_ref){.base64 = s, .n = n};
    return true;
}
