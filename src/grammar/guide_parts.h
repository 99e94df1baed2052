/**
 * @file
 * What a guide is made of; shared by the files guide*.c.
 */
#ifndef GI_GRAMMAR_GUIDE_PARTS_H
#define GI_GRAMMAR_GUIDE_PARTS_H

#include "grammar/automaton.h"
#include "grammar/guide.h"
#include "text/encoder.h"

#include <pthread.h>

/** Cells that a state keeps between tokens: one thread's, and as much again for others. */
#define GI_CELLS_KEPT    512u
/** Forced runs to remember, and the longest in bytes. */
#define GI_RUNS_KEPT     256u
#define GI_RUN_BYTES_MAX 192u

/** A forced run by the state it begins at. */
typedef struct gi_forced_run {
    uint64_t key; /**< 0: empty */
    uint64_t used_at;
    uint32_t n;
    int32_t ids[GI_FORCED_MAX];
} gi_forced_run;

struct gi_guide {
    const gi_schema *schema;
    const gi_vocab_trie *trie;
    int32_t eos_ids[GI_GUIDE_EOS_MAX];
    size_t n_eos;
    pthread_mutex_t lock; /**< guards all below */
    uint64_t *mask_keys;  /**< [n_masks] by what thread; 0: empty */
    uint64_t *mask_used_at;
    uint32_t *masks; /**< [n_masks][n_words] */
    size_t n_masks;
    gi_forced_run *runs; /**< [GI_RUNS_KEPT] */
    uint64_t clock;
    gi_guide_stats stats;
};

struct gi_guide_state {
    gi_guide *guide;
    gi_thread threads[GI_THREADS_MAX]; /**< [n_threads] */
    size_t n_threads;
    bool ended;
    bool forced_known; /**< `forced` is of this place */
    size_t n_forced, at_forced;
    int32_t forced[GI_FORCED_MAX];
    /* scratch */
    gi_cells cells;     /**< what the threads need first; then those of the moment */
    uint32_t *marks;    /**< [cells.cap + 1] */
    gi_thread *levels;  /**< [longest_bytes + 1][GI_THREADS_MAX] by bytes of a token */
    uint32_t *cells_at; /**< [longest_bytes + 1] cells in use at each level */
    uint32_t *bits;     /**< [n_words] */
    gi_encoder *encoder;
};

/** The mask of one thread, from the cache or computed: or-ed to `bits`. */
void gi_guide_add_mask(gi_guide_state *s, const gi_thread *t, uint32_t *bits);

/** Find the forced tokens of this place, unless they are known. */
void gi_guide_find_forced(gi_guide_state *s);

/** Step threads[0..n) by a byte into out[GI_THREADS_MAX]; returns how many there are then. */
size_t gi_guide_step(gi_guide_state *s, const gi_thread *threads, size_t n, uint8_t byte,
                     gi_thread *out);

#endif
