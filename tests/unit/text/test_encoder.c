/*
 * src/text/encoder: the ids of gi_tokenizer_encode, without allocating, and where pieces end.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "text/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gi_tokenizer *open_tokenizer(void) {
    char path[GI_PATH_BYTES];
    gi_tokenizer *t = NULL;
    snprintf(path, sizeof path, "%s/models/default/tokenizer.json", getenv("GLINT_SOURCE_ROOT"));
    assert_int_equal(gi_tokenizer_load(path, &t, NULL), GLINT_OK);
    return t;
}

static void same_ids_as_the_tokenizer(void **state) {
    (void)state;
    static const char *const texts[] = {"", "a",
                                        "{\"result\":\"reject\",\"reasons\":[\"涉嫌虚假宣传\"]}",
                                        "  two  spaces \n\n x", "1234567 hello, world! 👍"};
    gi_tokenizer *t = open_tokenizer();
    gi_encoder *e = NULL;
    gi_ids ids;
    gi_ids_init(&ids, 200);
    assert_int_equal(gi_encoder_create(t, 64, &e, NULL), GLINT_OK);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        gi_encoded out;
        const size_t n = strlen(texts[i]);
        ids.n = 0;
        assert_int_equal(gi_tokenizer_encode(t, texts[i], n, &ids, NULL), GLINT_OK);
        const uint64_t before = gi_alloc_count();
        assert_int_equal(gi_encoder_run(e, texts[i], n, &out, NULL), GLINT_OK);
        assert_int_equal(gi_alloc_count(), before);
        assert_int_equal(out.n, ids.n);
        if (ids.n) assert_memory_equal(out.ids, ids.ids, ids.n * sizeof *ids.ids);
        /* a token ends within its piece, and the last piece ends with the text */
        size_t at = 0;
        for (size_t k = 0; k < out.n; k++) {
            size_t n_token;
            (void)gi_tokenizer_bytes(t, out.ids[k], &n_token);
            at += n_token;
            assert_in_range(out.piece_ends[k], at, n);
        }
        assert_int_equal(at, n);
    }
    gi_ids_done(&ids);
    gi_encoder_free(e);
    gi_tokenizer_free(t);
}

static void pieces_end_where_text_is_cut(void **state) {
    (void)state;
    gi_tokenizer *t = open_tokenizer();
    gi_encoder *e = NULL;
    gi_encoded out;
    assert_int_equal(gi_encoder_create(t, 64, &e, NULL), GLINT_OK);
    assert_int_equal(gi_encoder_run(e, "ab,\":[12", 8, &out, NULL), GLINT_OK);
    for (size_t i = 0; i < out.n; i++)
        assert_true(out.piece_ends[i] == 2 || out.piece_ends[i] == 6 || out.piece_ends[i] == 8);
    gi_encoder_free(e);
    gi_tokenizer_free(t);
}

static void what_is_refused(void **state) {
    (void)state;
    gi_tokenizer *t = open_tokenizer();
    gi_encoder *e = NULL;
    gi_encoded out;
    assert_int_equal(gi_encoder_create(t, 8, &e, NULL), GLINT_OK);
    assert_int_equal(gi_encoder_run(e, "123456789", 9, &out, NULL), GLINT_ERR_LIMIT);
    assert_int_equal(gi_encoder_run(e, "\xC3", 1, &out, NULL), GLINT_ERR_ARG);
    gi_encoder_free(e);
    gi_encoder_free(NULL);
    e = NULL;
    uint64_t n;
    for (n = 1; !e; n++) {
        gi_alloc_fail_at(n);
        const glint_status st = gi_encoder_create(t, 8, &e, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_true(n > 3);
    gi_encoder_free(e);
    gi_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids_as_the_tokenizer),
        cmocka_unit_test(pieces_end_where_text_is_cut),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests_name("encoder", tests, NULL, NULL);
}
