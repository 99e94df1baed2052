/*
 * Guides, states, and taking tokens.
 *
 * A token is followed for each thread of the state by itself, and what all of them become is the
 * new state. Masks are computed the same way, thread by thread, so a mask and accept agree even
 * where threads are dropped.
 */
#include "grammar/guide.h"

#include "base/alloc.h"
#include "grammar/guide_parts.h"

#include <string.h>

static glint_status no_memory(glint_error *err) {
    return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a schema's masks");
}

glint_status gi_guide_create(const gi_schema *schema, const gi_vocab_trie *trie,
                             const gi_guide_options *options, gi_guide **ret, glint_error *err) {
    const gi_guide_options o = options ? *options : (gi_guide_options){.n_eos = 0};
    const size_t budget = o.cache_bytes_max ? o.cache_bytes_max : GI_GUIDE_CACHE_BYTES;
    if (o.n_eos > GI_GUIDE_EOS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "more than %u end tokens", GI_GUIDE_EOS_MAX);
    gi_guide *g = gi_calloc(1, sizeof *g);
    if (!g) return no_memory(err);
    pthread_mutex_init(&g->lock, NULL);
    g->schema = schema;
    g->trie = trie;
    g->n_eos = o.n_eos;
    if (o.n_eos) memcpy(g->eos_ids, o.eos_ids, o.n_eos * sizeof *o.eos_ids);
    g->n_masks = budget / (trie->n_words * sizeof *g->masks + 2 * sizeof *g->mask_keys);
    if (g->n_masks < 4) g->n_masks = 4;
    g->mask_keys = gi_calloc(g->n_masks, sizeof *g->mask_keys);
    g->mask_used_at = gi_calloc(g->n_masks, sizeof *g->mask_used_at);
    g->masks = gi_alloc_zeroed_aligned(g->n_masks * trie->n_words, sizeof *g->masks);
    g->runs = gi_calloc(GI_RUNS_KEPT, sizeof *g->runs);
    if (!g->mask_keys || !g->mask_used_at || !g->masks || !g->runs) {
        gi_guide_free(g);
        return no_memory(err);
    }
    *ret = g;
    return GLINT_OK;
}

void gi_guide_free(gi_guide *g) {
    if (!g) return;
    pthread_mutex_destroy(&g->lock);
    gi_free(g->mask_keys);
    gi_free(g->mask_used_at);
    gi_free_zeroed_aligned(g->masks);
    gi_free(g->runs);
    gi_free(g);
}

gi_guide_stats gi_guide_get_stats(gi_guide *g) {
    pthread_mutex_lock(&g->lock);
    const gi_guide_stats stats = g->stats;
    pthread_mutex_unlock(&g->lock);
    return stats;
}

glint_status gi_guide_state_create(gi_guide *g, gi_guide_state **ret, glint_error *err) {
    gi_guide_state *s = gi_calloc(1, sizeof *s);
    const size_t n_levels = g->trie->longest_bytes + 2;
    if (!s) return no_memory(err);
    s->guide = g;
    s->cells.cap = (uint32_t)(GI_CELLS_KEPT + 2 * GI_THREADS_MAX * n_levels);
    s->cells.cells = gi_calloc(s->cells.cap, sizeof *s->cells.cells);
    s->marks = gi_calloc(s->cells.cap + 1, sizeof *s->marks);
    s->levels = gi_calloc(n_levels, GI_THREADS_MAX * sizeof *s->levels);
    s->cells_at = gi_calloc(n_levels, sizeof *s->cells_at);
    s->bits = gi_calloc(g->trie->n_words, sizeof *s->bits);
    glint_status st = GLINT_OK;
    if (!s->cells.cells || !s->marks || !s->levels || !s->cells_at || !s->bits) st = no_memory(err);
    if (st == GLINT_OK)
        st = gi_encoder_create(g->trie->tokenizer, GI_RUN_BYTES_MAX + 8, &s->encoder, err);
    if (st != GLINT_OK) {
        gi_guide_state_free(s);
        return st;
    }
    gi_guide_state_reset(s);
    *ret = s;
    return GLINT_OK;
}

void gi_guide_state_free(gi_guide_state *s) {
    if (!s) return;
    gi_free(s->cells.cells);
    gi_free(s->marks);
    gi_free(s->levels);
    gi_free(s->cells_at);
    gi_free(s->bits);
    gi_encoder_free(s->encoder);
    gi_free(s);
}

void gi_guide_state_reset(gi_guide_state *s) {
    s->threads[0] = gi_automaton_begin(s->guide->schema);
    s->n_threads = 1;
    s->cells.n = 0;
    s->ended = s->forced_known = false;
    s->n_forced = s->at_forced = 0;
}

void gi_guide_state_copy(gi_guide_state *to, const gi_guide_state *from) {
    if (to == from) return;
    memcpy(to->threads, from->threads, from->n_threads * sizeof *to->threads);
    memcpy(to->cells.cells, from->cells.cells, from->cells.n * sizeof *to->cells.cells);
    memcpy(to->forced, from->forced, from->n_forced * sizeof *to->forced);
    to->n_threads = from->n_threads;
    to->cells.n = from->cells.n;
    to->ended = from->ended;
    to->forced_known = from->forced_known;
    to->n_forced = from->n_forced;
    to->at_forced = from->at_forced;
}

bool gi_guide_is_complete(const gi_guide_state *s) {
    for (size_t i = 0; i < s->n_threads && !s->ended; i++)
        if (gi_automaton_is_complete(s->guide->schema, &s->threads[i])) return true;
    return false;
}

size_t gi_guide_step(gi_guide_state *s, const gi_thread *threads, size_t n, uint8_t byte,
                     gi_thread *out) {
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++)
        gi_automaton_step(s->guide->schema, &s->cells, &threads[i], byte, out, &n_out,
                          GI_THREADS_MAX);
    return n_out;
}

/* What thread `t` becomes by a token's bytes; *ret_threads points into the levels. */
static size_t follow(gi_guide_state *s, const gi_thread *t, const uint8_t *bytes, size_t n_bytes,
                     gi_thread **ret_threads) {
    gi_thread *from = s->levels, *to = s->levels + GI_THREADS_MAX;
    size_t n = 1;
    from[0] = *t;
    for (size_t i = 0; i < n_bytes && n > 0; i++) {
        n = gi_guide_step(s, from, n, bytes[i], to);
        gi_thread *const swap = from;
        from = to;
        to = swap;
    }
    *ret_threads = from;
    return n;
}

static bool is_among(const gi_thread *threads, size_t n, const gi_thread *t) {
    for (size_t i = 0; i < n; i++)
        if (gi_automaton_is_same(&threads[i], t)) return true;
    return false;
}

/* A thread that does not live gives its cells back, so the first that does has room for any token;
 * those after it are dropped where there is none. */
static bool take_bytes(gi_guide_state *s, const uint8_t *bytes, size_t n_bytes) {
    gi_thread all[GI_THREADS_MAX];
    const uint32_t n_cells = s->cells.n;
    size_t n_all = 0;
    for (size_t i = 0; i < s->n_threads; i++) {
        gi_thread *became;
        if (s->cells.cap - s->cells.n < 2 * GI_THREADS_MAX * n_bytes) break;
        const uint32_t n_before = s->cells.n;
        const size_t n = follow(s, &s->threads[i], bytes, n_bytes, &became);
        if (n == 0) s->cells.n = n_before;
        for (size_t k = 0; k < n && n_all < GI_THREADS_MAX; k++)
            if (!is_among(all, n_all, &became[k])) all[n_all++] = became[k];
    }
    if (n_all == 0) {
        s->cells.n = n_cells;
        return false;
    }
    s->n_threads = gi_automaton_compact(&s->cells, all, n_all, GI_CELLS_KEPT, s->marks);
    memcpy(s->threads, all, s->n_threads * sizeof *all);
    return true;
}

static bool is_eos(const gi_guide *g, int32_t id) {
    for (size_t i = 0; i < g->n_eos; i++)
        if (g->eos_ids[i] == id) return true;
    return false;
}

bool gi_guide_accept(gi_guide_state *s, int32_t id) {
    if (s->ended) return false;
    if (is_eos(s->guide, id)) {
        s->ended = gi_guide_is_complete(s);
        return s->ended;
    }
    gi_guide_find_forced(s);
    const bool is_forced = s->at_forced < s->n_forced;
    if (is_forced && s->forced[s->at_forced] != id) return false;
    if (!gi_vocab_trie_has(s->guide->trie, id)) return false;
    size_t n;
    const uint8_t *bytes = gi_tokenizer_bytes(s->guide->trie->tokenizer, id, &n);
    if (!take_bytes(s, bytes, n)) return false;
    if (is_forced) s->at_forced++;
    s->forced_known = s->at_forced < s->n_forced;
    return true;
}

bool gi_guide_mask(gi_guide_state *s, uint32_t *ret_bits) {
    const gi_guide *g = s->guide;
    memset(ret_bits, 0, g->trie->n_words * sizeof *ret_bits);
    if (s->ended) return false;
    gi_guide_find_forced(s);
    if (s->at_forced < s->n_forced) {
        const int32_t id = s->forced[s->at_forced];
        ret_bits[id / 32] |= 1u << id % 32;
        return true;
    }
    for (size_t i = 0; i < s->n_threads; i++) gi_guide_add_mask(s, &s->threads[i], ret_bits);
    for (size_t i = 0; i < g->n_eos && gi_guide_is_complete(s); i++)
        if (g->eos_ids[i] >= 0 && (size_t)g->eos_ids[i] < g->trie->n_vocab)
            ret_bits[g->eos_ids[i] / 32] |= 1u << g->eos_ids[i] % 32;
    for (size_t w = 0; w < g->trie->n_words; w++)
        if (ret_bits[w]) return true;
    return false;
}

size_t gi_guide_forced(gi_guide_state *s, int32_t *ret_ids, size_t max) {
    if (s->ended) return 0;
    gi_guide_find_forced(s);
    const size_t rest = s->n_forced - s->at_forced, n = rest < max ? rest : max;
    memcpy(ret_ids, s->forced + s->at_forced, n * sizeof *ret_ids);
    return n;
}
