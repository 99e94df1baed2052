/*
 * A pattern is read by recursive descent (groups nest at most GROUPS_MAX deep) into a tree, and
 * the tree becomes states, built from the end to the start.
 *
 * Refused by name: back references, look-around, \b, \B, \p, \k, flags, and escapes of letters
 * that mean nothing.
 */
#include "grammar/regex_parts.h"

#include "base/ascii.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 32, REPEAT_MAX = 4096, SET_RANGES_MAX = 256, NONE = -1 };
/* Visits of the tree: an empty group may be repeated as often as one likes. */
enum { EMITTED_MAX = 200000 };
static const uint32_t LAST_CHAR = 0x10FFFF;

typedef enum tree_kind { EMPTY, SET, CAT, ALT, REPEAT, BEGIN, END } tree_kind;

/* CAT and ALT keep their parts as a list, last part first. */
typedef struct tree {
    tree_kind kind;
    uint32_t set;           /* SET */
    uint32_t min, max;      /* REPEAT; UINT32_MAX: no end */
    const struct tree *sub; /* REPEAT; last part of CAT, ALT */
    const struct tree *prev;
} tree;

typedef struct reader {
    gi_nfa *nfa;
    const uint8_t *at, *end;
    uint32_t n_groups, n_emitted;
} reader;

/* A set being collected. */
typedef struct draft {
    gi_char_range ranges[SET_RANGES_MAX];
    size_t n;
} draft;

static glint_status bad(const reader *r, const char *why) {
    return gi_fail(r->nfa->err, GLINT_ERR_FORMAT, "%s: \"pattern\" is not valid: %s", r->nfa->place,
                   why);
}

static glint_status unsupported(const reader *r, const char *what) {
    return gi_fail(r->nfa->err, GLINT_ERR_UNSUPPORTED, "%s: \"pattern\": %s is not supported",
                   r->nfa->place, what);
}

static glint_status too_large(const reader *r) {
    return gi_fail(r->nfa->err, GLINT_ERR_LIMIT, "%s: \"pattern\" is too large", r->nfa->place);
}

static glint_status new_tree(const reader *r, tree_kind kind, tree **ret) {
    *ret = gi_arena_alloc(r->nfa->arena, 1, sizeof **ret);
    if (!*ret) return gi_nfa_no_memory(r->nfa);
    (*ret)->kind = kind;
    return GLINT_OK;
}

static bool draft_add(draft *d, uint32_t lo, uint32_t hi) {
    if (d->n == SET_RANGES_MAX) return false;
    d->ranges[d->n++] = (gi_char_range){lo, hi, 0};
    return true;
}

static int compare_ranges(const void *a, const void *b) {
    const gi_char_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void draft_sort(draft *d) {
    qsort(d->ranges, d->n, sizeof *d->ranges, compare_ranges);
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (n > 0 && d->ranges[i].lo <= d->ranges[n - 1].hi + 1) {
            if (d->ranges[i].hi > d->ranges[n - 1].hi) d->ranges[n - 1].hi = d->ranges[i].hi;
        } else {
            d->ranges[n++] = d->ranges[i];
        }
    }
    d->n = n;
}

static bool draft_negate(draft *d) {
    draft out = {.n = 0};
    uint32_t from = 0;
    draft_sort(d);
    for (size_t i = 0; i < d->n; i++) {
        if (d->ranges[i].lo > from && !draft_add(&out, from, d->ranges[i].lo - 1)) return false;
        from = d->ranges[i].hi + 1;
    }
    if (from <= LAST_CHAR && !draft_add(&out, from, LAST_CHAR)) return false;
    *d = out;
    return true;
}

/* Put a set among the machine's, or find it there. */
static glint_status keep_set(const reader *r, draft *d, uint32_t *ret) {
    gi_nfa *nfa = r->nfa;
    draft_sort(d);
    const size_t size = d->n * sizeof *d->ranges;
    for (size_t i = 0; i < nfa->n_sets; i++) {
        if (nfa->sets[i].n != d->n) continue;
        if (size && memcmp(nfa->sets[i].ranges, d->ranges, size) != 0) continue;
        *ret = (uint32_t)i;
        return GLINT_OK;
    }
    if (nfa->n_sets == GI_NFA_SETS_MAX) return too_large(r);
    gi_char_set *s = &nfa->sets[nfa->n_sets];
    s->ranges = gi_arena_alloc(nfa->arena, d->n ? d->n : 1, sizeof *s->ranges);
    if (!s->ranges) return gi_nfa_no_memory(nfa);
    if (size) memcpy(s->ranges, d->ranges, size);
    s->n = d->n;
    *ret = (uint32_t)nfa->n_sets++;
    return GLINT_OK;
}

/* \d \w \s and their complements, as ECMA-262 has them. False: `c` is none of these letters. */
static bool add_named(draft *d, int c, bool *ret_fits) {
    static const gi_char_range digits[] = {{'0', '9', 0}};
    static const gi_char_range words[] = {
        {'0', '9', 0}, {'A', 'Z', 0}, {'_', '_', 0}, {'a', 'z', 0}};
    static const gi_char_range spaces[] = {
        {9, 13, 0},          {32, 32, 0},         {0xA0, 0xA0, 0},     {0x1680, 0x1680, 0},
        {0x2000, 0x200A, 0}, {0x2028, 0x2029, 0}, {0x202F, 0x202F, 0}, {0x205F, 0x205F, 0},
        {0x3000, 0x3000, 0}, {0xFEFF, 0xFEFF, 0}};
    static const struct {
        int letter;
        const gi_char_range *ranges;
        size_t n;
    } named[] = {{'d', digits, 1}, {'w', words, 4}, {'s', spaces, 10}};
    for (size_t i = 0; i < 3; i++) {
        const bool negated = c == named[i].letter - 'a' + 'A';
        if (c != named[i].letter && !negated) continue;
        draft own = {.n = 0};
        *ret_fits = true;
        for (size_t k = 0; k < named[i].n; k++)
            *ret_fits &= draft_add(&own, named[i].ranges[k].lo, named[i].ranges[k].hi);
        if (negated) *ret_fits &= draft_negate(&own);
        for (size_t k = 0; k < own.n; k++)
            *ret_fits &= draft_add(d, own.ranges[k].lo, own.ranges[k].hi);
        return true;
    }
    return false;
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
    if (cp > LAST_CHAR) return bad(r, "a character above U+10FFFF");
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
static glint_status take_member(reader *r, draft *d, uint32_t *ret, bool *ret_is_char) {
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
    if (r->at < r->end && add_named(d, *r->at, &fits)) {
        r->at++;
        *ret_is_char = false;
        return fits ? GLINT_OK : too_large(r);
    }
    return take_escape(r, ret);
}

static glint_status read_bracket(reader *r, uint32_t *ret_set) {
    draft d = {.n = 0};
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
        if (lo_is_char && !draft_add(&d, lo, hi)) return too_large(r);
    }
    if (r->at == r->end) return bad(r, "[ without ]");
    r->at++;
    if (negated && !draft_negate(&d)) return too_large(r);
    return keep_set(r, &d, ret_set);
}

static glint_status read_alternatives(reader *r, const tree **ret);

static glint_status read_group(reader *r, const tree **ret) {
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

static glint_status one_set(const reader *r, draft *d, const tree **ret) {
    tree *t;
    GI_TRY(new_tree(r, SET, &t));
    *ret = t;
    return keep_set(r, d, &t->set);
}

/* A dot, an escape or a character that stands for itself. */
static glint_status read_char(reader *r, const tree **ret) {
    draft d = {.n = 0};
    bool fits = true;
    uint32_t c = take_char(r);
    if (c == '.') {
        fits = draft_add(&d, '\n', '\n') && draft_add(&d, '\r', '\r') &&
               draft_add(&d, 0x2028, 0x2029) && draft_negate(&d);
    } else if (c == '\\' && r->at < r->end && add_named(&d, *r->at, &fits)) {
        r->at++;
    } else {
        if (c == '\\') GI_TRY(take_escape(r, &c));
        fits = draft_add(&d, c, c);
    }
    return fits ? one_set(r, &d, ret) : too_large(r);
}

static glint_status read_atom(reader *r, const tree **ret) {
    tree *t;
    switch (*r->at) {
    case '(':
        r->at++;
        return read_group(r, ret);
    case '[':
        r->at++;
        GI_TRY(new_tree(r, SET, &t));
        *ret = t;
        return read_bracket(r, &t->set);
    case '^':
    case '$':
        GI_TRY(new_tree(r, *r->at++ == '^' ? BEGIN : END, &t));
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
            if (!take_count(r, ret_max)) *ret_max = UINT32_MAX;
        }
        if (r->at < r->end && *r->at == '}') {
            r->at++;
            return true;
        }
    }
    r->at = from;
    return false;
}

static glint_status read_repeated(reader *r, const tree **ret) {
    const tree *atom = NULL;
    GI_TRY(read_atom(r, &atom));
    uint32_t min = 1, max = 1;
    const uint8_t c = r->at < r->end ? *r->at : 0;
    if (c == '*' || c == '+' || c == '?') {
        r->at++;
        min = c == '+';
        max = c == '?' ? 1 : UINT32_MAX;
    } else if (c != '{' || !take_braces(r, &min, &max)) {
        *ret = atom;
        return GLINT_OK;
    }
    if (r->at < r->end && *r->at == '?') r->at++; /* as few as possible: matches the same */
    if (max < min) return bad(r, "a count that runs backwards");
    if (min > REPEAT_MAX || (max > REPEAT_MAX && max != UINT32_MAX)) return too_large(r);
    tree *t;
    GI_TRY(new_tree(r, REPEAT, &t));
    *t = (tree){.kind = REPEAT, .sub = atom, .min = min, .max = max};
    *ret = t;
    return GLINT_OK;
}

/* A node of its own for a part of a list: a part has one `prev`, an atom might be shared. */
static glint_status append(const reader *r, tree *list, const tree *part) {
    tree *link;
    GI_TRY(new_tree(r, CAT, &link));
    *link = (tree){.kind = EMPTY, .sub = part, .prev = list->sub};
    list->sub = link;
    return GLINT_OK;
}

static glint_status read_alternatives(reader *r, const tree **ret) {
    tree *alt, *cat;
    GI_TRY(new_tree(r, ALT, &alt));
    for (;;) {
        GI_TRY(new_tree(r, CAT, &cat));
        while (r->at < r->end && *r->at != '|' && *r->at != ')') {
            const tree *part = NULL;
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

static glint_status add_state(const reader *r, gi_nfa_kind kind, uint32_t a, uint32_t b,
                              uint32_t *ret) {
    gi_nfa *nfa = r->nfa;
    if (nfa->n_states == GI_NFA_STATES_MAX) return too_large(r);
    nfa->states[nfa->n_states] = (gi_nfa_state){a, b, (uint8_t)kind};
    *ret = (uint32_t)nfa->n_states++;
    return GLINT_OK;
}

/* States for `t` that go on to *io; *io becomes where they start. Depth: that of the groups. */
static glint_status emit(reader *r, const tree *t, uint32_t *io) {
    if (++r->n_emitted > EMITTED_MAX) return too_large(r);
    const uint32_t then = *io;
    uint32_t entry = then, all = then;
    switch (t->kind) {
    case EMPTY:
        break;
    case SET:
        return add_state(r, GI_NFA_SET, then, t->set, io);
    case BEGIN:
        return add_state(r, GI_NFA_BEGIN, then, 0, io);
    case END:
        return add_state(r, GI_NFA_END, then, 0, io);
    case CAT:
        for (const tree *part = t->sub; part; part = part->prev) GI_TRY(emit(r, part->sub, io));
        break;
    case ALT:
        for (const tree *part = t->sub; part; part = part->prev) {
            entry = then;
            GI_TRY(emit(r, part->sub, &entry));
            if (part == t->sub)
                all = entry;
            else
                GI_TRY(add_state(r, GI_NFA_SPLIT, entry, all, &all));
        }
        *io = all;
        break;
    case REPEAT:
        if (t->max == UINT32_MAX) {
            GI_TRY(add_state(r, GI_NFA_SPLIT, then, then, io));
            entry = *io;
            GI_TRY(emit(r, t->sub, &entry));
            r->nfa->states[*io].a = entry;
        }
        for (uint32_t i = t->min; t->max != UINT32_MAX && i < t->max; i++) {
            GI_TRY(emit(r, t->sub, io));
            GI_TRY(add_state(r, GI_NFA_SPLIT, *io, then, io));
        }
        for (uint32_t i = 0; i < t->min; i++) GI_TRY(emit(r, t->sub, io));
        break;
    }
    return GLINT_OK;
}

glint_status gi_nfa_add(gi_nfa *nfa, const char *pattern, uint32_t *ret_start) {
    const uint8_t *bytes = (const uint8_t *)pattern;
    const size_t n = strlen(pattern);
    reader r = {.nfa = nfa, .at = bytes, .end = bytes + n};
    const tree *t = NULL;
    draft any = {.n = 0};
    uint32_t set = 0, match = 0, step = 0, state = 0;
    if (!gi_utf8_is_valid(bytes, n, NULL)) return bad(&r, "not UTF-8");
    GI_TRY(read_alternatives(&r, &t));
    if (r.at < r.end) return bad(&r, ") without (");
    (void)draft_add(&any, 0, LAST_CHAR);
    GI_TRY(keep_set(&r, &any, &set));
    /* anything, the pattern, anything */
    GI_TRY(add_state(&r, GI_NFA_MATCH, 0, 0, &match));
    GI_TRY(add_state(&r, GI_NFA_SPLIT, match, match, &state));
    GI_TRY(add_state(&r, GI_NFA_SET, state, set, &step));
    nfa->states[state].a = step;
    GI_TRY(emit(&r, t, &state));
    GI_TRY(add_state(&r, GI_NFA_SPLIT, state, state, ret_start));
    GI_TRY(add_state(&r, GI_NFA_SET, *ret_start, set, &step));
    nfa->states[*ret_start].a = step;
    return GLINT_OK;
}
