/*
 * glint_job_create: every value that is refused, with the field's name, and what is taken as it
 * is. On the model with random weights: what it answers does not matter here.
 */
#include "engine_rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPHA "tests/golden/tiny/alpha.png"
#define GREY  "tests/golden/tiny/grey.png"

static glint_engine *engine; /* context of 512 tokens, pictures of at most 224 px */
static rig_answer answer, other;

static int open_engine(void **state) {
    (void)state;
    engine =
        rig_open(RIG_TINY, (glint_engine_options){.context_tokens_max = 512, .max_side_px = 224});
    return 0;
}

static int close_engine(void **state) {
    (void)state;
    glint_engine_close(engine);
    rig_done();
    return 0;
}

/* Refused with this code and field; nothing is returned, and the next job runs. */
static void refuse(const char *what, const glint_request *r, glint_status code, const char *param) {
    glint_job *untouched = (glint_job *)(uintptr_t)what, *job = untouched;
    glint_error err = {0};
    const glint_status st = glint_job_create(engine, r, &job, &err);
    if (st != code || err.code != code || !err.param || strcmp(err.param, param) != 0)
        fail_msg("%s: wanted %d for \"%s\", got %d for \"%s\": %s", what, code, param, st,
                 err.param ? err.param : "(none)", err.message);
    assert_true(err.message[0] != '\0');
    assert_ptr_equal(job, untouched);
    assert_int_equal(glint_job_create(engine, r, &job, NULL), code);
    rig_ask(engine, &(glint_request){.task = "ask", .prompt = "x", .max_tokens = 1}, &answer);
}

/* As refuse; and the fault is that of the n-th picture, 0 = of none. */
static void refuse_picture(const char *what, const glint_request *r, glint_status code, int n) {
    glint_job *job = NULL;
    glint_error err = {0};
    refuse(what, r, code, "image");
    assert_int_equal(glint_job_create(engine, r, &job, &err), code);
    if (err.picture != n) fail_msg("%s: picture %d, not %d", what, err.picture, n);
}

static void refuses_numbers_out_of_range(void **state) {
    (void)state;
    const struct {
        glint_request r;
        const char *param;
    } rows[] = {
        {{.max_tokens = -1}, "max_tokens"},
        {{.max_tokens = GLINT_MAX_TOKENS_MAX + 1}, "max_tokens"},
        {{.max_tokens = INT32_MIN}, "max_tokens"},
        {{.top_logprobs = -1}, "top_logprobs"},
        {{.top_logprobs = 21}, "top_logprobs"},
        {{.temperature = -0.1}, "temperature"},
        {{.temperature = 2.01}, "temperature"},
        {{.temperature = (double)NAN}, "temperature"},
        {{.temperature = HUGE_VAL}, "temperature"},
        {{.top_p = -0.5}, "top_p"},
        {{.top_p = 1.01}, "top_p"},
        {{.top_p = (double)NAN}, "top_p"},
        {{.top_k = -1}, "top_k"},
        {{.top_k = 510}, "top_k"}, /* the vocabulary has 509 */
        {{.max_side_px = -28}, "max_side"},
        {{.max_side_px = 27}, "max_side"},
        {{.max_side_px = 225}, "max_side"},
        {{.timeout_ms = -1}, "timeout_ms"},
        {{.timeout_ms = 3.6e6 + 1}, "timeout_ms"},
        {{.timeout_ms = (double)NAN}, "timeout_ms"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        glint_request r = rows[i].r;
        r.prompt = "x";
        refuse(rows[i].param, &r, GLINT_ERR_ARG, rows[i].param);
    }
}

static void takes_numbers_at_their_limits(void **state) {
    (void)state;
    const glint_request rows[] = {
        {.max_tokens = 1},     {.max_tokens = GLINT_MAX_TOKENS_MAX},
        {.temperature = 2.0},  {.temperature = 1e-300},
        {.top_p = 1.0},        {.top_p = 1e-6, .temperature = 1},
        {.top_k = 509},        {.top_k = 1, .temperature = 1},
        {.max_side_px = 28},   {.max_side_px = 224},
        {.timeout_ms = 3.6e6}, {.seed = UINT64_MAX, .temperature = 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        glint_request r = rows[i];
        r.task = "ask";
        r.prompt = "x";
        rig_ask(engine, &r, &answer);
        assert_true(answer.usage.completion_tokens >= 1);
    }
}

static void refuses_unknown_tasks(void **state) {
    (void)state;
    static const char *const names[] = {"", "Audit", "audit ", "no_such", "../audit"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        refuse(names[i], &(glint_request){.task = names[i], .prompt = "x"}, GLINT_ERR_ARG, "task");
}

static void refuses_prompts(void **state) {
    (void)state;
    static const char *const broken[] = {"\xFF", "a\xC3", "\xC0\x80", "\xED\xA0\x80",
                                         "\xF5\x80\x80\x80"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        refuse("UTF-8", &(glint_request){.task = "ask", .prompt = broken[i]}, GLINT_ERR_ARG,
               "prompt");
    /* Cut in a character by its length. */
    refuse("cut", &(glint_request){.task = "ask", .prompt = "\xE4\xB8\xAD", .n_prompt_bytes = 2},
           GLINT_ERR_ARG, "prompt");
    refuse("none", &(glint_request){.task = "ask"}, GLINT_ERR_ARG, "prompt");
    refuse("empty", &(glint_request){.task = "ask", .prompt = ""}, GLINT_ERR_ARG, "prompt");
    refuse("blank", &(glint_request){.task = "ask", .prompt = " \t\r\n"}, GLINT_ERR_ARG, "prompt");
    refuse("length without text", &(glint_request){.task = "ask", .n_prompt_bytes = 7},
           GLINT_ERR_ARG, "prompt");
}

static void refuses_long_prompts(void **state) {
    (void)state;
    char *text = malloc(GLINT_PROMPT_BYTES_MAX + 2);
    assert_non_null(text);
    memset(text, 'q', GLINT_PROMPT_BYTES_MAX + 1);
    text[GLINT_PROMPT_BYTES_MAX + 1] = '\0';
    refuse("bytes", &(glint_request){.task = "ask", .prompt = text}, GLINT_ERR_LIMIT, "prompt");
    /* The longest prompt that is read, but more tokens than the context holds. */
    text[GLINT_PROMPT_BYTES_MAX] = '\0';
    refuse("tokens", &(glint_request){.task = "ask", .prompt = text}, GLINT_ERR_LIMIT, "prompt");
    free(text);
}

/* A prompt of 511 tokens leaves room for one; a token more is refused. */
static void fills_the_context_to_the_last_token(void **state) {
    (void)state;
    char text[2048] = "";
    int n = 0;
    size_t len = 0;
    while (n < 511) {
        memcpy(text + len, "\n1", 3); /* a token or two */
        len += 2;
        glint_job *job = NULL;
        const glint_request r = {.task = "ask", .prompt = text, .max_tokens = 9};
        if (glint_job_create(engine, &r, &job, NULL)) break;
        n = glint_job_result(job)->usage.prompt_tokens;
        rig_run(job, &answer);
        assert_int_equal(answer.status, GLINT_OK);
        const int room = 512 - n;
        if (answer.finish == GLINT_FINISH_LENGTH)
            assert_int_equal(answer.usage.completion_tokens, room < 9 ? room : 9);
        else
            assert_true(answer.usage.completion_tokens < 9);
    }
    assert_true(n >= 509 && n <= 511);
    refuse("over", &(glint_request){.task = "ask", .prompt = text}, GLINT_ERR_LIMIT, "prompt");
}

static void refuses_picture_lists(void **state) {
    (void)state;
    glint_image nine[9];
    for (size_t i = 0; i < 9; i++) nine[i] = rig_image(ALPHA);
    refuse("nine", &(glint_request){.images = nine, .n_images = 9, .prompt = "x"}, GLINT_ERR_ARG,
           "images");
    refuse("many", &(glint_request){.images = nine, .n_images = SIZE_MAX, .prompt = "x"},
           GLINT_ERR_ARG, "images");
    refuse("no list", &(glint_request){.n_images = 1, .prompt = "x"}, GLINT_ERR_ARG, "images");
}

static void refuses_broken_pictures(void **state) {
    (void)state;
    const glint_image png = rig_image(ALPHA),
                      jpeg = rig_image("tests/golden/default/text_exif6.jpg");
    const struct {
        const char *what;
        glint_image image;
        glint_status code;
    } rows[] = {
        {"no bytes", {NULL, 0}, GLINT_ERR_UNSUPPORTED},
        {"length without bytes", {NULL, 5}, GLINT_ERR_ARG},
        {"a text file", rig_image("LICENSE"), GLINT_ERR_UNSUPPORTED},
        {"a letter", {"x", 1}, GLINT_ERR_UNSUPPORTED},
        {"half a PNG", {png.bytes, png.n_bytes / 2}, GLINT_ERR_FORMAT},
        {"a PNG's first 40 bytes", {png.bytes, 40}, GLINT_ERR_FORMAT},
        {"half a JPEG", {jpeg.bytes, jpeg.n_bytes / 2}, GLINT_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bool is_opened = rows[i].code != GLINT_ERR_ARG;
        refuse_picture(rows[i].what,
                       &(glint_request){.images = &rows[i].image, .n_images = 1, .prompt = "x"},
                       rows[i].code, is_opened ? 1 : 0);
        /* Also behind a good one, which is given back. */
        const glint_image two[] = {png, rows[i].image};
        refuse_picture(rows[i].what, &(glint_request){.images = two, .n_images = 2, .prompt = "x"},
                       rows[i].code, is_opened ? 2 : 0);
    }
}

static void refuses_stops(void **state) {
    (void)state;
    char longest[GLINT_STOP_BYTES_MAX + 2];
    memset(longest, 's', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *stops[GLINT_STOPS_MAX + 1];
    for (size_t i = 0; i <= GLINT_STOPS_MAX; i++) stops[i] = "s";
    glint_request r = {.prompt = "x", .task = "ask", .max_tokens = 2, .stops = stops};
    r.n_stops = GLINT_STOPS_MAX + 1;
    refuse("nine", &r, GLINT_ERR_ARG, "stop");
    static const char *const bad[] = {"", "\xFF", NULL};
    r.n_stops = 2;
    for (size_t i = 0; i < 3; i++) {
        stops[1] = bad[i];
        refuse("bad", &r, GLINT_ERR_ARG, "stop");
    }
    stops[1] = longest;
    refuse("long", &r, GLINT_ERR_ARG, "stop");
    longest[GLINT_STOP_BYTES_MAX] = '\0';
    rig_ask(engine, &r, &answer);
    r.stops = NULL;
    refuse("no list", &r, GLINT_ERR_ARG, "stop");
}

static void counts_pictures(void **state) {
    (void)state;
    glint_image images[8];
    static const size_t counts[] = {0, 1, 2, 8};
    const int per_picture[] = {12, 10}; /* alpha.png, grey.png */
    for (size_t i = 0; i < 8; i++) images[i] = rig_image(i % 2 ? GREY : ALPHA);
    for (size_t c = 0; c < 4; c++) {
        const size_t n = counts[c];
        rig_ask(engine,
                &(glint_request){.images = images,
                                 .n_images = n,
                                 .task = "ask",
                                 .prompt = "x",
                                 .max_tokens = 3,
                                 .no_cache = true},
                &answer);
        int want = 0;
        for (size_t i = 0; i < n; i++) want += per_picture[i % 2];
        assert_int_equal(answer.usage.image_tokens, want);
        /* 7 of text and template, and the two around each picture. */
        assert_int_equal(answer.usage.prompt_tokens, want + 7 + 2 * (int)n);
        assert_true((n > 0) == (answer.timing.encode_ms > 0.01));
    }
}

/* The order of pictures is that of the list. */
static void pictures_come_in_order(void **state) {
    (void)state;
    const glint_image ab[] = {rig_image(ALPHA), rig_image(GREY)}, ba[] = {ab[1], ab[0]};
    glint_request r = {.images = ab, .n_images = 2, .task = "ask", .prompt = "x", .max_tokens = 12};
    rig_ask(engine, &r, &answer);
    r.images = ba;
    rig_ask(engine, &r, &other);
    assert_int_equal(answer.usage.prompt_tokens, other.usage.prompt_tokens);
    assert_true(strcmp(answer.text, other.text) != 0 || answer.confidence != other.confidence);
}

static int prompt_tokens(const char *text, size_t n_bytes) {
    rig_ask(
        engine,
        &(glint_request){.task = "ask", .prompt = text, .n_prompt_bytes = n_bytes, .max_tokens = 2},
        &answer);
    assert_int_equal(answer.usage.image_tokens, 0);
    return answer.usage.prompt_tokens;
}

/* Names of special tokens are letters: each is several tokens, and twice is twice as many. */
static void special_token_text_is_text(void **state) {
    (void)state;
    static const char *const names[] = {
        "<|image|>",        "<|endoftext|>", "<|user|>", "<|assistant|>", "<|begin_of_image|>",
        "<|end_of_image|>", "[gMASK]",       "<sop>",    "<think>",       "<|begin_of_box|>",
    };
    const int none = prompt_tokens("x", 0) - 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "x%sx%sx", names[i], names[i]);
        const int both = prompt_tokens(text, 0) - none;
        snprintf(text, sizeof text, "x%sx", names[i]);
        const int one = prompt_tokens(text, 0) - none;
        if (one < 5 || both < 8) fail_msg("%s: %d tokens once, %d twice", names[i], one, both);
        /* With a picture, the picture is where it was. */
        const glint_image image = rig_image(ALPHA);
        rig_ask(
            engine,
            &(glint_request){
                .images = &image, .n_images = 1, .task = "ask", .prompt = text, .max_tokens = 2},
            &answer);
        assert_int_equal(answer.usage.image_tokens, 12);
        assert_int_equal(answer.usage.prompt_tokens, none + one + 12 + 2);
    }
}

static void takes_prompts_with_zero_bytes(void **state) {
    (void)state;
    const int a = prompt_tokens("a\0b", 3), b = prompt_tokens("a", 1);
    assert_true(a >= b + 2);
    assert_int_equal(prompt_tokens("abc", 1), b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_numbers_out_of_range),
        cmocka_unit_test(takes_numbers_at_their_limits),
        cmocka_unit_test(refuses_unknown_tasks),
        cmocka_unit_test(refuses_prompts),
        cmocka_unit_test(refuses_long_prompts),
        cmocka_unit_test(fills_the_context_to_the_last_token),
        cmocka_unit_test(refuses_picture_lists),
        cmocka_unit_test(refuses_broken_pictures),
        cmocka_unit_test(refuses_stops),
        cmocka_unit_test(counts_pictures),
        cmocka_unit_test(pictures_come_in_order),
        cmocka_unit_test(special_token_text_is_text),
        cmocka_unit_test(takes_prompts_with_zero_bytes),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
