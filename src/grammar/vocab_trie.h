/**
 * @file
 * The ordinary tokens of a tokenizer as a tree of bytes, so that what a grammar does with a common
 * beginning is found out once. Tokens that are nothing but content of a JSON string (whole
 * characters, none that must be escaped) have a tree of their own: within a string they are all
 * allowed at once, and most tokens are such.
 */
#ifndef GI_GRAMMAR_VOCAB_TRIE_H
#define GI_GRAMMAR_VOCAB_TRIE_H

#include "text/tokenizer.h"

/** Longer tokens are left out: no grammar allows them. Published ones reach 128 (of spaces). */
#define GI_TRIE_TOKEN_BYTES 128u

/** A node; the tree is stored in the order of a walk, so the first child follows its parent. */
typedef struct gi_trie_node {
    uint32_t skip;       /**< index of the first node that is not below this one */
    int32_t id;          /**< the token that ends here, or -1 */
    uint8_t byte, depth; /**< depth: bytes before this one */
} gi_trie_node;

typedef struct gi_trie {
    gi_trie_node *nodes; /**< [n] */
    size_t n;
} gi_trie;

/** Immutable; any number of threads, guides and schemas. Borrows the tokenizer. */
typedef struct gi_vocab_trie {
    const gi_tokenizer *tokenizer;
    size_t n_vocab, n_words; /**< bits and words of a mask */
    gi_trie plain, other;    /**< string content, and the rest */
    uint32_t *plain_bits;    /**< [n_words] tokens of `plain` */
    uint32_t *other_bits;    /**< [n_words] tokens of `other` */
    int32_t *by_chars;       /**< tokens of `plain`, those of fewer characters first */
    uint32_t n_by_chars[GI_TRIE_TOKEN_BYTES + 1]; /**< [c] those of at most c characters */
    size_t longest_bytes;
} gi_vocab_trie;

/**
 * Build the tree for masks of n_vocab bits (the model's vocabulary; at least the tokenizer's).
 * A vocabulary of 151 k tokens takes about 5 MB. GLINT_ERR_ARG, _MEMORY.
 */
glint_status gi_vocab_trie_create(const gi_tokenizer *tokenizer, size_t n_vocab,
                                  gi_vocab_trie **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_vocab_trie_free(gi_vocab_trie *t);

/** Whether the tree has this token. */
static inline bool gi_vocab_trie_has(const gi_vocab_trie *t, int32_t id) {
    if (id < 0 || (size_t)id >= t->n_vocab) return false;
    return (t->plain_bits[id / 32] | t->other_bits[id / 32]) >> id % 32 & 1;
}

#endif
