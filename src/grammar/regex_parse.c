/*
 * A pattern is read by recursive descent (groups nest at most GROUPS_MAX deep) into a tree.
 *
 * Refused by name: back references, look-around, \b, \B, \p, \k, flags, and escapes of letters
 * that mean nothing.
 */
#include "grammar/regex_parts.h"

#include "base/ascii.h"
#include "base/utf8.h"

#include <string.h>

enum { GROUPS_MAX = 32, REPEAT_MAX = 4096 };

typedef struct reader {
    gi_nfa *nfa;
    const uint8_t *at, *end;
    uint32_t n_groups;
} reader;

static glint_status bad(const reader *r, const char *why) {
    return gi_fail(r->nfa->err, GLINT_ERR_FORMAT, "%s: \"pattern\" is not valid: %s", r->nfa->place,
                   why);
}

static glint_status unsupported(const reader *r, const char *what) {
    return gi_fail(r->nfa->err, GLINT_ERR_UNSUPPORTED, "%s: \"pattern\": %s is not supported",
                   r->nfa->place, what);
}

static glint_status too_large(const reader *r) {
    return gi_nfa_too_large(r->nfa);
}

static glint_status new_tree(const reader *r, gi_regex_kind kind, gi_regex_tree **ret) {
    *ret = gi_arena_alloc(r->nfa->arena, 1, sizeof **ret);
    if (!*ret) return gi_nfa_no_memory(r->nfa);
    (*ret)->kind = kind;
    return GLINT_OK;
}

/* The next character of the pattern; the pattern is valid UTF-8. */
static uint32_t take_char(reader *r) {
    uint32_t cp = 0;
    const int n = gi_utf8_decode(r->at, (size_t)(r->end - r->at), &cp);
    r->at += n > 0 ? n : 1;
    return cp;
}

static bool take_hex(reader *r, int n_digits, uint32_t *ret) {
    uint32_t v = 0;
    if (r->end - r->at < n_digits) return false;
    for (int i = 0; i < n_digits; i++) {
        const int d = gi_ascii_hex_value(r->at[i]);
        if (d < 0) return false;
        v = v * 16 + (uint32_t)d;
    }
    r->at += n_digits;
    *ret = v;
    return true;
}

/* \u{...}, \uXXXX, and a pair of the latter for one character beyond the first plane. */
static glint_status take_unicode(reader *r, uint32_t *ret) {
    uint32_t cp = 0, low = 0;
    if (r->at < r->end && *r->at == '{') {
        int n = 0;
        for (r->at++; r->at < r->end && gi_ascii_hex_value(*r->at) >= 0 && n < 6; n++)
            cp = cp * 16 + (uint32_t)gi_ascii_hex_value(*r->at++);
        if (n == 0 || r->at == r->end || *r->at++ != '}') return bad(r, "\\u{");
    } else if (!take_hex(r, 4, &cp)) {
        return bad(r, "\\u without four hexadecimal digits");
    }
    if (cp >= 0xD800 && cp <= 0xDBFF && r->end - r->at >= 6 && r->at[0] == '\\' &&
        r->at[1] == 'u') {
        r->at += 2;
        if (!take_hex(r, 4, &low) || low < 0xDC00 || low > 0xDFFF) return bad(r, "half a pair");
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    if (cp > GI_LAST_CHAR) return bad(r, "a character above U+10FFFF");
    *ret = cp;
    return GLINT_OK;
}

/* What stands behind a backslash, as one character. */
static glint_status take_escape(reader *r, uint32_t *ret) {
    static const char letters[] = "tnrfv", values[] = "\t\n\r\f\v";
    if (r->at == r->end) return bad(r, "it ends in a backslash");
    const uint32_t c = take_char(r);
    const char *p = c < 128 && c > 0 ? strchr(letters, (int)c) : NULL;
    if (p) {
        *ret = (uint32_t)values[p - letters];
    } else if (c == 'x') {
        if (!take_hex(r, 2, ret)) return bad(r, "\\x without two hexadecimal digits");
    } else if (c == 'u') {
        return take_unicode(r, ret);
    } else if (c == 'c') {
        const int letter = r->at < r->end ? *r->at | 32 : 0;
        if (letter < 'a' || letter > 'z') return bad(r, "\\c without a letter");
        r->at++;
        *ret = (uint32_t)(letter - 'a' + 1);
    } else if (c == '0' && (r->at == r->end || !gi_ascii_is_digit(*r->at))) {
        *ret = 0;
    } else if (gi_ascii_is_alnum((int)c)) {
        const char what[] = {'\\', (char)c, 0};
        return unsupported(r, what);
    } else {
        *ret = c;
    }
    return GLINT_OK;
}

/* One member of a bracket: *ret_is_char false means that a named class went into the draft. */
static glint_status take_member(reader *r, gi_char_draft *d, uint32_t *ret, bool *ret_is_char) {
    bool fits = true;
    *ret_is_char = true;
    const uint32_t c = take_char(r);
    if (c != '\\') {
        *ret = c;
        return GLINT_OK;
    }
    if (r->at < r->end && *r->at == 'b') {
        r->at++;
        *ret = '\b';
        return GLINT_OK;
    }
    if (r->at < r->end && gi_char_draft_add_named(d, *r->at, &fits)) {
        r->at++;
        *ret_is_char = false;
        return fits ? GLINT_OK : too_large(r);
    }
    return take_escape(r, ret);
}

static glint_status read_bracket(reader *r, uint32_t *ret_set) {
    gi_char_draft d = {.n = 0};
    const bool negated = r->at < r->end && *r->at == '^';
    if (negated) r->at++;
    while (r->at < r->end && *r->at != ']') {
        uint32_t lo = 0, hi = 0;
        bool lo_is_char, hi_is_char;
        GI_TRY(take_member(r, &d, &lo, &lo_is_char));
        hi = lo;
        if (r->end - r->at >= 2 && r->at[0] == '-' && r->at[1] != ']') {
            r->at++;
            GI_TRY(take_member(r, &d, &hi, &hi_is_char));
            if (!lo_is_char || !hi_is_char) return unsupported(r, "a class as an end of a range");
            if (hi < lo) return bad(r, "a range that runs backwards");
        }
        if (lo_is_char && !gi_char_draft_add(&d, lo, hi)) return too_large(r);
    }
    if (r->at == r->end) return bad(r, "[ without ]");
    r->at++;
    if (negated && !gi_char_draft_negate(&d)) return too_large(r);
    return gi_nfa_keep_set(r->nfa, &d, ret_set);
}

static glint_status read_alternatives(reader *r, const gi_regex_tree **ret);

static glint_status read_group(reader *r, const gi_regex_tree **ret) {
    if (r->n_groups == GROUPS_MAX) return too_large(r);
    if (r->end - r->at >= 2 && r->at[0] == '?') {
        const uint8_t kind = r->at[1];
        const uint8_t behind = r->end - r->at >= 3 ? r->at[2] : 0;
        if (kind == '=' || kind == '!' || (kind == '<' && (behind == '=' || behind == '!')))
            return unsupported(r, "look-around");
        if (kind == '<') {
            while (r->at < r->end && *r->at != '>') r->at++;
            if (r->at == r->end) return bad(r, "a group's name without an end");
            r->at++;
        } else if (kind == ':') {
            r->at += 2;
        } else {
            return unsupported(r, "this kind of group");
        }
    }
    r->n_groups++;
    GI_TRY(read_alternatives(r, ret));
    r->n_groups--;
    if (r->at == r->end || *r->at != ')') return bad(r, "( without )");
    r->at++;
    return GLINT_OK;
}

static glint_status one_set(const reader *r, gi_char_draft *d, const gi_regex_tree **ret) {
    gi_regex_tree *t;
    GI_TRY(new_tree(r, GI_REGEX_SET, &t));
    *ret = t;
    return gi_nfa_keep_set(r->nfa, d, &t->set);
}

/* A dot, an escape or a character that stands for itself. */
static glint_status read_char(reader *r, const gi_regex_tree **ret) {
    gi_char_draft d = {.n = 0};
    bool fits = true;
    uint32_t c = take_char(r);
    if (c == '.') {
        fits = gi_char_draft_add(&d, '\n', '\n') && gi_char_draft_add(&d, '\r', '\r') &&
               gi_char_draft_add(&d, 0x2028, 0x2029) && gi_char_draft_negate(&d);
    } else if (c == '\\' && r->at < r->end && gi_char_draft_add_named(&d, *r->at, &fits)) {
        r->at++;
    } else {
        if (c == '\\') GI_TRY(take_escape(r, &c));
        fits = gi_char_draft_add(&d, c, c);
    }
    return fits ? one_set(r, &d, ret) : too_large(r);
}

static glint_status read_atom(reader *r, const gi_regex_tree **ret) {
    gi_regex_tree *t;
    switch (*r->at) {
    case '(':
        r->at++;
        return read_group(r, ret);
    case '[':
        r->at++;
        GI_TRY(new_tree(r, GI_REGEX_SET, &t));
        *ret = t;
        return read_bracket(r, &t->set);
    case '^':
    case '$':
        GI_TRY(new_tree(r, *r->at++ == '^' ? GI_REGEX_BEGIN : GI_REGEX_END, &t));
        *ret = t;
        return GLINT_OK;
    case '*':
    case '+':
    case '?':
        return bad(r, "nothing to repeat");
    default:
        return read_char(r, ret);
    }
}

static bool take_count(reader *r, uint32_t *ret) {
    const uint8_t *from = r->at;
    uint32_t v = 0;
    for (; r->at < r->end && gi_ascii_is_digit(*r->at); r->at++)
        if (v <= REPEAT_MAX) v = v * 10 + (uint32_t)(*r->at - '0');
    *ret = v;
    return r->at > from;
}

/* {n}, {n,} or {n,m}. False, reading nothing: a brace that stands for itself. */
static bool take_braces(reader *r, uint32_t *ret_min, uint32_t *ret_max) {
    const uint8_t *from = r->at++;
    if (take_count(r, ret_min)) {
        *ret_max = *ret_min;
        if (r->at < r->end && *r->at == ',') {
            r->at++;
            if (!take_count(r, ret_max)) *ret_max = GI_UNLIMITED;
        }
        if (r->at < r->end && *r->at == '}') {
            r->at++;
            return true;
        }
    }
    r->at = from;
    return false;
}

static glint_status read_repeated(reader *r, const gi_regex_tree **ret) {
    const gi_regex_tree *atom = NULL;
    GI_TRY(read_atom(r, &atom));
    uint32_t min = 1, max = 1;
    const uint8_t c = r->at < r->end ? *r->at : 0;
    if (c == '*' || c == '+' || c == '?') {
        r->at++;
        min = c == '+';
        max = c == '?' ? 1 : GI_UNLIMITED;
    } else if (c != '{' || !take_braces(r, &min, &max)) {
        *ret = atom;
        return GLINT_OK;
    }
    if (r->at < r->end && *r->at == '?') r->at++; /* as few as possible: matches the same */
    if (max < min) return bad(r, "a count that runs backwards");
    if (min > REPEAT_MAX || (max > REPEAT_MAX && max != GI_UNLIMITED)) return too_large(r);
    gi_regex_tree *t;
    GI_TRY(new_tree(r, GI_REGEX_REPEAT, &t));
    *t = (gi_regex_tree){.kind = GI_REGEX_REPEAT, .sub = atom, .min = min, .max = max};
    *ret = t;
    return GLINT_OK;
}

static glint_status append(const reader *r, gi_regex_tree *list, const gi_regex_tree *tree) {
    gi_regex_part *part = gi_arena_alloc(r->nfa->arena, 1, sizeof *part);
    if (!part) return gi_nfa_no_memory(r->nfa);
    *part = (gi_regex_part){.tree = tree, .prev = list->parts};
    list->parts = part;
    return GLINT_OK;
}

static glint_status read_alternatives(reader *r, const gi_regex_tree **ret) {
    gi_regex_tree *alt, *cat;
    GI_TRY(new_tree(r, GI_REGEX_ALT, &alt));
    for (;;) {
        GI_TRY(new_tree(r, GI_REGEX_CAT, &cat));
        while (r->at < r->end && *r->at != '|' && *r->at != ')') {
            const gi_regex_tree *part = NULL;
            GI_TRY(read_repeated(r, &part));
            GI_TRY(append(r, cat, part));
        }
        GI_TRY(append(r, alt, cat));
        if (r->at == r->end || *r->at == ')') break;
        r->at++;
    }
    *ret = alt;
    return GLINT_OK;
}

glint_status gi_regex_parse(gi_nfa *nfa, const char *pattern, const gi_regex_tree **ret) {
    const uint8_t *bytes = (const uint8_t *)pattern;
    const size_t n = strlen(pattern);
    reader r = {.nfa = nfa, .at = bytes, .end = bytes + n};
    const gi_regex_tree *t = NULL;
    if (!gi_utf8_is_valid(bytes, n, NULL)) return bad(&r, "not UTF-8");
    GI_TRY(read_alternatives(&r, &t));
    if (r.at < r.end) return bad(&r, ") without (");
    *ret = t;
    return GLINT_OK;
}
