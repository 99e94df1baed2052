/**
 * @file
 * Writing JSON into a buffer: strings escaped, numbers finite.
 */
#ifndef GI_SERVER_JSON_OUT_H
#define GI_SERVER_JSON_OUT_H

#include "base/buf.h"

/**
 * Append n bytes of text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD;
 * control characters, quotes, backslashes, U+2028 and U+2029 (line ends in JavaScript) are escaped.
 */
glint_status gi_json_out_string(gi_buf *b, const char *s, size_t n_bytes, glint_error *err);

/** Append a number with at most three decimals; 0 for what is not finite. */
glint_status gi_json_out_ms(gi_buf *b, double ms, glint_error *err);

/** Append a probability with four decimals, kept within 0..1; 0 for what is not finite. */
glint_status gi_json_out_unit(gi_buf *b, double p, glint_error *err);

/** Append the logarithm of a probability with six decimals; at least -9999, as for what is 0. */
glint_status gi_json_out_logprob(gi_buf *b, double logprob, glint_error *err);

#endif
