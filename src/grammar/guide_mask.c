/*
 * The mask of one thread: a walk over the tree of tokens that leaves out what lies below a byte the
 * grammar refuses. Masks are remembered by the thread's fingerprint; a full cache forgets the mask
 * that was not wanted for longest.
 *
 * Within a plain string all tokens of plain content are allowed at once, and only the others are
 * walked.
 */
#include "grammar/guide_parts.h"

#include <string.h>

static void set_bit(uint32_t *bits, int32_t id) {
    bits[id / 32] |= 1u << id % 32;
}

/* Levels: what the thread is after each byte of the path to the node. */
static void walk(gi_guide_state *s, const gi_thread *t, const gi_trie *trie, uint32_t *bits) {
    uint8_t n_at[GI_TRIE_TOKEN_BYTES + 1];
    s->levels[0] = *t;
    s->cells_at[0] = s->cells.n;
    n_at[0] = 1;
    for (size_t i = 0; i < trie->n;) {
        const gi_trie_node *node = &trie->nodes[i];
        const size_t d = node->depth;
        s->cells.n = s->cells_at[d];
        const size_t n = gi_guide_step(s, s->levels + d * GI_THREADS_MAX, n_at[d], node->byte,
                                       s->levels + (d + 1) * GI_THREADS_MAX);
        if (n == 0) {
            i = node->skip;
            continue;
        }
        if (node->id >= 0) set_bit(bits, node->id);
        n_at[d + 1] = (uint8_t)n;
        s->cells_at[d + 1] = s->cells.n;
        i++;
    }
    s->cells.n = s->cells_at[0];
}

static void add_plain(const gi_vocab_trie *trie, uint32_t max_chars, uint32_t *bits) {
    if (max_chars >= GI_TRIE_TOKEN_BYTES) {
        for (size_t w = 0; w < trie->n_words; w++) bits[w] |= trie->plain_bits[w];
        return;
    }
    for (uint32_t i = 0; i < trie->n_by_chars[max_chars]; i++) set_bit(bits, trie->by_chars[i]);
}

/* Plain content within a string stays in the string: only its rule is asked. */
static void walk_text(const gi_text_at *text, const gi_trie *trie, uint32_t *bits) {
    gi_string_at at[GI_TRIE_TOKEN_BYTES + 1];
    at[0] = text->at;
    for (size_t i = 0; i < trie->n;) {
        const gi_trie_node *node = &trie->nodes[i];
        gi_string_at *next = &at[node->depth + 1];
        *next = at[node->depth];
        if (!gi_string_step(text->rule, next, node->byte)) {
            i = node->skip;
            continue;
        }
        if (node->id >= 0) set_bit(bits, node->id);
        i++;
    }
}

/* Or a remembered mask to `bits`. */
static bool recall(gi_guide *g, uint64_t key, uint32_t *bits) {
    const size_t n_words = g->trie->n_words;
    bool found = false;
    pthread_mutex_lock(&g->lock);
    g->stats.n_masks++;
    for (size_t i = 0; i < g->n_masks && !found; i++) {
        if (g->mask_keys[i] != key) continue;
        const uint32_t *mask = g->masks + i * n_words;
        g->mask_used_at[i] = ++g->clock;
        for (size_t w = 0; w < n_words; w++) bits[w] |= mask[w];
        found = true;
    }
    pthread_mutex_unlock(&g->lock);
    return found;
}

static void remember(gi_guide *g, uint64_t key, const uint32_t *mask) {
    const size_t n_words = g->trie->n_words;
    size_t oldest = 0;
    pthread_mutex_lock(&g->lock);
    g->stats.n_masks_computed++;
    for (size_t i = 1; i < g->n_masks; i++)
        if (g->mask_used_at[i] < g->mask_used_at[oldest]) oldest = i;
    g->mask_keys[oldest] = key;
    g->mask_used_at[oldest] = ++g->clock;
    memcpy(g->masks + oldest * n_words, mask, n_words * sizeof *mask);
    pthread_mutex_unlock(&g->lock);
}

void gi_guide_add_mask(gi_guide_state *s, const gi_thread *t, uint32_t *bits) {
    gi_guide *g = s->guide;
    const gi_vocab_trie *trie = g->trie;
    const uint64_t key = gi_automaton_key(g->schema, &s->cells, t) | 1; /* 0 is an empty place */
    if (recall(g, key, bits)) return;
    memset(s->bits, 0, trie->n_words * sizeof *s->bits);
    const gi_text_at text = gi_automaton_text(g->schema, t);
    if (text.any)
        add_plain(trie, text.max_chars, s->bits);
    else if (text.rule)
        walk_text(&text, &trie->plain, s->bits);
    else
        walk(s, t, &trie->plain, s->bits);
    walk(s, t, &trie->other, s->bits);
    remember(g, key, s->bits);
    for (size_t w = 0; w < trie->n_words; w++) bits[w] |= s->bits[w];
}
