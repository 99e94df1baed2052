/*
 * Writes small but complete tokenizer.json files: 256 byte tokens (ids 0..255), then what the
 * merges make (ids 256.. in order), then added tokens (the ids after those, marked special).
 */
#ifndef TESTS_SMALL_TOKENIZER_H
#define TESTS_SMALL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

/* What differs from the usual file; each is JSON text. NULL = the usual. */
typedef struct small_tokenizer {
    const char *const *merges; /* "a b" in the byte alphabet, NULL-terminated */
    const char *const *added;  /* contents, NULL-terminated */
    bool merges_as_arrays;
    int first_byte; /* 1: byte 0 has no token */
    const char *pre_tokenizer, *normalizer, *post_processor, *decoder;
    const char *type;        /* of the model */
    const char *vocab_extra; /* members of "vocab", with a comma behind each; likewise: */
    const char *model_extra, *file_extra, *merges_extra, *added_extra;
} small_tokenizer;

/* Writes the file; its path stays valid until the next call. */
const char *small_tokenizer_write(const small_tokenizer *s);

/* Writes n bytes of any kind. */
const char *small_tokenizer_write_bytes(const void *data, size_t n_bytes);

/* Removes the file. */
void small_tokenizer_remove(void);

#endif
