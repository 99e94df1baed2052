/**
 * @file
 * Numbers from text: the whole string or nothing. No leading space, no "0x", no "inf" or "nan",
 * no locale.
 */
#ifndef GI_BASE_PARSE_H
#define GI_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/** A decimal integer with an optional '-'. False, leaving *ret alone, when it is none or does not
 * fit. */
bool gi_parse_i64(const char *s, int64_t *ret);

/** A decimal integer, 0 or more. */
bool gi_parse_u64(const char *s, uint64_t *ret);

/** A finite decimal number: digits, an optional fraction and exponent ("0.25", "1e-5", "-3"). */
bool gi_parse_double(const char *s, double *ret);

#endif
