/*
 * src/text/tokenizer: the ids of Hugging Face tokenizers on the golden strings, bytes back from
 * ids, added tokens that text can never become, cost, and every kind of file that is refused.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "base/json.h"
#include "small_tokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

static gi_tokenizer *load(const char *path) {
    gi_tokenizer *t = NULL;
    glint_error e = {0};
    if (gi_tokenizer_load(path, &t, &e) != GLINT_OK) fail_msg("%s", e.message);
    return t;
}

static gi_tokenizer *load_default(void) {
    char path[GI_PATH_BYTES];
    assert_int_equal(gi_path_join(path, sizeof path, getenv("GLINT_SOURCE_ROOT"),
                                  "models/default/tokenizer.json", NULL),
                     GLINT_OK);
    return load(path);
}

static gi_ids encode(const gi_tokenizer *t, const char *text, size_t n) {
    gi_ids ids;
    glint_error e = {0};
    gi_ids_init(&ids, n + 1);
    if (gi_tokenizer_encode(t, text, n, &ids, &e) != GLINT_OK) fail_msg("%s", e.message);
    return ids;
}

/* The tokens' bytes, end to end, are the text. */
static void assert_decodes(const gi_tokenizer *t, const gi_ids *ids, const char *text, size_t n) {
    size_t at = 0;
    for (size_t i = 0; i < ids->n; i++) {
        size_t n_bytes;
        const uint8_t *bytes = gi_tokenizer_bytes(t, ids->ids[i], &n_bytes);
        assert_true(n_bytes > 0 && n_bytes <= n - at);
        assert_memory_equal(bytes, text + at, n_bytes);
        at += n_bytes;
    }
    assert_int_equal(at, n);
}

static void assert_ids(const gi_tokenizer *t, const char *text, const int32_t *want, size_t n) {
    gi_ids ids = encode(t, text, strlen(text));
    assert_int_equal(ids.n, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(ids.ids[i], want[i]);
    gi_ids_done(&ids);
}

static void ids_are_those_of_the_published_library(void **state) {
    (void)state;
    char path[GI_PATH_BYTES];
    gi_buf file;
    gi_buf_init(&file, 16 << 20);
    gi_path_join(path, sizeof path, getenv("GLINT_SOURCE_ROOT"),
                 "tests/golden/text/tokenizer.jsonl", NULL);
    assert_int_equal(gi_file_read(path, &file, NULL), GLINT_OK);
    gi_tokenizer *t = load_default();
    size_t n_rows = 0;
    for (const char *line = (const char *)file.data; *line; n_rows++) {
        const size_t n_line = (size_t)(strchr(line, '\n') - line);
        json_t *row = NULL;
        assert_int_equal(gi_json_parse(line, n_line, "golden", &row, NULL), GLINT_OK);
        const json_t *text = json_object_get(row, "text"), *want = json_object_get(row, "ids");
        gi_ids ids = encode(t, json_string_value(text), json_string_length(text));
        if (ids.n != json_array_size(want)) fail_msg("%zu ids: %.200s", ids.n, line);
        for (size_t i = 0; i < ids.n; i++)
            if (ids.ids[i] != json_integer_value(json_array_get(want, i)))
                fail_msg("id %zu: %.200s", i, line);
        assert_decodes(t, &ids, json_string_value(text), json_string_length(text));
        gi_ids_done(&ids);
        json_decref(row);
        line += n_line + 1;
    }
    assert_true(n_rows > 3000);
    gi_tokenizer_free(t);
    gi_buf_done(&file);
}

static void default_vocabulary(void **state) {
    (void)state;
    gi_tokenizer *t = load_default();
    size_t n;
    assert_int_equal(gi_tokenizer_count(t), 6144);
    const int32_t user = gi_tokenizer_special(t, "<|user|>");
    assert_true(user > 0 && gi_tokenizer_is_special(t, user));
    assert_memory_equal(gi_tokenizer_bytes(t, user, &n), "<|user|>", 8);
    assert_int_equal(n, 8);
    assert_int_equal(gi_tokenizer_special(t, "<|user|"), -1);
    assert_int_equal(gi_tokenizer_special(t, "<|user|>>"), -1);
    assert_int_equal(gi_tokenizer_special(t, "a"), -1);
    assert_false(gi_tokenizer_is_special(t, 0));
    for (int32_t id = -2; id < 6200; id++) {
        const uint8_t *bytes = gi_tokenizer_bytes(t, id, &n);
        if (id < 0 || id >= 6144) assert_true(bytes == NULL && n == 0);
    }
    assert_false(gi_tokenizer_is_special(t, -1));
    assert_false(gi_tokenizer_is_special(t, INT32_MAX));
    gi_tokenizer_free(t);
}

/* Whatever lies around it, an added token's text never gives its id. */
static void typed_special_tokens_stay_text(void **state) {
    (void)state;
    static const char *const frames[] = {"%s", " %s", "%s%s", "a%sb", "\n%s\n", "图%s片", "%s."};
    gi_tokenizer *t = load_default();
    for (size_t i = 0; i < t->n_added; i++) {
        size_t n;
        const char *content = (const char *)gi_tokenizer_bytes(t, (int32_t)t->added[i], &n);
        for (size_t f = 0; f < sizeof frames / sizeof *frames; f++) {
            gi_buf b;
            gi_buf_init(&b, 4096);
            for (const char *at = frames[f]; *at; at++) {
                if (at[0] == '%' && at[1] == 's') {
                    assert_int_equal(gi_buf_push(&b, content, n, NULL), GLINT_OK);
                    at++;
                } else {
                    assert_int_equal(gi_buf_push(&b, at, 1, NULL), GLINT_OK);
                }
            }
            gi_ids ids = encode(t, (char *)b.data, b.len);
            for (size_t k = 0; k < ids.n; k++)
                assert_int_equal(t->vocab.entries[ids.ids[k]].kind, GI_TOKEN_TEXT);
            assert_decodes(t, &ids, (char *)b.data, b.len);
            gi_ids_done(&ids);
            gi_buf_done(&b);
        }
    }
    gi_tokenizer_free(t);
}

static void bytes_that_are_not_utf8_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *at;
    } rows[] = {
        {"\x80", "byte 0"},      {"ab\xC3", "byte 2"},    {"\xED\xA0\x80", "byte 0"},
        {"图\xF8x", "byte 3"},   {"a\xC0\xAF", "byte 1"}, {"ok \xF4\x90\x80\x80", "byte 3"},
        {"x\xE5\x9B", "byte 1"},
    };
    gi_tokenizer *t = load_default();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        glint_error e = {0};
        gi_ids ids;
        gi_ids_init(&ids, 100);
        assert_int_equal(gi_tokenizer_encode(t, rows[i].text, strlen(rows[i].text), &ids, &e),
                         GLINT_ERR_ARG);
        assert_non_null(strstr(e.message, rows[i].at));
        assert_int_equal(ids.n, 0);
        gi_ids_done(&ids);
    }
    gi_tokenizer_free(t);
}

static void ids_never_pass_their_maximum(void **state) {
    (void)state;
    gi_tokenizer *t = load_default();
    gi_ids ids;
    gi_ids_init(&ids, 3);
    assert_int_equal(gi_tokenizer_encode(t, "\t\t\t", 3, &ids, NULL), GLINT_OK);
    assert_int_equal(ids.n, 3);
    assert_int_equal(gi_tokenizer_encode(t, "a", 1, &ids, NULL), GLINT_ERR_LIMIT);
    assert_int_equal(ids.n, 3);
    gi_ids_done(&ids);
    gi_ids_init(&ids, SIZE_MAX);
    assert_int_equal(gi_ids_push(&ids, 7, 1000, NULL), GLINT_OK);
    assert_int_equal(ids.ids[999], 7);
    assert_int_equal(gi_ids_push(&ids, 7, SIZE_MAX, NULL), GLINT_ERR_LIMIT);
    gi_ids_done(&ids);
    gi_ids_done(NULL);
    gi_tokenizer_free(t);
}

static void merges_follow_rank_then_place(void **state) {
    (void)state;
    /* ids:                              256    257    258     259 */
    static const char *const merges[] = {"b c", "a b", "a bc", "a a", NULL};
    for (int as_arrays = 0; as_arrays < 2; as_arrays++) {
        const small_tokenizer s = {.merges = merges, .merges_as_arrays = as_arrays};
        gi_tokenizer *t = load(small_tokenizer_write(&s));
        assert_int_equal(gi_tokenizer_count(t), 260);
        assert_ids(t, "abc", (int32_t[]){258}, 1);
        assert_ids(t, "ab", (int32_t[]){257}, 1);
        assert_ids(t, "aab", (int32_t[]){'a', 257}, 2);
        assert_ids(t, "aaa", (int32_t[]){259, 'a'}, 2);
        assert_ids(t, "aaaa", (int32_t[]){259, 259}, 2);
        assert_ids(t, "a bc", (int32_t[]){'a', ' ', 256}, 3);
        assert_ids(t, "", NULL, 0);
        gi_tokenizer_free(t);
    }
}

/* Two merges may make one token: the candidate that is outdated then still counts, as it does in
 * the published library (checked there: "aabc" with these merges gives these ids). */
static void two_merges_may_make_one_token(void **state) {
    (void)state;
    const small_tokenizer s = {
        .vocab_extra = "\"ab\":256,\"bc\":257,\"abc\":258,\"aa\":259,",
        .merges_extra = "\"ab c\",\"a b\",\"a bc\",\"b c\",\"a a\"",
    };
    gi_tokenizer *t = load(small_tokenizer_write(&s));
    assert_ids(t, "abc", (int32_t[]){258}, 1);
    assert_ids(t, "aabc", (int32_t[]){'a', 258}, 2);
    gi_tokenizer_free(t);
}

static void whole_pieces_win_with_ignore_merges(void **state) {
    (void)state;
    static const char *const merges[] = {"b c", "a b", "ab c", NULL};
    small_tokenizer s = {.merges = merges};
    gi_tokenizer *t = load(small_tokenizer_write(&s));
    assert_ids(t, "abc", (int32_t[]){'a', 256}, 2);
    gi_tokenizer_free(t);
    static const char *const added[] = {"/nothink", NULL};
    s.added = added;
    s.model_extra = "\"ignore_merges\":true,";
    t = load(small_tokenizer_write(&s));
    assert_ids(t, "abc", (int32_t[]){258}, 1);
    assert_ids(t, "abcd", (int32_t[]){'a', 256, 'd'}, 3);
    gi_ids ids = encode(t, "/nothink", 8);
    assert_int_equal(ids.n, 8);
    gi_ids_done(&ids);
    gi_tokenizer_free(t);
}

static void splits_and_byte_level_options(void **state) {
    (void)state;
    static const char *const merges[] = {"a b", "\\u0120 a", "ab ab", NULL};
    small_tokenizer s = {.merges = merges};
    s.pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":true}";
    gi_tokenizer *t = load(small_tokenizer_write(&s));
    assert_ids(t, "a", (int32_t[]){257}, 1);
    assert_ids(t, " a", (int32_t[]){257}, 1);
    assert_ids(t, "xa'sa", (int32_t[]){' ', 'x', 'a', '\'', 's', 'a'}, 6);
    gi_tokenizer_free(t);
    s.pre_tokenizer =
        "{\"type\":\"Sequence\",\"pretokenizers\":["
        "{\"type\":\"Split\",\"pattern\":{\"String\":\"a.\"},\"behavior\":\"Isolated\"},"
        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"b\"},\"behavior\":\"Isolated\"},"
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}";
    t = load(small_tokenizer_write(&s));
    assert_ids(t, "abab", (int32_t[]){'a', 'b', 'a', 'b'}, 4);
    assert_ids(t, " a. ax", (int32_t[]){' ', 'a', '.', 257, 'x'}, 5);
    gi_tokenizer_free(t);
}

/* A megabyte that is one piece costs a bounded number of steps a byte, not a number that grows
 * with the length. */
static void one_huge_piece_costs_n_log_n(void **state) {
    (void)state;
    static const char *const merges[] = {"a a", "aa aa", "aaaa aaaa", "aaaaaaaa aaaaaaaa", NULL};
    const small_tokenizer s = {.merges = merges};
    gi_tokenizer *t = load(small_tokenizer_write(&s));
    static const char *const units[] = {"a", "ab", "aab", "\xE7\x89\xB9"};
    enum { N = 1 << 20 };
    uint8_t *text = gi_alloc(N);
    assert_non_null(text);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        const size_t n_unit = strlen(units[u]);
        for (size_t i = 0; i < N; i++) text[i] = (uint8_t)units[u][i % n_unit];
        for (size_t n = 1 << 12; n <= N; n <<= 4) {
            gi_bpe bpe = {0};
            gi_ids ids;
            gi_ids_init(&ids, N);
            assert_int_equal(gi_bpe_encode(&bpe, &t->merges, t->byte_ids, text, n, &ids, NULL),
                             GLINT_OK);
            assert_in_range(bpe.n_work, n - 1, 50 * n);
            gi_bpe_done(&bpe);
            gi_ids_done(&ids);
        }
    }
    /* The same through the front door, with the patterns of the default model. */
    gi_tokenizer *d = load_default();
    for (size_t i = 0; i < N; i++) text[i] = ' ';
    gi_ids ids = encode(d, (char *)text, N);
    assert_decodes(d, &ids, (char *)text, N);
    gi_ids_done(&ids);
    gi_free(text);
    gi_tokenizer_free(d);
    gi_tokenizer_free(t);
}

static void holes_between_ids_are_empty(void **state) {
    (void)state;
    const small_tokenizer s = {
        .vocab_extra = "\"zz\":300,",
        .added_extra = "{\"id\":400,\"content\":\"<x>\",\"special\":false}",
    };
    gi_tokenizer *t = load(small_tokenizer_write(&s));
    size_t n = 9;
    assert_int_equal(gi_tokenizer_count(t), 401);
    assert_null(gi_tokenizer_bytes(t, 299, &n));
    assert_int_equal(n, 0);
    assert_memory_equal(gi_tokenizer_bytes(t, 300, &n), "zz", 2);
    assert_int_equal(gi_tokenizer_special(t, "<x>"), 400);
    assert_false(gi_tokenizer_is_special(t, 400));
    gi_tokenizer_free(t);
}

static void vocabulary_may_hold_added_tokens_and_foreign_text(void **state) {
    (void)state;
    const small_tokenizer s = {
        .vocab_extra = "\"<|end|>\":256,\"\\uFF5C\":257,\"\\uD83D\\uDE00\":258,",
        .added_extra = "{\"id\":256,\"content\":\"<|end|>\",\"special\":true}",
    };
    gi_tokenizer *t = load(small_tokenizer_write(&s));
    size_t n;
    assert_int_equal(gi_tokenizer_special(t, "<|end|>"), 256);
    assert_memory_equal(gi_tokenizer_bytes(t, 257, &n), "\xEF\xBD\x9C", 3);
    assert_memory_equal(gi_tokenizer_bytes(t, 258, &n), "\xF0\x9F\x98\x80", 4);
    gi_ids ids = encode(t, "\xEF\xBD\x9C<|end|>", 10);
    assert_int_equal(ids.n, 10);
    gi_ids_done(&ids);
    gi_tokenizer_free(t);
}

static const struct {
    small_tokenizer file;
    glint_status status;
    const char *says;
} refused[] = {
    {{.type = "\"WordPiece\""}, GLINT_ERR_UNSUPPORTED, "model.type is \"WordPiece\""},
    {{.type = "\"Unigram\""}, GLINT_ERR_UNSUPPORTED, "Unigram"},
    {{.model_extra = "\"dropout\":0.1,"}, GLINT_ERR_UNSUPPORTED, "model.dropout"},
    {{.model_extra = "\"byte_fallback\":true,"}, GLINT_ERR_UNSUPPORTED, "byte_fallback"},
    {{.model_extra = "\"end_of_word_suffix\":\"</w>\","}, GLINT_ERR_UNSUPPORTED, "</w>"},
    {{.model_extra = "\"continuing_subword_prefix\":\"##\","}, GLINT_ERR_UNSUPPORTED, "##"},
    {{.model_extra = "\"ignore_merges\":1,"}, GLINT_ERR_UNSUPPORTED, "ignore_merges"},
    {{.model_extra = "\"novelty\":1,"}, GLINT_ERR_UNSUPPORTED, "model.novelty"},
    {{.model_extra = "\"vocab\":{},"}, GLINT_ERR_FORMAT, "\"vocab\" comes twice"},
    {{.file_extra = "\"novelty\":1,"}, GLINT_ERR_UNSUPPORTED, "\"novelty\""},
    {{.file_extra = "\"model\":{},"}, GLINT_ERR_FORMAT, "\"model\" comes twice"},
    {{.normalizer = "{\"type\":\"NFC\"}"}, GLINT_ERR_UNSUPPORTED, "normalizer \"NFC\""},
    {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"}]}"},
     GLINT_ERR_UNSUPPORTED,
     "Lowercase"},
    {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Sequence\"}]}"},
     GLINT_ERR_UNSUPPORTED,
     "nested"},
    {{.normalizer = "[1]"}, GLINT_ERR_FORMAT, "\"type\""},
    {{.post_processor = "{\"type\":\"RobertaProcessing\"}"},
     GLINT_ERR_UNSUPPORTED,
     "RobertaProcessing"},
    {{.decoder = "{\"type\":\"Metaspace\"}"}, GLINT_ERR_UNSUPPORTED, "decoder \"Metaspace\""},
    {{.pre_tokenizer = "null"}, GLINT_ERR_UNSUPPORTED, "pre_tokenizer"},
    {{.pre_tokenizer = "{\"type\":\"Whitespace\"}"}, GLINT_ERR_UNSUPPORTED, "Whitespace"},
    {{.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[]}"},
     GLINT_ERR_UNSUPPORTED,
     "no ByteLevel"},
    {{.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[7]}"},
     GLINT_ERR_FORMAT,
     "\"type\""},
    {{.pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},"
                       "\"behavior\":\"Removed\"}"},
     GLINT_ERR_UNSUPPORTED,
     "Removed"},
    {{.pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},"
                       "\"behavior\":\"Isolated\",\"invert\":true}"},
     GLINT_ERR_UNSUPPORTED,
     "inverted"},
    {{.pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{},\"behavior\":\"Isolated\"}"},
     GLINT_ERR_FORMAT,
     "pattern"},
    {{.pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a*\"},"
                       "\"behavior\":\"Isolated\"}"},
     GLINT_ERR_UNSUPPORTED,
     "empty string"},
    {{.pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},"
                       "\"behavior\":\"Isolated\"}"},
     GLINT_ERR_UNSUPPORTED,
     "does not compile"},
    {{.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\","
                       "\"add_prefix_space\":false},{\"type\":\"ByteLevel\","
                       "\"add_prefix_space\":false}]}"},
     GLINT_ERR_UNSUPPORTED,
     "after ByteLevel"},
    {{.first_byte = 1}, GLINT_ERR_UNSUPPORTED, "no token for byte 0x00"},
    {{.vocab_extra = "\"zz\":5,"}, GLINT_ERR_FORMAT, "two tokens have id 5"},
    {{.vocab_extra = "\"a\":300,"}, GLINT_ERR_FORMAT, "same bytes"},
    {{.vocab_extra = "\"\":300,"}, GLINT_ERR_FORMAT, "empty"},
    {{.vocab_extra = "\"zz\":-1,"}, GLINT_ERR_FORMAT, "whole number"},
    {{.vocab_extra = "\"zz\":1.5,"}, GLINT_ERR_FORMAT, "whole number"},
    {{.vocab_extra = "\"zz\":1048576,"}, GLINT_ERR_LIMIT, "1048575"},
    {{.vocab_extra = "\"zz\":99999999999999999999,"}, GLINT_ERR_LIMIT, "1048575"},
    {{.vocab_extra = "\"\\uD800\":300,"}, GLINT_ERR_FORMAT, "escape"},
    {{.vocab_extra = "\"\xFF\":300,"}, GLINT_ERR_FORMAT, "UTF-8"},
    {{.merges_extra = "\"ab\""}, GLINT_ERR_FORMAT, "merge 0: not a pair"},
    {{.merges_extra = "\"a b c\""}, GLINT_ERR_FORMAT, "merge 0: not a pair"},
    {{.merges_extra = "\" b\""}, GLINT_ERR_FORMAT, "merge 0: not a pair"},
    {{.merges_extra = "[\"a\"]"}, GLINT_ERR_FORMAT, "merge 0: not a pair"},
    {{.merges_extra = "[\"a\",\"b\",\"c\"]"}, GLINT_ERR_FORMAT, "merge 0: not a pair"},
    {{.merges_extra = "[\"a\",\"\"]"}, GLINT_ERR_FORMAT, "merge 0: not a pair"},
    {{.merges_extra = "7"}, GLINT_ERR_FORMAT, "expected a string"},
    {{.merges_extra = "\"a b\""}, GLINT_ERR_FORMAT, "merge 0: its parts or its result"},
    {{.merges_extra = "\"a b\",\"a b\"", .vocab_extra = "\"ab\":256,"},
     GLINT_ERR_FORMAT,
     "same pair"},
    {{.merges_extra = "\"< x\"",
      .vocab_extra = "\"<x\":256,",
      .added_extra = "{\"id\":256,\"content\":\"<x\"}"},
     GLINT_ERR_FORMAT,
     "not ordinary"},
    {{.added_extra = "{\"id\":5,\"content\":\"<x>\"}"}, GLINT_ERR_FORMAT, "<x>"},
    {{.added_extra = "{\"id\":256,\"content\":\"a\"}"}, GLINT_ERR_FORMAT, "added token 256"},
    {{.added_extra = "{\"id\":256,\"content\":\"\"}"}, GLINT_ERR_FORMAT, "empty"},
    {{.added_extra = "{\"id\":256,\"content\":\"<x>\"},{\"id\":257,\"content\":\"<x>\"}"},
     GLINT_ERR_FORMAT,
     "comes twice"},
    {{.file_extra = "\"added_tokens\":{},"}, GLINT_ERR_FORMAT, "comes twice"},
    {{.added_extra = "{\"content\":\"<x>\"}"}, GLINT_ERR_FORMAT, "\"id\" is missing"},
    {{.added_extra = "{\"id\":1048576,\"content\":\"<x>\"}"}, GLINT_ERR_FORMAT, "\"id\""},
};

static void what_is_not_understood_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        glint_error e = {0};
        gi_tokenizer *t = NULL;
        const char *path = small_tokenizer_write(&refused[i].file);
        const glint_status st = gi_tokenizer_load(path, &t, &e);
        if (st != refused[i].status || !strstr(e.message, refused[i].says))
            fail_msg("row %zu: %s: \"%s\", not \"%s\"", i, glint_status_name(st), e.message,
                     refused[i].says);
        assert_non_null(strstr(e.message, path));
        assert_null(t);
    }
}

static void post_processors_do_not_touch_text(void **state) {
    (void)state;
    const small_tokenizer s = {
        .post_processor = "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"
                          "{\"type\":\"TemplateProcessing\",\"single\":[]}]}",
        .normalizer = "{\"type\":\"Sequence\",\"normalizers\":[]}",
        .model_extra = "\"unk_token\":\"<unk>\",\"dropout\":null,\"fuse_unk\":false,"
                       "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":null,",
    };
    gi_tokenizer *t = load(small_tokenizer_write(&s));
    assert_ids(t, "hi", (int32_t[]){'h', 'i'}, 2);
    gi_tokenizer_free(t);
}

/* Both parts of a merge share one buffer: each may fit it alone and the two not. */
static void long_merge_parts_are_refused(void **state) {
    (void)state;
    enum { PART = 3 * GI_TOKEN_BYTES_MAX }; /* three quarters of the longest text */
    static char merge[2 * PART + 16];
    char part[PART + 1];
    memset(part, 'a', PART);
    part[PART] = '\0';
    snprintf(merge, sizeof merge, "[\"%s\", \"%s\"]", part, part);
    const small_tokenizer s = {.merges_extra = merge};
    glint_error e = {0};
    gi_tokenizer *t = NULL;
    assert_int_equal(gi_tokenizer_load(small_tokenizer_write(&s), &t, &e), GLINT_ERR_LIMIT);
    assert_non_null(strstr(e.message, "string longer than"));
    assert_null(t);
}

/* Any prefix of a file, and any file with one byte changed, is loaded or refused cleanly. */
static void damaged_files_are_refused(void **state) {
    (void)state;
    static const char *const merges[] = {"a b", "ab c", NULL};
    static const char *const added[] = {"<x>", NULL};
    const small_tokenizer s = {.merges = merges, .added = added};
    gi_buf whole;
    gi_buf_init(&whole, 1 << 20);
    assert_int_equal(gi_file_read(small_tokenizer_write(&s), &whole, NULL), GLINT_OK);
    for (size_t n = 0; n < whole.len - 2; n += 1 + n / 64) {
        gi_tokenizer *t = NULL;
        glint_error e = {0};
        assert_true(gi_tokenizer_load(small_tokenizer_write_bytes(whole.data, n), &t, &e) < 0);
        assert_true(e.message[0] != '\0');
    }
    const char changes[] = {'\0', '"', '{', ']', ',', '\\', '\xFF', '9'};
    for (size_t i = 0; i < whole.len; i += 7) {
        const uint8_t kept = whole.data[i];
        whole.data[i] = (uint8_t)changes[i % sizeof changes];
        gi_tokenizer *t = NULL;
        if (gi_tokenizer_load(small_tokenizer_write_bytes(whole.data, whole.len), &t, NULL) ==
            GLINT_OK)
            gi_tokenizer_free(t);
        else
            assert_null(t);
        whole.data[i] = kept;
    }
    gi_buf_done(&whole);
}

/* Each allocation fails once, in loading and in encoding. */
static void short_of_memory(void **state) {
    (void)state;
    static const char *const merges[] = {"a b", NULL};
    static const char *const added[] = {"<x>", NULL};
    const small_tokenizer s = {.merges = merges, .added = added};
    const char *path = small_tokenizer_write(&s);
    gi_tokenizer *t = NULL;
    uint64_t n;
    for (n = 1; !t; n++) {
        gi_alloc_fail_at(n);
        const glint_status st = gi_tokenizer_load(path, &t, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) {
            assert_int_equal(st, GLINT_ERR_MEMORY);
            assert_null(t);
        }
    }
    assert_true(n > 8);
    glint_status st = GLINT_ERR_MEMORY;
    for (n = 1; st != GLINT_OK; n++) {
        gi_ids ids;
        gi_ids_init(&ids, 100);
        gi_alloc_fail_at(n);
        st = gi_tokenizer_encode(t, "ab, ab ab", 9, &ids, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
        gi_ids_done(&ids);
    }
    assert_true(n > 4);
    gi_tokenizer_free(t);
    gi_tokenizer_free(NULL);
}

static int remove_file(void **state) {
    (void)state;
    small_tokenizer_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_published_library),
        cmocka_unit_test(default_vocabulary),
        cmocka_unit_test(typed_special_tokens_stay_text),
        cmocka_unit_test(bytes_that_are_not_utf8_are_refused),
        cmocka_unit_test(ids_never_pass_their_maximum),
        cmocka_unit_test(merges_follow_rank_then_place),
        cmocka_unit_test(two_merges_may_make_one_token),
        cmocka_unit_test(whole_pieces_win_with_ignore_merges),
        cmocka_unit_test(splits_and_byte_level_options),
        cmocka_unit_test(one_huge_piece_costs_n_log_n),
        cmocka_unit_test(holes_between_ids_are_empty),
        cmocka_unit_test(vocabulary_may_hold_added_tokens_and_foreign_text),
        cmocka_unit_test(what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(post_processors_do_not_touch_text),
        cmocka_unit_test(long_merge_parts_are_refused),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, remove_file);
}
