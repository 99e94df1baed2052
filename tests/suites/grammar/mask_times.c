#include "../../unit/cm.h"

#include "mask_times.h"

#include "base/clock.h"
#include "base/filemap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMES_MAX = 200000 };

struct mask_times {
    gi_tokenizer *tokenizer;
    gi_vocab_trie *trie;
    uint32_t *bits;
    double *first_us, *again_us;
    size_t n_first, n_again, n_tokens, n_forced;
};

mask_times *mask_times_open(void) {
    char path[GI_PATH_BYTES];
    glint_error err = {0};
    const char *own = getenv("GLINT_TOKENIZER");
    mask_times *m = calloc(1, sizeof *m);
    assert_non_null(m);
    snprintf(path, sizeof path, "%s/models/default/tokenizer.json", getenv("GLINT_SOURCE_ROOT"));
    if (gi_tokenizer_load(own ? own : path, &m->tokenizer, &err) != GLINT_OK)
        fail_msg("%s", err.message);
    const size_t count = (size_t)gi_tokenizer_count(m->tokenizer);
    const double start_ms = gi_clock_ms();
    assert_int_equal(gi_vocab_trie_create(m->tokenizer, count, &m->trie, &err), GLINT_OK);
    print_message("vocabulary of %zu tokens: tree of %zu + %zu nodes, %.1f ms\n", count,
                  m->trie->plain.n, m->trie->other.n, gi_clock_ms() - start_ms);
    m->bits = calloc(m->trie->n_words, sizeof *m->bits);
    m->first_us = calloc(TIMES_MAX, sizeof *m->first_us);
    m->again_us = calloc(TIMES_MAX, sizeof *m->again_us);
    assert_true(m->bits && m->first_us && m->again_us);
    return m;
}

/* Time one mask: `first` when the guide had to compute it. */
static void time_mask(mask_times *m, gi_guide *guide, gi_guide_state *s) {
    const gi_guide_stats before = gi_guide_get_stats(guide);
    const double start_ms = gi_clock_ms();
    assert_true(gi_guide_mask(s, m->bits));
    const double us = (gi_clock_ms() - start_ms) * 1e3;
    const gi_guide_stats after = gi_guide_get_stats(guide);
    const bool computed = after.n_masks_computed != before.n_masks_computed;
    if (computed && m->n_first < TIMES_MAX) m->first_us[m->n_first++] = us;
    if (!computed && m->n_again < TIMES_MAX) m->again_us[m->n_again++] = us;
}

/* The token that writes most of the rest, among those allowed: what a tokenizer would do, but it
 * follows the forced ones. */
static int32_t longest_allowed(const mask_times *m, const char *text, size_t n) {
    int32_t best = -1;
    size_t best_n = 0;
    for (int32_t id = 0; id < gi_tokenizer_count(m->tokenizer); id++) {
        size_t n_token;
        if (!(m->bits[id / 32] >> id % 32 & 1)) continue;
        const uint8_t *bytes = gi_tokenizer_bytes(m->tokenizer, id, &n_token);
        if (n_token <= best_n || n_token > n || memcmp(bytes, text, n_token) != 0) continue;
        best = id;
        best_n = n_token;
    }
    return best;
}

void mask_times_add(mask_times *m, const gi_schema *schema, const char *text, size_t n) {
    gi_guide *guide = NULL;
    gi_guide_state *s = NULL;
    assert_int_equal(gi_guide_create(schema, m->trie, NULL, &guide, NULL), GLINT_OK);
    assert_int_equal(gi_guide_state_create(guide, &s, NULL), GLINT_OK);
    for (size_t at = 0; at < n;) {
        int32_t id;
        size_t n_token;
        const bool forced = gi_guide_forced(s, &id, 1) == 1;
        if (!forced) {
            time_mask(m, guide, s);
            time_mask(m, guide, s);
            id = longest_allowed(m, text + at, n - at);
        }
        if (id < 0 || !gi_guide_accept(s, id))
            fail_msg("%.*s<here>%.60s", (int)at, text, text + at);
        const uint8_t *bytes = gi_tokenizer_bytes(m->tokenizer, id, &n_token);
        if (n_token > n - at || memcmp(bytes, text + at, n_token) != 0)
            fail_msg("forced otherwise: %.*s<here>%.60s", (int)at, text, text + at);
        at += n_token;
        m->n_tokens++;
        m->n_forced += forced;
    }
    assert_true(gi_guide_is_complete(s));
    gi_guide_state_free(s);
    gi_guide_free(guide);
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *what, double *us, size_t n) {
    if (n == 0) return;
    qsort(us, n, sizeof *us, compare_doubles);
    print_message("masks %s: %zu, p50 %.1f us, p90 %.1f us, p99 %.1f us, worst %.1f us\n", what, n,
                  us[n / 2], us[n * 9 / 10], us[n * 99 / 100], us[n - 1]);
}

void mask_times_close(mask_times *m) {
    print_times("computed", m->first_us, m->n_first);
    print_times("from the cache", m->again_us, m->n_again);
    print_message("%zu of %zu tokens forced\n", m->n_forced, m->n_tokens);
    gi_vocab_trie_free(m->trie);
    gi_tokenizer_free(m->tokenizer);
    free(m->bits);
    free(m->first_us);
    free(m->again_us);
    free(m);
}
