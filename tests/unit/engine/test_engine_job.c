/*
 * glint_job_run on the model with random weights: determinism, sampling, stop strings, lengths,
 * thinking, many jobs. What a trained model answers is in test_engine_golden.c.
 */
#include "engine_rig.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALPHA "tests/golden/tiny/alpha.png"

/* tests/golden/tiny/cases.json, one_picture, as far as it is whole characters. */
#define ONE_PICTURE_BEGIN "E是什么"

static const glint_engine_options formats[] = {
    {.dtype = GLINT_DTYPE_F32},
    {.dtype = GLINT_DTYPE_BF16},
    {.dtype = GLINT_DTYPE_INT8},
    {.dtype = GLINT_DTYPE_INT8_ALL, .kv_dtype = GLINT_DTYPE_INT8},
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

static glint_engine *engine;
static rig_answer answer, other;

static int open_engine(void **state) {
    (void)state;
    /* In F32 the model answers the same on every processor. */
    engine = rig_open(RIG_TINY,
                      (glint_engine_options){.context_tokens_max = 1024, .dtype = GLINT_DTYPE_F32});
    return 0;
}

static int close_engine(void **state) {
    (void)state;
    glint_engine_close(engine);
    rig_done();
    return 0;
}

static glint_request question(const glint_image *image) {
    return (glint_request){.images = image,
                           .n_images = 1,
                           .task = "ask",
                           .prompt = "What is this? 42",
                           .max_tokens = 24};
}

static void a_job_begins_empty(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    const glint_request r = question(&image);
    glint_job *job = rig_create(engine, &r);
    const glint_result *result = glint_job_result(job);
    assert_string_equal(result->text, "");
    assert_int_equal(result->n_text_bytes, 0);
    assert_null(result->data_json);
    assert_null(result->reasoning);
    assert_int_equal(result->finish, GLINT_FINISH_NONE);
    assert_int_equal(result->usage.prompt_tokens, 34);
    assert_int_equal(result->usage.image_tokens, 12);
    assert_int_equal(result->usage.completion_tokens, 0);
    glint_job_free(job);
}

static void a_job_runs_once(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    const glint_request r = question(&image);
    glint_job *job = rig_create(engine, &r);
    glint_error err = {0};
    assert_int_equal(glint_job_run(job, NULL, NULL, &err), GLINT_OK);
    char text[512];
    snprintf(text, sizeof text, "%s", glint_job_result(job)->text);
    assert_int_equal(glint_job_run(job, NULL, NULL, &err), GLINT_ERR_ARG);
    assert_int_equal(glint_job_run(job, NULL, NULL, NULL), GLINT_ERR_ARG);
    assert_string_equal(glint_job_result(job)->text, text);
    glint_job_free(job);
}

/* The request may go away after glint_job_create. */
static void a_job_keeps_nothing_of_its_request(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    char prompt[] = "What is this? 42", task[] = "ask", stop[] = "never comes", bytes[1 << 16];
    const char *stops[] = {stop};
    glint_request r = question(&image);
    rig_ask(engine, &r, &other);
    assert_true(image.n_bytes <= sizeof bytes);
    memcpy(bytes, image.bytes, image.n_bytes);
    glint_image copy = {bytes, image.n_bytes};
    r.images = &copy;
    r.prompt = prompt;
    r.task = task;
    r.stops = stops;
    r.n_stops = 1;
    glint_job *job = rig_create(engine, &r);
    memset(bytes, 0xAA, sizeof bytes);
    memset(prompt, 'x', sizeof prompt - 1);
    memset(task, 'x', sizeof task - 1);
    memset(stop, 'E', sizeof stop - 1);
    stops[0] = NULL;
    memset(&r, 0xAA, sizeof r);
    rig_run(job, &answer);
    assert_int_equal(answer.status, GLINT_OK);
    assert_string_equal(answer.text, other.text);
}

static void greedy_is_the_same_every_time(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    const glint_request r = question(&image);
    for (size_t f = 0; f < N_FORMATS; f++)
        for (int n_threads = 1; n_threads <= 4; n_threads++) {
            glint_engine_options o = formats[f];
            o.n_threads = n_threads;
            glint_engine *e = rig_open(RIG_TINY, o);
            for (int i = 0; i < 2; i++) {
                const bool is_first = n_threads == 1 && i == 0;
                rig_ask(e, &r, is_first ? &answer : &other);
                if (!is_first) rig_assert_same(&answer, &other);
            }
            if (o.dtype == GLINT_DTYPE_F32)
                assert_memory_equal(answer.text, ONE_PICTURE_BEGIN, strlen(ONE_PICTURE_BEGIN));
            assert_true(answer.confidence > 0 && answer.confidence < 1);
            glint_engine_close(e);
        }
}

/* Temperature with a top-k of one, with next to no top-p, or next to none itself is greedy. */
static void narrow_sampling_is_greedy(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    glint_request r = question(&image);
    rig_ask(engine, &r, &answer);
    const glint_request narrow[] = {
        {.temperature = 2, .top_k = 1}, {.temperature = 2, .top_p = 1e-6}, {.temperature = 1e-12}};
    for (size_t i = 0; i < 3; i++)
        for (uint64_t seed = 0; seed < 4; seed++) {
            r.temperature = narrow[i].temperature;
            r.top_k = narrow[i].top_k;
            r.top_p = narrow[i].top_p;
            r.seed = seed;
            rig_ask(engine, &r, &other);
            rig_assert_same(&answer, &other);
        }
}

static void a_seed_makes_sampling_repeatable(void **state) {
    (void)state;
    enum { SEEDS = 8 };
    static char texts[SEEDS][2048];
    const glint_image image = rig_image(ALPHA);
    glint_request r = question(&image);
    int n_different = 0;
    r.temperature = 1.5;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        r.seed = seed;
        rig_ask(engine, &r, &answer);
        rig_ask(engine, &r, &other);
        rig_assert_same(&answer, &other);
        assert_true(answer.n_text_bytes < sizeof texts[0]);
        memcpy(texts[seed], answer.text, answer.n_text_bytes);
        for (uint64_t s = 0; s < seed; s++) n_different += strcmp(texts[s], texts[seed]) != 0;
    }
    /* 509 tokens of nearly equal chance: hardly any two seeds agree over 24 of them. */
    assert_true(n_different > SEEDS * (SEEDS - 1) / 2 - 3);
    /* The seed has no effect on greedy answers. */
    r.temperature = 0;
    rig_ask(engine, &r, &answer);
    r.seed = 0;
    rig_ask(engine, &r, &other);
    rig_assert_same(&answer, &other);
}

/* The tokens make the text, each likeliest first in its list; free text's confidence is the
 * geometric mean of their probabilities. */
static void probabilities_of_tokens(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    const glint_request r = {.images = &image,
                             .n_images = 1,
                             .task = "ask",
                             .prompt = "x",
                             .max_tokens = 12,
                             .logprobs = true,
                             .top_logprobs = 3};
    glint_job *job = rig_create(engine, &r);
    assert_int_equal(glint_job_run(job, NULL, NULL, NULL), GLINT_OK);
    const glint_result *got = glint_job_result(job);
    double sum = 0;
    assert_int_equal(got->n_tokens, got->usage.completion_tokens);
    assert_int_equal(got->n_top, 3);
    for (size_t i = 0; i < got->n_tokens; i++) {
        const glint_token *t = &got->tokens[i], *top = got->top_tokens + i * 3;
        assert_true(t->logprob < 0);
        assert_true(t->logprob == top[0].logprob); /* greedy */
        assert_int_equal(t->n_bytes, top[0].n_bytes);
        assert_memory_equal(t->bytes, top[0].bytes, t->n_bytes);
        assert_true(top[0].logprob >= top[1].logprob && top[1].logprob >= top[2].logprob);
        assert_true(exp(top[0].logprob) + exp(top[1].logprob) + exp(top[2].logprob) < 1);
        sum += t->logprob;
    }
    assert_true(fabs(exp(sum / (double)got->n_tokens) - got->confidence) < 1e-9);
    glint_job_free(job);
}

static void one_token_ends_by_length(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    glint_request r = question(&image);
    for (int n = 1; n <= 4; n++) {
        r.max_tokens = n;
        rig_ask(engine, &r, &answer);
        assert_int_equal(answer.finish, GLINT_FINISH_LENGTH);
        assert_int_equal(answer.usage.completion_tokens, n);
    }
    r.max_tokens = 1;
    r.task = "audit"; /* a shape does not change why it ended */
    rig_ask(engine, &r, &answer);
    assert_int_equal(answer.finish, GLINT_FINISH_LENGTH);
    assert_false(answer.has_data);
    assert_true(answer.confidence == 0);
}

/* An answer that a stop string cut is no JSON: it has no data and no confidence in a label. */
static void an_answer_without_its_shape_is_invalid(void **state) {
    (void)state;
    const glint_image image = rig_image(ALPHA);
    glint_request r = question(&image);
    const char *stop = "sult";
    r.task = "audit";
    r.stops = &stop;
    r.n_stops = 1;
    rig_ask(engine, &r, &answer);
    assert_string_equal(answer.text, "{\"re");
    assert_int_equal(answer.finish, GLINT_FINISH_INVALID);
    assert_false(answer.has_data);
    assert_true(answer.confidence == 0);
}

static void stop_strings_end_the_answer(void **state) {
    (void)state;
    static const struct {
        const char *stops[3];
        size_t n;
        const char *text;
    } rows[] = {
        {{"什"}, 1, "E是"},
        {{"是什么"}, 1, "E"},
        {{"E"}, 1, ""},
        {{"么x", "什么", "zz"}, 3, "E是"},
        {{"什么", "是什"}, 2, "E"}, /* the one that is complete first */
    };
    const glint_image image = rig_image(ALPHA);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        glint_request r = question(&image);
        r.stops = rows[i].stops;
        r.n_stops = rows[i].n;
        rig_ask(engine, &r, &answer);
        assert_string_equal(answer.text, rows[i].text);
        assert_int_equal(answer.finish, GLINT_FINISH_STOP);
        assert_true(answer.usage.completion_tokens < 24);
    }
}

/* ---- other models made of this one ---------------------------------------------------------- */

static const char *const model_files[] = {
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "chat_template.jinja",
    "model-00001-of-00001.safetensors", /* last: the weights */
};
enum { N_MODEL_FILES = sizeof model_files / sizeof model_files[0] };

static const char *file_in(const char *dir, size_t i) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, model_files[i]);
    return path;
}

/* `dir` becomes the model, by links. */
static void link_model(char *dir) {
    char target[512];
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < N_MODEL_FILES; i++) {
        snprintf(target, sizeof target, "%s/%s", RIG_TINY, model_files[i]);
        assert_int_equal(symlink(rig_path(target), file_in(dir, i)), 0);
    }
}

static void remove_model(const char *dir) {
    for (size_t i = 0; i < N_MODEL_FILES; i++) assert_int_equal(unlink(file_in(dir, i)), 0);
    assert_int_equal(rmdir(dir), 0);
}

static glint_engine *open_dir(const char *dir, glint_engine_options o) {
    glint_engine *e = NULL;
    glint_error err = {0};
    o.model_dir = dir;
    if (glint_engine_open(&o, &e, &err)) fail_msg("%s", err.message);
    return e;
}

/* The same weights under GLM-4.6V's chat template, which has a thinking switch. */
static void thinking_and_nothink(void **state) {
    (void)state;
    char dir[] = "/tmp/glint-job-XXXXXX";
    link_model(dir);
    assert_int_equal(unlink(file_in(dir, 5)), 0);
    assert_int_equal(symlink(rig_path("reference/templates/glm46v.jinja"), file_in(dir, 5)), 0);
    glint_engine *e = open_dir(dir, (glint_engine_options){0});
    glint_request r = {.task = "ask", .prompt = "x", .max_tokens = 4};
    /* Off: /nothink, <think>, </think> and a newline more. */
    rig_ask(e, &r, &answer);
    r.thinking = true;
    rig_ask(e, &r, &other);
    assert_int_equal(answer.usage.prompt_tokens, other.usage.prompt_tokens + 4);
    /* Typed, it is letters, not one token: the switch stays with the request. */
    r.prompt = "/nothink x";
    rig_ask(e, &r, &answer);
    assert_true(answer.usage.prompt_tokens >= other.usage.prompt_tokens + 4);
    glint_engine_close(e);
    remove_model(dir);
}

/* A copy of the weights with every number drawn from `values`, BF16. */
static void spoil_weights(const char *dir, const uint16_t *values, size_t n_values) {
    const glint_image file = rig_image(RIG_TINY "/model-00001-of-00001.safetensors");
    const uint8_t *bytes = file.bytes;
    uint64_t header = 0;
    for (size_t i = 0; i < 8; i++) header |= (uint64_t)bytes[i] << 8 * i;
    assert_int_equal(unlink(file_in(dir, N_MODEL_FILES - 1)), 0);
    FILE *f = fopen(file_in(dir, N_MODEL_FILES - 1), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, 8 + header, f), 8 + header);
    uint64_t rng = 1;
    for (size_t i = 8 + header; i < file.n_bytes; i += 2) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        fwrite(&values[(rng >> 40) % n_values], 2, 1, f);
    }
    assert_int_equal(fclose(f), 0);
}

/* Weights that are no numbers give answers that mean nothing, and nothing worse. */
static void broken_weights_do_no_harm(void **state) {
    (void)state;
    static const struct {
        uint16_t values[6];
        size_t n;
    } rows[] = {{{0x7FC0}, 1},                                          /* NaN */
                {{0x7F80, 0xFF80}, 2},                                  /* infinities */
                {{0x7F7F, 0xFF7F}, 2},                                  /* the largest */
                {{0x0000}, 1},                                          /* zero */
                {{0x7FC0, 0x7F80, 0xFF7F, 0x0001, 0x3F80, 0x8000}, 6}}; /* of everything */
    const glint_image image = rig_image(ALPHA);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char dir[] = "/tmp/glint-job-XXXXXX";
        link_model(dir);
        spoil_weights(dir, rows[i].values, rows[i].n);
        for (size_t f = 0; f < N_FORMATS; f++) {
            glint_engine *e = open_dir(dir, formats[f]);
            for (int sampled = 0; sampled < 2; sampled++) {
                glint_request r = question(&image);
                r.temperature = sampled;
                rig_ask(e, &r, &answer);
                assert_true(answer.confidence >= 0 && answer.confidence <= 1);
            }
            glint_engine_close(e);
        }
        remove_model(dir);
    }
}

/* More jobs than KV blocks, each as long as the context: everything is given back. */
static void blocks_come_back(void **state) {
    (void)state;
    glint_engine *e = rig_open(RIG_TINY, (glint_engine_options){.context_tokens_max = 128});
    const glint_image image = rig_image(ALPHA);
    for (int i = 0; i < 20; i++) {
        glint_request r = question(&image);
        r.max_tokens = GLINT_MAX_TOKENS_MAX;
        answer.stop_at_piece = i % 3;
        rig_run(rig_create(e, &r), &answer);
        assert_int_equal(answer.status, i % 3 ? GLINT_ERR_CANCELLED : GLINT_OK);
        if (i % 3 == 0)
            assert_int_equal(answer.usage.prompt_tokens + answer.usage.completion_tokens, 128);
    }
    answer.stop_at_piece = 0;
    glint_engine_close(e);
}

/* ---- jobs made on several threads ----------------------------------------------------------- */

enum { MAKERS = 4, JOBS = 6 };

typedef struct maker {
    int index;
    glint_job *jobs[JOBS];
} maker;

static void fill(glint_request *r, char prompt[32], const glint_image *image, int index, int i) {
    snprintf(prompt, 32, "question %d %d", index, i);
    *r = (glint_request){.images = image,
                         .n_images = (size_t)(i % 2),
                         .prompt = prompt,
                         .task = "ask",
                         .max_tokens = 8};
}

static void *make_jobs(void *arg) {
    maker *m = arg;
    const glint_image image = rig_image(ALPHA);
    for (int i = 0; i < JOBS; i++) {
        char prompt[32];
        glint_request r;
        fill(&r, prompt, &image, m->index, i);
        if (glint_job_create(engine, &r, &m->jobs[i], NULL) != GLINT_OK) m->jobs[i] = NULL;
    }
    return NULL;
}

/* While jobs are being made, one runs; later each of them gives what it gives alone. */
static void jobs_are_made_on_any_thread(void **state) {
    (void)state;
    pthread_t threads[MAKERS];
    maker makers[MAKERS] = {0};
    const glint_image image = rig_image(ALPHA); /* read before the threads start */
    glint_request busy = question(&image);
    busy.max_tokens = 400;
    glint_job *running = rig_create(engine, &busy);
    for (int t = 0; t < MAKERS; t++) {
        makers[t].index = t;
        assert_int_equal(pthread_create(&threads[t], NULL, make_jobs, &makers[t]), 0);
    }
    rig_run(running, &answer);
    assert_int_equal(answer.status, GLINT_OK);
    for (int t = 0; t < MAKERS; t++) pthread_join(threads[t], NULL);
    for (int t = 0; t < MAKERS; t++)
        for (int i = 0; i < JOBS; i++) {
            char prompt[32];
            glint_request r;
            assert_non_null(makers[t].jobs[i]);
            rig_run(makers[t].jobs[i], &answer);
            fill(&r, prompt, &image, t, i);
            rig_ask(engine, &r, &other);
            rig_assert_same(&answer, &other);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_begins_empty),
        cmocka_unit_test(a_job_runs_once),
        cmocka_unit_test(a_job_keeps_nothing_of_its_request),
        cmocka_unit_test(greedy_is_the_same_every_time),
        cmocka_unit_test(narrow_sampling_is_greedy),
        cmocka_unit_test(a_seed_makes_sampling_repeatable),
        cmocka_unit_test(probabilities_of_tokens),
        cmocka_unit_test(one_token_ends_by_length),
        cmocka_unit_test(an_answer_without_its_shape_is_invalid),
        cmocka_unit_test(stop_strings_end_the_answer),
        cmocka_unit_test(thinking_and_nothink),
        cmocka_unit_test(broken_weights_do_no_harm),
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(jobs_are_made_on_any_thread),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
