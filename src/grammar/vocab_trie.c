/*
 * Tokens are sorted by their bytes; each one then adds the nodes that it does not share with the
 * one before. Nodes are counted before they are allocated.
 */
#include "grammar/vocab_trie.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct word {
    const uint8_t *bytes;
    uint32_t n;
    int32_t id;
} word;

static int compare_words(const void *a, const void *b) {
    const word *x = a, *y = b;
    const int c = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

/* Characters of plain string content; 0 for anything else. Line separators are left out, so that a
 * pattern's dot takes all plain tokens. */
static uint32_t count_plain(const word *w) {
    uint32_t n_chars = 0;
    if (!gi_utf8_is_valid(w->bytes, w->n, NULL)) return 0;
    for (uint32_t i = 0; i < w->n; i++) {
        const uint8_t b = w->bytes[i];
        if (b < 0x20 || b == '"' || b == '\\') return 0;
        if (b == 0xE2 && w->bytes[i + 1] == 0x80 && (w->bytes[i + 2] & 0xFE) == 0xA8) return 0;
        n_chars += (b & 0xC0) != 0x80;
    }
    return n_chars;
}

static uint32_t common_bytes(const word *a, const word *b) {
    uint32_t n = 0;
    while (n < a->n && n < b->n && a->bytes[n] == b->bytes[n]) n++;
    return n;
}

static bool build(gi_trie *t, word *words, size_t n_words) {
    uint32_t open[GI_TRIE_TOKEN_BYTES]; /* the node of each byte of the word before */
    uint32_t n_open = 0, n = 0;
    size_t n_nodes = 0;
    qsort(words, n_words, sizeof *words, compare_words);
    for (size_t i = 0; i < n_words; i++)
        n_nodes += words[i].n - (i > 0 ? common_bytes(&words[i - 1], &words[i]) : 0);
    t->nodes = gi_calloc(n_nodes ? n_nodes : 1, sizeof *t->nodes);
    if (!t->nodes) return false;
    for (size_t i = 0; i < n_words; i++) {
        const word *w = &words[i];
        const uint32_t common = i > 0 ? common_bytes(&words[i - 1], w) : 0;
        while (n_open > common) t->nodes[open[--n_open]].skip = n;
        for (; n_open < w->n; n_open++) {
            t->nodes[n] = (gi_trie_node){0, -1, w->bytes[n_open], (uint8_t)n_open};
            open[n_open] = n++;
        }
        t->nodes[n - 1].id = w->id;
    }
    while (n_open > 0) t->nodes[open[--n_open]].skip = n;
    t->n = n;
    return true;
}

/* Sort the ordinary tokens into plain ones (from the front) and others (from the back). */
static void collect(gi_vocab_trie *t, word *words, size_t count, size_t *ret_plain,
                    size_t *ret_other) {
    size_t front = 0, back = count;
    for (size_t id = 0; id < count; id++) {
        size_t n = 0;
        const uint8_t *bytes = gi_tokenizer_bytes(t->tokenizer, (int32_t)id, &n);
        if (!gi_tokenizer_is_text(t->tokenizer, (int32_t)id)) continue;
        if (n == 0 || n > GI_TRIE_TOKEN_BYTES) continue;
        const word w = {bytes, (uint32_t)n, (int32_t)id};
        const uint32_t n_chars = count_plain(&w);
        if (n_chars > 0) t->n_by_chars[n_chars]++;
        words[n_chars > 0 ? front++ : --back] = w;
        uint32_t *bits = n_chars > 0 ? t->plain_bits : t->other_bits;
        bits[id / 32] |= 1u << id % 32;
        if (n > t->longest_bytes) t->longest_bytes = n;
    }
    *ret_plain = front;
    *ret_other = back;
}

/* A counting sort of the plain tokens. */
static void sort_by_chars(gi_vocab_trie *t, const word *words, size_t n) {
    uint32_t next[GI_TRIE_TOKEN_BYTES + 1];
    for (size_t c = 1; c <= GI_TRIE_TOKEN_BYTES; c++) t->n_by_chars[c] += t->n_by_chars[c - 1];
    memcpy(next + 1, t->n_by_chars, GI_TRIE_TOKEN_BYTES * sizeof *next);
    for (size_t i = 0; i < n; i++) t->by_chars[next[count_plain(&words[i])]++] = words[i].id;
}

glint_status gi_vocab_trie_create(const gi_tokenizer *tokenizer, size_t n_vocab,
                                  gi_vocab_trie **ret, glint_error *err) {
    const size_t count = (size_t)gi_tokenizer_count(tokenizer);
    glint_status st = GLINT_OK;
    size_t n_plain = 0, other = count;
    if (n_vocab < count)
        return gi_fail(err, GLINT_ERR_ARG, "vocabulary of %zu tokens, tokenizer of %zu", n_vocab,
                       count);
    gi_vocab_trie *t = gi_calloc(1, sizeof *t);
    word *words = gi_calloc(count ? count : 1, sizeof *words);
    if (!t || !words) GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vocabulary"));
    t->tokenizer = tokenizer;
    t->n_vocab = n_vocab;
    t->n_words = (n_vocab + 31) / 32;
    t->plain_bits = gi_calloc(t->n_words + 1, sizeof *t->plain_bits);
    t->other_bits = gi_calloc(t->n_words + 1, sizeof *t->other_bits);
    t->by_chars = gi_calloc(count + 1, sizeof *t->by_chars);
    if (!t->plain_bits || !t->other_bits || !t->by_chars)
        GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vocabulary"));
    collect(t, words, count, &n_plain, &other);
    sort_by_chars(t, words, n_plain);
    if (!build(&t->plain, words, n_plain) || !build(&t->other, words + other, count - other))
        GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vocabulary"));
    *ret = t;
    t = NULL;
done:
    gi_free(words);
    gi_vocab_trie_free(t);
    return st;
}

void gi_vocab_trie_free(gi_vocab_trie *t) {
    if (!t) return;
    gi_free(t->plain.nodes);
    gi_free(t->other.nodes);
    gi_free(t->plain_bits);
    gi_free(t->other_bits);
    gi_free(t->by_chars);
    gi_free(t);
}
