/*
 * src/grammar/schema: what a schema allows, and which schemas are refused.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "grammar/schema.h"
#include "walk.h"

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

static gi_schema *compile(const char *schema) {
    gi_schema *s = NULL;
    glint_error e = {0};
    const gi_schema_options o = {.what = "s", .strict = true};
    if (gi_schema_compile(schema, strlen(schema), &o, &s, &e) != GLINT_OK)
        fail_msg("%s: %s", schema, e.message);
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
    gi_schema *s = compile(audit);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        glint_error e = {0};
        json_t *v = json_loads(rows[i].answer, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        const glint_status st = gi_schema_check(s, v, &e);
        assert_int_equal(st, rows[i].says ? GLINT_ERR_FORMAT : GLINT_OK);
        if (rows[i].says && !strstr(e.message, rows[i].says)) fail_msg("%s", e.message);
        json_decref(v);
    }
    gi_schema_free(s);
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
        gi_schema *s = compile(schema);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            json_t *v = parse(rows[i].value);
            assert_int_equal(gi_schema_check(s, v, NULL) == GLINT_OK, rows[i].fits >> t & 1);
            json_decref(v);
        }
        gi_schema_free(s);
    }
}

static void labels_of_a_field(void **state) {
    (void)state;
    gi_schema *s = compile(audit);
    size_t n = 9;
    const char *const *labels = gi_schema_labels(s, "result", &n);
    assert_int_equal(n, 3);
    assert_string_equal(labels[0], "pass");
    assert_string_equal(labels[2], "reject");
    assert_null(gi_schema_labels(s, "reasons", &n));
    assert_int_equal(n, 0);
    assert_null(gi_schema_labels(s, "note", &n));
    assert_null(gi_schema_labels(s, "nothing", &n));
    gi_schema_free(s);
    s = compile("{\"type\":\"object\",\"properties\":{\"r\":{\"enum\":[\"a\"]}}}");
    assert_null(gi_schema_labels(s, "r", &n)); /* not required */
    gi_schema_free(s);
}

/* What the grammar of a schema takes, and what not. The checker takes all that it takes. */
static const struct {
    const char *schema, *takes[8], *refuses[8];
} written[] = {
    {"{\"type\":\"integer\",\"minimum\":-3,\"maximum\":120}",
     {"0", "-3", "7", "99", "100", "120"},
     {"-4", "121", "1000", "00", "-0", "1.0", "1e1", ""}},
    {"{\"type\":\"integer\"}",
     {"9007199254740991", "-9007199254740991"},
     {"9007199254740992", "1.5", "+1", "0x1"}},
    {"{\"type\":\"integer\",\"minimum\":9223372036854775000}",
     {"9223372036854775807"},
     {"9223372036854774999", "9223372036854775808"}},
    {"{\"type\":\"integer\",\"multipleOf\":7,\"exclusiveMinimum\":0}",
     {"7", "14", "700"},
     {"0", "-7", "8", "71"}},
    {"{\"type\":\"number\"}",
     {"0", "-0.5", "1.25", "1e9", "2.5E-10"},
     {".5", "1.", "01", "1e", "1e100", "--1"}},
    {"{\"type\":\"number\",\"minimum\":0.25,\"exclusiveMaximum\":1}",
     {"0.25", "0.5", "0.99", "0.9999999999"},
     {"0.24", "1", "1.0", "0", "2", "0.2499"}},
    {"{\"type\":\"number\",\"maximum\":-1.5}", {"-1.5", "-2", "-10.25"}, {"-1.4", "0", "-1"}},
    {"{\"type\":\"string\"}",
     {"\"\"", "\"a\\n\\u4e2d\\ud83d\\ude00\\\"\"", "\"\xE4\xB8\xAD\xF0\x9F\x98\x80\"", "\"\x7F\""},
     {"\"\n\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\u0000\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"",
      "\"\\x\"", "\"a"}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"\xE4\xB8\xAD\xE5\x9B\xBD\"", "\"\\ud83d\\ude00b\\n\""},
     {"\"a\"", "\"abcd\"", "\"\xE4\xB8\xAD\""}},
    {"{\"type\":\"string\",\"pattern\":\"^a+b?$\",\"minLength\":3,\"maxLength\":3}",
     {"\"aaa\"", "\"aab\""},
     {"\"aa\"", "\"ab\"", "\"aaaa\"", "\"\\u0061aa\""}},
    {"{\"type\":\"string\",\"pattern\":\"\\\\n\"}", {"\"a\\nb\""}, {"\"ab\"", "\"\\u000a\""}},
    {"{\"type\":\"string\",\"format\":\"date\"}",
     {"\"2024-02-29\"", "\"1999-12-31\""},
     {"\"2023-02-29\"", "\"2024-13-01\"", "\"2024-1-1\"", "\"0000-01-01\""}},
    {"{\"enum\":[\"a\\\"\",1,1.5,null,{\"b\":[true]}]}",
     {"\"a\\\"\"", "1", "1.5", "null", "{\"b\":[true]}"},
     {"\"a\"", "1.0", "{}", "2"}},
    {"{\"type\":[\"boolean\",\"null\"]}", {"true", "false", "null"}, {"0", "\"\"", "nul"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"null\"},"
     "\"c\":{\"type\":\"null\"}},\"required\":[\"b\"]}",
     {"{\"b\":null}", "{\"a\":null,\"b\":null}", "{\"a\":null,\"b\":null,\"c\":null}"},
     {"{}", "{\"a\":null}", "{\"b\":null,\"a\":null}", "{\"b\":null,}", "{\"b\":null,\"x\":1}",
      "{ \"b\":null}", "{\"b\":null,\"b\":null}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"}},"
     "\"additionalProperties\":{\"type\":\"boolean\"}}",
     {"{}", "{\"a\":null}", "{\"a\":null,\"b\":true,\"ab\":false}", "{\"x\":true}"},
     {"{\"x\":1}", "{\"x\":true,\"x\":true}", "{\"x\":true,\"a\":true}", "{\"a\":true}",
      "{\"\\u0061\":true}"}},
    {"{\"type\":\"object\",\"patternProperties\":{\"^x-\":{\"type\":\"null\"}},"
     "\"minProperties\":1,\"maxProperties\":2}",
     {"{\"x-\":null}", "{\"x-a\":null,\"x-b\":null}"},
     {"{}", "{\"y\":null}", "{\"x-1\":null,\"x-2\":null,\"x-3\":null}"}},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"null\"}],\"items\":{\"type\":"
     "\"boolean\"},"
     "\"minItems\":1,\"maxItems\":3}",
     {"[null]", "[null,true]", "[null,true,false]"},
     {"[]", "[true]", "[null,null]", "[null,true,true,true]", "[null,]"}},
    {"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":"
     "\"null\"}},\"required\":[\"k\",\"v\"]},{\"type\":\"object\",\"properties\":{\"k\":{"
     "\"const\":\"ab\"},\"w\":{\"type\":\"null\"}},\"required\":[\"k\",\"w\"]}]}",
     {"{\"k\":\"a\",\"v\":null}", "{\"k\":\"ab\",\"w\":null}"},
     {"{\"k\":\"a\",\"w\":null}", "{\"k\":\"ab\",\"v\":null}", "{\"k\":\"a\"}"}},
    {"{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"l\":{"
     "\"$ref\":\"#/$defs/t\"}},\"additionalProperties\":false}}}",
     {"{}", "{\"l\":{}}", "{\"l\":{\"l\":{\"l\":{}}}}"},
     {"{\"l\":null}", "{\"l\":{\"l\":{}}"}},
    {"{\"allOf\":[{\"type\":\"integer\",\"minimum\":3},{\"maximum\":4}]}", {"3", "4"}, {"2", "5"}},
    {"{\"oneOf\":[{\"type\":\"string\",\"maxLength\":1},{\"type\":\"integer\"}]}",
     {"\"a\"", "1"},
     {"\"ab\"", "true"}},
};

static void what_the_grammar_writes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        gi_schema *s = compile(written[i].schema);
        for (size_t k = 0; k < 8 && written[i].takes[k]; k++) {
            const char *text = written[i].takes[k];
            json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
            glint_error e = {0};
            if (!v || gi_schema_check(s, v, &e) != GLINT_OK)
                fail_msg("%s: checker: %s: %s", written[i].schema, text, e.message);
            if (!walk_accepts(s, text, strlen(text), NULL))
                fail_msg("%s: grammar refuses %s", written[i].schema, text);
            json_decref(v);
        }
        for (size_t k = 0; k < 8 && written[i].refuses[k]; k++)
            if (walk_accepts(s, written[i].refuses[k], strlen(written[i].refuses[k]), NULL))
                fail_msg("%s: grammar takes %s", written[i].schema, written[i].refuses[k]);
        gi_schema_free(s);
    }
}

static void white_space_is_an_option(void **state) {
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[[1,{\"x\":2}]]},\"b\":{\"type\":"
        "\"array\",\"items\":{\"type\":\"integer\"}}},\"additionalProperties\":{\"type\":\"null\"}"
        "}";
    static const char compact[] = "{\"a\":[1,{\"x\":2}],\"b\":[1,2],\"c\":null}";
    static const char spaced[] = "{\"a\": [1, {\"x\": 2}], \"b\": [1, 2], \"c\": null}";
    const gi_schema_options o = {.layout = GI_JSON_SPACED};
    gi_schema *s = NULL;
    assert_int_equal(gi_schema_compile(schema, strlen(schema), &o, &s, NULL), GLINT_OK);
    assert_true(walk_accepts(s, spaced, strlen(spaced), NULL));
    assert_false(walk_accepts(s, compact, strlen(compact), NULL));
    gi_schema_free(s);
    s = compile(schema);
    assert_false(walk_accepts(s, spaced, strlen(spaced), NULL));
    assert_true(walk_accepts(s, compact, strlen(compact), NULL));
    gi_schema_free(s);
}

/* Recursion ends: at the deepest place only what closes is taken. */
static void depth_is_bounded(void **state) {
    (void)state;
    gi_schema *s = compile("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}");
    char text[2 * GI_JSON_DEPTH_MAX + 2];
    for (size_t depth = GI_JSON_DEPTH_MAX - 1; depth <= GI_JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(walk_accepts(s, text, 2 * depth, NULL), depth <= GI_JSON_DEPTH_MAX);
    }
    gi_schema_free(s);
}

static void schemas_that_are_not_understood(void **state) {
    (void)state;
    static const struct {
        const char *schema;
        glint_status status;
        const char *says;
    } rows[] = {
        {"[]", GLINT_ERR_FORMAT, "s must be an object"},
        {"{", GLINT_ERR_FORMAT, "not valid JSON"},
        {"{\"not\":{}}", GLINT_ERR_UNSUPPORTED, "s: \"not\" is not supported"},
        {"{\"maxmimum\":1}", GLINT_ERR_UNSUPPORTED, "s: \"maxmimum\" is not supported"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"if\":{}}}}", GLINT_ERR_UNSUPPORTED,
         "s.properties.a: \"if\""},
        {"{\"type\":\"array\",\"items\":{\"contains\":{}}}", GLINT_ERR_UNSUPPORTED,
         "s.items: \"contains\""},
        {"{\"uniqueItems\":true}", GLINT_ERR_UNSUPPORTED, "\"uniqueItems\""},
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", GLINT_ERR_UNSUPPORTED,
         "\"oneOf\""},
        {"{\"type\":\"text\"}", GLINT_ERR_UNSUPPORTED, "\"type\": \"text\""},
        {"{\"type\":7}", GLINT_ERR_FORMAT, "\"type\" must be"},
        {"{\"enum\":[]}", GLINT_ERR_FORMAT, "\"enum\" must be"},
        {"{\"minLength\":-1}", GLINT_ERR_FORMAT, "\"minLength\" must be"},
        {"{\"maxItems\":1e300}", GLINT_ERR_LIMIT, "\"maxItems\" is above"},
        {"{\"multipleOf\":0.5}", GLINT_ERR_UNSUPPORTED, "\"multipleOf\""},
        {"{\"required\":[1]}", GLINT_ERR_FORMAT, "\"required\" must be"},
        {"{\"$ref\":\"#/nothing\"}", GLINT_ERR_FORMAT, "points to nothing"},
        {"{\"$ref\":\"http://example.com/a\"}", GLINT_ERR_UNSUPPORTED, "\"$ref\""},
        {"{\"format\":\"iri\"}", GLINT_ERR_UNSUPPORTED, "\"format\": \"iri\""},
        {"{\"pattern\":\"(a)\\\\1\"}", GLINT_ERR_UNSUPPORTED, "\\1 is not supported"},
        {"{\"pattern\":\"a(?=b)\"}", GLINT_ERR_UNSUPPORTED, "look-around"},
        {"{\"pattern\":\"\\\\bword\"}", GLINT_ERR_UNSUPPORTED, "\\b is not supported"},
        {"{\"pattern\":\"(a\"}", GLINT_ERR_FORMAT, "( without )"},
        {"{\"pattern\":\"((((a{99}){99}){99}){99})\"}", GLINT_ERR_LIMIT, "too large"},
        {"{\"pattern\":\"(a|b)*a(a|b){14}$\"}", GLINT_ERR_LIMIT, "too large"},
        {"{\"type\":\"string\",\"pattern\":\"^a{3}$\",\"maxLength\":2}", GLINT_ERR_FORMAT,
         "no value"},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", GLINT_ERR_FORMAT, "no value"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
         GLINT_ERR_FORMAT, "no value"},
        {"false", GLINT_ERR_FORMAT, "no value"},
    };
    const gi_schema_options o = {.what = "s", .strict = true};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gi_schema *s = NULL;
        glint_error e = {0};
        const glint_status st =
            gi_schema_compile(rows[i].schema, strlen(rows[i].schema), &o, &s, &e);
        if (st != rows[i].status || !strstr(e.message, rows[i].says))
            fail_msg("%s: %d %s", rows[i].schema, st, e.message);
        assert_null(s);
    }
}

static void short_of_memory(void **state) {
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]},\"b\":{\"type\":"
        "\"array\",\"items\":{\"$ref\":\"#\"}},\"c\":{\"type\":[\"number\",\"null\"]},\"d\":{"
        "\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"maxLength\":3,\"minLength\":1}},"
        "\"required\":[\"a\"],\"additionalProperties\":{\"anyOf\":[{\"type\":\"integer\"},{"
        "\"format\":\"date\"}]}}";
    gi_schema *s = NULL;
    uint64_t n;
    for (n = 1; !s; n++) {
        gi_alloc_fail_at(n);
        const glint_status st = gi_schema_compile(schema, sizeof schema - 1, NULL, &s, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_true(n > 10);
    gi_schema_free(s);
    gi_schema_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_answers),
        cmocka_unit_test(types_of_values),
        cmocka_unit_test(labels_of_a_field),
        cmocka_unit_test(what_the_grammar_writes),
        cmocka_unit_test(white_space_is_an_option),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(schemas_that_are_not_understood),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
