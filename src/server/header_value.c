/*
 * A small strict reader. In a quoted string a backslash escapes only '"' and '\', so that the
 * Windows paths some programs send as file names keep their other backslashes.
 */
#include "server/header_value.h"

#include "base/ascii.h"

#include <string.h>

bool gi_is_token_char(char c) {
    return gi_ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool gi_is_token(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!gi_is_token_char(s[i])) return false;
    return n > 0;
}

bool gi_token_equals(const char *s, size_t n, const char *lower) {
    if (n != strlen(lower)) return false;
    for (size_t i = 0; i < n; i++)
        if (gi_ascii_lower(s[i]) != lower[i]) return false;
    return true;
}

static void skip_space(gi_header_value *v) {
    while (v->p < v->end && (*v->p == ' ' || *v->p == '\t')) v->p++;
}

gi_header_value gi_header_value_begin(const char *s, size_t n) {
    return (gi_header_value){.p = s, .end = s + n};
}

size_t gi_header_value_word(gi_header_value *v, const char **ret_word) {
    skip_space(v);
    const char *word = v->p;
    while (v->p < v->end && (gi_is_token_char(*v->p) || *v->p == '/')) v->p++;
    const size_t n = (size_t)(v->p - word);
    skip_space(v);
    if (n == 0 || (v->p < v->end && *v->p != ';')) {
        v->bad = true;
        return 0;
    }
    *ret_word = word;
    return n;
}

/* Read a token or quoted string into ret->value. */
static bool read_value(gi_header_value *v, gi_header_param *ret) {
    const bool quoted = v->p < v->end && *v->p == '"';
    if (quoted) v->p++;
    size_t n = 0;
    bool closed = !quoted;
    while (v->p < v->end) {
        char c = *v->p;
        if (quoted && c == '"') {
            v->p++;
            closed = true;
            break;
        }
        if (!quoted && !gi_is_token_char(c)) break;
        if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7F) return false;
        if (c == '\\' && v->end - v->p >= 2 && (v->p[1] == '"' || v->p[1] == '\\')) c = *++v->p;
        if (n + 1 >= sizeof ret->value) return false;
        ret->value[n++] = c;
        v->p++;
    }
    ret->value[n] = '\0';
    ret->n_value = n;
    return closed && (quoted || n > 0);
}

bool gi_header_value_next(gi_header_value *v, gi_header_param *ret) {
    if (v->bad) return false;
    skip_space(v);
    if (v->p == v->end) return false;
    v->bad = true; /* until all of the parameter is read */
    if (*v->p != ';') return false;
    v->p++;
    skip_space(v);
    ret->name = v->p;
    while (v->p < v->end && gi_is_token_char(*v->p)) v->p++;
    ret->n_name = (size_t)(v->p - ret->name);
    if (ret->n_name == 0 || v->p == v->end || *v->p != '=') return false;
    v->p++;
    if (!read_value(v, ret)) return false;
    v->bad = false;
    return true;
}
