/*
 * src/server: the table of chat fields, turns from JSON, and events.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "server/chat_turns.h"
#include "server/sse.h"

#include <stdio.h>
#include <string.h>

static const gi_field_limits LIMITS = {.max_side_px = 2048, .timeout_ms = 60000};

/* A request as read; done() frees it. */
typedef struct chat {
    gi_json_lifted json;
    gi_infer_fields fields;
    glint_image images[GLINT_IMAGES_MAX];
    gi_chat_turns turns;
    gi_api_error error;
} chat;

static bool read_chat(const char *text, chat *c) {
    *c = (chat){0};
    if (gi_json_lift_parse(text, strlen(text), &c->json, NULL) != GLINT_OK) return false;
    return gi_fields_read(&gi_chat_table, &c->json, NULL, 0, &LIMITS, &c->fields, &c->error) &&
           gi_chat_turns_read(&c->json, &c->fields, c->images, &c->turns, &c->error);
}

static void done(chat *c) {
    gi_chat_turns_done(&c->turns);
    gi_json_lift_done(&c->json);
}

static const char CONVERSATION[] =
    "{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\",\"content\":["
    "{\"type\":\"text\",\"text\":\"a\\u0000b\"},"
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"Zm9v\",\"detail\":\"low\"}},"
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,Zm9vYg==\"}}]},"
    "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null,\"annotations\":[]}],"
    "\"max_tokens\":7,\"seed\":-5,\"n\":4,\"stream\":true,"
    "\"stream_options\":{\"include_usage\":true}}";

static void conversation(void **state) {
    chat c;
    assert_true(read_chat(CONVERSATION, &c));
    assert_int_equal(c.turns.n, 3);
    const glint_message *m = c.turns.messages;
    assert_int_equal(m[0].role, GLINT_ROLE_SYSTEM);
    assert_int_equal(m[1].role, GLINT_ROLE_USER);
    assert_int_equal(m[1].n_parts, 3);
    assert_int_equal(m[1].parts[0].n_text_bytes, 3);
    assert_memory_equal(m[1].parts[0].text, "a\0b", 3);
    assert_ptr_equal(m[1].parts[1].image, &c.images[0]);
    assert_ptr_equal(m[1].parts[2].image, &c.images[1]);
    assert_int_equal(m[2].role, GLINT_ROLE_ASSISTANT);
    assert_int_equal(m[2].parts[0].n_text_bytes, 0);
    assert_int_equal(c.fields.n_pictures, 2);
    assert_memory_equal(c.fields.pictures[1].base64, "Zm9vYg==", 8);
    assert_int_equal(c.fields.max_tokens, 7);
    assert_int_equal(c.fields.seed, -5);
    assert_int_equal(c.fields.n_choices, 4);
    assert_true(c.fields.stream && c.fields.include_usage);
    done(&c);
}

/* What the table says is a default is what a request without the field has. */
static void defaults(void **state) {
    static const char NONE[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]";
    char text[512];
    chat without, with;
    snprintf(text, sizeof text, "%s}", NONE);
    assert_true(read_chat(text, &without));
    for (size_t i = 0; i < gi_chat_table.n; i++) {
        const gi_field *f = &gi_chat_table.rows[i];
        json_t *value = json_loads(f->default_text, JSON_DECODE_ANY, NULL);
        if (!value) continue;
        json_decref(value);
        char request[512];
        snprintf(request, sizeof request, "%s,\"%s\":%s}", NONE, f->name, f->default_text);
        if (!read_chat(request, &with)) fail_msg("%s", request);
        const gi_infer_fields *a = &with.fields, *b = &without.fields;
        assert_int_equal(a->max_tokens, b->max_tokens);
        assert_true(a->temperature == b->temperature && a->top_p == b->top_p);
        assert_int_equal(a->top_k, b->top_k);
        assert_int_equal(a->n_choices, b->n_choices);
        assert_int_equal(a->top_logprobs, b->top_logprobs);
        assert_true(a->stream == b->stream && a->logprobs == b->logprobs);
        assert_true(a->any_object == b->any_object && a->schema == b->schema);
        done(&with);
    }
    done(&without);
}

static void formats(void **state) {
    static const struct {
        const char *format;
        gi_api_code code;
        bool any_object, has_schema;
    } cases[] = {
        {"{\"type\":\"text\"}", GI_API_OK, false, false},
        {"{\"type\":\"json_object\"}", GI_API_OK, true, false},
        {"{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{\"b\":1,\"a\":2}}}",
         GI_API_OK, false, true},
        {"{\"type\":\"json_schema\"}", GI_API_INVALID_VALUE, false, false},
        {"{\"type\":\"json_schema\",\"json_schema\":{\"schema\":1}}", GI_API_INVALID_TYPE, false,
         false},
        {"{\"type\":\"yaml\"}", GI_API_INVALID_VALUE, false, false},
        {"{}", GI_API_INVALID_VALUE, false, false},
        {"\"text\"", GI_API_INVALID_TYPE, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":%s}",
                 cases[i].format);
        chat c;
        read_chat(text, &c);
        assert_int_equal(c.error.code, cases[i].code);
        if (c.error.code) assert_string_equal(c.error.param, "response_format");
        assert_int_equal(c.fields.any_object, cases[i].any_object);
        assert_int_equal(c.fields.schema != NULL, cases[i].has_schema);
        done(&c);
    }
}

/* A string that was lifted out of a schema is put back before it is written. */
static void lifted_schema(void **state) {
    static char text[8192], word[3001];
    memset(word, 'a', sizeof word - 1);
    snprintf(text, sizeof text,
             "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":"
             "\"json_schema\",\"json_schema\":{\"schema\":{\"enum\":[{\"k\":\"%s\"}]}}}}",
             word);
    chat c;
    assert_true(read_chat(text, &c));
    assert_int_equal(c.json.n_spans, 1);
    const json_t *item = json_array_get(json_object_get(c.fields.schema, "enum"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "k")), word);
    done(&c);
}

/* Each allocation fails once: a refusal, no leak. */
static void memory(void **state) {
    chat c;
    for (uint64_t n = 1;; n++) {
        gi_alloc_fail_at(n);
        const bool ok = read_chat(CONVERSATION, &c);
        gi_alloc_fail_at(0);
        done(&c);
        if (ok) {
            assert_true(n > 2);
            break;
        }
        if (c.error.code) assert_int_equal(c.error.code, GI_API_OVERLOADED);
    }
}

static void events(void **state) {
    gi_buf b;
    gi_buf_init(&b, 200);
    assert_int_equal(gi_sse_open(&b, "error", NULL), GLINT_OK);
    assert_int_equal(gi_buf_puts(&b, "{}", NULL), GLINT_OK);
    assert_int_equal(gi_sse_close(&b, NULL), GLINT_OK);
    assert_int_equal(gi_sse_done(&b, NULL), GLINT_OK);
    assert_string_equal((char *)b.data, "event: error\ndata: {}\n\ndata: [DONE]\n\n");
    gi_buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversation),  cmocka_unit_test(defaults), cmocka_unit_test(formats),
        cmocka_unit_test(lifted_schema), cmocka_unit_test(memory),   cmocka_unit_test(events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
