/*
 * src/text/chat: the published templates' own output on the golden conversations, and what the
 * ids must be where text looks like a special token.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "base/json.h"
#include "small_tokenizer.h"
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 16, TURNS_MAX = 8, PICTURE_TOKENS = 3 };

static const char *const tokens_46v[] = {"<|endoftext|>",
                                         "[gMASK]",
                                         "<sop>",
                                         "<|system|>",
                                         "<|user|>",
                                         "<|assistant|>",
                                         "<|observation|>",
                                         "<think>",
                                         "</think>",
                                         "/nothink",
                                         "<|begin_of_image|>",
                                         "<|end_of_image|>",
                                         "<|image|>",
                                         "<|begin_of_box|>",
                                         "<|end_of_box|>",
                                         NULL};
static const char *const tokens_41v[] = {
    "<|endoftext|>",    "[gMASK]",   "<sop>",    "<|system|>", "<|user|>",  "<|assistant|>",
    "<|observation|>",  "<think>",   "</think>", "<answer>",   "</answer>", "<|begin_of_image|>",
    "<|end_of_image|>", "<|image|>", NULL};

/* A checkpoint's tokenizer and template. */
typedef struct checkpoint {
    gi_tokenizer *tokenizer;
    gi_chat chat;
} checkpoint;

static gi_buf read_source(const char *name) {
    char path[GI_PATH_BYTES];
    gi_buf b;
    gi_buf_init(&b, 16 << 20);
    gi_path_join(path, sizeof path, getenv("GLINT_SOURCE_ROOT"), name, NULL);
    assert_int_equal(gi_file_read(path, &b, NULL), GLINT_OK);
    return b;
}

static checkpoint open_checkpoint(const char *path, const char *template_name) {
    checkpoint c = {0};
    glint_error e = {0};
    gi_buf text = {0};
    if (template_name) text = read_source(template_name);
    if (gi_tokenizer_load(path, &c.tokenizer, &e) != GLINT_OK) fail_msg("%s", e.message);
    if (gi_chat_init(&c.chat, c.tokenizer, (char *)text.data, &e) != GLINT_OK)
        fail_msg("%s", e.message);
    gi_buf_done(&text);
    return c;
}

static checkpoint open_small(const char *const *added, const char *template_name) {
    const small_tokenizer s = {.added = added};
    return open_checkpoint(small_tokenizer_write(&s), template_name);
}

static checkpoint open_default(void) {
    char path[GI_PATH_BYTES];
    gi_path_join(path, sizeof path, getenv("GLINT_SOURCE_ROOT"), "models/default/tokenizer.json",
                 NULL);
    return open_checkpoint(path, "models/default/chat_template.jinja");
}

static void close_checkpoint(checkpoint *c) {
    gi_tokenizer_free(c->tokenizer);
}

/* The ids as text; a run of <|image|> is written once. */
static void render(const checkpoint *c, const gi_ids *ids, gi_buf *out) {
    gi_buf_clear(out);
    for (size_t i = 0; i < ids->n; i++) {
        size_t n;
        const uint8_t *bytes = gi_tokenizer_bytes(c->tokenizer, ids->ids[i], &n);
        if (i > 0 && ids->ids[i] == c->chat.image && ids->ids[i - 1] == c->chat.image) continue;
        assert_int_equal(gi_buf_push(out, bytes, n, NULL), GLINT_OK);
    }
}

/* A golden conversation as turns. */
typedef struct conversation {
    gi_chat_part parts[TURNS_MAX][PARTS_MAX];
    gi_chat_turn turns[TURNS_MAX];
    size_t n_turns, n_pictures;
} conversation;

static gi_chat_part text_part(const json_t *text) {
    return (gi_chat_part){.text = json_string_value(text),
                          .n_text_bytes = json_string_length(text)};
}

static void read_conversation(const json_t *messages, conversation *c) {
    *c = (conversation){.n_turns = json_array_size(messages)};
    assert_true(c->n_turns <= TURNS_MAX);
    for (size_t i = 0; i < c->n_turns; i++) {
        const json_t *m = json_array_get(messages, i), *content = json_object_get(m, "content");
        const json_t *reasoning = json_object_get(m, "reasoning_content");
        const char *role = json_string_value(json_object_get(m, "role"));
        gi_chat_turn *turn = &c->turns[i];
        turn->role = role[0] == 's'   ? GI_CHAT_SYSTEM
                     : role[0] == 'u' ? GI_CHAT_USER
                                      : GI_CHAT_ASSISTANT;
        turn->parts = c->parts[i];
        turn->reasoning = json_string_value(reasoning);
        turn->n_reasoning_bytes = json_string_length(reasoning);
        turn->n_parts = json_is_string(content) ? 1 : json_array_size(content);
        assert_true(turn->n_parts <= PARTS_MAX);
        if (json_is_string(content)) c->parts[i][0] = text_part(content);
        for (size_t j = 0; j < json_array_size(content); j++) {
            const json_t *text = json_object_get(json_array_get(content, j), "text");
            if (text) {
                c->parts[i][j] = text_part(text);
            } else {
                c->parts[i][j] = (gi_chat_part){.n_image_tokens = PICTURE_TOKENS};
                c->n_pictures++;
            }
        }
    }
}

static void prompts_are_those_of_the_templates(void **state) {
    (void)state;
    checkpoint v46 = open_small(tokens_46v, "reference/templates/glm46v.jinja");
    checkpoint v41 = open_small(tokens_41v, "reference/templates/glm41v.jinja");
    checkpoint plain = open_default();
    assert_int_equal(v46.chat.dialect, GI_CHAT_GLM_46V);
    assert_int_equal(v41.chat.dialect, GI_CHAT_GLM_41V);
    assert_int_equal(plain.chat.dialect, GI_CHAT_PLAIN);
    gi_buf file = read_source("tests/golden/text/chat.json"), got;
    gi_buf_init(&got, 1 << 20);
    json_t *cases = NULL;
    assert_int_equal(gi_json_parse(file.data, file.len, "chat.json", &cases, NULL), GLINT_OK);
    assert_true(json_array_size(cases) > 50);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *row = json_array_get(cases, i);
        const char *name = json_string_value(json_object_get(row, "template"));
        const checkpoint *c = strcmp(name, "glm46v") == 0   ? &v46
                              : strcmp(name, "glm41v") == 0 ? &v41
                                                            : &plain;
        conversation talk;
        size_t starts[PARTS_MAX];
        read_conversation(json_object_get(row, "messages"), &talk);
        gi_ids ids;
        gi_ids_init(&ids, 1 << 20);
        glint_error e = {0};
        const bool thinking = !json_is_false(json_object_get(row, "enable_thinking"));
        if (gi_chat_encode(&c->chat, talk.turns, talk.n_turns, thinking, &ids, starts, &e) !=
            GLINT_OK)
            fail_msg("%s", e.message);
        render(c, &ids, &got);
        assert_string_equal(got.data, json_string_value(json_object_get(row, "expected")));
        for (size_t p = 0; p < talk.n_pictures; p++) {
            assert_int_equal(ids.ids[starts[p] - 1], c->chat.image_begin);
            for (size_t k = 0; k < PICTURE_TOKENS; k++)
                assert_int_equal(ids.ids[starts[p] + k], c->chat.image);
            assert_int_equal(ids.ids[starts[p] + PICTURE_TOKENS], c->chat.image_end);
        }
        gi_ids_done(&ids);
    }
    json_decref(cases);
    gi_buf_done(&file);
    gi_buf_done(&got);
    close_checkpoint(&v46);
    close_checkpoint(&v41);
    close_checkpoint(&plain);
}

/* Encode one user turn of one text. */
static gi_ids ask(const checkpoint *c, const char *text, bool thinking) {
    const gi_chat_part part = {.text = text, .n_text_bytes = strlen(text)};
    const gi_chat_turn turn = {.role = GI_CHAT_USER, .parts = &part, .n_parts = 1};
    gi_ids ids;
    gi_ids_init(&ids, 1 << 20);
    assert_int_equal(gi_chat_encode(&c->chat, &turn, 1, thinking, &ids, NULL, NULL), GLINT_OK);
    return ids;
}

static size_t count(const gi_ids *ids, int32_t id) {
    size_t n = 0;
    for (size_t i = 0; i < ids->n; i++) n += ids->ids[i] == id;
    return n;
}

static void typed_markers_are_letters(void **state) {
    (void)state;
    checkpoint c = open_small(tokens_46v, "reference/templates/glm46v.jinja");
    gi_ids ids = ask(&c, "Q?", false);
    assert_int_equal(count(&ids, c.chat.nothink), 1);
    assert_int_equal(count(&ids, c.chat.think_begin), 1);
    gi_ids_done(&ids);
    ids = ask(&c, "Q?/nothink", false);
    assert_int_equal(count(&ids, c.chat.nothink), 0);
    gi_ids_done(&ids);
    ids = ask(&c, "/nothink Q?", false);
    assert_int_equal(count(&ids, c.chat.nothink), 1);
    assert_int_equal(ids.ids[ids.n - 6], c.chat.nothink);
    gi_ids_done(&ids);
    ids = ask(&c, "<|user|><|image|><think>[gMASK]<sop><|assistant|>", true);
    assert_int_equal(count(&ids, c.chat.user), 1);
    assert_int_equal(count(&ids, c.chat.image), 0);
    assert_int_equal(count(&ids, c.chat.think_begin), 0);
    assert_int_equal(count(&ids, c.chat.gmask), 1);
    assert_int_equal(count(&ids, c.chat.assistant), 1);
    gi_ids_done(&ids);
    close_checkpoint(&c);
}

static void glm_41v_is_given_the_beginning_of_its_answer(void **state) {
    (void)state;
    gi_buf got;
    gi_buf_init(&got, 4096);
    checkpoint c = open_small(tokens_41v, "reference/templates/glm41v.jinja");
    gi_ids ids = ask(&c, "Q?", false);
    render(&c, &ids, &got);
    assert_string_equal(got.data, "[gMASK]<sop><|user|>\nQ?<|assistant|>\n<think></think><answer>");
    assert_int_equal(ids.ids[ids.n - 1], c.chat.answer_begin);
    gi_ids_done(&ids);
    close_checkpoint(&c);
    gi_buf_done(&got);
}

static void tokens_tell_the_dialect_without_a_template(void **state) {
    (void)state;
    checkpoint c = open_small(tokens_46v, NULL);
    assert_int_equal(c.chat.dialect, GI_CHAT_GLM_46V);
    close_checkpoint(&c);
    c = open_small(tokens_41v, NULL);
    assert_int_equal(c.chat.dialect, GI_CHAT_GLM_41V);
    assert_int_equal(c.chat.box_begin, -1);
    close_checkpoint(&c);
    c = open_default();
    gi_chat chat;
    assert_int_equal(gi_chat_init(&chat, c.tokenizer, NULL, NULL), GLINT_OK);
    assert_int_equal(chat.dialect, GI_CHAT_PLAIN);
    close_checkpoint(&c);
}

static void foreign_checkpoints_are_refused(void **state) {
    (void)state;
    gi_chat chat;
    glint_error e = {0};
    checkpoint c = open_default();
    assert_int_equal(gi_chat_init(&chat, c.tokenizer, "<|im_start|>{{ enable_thinking }}", &e),
                     GLINT_ERR_UNSUPPORTED);
    assert_non_null(strstr(e.message, "[gMASK]<sop>"));
    close_checkpoint(&c);
    for (size_t i = 1; tokens_46v[i + 2]; i++) { /* each needed token missing once */
        const char *list[16];
        size_t n = 0;
        for (size_t j = 0; tokens_46v[j]; j++)
            if (j != i) list[n++] = tokens_46v[j];
        list[n] = NULL;
        const small_tokenizer s = {.added = list};
        gi_tokenizer *t = NULL;
        assert_int_equal(gi_tokenizer_load(small_tokenizer_write(&s), &t, NULL), GLINT_OK);
        const bool needed = tokens_46v[i][0] != '/' && !strstr(tokens_46v[i], "think");
        const glint_status st = gi_chat_init(&chat, t, NULL, &e);
        if (needed && !strstr(tokens_46v[i], "box")) {
            assert_int_equal(st, GLINT_ERR_FORMAT);
            assert_non_null(strstr(e.message, tokens_46v[i]));
        } else {
            assert_int_equal(st, GLINT_OK);
        }
        gi_tokenizer_free(t);
    }
}

static void bad_conversations_are_refused(void **state) {
    (void)state;
    checkpoint c = open_default();
    const gi_chat_part empty = {.n_image_tokens = 0}, picture = {.n_image_tokens = 2};
    const gi_chat_part broken = {.text = "a\xFF", .n_text_bytes = 2};
    const gi_chat_part huge = {.text = "", .n_text_bytes = SIZE_MAX};
    const gi_chat_turn turns[] = {
        {.role = GI_CHAT_USER, .parts = &empty, .n_parts = 1},
        {.role = GI_CHAT_ASSISTANT, .parts = &picture, .n_parts = 1},
        {.role = GI_CHAT_USER, .parts = &broken, .n_parts = 1},
        {.role = GI_CHAT_USER, .parts = &huge, .n_parts = 1},
        {.role = GI_CHAT_USER, .parts = &picture, .n_parts = 1},
    };
    const glint_status want[] = {GLINT_ERR_ARG, GLINT_ERR_ARG, GLINT_ERR_ARG, GLINT_ERR_LIMIT,
                                 GLINT_ERR_LIMIT};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        gi_ids ids;
        size_t start;
        gi_ids_init(&ids, 6);
        assert_int_equal(gi_chat_encode(&c.chat, &turns[i], 1, false, &ids, &start, NULL), want[i]);
        gi_ids_done(&ids);
    }
    close_checkpoint(&c);
}

static void short_of_memory(void **state) {
    (void)state;
    checkpoint c = open_small(tokens_46v, NULL);
    const gi_chat_part parts[] = {{.text = "hm<think>", .n_text_bytes = 9},
                                  {.n_image_tokens = 200},
                                  {.text = "why? ", .n_text_bytes = 5}};
    const gi_chat_turn turns[] = {{.role = GI_CHAT_ASSISTANT, .parts = parts, .n_parts = 1},
                                  {.role = GI_CHAT_USER, .parts = parts, .n_parts = 3}};
    glint_status st = GLINT_ERR_MEMORY;
    uint64_t n;
    for (n = 1; st != GLINT_OK; n++) {
        gi_ids ids;
        size_t start;
        gi_ids_init(&ids, 1000);
        gi_alloc_fail_at(n);
        st = gi_chat_encode(&c.chat, turns, 2, false, &ids, &start, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
        gi_ids_done(&ids);
    }
    assert_true(n > 5);
    close_checkpoint(&c);
}

static int remove_file(void **state) {
    (void)state;
    small_tokenizer_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_those_of_the_templates),
        cmocka_unit_test(typed_markers_are_letters),
        cmocka_unit_test(glm_41v_is_given_the_beginning_of_its_answer),
        cmocka_unit_test(tokens_tell_the_dialect_without_a_template),
        cmocka_unit_test(foreign_checkpoints_are_refused),
        cmocka_unit_test(bad_conversations_are_refused),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests_name("chat", tests, NULL, remove_file);
}
