/*
 * glint bench quality: reading cases, distances, and what is counted where.
 */
#include "../cm.h"

#include "../../../apps/glint/bench_quality_tally.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t distance(const char *a, const char *b, size_t *ret_chars) {
    size_t d = 99999;
    assert_int_equal(gi_quality_distance(a, b, &d, ret_chars, NULL), GLINT_OK);
    return d;
}

static void distances_count_characters(void **state) {
    static const struct {
        const char *a, *b;
        size_t distance, n_chars;
    } rows[] = {
        {"", "", 0, 0},
        {"", "abc", 3, 3},
        {"abc", "", 3, 0},
        {"kitten", "sitting", 3, 7},
        {"全国第一", "全国第二", 1, 4},
        {"一二三", "二三", 1, 2},
        {"a\xff", "a\xfe", 1, 2},
        {"a", "一", 1, 1}, /* a broken byte is a character */
        {"\x80\x80", "", 2, 0},
        {"国", "图", 1, 1}, /* the last byte alone differs */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n_chars = 0;
        assert_int_equal(distance(rows[i].a, rows[i].b, &n_chars), rows[i].distance);
        assert_int_equal(n_chars, rows[i].n_chars);
    }
}

static void long_texts_are_cut(void **state) {
    char *a = gi_calloc(2 * GI_QUALITY_CHARS_MAX, 1), *b = gi_calloc(2 * GI_QUALITY_CHARS_MAX, 1);
    assert_true(a && b);
    memset(a, 'x', 2 * GI_QUALITY_CHARS_MAX - 1);
    memset(b, 'x', GI_QUALITY_CHARS_MAX);
    b[0] = 'y';
    size_t n_chars = 0;
    assert_int_equal(distance(a, b, &n_chars), 1);
    assert_int_equal(n_chars, GI_QUALITY_CHARS_MAX);
    gi_free(a);
    gi_free(b);
}

/* Read `text` as a cases.json; the message goes to `message`. */
static glint_status read_cases(gi_quality_cases *c, const char *text,
                               char message[GLINT_ERROR_MESSAGE_BYTES]) {
    char dir[] = "/tmp/glint-quality-XXXXXX", path[64];
    glint_error err = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/cases.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    const glint_status st = gi_quality_cases_read(c, dir, &err);
    snprintf(message, GLINT_ERROR_MESSAGE_BYTES, "%s", err.message);
    unlink(path);
    rmdir(dir);
    return st;
}

static const char CASES[] =
    "[{\"image\":\"a.png\",\"task\":\"none\",\"prompt\":\"?\","
    "\"answer\":\"{ \\\"result\\\": \\\"pass\\\", \\\"reasons\\\": [] }\"},"
    "{\"image\":\"a.png\",\"prompt\":\"?\",\"answer\":\"{\\\"total\\\":1}\"},"
    "{\"image\":\"a.png\",\"task\":\"ocr\",\"prompt\":\"?\",\"answer\":\"{broken\"}]";

static void verdicts_are_known_by_their_form(void **state) {
    gi_quality_cases c = {0};
    char message[GLINT_ERROR_MESSAGE_BYTES];
    assert_int_equal(read_cases(&c, CASES, message), GLINT_OK);
    assert_int_equal(c.n, 3);
    assert_string_equal(c.items[0].label, "pass");
    assert_string_equal(c.items[0].want, "{\"result\":\"pass\",\"reasons\":[]}");
    assert_string_equal(c.items[0].task, "none");
    assert_null(c.items[1].label);
    assert_string_equal(c.items[1].task, "ask");
    assert_string_equal(c.items[2].want, "{broken");
    gi_quality_cases_done(&c);
}

static void bad_cases_are_named(void **state) {
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"[]", "no array of questions"},
        {"{}", "no array of questions"},
        {"[7]", "entry 0: not an object"},
        {"[{\"image\":\"a\",\"prompt\":\"?\"}]", "answer"},
        {"[{\"image\":1,\"prompt\":\"?\",\"answer\":\"x\"}]", "image"},
        {"[", "cases.json"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gi_quality_cases c = {0};
        char message[GLINT_ERROR_MESSAGE_BYTES];
        assert_int_equal(read_cases(&c, rows[i].text, message), GLINT_ERR_FORMAT);
        assert_non_null(strstr(message, rows[i].says));
        gi_quality_cases_done(&c);
    }
}

static char v[] = "{V}", abcd[] = "abcd", x[] = "x";
static const gi_quality_case AUDIT = {
    .image = "a", .task = "audit", .prompt = "?", .want = v, .label = "reject"};
static const gi_quality_case TEXT = {.image = "b", .task = "ocr", .prompt = "?", .want = abcd};

static void add(gi_quality_tally *t, const gi_quality_case *c, const char *text, const char *label,
                double confidence) {
    const gi_quality_answer a = {.text = text,
                                 .label = label,
                                 .confidence = confidence,
                                 .finish = text ? "stop" : "timeout"};
    assert_int_equal(gi_quality_tally_add(t, c, &a, NULL), GLINT_OK);
}

static void answers_count_where_they_belong(void **state) {
    gi_quality_tally t = {0};
    add(&t, &AUDIT, "{V}", "reject", 0.95);
    add(&t, &AUDIT, "{W}", "reject", 0.85); /* other reasons: wrong, but the label is right */
    add(&t, &AUDIT, "{X}", "pass", 0.65);
    add(&t, &AUDIT, NULL, NULL, -1); /* no answer: no confidence either */
    add(&t, &TEXT, "abcd", NULL, 1);
    add(&t, &TEXT, "abc", NULL, 0);
    assert_true(t.total.n == 6 && t.total.n_right == 2 && t.n_unanswered == 1);
    assert_true(t.n_tasks == 2 && t.tasks[0].n == 4 && t.tasks[0].n_right == 1);
    assert_true(t.tasks[0].n_chars == 0); /* characters are counted in free text alone */
    assert_true(t.tasks[1].n_chars == 8 && t.tasks[1].distance == 1);
    assert_string_equal(t.labels[0], "none");
    assert_string_equal(t.labels[1], "reject");
    assert_string_equal(t.labels[2], "pass");
    assert_true(t.verdicts[1][1] == 2 && t.verdicts[1][2] == 1 && t.verdicts[1][0] == 1);
    assert_true(t.of_verdicts.bins[9].n_right == 1 && t.of_verdicts.bins[8].n_right == 1);
    assert_true(t.of_verdicts.bins[6].n == 1 && t.of_verdicts.bins[6].n_right == 0);
    assert_true(t.of_texts.bins[9].n == 1 && t.of_texts.bins[0].n == 1);
    assert_int_equal(t.n_ends, 2);
    assert_true(t.ends[0].n == 5 && t.ends[1].n == 1);
    assert_int_equal(json_array_size(t.wrong), 4);
    /* |0.95 - 1| + |0.85 - 1| + |0.65 - 0| over three */
    assert_true(fabs(gi_quality_ece(&t.of_verdicts) - 0.85 / 3) < 1e-12);
    gi_quality_tally_done(&t);
}

static void tables_do_not_overflow(void **state) {
    gi_quality_tally t = {0};
    for (int i = 0; i < 100; i++) {
        char task[16], label[16], finish[16];
        snprintf(task, sizeof task, "t%d", i);
        snprintf(label, sizeof label, "l%d", i);
        snprintf(finish, sizeof finish, "f%d", i);
        const gi_quality_case c = {
            .image = "a", .task = task, .prompt = "?", .want = x, .label = label};
        const gi_quality_answer a = {
            .text = "x", .label = label, .confidence = 1, .finish = finish};
        assert_int_equal(gi_quality_tally_add(&t, &c, &a, NULL), GLINT_OK);
    }
    assert_true(t.n_tasks == GI_QUALITY_TASKS_MAX && t.n_ends == GI_QUALITY_ENDS_MAX);
    assert_string_equal(t.tasks[t.n_tasks - 1].name, "other");
    assert_int_equal(t.tasks[t.n_tasks - 1].n, 100 - (GI_QUALITY_TASKS_MAX - 1));
    assert_int_equal(t.ends[t.n_ends - 1].n, 100 - (GI_QUALITY_ENDS_MAX - 1));
    assert_int_equal(t.n_labels, GI_QUALITY_LABELS_MAX);
    gi_quality_tally_done(&t);
}

static void intervals_are_wilson(void **state) {
    double got[2];
    gi_quality_interval(50, 100, got);
    assert_true(fabs(got[0] - 0.40383) < 1e-5 && fabs(got[1] - 0.59617) < 1e-5);
    gi_quality_interval(10, 10, got);
    assert_true(fabs(got[0] - 0.72247) < 1e-5 && fabs(got[1] - 1) < 1e-12);
    gi_quality_interval(0, 10, got);
    assert_true(fabs(got[0]) < 1e-12 && fabs(got[1] - 0.27753) < 1e-5);
}

static void memory_may_run_out(void **state) {
    glint_status st = GLINT_ERR_MEMORY;
    for (uint64_t k = 1; st != GLINT_OK; k++) {
        gi_quality_cases c = {0};
        gi_quality_tally t = {0};
        char message[GLINT_ERROR_MESSAGE_BYTES];
        gi_alloc_fail_at(k);
        st = read_cases(&c, CASES, message);
        for (size_t i = 0; st == GLINT_OK && i < c.n; i++) {
            const gi_quality_answer a = {.text = "x", .confidence = 0.5, .finish = "stop"};
            st = gi_quality_tally_add(&t, &c.items[i], &a, NULL);
        }
        gi_alloc_fail_at(0);
        assert_true(st == GLINT_OK || st == GLINT_ERR_MEMORY);
        assert_true(k > 4 || st != GLINT_OK); /* there is something to fail */
        gi_quality_tally_done(&t);
        gi_quality_cases_done(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_count_characters),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(verdicts_are_known_by_their_form),
        cmocka_unit_test(bad_cases_are_named),
        cmocka_unit_test(answers_count_where_they_belong),
        cmocka_unit_test(tables_do_not_overflow),
        cmocka_unit_test(intervals_are_wilson),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
