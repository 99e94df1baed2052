/*
 * Lines as the head of a request: the first as method, target and version, the others as headers.
 * Whether a head is taken does not hang on the order of its headers, and one that is taken breaks
 * none of the rules as they are said here again. Each value is read as a structured one, which
 * written again is read as the same, and as a trace.
 */
#include "server/header_value.h"
#include "server/http.h"
#include "server/http_framing.h"
#include "server/traceparent.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { LINES_MAX = 256, WORD_BYTES = 256 };

typedef struct line {
    const char *name, *value;
    size_t n_name, n_value;
} line;

typedef struct head {
    char method[WORD_BYTES], target[WORD_BYTES], version[WORD_BYTES];
    line lines[LINES_MAX];
    size_t n;
} head;

/* A piece up to `c` or the end, and *io_at behind it. */
static size_t take(const char **io_at, const char *end, char c, const char **ret) {
    const char *cut = *io_at < end ? memchr(*io_at, c, (size_t)(end - *io_at)) : NULL;
    *ret = *io_at;
    *io_at = cut ? cut + 1 : end;
    return (size_t)((cut ? cut : end) - *ret);
}

static void take_word(const char **io_at, const char *end, char out[WORD_BYTES]) {
    const char *word;
    size_t n = take(io_at, end, ' ', &word);
    if (n >= WORD_BYTES) n = WORD_BYTES - 1;
    memcpy(out, word, n);
    out[n] = '\0';
}

static void read_head(const uint8_t *bytes, size_t n_bytes, head *h) {
    const char *at = (const char *)bytes, *end = at + n_bytes, *first;
    const size_t n_first = take(&at, end, '\n', &first);
    const char *const first_end = first + n_first;
    take_word(&first, first_end, h->method);
    take_word(&first, first_end, h->target);
    take_word(&first, first_end, h->version);
    for (h->n = 0; at < end && h->n < LINES_MAX; h->n++) {
        line *l = &h->lines[h->n];
        const char *text;
        const size_t n_text = take(&at, end, '\n', &text);
        const char *const text_end = text + n_text;
        l->n_name = take(&text, text_end, ':', &l->name);
        while (text < text_end && (*text == ' ' || *text == '\t')) text++;
        l->value = text;
        l->n_value = (size_t)(text_end - text);
    }
}

static void feed(const head *h, bool backwards, gi_http_framing *f) {
    for (size_t i = 0; i < h->n; i++) {
        const line *l = &h->lines[backwards ? h->n - 1 - i : i];
        gi_http_framing_header(f, l->name, l->n_name, l->value, l->n_value);
    }
    gi_http_framing_end(f, h->method, h->target, h->version);
}

static size_t count(const head *h, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        n += h->lines[i].n_name == strlen(name) &&
             strncasecmp(h->lines[i].name, name, strlen(name)) == 0;
    return n;
}

static void check_taken(const head *h, const gi_http_framing *f) {
    const bool is_11 = strcmp(h->version, "HTTP/1.1") == 0;
    const size_t n_length = count(h, "content-length"), n_coding = count(h, "transfer-encoding");
    gi_assert(is_11 || strcmp(h->version, "HTTP/1.0") == 0);
    gi_assert(n_length + n_coding <= 1 && (n_coding == 0 || (is_11 && f->is_chunked)));
    gi_assert(count(h, "host") <= 1 && (!is_11 || count(h, "host") == 1));
    gi_assert(h->n <= GI_HTTP_HEADERS_MAX && strpbrk(h->target, " \t\r\n") == NULL);
    for (size_t i = 0; i < h->n; i++) {
        const line *l = &h->lines[i];
        gi_assert(l->n_name > 0 && !memchr(l->name, ' ', l->n_name));
        gi_assert(!memchr(l->value, '\r', l->n_value) && !memchr(l->value, '\0', l->n_value));
        char digits[32];
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)f->content_length);
        const size_t n_zeros =
            l->n_value - (l->n_value < strlen(digits) ? l->n_value : strlen(digits));
        if (l->n_name == 14 && strncasecmp(l->name, "content-length", 14) == 0)
            gi_assert(memcmp(l->value + n_zeros, digits, l->n_value - n_zeros) == 0);
    }
}

/* ---- values ---- */

typedef struct value {
    const char *word;
    size_t n_word, n;
    gi_header_param params[LINES_MAX];
} value;

static bool read_value(const char *s, size_t n, value *ret) {
    gi_header_value v = gi_header_value_begin(s, n);
    ret->n_word = gi_header_value_word(&v, &ret->word);
    ret->n = 0;
    while (ret->n < LINES_MAX && gi_header_value_next(&v, &ret->params[ret->n])) {
        const gi_header_param *p = &ret->params[ret->n++];
        gi_assert(gi_is_token(p->name, p->n_name) && p->n_value < sizeof p->value);
        gi_assert(p->value[p->n_value] == '\0' && strlen(p->value) == p->n_value);
    }
    return !v.bad && v.p == v.end;
}

static void write_value(const value *v, gi_buf *to) {
    bool ok = gi_buf_push(to, v->word, v->n_word, NULL) == GLINT_OK;
    for (size_t i = 0; i < v->n; i++) {
        const gi_header_param *p = &v->params[i];
        ok &= gi_buf_printf(to, NULL, ";%.*s=\"", (int)p->n_name, p->name) == GLINT_OK;
        for (const char *c = p->value; *c; c++)
            ok &= gi_buf_printf(to, NULL, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c) == GLINT_OK;
        ok &= gi_buf_puts(to, "\"", NULL) == GLINT_OK;
    }
    gi_assert(ok);
}

static void check_value(const char *s, size_t n) {
    static value v, again;
    gi_buf b;
    if (!read_value(s, n, &v)) return;
    gi_buf_init(&b, 1 << 20);
    write_value(&v, &b);
    gi_assert(read_value((const char *)b.data, b.len, &again));
    gi_assert(again.n_word == v.n_word && again.n == v.n);
    for (size_t i = 0; i < v.n; i++)
        gi_assert(strcmp(again.params[i].value, v.params[i].value) == 0);
    gi_buf_done(&b);
}

static void check_trace(const char *s, size_t n) {
    char text[GI_TRACE_HEADER_BYTES + 8];
    gi_trace trace, again;
    if (n >= sizeof text) n = sizeof text - 1;
    memcpy(text, s, n);
    text[n] = '\0';
    const bool is_theirs = gi_trace_parse(text, &again);
    gi_trace_begin(text, &trace);
    gi_assert(!is_theirs || strcmp(trace.trace_id, again.trace_id) == 0);
    gi_trace_write(&trace, text);
    gi_assert(gi_trace_parse(text, &again) && strcmp(again.trace_id, trace.trace_id) == 0);
    gi_assert(strcmp(again.parent_id, trace.span_id) == 0 && again.is_sampled == trace.is_sampled);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static head h;
    gi_http_framing f = {0}, backwards = {0};
    read_head(bytes, n_bytes, &h);
    feed(&h, false, &f);
    feed(&h, true, &backwards);
    gi_assert((f.fault == GI_API_OK) == (backwards.fault == GI_API_OK));
    if (f.fault == GI_API_OK) check_taken(&h, &f);
    for (size_t i = 0; i < h.n; i++) {
        check_value(h.lines[i].value, h.lines[i].n_value);
        check_trace(h.lines[i].value, h.lines[i].n_value);
    }
    return 0;
}
