/*
 * The default model through glint.h, as a user meets it: the sample listing, and those golden
 * cases that one request can ask, in every number format. What the layers compute is compared in
 * tests/unit/model; here it is the answers.
 *
 * Near ties: a narrow format rounds, so where the reference's first and second token were less
 * than GAP_MIN apart at some step, another text is right too. Two of the sixteen cases are like
 * that, both of pictures too small to read: `grey` (gap 0.026) and `wide` (0.078). The next
 * smallest gap is 0.305. In F32 all sixteen must be equal.
 */
#include "engine_rig.h"

#include "../model/golden.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define GAP_MIN 0.2f

static const struct {
    const char *name;
    glint_dtype dtype, kv_dtype;
} formats[] = {
    {"F32", GLINT_DTYPE_F32},
    {"BF16", GLINT_DTYPE_BF16},
    {"INT8", GLINT_DTYPE_INT8},
    {"INT8, cache too", GLINT_DTYPE_INT8, GLINT_DTYPE_INT8},
    {"INT8, all and cache", GLINT_DTYPE_INT8_ALL, GLINT_DTYPE_INT8},
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

static rig_answer answer, again;

static void assert_sample_audit(const rig_answer *a) {
    assert_string_equal(a->text, RIG_SAMPLE_ANSWER);
    assert_int_equal(a->finish, GLINT_FINISH_STOP);
    assert_true(a->n_pieces > 5 && a->n_pieces <= a->usage.completion_tokens);
    assert_true(a->has_data);
    json_t *data = json_loads(a->data, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(data, "result")), "reject");
    const json_t *reasons = json_object_get(data, "reasons");
    assert_int_equal(json_array_size(reasons), 2);
    assert_string_equal(json_string_value(json_array_get(reasons, 0)),
                        "图像中出现疑似处方药包装，属于平台禁售品类");
    assert_string_equal(json_string_value(json_array_get(reasons, 1)),
                        "标题声称“特效药根治糖尿病”违反广告法相关规定");
    json_decref(data);
    assert_true(a->confidence > 0.9 && a->confidence <= 1);
    assert_int_equal(a->usage.image_tokens, 256);
    assert_int_equal(a->usage.prompt_tokens, 277);
    assert_int_equal(a->usage.completion_tokens, 19);
    assert_int_equal(a->usage.forced_tokens, 5); /* {"result":" and ","reasons */
    assert_int_equal(a->usage.cached_tokens, 0);
    const glint_timing *t = &a->timing;
    assert_true(t->decode_image_ms > 0 && t->preprocess_ms > 0 && t->encode_ms > 0);
    assert_true(t->prefill_ms > 0 && t->decode_ms > 0);
}

/* The audit of the model card, in each format; the same to the bit again and with more threads. */
static void audits_the_sample_listing(void **state) {
    (void)state;
    const glint_image image = rig_image(RIG_SAMPLE);
    const glint_request r = {.images = &image, .n_images = 1, .prompt = RIG_SAMPLE_PROMPT};
    for (size_t f = 0; f < N_FORMATS; f++)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            const glint_engine_options o = {
                .dtype = formats[f].dtype, .kv_dtype = formats[f].kv_dtype, .n_threads = n_threads};
            glint_engine *e = rig_open(RIG_DEFAULT, o);
            rig_ask(e, &r, n_threads == 1 ? &answer : &again);
            if (n_threads == 1) rig_ask(e, &r, &again);
            assert_sample_audit(&answer);
            rig_assert_same(&answer, &again);
            glint_engine_close(e);
        }
}

/* A harmless title leaves the picture's reason alone. */
static void audits_with_a_harmless_title(void **state) {
    (void)state;
    const glint_image image = rig_image(RIG_SAMPLE);
    glint_engine *e = rig_open(RIG_DEFAULT, (glint_engine_options){0});
    rig_ask(e,
            &(glint_request){
                .images = &image,
                .n_images = 1,
                .prompt = "商品标题：健康好味道\n"
                          "请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。"},
            &answer);
    assert_string_equal(
        answer.data,
        "{\"result\":\"reject\",\"reasons\":[\"图像中出现疑似处方药包装，属于平台禁售品类\"]}");
    /* No prompt: the template's own question. */
    rig_ask(e, &(glint_request){.images = &image, .n_images = 1}, &again);
    assert_string_equal(again.data, answer.data);
    glint_engine_close(e);
}

static float smallest_gap(const char *name) {
    char path[256];
    gi_safetensors golden;
    size_t n;
    float least = 1e9f;
    snprintf(path, sizeof path, "tests/golden/default/%s.safetensors", name);
    assert_int_equal(gi_safetensors_open(golden_path(path), &golden, NULL), GLINT_OK);
    const float *gap = golden_f32(&golden, "gap", &n);
    for (size_t i = 0; i < n; i++) least = gap[i] < least ? gap[i] : least;
    gi_safetensors_close(&golden);
    return least;
}

/* One user turn, its pictures first and one text behind them: what a request can say. */
static bool can_be_asked(const json_t *c) {
    const json_t *turns = json_object_get(c, "turns");
    const json_t *parts = json_object_get(json_array_get(turns, 0), "parts");
    const size_t n = json_array_size(parts);
    if (json_array_size(turns) != 1 || !json_object_get(json_array_get(parts, n - 1), "text"))
        return false;
    return n - 1 == json_array_size(json_object_get(c, "pictures"));
}

static void ask_case(glint_engine *e, const json_t *c, const char *task, rig_answer *ret) {
    const json_t *names = json_object_get(c, "pictures");
    const json_t *parts = json_object_get(json_array_get(json_object_get(c, "turns"), 0), "parts");
    const json_t *text = json_array_get(parts, json_array_size(parts) - 1);
    glint_image images[GLINT_IMAGES_MAX];
    const size_t n = json_array_size(names);
    for (size_t i = 0; i < n; i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/golden/default/%s",
                 json_string_value(json_array_get(names, i)));
        images[i] = rig_image(path);
    }
    const glint_request r = {
        .images = images,
        .n_images = n,
        .task = task,
        .prompt = json_string_value(json_object_get(text, "text")),
        .max_tokens = (int)json_integer_value(json_object_get(c, "max_tokens")),
    };
    rig_ask(e, &r, ret);
    assert_int_equal(ret->usage.prompt_tokens,
                     json_integer_value(json_object_get(c, "prompt_tokens")));
    assert_int_equal(ret->usage.image_tokens,
                     json_integer_value(json_object_get(c, "image_tokens")));
}

static void check_case(glint_engine *e, const json_t *c, size_t f, int counts[2]) {
    const char *name = json_string_value(json_object_get(c, "name"));
    const char *want = json_string_value(json_object_get(c, "text"));
    const bool is_tie = formats[f].dtype != GLINT_DTYPE_F32 && smallest_gap(name) < GAP_MIN;
    ask_case(e, c, "ask", &answer);
    const bool is_equal = strcmp(answer.text, want) == 0;
    if (!is_equal && !is_tie)
        fail_msg("%s in %s:\n  %s\nwanted\n  %s", name, formats[f].name, answer.text, want);
    if (!is_equal)
        print_message("near tie: %s in %s answers another text\n", name, formats[f].name);
    counts[0] += is_equal;
    counts[1] += is_tie;
    if (strncmp(want, "{\"result\"", 9) != 0) return;
    ask_case(e, c, "audit", &again);
    assert_string_equal(again.text, want);
    assert_string_equal(again.data, want);
    assert_true(again.confidence > 0.9);
}

static void golden_answers_in_every_format(void **state) {
    (void)state;
    json_t *json = NULL;
    assert_int_equal(
        gi_json_load(rig_path("tests/golden/default/cases.json"), 1 << 20, &json, NULL), GLINT_OK);
    const json_t *cases = json_object_get(json, "cases");
    for (size_t f = 0; f < N_FORMATS; f++) {
        glint_engine *e =
            rig_open(RIG_DEFAULT, (glint_engine_options){.dtype = formats[f].dtype,
                                                         .kv_dtype = formats[f].kv_dtype,
                                                         .max_side_px = 2048});
        int counts[2] = {0, 0}, n = 0;
        for (size_t i = 0; i < json_array_size(cases); i++)
            if (can_be_asked(json_array_get(cases, i))) {
                check_case(e, json_array_get(cases, i), f, counts);
                n++;
            }
        glint_engine_close(e);
        print_message("golden: %s: %d of %d answers equal\n", formats[f].name, counts[0], n);
        assert_int_equal(n, 16);
        assert_int_equal(counts[1], formats[f].dtype == GLINT_DTYPE_F32 ? 0 : 1);
    }
    json_decref(json);
}

static int group_done(void **state) {
    (void)state;
    rig_done();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audits_the_sample_listing),
        cmocka_unit_test(audits_with_a_harmless_title),
        cmocka_unit_test(golden_answers_in_every_format),
    };
    return cmocka_run_group_tests(tests, NULL, group_done);
}
