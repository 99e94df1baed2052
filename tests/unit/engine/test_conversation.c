/*
 * src/engine/conversation: what is refused, and pictures in their order.
 */
#include "../cm.h"

#include "engine/conversation.h"

#include <string.h>

static const glint_image PICTURES[GLINT_IMAGES_MAX + 1];

static glint_part text(const char *s) {
    return (glint_part){.text = s, .n_text_bytes = strlen(s)};
}

static void expect(const glint_request *r, glint_status status, const char *param) {
    glint_error err = {0};
    assert_int_equal(gi_conversation_check(r, &err), status);
    if (param) assert_string_equal(err.param, param);
}

static void order(void **state) {
    const glint_part first[] = {{.image = &PICTURES[2]}, text("a"), {.image = &PICTURES[0]}};
    const glint_part second[] = {text("b"), {.image = &PICTURES[1]}};
    const glint_message messages[] = {{GLINT_ROLE_USER, first, 3}, {GLINT_ROLE_USER, second, 2}};
    const glint_request r = {.messages = messages, .n_messages = 2};
    expect(&r, GLINT_OK, NULL);
    assert_int_equal(gi_conversation_pictures(&r), 3);
    assert_ptr_equal(gi_conversation_picture(&r, 0), &PICTURES[2]);
    assert_ptr_equal(gi_conversation_picture(&r, 1), &PICTURES[0]);
    assert_ptr_equal(gi_conversation_picture(&r, 2), &PICTURES[1]);
    assert_null(gi_conversation_picture(&r, 3));
}

static void refused(void **state) {
    glint_part part = text("a");
    glint_message message = {GLINT_ROLE_USER, &part, 1};
    glint_request r = {.messages = &message, .n_messages = 1};
    expect(&r, GLINT_OK, NULL);
    r.task = "ask";
    expect(&r, GLINT_ERR_ARG, "messages");
    r.task = NULL;
    r.prompt = "x";
    expect(&r, GLINT_ERR_ARG, "messages");
    r.prompt = NULL;
    message.role = (glint_role)7;
    expect(&r, GLINT_ERR_ARG, "messages");
    message.role = GLINT_ROLE_ASSISTANT;
    part = (glint_part){.image = &PICTURES[0]};
    expect(&r, GLINT_ERR_ARG, "messages");
    message.role = GLINT_ROLE_USER;
    part = text("\xFF");
    expect(&r, GLINT_ERR_ARG, "messages");
    part = (glint_part){.text = NULL, .n_text_bytes = 1};
    expect(&r, GLINT_ERR_ARG, "messages");
    part = (glint_part){.text = "x", .n_text_bytes = (size_t)GLINT_PROMPT_BYTES_MAX + 1};
    expect(&r, GLINT_ERR_LIMIT, "messages"); /* before it is read */
    message.parts = NULL;
    expect(&r, GLINT_ERR_ARG, "messages");
    r.messages = NULL;
    expect(&r, GLINT_ERR_ARG, "messages");
    r.n_messages = GLINT_MESSAGES_MAX + 1;
    expect(&r, GLINT_ERR_ARG, "messages");
}

static void too_many_pictures(void **state) {
    glint_part parts[GLINT_IMAGES_MAX + 1];
    for (size_t i = 0; i <= GLINT_IMAGES_MAX; i++) parts[i] = (glint_part){.image = &PICTURES[i]};
    glint_message message = {GLINT_ROLE_USER, parts, GLINT_IMAGES_MAX};
    const glint_request r = {.messages = &message, .n_messages = 1};
    expect(&r, GLINT_OK, NULL);
    message.n_parts++;
    expect(&r, GLINT_ERR_ARG, "images");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(refused),
        cmocka_unit_test(too_many_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
