/*
 * The published templates are Jinja programs; this file does what they do, and is tested against
 * their output. Tools and video are not covered. The difference on purpose: the templates paste
 * user text into a string that is then searched for special tokens, here text stays text.
 */
#include "text/chat.h"

#include "base/buf.h"
#include "base/checked.h"
#include "base/utf8.h"

#include <string.h>

static glint_status need(const gi_tokenizer *t, const char *content, int32_t *ret,
                         glint_error *err) {
    *ret = gi_tokenizer_special(t, content);
    if (*ret >= 0) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_FORMAT, "the tokenizer has no token \"%s\"", content);
}

static glint_status find_dialect(gi_chat *c, const char *template_text, glint_error *err) {
    bool has_switch = c->nothink >= 0 && c->box_begin >= 0;
    if (template_text) {
        if (!strstr(template_text, "[gMASK]<sop>"))
            return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                           "the chat template does not begin with [gMASK]<sop>");
        has_switch = strstr(template_text, "enable_thinking") != NULL;
    }
    c->dialect = has_switch           ? GI_CHAT_GLM_46V
                 : c->answer_end >= 0 ? GI_CHAT_GLM_41V
                                      : GI_CHAT_PLAIN;
    return GLINT_OK;
}

glint_status gi_chat_init(gi_chat *chat, const gi_tokenizer *tokenizer, const char *template_text,
                          glint_error *err) {
    const gi_tokenizer *t = tokenizer;
    gi_chat c = {.tokenizer = t};
    GI_TRY(need(t, "[gMASK]", &c.gmask, err));
    GI_TRY(need(t, "<sop>", &c.sop, err));
    GI_TRY(need(t, "<|system|>", &c.system, err));
    GI_TRY(need(t, "<|user|>", &c.user, err));
    GI_TRY(need(t, "<|assistant|>", &c.assistant, err));
    GI_TRY(need(t, "<|observation|>", &c.observation, err));
    GI_TRY(need(t, "<|begin_of_image|>", &c.image_begin, err));
    GI_TRY(need(t, "<|end_of_image|>", &c.image_end, err));
    GI_TRY(need(t, "<|image|>", &c.image, err));
    c.think_begin = gi_tokenizer_special(t, "<think>");
    c.think_end = gi_tokenizer_special(t, "</think>");
    c.nothink = gi_tokenizer_special(t, "/nothink");
    c.answer_begin = gi_tokenizer_special(t, "<answer>");
    c.answer_end = gi_tokenizer_special(t, "</answer>");
    c.box_begin = gi_tokenizer_special(t, "<|begin_of_box|>");
    c.box_end = gi_tokenizer_special(t, "<|end_of_box|>");
    GI_TRY(find_dialect(&c, template_text, err));
    *chat = c;
    return GLINT_OK;
}

/* One call of gi_chat_encode. */
typedef struct encoding {
    const gi_chat *chat;
    gi_ids *ids;
    gi_buf text;    /* since the last special id */
    gi_buf content; /* of an assistant's turn */
    size_t *image_start;
    glint_error *err;
} encoding;

static glint_status flush(encoding *e) {
    GI_TRY(gi_tokenizer_encode(e->chat->tokenizer, (const char *)e->text.data, e->text.len, e->ids,
                               e->err));
    gi_buf_clear(&e->text);
    return GLINT_OK;
}

static glint_status put_id(encoding *e, int32_t id, size_t count) {
    GI_TRY(flush(e));
    return gi_ids_push(e->ids, id, count, e->err);
}

/* A marker of the template: its id, or its letters where the checkpoint has no such token. */
static glint_status put_marker(encoding *e, int32_t id, const char *letters) {
    return id >= 0 ? put_id(e, id, 1) : gi_buf_puts(&e->text, letters, e->err);
}

static glint_status put_picture(encoding *e, size_t n_tokens) {
    if (n_tokens == 0) return gi_fail(e->err, GLINT_ERR_ARG, "a picture without tokens");
    GI_TRY(put_id(e, e->chat->image_begin, 1));
    *e->image_start++ = e->ids->n;
    GI_TRY(put_id(e, e->chat->image, n_tokens));
    return put_id(e, e->chat->image_end, 1);
}

/* White space as Python's str.strip() sees it. */
static bool is_space(uint32_t cp) {
    return (cp >= 9 && cp <= 13) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

/* Narrow *s, *n to what lies between leading and trailing white space. */
static void strip(const uint8_t **s, size_t *n) {
    gi_assert(*s || *n == 0);
    uint32_t cp = 0;
    while (*n > 0) {
        const int len = gi_utf8_decode(*s, *n, &cp);
        if (len <= 0 || !is_space(cp)) break;
        *s += len;
        *n -= (size_t)len;
    }
    while (*n > 0) {
        size_t back = 1;
        while (back < 4 && back < *n && ((*s)[*n - back] & 0xC0) == 0x80) back++;
        if (gi_utf8_decode(*s + *n - back, back, &cp) != (int)back || !is_space(cp)) break;
        *n -= back;
    }
}

/* First or last place of `what` in s[0..n); NULL when there is none. */
static const uint8_t *find(const uint8_t *s, size_t n, const char *what, bool last) {
    const size_t n_what = strlen(what);
    const uint8_t *found = NULL;
    for (const uint8_t *at = s; n > 0; at++) {
        at = memmem(at, n - (size_t)(at - s), what, n_what);
        if (!at) break;
        found = at;
        if (!last) break;
    }
    return found;
}

/*
 * An assistant's turn of GLM-4.6V: its thought (kept only after the last user turn, when the
 * model goes on from it), then its text without the thought.
 */
static glint_status put_thinking_turn(encoding *e, const gi_chat_turn *turn, bool keep_thought) {
    static const char begin[] = "<think>", end[] = "</think>";
    gi_buf_clear(&e->content);
    for (size_t i = 0; i < turn->n_parts; i++)
        GI_TRY(gi_buf_push(&e->content, turn->parts[i].text, turn->parts[i].n_text_bytes, e->err));
    const uint8_t *text = e->content.data, *thought = (const uint8_t *)turn->reasoning;
    size_t n_text = e->content.len, n_thought = turn->n_reasoning_bytes;
    const uint8_t *last_end = text && !thought ? find(text, n_text, end, true) : NULL;
    if (last_end) {
        thought = text;
        n_thought = (size_t)(find(text, n_text, end, false) - text);
        const uint8_t *last_begin = find(thought, n_thought, begin, true);
        if (last_begin) {
            n_thought -= (size_t)(last_begin - thought) + strlen(begin);
            thought = last_begin + strlen(begin);
        }
        n_text -= (size_t)(last_end - text) + strlen(end);
        text = last_end + strlen(end);
    }
    strip(&thought, &n_thought);
    strip(&text, &n_text);
    GI_TRY(put_marker(e, e->chat->think_begin, begin));
    if (keep_thought) GI_TRY(gi_buf_push(&e->text, thought, n_thought, e->err));
    GI_TRY(put_marker(e, e->chat->think_end, end));
    if (n_text > 0) GI_TRY(gi_buf_puts(&e->text, "\n", e->err));
    return gi_buf_push(&e->text, text, n_text, e->err);
}

static bool ends_with(const gi_buf *b, const char *end) {
    const size_t n = strlen(end);
    return b->len >= n && memcmp(b->data + b->len - n, end, n) == 0;
}

static glint_status put_turn(encoding *e, const gi_chat_turn *turn, bool keep_thought,
                             bool thinking) {
    const gi_chat *c = e->chat;
    const bool switched = c->dialect == GI_CHAT_GLM_46V;
    GI_TRY(put_id(e,
                  turn->role == GI_CHAT_SYSTEM ? c->system
                  : turn->role == GI_CHAT_USER ? c->user
                                               : c->assistant,
                  1));
    GI_TRY(gi_buf_puts(&e->text, "\n", e->err));
    for (size_t i = 0; i < turn->n_parts && turn->role == GI_CHAT_ASSISTANT; i++)
        if (!turn->parts[i].text)
            return gi_fail(e->err, GLINT_ERR_ARG, "a picture in an assistant's turn");
    if (turn->role == GI_CHAT_ASSISTANT && switched)
        return put_thinking_turn(e, turn, keep_thought);
    for (size_t i = 0; i < turn->n_parts; i++) {
        const gi_chat_part *part = &turn->parts[i];
        if (part->text)
            GI_TRY(gi_buf_push(&e->text, part->text, part->n_text_bytes, e->err));
        else
            GI_TRY(put_picture(e, part->n_image_tokens));
    }
    if (turn->role == GI_CHAT_USER && switched && !thinking && !ends_with(&e->text, "/nothink"))
        return put_marker(e, c->nothink, "/nothink");
    return GLINT_OK;
}

static glint_status put_answer_begin(encoding *e, bool thinking) {
    const gi_chat *c = e->chat;
    GI_TRY(put_id(e, c->assistant, 1));
    GI_TRY(gi_buf_puts(&e->text, "\n", e->err));
    if (c->dialect != GI_CHAT_PLAIN && !thinking) {
        GI_TRY(put_marker(e, c->think_begin, "<think>"));
        GI_TRY(put_marker(e, c->think_end, "</think>"));
        if (c->dialect == GI_CHAT_GLM_46V)
            GI_TRY(gi_buf_puts(&e->text, "\n", e->err));
        else
            GI_TRY(put_marker(e, c->answer_begin, "<answer>"));
    }
    return flush(e);
}

/* Bytes of all text; what the template adds to a turn is less than 64. */
static glint_status text_bytes(const gi_chat_turn *turns, size_t n_turns, size_t *ret,
                               glint_error *err) {
    size_t n = 64;
    bool fits = true;
    for (size_t i = 0; i < n_turns; i++) {
        fits = fits && gi_add_size(n, turns[i].n_reasoning_bytes, &n) && gi_add_size(n, 64, &n);
        for (size_t j = 0; j < turns[i].n_parts; j++)
            fits = fits && gi_add_size(n, turns[i].parts[j].n_text_bytes, &n);
    }
    if (!fits) return gi_fail(err, GLINT_ERR_LIMIT, "the conversation is too long");
    *ret = n;
    return GLINT_OK;
}

glint_status gi_chat_encode(const gi_chat *chat, const gi_chat_turn *turns, size_t n_turns,
                            bool thinking, gi_ids *ids, size_t *ret_image_start, glint_error *err) {
    encoding e = {.chat = chat, .ids = ids, .image_start = ret_image_start, .err = err};
    size_t n_bytes_max = 0, thoughts_from = 0; /* thoughts are kept after the last user turn */
    GI_TRY(text_bytes(turns, n_turns, &n_bytes_max, err));
    for (size_t i = 0; i < n_turns; i++)
        if (turns[i].role == GI_CHAT_USER) thoughts_from = i;
    gi_buf_init(&e.text, n_bytes_max);
    gi_buf_init(&e.content, n_bytes_max);
    glint_status st = gi_ids_push(ids, chat->gmask, 1, err);
    if (st == GLINT_OK) st = gi_ids_push(ids, chat->sop, 1, err);
    for (size_t i = 0; i < n_turns && st == GLINT_OK; i++)
        st = put_turn(&e, &turns[i], i >= thoughts_from, thinking);
    if (st == GLINT_OK) st = put_answer_begin(&e, thinking);
    gi_buf_done(&e.text);
    gi_buf_done(&e.content);
    return st;
}
