/* src/server/answer_record: what goes in comes out; parts and nonsense do not. */
#include "../cm.h"

#include "base/alloc.h"
#include "server/answer_record.h"

#include <string.h>

static const glint_result RESULT = {.text = "an answer",
                                    .n_text_bytes = 9,
                                    .reasoning = "",
                                    .data_json = "{\"a\":1}",
                                    .confidence = 0.25,
                                    .finish = GLINT_FINISH_LENGTH,
                                    .usage = {1, 2, 3, 4, 5},
                                    .timing = {.encode_ms = 7}};

static void encode(const glint_result *r, gi_buf *out) {
    gi_buf_init(out, 1000);
    assert_int_equal(gi_answer_record_encode(r, out, NULL), GLINT_OK);
}

static void test_round_trip(void **state) {
    gi_buf b;
    gi_answer_record r;
    encode(&RESULT, &b);
    assert_true(gi_answer_record_decode(b.data, b.len, &r));
    assert_int_equal(r.n_text, 9);
    assert_memory_equal(r.text, "an answer", 9);
    assert_non_null(r.reasoning);
    assert_int_equal(r.n_reasoning, 0);
    assert_int_equal(r.n_data_json, 7);
    assert_memory_equal(r.data_json, "{\"a\":1}", 7);
    assert_true(r.confidence >= 0.25 && r.confidence <= 0.25);
    assert_int_equal(r.finish, GLINT_FINISH_LENGTH);
    assert_memory_equal(&r.usage, &RESULT.usage, sizeof r.usage);
    gi_buf_done(&b);
    encode(&(glint_result){.text = "", .finish = GLINT_FINISH_STOP}, &b);
    assert_true(gi_answer_record_decode(b.data, b.len, &r));
    assert_null(r.reasoning);
    assert_null(r.data_json);
    gi_buf_done(&b);
}

static void test_parts(void **state) {
    gi_buf b;
    gi_answer_record r;
    encode(&RESULT, &b);
    for (size_t n = 0; n < b.len; n++) assert_false(gi_answer_record_decode(b.data, n, &r));
    assert_int_equal(gi_buf_push(&b, "x", 1, NULL), GLINT_OK);
    assert_false(gi_answer_record_decode(b.data, b.len, &r));
    gi_buf_done(&b);
}

/* One byte changed to what makes no sense. */
static void test_nonsense(void **state) {
    static const struct {
        size_t at;
        uint8_t value;
    } CHANGES[] = {
        {0, 2},                          /* a later format */
        {4, 0},                          /* did not finish */
        {4, 3},                          /* was not the right shape */
        {11, 0x80},                      /* a negative count */
        {35, 0x7f},                      /* confidence that is none */
        {36, 8},                         /* lengths that do not add up */
        {39, 0xff}, {52, 0xff}, {52, 0}, /* a zero in a text */
    };
    for (size_t i = 0; i < sizeof CHANGES / sizeof CHANGES[0]; i++) {
        gi_buf b;
        gi_answer_record r;
        encode(&RESULT, &b);
        b.data[CHANGES[i].at] = CHANGES[i].value;
        assert_false(gi_answer_record_decode(b.data, b.len, &r));
        gi_buf_done(&b);
    }
}

static void test_memory(void **state) {
    for (uint64_t n = 1;; n++) {
        gi_buf b;
        gi_buf_init(&b, 1000);
        gi_alloc_fail_at(n);
        const glint_status st = gi_answer_record_encode(&RESULT, &b, NULL);
        gi_alloc_fail_at(0);
        gi_buf_done(&b);
        if (st == GLINT_OK) break;
        assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    gi_buf small;
    gi_buf_init(&small, 20);
    assert_int_equal(gi_answer_record_encode(&RESULT, &small, NULL), GLINT_ERR_LIMIT);
    gi_buf_done(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
