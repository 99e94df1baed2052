/**
 * @file
 * Reading structured header values: `type/subtype; name=value; name="quoted"`, as RFC 9110
 * section 5.6 writes them. Used for Content-Type and for a form part's Content-Disposition.
 */
#ifndef GI_SERVER_HEADER_VALUE_H
#define GI_SERVER_HEADER_VALUE_H

#include <stdbool.h>
#include <stddef.h>

/** A byte that may stand in a token (RFC 9110 section 5.6.2). */
bool gi_is_token_char(char c);

/** True if n > 0 bytes are all token characters. */
bool gi_is_token(const char *s, size_t n);

/** ASCII case-insensitive comparison of s[0..n) with a zero-terminated lower-case word. */
bool gi_token_equals(const char *s, size_t n, const char *lower);

/** A cursor over a value; borrowed text. */
typedef struct gi_header_value {
    const char *p, *end;
    bool bad; /**< something broke the grammar; sticky */
} gi_header_value;

/** Start with the n bytes of a value. */
gi_header_value gi_header_value_begin(const char *s, size_t n);

/**
 * Read the leading word: everything up to `;` or the end, white space around it taken off, made of
 * token characters and '/'. Returns its length, 0 (and v->bad) when there is none.
 */
size_t gi_header_value_word(gi_header_value *v, const char **ret_word);

/** Room for a parameter's value, its zero included. */
#define GI_HEADER_PARAM_BYTES 512

/** One parameter. */
typedef struct gi_header_param {
    const char *name; /**< [n_name] borrowed, as written */
    size_t n_name;
    char value[GI_HEADER_PARAM_BYTES]; /**< unquoted, [n_value], zero-terminated */
    size_t n_value;
} gi_header_param;

/** Read the next `; name=value`; false at the end or when v->bad. */
bool gi_header_value_next(gi_header_value *v, gi_header_param *ret);

#endif
