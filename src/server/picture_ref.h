/**
 * @file
 * What the text of an `image` field stands for: base64, a data: URI, or an address. Every picture
 * that comes as text passes through here, so that all ways in obey one rule.
 */
#ifndef GI_SERVER_PICTURE_REF_H
#define GI_SERVER_PICTURE_REF_H

#include "server/api_error.h"

#include <stdbool.h>
#include <stddef.h>

/** A picture that came as text; one of the two is set, and points into it. */
typedef struct gi_picture_ref {
    const char *base64; /**< [n] its characters are not checked here */
    const char *url;    /**< [n] begins with http: or https:, and is not checked further here */
    size_t n;
} gi_picture_ref;

/**
 * Read `image`'s value.
 *
 *     data:image/<subtype>;base64,<base64>    any case, no other parameters
 *     http:... https:...                      an address, for the fetcher to look at
 *     <base64>                                anything else
 *
 * The media type is not trusted: pictures are recognised by content.
 *
 * @param param  the field's name for errors.
 * @return false with `error` set.
 */
bool gi_picture_ref_parse(const char *s, size_t n, const char *param, gi_picture_ref *ret,
                          gi_api_error *error);

#endif
