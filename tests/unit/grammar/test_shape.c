/*
 * src/grammar/shape: what a schema allows, and which schemas are refused.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "grammar/shape.h"

#include <stdio.h>
#include <string.h>

static const char audit[] =
    "{\"type\":\"object\",\"title\":\"t\",\"properties\":{\"result\":{\"type\":\"string\","
    "\"enum\":[\"pass\",\"review\",\"reject\"]},\"reasons\":{\"type\":\"array\",\"maxItems\":3,"
    "\"items\":{\"type\":\"string\"}},\"note\":{\"description\":\"any\"}},"
    "\"required\":[\"result\",\"reasons\"],\"additionalProperties\":false}";

static json_t *parse(const char *text) {
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    return v;
}

static gi_shape *compile(const char *schema) {
    gi_shape *s = NULL;
    glint_error e = {0};
    json_t *v = parse(schema);
    if (gi_shape_compile(v, "s", &s, &e) != GLINT_OK) fail_msg("%s", e.message);
    json_decref(v);
    return s;
}

static void audit_answers(void **state) {
    (void)state;
    static const struct {
        const char *answer, *says; /* NULL: fits */
    } rows[] = {
        {"{\"result\":\"pass\",\"reasons\":[]}", NULL},
        {"{\"reasons\":[\"a\",\"b\",\"c\"],\"result\":\"reject\",\"note\":[1]}", NULL},
        {"{\"result\":\"maybe\",\"reasons\":[]}", "answer.result is not one of"},
        {"{\"result\":\"passed\",\"reasons\":[]}", "answer.result is not one of"},
        {"{\"result\":\"pass\\u0000\",\"reasons\":[]}", "answer.result is not one of"},
        {"{\"result\":true,\"reasons\":[]}", "answer.result must be a string"},
        {"{\"result\":null,\"reasons\":[]}", "answer.result must be a string"},
        {"{\"result\":\"pass\"}", "answer.reasons is missing"},
        {"{\"reasons\":[]}", "answer.result is missing"},
        {"{\"result\":\"pass\",\"reasons\":\"x\"}", "answer.reasons must be an array"},
        {"{\"result\":\"pass\",\"reasons\":[\"a\",2]}", "answer.reasons[1] must be a string"},
        {"{\"result\":\"pass\",\"reasons\":[\"a\",\"a\",\"a\",\"a\"]}", "answer.reasons has 4"},
        {"{\"result\":\"pass\",\"reasons\":[],\"x\":1}", "answer has members"},
        {"[]", "answer must be an object"},
        {"\"pass\"", "answer must be an object"},
    };
    gi_shape *s = compile(audit);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        glint_error e = {0};
        json_t *v = json_loads(rows[i].answer, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        const glint_status st = gi_shape_check(s, v, &e);
        assert_int_equal(st, rows[i].says ? GLINT_ERR_FORMAT : GLINT_OK);
        if (rows[i].says && !strstr(e.message, rows[i].says)) fail_msg("%s", e.message);
        json_decref(v);
    }
    gi_shape_free(s);
}

static void types_of_values(void **state) {
    (void)state;
    static const char *const types[] = {"object", "array",   "string", "integer",
                                        "number", "boolean", "null"};
    static const struct {
        const char *value;
        int fits; /* bit per type */
    } rows[] = {
        {"{}", 1},   {"[]", 2},    {"\"\"", 4},   {"3", 8 | 16}, {"-3.0", 8 | 16},
        {"3.5", 16}, {"true", 32}, {"false", 32}, {"null", 64},
    };
    for (int t = 0; t < 7; t++) {
        char schema[64];
        snprintf(schema, sizeof schema, "{\"type\":\"%s\"}", types[t]);
        gi_shape *s = compile(schema);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            json_t *v = parse(rows[i].value);
            assert_int_equal(gi_shape_check(s, v, NULL) == GLINT_OK, rows[i].fits >> t & 1);
            json_decref(v);
        }
        gi_shape_free(s);
    }
}

static void labels_of_a_field(void **state) {
    (void)state;
    gi_shape *s = compile(audit);
    size_t n = 9;
    const char *const *labels = gi_shape_labels(s, "result", &n);
    assert_int_equal(n, 3);
    assert_string_equal(labels[0], "pass");
    assert_string_equal(labels[2], "reject");
    assert_null(gi_shape_labels(s, "reasons", &n));
    assert_int_equal(n, 0);
    assert_null(gi_shape_labels(s, "note", &n));
    assert_null(gi_shape_labels(s, "nothing", &n));
    gi_shape_free(s);
    s = compile("{\"type\":\"object\",\"properties\":{\"r\":{\"enum\":[\"a\"]}}}");
    assert_null(gi_shape_labels(s, "r", &n)); /* not required */
    gi_shape_free(s);
}

static void schemas_that_are_not_understood(void **state) {
    (void)state;
    static const struct {
        const char *schema;
        glint_status status;
        const char *says;
    } rows[] = {
        {"[]", GLINT_ERR_FORMAT, "s must be an object"},
        {"{\"pattern\":\"a\"}", GLINT_ERR_UNSUPPORTED, "s: \"pattern\" is not supported"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"oneOf\":[]}}}", GLINT_ERR_UNSUPPORTED,
         "s.properties.a: \"oneOf\""},
        {"{\"type\":\"array\",\"items\":{\"const\":1}}", GLINT_ERR_UNSUPPORTED, "s.items: \"const"},
        {"{\"type\":\"array\",\"items\":[]}", GLINT_ERR_FORMAT, "\"items\" must be an object"},
        {"{\"type\":\"text\"}", GLINT_ERR_UNSUPPORTED, "type \"text\""},
        {"{\"type\":[\"string\",\"null\"]}", GLINT_ERR_FORMAT, "\"type\""},
        {"{\"type\":\"string\",\"items\":{}}", GLINT_ERR_UNSUPPORTED,
         "without \"type\": \"array\""},
        {"{\"properties\":{}}", GLINT_ERR_UNSUPPORTED, "without \"type\": \"object\""},
        {"{\"enum\":[]}", GLINT_ERR_LIMIT, "enum must have"},
        {"{\"enum\":[1]}", GLINT_ERR_UNSUPPORTED, "enum of other values"},
        {"{\"enum\":[\"\"]}", GLINT_ERR_UNSUPPORTED, "enum of other values"},
        {"{\"type\":\"integer\",\"enum\":[\"a\"]}", GLINT_ERR_UNSUPPORTED, "enum of other values"},
        {"{\"type\":\"object\",\"required\":[\"a\"]}", GLINT_ERR_FORMAT, "\"a\" is not in"},
        {"{\"type\":\"object\",\"required\":[1]}", GLINT_ERR_FORMAT, "is not in properties"},
        {"{\"type\":\"object\",\"additionalProperties\":{}}", GLINT_ERR_FORMAT, "true or false"},
        {"{\"type\":\"array\",\"minItems\":-1}", GLINT_ERR_FORMAT, "minItems"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gi_shape *s = NULL;
        glint_error e = {0};
        json_t *v = parse(rows[i].schema);
        const glint_status st = gi_shape_compile(v, "s", &s, &e);
        if (st != rows[i].status || !strstr(e.message, rows[i].says))
            fail_msg("%s: %s", rows[i].schema, e.message);
        assert_null(s);
        json_decref(v);
    }
}

static void short_of_memory(void **state) {
    (void)state;
    json_t *v = parse(audit);
    gi_shape *s = NULL;
    uint64_t n;
    for (n = 1; !s; n++) {
        gi_alloc_fail_at(n);
        const glint_status st = gi_shape_compile(v, "s", &s, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_true(n > 2);
    gi_shape_free(s);
    gi_shape_free(NULL);
    json_decref(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_answers),     cmocka_unit_test(types_of_values),
        cmocka_unit_test(labels_of_a_field), cmocka_unit_test(schemas_that_are_not_understood),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
