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

/**
 * Find the base64 text in `image`'s value.
 *
 *     data:image/<subtype>;base64,<base64>    any case, no other parameters
 *     http://... https://...                  refused: GI_API_IMAGE_URLS_DISABLED
 *     <base64>                                anything else
 *
 * The media type is not trusted: pictures are recognised by content.
 *
 * @param param       the field's name for errors.
 * @param ret_base64  [*ret_n] points into s; its characters are not checked here.
 * @return false with `error` set.
 */
bool gi_picture_ref_parse(const char *s, size_t n, const char *param, const char **ret_base64,
                          size_t *ret_n, gi_api_error *error);

#endif
