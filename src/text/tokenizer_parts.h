/**
 * @file
 * What a tokenizer is made of; shared by tokenizer.c and tokenizer_load.c alone.
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

#endif
