/*
 * A walk over the pattern that copies what means the same in both dialects. Refused because it
 * differs: \w \v \h \b and other letters, ^ $ (line anchors in Ruby), nested and intersected
 * character classes, scripts in \p{} (PCRE2 looks at script extensions), option groups other than
 * (?i:, `{,n}` and a + after {n,m} (possessive in PCRE2, a second repeat in Ruby).
 */
#include "text/pattern.h"

#include "base/ascii.h"

#include <stdbool.h>
#include <string.h>

typedef struct walk {
    const char *regex, *at;
    bool in_class;
    gi_buf *out;
    glint_error *err;
} walk;

static glint_status refuse(const walk *w, const char *thing) {
    return gi_fail(w->err, GLINT_ERR_UNSUPPORTED, "pattern: %s at byte %zu is not understood",
                   thing, (size_t)(w->at - w->regex));
}

static glint_status copy(walk *w, size_t n) {
    GI_TRY(gi_buf_push(w->out, w->at, n, w->err));
    w->at += n;
    return GLINT_OK;
}

/* \p{..} or \P{..} of a general category; w->at is at the backslash. */
static glint_status property(walk *w) {
    if (w->at[2] != '{') return refuse(w, "\\p without braces");
    const char *name = w->at + 3, *close = strchr(name, '}');
    const size_t n = close ? (size_t)(close - name) : 0;
    const bool major = n >= 1 && strchr("LMNPSZ", name[0]);
    const bool minor = n == 1 || (n == 2 && name[1] >= 'a' && name[1] <= 'z');
    if (!major || !minor) return refuse(w, "a property other than a general category");
    return copy(w, 3 + n + 1);
}

/* \xHH or \x{H..}; w->at is at the backslash. */
static glint_status hex_escape(walk *w) {
    const size_t n = strspn(w->at + 2 + (w->at[2] == '{'), "0123456789abcdefABCDEF");
    if (w->at[2] != '{') return n >= 2 ? copy(w, 4) : refuse(w, "\\x without two digits");
    if (n == 0 || n > 6 || w->at[3 + n] != '}') return refuse(w, "a malformed \\x{}");
    return copy(w, 4 + n);
}

static glint_status escape(walk *w) {
    const char c = w->at[1];
    if (c == 's' || c == 'S') {
        GI_TRY(gi_buf_puts(w->out, c == 's' ? "\\p{White_Space}" : "\\P{White_Space}", w->err));
        w->at += 2;
        return GLINT_OK;
    }
    if (c == 'p' || c == 'P') return property(w);
    if (c == 'x') return hex_escape(w);
    if (c == '\0' || (gi_ascii_is_alnum(c) && !strchr("rntfdD", c)) || (unsigned char)c >= 0x80)
        return refuse(w, "an escape");
    return copy(w, 2);
}

static glint_status class_open(walk *w) {
    const size_t n = w->at[1] == '^' ? 2 : 1;
    if (w->at[n] == ']') return refuse(w, "an empty character class");
    w->in_class = true;
    return copy(w, n);
}

static glint_status group_open(walk *w) {
    static const char *const known[] = {"(?i:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    if (w->at[1] != '?') return copy(w, 1);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(w->at, known[i], strlen(known[i])) == 0) return copy(w, strlen(known[i]));
    return refuse(w, "a group option");
}

/* {n}, {n,} or {n,m}. */
static glint_status repeat(walk *w) {
    const char *p = w->at + 1;
    const size_t n = strspn(p, "0123456789");
    p += n;
    if (*p == ',') p += 1 + strspn(p + 1, "0123456789");
    if (n == 0 || *p != '}') return refuse(w, "a malformed repeat");
    if (p[1] == '+') return refuse(w, "a + after a counted repeat");
    return copy(w, (size_t)(p - w->at) + 1);
}

static glint_status one(walk *w) {
    const char c = *w->at;
    if (c == '\\') return escape(w);
    if (w->in_class) {
        if (c == '[') return refuse(w, "a class inside a class");
        if (c == '&' && w->at[1] == '&') return refuse(w, "an intersection");
        if (c == ']') w->in_class = false;
        return copy(w, 1);
    }
    if (c == '[') return class_open(w);
    if (c == '(') return group_open(w);
    if (c == '{') return repeat(w);
    if (c == '^' || c == '$') return refuse(w, "an anchor");
    return copy(w, 1);
}

glint_status gi_pattern_translate(const char *regex, gi_buf *ret, glint_error *err) {
    walk w = {.regex = regex, .at = regex, .out = ret, .err = err};
    while (*w.at) GI_TRY(one(&w));
    return w.in_class ? refuse(&w, "an unclosed class") : GLINT_OK;
}

glint_status gi_pattern_quote(const char *literal, gi_buf *ret, glint_error *err) {
    for (; *literal; literal++) {
        const char c = *literal;
        if (strchr("\\^$.[]|()?*+{}", c)) GI_TRY(gi_buf_puts(ret, "\\", err));
        GI_TRY(gi_buf_push(ret, &c, 1, err));
    }
    return GLINT_OK;
}
