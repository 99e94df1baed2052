/*
 * src/grammar/confidence: the label is found wherever it stands, its probability is the one that
 * can be worked out by hand, and it does not depend on how tokens cut the text.
 */
#include "../cm.h"

#include "../text/small_tokenizer.h"
#include "base/alloc.h"
#include "grammar/confidence.h"

#include <math.h>
#include <string.h>

/* Tokens beyond single bytes, by id from 256 on. '"' is \" in JSON text. */
static const char *const merges[] = {"r e",   "re j",   "re v",       "p a",          "pa s",
                                     "pas s", "\\\" :", "\\\": \\\"", "\\\":\\\" re", NULL};
enum { RE = 256, REJ, REV, PA, PAS, PASS, QUOTE_COLON, OPENING, OPENING_RE, N_VOCAB };

static const char *const labels[] = {"pass", "review", "reject"};

static gi_tokenizer *load(void) {
    gi_tokenizer *t = NULL;
    glint_error e = {0};
    const small_tokenizer s = {.merges = merges};
    if (gi_tokenizer_load(small_tokenizer_write(&s), &t, &e) != GLINT_OK) fail_msg("%s", e.message);
    assert_int_equal(gi_tokenizer_count(t), N_VOCAB);
    return t;
}

/* Logits whose softmax is given by weights: those of `w`, all others 1e-9. */
typedef struct weight {
    int32_t id;
    double w;
} weight;

static void step(gi_confidence *c, int32_t chosen, const weight *w, size_t n) {
    float logits[N_VOCAB];
    for (size_t i = 0; i < N_VOCAB; i++) logits[i] = logf(1e-9f) + 40; /* any offset will do */
    for (size_t i = 0; i < n; i++) logits[w[i].id] = logf((float)w[i].w) + 40;
    gi_confidence_step(c, logits, N_VOCAB, chosen);
}

/* Choose the bytes of a text, one token each, all alternatives alike. */
static void type(gi_confidence *c, const char *text) {
    for (; *text; text++) step(c, (uint8_t)*text, NULL, 0);
}

static void begin(gi_confidence *c, const gi_tokenizer *t) {
    gi_confidence_init_labels(c, t, "result", labels, 3);
}

static void assert_close(double got, double want) {
    if (!(fabs(got - want) <= 1e-5 * want)) fail_msg("%.9f, not %.9f", got, want);
}

static void label_by_bytes(void **state) {
    (void)state;
    gi_tokenizer *t = load();
    gi_confidence c;
    begin(&c, t);
    type(&c, "{\"result\":\"");
    assert_true(gi_confidence_value(&c) == 0);
    step(&c, 'r', (const weight[]){{'r', .6}, {'p', .2}, {'x', .2}}, 3);
    step(&c, 'e', (const weight[]){{'e', .5}, {'i', .5}}, 2);
    step(&c, 'j', (const weight[]){{'j', .9}, {'v', .05}, {'"', .05}}, 3);
    assert_true(gi_confidence_value(&c) == 0);
    type(&c, "ect\",\"reasons\":[]}");
    assert_close(gi_confidence_value(&c), .6 / .8 * .9 / .95);
    gi_tokenizer_free(t);
}

/* The same choice through other tokens: 0.6 for r.., split over three ways to write it. */
static void label_by_larger_tokens(void **state) {
    (void)state;
    gi_tokenizer *t = load();
    gi_confidence c;
    begin(&c, t);
    type(&c, "{\"result\":\"");
    /* "re" and "r" leave reject and review open: they say nothing between those two, but are
     * neither when the chosen token has decided already. */
    step(&c, REJ, (const weight[]){{REJ, .5}, {REV, .1}, {RE, .2}, {PASS, .1}, {PA, .1}}, 5);
    type(&c, "ect\"");
    assert_close(gi_confidence_value(&c), .5 / (.5 + .1 + .1 + .1));
    begin(&c, t);
    type(&c, "{\"result\":\"");
    step(&c, RE, (const weight[]){{RE, .4}, {'r', .1}, {REJ, .1}, {PA, .3}, {PASS, .1}}, 5);
    step(&c, 'j', (const weight[]){{'j', .7}, {'v', .3}}, 2);
    type(&c, "ect\"");
    assert_close(gi_confidence_value(&c), .6 / 1.0 * .7);
    gi_tokenizer_free(t);
}

static void token_begins_before_and_ends_behind_the_label(void **state) {
    (void)state;
    gi_tokenizer *t = load();
    gi_confidence c;
    begin(&c, t);
    type(&c, "{\"result");
    step(&c, OPENING_RE, (const weight[]){{OPENING_RE, .5}, {OPENING, .3}, {QUOTE_COLON, .2}}, 3);
    step(&c, 'v', (const weight[]){{'v', .8}, {'j', .2}}, 2);
    type(&c, "iew\"");
    assert_close(gi_confidence_value(&c), 1.0 * .8);
    static const char *const prefixes[] = {"a", "ab"};
    gi_confidence_init_labels(&c, t, "r", prefixes, 2);
    type(&c, "{\"r\":\"a");
    step(&c, '"', (const weight[]){{'"', .1}, {QUOTE_COLON, .2}, {'b', .6}, {'c', .1}}, 4);
    assert_close(gi_confidence_value(&c), .3 / .9);
    gi_tokenizer_free(t);
}

static void label_is_found_where_it_stands(void **state) {
    (void)state;
    static const struct {
        const char *before;
        bool found;
    } rows[] = {
        {"{\"result\":\"", true},
        {" {\n  \"result\" :\t\"", true},
        {"```json\n{ \"result\": \"", true},
        {"Sure: {\"a\":{\"result\":\"x\"},\"result\":\"", true},
        {"{\"reasons\":[\"\\\"result\\\":\\\"\",[{}]],\"result\":\"", true},
        {"{\"a\":\"}\",\"b\":-1.5e3,\"c\":null,\"result\":\"", true},
        {"{\"result2\":\"pass\",\"resul\":\"pass\",\"\":1,\"r\\\"\":2,\"result\":\"", true},
        {"{\"result\\\"\":\"", false},
        {"{\"a\":{\"result\":\"", false},
        {"{\"a\":[\"result\",\"", false},
        {"{\"a\":\"result\",\"b\":\"", false},
        {"{\"result\":[\"", false},
        {"{\"result\":1,\"x\":\"", false},
        {"{\"result\" \"", false},
        {"{result:\"", false},
        {"{}{\"result\":\"", false},
        {"\"result\":\"", false},
    };
    gi_tokenizer *t = load();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gi_confidence c;
        begin(&c, t);
        type(&c, rows[i].before);
        step(&c, 'p', (const weight[]){{'p', .7}, {'r', .3}}, 2);
        type(&c, "ass\"}");
        if (rows[i].found)
            assert_close(gi_confidence_value(&c), .7);
        else if (gi_confidence_value(&c) != 0)
            fail_msg("found in %s", rows[i].before);
    }
    gi_tokenizer_free(t);
}

static void other_labels_have_no_confidence(void **state) {
    (void)state;
    static const char *const texts[] = {"maybe\"", "Pass\"",       "passed\"", "pas\"",
                                        "\"",      "p\\u0061ss\"", " pass\"",  "pass"};
    gi_tokenizer *t = load();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        gi_confidence c;
        begin(&c, t);
        type(&c, "{\"result\":\"");
        type(&c, texts[i]);
        assert_true(gi_confidence_value(&c) == 0);
    }
    gi_tokenizer_free(t);
}

static void free_text_is_the_geometric_mean(void **state) {
    (void)state;
    gi_tokenizer *t = load();
    gi_confidence c;
    gi_confidence_init_text(&c, t);
    assert_true(gi_confidence_value(&c) == 0);
    float logits[3] = {logf(.5f), logf(.3f), logf(.2f)};
    gi_confidence_step(&c, logits, 3, 0);
    assert_close(gi_confidence_value(&c), .5);
    gi_confidence_step(&c, logits, 3, 2);
    assert_close(gi_confidence_value(&c), sqrt(.5 * .2));
    for (int i = 0; i < 3; i++) logits[i] += 1000; /* only differences count */
    gi_confidence_step(&c, logits, 3, 1);
    assert_close(gi_confidence_value(&c), cbrt(.5 * .2 * .3));
    gi_confidence_step(&c, logits, 3, 3);
    gi_confidence_step(&c, logits, 3, -1);
    assert_int_equal(c.n_steps, 3);
    gi_tokenizer_free(t);
}

static void odd_logits_give_a_number(void **state) {
    (void)state;
    gi_tokenizer *t = load();
    const float odd[] = {NAN, INFINITY, -INFINITY, 1e38f, -1e38f};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        float logits[N_VOCAB] = {0};
        gi_confidence c, text;
        begin(&c, t);
        gi_confidence_init_text(&text, t);
        type(&c, "{\"result\":\"");
        logits['p'] = odd[i];
        gi_confidence_step(&c, logits, N_VOCAB, 'p');
        gi_confidence_step(&text, logits, N_VOCAB, 'p');
        type(&c, "ass\"");
        assert_true(gi_confidence_value(&c) >= 0 && gi_confidence_value(&c) <= 1);
        assert_true(gi_confidence_value(&text) >= 0 && gi_confidence_value(&text) <= 1);
    }
    gi_tokenizer_free(t);
}

static void steps_allocate_nothing(void **state) {
    (void)state;
    gi_tokenizer *t = load();
    gi_confidence c, text;
    begin(&c, t);
    gi_confidence_init_text(&text, t);
    const uint64_t before = gi_alloc_count();
    type(&c, "{\"result\":\"reject\",\"reasons\":[]}");
    type(&text, "free");
    assert_int_equal(gi_alloc_count(), before);
    assert_true(gi_confidence_value(&c) > 0);
    gi_tokenizer_free(t);
}

static int remove_file(void **state) {
    (void)state;
    small_tokenizer_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_by_bytes),
        cmocka_unit_test(label_by_larger_tokens),
        cmocka_unit_test(token_begins_before_and_ends_behind_the_label),
        cmocka_unit_test(label_is_found_where_it_stands),
        cmocka_unit_test(other_labels_have_no_confidence),
        cmocka_unit_test(free_text_is_the_geometric_mean),
        cmocka_unit_test(odd_logits_give_a_number),
        cmocka_unit_test(steps_allocate_nothing),
    };
    return cmocka_run_group_tests_name("confidence", tests, NULL, remove_file);
}
