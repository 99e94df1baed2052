/**
 * @file
 * Keeps what a model generates within a schema: which tokens may come next, and which come without
 * a choice.
 *
 *     gi_vocab_trie_create(tokenizer, n_vocab, &trie, err);      once a tokenizer
 *     gi_schema_compile(text, n, NULL, &schema, err);            once a schema
 *     gi_guide_create(schema, trie, NULL, &guide, err);          once a schema and tokenizer
 *     gi_guide_state_create(guide, &state, err);                 once a sequence
 *     while (gi_guide_mask(state, bits)) {                       once a step
 *         id = best of the tokens in bits;
 *         gi_guide_accept(state, id);
 *         if (id is an end token) break;
 *     }
 *
 * Forced tokens. Where the grammar leaves no choice of bytes (`","reasons":[` after a verdict) the
 * model need not be asked. The bytes are encoded as the tokenizer would encode them, and those
 * tokens are forced that stay the same whatever comes next: the run is encoded once with each
 * character that may follow it, and a token counts only if its piece of pre-tokenization ends
 * within the run and all these encodings begin with the same tokens up to it (merges never cross
 * pieces). Forced tokens are decided when the state reaches the place, and from then on the mask
 * has the one token alone, whether the caller skips the model or not. So skipping changes no
 * answer: a step with one allowed token has one outcome.
 *
 * A guide rules the answer alone. When it begins (after reasoning, behind a marker) is the
 * caller's business.
 */
#ifndef GI_GRAMMAR_GUIDE_H
#define GI_GRAMMAR_GUIDE_H

#include "grammar/schema.h"
#include "grammar/vocab_trie.h"

/** Most tokens that are forced at once. */
#define GI_FORCED_MAX 64u

typedef struct gi_guide_options {
    const int32_t *eos_ids; /**< [n_eos] tokens that end an answer; allowed where it is complete */
    size_t n_eos;
    size_t cache_bytes_max; /**< masks to remember; 0: GI_GUIDE_CACHE_BYTES */
} gi_guide_options;

/** Masks remembered by default: about 400 of a vocabulary of 151 k tokens. */
#define GI_GUIDE_CACHE_BYTES ((size_t)8 << 20)
/** Most end tokens. */
#define GI_GUIDE_EOS_MAX     16u

/** A schema over a vocabulary. Safe from any number of threads. */
typedef struct gi_guide gi_guide;

/** Where one sequence stands. One thread at a time. */
typedef struct gi_guide_state gi_guide_state;

/**
 * Both are borrowed and must outlive the guide. Cache pages take memory when they are first used.
 * GLINT_ERR_ARG, _MEMORY.
 */
glint_status gi_guide_create(const gi_schema *schema, const gi_vocab_trie *trie,
                             const gi_guide_options *options, gi_guide **ret, glint_error *err);

/** Free. NULL is fine. No state may be left. */
void gi_guide_free(gi_guide *g);

/** A state at the beginning of an answer. Takes all the memory that stepping needs.
 * GLINT_ERR_MEMORY. */
glint_status gi_guide_state_create(gi_guide *g, gi_guide_state **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_guide_state_free(gi_guide_state *s);

/** Back to the beginning of an answer. For tests. */
void gi_guide_state_reset(gi_guide_state *s);

/** Make `to` stand where `from` stands; both are of one guide. Costs what is in use.
 * For tests, which try every token from one place. */
void gi_guide_state_copy(gi_guide_state *to, const gi_guide_state *from);

/**
 * The tokens that may come next: bit i % 32 of ret_bits[i / 32] for token i; [n_words of the
 * vocabulary trie], written in full. End tokens are among them where the answer is complete.
 * False when there is none: behind an end token, or when the vocabulary lacks a byte.
 * Microseconds from the cache; docs/schema.md has figures. Allocates nothing.
 */
bool gi_guide_mask(gi_guide_state *s, uint32_t *ret_bits);

/** Take a token. False when it is not allowed; the state is as it was. Allocates nothing. */
bool gi_guide_accept(gi_guide_state *s, int32_t id);

/**
 * The next tokens as far as they are forced; returns their number, at most `max`. They are not
 * taken: the caller hands each to gi_guide_accept. Allocates nothing, but see gi_encoder_run.
 */
size_t gi_guide_forced(gi_guide_state *s, int32_t *ret_ids, size_t max);

/** Whether the answer could end here. */
bool gi_guide_is_complete(const gi_guide_state *s);

/** Masks and forced runs looked up and those that had to be computed, since the guide was made.
 * For tests. */
typedef struct gi_guide_stats {
    uint64_t n_masks, n_masks_computed, n_runs, n_runs_computed;
} gi_guide_stats;

gi_guide_stats gi_guide_get_stats(gi_guide *g);

#endif
