/*
 * Forced tokens, by the rule in guide.h. Runs are remembered by the fingerprints of the state's
 * threads.
 */
#include "grammar/guide_parts.h"

#include "base/utf8.h"

#include <string.h>

/* A run of bytes without choice, and where it leads. */
typedef struct run {
    gi_guide_state *s;
    gi_thread threads[2][GI_THREADS_MAX];
    size_t n_threads;
    int now; /* which of the two */
    char bytes[GI_RUN_BYTES_MAX + 8];
    size_t n;
    bool is_complete; /* the answer may end behind the run */
} run;

static bool is_complete(const run *r) {
    for (size_t i = 0; i < r->n_threads; i++)
        if (gi_automaton_is_complete(r->s->guide->schema, &r->threads[r->now][i])) return true;
    return false;
}

static bool has_room(const gi_guide_state *s) {
    return s->cells.cap - s->cells.n >= 4 * GI_THREADS_MAX;
}

/* Step from threads[now] into the other ones. */
static size_t try_byte(run *r, int byte) {
    return gi_guide_step(r->s, r->threads[r->now], r->n_threads, (uint8_t)byte,
                         r->threads[!r->now]);
}

/* The first byte >= from that may come next, or 256. Leaves no cells behind. */
static int next_byte(run *r, int from) {
    const uint32_t n_cells = r->s->cells.n;
    for (; from < 256; from++) {
        const size_t n = try_byte(r, from);
        r->s->cells.n = n_cells;
        if (n > 0) break;
    }
    return from;
}

static void take(run *r, int byte) {
    r->n_threads = try_byte(r, byte);
    r->now = !r->now;
    r->bytes[r->n++] = (char)byte;
}

static void follow(run *r) {
    while (r->n < GI_RUN_BYTES_MAX && has_room(r->s)) {
        r->is_complete = is_complete(r);
        if (r->is_complete) return;
        const int byte = next_byte(r, 0);
        if (byte == 256 || next_byte(r, byte + 1) < 256) return;
        take(r, byte);
    }
}

/*
 * Take `byte` behind the run and what completes its character; false when that has no room.
 * `r` is a copy: the caller's run stays.
 */
static bool add_character(run *r, int byte, size_t begin) {
    uint32_t cp;
    take(r, byte);
    while (gi_utf8_decode((const uint8_t *)r->bytes + begin, r->n - begin, &cp) < 0) {
        if (r->n + 1 >= sizeof r->bytes || !has_room(r->s)) return false;
        byte = next_byte(r, 0);
        if (byte == 256) return false;
        take(r, byte);
    }
    return true;
}

/* Keep of `ids` what the encoding of r's bytes begins with, as far as its pieces end by `end`. */
static size_t common(const run *r, size_t end, bool is_first, int32_t *ids, size_t n) {
    gi_encoded out;
    size_t i = 0;
    if (gi_encoder_run(r->s->encoder, r->bytes, r->n, &out, NULL) != GLINT_OK) return 0;
    if (is_first) n = out.n < GI_FORCED_MAX ? out.n : GI_FORCED_MAX;
    for (; i < n && i < out.n && out.piece_ends[i] <= end; i++) {
        if (is_first)
            ids[i] = out.ids[i];
        else if (ids[i] != out.ids[i])
            break;
    }
    return i;
}

/* The tokens must spell the run, whatever a tokenizer puts before a text. */
static size_t check_spelling(const run *r, const int32_t *ids, size_t n) {
    const gi_vocab_trie *trie = r->s->guide->trie;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const uint8_t *bytes = gi_tokenizer_bytes(trie->tokenizer, ids[i], &n_bytes);
        if (!gi_vocab_trie_has(trie, ids[i]) || n_bytes > r->n - at ||
            memcmp(bytes, r->bytes + at, n_bytes) != 0)
            return i;
        at += n_bytes;
    }
    return n;
}

static size_t compute(gi_guide_state *s, int32_t *ids) {
    const uint32_t n_cells = s->cells.n;
    run r = {.s = s, .n_threads = s->n_threads};
    memcpy(r.threads[0], s->threads, s->n_threads * sizeof *s->threads);
    follow(&r);
    const uint32_t n_cells_run = s->cells.n;
    /* whole characters only; a run that begins within one is left to the mask */
    const size_t end = gi_utf8_complete_prefix((const uint8_t *)r.bytes, r.n);
    size_t n = 0;
    bool is_first = true;
    if (end > 0 && gi_utf8_is_valid((const uint8_t *)r.bytes, end, NULL)) {
        if (r.is_complete) {
            n = common(&r, end, true, ids, 0);
            is_first = false;
        }
        for (int byte = next_byte(&r, 0); byte < 256 && (is_first || n > 0);
             byte = next_byte(&r, byte + 1)) {
            run longer = r;
            n = add_character(&longer, byte, end) ? common(&longer, end, is_first, ids, n) : 0;
            is_first = false;
            s->cells.n = n_cells_run;
        }
    }
    s->cells.n = n_cells;
    return check_spelling(&r, ids, n);
}

static bool recall(gi_guide *g, uint64_t key, gi_guide_state *s) {
    bool found = false;
    pthread_mutex_lock(&g->lock);
    g->stats.n_runs++;
    for (size_t i = 0; i < GI_RUNS_KEPT && !found; i++) {
        gi_forced_run *r = &g->runs[i];
        if (r->key != key) continue;
        r->used_at = ++g->clock;
        s->n_forced = r->n;
        memcpy(s->forced, r->ids, r->n * sizeof *r->ids);
        found = true;
    }
    pthread_mutex_unlock(&g->lock);
    return found;
}

static void remember(gi_guide *g, uint64_t key, const gi_guide_state *s) {
    pthread_mutex_lock(&g->lock);
    g->stats.n_runs_computed++;
    gi_forced_run *oldest = &g->runs[0];
    for (size_t i = 1; i < GI_RUNS_KEPT; i++)
        if (g->runs[i].used_at < oldest->used_at) oldest = &g->runs[i];
    oldest->key = key;
    oldest->used_at = ++g->clock;
    oldest->n = (uint32_t)s->n_forced;
    memcpy(oldest->ids, s->forced, s->n_forced * sizeof *s->forced);
    pthread_mutex_unlock(&g->lock);
}

void gi_guide_find_forced(gi_guide_state *s) {
    if (s->forced_known) return;
    gi_guide *g = s->guide;
    uint64_t key = 0;
    for (size_t i = 0; i < s->n_threads; i++)
        key = (key ^ gi_automaton_key(g->schema, &s->cells, &s->threads[i])) *
              UINT64_C(0x9E3779B97F4A7C15);
    key |= 1; /* 0 is an empty place */
    s->forced_known = true;
    s->at_forced = s->n_forced = 0;
    if (recall(g, key, s)) return;
    s->n_forced = compute(s, s->forced);
    remember(g, key, s);
}
