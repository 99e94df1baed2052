/*
 * Stopping a job: cancelled before and while it runs, by its reader and by another thread; past
 * its deadline; refused because another one runs. After each, the next job gives the same answer
 * as on a fresh engine. Meant to be run under ThreadSanitizer as well.
 */
#include "engine_rig.h"

#include "base/buf.h"
#include "base/clock.h"

#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#define ALPHA "tests/golden/tiny/alpha.png"

static glint_engine *engine;
static glint_image image;
static rig_answer fresh, answer;

static glint_request question(void) {
    return (glint_request){.images = &image,
                           .n_images = 1,
                           .task = "ask",
                           .prompt = "What is this? 42",
                           .max_tokens = 400};
}

static int open_engine(void **state) {
    (void)state;
    engine = rig_open(RIG_TINY, (glint_engine_options){.context_tokens_max = 1024});
    image = rig_image(ALPHA);
    const glint_request r = question();
    rig_ask(engine, &r, &fresh);
    return fresh.n_pieces > 100 ? 0 : -1; /* long enough to be stopped in the middle */
}

static int close_engine(void **state) {
    (void)state;
    glint_engine_close(engine);
    rig_done();
    return 0;
}

static void assert_engine_is_fine(void) {
    const glint_request r = question();
    rig_ask(engine, &r, &answer);
    rig_assert_same(&answer, &fresh);
}

/* A stopped job: its text is what was streamed, which is a beginning of the whole. */
static void assert_stopped(const rig_answer *a, glint_status why) {
    assert_int_equal(a->status, why);
    assert_int_equal(a->err.code, why);
    assert_int_equal(a->finish, GLINT_FINISH_NONE);
    assert_int_equal(a->n_text_bytes, strlen(a->text));
    assert_memory_equal(a->streamed, fresh.text, a->n_streamed_bytes);
    assert_memory_equal(a->text, fresh.text, a->n_text_bytes);
    assert_true(a->n_text_bytes < fresh.n_text_bytes);
}

static void cancelled_before_it_runs(void **state) {
    (void)state;
    const glint_request r = question();
    glint_job *job = rig_create(engine, &r);
    glint_job_cancel(job);
    glint_job_cancel(job);
    rig_run(job, &answer);
    assert_stopped(&answer, GLINT_ERR_CANCELLED);
    assert_int_equal(answer.n_pieces, 0);
    assert_int_equal(answer.usage.completion_tokens, 0);
    job = rig_create(engine, &r); /* and one that never runs */
    glint_job_cancel(job);
    glint_job_free(job);
    assert_engine_is_fine();
}

typedef struct forced_reader {
    gi_buf *said;
    bool goes_on;
} forced_reader;

static bool read_forced(void *ctx, const char *piece, size_t n_bytes) {
    const forced_reader *r = ctx;
    assert_int_equal(gi_buf_push(r->said, piece, n_bytes, NULL), GLINT_OK);
    return r->goes_on;
}

/* What a schema forces at the beginning is streamed before the prompt has run; a job that is
 * stopped in between, or by the first piece, has it in its result. */
static void stopped_behind_a_forced_beginning(void **state) {
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"answer\":{\"type\":\"string\"}},"
        "\"required\":[\"answer\"],\"additionalProperties\":false}";
    glint_request r = question();
    r.schema_json = schema;
    r.n_schema_bytes = sizeof schema - 1;
    for (int at = 0; at < 2; at++) {
        glint_job *job = rig_create(engine, &r);
        glint_error err = {0};
        gi_buf said;
        gi_buf_init(&said, 4096);
        forced_reader reader = {.said = &said, .goes_on = at == 0};
        if (at == 0) glint_job_cancel(job);
        assert_int_equal(glint_job_run(job, read_forced, &reader, &err), GLINT_ERR_CANCELLED);
        const glint_result *result = glint_job_result(job);
        assert_true(said.len > 0 && result->n_text_bytes >= said.len);
        assert_memory_equal(result->text, said.data, said.len);
        assert_int_equal(result->finish, GLINT_FINISH_NONE);
        gi_buf_done(&said);
        glint_job_free(job);
    }
    assert_engine_is_fine();
}

static void stopped_by_its_reader(void **state) {
    (void)state;
    const glint_request r = question();
    const int at[] = {1, 2, 50, fresh.n_pieces};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        answer.stop_at_piece = at[i];
        rig_run(rig_create(engine, &r), &answer);
        assert_int_equal(answer.n_pieces, at[i]);
        assert_int_equal(answer.status, GLINT_ERR_CANCELLED);
        assert_memory_equal(answer.streamed, fresh.text, answer.n_streamed_bytes);
    }
    answer.stop_at_piece = 0;
    assert_engine_is_fine();
}

static void cancelled_after_it_ran(void **state) {
    (void)state;
    const glint_request r = question();
    glint_job *job = rig_create(engine, &r);
    assert_int_equal(glint_job_run(job, NULL, NULL, NULL), GLINT_OK);
    glint_job_cancel(job);
    assert_string_equal(glint_job_result(job)->text, fresh.text);
    assert_int_equal(glint_job_result(job)->finish, fresh.finish);
    glint_job_free(job);
}

/* ---- from on_text and from another thread --------------------------------------------------- */

typedef struct meeting {
    glint_job *job;
    sem_t asked, done;
    int n_pieces, at_piece;
    glint_status status;
} meeting;

static bool cancel_here(void *ctx, const char *piece, size_t n_bytes) {
    (void)piece, (void)n_bytes;
    meeting *m = ctx;
    if (++m->n_pieces == m->at_piece) glint_job_cancel(m->job);
    return true;
}

static void cancelled_from_on_text(void **state) {
    (void)state;
    const glint_request r = question();
    meeting m = {.job = rig_create(engine, &r), .at_piece = 10};
    glint_error err = {0};
    assert_int_equal(glint_job_run(m.job, cancel_here, &m, &err), GLINT_ERR_CANCELLED);
    assert_int_equal(m.n_pieces, 10); /* not one token more */
    glint_job_free(m.job);
    assert_engine_is_fine();
}

static void *cancel_when_asked(void *arg) {
    meeting *m = arg;
    while (sem_wait(&m->asked) != 0) continue;
    glint_job_cancel(m->job);
    sem_post(&m->done);
    return NULL;
}

static bool ask_and_wait(void *ctx, const char *piece, size_t n_bytes) {
    (void)piece, (void)n_bytes;
    meeting *m = ctx;
    if (++m->n_pieces == m->at_piece) {
        sem_post(&m->asked);
        while (sem_wait(&m->done) != 0) continue;
    }
    return true;
}

static void cancelled_from_another_thread(void **state) {
    (void)state;
    const glint_request r = question();
    meeting m = {.job = rig_create(engine, &r), .at_piece = 20};
    pthread_t thread;
    sem_init(&m.asked, 0, 0);
    sem_init(&m.done, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, &m), 0);
    assert_int_equal(glint_job_run(m.job, ask_and_wait, &m, NULL), GLINT_ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(m.n_pieces, 20);
    glint_job_free(m.job);
    sem_destroy(&m.asked);
    sem_destroy(&m.done);
    assert_engine_is_fine();
}

/* At any moment: the job ends by itself or is cancelled, never anything else. */
static void *cancel_some_time(void *arg) {
    meeting *m = arg;
    usleep((useconds_t)m->at_piece * 500);
    glint_job_cancel(m->job);
    return NULL;
}

static void cancelled_at_any_moment(void **state) {
    (void)state;
    const glint_request r = question();
    int n_cancelled = 0;
    for (int i = 0; i < 20; i++) {
        meeting m = {.job = rig_create(engine, &r), .at_piece = i};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, cancel_some_time, &m), 0);
        const glint_status st = glint_job_run(m.job, NULL, NULL, NULL);
        assert_true(st == GLINT_OK || st == GLINT_ERR_CANCELLED);
        const char *text = glint_job_result(m.job)->text;
        assert_memory_equal(text, fresh.text, strlen(text));
        n_cancelled += st == GLINT_ERR_CANCELLED;
        pthread_join(thread, NULL);
        glint_job_free(m.job);
    }
    assert_true(n_cancelled > 0);
    assert_engine_is_fine();
}

/* ---- deadlines ------------------------------------------------------------------------------ */

static void past_its_deadline_before_it_runs(void **state) {
    (void)state;
    glint_request r = question();
    r.timeout_ms = 0.001;
    rig_run(rig_create(engine, &r), &answer);
    assert_stopped(&answer, GLINT_ERR_DEADLINE);
    assert_int_equal(answer.n_pieces, 0);
    assert_engine_is_fine();
}

static bool wait_long(void *ctx, const char *piece, size_t n_bytes) {
    (void)piece, (void)n_bytes;
    meeting *m = ctx;
    if (++m->n_pieces == m->at_piece) {
        const double until_ms = gi_clock_ms() + 1600;
        while (gi_clock_ms() < until_ms) usleep(10000);
    }
    return true;
}

/* The clock runs from glint_job_create. A generous one, then time is spent in the reader. */
static void past_its_deadline_while_it_runs(void **state) {
    (void)state;
    glint_request r = question();
    r.timeout_ms = 1500;
    meeting m = {.job = rig_create(engine, &r), .at_piece = 5};
    glint_error err = {0};
    assert_int_equal(glint_job_run(m.job, wait_long, &m, &err), GLINT_ERR_DEADLINE);
    assert_int_equal(m.n_pieces, 5);
    glint_job_free(m.job);
    assert_engine_is_fine();
}

static void within_its_deadline(void **state) {
    (void)state;
    glint_request r = question();
    r.timeout_ms = 3.6e6;
    rig_ask(engine, &r, &answer);
    rig_assert_same(&answer, &fresh);
}

/* ---- one at a time -------------------------------------------------------------------------- */

static void *run_second(void *arg) {
    meeting *m = arg;
    m->status = glint_job_run(m->job, NULL, NULL, NULL);
    return NULL;
}

/* In the middle of the first job: a second one, on this thread and on another. */
static bool run_another(void *ctx, const char *piece, size_t n_bytes) {
    (void)piece, (void)n_bytes;
    meeting *m = ctx;
    if (++m->n_pieces != m->at_piece) return true;
    pthread_t thread;
    glint_error err = {0};
    assert_int_equal(glint_job_run(m->job, NULL, NULL, &err), GLINT_ERR_BUSY);
    assert_int_equal(err.code, GLINT_ERR_BUSY);
    assert_int_equal(pthread_create(&thread, NULL, run_second, m), 0);
    pthread_join(thread, NULL);
    return true;
}

static void busy_while_another_runs(void **state) {
    (void)state;
    const glint_request r = question();
    glint_job *first = rig_create(engine, &r);
    meeting m = {.job = rig_create(engine, &r), .at_piece = 7};
    assert_int_equal(glint_job_run(first, run_another, &m, NULL), GLINT_OK);
    assert_int_equal(m.status, GLINT_ERR_BUSY);
    assert_string_equal(glint_job_result(first)->text, fresh.text);
    glint_job_free(first);
    rig_run(m.job, &answer); /* being refused did not use it up */
    rig_assert_same(&answer, &fresh);
}

typedef struct runner {
    glint_job *job;
    int n_busy;
} runner;

static void *run_until_done(void *arg) {
    runner *k = arg;
    while (glint_job_run(k->job, NULL, NULL, NULL) == GLINT_ERR_BUSY) {
        k->n_busy++;
        usleep(500);
    }
    return NULL;
}

/* Four threads race for the engine; each gets its turn and its own answer. */
static void threads_take_turns(void **state) {
    (void)state;
    enum { N = 4 };
    const glint_request r = question();
    runner runners[N] = {0};
    pthread_t threads[N];
    for (int i = 0; i < N; i++) runners[i].job = rig_create(engine, &r);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_until_done, &runners[i]), 0);
    for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++) {
        assert_string_equal(glint_job_result(runners[i].job)->text, fresh.text);
        assert_memory_equal(&glint_job_result(runners[i].job)->confidence, &fresh.confidence,
                            sizeof fresh.confidence);
        glint_job_free(runners[i].job);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_before_it_runs),
        cmocka_unit_test(stopped_behind_a_forced_beginning),
        cmocka_unit_test(stopped_by_its_reader),
        cmocka_unit_test(cancelled_after_it_ran),
        cmocka_unit_test(cancelled_from_on_text),
        cmocka_unit_test(cancelled_from_another_thread),
        cmocka_unit_test(cancelled_at_any_moment),
        cmocka_unit_test(past_its_deadline_before_it_runs),
        cmocka_unit_test(past_its_deadline_while_it_runs),
        cmocka_unit_test(within_its_deadline),
        cmocka_unit_test(busy_while_another_runs),
        cmocka_unit_test(threads_take_turns),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
