/**
 * @file
 * Pre-tokenizer patterns. Published tokenizers write them for Oniguruma (Ruby syntax); glint runs
 * them on PCRE2. The two agree on the part used here, and the rest is refused rather than guessed.
 */
#ifndef GI_TEXT_PATTERN_H
#define GI_TEXT_PATTERN_H

#include "base/buf.h"

/** Longest pattern in bytes. */
#define GI_PATTERN_BYTES_MAX 4096

/**
 * Append to `ret` the PCRE2 pattern (for PCRE2_UTF | PCRE2_UCP, newline LF) that matches what
 * `regex` matches in Oniguruma. White space is spelled \p{White_Space}, since PCRE2's own \s also
 * matches U+180E.
 * GLINT_ERR_UNSUPPORTED with the offset of what is not understood; GLINT_ERR_LIMIT, _MEMORY.
 */
glint_status gi_pattern_translate(const char *regex, gi_buf *ret, glint_error *err);

/** Append a pattern that matches the text `literal` itself. Same errors. */
glint_status gi_pattern_quote(const char *literal, gi_buf *ret, glint_error *err);

#endif
