/*
 * src/server: JSON writer, error table, answers.
 */
#include "../cm.h"

#include "base/json.h"
#include "server/api_error.h"
#include "server/reply.h"
#include "server/json_out.h"

#include <math.h>
#include <string.h>

static void strings(void **state) {
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } cases[] = {
        {"", 0, "\"\""},
        {"a\"b\\c\n\r\t\x01\x7F", 10, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"特效药", 9, "\"特效药\""},
        {"\xE2\x80\xA8", 3, "\"\\u2028\""},
        {"x\xFFy", 3, "\"x\xEF\xBF\xBDy\""},
        {"\xE7\x89", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* cut in the middle of a character */
        {"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* a surrogate */
        {"\xF0\x9F\x98\x80", 4, "\"\xF0\x9F\x98\x80\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gi_buf b;
        gi_buf_init(&b, 1000);
        assert_int_equal(gi_json_out_string(&b, cases[i].in, cases[i].n, NULL), GLINT_OK);
        assert_string_equal((char *)b.data, cases[i].out);
        gi_buf_done(&b);
    }
    gi_buf small;
    gi_buf_init(&small, 4);
    assert_int_equal(gi_json_out_string(&small, "abcdef", 6, NULL), GLINT_ERR_LIMIT);
    gi_buf_done(&small);
}

static void numbers(void **state) {
    gi_buf b;
    gi_buf_init(&b, 1000);
    const double ms[] = {0, 1.23456, -1, (double)NAN, (double)INFINITY};
    for (size_t i = 0; i < 5; i++) {
        gi_json_out_ms(&b, ms[i], NULL);
        gi_buf_puts(&b, " ", NULL);
    }
    gi_json_out_unit(&b, 0.96, NULL);
    gi_buf_puts(&b, " ", NULL);
    gi_json_out_unit(&b, 1.5, NULL);
    gi_buf_puts(&b, " ", NULL);
    gi_json_out_unit(&b, (double)NAN, NULL);
    assert_string_equal((char *)b.data, "0.000 1.235 0.000 0.000 0.000 0.9600 1.0000 0.0000");
    gi_buf_done(&b);
}

/* Every row of the table is whole, its code unlike all others, and its JSON parses. */
static void error_table(void **state) {
    for (int code = GI_API_OK + 1; code < GI_API_CODE_COUNT; code++) {
        const gi_api_error_info *info = gi_api_error_get((gi_api_code)code);
        assert_in_range(info->status, 400, 599);
        assert_true(strlen(info->type) > 0 && strlen(info->message) > 0);
        assert_int_equal(info->retry_after_s > 0, info->status == 429 || info->status == 503);
        for (int other = GI_API_OK + 1; other < code; other++)
            assert_string_not_equal(info->code, gi_api_error_get((gi_api_code)other)->code);
        gi_api_error error = {0};
        assert_false(gi_api_fail(&error, (gi_api_code)code, "image"));
        gi_buf b;
        gi_buf_init(&b, 2000);
        assert_int_equal(gi_api_error_write(&error, "id-1", &b, NULL), GLINT_OK);
        json_t *json = NULL;
        assert_int_equal(gi_json_parse(b.data, b.len, "error", &json, NULL), GLINT_OK);
        const json_t *e = json_object_get(json, "error");
        assert_int_equal(json_object_size(e), 5);
        assert_string_equal(json_string_value(json_object_get(e, "code")), info->code);
        assert_string_equal(json_string_value(json_object_get(e, "param")), "image");
        assert_string_equal(json_string_value(json_object_get(e, "request_id")), "id-1");
        json_decref(json);
        gi_buf_done(&b);
    }
    assert_int_equal(gi_api_error_get((gi_api_code)999)->status, 500);
}

static void first_error_stays(void **state) {
    gi_api_error error = {0};
    char name[300];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    name[5] = '\n';
    gi_api_fail(&error, GI_API_UNKNOWN_FIELD, name);
    assert_string_equal(error.param, "xxxxx"); /* a name cannot smuggle a line */
    gi_api_fail_detail(&error, GI_API_INTERNAL, "b", "%s", "words");
    assert_int_equal(error.code, GI_API_UNKNOWN_FIELD);
    gi_api_error detailed = {0};
    gi_api_fail_detail(&detailed, GI_API_INVALID_VALUE, "a", "%0300d", 1);
    assert_int_equal(strlen(detailed.detail), GI_API_DETAIL_BYTES - 1);
}

/* ---- answers ---- */

static json_t *write_answer(const char *task, const glint_result *result) {
    const gi_reply a = {.id = "i",
                        .model = "m",
                        .task = task,
                        .results = {result},
                        .n_choices = 1,
                        .queue_ms = 100,
                        .total_ms = 350.4};
    gi_buf b;
    gi_buf_init(&b, 10000);
    assert_int_equal(gi_infer_form.whole(&a, &b, NULL), GLINT_OK);
    json_t *json = NULL;
    glint_error err = {0};
    if (gi_json_parse(b.data, b.len, "answer", &json, &err) != GLINT_OK)
        fail_msg("%s", err.message);
    gi_buf_done(&b);
    return json;
}

static const char *text_of(const json_t *json, const char *key) {
    return json_string_value(json_object_get(json, key));
}

static const glint_result VERDICT = {
    .text = "{\"result\": \"reject\"}",
    .n_text_bytes = 20,
    .data_json = "{\"result\":\"reject\",\"reasons\":[\"甲\",\"乙\"]}",
    .confidence = 0.96,
    .finish = GLINT_FINISH_STOP,
    .usage = {.prompt_tokens = 400,
              .image_tokens = 324,
              .completion_tokens = 50,
              .forced_tokens = 9,
              .cached_tokens = 3},
    .timing = {.decode_ms = 12.5},
};

static void audit(void **state) {
    json_t *json = write_answer("audit", &VERDICT);
    assert_string_equal(text_of(json, "result"), "reject");
    assert_int_equal(json_array_size(json_object_get(json, "reasons")), 2);
    assert_true(fabs(json_real_value(json_object_get(json, "confidence")) - 0.96) < 1e-9);
    assert_int_equal(json_integer_value(json_object_get(json, "inference_time_ms")), 250);
    assert_int_equal(json_integer_value(json_object_get(json, "tokens_generated")), 50);
    assert_string_equal(text_of(json, "finish_reason"), "stop");
    assert_string_equal(text_of(json, "id"), "i");
    assert_string_equal(text_of(json, "model"), "m");
    assert_string_equal(text_of(json, "task"), "audit");
    assert_null(json_object_get(json, "text"));
    const json_t *usage = json_object_get(json, "usage");
    assert_int_equal(json_object_size(usage), 5);
    assert_int_equal(json_integer_value(json_object_get(usage, "forced_tokens")), 9);
    const json_t *timing = json_object_get(json, "timing_ms");
    assert_int_equal(json_object_size(timing), 8);
    assert_true(json_real_value(json_object_get(timing, "decode")) == 12.5);
    json_decref(json);
}

/* Whatever is not a whole verdict goes to a person. */
static void audit_fails_towards_a_person(void **state) {
    static const char *const data[] = {
        NULL,
        "{}",
        "[]",
        "{\"result\":\"pass\"}",
        "{\"result\":1,\"reasons\":[]}",
        "{\"result\":\"pass\",\"reasons\":\"none\"}",
        "{\"result\":\"pass\",\"reasons\":[1]}",
        "{broken",
    };
    for (size_t i = 0; i <= sizeof data / sizeof data[0]; i++) {
        glint_result r = VERDICT;
        r.text = "pass, I think";
        r.n_text_bytes = strlen(r.text);
        if (i < sizeof data / sizeof data[0])
            r.data_json = data[i];
        else
            r.finish = GLINT_FINISH_INVALID; /* with data that looks fine */
        json_t *json = write_answer("audit", &r);
        assert_string_equal(text_of(json, "result"), "review");
        assert_int_equal(json_array_size(json_object_get(json, "reasons")), 0);
        assert_true(json_real_value(json_object_get(json, "confidence")) == 0);
        assert_string_equal(text_of(json, "text"), "pass, I think");
        assert_string_equal(text_of(json, "finish_reason"),
                            r.finish == GLINT_FINISH_INVALID ? "invalid_answer" : "stop");
        json_decref(json);
    }
}

static void other_tasks(void **state) {
    glint_result r = VERDICT;
    json_t *json = write_answer("extract", &r);
    assert_string_equal(text_of(json_object_get(json, "data"), "result"), "reject");
    assert_null(json_object_get(json, "text"));
    json_decref(json);

    r.data_json = NULL;
    r.finish = GLINT_FINISH_INVALID;
    json = write_answer("extract", &r);
    assert_true(json_is_null(json_object_get(json, "data")));
    assert_string_equal(text_of(json, "text"), VERDICT.text);
    json_decref(json);

    r.finish = GLINT_FINISH_LENGTH;
    json = write_answer("ask", &r);
    assert_null(json_object_get(json, "data"));
    assert_string_equal(text_of(json, "text"), VERDICT.text);
    assert_string_equal(text_of(json, "finish_reason"), "length");
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings),     cmocka_unit_test(numbers),
        cmocka_unit_test(error_table), cmocka_unit_test(first_error_stays),
        cmocka_unit_test(audit),       cmocka_unit_test(audit_fails_towards_a_person),
        cmocka_unit_test(other_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
