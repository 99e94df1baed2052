/*
 * Memory: a running job takes none, and wherever an allocation fails the call fails cleanly and
 * what comes next works. Run under AddressSanitizer this also shows that nothing is leaked.
 *
 * In jobs jansson's allocations are led through gi_alloc, so that they fail too. Not while
 * opening: there are thousands, and where a string does not fit jansson leaves out letters of it
 * without a word (strbuffer_append_byte in its lexer), which a caller cannot tell.
 */
#include "engine_rig.h"

#include "base/alloc.h"

#include <jansson.h>
#include <stdlib.h>

#define ALPHA "tests/golden/tiny/alpha.png"

static rig_answer answer, fresh;
static glint_image images[2];

static int setup(void **state) {
    (void)state;
    images[0] = rig_image(ALPHA);
    images[1] = rig_image("tests/golden/default/text_exif6.jpg");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rig_done();
    return 0;
}

/* The allocations of a run, and those between the first and the last piece of text. */
typedef struct counter {
    uint64_t first, last;
    int n_pieces;
} counter;

static bool count_allocs(void *ctx, const char *piece, size_t n_bytes) {
    (void)piece, (void)n_bytes;
    counter *c = ctx;
    c->last = gi_alloc_count();
    if (c->n_pieces++ == 0) c->first = c->last;
    return true;
}

/* Pictures, prefill, decoding, sampling, stop strings: nothing. */
static void running_allocates_nothing(void **state) {
    (void)state;
    static const glint_engine_options formats[] = {
        {.dtype = GLINT_DTYPE_F32},
        {.dtype = GLINT_DTYPE_BF16},
        {.dtype = GLINT_DTYPE_INT8},
        {.dtype = GLINT_DTYPE_INT8_ALL, .kv_dtype = GLINT_DTYPE_INT8}};
    const char *stops[] = {"never comes", "nor this"};
    for (size_t f = 0; f < 4; f++) {
        glint_engine_options o = formats[f];
        o.n_threads = 2;
        glint_engine *e = rig_open(RIG_TINY, o);
        for (int sampled = 0; sampled < 2; sampled++) {
            const glint_request r = {.images = images,
                                     .n_images = 2,
                                     .task = "ask",
                                     .prompt = "x",
                                     .max_tokens = 200,
                                     .temperature = sampled,
                                     .top_k = 40,
                                     .top_p = 0.9,
                                     .stops = stops,
                                     .n_stops = 2};
            glint_job *job = rig_create(e, &r);
            counter c = {0};
            const uint64_t before = gi_alloc_count();
            assert_int_equal(glint_job_run(job, count_allocs, &c, NULL), GLINT_OK);
            assert_int_equal(gi_alloc_count(), before);
            assert_true(c.n_pieces > 10);
            glint_job_free(job);
        }
        glint_engine_close(e);
    }
}

/* An answer with a shape is read as JSON when it is whole: that takes memory, after the last
 * step. Up to there it does not. */
static void a_shape_is_read_after_the_last_step(void **state) {
    (void)state;
    const glint_image image = rig_image(RIG_SAMPLE);
    glint_engine *e = rig_open(RIG_DEFAULT, (glint_engine_options){0});
    const glint_request r = {
        .images = &image, .n_images = 1, .prompt = RIG_SAMPLE_PROMPT, .max_side_px = 224};
    glint_job *job = rig_create(e, &r);
    counter c = {0};
    const uint64_t before = gi_alloc_count();
    assert_int_equal(glint_job_run(job, count_allocs, &c, NULL), GLINT_OK);
    assert_non_null(glint_job_result(job)->data_json);
    assert_int_equal(c.first, before);
    assert_int_equal(c.last, before);
    assert_true(c.n_pieces > 5);
    glint_job_free(job);
    glint_engine_close(e);
}

/* ---- every allocation fails once ------------------------------------------------------------ */

/* What may be missing is the compiled form of a regular expression: it is then interpreted. */
static void assert_works(glint_engine *e) {
    rig_ask(e, &(glint_request){.task = "ask", .prompt = "a 1", .max_tokens = 2}, &answer);
    rig_assert_same(&answer, &fresh);
}

static void opening_fails_cleanly(void **state) {
    (void)state;
    const glint_engine_options o = {
        .model_dir = rig_path(RIG_TINY), .dtype = GLINT_DTYPE_INT8, .n_threads = 2};
    const uint64_t before = gi_alloc_count();
    glint_engine *e = rig_open(RIG_TINY, o);
    const uint64_t n_allocs = gi_alloc_count() - before;
    uint64_t n_failed = 0;
    rig_ask(e, &(glint_request){.task = "ask", .prompt = "a 1", .max_tokens = 2}, &fresh);
    glint_engine_close(e);
    for (uint64_t n = 1; n <= n_allocs; n++) {
        glint_engine *untouched = (glint_engine *)(uintptr_t)&o;
        glint_error err = {0};
        e = untouched;
        gi_alloc_fail_at(n);
        const glint_status st = glint_engine_open(&o, &e, &err);
        gi_alloc_fail_at(0);
        if (st == GLINT_OK) {
            assert_works(e);
            glint_engine_close(e);
            continue;
        }
        n_failed++;
        if (st != GLINT_ERR_MEMORY || err.code != st || e != untouched)
            fail_msg("allocation %d of %d: status %d, \"%s\"", (int)n, (int)n_allocs, st,
                     err.message);
    }
    print_message("opening: %d of %d allocations failed it\n", (int)n_failed, (int)n_allocs);
    assert_true(n_allocs > 100 && n_failed > n_allocs * 9 / 10);
    e = rig_open(RIG_TINY, o);
    assert_works(e);
    glint_engine_close(e);
}

/* Create and run with the n-th allocation failing; true when it was met. */
static bool fail_job_at(glint_engine *e, const glint_request *r, uint64_t n) {
    glint_job *untouched = (glint_job *)(uintptr_t)r, *job = untouched;
    glint_error err = {0};
    const uint64_t before = gi_alloc_count();
    gi_alloc_fail_at(n);
    glint_status st = glint_job_create(e, r, &job, &err);
    if (st != GLINT_OK)
        assert_ptr_equal(job, untouched);
    else
        st = glint_job_run(job, NULL, NULL, &err);
    const bool is_met = gi_alloc_count() - before >= n;
    gi_alloc_fail_at(0);
    if (st != (is_met ? GLINT_ERR_MEMORY : GLINT_OK) || err.code != st)
        fail_msg("allocation %d: status %d, \"%s\"", (int)n, st, err.message);
    if (job != untouched) glint_job_free(job);
    return is_met;
}

static void fail_jobs(glint_engine *e, const char *what, const glint_request *r) {
    rig_ask(e, r, &fresh);
    json_set_alloc_funcs(gi_alloc, gi_free);
    uint64_t n = 1;
    while (fail_job_at(e, r, n)) {
        rig_ask(e, r, &answer);
        rig_assert_same(&answer, &fresh);
        n++;
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(n > 10);
    print_message("%s: each of %d allocations failed once\n", what, (int)n - 1);
}

static void jobs_fail_cleanly(void **state) {
    (void)state;
    const char *stops[] = {"never comes"};
    glint_engine *e = rig_open(RIG_TINY, (glint_engine_options){.context_tokens_max = 512});
    fail_jobs(e, "text",
              &(glint_request){.task = "ask", .prompt = "a prompt of words", .max_tokens = 3});
    fail_jobs(e, "two pictures, sampled, with a stop string",
              &(glint_request){.images = images,
                               .n_images = 2,
                               .task = "ask",
                               .prompt = "x",
                               .max_tokens = 3,
                               .temperature = 1,
                               .seed = 7,
                               .stops = stops,
                               .n_stops = 1});
    glint_engine_close(e);
}

static void audits_fail_cleanly(void **state) {
    (void)state;
    const glint_image image = rig_image("tests/golden/default/listing_150.png");
    glint_engine *e = rig_open(RIG_DEFAULT, (glint_engine_options){.context_tokens_max = 512});
    fail_jobs(e, "audit",
              &(glint_request){.images = &image,
                               .n_images = 1,
                               .prompt = "标题：胶囊治愈高血压\n该商品是否存在违规内容？"});
    assert_string_equal(
        fresh.data,
        "{\"result\":\"reject\",\"reasons\":[\"标题声称“胶囊治愈高血压”违反广告法相关规定\"]}");
    glint_engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_allocates_nothing),
        cmocka_unit_test(a_shape_is_read_after_the_last_step),
        cmocka_unit_test(opening_fails_cleanly),
        cmocka_unit_test(jobs_fail_cleanly),
        cmocka_unit_test(audits_fail_cleanly),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
