/*
 * src/base/json_text: lines of members in texts made at random, and the messages built on them.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/json_text.h"
#include "base/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 400, TEXT_MAX = 1 << 16 };

/* A text under construction; member k<i> stands on lines[i]. */
typedef struct maker {
    char text[TEXT_MAX];
    size_t n, line, n_keys;
    size_t lines[KEYS_MAX];
    uint64_t seed;
} maker;

static unsigned random_below(maker *m, unsigned n) {
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(m->seed >> 33) % n;
}

static void put(maker *m, const char *s) {
    const size_t n = strlen(s);
    assert_true(m->n + n < TEXT_MAX);
    memcpy(m->text + m->n, s, n + 1);
    m->n += n;
}

static void put_space(maker *m) {
    static const char *const spaces[] = {"", "", " ", "\n", "\r\n", "\t\n\n"};
    const unsigned i = random_below(m, 6);
    put(m, spaces[i]);
    m->line += i >= 5 ? 2 : i >= 3;
}

static void put_scalar(maker *m) {
    static const char *const scalars[] = {"0",        "-1.5e3",    "true",
                                          "null",     "\"\"",      "\"\\n{[,:\"",
                                          "\"\\\\\"", "\"\\\"}\"", "\"\\u0022\""};
    put(m, scalars[random_below(m, sizeof scalars / sizeof *scalars)]);
}

static void put_value(maker *m, unsigned depth) {
    const unsigned kind = depth ? random_below(m, 4) : 0;
    const unsigned n = random_below(m, 5);
    put_space(m);
    if (kind < 2) {
        put_scalar(m);
    } else if (kind == 2) {
        put(m, "[");
        for (unsigned i = 0; i < n; i++) {
            if (i > 0) put(m, ",");
            put_value(m, depth - 1);
        }
        if (n == 0) put_space(m);
        put(m, "]");
    } else {
        put(m, "{");
        for (unsigned i = 0; i < n && m->n_keys < KEYS_MAX; i++) {
            char key[32];
            if (i > 0) put(m, ",");
            put_space(m);
            m->lines[m->n_keys] = m->line;
            /* An escape in the key: it need not be read to be found. */
            snprintf(key, sizeof key, "\"\\u006b%zu\"", m->n_keys++);
            put(m, key);
            put_space(m);
            put(m, ":");
            put_value(m, depth - 1);
        }
        put_space(m);
        put(m, "}");
    }
    put_space(m);
}

static size_t check_members(const maker *m, const gi_json_text *t, const json_t *v) {
    const char *key;
    json_t *member;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        uint64_t i = KEYS_MAX;
        assert_true(gi_parse_u64(key + 1, &i) && i < m->n_keys);
        if (gi_json_line(t, v, key) != m->lines[i])
            fail_msg("%s: line %zu, not %zu, in\n%s", key, gi_json_line(t, v, key), m->lines[i],
                     m->text);
        n += 1 + check_members(m, t, member);
    }
    for (size_t i = 0; i < json_array_size(v); i++) n += check_members(m, t, json_array_get(v, i));
    return n;
}

static void every_member_is_found(void **state) {
    static maker m;
    size_t n_members = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        m = (maker){.line = 1, .seed = seed};
        put(&m, "[");
        put_value(&m, 6);
        put(&m, "]");
        json_t *root = NULL;
        assert_int_equal(gi_json_parse(m.text, m.n, "text", &root, NULL), GLINT_OK);
        const gi_json_text t = {.what = "text", .text = m.text, .n_bytes = m.n, .root = root};
        const size_t n = check_members(&m, &t, root);
        assert_int_equal(n, m.n_keys);
        n_members += n;
        json_decref(root);
    }
    assert_true(n_members > 5000);
}

static void messages_name_file_and_line(void **state) {
    static const char text[] =
        "{\n \"a\": [],\n \"b\": {\n  \"c\":\n   70000\n }, \"d\": [\n  {}]\n}";
    json_t *root = NULL;
    assert_int_equal(gi_json_parse(text, sizeof text - 1, "f.json", &root, NULL), GLINT_OK);
    const gi_json_text t = {
        .what = "f.json", .text = text, .n_bytes = sizeof text - 1, .root = root};
    const json_t *b = json_object_get(root, "b");
    glint_error err = {0};
    int64_t v = 0;
    glint_status st = gi_json_get_int(b, NULL, "c", true, 0, 9, &v, &err);
    assert_int_equal(st, GLINT_ERR_FORMAT);
    gi_json_at(&t, b, "c", st, &err);
    assert_string_equal(err.message, "f.json:4: \"c\" is 70000, must be 0 to 9");
    st = gi_json_get_int(b, NULL, "x", true, 0, 9, &v, &err);
    gi_json_at(&t, b, "x", st, &err);
    assert_string_equal(err.message, "f.json:3: \"x\" is missing");
    assert_int_equal(gi_json_line(&t, json_array_get(json_object_get(root, "d"), 0), NULL), 7);
    assert_int_equal(gi_json_line(&t, root, NULL), 1);
    json_t *other = json_object();
    assert_int_equal(gi_json_line(&t, other, "c"), 1); /* not in the text */
    json_decref(other);
    st = gi_json_parse("{\"a\":1,\n\"b\" 2}", 14, "f.json", &other, &err);
    assert_int_equal(st, GLINT_ERR_FORMAT);
    assert_memory_equal(err.message, "f.json:2: not valid JSON", 24);
    gi_json_at(&t, b, "c", GLINT_OK, &err);
    assert_memory_equal(err.message, "f.json:2: not valid JSON", 24);
    gi_json_at(&t, b, "c", GLINT_ERR_IO, NULL);
    st = gi_json_fail_at(&t, b, "c", &err, GLINT_ERR_LIMIT, "%d\n%s", 7, "x");
    assert_int_equal(st, GLINT_ERR_LIMIT);
    assert_int_equal(err.code, GLINT_ERR_LIMIT);
    assert_string_equal(err.message, "f.json:4: 7?x");
    assert_int_equal(gi_json_fail_at(&t, b, "c", NULL, GLINT_ERR_IO, "x"), GLINT_ERR_IO);
    static const char *const known[] = {"a", "b", NULL};
    assert_string_equal(gi_json_unknown_key(root, known), "d");
    assert_null(gi_json_unknown_key(json_object_get(root, "a"), known));
    json_decref(root);
}

static void dump_appends_or_leaves_alone(void **state) {
    static const char text[] = "{\"a\":[1,true,null],\"b\":\"\\u0001 long enough to be cut\"}";
    json_t *root = NULL;
    assert_int_equal(gi_json_parse(text, sizeof text - 1, "text", &root, NULL), GLINT_OK);
    for (size_t max = 0; max < 2 * sizeof text; max++) {
        glint_error err = {0};
        gi_buf b;
        gi_buf_init(&b, max);
        const bool has_room = max >= 1 && gi_buf_puts(&b, "x", NULL) == GLINT_OK;
        const glint_status st = gi_json_dump(root, JSON_COMPACT, &b, &err);
        if (max >= sizeof text) {
            assert_int_equal(st, GLINT_OK);
            assert_int_equal(b.data[0], 'x');
            assert_string_equal((char *)b.data + 1, text);
        } else {
            assert_int_equal(st, GLINT_ERR_LIMIT);
            assert_int_equal(err.code, GLINT_ERR_LIMIT);
            assert_int_equal(b.len, has_room);
            if (has_room) assert_string_equal((char *)b.data, "x");
        }
        gi_buf_done(&b);
    }
    gi_buf b;
    gi_buf_init(&b, SIZE_MAX);
    gi_alloc_fail_at(1);
    assert_int_equal(gi_json_dump(root, JSON_COMPACT, &b, NULL), GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    assert_int_equal(gi_json_dump(json_object_get(root, "b"), JSON_ENCODE_ANY, &b, NULL), GLINT_OK);
    assert_string_equal((char *)b.data, "\"\\u0001 long enough to be cut\"");
    /* jansson itself refuses: a value that is no document. */
    assert_int_equal(gi_json_dump(json_object_get(root, "b"), 0, &b, NULL), GLINT_ERR_MEMORY);
    gi_buf_done(&b);
    json_decref(root);
}

/* Whichever allocation fails, the text is read whole or not at all: also where jansson drops what
 * does not fit into a string or a long number, and then reads a number, which clears errno. */
static void no_memory_loses_nothing(void **state) {
    static const char text[] =
        "{\"a string of more than sixteen bytes\": \"and its value, which is longer \\u00e9 "
        "still\",\n"
        "\"b\": [1, -12345678901234567, 0.125000000000000000001e2, \"0123456789012345678901\", 7]}";
    json_t *whole = NULL;
    assert_int_equal(gi_json_parse(text, sizeof text - 1, "text", &whole, NULL), GLINT_OK);
    json_set_alloc_funcs(gi_alloc, gi_free);
    bool is_met = true;
    for (uint64_t n = 1; is_met; n++) {
        json_t *root = NULL;
        glint_error err = {0};
        const uint64_t before = gi_alloc_count();
        gi_alloc_fail_at(n);
        const glint_status st = gi_json_parse(text, sizeof text - 1, "text", &root, &err);
        is_met = gi_alloc_count() - before >= n;
        gi_alloc_fail_at(0);
        assert_int_equal(st, is_met ? GLINT_ERR_MEMORY : GLINT_OK);
        assert_int_equal(err.code, st);
        if (!is_met) assert_true(json_equal(root, whole) && n > 15);
        json_decref(root);
    }
    json_set_alloc_funcs(malloc, free);
    json_decref(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_found),
        cmocka_unit_test(no_memory_loses_nothing),
        cmocka_unit_test(messages_name_file_and_line),
        cmocka_unit_test(dump_appends_or_leaves_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
