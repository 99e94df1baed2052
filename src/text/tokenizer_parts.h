/**
 * @file
 * What a tokenizer is made of; shared by tokenizer.c, tokenizer_load.c and encoder.c alone.
 */
#ifndef GI_TEXT_TOKENIZER_PARTS_H
#define GI_TEXT_TOKENIZER_PARTS_H

#include "text/bpe.h"
#include "text/presplit.h"
#include "text/vocab.h"

/** Most added tokens. */
#define GI_ADDED_TOKENS_MAX 8192

struct gi_tokenizer {
    gi_vocab vocab;
    gi_merges merges;
    gi_presplit *presplit;
    int32_t byte_ids[256]; /**< token of each byte; -1 for some of those UTF-8 never has */
    uint32_t *added;       /**< [n_added] ids of added tokens, in file order */
    size_t n_added;
    bool ignore_merges; /**< a piece that is a token stays one */
};

/** Append the tokens of one piece. */
glint_status gi_tokenizer_encode_piece(const gi_tokenizer *t, gi_bpe *bpe, const uint8_t *piece,
                                       size_t n_bytes, gi_ids *ids, glint_error *err);

#endif
