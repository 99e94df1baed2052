/*
 * One pass over the text: outside of long plain strings it is copied, inside it is only looked at.
 * Keys are never lifted, so that an unknown one is reported by its name.
 */
#include "server/json_lift.h"

#include "base/buf.h"

#include <string.h>

/* Parsed, a zero byte; a letter that says which span comes behind it. */
static const char STAND_IN[] = "\\u0000";

/* What base64 and the head of a data: URI are written with. */
static bool is_plain(const char *s, size_t n) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        const unsigned letter = (unsigned)(c | 0x20) - 'a';
        bad |= !((letter < 26) | ((unsigned)(c - '+') < 16) | (c == ':') | (c == ';') | (c == '='));
    }
    return bad == 0;
}

/* The closing quote of the string that begins at `from`, or NULL. */
static const char *closing_quote(const char *from, const char *end) {
    for (const char *p = from; p < end;) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        const char *escape = memchr(p, '\\', (size_t)((quote ? quote : end) - p));
        if (!escape) return quote;
        p = end - escape > 2 ? escape + 2 : end;
    }
    return NULL;
}

static bool is_key(const char *behind, const char *end) {
    while (behind < end && strchr(" \t\r\n", *behind) && *behind) behind++;
    return behind < end && *behind == ':';
}

/* Copy the text into `out` with stand-ins for what is lifted. */
static glint_status lift(const char *text, size_t n, gi_json_lifted *to, gi_buf *out,
                         glint_error *err) {
    const char *const end = text + n, *copied = text, *p = text;
    while (to->n_spans < GI_JSON_LIFT_MAX && (p = memchr(p, '"', (size_t)(end - p)))) {
        const char *quote = closing_quote(++p, end);
        if (!quote) break;
        const size_t length = (size_t)(quote - p);
        if (length >= GI_JSON_LIFT_BYTES_MIN && is_plain(p, length) && !is_key(quote + 1, end)) {
            GI_TRY(gi_buf_push(out, copied, (size_t)(p - copied), err));
            GI_TRY(gi_buf_printf(out, err, "%s%c", STAND_IN, (char)('A' + to->n_spans)));
            to->spans[to->n_spans++] = (gi_json_span){.s = p, .n = length};
            copied = quote;
        }
        p = quote + 1;
    }
    return gi_buf_push(out, copied, (size_t)(end - copied), err);
}

/* Whether a string of the text itself could be taken for a stand-in. */
static bool has_zero_escape(const char *text, size_t n, const gi_json_lifted *lifted) {
    const char *from = text;
    for (size_t i = 0; i <= lifted->n_spans; i++) {
        const char *to = i < lifted->n_spans ? lifted->spans[i].s : text + n;
        if (memmem(from, (size_t)(to - from), STAND_IN, strlen(STAND_IN))) return true;
        if (i < lifted->n_spans) from = to + lifted->spans[i].n;
    }
    return false;
}

glint_status gi_json_lift_parse(const char *text, size_t n, gi_json_lifted *ret, glint_error *err) {
    gi_json_lifted j = {0};
    if (n < GI_JSON_LIFT_BYTES_MIN) {
        GI_TRY(gi_json_parse_any(text, n, "request body", &j.json, err));
        *ret = j;
        return GLINT_OK;
    }
    gi_buf skeleton;
    gi_buf_init(&skeleton, n);
    glint_status st = lift(text, n, &j, &skeleton, err);
    if (st == GLINT_OK && has_zero_escape(text, n, &j)) {
        j.n_spans = 0;
        st = gi_json_parse_any(text, n, "request body", &j.json, err);
    } else if (st == GLINT_OK) {
        st = gi_json_parse_any(skeleton.data, skeleton.len, "request body", &j.json, err);
    }
    gi_buf_done(&skeleton);
    if (st == GLINT_OK) *ret = j;
    return st;
}

void gi_json_lift_done(gi_json_lifted *j) {
    json_decref(j->json);
    *j = (gi_json_lifted){0};
}

gi_json_span gi_json_lift_string(const gi_json_lifted *j, const json_t *string) {
    const char *s = json_string_value(string);
    const size_t n = json_string_length(string);
    if (j->n_spans > 0 && n == 2 && s[0] == '\0') return j->spans[s[1] - 'A'];
    return (gi_json_span){.s = s, .n = n};
}

/* As deep as the parser lets a text be nested. */
bool gi_json_lift_restore(const gi_json_lifted *j, json_t *value) {
    json_t *inner;
    if (json_is_string(value)) {
        const gi_json_span span = gi_json_lift_string(j, value);
        return span.s == json_string_value(value) || json_string_setn(value, span.s, span.n) == 0;
    }
    if (json_is_array(value)) {
        size_t i;
        json_array_foreach(value, i, inner) {
            if (!gi_json_lift_restore(j, inner)) return false;
        }
    } else if (json_is_object(value)) {
        const char *key;
        json_object_foreach(value, key, inner) {
            if (!gi_json_lift_restore(j, inner)) return false;
        }
    }
    return true;
}
