/*
 * src/engine/answer: what becomes of generated tokens, for each dialect; that the pieces given
 * out are the final text, whatever the stop strings and wherever tokens cut characters.
 */
#include "../cm.h"

#include "../text/small_tokenizer.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "engine/answer.h"

#include <string.h>

/* Tokens 0..255 are bytes. */
static const char *const tokens_46v[] = {"[gMASK]",
                                         "<sop>",
                                         "<|system|>",
                                         "<|user|>",
                                         "<|assistant|>",
                                         "<|observation|>",
                                         "<|begin_of_image|>",
                                         "<|end_of_image|>",
                                         "<|image|>",
                                         "<think>",
                                         "</think>",
                                         "/nothink",
                                         "<|begin_of_box|>",
                                         "<|end_of_box|>",
                                         NULL};
static const char *const tokens_41v[] = {"[gMASK]",
                                         "<sop>",
                                         "<|system|>",
                                         "<|user|>",
                                         "<|assistant|>",
                                         "<|observation|>",
                                         "<|begin_of_image|>",
                                         "<|end_of_image|>",
                                         "<|image|>",
                                         "<think>",
                                         "</think>",
                                         "<answer>",
                                         "</answer>",
                                         NULL};
static const char *const tokens_plain[] = {"[gMASK]",
                                           "<sop>",
                                           "<|system|>",
                                           "<|user|>",
                                           "<|assistant|>",
                                           "<|observation|>",
                                           "<|begin_of_image|>",
                                           "<|end_of_image|>",
                                           "<|image|>",
                                           "<think>",
                                           NULL};

typedef struct model {
    gi_tokenizer *tokenizer;
    gi_chat chat;
} model;

static model open_model(const char *const *tokens, gi_chat_dialect dialect) {
    model m;
    const small_tokenizer s = {.added = tokens};
    assert_int_equal(gi_tokenizer_load(small_tokenizer_write(&s), &m.tokenizer, NULL), GLINT_OK);
    assert_int_equal(gi_chat_init(&m.chat, m.tokenizer, NULL, NULL), GLINT_OK);
    m.chat.dialect = dialect; /* also the combinations no checkpoint is known to have */
    return m;
}

static void close_model(model *m) {
    gi_tokenizer_free(m->tokenizer);
}

static gi_answer *begin(const model *m, bool thinking, const char *const *stops, size_t n_stops) {
    const gi_answer_options options = {.chat = &m->chat,
                                       .thinking = thinking,
                                       .max_tokens = 2000,
                                       .stops = stops,
                                       .n_stops = n_stops};
    gi_answer *a = NULL;
    assert_int_equal(gi_answer_create(&options, &a, NULL), GLINT_OK);
    return a;
}

/* The token at *s: {{name}} is an added token, everything else a byte. */
static int32_t next_token(const model *m, const char **s, size_t *n_left) {
    if (*n_left < 4 || memcmp(*s, "{{", 2) != 0) {
        --*n_left;
        return (uint8_t) * (*s)++;
    }
    const char *end = memmem(*s, *n_left, "}}", 2);
    char name[64] = {0};
    memcpy(name, *s + 2, (size_t)(end - *s) - 2);
    *n_left -= (size_t)(end + 2 - *s);
    *s = end + 2;
    const int32_t id = gi_tokenizer_special(m->tokenizer, name);
    assert_true(id >= 0);
    return id;
}

/* Push tokens until the answer ends; pieces are appended to `out`. */
static void feed(const model *m, gi_answer *a, const char *s, size_t n, gi_buf *out) {
    const char *piece;
    size_t n_piece;
    bool goes_on = true;
    while (n > 0 && goes_on) {
        goes_on = gi_answer_push(a, next_token(m, &s, &n), &piece, &n_piece);
        assert_true(gi_utf8_is_valid((const uint8_t *)piece, n_piece, NULL));
        assert_int_equal(gi_buf_push(out, piece, n_piece, NULL), GLINT_OK);
    }
}

static void finish(gi_answer *a, gi_buf *out) {
    const char *piece;
    size_t n_piece, n_text;
    glint_finish why = GLINT_FINISH_STOP;
    assert_int_equal(gi_answer_finish(a, NULL, &why, &piece, &n_piece, NULL), GLINT_OK);
    assert_int_equal(why, GLINT_FINISH_STOP);
    assert_int_equal(gi_buf_push(out, piece, n_piece, NULL), GLINT_OK);
    const char *text = gi_answer_text(a, &n_text);
    assert_int_equal(n_text, out->len);
    if (n_text) assert_memory_equal(text, out->data, n_text);
    assert_int_equal(text[n_text], 0);
}

typedef struct row {
    const char *tokens, *text, *reasoning;
} row;

static void check_rows(const model *m, bool thinking, const row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        gi_buf out;
        gi_buf_init(&out, 1 << 16);
        gi_answer *a = begin(m, thinking, NULL, 0);
        feed(m, a, rows[i].tokens, strlen(rows[i].tokens), &out);
        finish(a, &out);
        const char *text = gi_answer_text(a, NULL), *reasoning = gi_answer_reasoning(a);
        if (strcmp(text, rows[i].text) != 0)
            fail_msg("\"%s\": \"%s\", not \"%s\"", rows[i].tokens, text, rows[i].text);
        if (!reasoning != !rows[i].reasoning ||
            (reasoning && strcmp(reasoning, rows[i].reasoning) != 0))
            fail_msg("\"%s\": thought \"%s\"", rows[i].tokens, reasoning ? reasoning : "nothing");
        gi_answer_free(a);
        gi_buf_done(&out);
    }
}

static void plain_text_is_left_alone(void **state) {
    (void)state;
    static const row rows[] = {
        {" two\nlines \n", " two\nlines \n", NULL},
        {"a{{<think>}}b{{<|user|>}}c", "abc", NULL},
        {"<think>x</think><answer>y</answer>", "<think>x</think><answer>y</answer>", NULL},
        {"", "", NULL},
        {"{\"a\":1}", "{\"a\":1}", NULL},
    };
    model m = open_model(tokens_plain, GI_CHAT_PLAIN);
    check_rows(&m, false, rows, sizeof rows / sizeof *rows);
    check_rows(&m, true, rows, sizeof rows / sizeof *rows);
    close_model(&m);
}

static void glm_46v_thinks_and_boxes(void **state) {
    (void)state;
    static const row thinking[] = {
        {"{{<think>}}\nhm\n{{</think>}}\nyes", "yes", "hm"},
        {"\n{{<think>}}hm{{</think>}}{{<|begin_of_box|>}}yes{{<|end_of_box|>}}.", "yes.", "hm"},
        {"{{<think>}}{{</think>}}yes", "yes", NULL},
        {"{{<think>}} \n {{</think>}} \n yes ", "yes ", NULL},
        {"{{<think>}}cut of", "", "cut of"},
        {"{{<think>}}a<think>b{{<think>}}c{{</think>}}d", "d", "a<think>bc"},
        {"yes, {{</think>}}no", "yes, no", NULL},
        {"yes{{<think>}}no", "yesno", NULL},
        {"{{<think>}}a{{<|begin_of_box|>}}b{{</think>}}c", "c", "ab"},
        {"{{</think>}}yes", "yes", NULL},
        {"  yes", "yes", NULL},
        {"<think>letters</think>", "<think>letters</think>", NULL},
    };
    static const row silent[] = {
        {"\nyes\n", "yes\n", NULL},
        {"{{<|begin_of_box|>}}\n{\"a\": 1}{{<|end_of_box|>}}", "{\"a\": 1}", NULL},
        {"{{<think>}}x", "x", NULL},
        {"<|begin_of_box|>x", "<|begin_of_box|>x", NULL},
    };
    model m = open_model(tokens_46v, GI_CHAT_GLM_46V);
    check_rows(&m, true, thinking, sizeof thinking / sizeof *thinking);
    check_rows(&m, false, silent, sizeof silent / sizeof *silent);
    close_model(&m);
}

static void glm_41v_answers_between_tags(void **state) {
    (void)state;
    static const row thinking[] = {
        {"{{<think>}}hm{{</think>}}{{<answer>}}yes{{</answer>}}more", "yes", "hm"},
        {"{{<think>}}hm{{</think>}}\n{{<answer>}}\nyes "
         "<|begin_of_box|>1<|end_of_box|>{{</answer>}}",
         "yes 1", "hm"},
        {"{{<think>}}a{{</answer>}}b{{</think>}}c", "c", "ab"},
        {"{{<answer>}}yes", "yes", NULL},
        {"a{{<answer>}}b", "ab", NULL},
        {"<|begin_of_box|> 1", "1", NULL},
        {"<|begin_of_b", "<|begin_of_b", NULL},
    };
    static const row silent[] = {{"yes{{</answer>}}", "yes", NULL}, {"yes", "yes", NULL}};
    model m = open_model(tokens_41v, GI_CHAT_GLM_41V);
    check_rows(&m, true, thinking, sizeof thinking / sizeof *thinking);
    check_rows(&m, false, silent, sizeof silent / sizeof *silent);
    close_model(&m);
}

/* A checkpoint of a thinking dialect whose markers are letters. */
static void markers_may_be_letters(void **state) {
    (void)state;
    static const row thinking[] = {
        {"<think>hm</think>\n<answer>yes</answer>no", "yes", "hm"},
        {" \n<think> a<b </think> c", "c", "a<b"},
        {"<thinner", "<thinner", NULL},
        {"<", "<", NULL},
        {"<think>", "", NULL},
        {"<think>hm</thin", "", "hm</thin"},
        {"x<think>y</think>", "x<think>y</think>", NULL},
        {"<|begin_of_box|>1<|end_of_box|>2", "12", NULL},
        {"<<think>", "<<think>", NULL},
        {"a</answer", "a</answer", NULL},
    };
    model m = open_model(tokens_plain, GI_CHAT_GLM_41V);
    m.chat.think_begin = -1;
    check_rows(&m, true, thinking, sizeof thinking / sizeof *thinking);
    close_model(&m);
}

static void stop_strings_end_the_text(void **state) {
    (void)state;
    static const struct {
        const char *stops[3], *tokens, *text;
        size_t n_unsent; /* bytes of text not yet given out before the end, when no stop came */
    } rows[] = {
        {{"END"}, "some ENDmore", "some ", 0},
        {{"END"}, "some EN", "some EN", 2},
        {{"END"}, "some E N E", "some E N E", 1},
        {{"aab"}, "aaaab", "aa", 0},
        {{"abab", "ba"}, "xabab", "xa", 0},
        {{"b", "ab"}, "xab", "x", 0},
        {{"图片"}, "一张图片。", "一张", 0},
        {{"图片"}, "一张图", "一张图", 3},
        {{"\n\n"}, "a\n\nb", "a", 0},
        {{"abcabd"}, "abcabcabd!", "abc", 0},
    };
    model m = open_model(tokens_plain, GI_CHAT_PLAIN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n_stops = 0;
        while (n_stops < 3 && rows[i].stops[n_stops]) n_stops++;
        gi_buf out;
        gi_buf_init(&out, 1000);
        gi_answer *a = begin(&m, false, rows[i].stops, n_stops);
        feed(&m, a, rows[i].tokens, strlen(rows[i].tokens), &out);
        assert_int_equal(strlen(rows[i].text) - out.len, rows[i].n_unsent);
        finish(a, &out);
        assert_string_equal(gi_answer_text(a, NULL), rows[i].text);
        gi_answer_free(a);
        gi_buf_done(&out);
    }
    close_model(&m);
}

static void stops_do_not_count_while_thinking(void **state) {
    (void)state;
    static const char *const stops[] = {"."};
    model m = open_model(tokens_46v, GI_CHAT_GLM_46V);
    gi_buf out;
    gi_buf_init(&out, 1000);
    gi_answer *a = begin(&m, true, stops, 1);
    assert_int_equal(gi_answer_get_phase(a), GI_ANSWER_START);
    const char s[] = "{{<think>}}a.b{{</think>}}c";
    feed(&m, a, s, 15, &out);
    assert_int_equal(gi_answer_get_phase(a), GI_ANSWER_REASONING);
    assert_string_equal(gi_answer_text(a, NULL), "");
    feed(&m, a, "{{</think>}}c", 13, &out);
    assert_int_equal(gi_answer_get_phase(a), GI_ANSWER_TEXT);
    feed(&m, a, ".d", 2, &out);
    assert_int_equal(gi_answer_get_phase(a), GI_ANSWER_ENDED);
    finish(a, &out);
    assert_string_equal(gi_answer_text(a, NULL), "c");
    gi_answer_free(a);
    gi_buf_done(&out);
    close_model(&m);
}

/* Text as it must come out: U+FFFD for broken characters, cut where the first stop ends. */
static void expected_text(const uint8_t *s, size_t n, const char *const *stops, size_t n_stops,
                          gi_buf *out) {
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = 1;
        while (len < 4 && i + len < n && gi_utf8_decode(s + i, len, &cp) == -1) len++;
        if (gi_utf8_decode(s + i, len, &cp) > 0) {
            gi_buf_push(out, s + i, len, NULL);
        } else {
            if (len > 1 && gi_utf8_decode(s + i, len, &cp) == 0) len--;
            gi_buf_puts(out, "\xEF\xBF\xBD", NULL);
        }
        i += len;
    }
    size_t cut = out->len, best_end = SIZE_MAX;
    for (size_t k = 0; k < n_stops && out->len; k++) {
        const uint8_t *at = memmem(out->data, out->len, stops[k], strlen(stops[k]));
        if (!at) continue;
        const size_t begin_at = (size_t)(at - out->data), end = begin_at + strlen(stops[k]);
        if (end < best_end || (end == best_end && begin_at < cut)) {
            cut = begin_at;
            best_end = end;
        }
    }
    out->len = cut;
}

static uint32_t next_random(uint32_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

static void any_bytes_and_any_stops(void **state) {
    (void)state;
    static const char *const chars[] = {"a",        "b",        "ab",   "\xE5\x9B\xBE",
                                        "\xE5",     "\xE5\x9B", "\x9B", "\xF0\x9F\x98\x80",
                                        "\xF0\x9F", "\xC0",     "\xFF", " "};
    static const char *const pool[] = {"ab",           "aab",  "bb",   "图",
                                       "\xEF\xBF\xBD", "ba图", "aaaa", "ab ab"};
    model m = open_model(tokens_plain, GI_CHAT_PLAIN);
    uint32_t seed = 2463534242u;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t n = 0, n_stops = next_random(&seed) % 4;
        const char *stops[3];
        const size_t n_chars = next_random(&seed) % 12;
        for (size_t i = 0; i < n_chars; i++) {
            const char *c = chars[next_random(&seed) % (sizeof chars / sizeof *chars)];
            memcpy(bytes + n, c, strlen(c));
            n += strlen(c);
        }
        for (size_t i = 0; i < n_stops; i++)
            stops[i] = pool[next_random(&seed) % (sizeof pool / sizeof *pool)];
        gi_buf out, want;
        gi_buf_init(&out, 1000);
        gi_buf_init(&want, 1000);
        expected_text(bytes, n, stops, n_stops, &want);
        gi_answer *a = begin(&m, false, stops, n_stops);
        feed(&m, a, (const char *)bytes, n, &out);
        finish(a, &out);
        assert_int_equal(out.len, want.len);
        if (out.len) assert_memory_equal(out.data, want.data, out.len);
        gi_answer_free(a);
        gi_buf_done(&out);
        gi_buf_done(&want);
    }
    close_model(&m);
}

static gi_schema *audit_schema(void) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"result\":{\"enum\":[\"pass\",\"reject\"]},"
        "\"reasons\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"
        "\"required\":[\"result\",\"reasons\"],\"additionalProperties\":false}";
    gi_schema *s = NULL;
    assert_int_equal(gi_schema_compile(schema, strlen(schema), NULL, &s, NULL), GLINT_OK);
    return s;
}

static void answers_with_a_schema(void **state) {
    (void)state;
    static const struct {
        const char *text, *json; /* NULL: not valid */
    } rows[] = {
        {"{\"result\":\"pass\",\"reasons\":[]}", "{\"result\":\"pass\",\"reasons\":[]}"},
        {" {\n \"reasons\": [ \"\\u56fe\" , \"b\" ], \"result\": \"reject\" }\n",
         "{\"reasons\":[\"图\",\"b\"],\"result\":\"reject\"}"},
        {"```json\n{\"result\":\"pass\",\"reasons\":[]}\n```",
         "{\"result\":\"pass\",\"reasons\":[]}"},
        {"```\n{\"result\":\"pass\",\"reasons\":[]}```\n", "{\"result\":\"pass\",\"reasons\":[]}"},
        {"{\"result\":\"pass\",\"reasons\":[\"a\\u0000b\"]}",
         "{\"result\":\"pass\",\"reasons\":[\"a\\u0000b\"]}"},
        {"{\"result\":\"pass\",\"reasons\":[]", NULL},
        {"{\"result\":\"pass\",\"reasons\":[]} ok", NULL},
        {"{\"result\":\"maybe\",\"reasons\":[]}", NULL},
        {"{\"result\":\"pass\",\"result\":\"pass\",\"reasons\":[]}", NULL},
        {"```json {\"result\":\"pass\",\"reasons\":[]}```", NULL},
        {"``````", NULL},
        {"pass", NULL},
        {"", NULL},
    };
    model m = open_model(tokens_plain, GI_CHAT_PLAIN);
    gi_schema *schema = audit_schema();
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        const char *text = rows[i / 2].text, *json = rows[i / 2].json, *piece;
        size_t n;
        gi_buf out;
        gi_buf_init(&out, 1000);
        gi_answer *a = begin(&m, false, NULL, 0);
        feed(&m, a, text, strlen(text), &out);
        const glint_finish before = i % 2 ? GLINT_FINISH_LENGTH : GLINT_FINISH_STOP;
        glint_finish why = before;
        assert_int_equal(gi_answer_finish(a, schema, &why, &piece, &n, NULL), GLINT_OK);
        assert_int_equal(why, json || i % 2 ? before : GLINT_FINISH_INVALID);
        if (json)
            assert_string_equal(gi_answer_data_json(a), json);
        else
            assert_null(gi_answer_data_json(a));
        assert_string_equal(gi_answer_text(a, NULL), text);
        gi_answer_free(a);
        gi_buf_done(&out);
    }
    gi_schema_free(schema);
    close_model(&m);
}

/* A schema need not ask for an object. */
static void answers_of_any_type(void **state) {
    (void)state;
    static const char *const texts[] = {"\"图\"", "12", "-0.5", "true", "null", "[1,[]]", "{}"};
    model m = open_model(tokens_plain, GI_CHAT_PLAIN);
    gi_schema *schema = NULL;
    assert_int_equal(gi_schema_compile("{}", 2, NULL, &schema, NULL), GLINT_OK);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *piece;
        size_t n;
        gi_buf out;
        gi_buf_init(&out, 1000);
        gi_answer *a = begin(&m, false, NULL, 0);
        feed(&m, a, texts[i], strlen(texts[i]), &out);
        glint_finish why = GLINT_FINISH_STOP;
        assert_int_equal(gi_answer_finish(a, schema, &why, &piece, &n, NULL), GLINT_OK);
        assert_int_equal(why, GLINT_FINISH_STOP);
        assert_string_equal(gi_answer_data_json(a), texts[i]);
        gi_answer_free(a);
        gi_buf_done(&out);
    }
    gi_schema_free(schema);
    close_model(&m);
}

static void bad_options_are_refused(void **state) {
    (void)state;
    model m = open_model(tokens_plain, GI_CHAT_PLAIN);
    char longest[GLINT_STOP_BYTES_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[GLINT_STOP_BYTES_MAX + 1] = '\0';
    const char *const bad[] = {"", longest, "\xFF", NULL};
    const char *const many[GLINT_STOPS_MAX + 1] = {"a", "a", "a", "a", "a", "a", "a", "a", "a"};
    gi_answer *a = NULL;
    gi_answer_options o = {.chat = &m.chat, .max_tokens = 5, .n_stops = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.stops = &bad[i];
        assert_int_equal(gi_answer_create(&o, &a, NULL), GLINT_ERR_ARG);
    }
    o.stops = many;
    o.n_stops = GLINT_STOPS_MAX + 1;
    assert_int_equal(gi_answer_create(&o, &a, NULL), GLINT_ERR_ARG);
    o.n_stops = 0;
    o.max_tokens = 0;
    assert_int_equal(gi_answer_create(&o, &a, NULL), GLINT_ERR_ARG);
    o.max_tokens = GLINT_MAX_TOKENS_MAX + 1;
    assert_int_equal(gi_answer_create(&o, &a, NULL), GLINT_ERR_ARG);
    assert_null(a);
    o.max_tokens = 5;
    o.n_stops = 1;
    const char *const just_fits[] = {longest + 1};
    o.stops = just_fits;
    assert_int_equal(gi_answer_create(&o, &a, NULL), GLINT_OK);
    gi_answer_free(a);
    gi_answer_free(NULL);
    close_model(&m);
}

static void memory(void **state) {
    (void)state;
    model m = open_model(tokens_plain, GI_CHAT_PLAIN);
    gi_schema *schema = audit_schema();
    gi_answer *a = NULL;
    const char *piece;
    size_t n;
    const gi_answer_options o = {.chat = &m.chat, .max_tokens = 40};
    uint64_t n_fail;
    for (n_fail = 1; !a; n_fail++) {
        gi_alloc_fail_at(n_fail);
        const glint_status st = gi_answer_create(&o, &a, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_true(n_fail > 2);
    /* Pushing takes none, even when the caller pushes more than it said. */
    const uint64_t before = gi_alloc_count();
    const char json[] = "{\"result\":\"pass\",\"reasons\":[]}";
    for (size_t i = 0; i < strlen(json); i++) gi_answer_push(a, json[i], &piece, &n);
    assert_int_equal(gi_alloc_count(), before);
    glint_finish why = GLINT_FINISH_STOP;
    gi_alloc_fail_at(1);
    assert_int_equal(gi_answer_finish(a, schema, &why, &piece, &n, NULL), GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    assert_string_equal(gi_answer_text(a, NULL), json);
    gi_answer_free(a);
    a = begin(&m, false, NULL, 0);
    for (int i = 0; i < 1000000; i++) gi_answer_push(a, 0xFF, &piece, &n);
    gi_answer_text(a, &n);
    assert_in_range(n, 3 * 2000, 1000000);
    gi_answer_free(a);
    gi_schema_free(schema);
    close_model(&m);
}

static int remove_file(void **state) {
    (void)state;
    small_tokenizer_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_left_alone),
        cmocka_unit_test(glm_46v_thinks_and_boxes),
        cmocka_unit_test(glm_41v_answers_between_tags),
        cmocka_unit_test(markers_may_be_letters),
        cmocka_unit_test(stop_strings_end_the_text),
        cmocka_unit_test(stops_do_not_count_while_thinking),
        cmocka_unit_test(any_bytes_and_any_stops),
        cmocka_unit_test(answers_with_a_schema),
        cmocka_unit_test(answers_of_any_type),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests_name("answer", tests, NULL, remove_file);
}
