/*
 * text_driver MODE TOKENIZER.JSON: lets the Python tests drive src/text and the answer's text.
 * Reads records from stdin (u32 little-endian length, bytes) until its end.
 *
 *   encode  answers each with i32 count and the i32 ids; a negative count is a glint_status
 *   answer  feeds the bytes as generated one-byte tokens; answers with u32 length and the text
 *   load    reads nothing; prints how long loading took and what it left allocated
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "engine/answer.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define RECORD_BYTES_MAX (64u << 20)

static void put(const void *data, uint32_t n_bytes) {
    if (n_bytes) fwrite(data, 1, n_bytes, stdout);
}

static void encode(const gi_tokenizer *t, const char *text, size_t n) {
    gi_ids ids;
    gi_ids_init(&ids, RECORD_BYTES_MAX);
    const glint_status st = gi_tokenizer_encode(t, text, n, &ids, NULL);
    const int32_t count = st == GLINT_OK ? (int32_t)ids.n : (int32_t)st;
    put(&count, sizeof count);
    if (st == GLINT_OK) put(ids.ids, (uint32_t)(ids.n * sizeof *ids.ids));
    gi_ids_done(&ids);
}

/* The token of one byte; the vocabulary has one for each. */
static int32_t byte_token(const gi_tokenizer *t, uint8_t byte) {
    for (int32_t id = 0; id < gi_tokenizer_count(t); id++) {
        size_t n;
        const uint8_t *bytes = gi_tokenizer_bytes(t, id, &n);
        if (n == 1 && bytes[0] == byte) return id;
    }
    return -1;
}

static void answer(const gi_tokenizer *t, const char *bytes, size_t n) {
    gi_chat chat;
    if (gi_chat_init(&chat, t, NULL, NULL) != GLINT_OK) return;
    const gi_answer_options options = {.chat = &chat, .max_tokens = GLINT_MAX_TOKENS_MAX};
    gi_answer *a = NULL;
    glint_finish why = GLINT_FINISH_STOP;
    const char *piece;
    size_t n_piece;
    uint32_t n_text = 0;
    if (gi_answer_create(&options, &a, NULL) == GLINT_OK) {
        for (size_t i = 0; i < n; i++)
            gi_answer_push(a, byte_token(t, (uint8_t)bytes[i]), &piece, &n_piece);
        if (gi_answer_finish(a, NULL, &why, &piece, &n_piece, NULL) == GLINT_OK) {
            size_t n_all;
            const char *text = gi_answer_text(a, &n_all);
            n_text = (uint32_t)n_all;
            put(&n_text, sizeof n_text);
            put(text, n_text);
        }
    }
    gi_answer_free(a);
}

static int serve(const gi_tokenizer *t, bool is_encode) {
    char *record = gi_alloc(RECORD_BYTES_MAX);
    uint32_t n;
    if (!record) return 1;
    while (fread(&n, sizeof n, 1, stdin) == 1) {
        if (n > RECORD_BYTES_MAX || fread(record, 1, n, stdin) != n) break;
        if (is_encode)
            encode(t, record, n);
        else
            answer(t, record, n);
    }
    gi_free(record);
    return fflush(stdout) != 0 || ferror(stdin) || ferror(stdout);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    glint_error err = {0};
    gi_tokenizer *t = NULL;
    const double begin_ms = gi_clock_ms();
    if (gi_tokenizer_load(argv[2], &t, &err) != GLINT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    int rc = 0;
    if (strcmp(argv[1], "load") == 0)
        printf("%d tokens, %.0f ms, %.1f MB held\n", gi_tokenizer_count(t),
               gi_clock_ms() - begin_ms, (double)(mallinfo2().uordblks + mallinfo2().hblkhd) / 1e6);
    else
        rc = serve(t, strcmp(argv[1], "encode") == 0);
    gi_tokenizer_free(t);
    return rc;
}
