/**
 * @file
 * Base64 as RFC 4648 section 4, strictly: the standard alphabet, padding required, no white space,
 * unused bits zero. One text therefore stands for one byte string and back, which a cache keyed on
 * bytes and a log of what was sent may rely on.
 */
#ifndef GI_SERVER_BASE64_H
#define GI_SERVER_BASE64_H

#include "base/fail.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Bytes that n characters decode to. GLINT_ERR_FORMAT when n is not a multiple of 4; the
 * characters themselves are checked by gi_base64_decode.
 */
glint_status gi_base64_decoded_bytes(const char *s, size_t n, size_t *ret, glint_error *err);

/**
 * Decode n characters into out, which has room for gi_base64_decoded_bytes(). `out` may be `s`.
 * GLINT_ERR_FORMAT at the first character that breaks a rule; out is then partly written.
 */
glint_status gi_base64_decode(const char *s, size_t n, uint8_t *out, glint_error *err);

#endif
