/**
 * @file
 * UTF-8, strictly as RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef GI_BASE_UTF8_H
#define GI_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Decode the code point at s[0..n).
 *
 * @return its length in bytes (1..4) with *ret_cp set; 0 when the bytes are not valid UTF-8;
 *         -1 when they are a proper prefix of a valid sequence and more bytes could complete it.
 */
int gi_utf8_decode(const uint8_t *s, size_t n, uint32_t *ret_cp);

/** Write code point `cp` (valid scalar value) to out; returns its length 1..4. */
int gi_utf8_encode(uint32_t cp, uint8_t out[4]);

/** True if all n bytes are valid UTF-8. ret_bad, unless NULL, gets the offset of the first bad
 * byte. */
bool gi_utf8_is_valid(const uint8_t *s, size_t n, size_t *ret_bad);

/** The longest prefix of s[0..n) that does not end inside a sequence still completable. */
size_t gi_utf8_complete_prefix(const uint8_t *s, size_t n);

#endif
