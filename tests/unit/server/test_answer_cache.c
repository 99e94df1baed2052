/*
 * src/server/answer_cache: everything that an answer depends on is in its key and nothing else is,
 * and what comes out is what went in, except for what it cost.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "server/answer_cache.h"
#include "server/reply.h"

#include <pthread.h>
#include <string.h>

enum { MIB = 1 << 20 };

/* A question whose parts a test may change. */
typedef struct asked {
    gi_answer_question question;
    glint_request request;
    gi_digest pictures[GLINT_IMAGES_MAX];
    const char *stops[GLINT_STOPS_MAX];
    glint_message messages[2];
    glint_part parts[3];
} asked;

static void ask(asked *a) {
    *a = (asked){.question = {.fingerprint = "model"},
                 .request = {.tenant = "shop",
                             .n_images = 2,
                             .prompt = "what?",
                             .n_prompt_bytes = 5,
                             .task = "ask",
                             .max_tokens = 40,
                             .temperature = 0.5,
                             .top_p = 0.9,
                             .top_k = 50,
                             .seed = 7,
                             .n_stops = 2,
                             .max_side_px = 512,
                             .timeout_ms = 1000},
                 .pictures = {{{1}}, {{2}}},
                 .stops = {"ab", "c"}};
    a->request.stops = a->stops;
    a->question.request = &a->request;
    a->question.pictures = a->pictures;
}

static gi_digest key_of(const asked *a) {
    gi_digest key;
    assert_int_equal(gi_answer_cache_key(&a->question, &key, NULL), GLINT_OK);
    return key;
}

typedef void (*change_fn)(asked *a);

/* One change each; with the order of stops and pictures, and the same letters cut elsewhere. */
static void fingerprint(asked *a) {
    a->question.fingerprint = "model2";
}
static void tenant(asked *a) {
    a->request.tenant = "other";
}
static void no_tenant(asked *a) {
    a->request.tenant = NULL;
}
static void tenant_cut(asked *a) {
    a->question.fingerprint = "mode", a->request.tenant = "lshop";
}
static void picture(asked *a) {
    a->pictures[1].bytes[31] ^= 1;
}
static void fewer_pictures(asked *a) {
    a->request.n_images = 1;
}
static void no_pictures(asked *a) {
    a->request.n_images = 0;
}
static void more_pictures(asked *a) {
    a->request.n_images = 3;
}
static void prompt(asked *a) {
    a->request.prompt = "whaT?";
}
static void shorter_prompt(asked *a) {
    a->request.n_prompt_bytes = 4;
}
static void task(asked *a) {
    a->request.task = "asc";
}
static void no_task(asked *a) {
    a->request.task = NULL;
}
static void max_tokens(asked *a) {
    a->request.max_tokens = 41;
}
static void any_tokens(asked *a) {
    a->request.max_tokens = 0;
}
static void greedy(asked *a) {
    a->request.temperature = 0;
}
static void temperature(asked *a) {
    a->request.temperature = 0.5000000001;
}
static void top_p(asked *a) {
    a->request.top_p = 0.8;
}
static void any_top_p(asked *a) {
    a->request.top_p = 1;
}
static void top_k(asked *a) {
    a->request.top_k = 0;
}
static void seed(asked *a) {
    a->request.seed = 8;
}
static void high_seed(asked *a) {
    a->request.seed |= (uint64_t)1 << 63;
}
static void stop(asked *a) {
    a->stops[1] = "d";
}
static void stop_cut(asked *a) {
    a->stops[0] = "a", a->stops[1] = "bc";
}
static void fewer_stops(asked *a) {
    a->request.n_stops = 1;
}
static void stops_turned(asked *a) {
    a->stops[0] = "c", a->stops[1] = "ab";
}
static void max_side(asked *a) {
    a->request.max_side_px = 0;
}
static void thinking(asked *a) {
    a->request.thinking = true;
}

static void pictures_turned(asked *a) {
    a->pictures[0].bytes[0] = 2;
    a->pictures[1].bytes[0] = 1;
}

/* A conversation, and changes to it. */
static void talk(asked *a) {
    static const glint_image image;
    a->request.n_images = 0;
    a->parts[0] = (glint_part){.image = &image};
    a->parts[1] = (glint_part){.text = "ab", .n_text_bytes = 2};
    a->parts[2] = (glint_part){.text = "c", .n_text_bytes = 1};
    a->messages[0] = (glint_message){GLINT_ROLE_USER, a->parts, 2};
    a->messages[1] = (glint_message){GLINT_ROLE_ASSISTANT, a->parts + 2, 1};
    a->request.messages = a->messages;
    a->request.n_messages = 2;
}
static void talk_role(asked *a) {
    talk(a);
    a->messages[1].role = GLINT_ROLE_SYSTEM;
}
static void talk_cut(asked *a) {
    talk(a);
    a->parts[1].n_text_bytes = 1;
    a->parts[2] = (glint_part){.text = "bc", .n_text_bytes = 2};
}
static void talk_turned(asked *a) {
    talk(a);
    const glint_part first = a->parts[0];
    a->parts[0] = a->parts[1];
    a->parts[1] = first;
}
static void talk_in_one(asked *a) {
    talk(a);
    a->messages[0].n_parts = 3;
    a->request.n_messages = 1;
}
static void talk_picture(asked *a) {
    talk(a);
    a->pictures[0].bytes[5] ^= 1;
}
static void talk_shorter(asked *a) {
    talk(a);
    a->request.n_messages = 1;
}

static const change_fn CHANGES[] = {talk,          talk_role,      talk_cut,     talk_turned,
                                    talk_in_one,   talk_picture,   talk_shorter, fingerprint,
                                    tenant,        no_tenant,      tenant_cut,   picture,
                                    more_pictures, fewer_pictures, no_pictures,  pictures_turned,
                                    prompt,        shorter_prompt, task,         no_task,
                                    max_tokens,    any_tokens,     greedy,       temperature,
                                    top_p,         any_top_p,      top_k,        seed,
                                    high_seed,     stop,           stop_cut,     fewer_stops,
                                    stops_turned,  max_side,       thinking};
enum { N_CHANGES = sizeof CHANGES / sizeof CHANGES[0] };

static void every_part_counts(void **state) {
    (void)state;
    gi_digest keys[N_CHANGES + 1];
    asked a;
    ask(&a);
    keys[0] = key_of(&a);
    for (size_t i = 1; i <= N_CHANGES; i++) {
        ask(&a);
        CHANGES[i - 1](&a);
        keys[i] = key_of(&a);
        for (size_t j = 0; j < i; j++)
            if (memcmp(&keys[i], &keys[j], sizeof keys[i]) == 0)
                fail_msg("changes %zu and %zu have one key", i, j);
    }
}

static void the_same_in_other_words(void **state) {
    (void)state;
    asked a, b;
    char words[] = "what?!";
    ask(&a);
    ask(&b);
    b.request.timeout_ms = 5;
    b.request.prompt = words;
    const glint_image images[2] = {{.bytes = "x", .n_bytes = 1}};
    b.request.images = images; /* the digests stand for them */
    gi_digest ka = key_of(&a), kb = key_of(&b);
    assert_memory_equal(&ka, &kb, sizeof ka);
    words[5] = '\0';
    b.request.n_prompt_bytes = 0; /* ends with its zero */
    kb = key_of(&b);
    assert_memory_equal(&ka, &kb, sizeof ka);
    a.request.top_p = 0;
    b.request.top_p = 1;
    ka = key_of(&a), kb = key_of(&b);
    assert_memory_equal(&ka, &kb, sizeof ka);
    a.request.tenant = NULL;
    b.request.tenant = "";
    a.request.task = NULL;
    b.request.task = "audit";
    b.request.no_cache = true;
    ka = key_of(&a), kb = key_of(&b);
    assert_memory_equal(&ka, &kb, sizeof ka);
    /* Greedy: the sampler's numbers mean nothing. */
    ask(&a);
    ask(&b);
    a.request.temperature = b.request.temperature = 0;
    a.request.seed = 99;
    a.request.top_k = 3;
    ka = key_of(&a), kb = key_of(&b);
    assert_memory_equal(&ka, &kb, sizeof ka);
}

static const char TEXT[] = "{\"result\":\"reject\",\0\"reasons\":[]}";

static glint_result an_answer(void) {
    return (glint_result){.text = TEXT,
                          .n_text_bytes = sizeof TEXT - 1,
                          .reasoning = "hm",
                          .data_json = "{\"result\":\"reject\",\"reasons\":[\"x\"]}",
                          .confidence = 0.75,
                          .finish = GLINT_FINISH_STOP,
                          .usage = {.prompt_tokens = 300,
                                    .image_tokens = 200,
                                    .completion_tokens = 12,
                                    .forced_tokens = 3,
                                    .cached_tokens = 64},
                          .timing = {1, 2, 3, 4, 5}};
}

static void what_went_in_comes_out(void **state) {
    (void)state;
    gi_answer_cache *cache;
    const gi_digest key = {{1}}, other = {{2}};
    assert_int_equal(gi_answer_cache_create(MIB, NULL, &cache, NULL), GLINT_OK);
    assert_null(gi_answer_cache_get(cache, &key));
    glint_result r = an_answer();
    gi_answer_cache_put(cache, &key, &r);
    memset(&r, 0, sizeof r); /* it was copied */
    const gi_kept_answer *kept = gi_answer_cache_get(cache, &key);
    assert_non_null(kept);
    assert_null(gi_answer_cache_get(cache, &other));
    const glint_result want = an_answer(), *got = &kept->result;
    assert_int_equal(got->n_text_bytes, want.n_text_bytes);
    assert_memory_equal(got->text, want.text, want.n_text_bytes + 1);
    assert_ptr_not_equal(got->text, want.text);
    assert_string_equal(got->reasoning, want.reasoning);
    assert_string_equal(got->data_json, want.data_json);
    assert_true(got->confidence == want.confidence && got->finish == want.finish);
    assert_int_equal(got->usage.prompt_tokens, 300);
    assert_int_equal(got->usage.cached_tokens, 300);
    assert_int_equal(got->usage.image_tokens, 200);
    assert_int_equal(got->usage.completion_tokens, 12);
    assert_int_equal(got->usage.forced_tokens, 3);
    const glint_timing none = {0};
    assert_memory_equal(&got->timing, &none, sizeof none);
    gi_answer_cache_unref(cache, kept);
    gi_answer_cache_unref(cache, NULL);

    r = (glint_result){.text = "", .finish = GLINT_FINISH_LENGTH};
    gi_answer_cache_put(cache, &other, &r);
    kept = gi_answer_cache_get(cache, &other);
    assert_non_null(kept);
    assert_string_equal(kept->result.text, "");
    assert_null(kept->result.reasoning);
    assert_null(kept->result.data_json);
    gi_answer_cache_unref(cache, kept);
    assert_int_equal(gi_answer_cache_get_stats(cache).n_hits, 2);
    assert_int_equal(gi_answer_cache_get_stats(cache).n_misses, 2);
    gi_answer_cache_free(cache);
}

/* The reply to a hit: the same words, all prompt tokens cached, no time in the model. */
static void a_reply_from_the_cache(void **state) {
    (void)state;
    gi_answer_cache *cache;
    const gi_digest key = {{1}};
    const glint_result r = an_answer();
    gi_buf b;
    assert_int_equal(gi_answer_cache_create(MIB, NULL, &cache, NULL), GLINT_OK);
    gi_answer_cache_put(cache, &key, &r);
    const gi_kept_answer *kept = gi_answer_cache_get(cache, &key);
    const gi_reply a = {.id = "1",
                        .model = "m",
                        .task = "audit",
                        .results = {&kept->result},
                        .n_choices = 1,
                        .queue_ms = 0.5,
                        .total_ms = 0.75};
    gi_buf_init(&b, 4096);
    assert_int_equal(gi_infer_form.whole(&a, &b, NULL), GLINT_OK);
    assert_non_null(strstr((char *)b.data, "\"result\":\"reject\",\"reasons\":[\"x\"]"));
    assert_non_null(strstr((char *)b.data, "\"prompt_tokens\":300"));
    assert_non_null(strstr((char *)b.data, "\"cached_tokens\":300"));
    assert_non_null(strstr((char *)b.data, "\"encode\":0.000,\"prefill\":0.000,\"decode\":0.000"));
    gi_buf_done(&b);
    gi_answer_cache_unref(cache, kept);
    gi_answer_cache_free(cache);
}

static void what_is_not_kept(void **state) {
    (void)state;
    gi_answer_cache *cache, *off;
    const gi_digest key = {{1}};
    glint_result r = an_answer();
    glint_request request = {.temperature = 0};
    assert_int_equal(gi_answer_cache_create(MIB, NULL, &cache, NULL), GLINT_OK);
    assert_int_equal(gi_answer_cache_create(0, NULL, &off, NULL), GLINT_OK);
    r.finish = GLINT_FINISH_NONE;
    gi_answer_cache_put(cache, &key, &r);
    r.finish = GLINT_FINISH_INVALID;
    gi_answer_cache_put(cache, &key, &r);
    r.finish = GLINT_FINISH_STOP;
    r.n_text_bytes = SIZE_MAX;
    gi_answer_cache_put(cache, &key, &r);
    assert_null(gi_answer_cache_get(cache, &key));
    r.n_text_bytes = sizeof TEXT - 1;
    gi_answer_cache_put(off, &key, &r);
    assert_null(gi_answer_cache_get(off, &key));

    assert_true(gi_answer_cache_may(cache, &request, false));
    request.no_cache = true;
    assert_false(gi_answer_cache_may(cache, &request, true));
    request.no_cache = false;
    assert_false(gi_answer_cache_may(off, &request, true));
    request.temperature = 0.1;
    assert_false(gi_answer_cache_may(cache, &request, false));
    assert_true(gi_answer_cache_may(cache, &request, true));
    gi_answer_cache_free(cache);
    gi_answer_cache_free(off);
    gi_answer_cache_free(NULL);
}

/* A budget holds all bytes of the answers: 100 of 1 KiB do not go into 64 KiB. */
static void no_more_bytes_than_allowed(void **state) {
    (void)state;
    gi_answer_cache *cache;
    char text[1024];
    memset(text, 'x', sizeof text);
    glint_result r = {.text = text, .n_text_bytes = sizeof text, .finish = GLINT_FINISH_STOP};
    assert_int_equal(gi_answer_cache_create(64 << 10, NULL, &cache, NULL), GLINT_OK);
    for (uint8_t i = 0; i < 100; i++) {
        const gi_digest key = {{i}};
        gi_answer_cache_put(cache, &key, &r);
    }
    const gi_cache_stats s = gi_answer_cache_get_stats(cache);
    assert_int_equal(s.n_inserts, 100);
    assert_in_range(s.n_bytes, s.n_entries * sizeof text, 64 << 10);
    assert_in_range(s.n_entries, 48, 63);
    gi_answer_cache_free(cache);
}

static void short_of_memory(void **state) {
    (void)state;
    gi_answer_cache *cache = NULL;
    const gi_digest key = {{1}};
    const glint_result r = an_answer();
    uint64_t n = 0;
    do {
        gi_alloc_fail_at(++n);
    } while (gi_answer_cache_create(MIB, NULL, &cache, NULL) == GLINT_ERR_MEMORY && !cache);
    gi_alloc_fail_at(1);
    assert_true(n > 2);
    gi_answer_cache_put(cache, &key, &r);
    gi_alloc_fail_at(0);
    assert_null(gi_answer_cache_get(cache, &key));
    gi_answer_cache_put(cache, &key, &r);
    const gi_kept_answer *kept = gi_answer_cache_get(cache, &key);
    assert_non_null(kept);
    gi_answer_cache_unref(cache, kept);
    gi_answer_cache_free(cache);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 4000 };

static void *look_and_keep(void *arg) {
    gi_answer_cache *cache = arg;
    size_t n_wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char text[64] = "";
        const gi_digest key = {{(uint8_t)(i * 7 % 50)}};
        memset(text, 'a' + key.bytes[0] % 26, key.bytes[0]);
        const gi_kept_answer *kept = gi_answer_cache_get(cache, &key);
        if (kept) {
            n_wrong += kept->result.n_text_bytes != key.bytes[0] ||
                       memcmp(kept->result.text, text, key.bytes[0] + 1u) != 0;
            gi_answer_cache_unref(cache, kept);
        } else {
            const glint_result r = {
                .text = text, .n_text_bytes = key.bytes[0], .finish = GLINT_FINISH_STOP};
            gi_answer_cache_put(cache, &key, &r);
        }
    }
    return (void *)(uintptr_t)n_wrong;
}

static void many_threads(void **state) {
    (void)state;
    gi_answer_cache *cache;
    pthread_t threads[THREADS];
    assert_int_equal(gi_answer_cache_create(30 * sizeof(gi_kept_answer), NULL, &cache, NULL),
                     GLINT_OK);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_and_keep, cache), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *n_wrong;
        pthread_join(threads[i], &n_wrong);
        assert_null(n_wrong);
    }
    const gi_cache_stats s = gi_answer_cache_get_stats(cache);
    assert_int_equal(s.n_hits + s.n_misses, THREADS * ROUNDS);
    assert_true(s.n_evictions > 0);
    gi_answer_cache_free(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_counts),      cmocka_unit_test(the_same_in_other_words),
        cmocka_unit_test(what_went_in_comes_out), cmocka_unit_test(a_reply_from_the_cache),
        cmocka_unit_test(what_is_not_kept),       cmocka_unit_test(no_more_bytes_than_allowed),
        cmocka_unit_test(short_of_memory),        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
