/*
 * One buffer holds the whole output, reasoning first:
 *
 *     | reasoning \0 | text given out | text held back |
 *                    ^ text_start     ^ n_sent         ^ n
 *
 * Bytes enter in whole characters. Each one advances the matcher of every pattern (stop strings,
 * and those markers that the checkpoint has no token for); what is held back is the longest
 * beginning of a pattern that the text ends with, so nothing given out is ever taken back. The
 * matchers are Knuth, Morris and Pratt's: a step never looks back into the text.
 *
 * Memory is taken once, for the longest output max_tokens can make.
 */
#include "engine/answer.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/json_text.h"
#include "base/utf8.h"

#include <stddef.h>
#include <string.h>

/* What a pattern does when it is complete. */
typedef enum action { STOP, THINK_BEGIN, THINK_END, ANSWER_BEGIN, ANSWER_END, DROP } action;

/* The markers, as letters. Each has an id too, in gi_chat, where the checkpoint knows it as a
 * token. */
static const struct {
    const char *letters;
    size_t id_offset;
    action action;
} markers[] = {
    {"<think>", offsetof(gi_chat, think_begin), THINK_BEGIN},
    {"</think>", offsetof(gi_chat, think_end), THINK_END},
    {"<answer>", offsetof(gi_chat, answer_begin), ANSWER_BEGIN},
    {"</answer>", offsetof(gi_chat, answer_end), ANSWER_END},
    {"<|begin_of_box|>", offsetof(gi_chat, box_begin), DROP},
    {"<|end_of_box|>", offsetof(gi_chat, box_end), DROP},
};
enum { N_MARKERS = sizeof markers / sizeof *markers };

typedef struct pattern {
    action action;
    uint16_t n;                            /* bytes */
    uint16_t matched;                      /* of them, at the end of the text */
    uint8_t bytes[GLINT_STOP_BYTES_MAX];   /* [n] */
    uint16_t border[GLINT_STOP_BYTES_MAX]; /* longest border of bytes[0..i] */
} pattern;

struct gi_answer {
    const gi_tokenizer *tokenizer;
    gi_answer_phase phase;
    bool thinks; /* a dialect with reasoning: white space around its parts is dropped */
    bool has_reasoning;
    bool at_begin;                 /* only dropped white space so far in this part */
    int32_t marker_ids[N_MARKERS]; /* -1: none */
    size_t n_patterns;
    pattern patterns[GLINT_STOPS_MAX + N_MARKERS];
    uint8_t partial[4]; /* a character that is not complete */
    size_t n_partial;
    uint8_t *bytes; /* [cap + 1] */
    size_t text_start, n_sent, n, cap;
    uint8_t *data_json; /* zero-terminated, or NULL */
};

static void add_pattern(gi_answer *a, const char *bytes, size_t n, action act) {
    pattern *p = &a->patterns[a->n_patterns++];
    p->action = act;
    p->n = (uint16_t)n;
    memcpy(p->bytes, bytes, n);
    for (size_t i = 1, k = 0; i < n; i++) {
        while (k > 0 && p->bytes[i] != p->bytes[k]) k = p->border[k - 1];
        if (p->bytes[i] == p->bytes[k]) k++;
        p->border[i] = (uint16_t)k;
    }
}

static glint_status add_patterns(gi_answer *a, const gi_answer_options *o, glint_error *err) {
    for (size_t i = 0; i < N_MARKERS; i++) {
        const char *chat = (const char *)o->chat;
        memcpy(&a->marker_ids[i], chat + markers[i].id_offset, sizeof a->marker_ids[i]);
        if (a->marker_ids[i] < 0 && a->thinks)
            add_pattern(a, markers[i].letters, strlen(markers[i].letters), markers[i].action);
    }
    if (o->n_stops > GLINT_STOPS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "more than %d stop strings", GLINT_STOPS_MAX);
    for (size_t i = 0; i < o->n_stops; i++) {
        const size_t n = o->stops[i] ? strlen(o->stops[i]) : 0;
        if (n == 0 || n > GLINT_STOP_BYTES_MAX)
            return gi_fail(err, GLINT_ERR_ARG, "a stop string must have 1 to %d bytes",
                           GLINT_STOP_BYTES_MAX);
        if (!gi_utf8_is_valid((const uint8_t *)o->stops[i], n, NULL))
            return gi_fail(err, GLINT_ERR_ARG, "a stop string is not UTF-8");
        add_pattern(a, o->stops[i], n, STOP);
    }
    return GLINT_OK;
}

/* Memory for the output: a byte that is not UTF-8 becomes three. */
static glint_status take_memory(gi_answer *a, int max_tokens, glint_error *err) {
    if (max_tokens < 1 || max_tokens > GLINT_MAX_TOKENS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "max_tokens must be 1 to %d", GLINT_MAX_TOKENS_MAX);
    /* + the partial character at the end and the zero behind the reasoning */
    a->cap = (size_t)max_tokens * gi_tokenizer_longest_bytes(a->tokenizer) * 3 + 16;
    a->bytes = gi_alloc(a->cap + 1);
    if (!a->bytes) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the answer");
    a->bytes[0] = 0;
    return GLINT_OK;
}

glint_status gi_answer_create(const gi_answer_options *options, gi_answer **ret, glint_error *err) {
    gi_answer *a = gi_calloc(1, sizeof *a);
    if (!a) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the answer");
    a->tokenizer = options->chat->tokenizer;
    a->thinks = options->chat->dialect != GI_CHAT_PLAIN;
    a->phase = a->thinks && options->thinking ? GI_ANSWER_START : GI_ANSWER_TEXT;
    a->at_begin = a->thinks;
    glint_status st = add_patterns(a, options, err);
    if (st == GLINT_OK) st = take_memory(a, options->max_tokens, err);
    if (st != GLINT_OK) {
        gi_answer_free(a);
        return st;
    }
    *ret = a;
    return GLINT_OK;
}

void gi_answer_free(gi_answer *a) {
    if (!a) return;
    gi_free(a->bytes);
    gi_free(a->data_json);
    gi_free(a);
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void forget_matches(gi_answer *a) {
    for (size_t i = 0; i < a->n_patterns; i++) a->patterns[i].matched = 0;
}

/* The reasoning is over (or there was none): what follows is the answer. */
static void begin_text(gi_answer *a) {
    while (a->n > 0 && is_space(a->bytes[a->n - 1])) a->n--;
    if (a->phase == GI_ANSWER_REASONING && a->n > 0) {
        a->has_reasoning = true;
        a->bytes[a->n++] = 0;
        a->text_start = a->n_sent = a->n;
    }
    a->phase = GI_ANSWER_TEXT;
    a->at_begin = true;
    forget_matches(a);
}

/* Do what a marker says. False: not in this place, where it is just letters (or nothing). */
static bool act(gi_answer *a, action what) {
    const bool no_text = a->n == a->text_start;
    switch (what) {
    case STOP:
    case ANSWER_END:
        if (a->phase != GI_ANSWER_TEXT) return false;
        a->phase = GI_ANSWER_ENDED;
        return true;
    case THINK_BEGIN:
        if (a->phase != GI_ANSWER_START || !no_text) return false;
        a->phase = GI_ANSWER_REASONING;
        a->at_begin = true;
        return true;
    case THINK_END:
        if (a->phase != GI_ANSWER_START && a->phase != GI_ANSWER_REASONING) return false;
        begin_text(a);
        return true;
    case ANSWER_BEGIN:
        if (a->phase == GI_ANSWER_REASONING || !no_text) return false;
        begin_text(a);
        return true;
    case DROP:
        if (no_text) a->at_begin = a->thinks;
        return a->phase != GI_ANSWER_REASONING;
    }
    return false;
}

/* The longest pattern that the text now ends with, or NULL. */
static const pattern *advance(gi_answer *a, uint8_t byte) {
    const pattern *best = NULL;
    for (size_t i = 0; i < a->n_patterns; i++) {
        pattern *p = &a->patterns[i];
        if (p->matched == p->n) p->matched = p->border[p->n - 1];
        while (p->matched > 0 && p->bytes[p->matched] != byte)
            p->matched = p->border[p->matched - 1];
        if (p->bytes[p->matched] == byte) p->matched++;
        if (p->matched == p->n && (!best || p->n > best->n)) best = p;
    }
    return best;
}

/* Bytes at the end of the text that may yet turn out to be the beginning of a pattern. */
static size_t n_held(const gi_answer *a) {
    size_t held = 0;
    for (size_t i = 0; i < a->n_patterns; i++) {
        const pattern *p = &a->patterns[i];
        if (p->matched < p->n && p->matched > held) held = p->matched;
    }
    return held < a->n - a->text_start ? held : a->n - a->text_start;
}

/* Whether all there is so far may still become a marker. */
static bool is_marker_begin(const gi_answer *a) {
    for (size_t i = 0; i < a->n_patterns; i++) {
        const pattern *p = &a->patterns[i];
        if (p->action != STOP && p->matched == a->n - a->text_start) return true;
    }
    return false;
}

static void put_byte(gi_answer *a, uint8_t byte) {
    if (a->at_begin && is_space(byte)) return;
    if (a->n == a->cap || a->phase == GI_ANSWER_ENDED) return;
    a->at_begin = false;
    a->bytes[a->n++] = byte;
    const pattern *p = advance(a, byte);
    if (a->phase == GI_ANSWER_START && !is_marker_begin(a)) a->phase = GI_ANSWER_TEXT;
    if (!p) return;
    a->n -= p->n;
    if (act(a, p->action))
        forget_matches(a);
    else
        a->n += p->n;
}

static void put_bytes(gi_answer *a, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) put_byte(a, bytes[i]);
}

static void put_replacement(gi_answer *a) {
    put_bytes(a, (const uint8_t *)"\xEF\xBF\xBD", 3);
    a->n_partial = 0;
}

/* Assemble characters; the longest valid beginning of a broken one becomes one U+FFFD. */
static void take_bytes(gi_answer *a, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t cp;
        a->partial[a->n_partial++] = bytes[i];
        int len = gi_utf8_decode(a->partial, a->n_partial, &cp);
        if (len == 0 && a->n_partial > 1) {
            put_replacement(a);
            a->partial[a->n_partial++] = bytes[i];
            len = gi_utf8_decode(a->partial, 1, &cp);
        }
        if (len == 0) {
            put_replacement(a);
        } else if (len > 0) {
            put_bytes(a, a->partial, a->n_partial);
            a->n_partial = 0;
        }
    }
}

/* True when `id` is no text: a marker, obeyed where it has a meaning, or a special token. */
static bool take_marker(gi_answer *a, int32_t id) {
    for (size_t i = 0; i < N_MARKERS; i++) {
        if (id != a->marker_ids[i]) continue;
        if (a->n_partial > 0) put_replacement(a);
        (void)act(a, markers[i].action);
        return true;
    }
    return gi_tokenizer_is_special(a->tokenizer, id);
}

/* Give out the text up to `end`. */
static void give(gi_answer *a, size_t end, const char **ret_piece, size_t *ret_n_bytes) {
    if (end < a->n_sent) end = a->n_sent;
    *ret_piece = (const char *)a->bytes + a->n_sent;
    *ret_n_bytes = end - a->n_sent;
    a->n_sent = end;
}

bool gi_answer_push(gi_answer *a, int32_t id, const char **ret_piece, size_t *ret_n_bytes) {
    if (a->phase != GI_ANSWER_ENDED && !take_marker(a, id)) {
        size_t n;
        const uint8_t *bytes = gi_tokenizer_bytes(a->tokenizer, id, &n);
        take_bytes(a, bytes, n);
    }
    a->bytes[a->n] = 0;
    const bool is_text = a->phase == GI_ANSWER_TEXT || a->phase == GI_ANSWER_ENDED;
    const size_t held = a->phase == GI_ANSWER_TEXT ? n_held(a) : 0;
    give(a, is_text ? a->n - held : a->n_sent, ret_piece, ret_n_bytes);
    return a->phase != GI_ANSWER_ENDED;
}

gi_answer_phase gi_answer_get_phase(const gi_answer *a) {
    return a->phase;
}

/* Narrow *s, *n to what a ```fence or white space stands around. */
static void strip_fence(const char **s, size_t *n) {
    while (*n > 0 && is_space((uint8_t)(*s)[0])) ++*s, --*n;
    while (*n > 0 && is_space((uint8_t)(*s)[*n - 1])) --*n;
    if (*n < 6 || memcmp(*s, "```", 3) != 0 || memcmp(*s + *n - 3, "```", 3) != 0) return;
    const char *line_end = memchr(*s, '\n', *n);
    if (!line_end) return;
    *n -= (size_t)(line_end - *s) + 3;
    *s = line_end;
}

/* The text as compact JSON into a->data_json. GLINT_ERR_FORMAT when it does not fit. */
static glint_status read_json(gi_answer *a, const gi_schema *schema, glint_error *err) {
    const char *text = (const char *)a->bytes + a->text_start;
    size_t n = a->n - a->text_start;
    json_t *value = NULL;
    strip_fence(&text, &n);
    GI_TRY(gi_json_parse_any(text, n, "answer", &value, err));
    glint_status st = gi_schema_check(schema, value, err);
    if (st == GLINT_OK) {
        gi_buf out;
        gi_buf_init(&out, 6 * n + 64); /* the longest escape of a byte has six */
        st = gi_json_dump(value, JSON_COMPACT | JSON_ENCODE_ANY, &out, err);
        if (st == GLINT_OK) a->data_json = gi_buf_take(&out, NULL);
        gi_buf_done(&out);
    }
    json_decref(value);
    return st;
}

glint_status gi_answer_finish(gi_answer *a, const gi_schema *schema, glint_finish *io_finish,
                              const char **ret_piece, size_t *ret_n_bytes, glint_error *err) {
    if (a->n_partial > 0 && a->phase != GI_ANSWER_ENDED) put_replacement(a);
    if (a->phase == GI_ANSWER_REASONING) begin_text(a);
    a->phase = GI_ANSWER_ENDED;
    a->bytes[a->n] = 0;
    give(a, a->n, ret_piece, ret_n_bytes);
    if (!schema) return GLINT_OK;
    const glint_status st = read_json(a, schema, err);
    if (st == GLINT_ERR_MEMORY) return st;
    if (st != GLINT_OK && *io_finish == GLINT_FINISH_STOP) *io_finish = GLINT_FINISH_INVALID;
    return GLINT_OK;
}

const char *gi_answer_text(const gi_answer *a, size_t *ret_n_bytes) {
    const bool is_text = a->phase == GI_ANSWER_TEXT || a->phase == GI_ANSWER_ENDED;
    const size_t start = is_text ? a->text_start : a->n;
    if (ret_n_bytes) *ret_n_bytes = a->n - start;
    return (const char *)a->bytes + start;
}

const char *gi_answer_reasoning(const gi_answer *a) {
    return a->has_reasoning ? (const char *)a->bytes : NULL;
}

const char *gi_answer_data_json(const gi_answer *a) {
    return (const char *)a->data_json;
}
