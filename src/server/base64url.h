/**
 * @file
 * Base64 as RFC 4648 section 5 and RFC 7515 write it in tokens: the URL alphabet, no padding, no
 * white space, unused bits zero. One byte string therefore has one spelling.
 */
#ifndef GI_SERVER_BASE64URL_H
#define GI_SERVER_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Room for n bytes as text, the zero included. */
#define GI_BASE64URL_TEXT_BYTES(n) (((n)*4 + 2) / 3 + 1)

/**
 * Decode n characters into out, which has room for n / 4 * 3 + 2 bytes. False, with out partly
 * written and *ret_n untouched, when the text breaks a rule.
 */
bool gi_base64url_decode(const char *s, size_t n, uint8_t *out, size_t *ret_n);

/** Encode n bytes into out, which has room for GI_BASE64URL_TEXT_BYTES(n). */
void gi_base64url_encode(const uint8_t *bytes, size_t n, char *out);

#endif
