/*
 * The first line as a text, what follows as a tokenizer.json. With what is taken the text becomes
 * ids, ordinary tokens all, whose bytes are the text again.
 */
#include "bytes_file.h"
#include "text/tokenizer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void check_text(const gi_tokenizer *t, const char *text, size_t n) {
    gi_ids ids;
    gi_ids_init(&ids, 4096);
    if (gi_tokenizer_encode(t, text, n, &ids, NULL) == GLINT_OK) {
        size_t at = 0;
        for (size_t i = 0; i < ids.n; i++) {
            size_t n_token;
            const uint8_t *token = gi_tokenizer_bytes(t, ids.ids[i], &n_token);
            gi_assert(gi_tokenizer_is_text(t, ids.ids[i]) && token && n_token > 0);
            gi_assert(n_token <= gi_tokenizer_longest_bytes(t) && n_token <= n - at);
            gi_assert(memcmp(token, text + at, n_token) == 0);
            at += n_token;
        }
        gi_assert(at == n);
    }
    gi_ids_done(&ids);
}

static void check_ids(const gi_tokenizer *t) {
    const int32_t n = gi_tokenizer_count(t);
    for (int32_t id = 0; id < n; id++) {
        size_t n_bytes;
        const uint8_t *bytes = gi_tokenizer_bytes(t, id, &n_bytes);
        gi_assert(!(gi_tokenizer_is_text(t, id) && gi_tokenizer_is_special(t, id)));
        gi_assert(bytes == NULL || n_bytes > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    gi_tokenizer *t = NULL;
    glint_error err = {0};
    const uint8_t *cut = n_bytes ? memchr(bytes, '\n', n_bytes) : NULL;
    if (!cut) return 0;
    const size_t n_text = (size_t)(cut - bytes);
    const glint_status st = gi_tokenizer_load(bytes_file(cut + 1, n_bytes - n_text - 1), &t, &err);
    if (st == GLINT_OK) {
        check_ids(t);
        check_text(t, (const char *)bytes, n_text);
        check_text(t, "The 2 quick  foxes;\n\tno\xE7\x8C\xAB don't.", 34);
    } else {
        gi_assert(err.code == st && err.message[0]);
    }
    gi_tokenizer_free(t);
    return 0;
}
