/*
 * src/sched/sched with a fake engine: order, cancelling at every stage, deadlines, draining, and
 * many threads at once with nothing lost. Meant to be run under ThreadSanitizer as well.
 */
#include "../cm.h"

#include "base/clock.h"
#include "sched/sched.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_TOKENS = 64, TOKENS_MAX = 1 << 16, SEQS_MAX = 4, PROMPT_TOKENS = 40, STEP_US = 50 };

/* A request of the fake engine: its answer goes on for run_us. */
typedef struct job {
    gi_sched_request request;
    gi_kv_sequence kv;
    int prepare_us, run_us;
    double begun_ms;
    bool reject;       /* admit says no */
    bool hold;         /* admit holds it */
    bool refuse;       /* prepare says no */
    bool fail;         /* its first token cannot be had */
    double timeout_ms; /* deadline that admit finds in the request; 0 = none */
    _Atomic int n_admitted, n_prepared, n_run, n_concluded, n_finished;
    int order; /* the how-manieth to run, from 1 */
    gi_sched_stop stop;
    glint_status status;
    bool has_run;
} job;

typedef struct engine {
    gi_kv_pool pool;
    size_t seqs_max;
    int n_running, n_running_max; /* the engine thread's */
    _Atomic int n_run_total, n_finished;
} engine;

static job *job_of(gi_sched_request *r) {
    return (job *)(void *)((char *)r - offsetof(job, request));
}

static bool admit(void *ctx, gi_sched_request *r) {
    (void)ctx;
    job *j = job_of(r);
    atomic_fetch_add(&j->n_admitted, 1);
    r->item.is_held = j->hold;
    if (j->timeout_ms > 0) r->item.deadline_ms = gi_clock_ms() + j->timeout_ms;
    return !j->reject;
}

/* Signals are the program's: no thread of the scheduler takes one. */
static void check_mask(void) {
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    assert_int_equal(sigismember(&now, SIGTERM), 1);
}

static bool prepare(void *ctx, gi_sched_request *r) {
    engine *e = ctx;
    job *j = job_of(r);
    atomic_fetch_add(&j->n_prepared, 1);
    check_mask();
    if (j->prepare_us > 0) usleep((unsigned)j->prepare_us);
    assert_int_equal(gi_kv_sequence_init(&j->kv, &e->pool, TOKENS_MAX, NULL), GLINT_OK);
    return !j->refuse;
}

static void finish(void *ctx, gi_sched_request *r) {
    engine *e = ctx;
    job *j = job_of(r);
    j->stop = r->item.stop;
    j->status = r->error.code;
    j->has_run = r->item.entered_ms[GI_SCHED_RUNNING] > 0;
    assert_int_equal(j->kv.n_blocks, 0);
    gi_kv_sequence_done(&j->kv);
    atomic_fetch_add(&j->n_finished, 1);
    atomic_fetch_add(&e->n_finished, 1);
}

static glint_status begin(void *ctx, gi_sched_request *r, glint_error *err) {
    engine *e = ctx;
    job *j = job_of(r);
    (void)err;
    if (++e->n_running > e->n_running_max) e->n_running_max = e->n_running;
    j->order = atomic_fetch_add(&e->n_run_total, 1) + 1;
    j->begun_ms = gi_clock_ms();
    r->seq = (gi_plan_seq){.kv = &j->kv, .n_prompt = PROMPT_TOKENS, .n_known = PROMPT_TOKENS};
    atomic_fetch_add(&j->n_run, 1);
    return GLINT_OK;
}

static void step(void *ctx, const gi_plan_step *plan, double *ret_vision_ms, double *ret_text_ms) {
    (void)ctx;
    (void)plan;
    check_mask();
    usleep(STEP_US);
    *ret_vision_ms = 0;
    *ret_text_ms = STEP_US / 1e3;
}

static glint_status take(void *ctx, gi_sched_request *r, size_t i_logits, size_t *ret_n_known,
                         glint_error *err) {
    (void)ctx;
    (void)i_logits;
    const job *j = job_of(r);
    if (j->fail) return gi_fail(err, GLINT_ERR_MEMORY, "as told");
    *ret_n_known = gi_clock_ms() < j->begun_ms + j->run_us / 1e3 ? r->seq.n_known + 1 : 0;
    return GLINT_OK;
}

static void conclude(void *ctx, gi_sched_request *r) {
    engine *e = ctx;
    e->n_running--;
    atomic_fetch_add(&job_of(r)->n_concluded, 1);
}

/* An engine that runs e->seqs_max requests together. */
static gi_sched *start(engine *e, size_t queue_max, size_t ready_max, int n_crew) {
    if (e->seqs_max == 0) e->seqs_max = 1;
    assert_int_equal(
        gi_kv_pool_init(&e->pool, SEQS_MAX * TOKENS_MAX / BLOCK_TOKENS, BLOCK_TOKENS, 0, NULL),
        GLINT_OK);
    gi_sched_config config = {
        .queue_max = queue_max,
        .ready_max = ready_max,
        .n_crew = n_crew,
        .ops = {.admit = admit, .prepare = prepare, .finish = finish},
        .ctx = e,
        .engine = {.begin = begin, .step = step, .take = take, .conclude = conclude, .ctx = e},
        .pool = &e->pool,
        .plan = {.seqs_max = e->seqs_max,
                 .rows_max = 512,
                 .patches_max = 1024,
                 .pictures_max = 4,
                 .vision_layers = 2,
                 .share = 3,
                 .step_ms_max = 20},
    };
    gi_costs_init(&config.costs, &(gi_cost_rates){.vision_ms = 1e-9,
                                                  .prefill_row_ms = 0.001,
                                                  .base_ms = 0.01,
                                                  .answer_row_ms = 0.01});
    gi_sched *s = NULL;
    assert_int_equal(gi_sched_create(&config, &s, NULL), GLINT_OK);
    return s;
}

static void stop(gi_sched *s, engine *e) {
    gi_sched_free(s);
    assert_int_equal(e->pool.n_free, e->pool.n_blocks);
    gi_kv_pool_done(&e->pool);
}

static void wait_finished(job *j) {
    for (int i = 0; i < 20000 && atomic_load(&j->n_finished) == 0; i++) usleep(500);
    assert_int_equal(atomic_load(&j->n_finished), 1);
}

static void wait_running(job *j) {
    for (int i = 0; i < 20000 && atomic_load(&j->n_run) == 0; i++) usleep(500);
    assert_int_equal(atomic_load(&j->n_run), 1);
}

static void runs_in_order(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 16, 4, 1);
    job jobs[10] = {0};
    for (int i = 0; i < 10; i++) {
        jobs[i].run_us = 300;
        assert_int_equal(gi_sched_submit(s, &jobs[i].request, NULL), GLINT_OK);
    }
    gi_sched_drain(s, 10000);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(jobs[i].order, i + 1);
        assert_int_equal(jobs[i].stop, GI_SCHED_STOP_NONE);
        assert_int_equal(jobs[i].n_finished, 1);
    }
    assert_int_equal(e.n_running_max, 1);
    stop(s, &e);
}

static void refused_by_prepare_never_runs(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 4, 4, 2);
    job bad = {.refuse = true}, good = {0}, worse = {.reject = true};
    assert_int_equal(gi_sched_submit(s, &worse.request, NULL), GLINT_OK);
    wait_finished(&worse);
    assert_int_equal(worse.n_prepared, 0);
    assert_int_equal(gi_sched_submit(s, &bad.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &good.request, NULL), GLINT_OK);
    wait_finished(&bad);
    wait_finished(&good);
    assert_false(bad.has_run);
    assert_true(good.has_run);
    stop(s, &e);
}

static void full_is_busy(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 2, 1, 1);
    job running = {.run_us = 5000000}, a = {0}, b = {0}, c = {0};
    assert_int_equal(gi_sched_submit(s, &running.request, NULL), GLINT_OK);
    wait_running(&running);
    assert_int_equal(gi_sched_submit(s, &a.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &b.request, NULL), GLINT_OK);
    glint_error err = {0};
    assert_int_equal(gi_sched_submit(s, &c.request, &err), GLINT_ERR_BUSY);
    assert_string_equal(err.message, "scheduler: the line is full");
    assert_false(gi_sched_get_stats(s).draining);
    /* Without grace: the running one is interrupted, the others never run. */
    gi_sched_drain(s, 0);
    assert_int_equal(gi_sched_submit(s, &c.request, &err), GLINT_ERR_BUSY);
    assert_string_equal(err.message, "scheduler: draining");
    assert_true(gi_sched_get_stats(s).draining);
    stop(s, &e);
    assert_int_equal(running.stop, GI_SCHED_STOP_DRAINED);
    assert_int_equal(a.stop, GI_SCHED_STOP_DRAINED);
    assert_int_equal(b.n_finished, 1);
    assert_false(a.has_run);
    assert_int_equal(c.n_finished, 0);
}

static void freeing_drains_without_grace(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 2, 1, 1);
    job running = {.run_us = 5000000}, waiting = {0};
    assert_int_equal(gi_sched_submit(s, &running.request, NULL), GLINT_OK);
    wait_running(&running);
    assert_int_equal(gi_sched_submit(s, &waiting.request, NULL), GLINT_OK);
    stop(s, &e);
    assert_int_equal(running.stop, GI_SCHED_STOP_DRAINED);
    assert_int_equal(waiting.stop, GI_SCHED_STOP_DRAINED);
    assert_false(waiting.has_run);
}

static void limits_change_meanwhile(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 2, 1, 1);
    job running = {.run_us = 5000000}, jobs[5] = {0};
    assert_int_equal(gi_sched_submit(s, &running.request, NULL), GLINT_OK);
    wait_running(&running);
    for (int i = 0; i < 2; i++)
        assert_int_equal(gi_sched_submit(s, &jobs[i].request, NULL), GLINT_OK);
    while (gi_sched_get_stats(s).n[GI_SCHED_READY] == 0) usleep(100);
    assert_int_equal(gi_sched_submit(s, &jobs[2].request, NULL), GLINT_ERR_BUSY);
    /* Nothing but the change wakes the crew, which finds room for a second one. */
    while (gi_sched_get_stats(s).n[GI_SCHED_WAITING] == 0) usleep(100);
    usleep(20000);
    gi_sched_set_limits(s, 4, 2);
    for (int i = 0; i < 20000 && gi_sched_get_stats(s).n[GI_SCHED_READY] < 2; i++) usleep(500);
    assert_int_equal(gi_sched_get_stats(s).n[GI_SCHED_READY], 2);
    for (int i = 2; i < 4; i++)
        assert_int_equal(gi_sched_submit(s, &jobs[i].request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &jobs[4].request, NULL), GLINT_ERR_BUSY);
    /* Lower than what is there: all stay, and none comes in until there is a place. */
    gi_sched_set_limits(s, 1, 1);
    assert_int_equal(gi_sched_submit(s, &jobs[4].request, NULL), GLINT_ERR_BUSY);
    gi_sched_cancel(s, &running.request);
    for (int i = 0; i < 4; i++) wait_finished(&jobs[i]);
    assert_int_equal(gi_sched_submit(s, &jobs[4].request, NULL), GLINT_OK);
    wait_finished(&jobs[4]);
    for (int i = 0; i < 5; i++) assert_true(jobs[i].has_run);
    stop(s, &e);
}

static void cancel_at_each_stage(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 8, 2, 1);
    job running = {.run_us = 5000000}, ready = {0}, preparing = {.prepare_us = 100000},
        waiting = {0};
    assert_int_equal(gi_sched_submit(s, &running.request, NULL), GLINT_OK);
    wait_running(&running);
    assert_int_equal(gi_sched_submit(s, &ready.request, NULL), GLINT_OK);
    while (gi_sched_get_stats(s).n[GI_SCHED_READY] == 0) usleep(100);
    assert_int_equal(gi_sched_submit(s, &preparing.request, NULL), GLINT_OK);
    while (gi_sched_get_stats(s).n[GI_SCHED_PREPARING] == 0) usleep(100);
    assert_int_equal(gi_sched_submit(s, &waiting.request, NULL), GLINT_OK);
    gi_sched_cancel(s, &waiting.request);
    gi_sched_cancel(s, &ready.request);
    gi_sched_cancel(s, &preparing.request);
    wait_finished(&waiting);
    wait_finished(&ready);
    wait_finished(&preparing);
    assert_int_equal(atomic_load(&running.n_finished), 0);
    const double t0 = gi_clock_ms();
    gi_sched_cancel(s, &running.request);
    wait_finished(&running);
    assert_true(gi_clock_ms() - t0 < 2000);
    assert_int_equal(running.stop, GI_SCHED_STOP_CANCELLED);
    assert_int_equal(ready.n_run + preparing.n_run + waiting.n_run, 0);
    /* The engine is free again. */
    job next = {0};
    assert_int_equal(gi_sched_submit(s, &next.request, NULL), GLINT_OK);
    wait_finished(&next);
    assert_true(next.has_run);
    stop(s, &e);
}

static void held_until_released(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 8, 1, 1);
    job held = {.hold = true}, gone = {.hold = true}, late = {.hold = true, .timeout_ms = 20},
        other = {0};
    assert_int_equal(gi_sched_submit(s, &held.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &gone.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &late.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &other.request, NULL), GLINT_OK);
    wait_finished(&other); /* no thread stands still for those before it */
    wait_finished(&late);
    assert_int_equal(late.stop, GI_SCHED_STOP_EXPIRED);
    gi_sched_cancel(s, &gone.request);
    wait_finished(&gone);
    assert_int_equal(held.n_prepared + gone.n_prepared + late.n_prepared, 0);
    gi_sched_release(s, &held.request);
    wait_finished(&held);
    assert_true(held.has_run);
    stop(s, &e);
}

static void expires_while_waiting(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 8, 1, 1);
    job running = {.run_us = 400000}, late = {0}, patient = {0};
    assert_int_equal(gi_sched_submit(s, &running.request, NULL), GLINT_OK);
    wait_running(&running);
    assert_int_equal(gi_sched_submit(s, &patient.request, NULL), GLINT_OK);
    late.request.item.deadline_ms = gi_clock_ms() + 30;
    assert_int_equal(gi_sched_submit(s, &late.request, NULL), GLINT_OK);
    wait_finished(&late);
    /* Answered at its deadline, not when the engine came round to it. */
    assert_int_equal(atomic_load(&running.n_finished), 0);
    assert_int_equal(late.stop, GI_SCHED_STOP_EXPIRED);
    assert_int_equal(late.n_run, 0);
    wait_finished(&patient);
    assert_int_equal(patient.stop, GI_SCHED_STOP_NONE);
    stop(s, &e);
}

/* READY is full, so nothing is prepared: a bad request and a short deadline are still found. */
static void admitted_while_the_line_stands(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 8, 1, 1);
    job running = {.run_us = 600000}, ready = {0}, bad = {.reject = true},
        late = {.timeout_ms = 20}, patient = {0};
    assert_int_equal(gi_sched_submit(s, &running.request, NULL), GLINT_OK);
    wait_running(&running);
    assert_int_equal(gi_sched_submit(s, &ready.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &patient.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &bad.request, NULL), GLINT_OK);
    assert_int_equal(gi_sched_submit(s, &late.request, NULL), GLINT_OK);
    wait_finished(&bad);
    wait_finished(&late);
    assert_int_equal(atomic_load(&running.n_finished), 0);
    assert_int_equal(late.stop, GI_SCHED_STOP_EXPIRED);
    assert_int_equal(bad.n_prepared + late.n_prepared + atomic_load(&patient.n_prepared), 0);
    wait_finished(&patient);
    assert_true(patient.has_run);
    stop(s, &e);
}

static void drain_lets_work_finish(void **state) {
    engine e = {0};
    gi_sched *s = start(&e, 8, 2, 2);
    job jobs[6] = {0};
    for (int i = 0; i < 6; i++) {
        jobs[i].run_us = 10000;
        assert_int_equal(gi_sched_submit(s, &jobs[i].request, NULL), GLINT_OK);
    }
    gi_sched_drain(s, 60000);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(jobs[i].n_finished, 1);
        assert_true(jobs[i].has_run);
        assert_int_equal(jobs[i].stop, GI_SCHED_STOP_NONE);
    }
    stop(s, &e);
}

/* A long answer does not hold up a short one that comes later. */
static void run_together(void **state) {
    engine e = {.seqs_max = 2};
    gi_sched *s = start(&e, 8, 2, 1);
    job running = {.run_us = 5000000}, quick = {.run_us = 1000}, failing = {.fail = true};
    assert_int_equal(gi_sched_submit(s, &running.request, NULL), GLINT_OK);
    wait_running(&running);
    assert_int_equal(gi_sched_submit(s, &quick.request, NULL), GLINT_OK);
    wait_finished(&quick);
    assert_int_equal(gi_sched_submit(s, &failing.request, NULL), GLINT_OK);
    wait_finished(&failing);
    assert_int_equal(failing.status, GLINT_ERR_MEMORY);
    assert_int_equal(atomic_load(&running.n_finished), 0);
    assert_int_equal(gi_sched_get_stats(s).plan.n_seqs, 1);
    gi_sched_cancel(s, &running.request);
    wait_finished(&running);
    assert_int_equal(e.n_running_max, 2);
    stop(s, &e);
}

/* ---- many threads ---- */

enum { N_CLIENTS = 12, N_PER_CLIENT = 250 };

typedef struct client {
    gi_sched *sched;
    uint32_t seed;
    int n_busy, n_submitted;
    job jobs[N_PER_CLIENT];
    bool submitted[N_PER_CLIENT];
} client;

static uint32_t draw(client *c, uint32_t below) {
    c->seed = c->seed * 1664525u + 1013904223u;
    return (c->seed >> 8) % below;
}

static void *client_main(void *arg) {
    client *c = arg;
    for (int i = 0; i < N_PER_CLIENT; i++) {
        job *j = &c->jobs[i];
        j->prepare_us = (int)draw(c, 60);
        j->run_us = (int)draw(c, 80);
        j->refuse = draw(c, 10) == 0;
        j->reject = draw(c, 10) == 0;
        if (draw(c, 8) == 0) j->timeout_ms = 1 + draw(c, 5);
        if (draw(c, 4) == 0) j->request.item.deadline_ms = gi_clock_ms() + draw(c, 5);
        if (gi_sched_submit(c->sched, &j->request, NULL) != GLINT_OK) {
            c->n_busy++;
            usleep(100);
            continue;
        }
        c->submitted[i] = true;
        c->n_submitted++;
        if (draw(c, 3) == 0) {
            usleep(draw(c, 200));
            /* Jobs outlive the scheduler here, so that a late cancel is allowed to miss. */
            gi_sched_cancel(c->sched, &j->request);
        }
    }
    return NULL;
}

static void none_lost(void **state) {
    engine e = {.seqs_max = SEQS_MAX};
    gi_sched *s = start(&e, 32, 6, 3);
    static client clients[N_CLIENTS];
    memset(clients, 0, sizeof clients);
    pthread_t threads[N_CLIENTS];
    for (uint32_t i = 0; i < N_CLIENTS; i++) {
        clients[i].sched = s;
        clients[i].seed = i * 7919 + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
    }
    for (int i = 0; i < N_CLIENTS; i++) pthread_join(threads[i], NULL);
    gi_sched_drain(s, 60000);
    int n_submitted = 0, n_run = 0;
    for (int i = 0; i < N_CLIENTS; i++) {
        n_submitted += clients[i].n_submitted;
        for (int k = 0; k < N_PER_CLIENT; k++) {
            const job *j = &clients[i].jobs[k];
            assert_int_equal(j->n_finished, clients[i].submitted[k] ? 1 : 0);
            assert_int_equal(j->n_run, j->n_concluded);
            assert_true(j->n_run <= 1 && j->n_prepared <= 1 && j->n_run <= j->n_prepared &&
                        j->n_prepared <= j->n_admitted);
            if (j->refuse) assert_int_equal(j->n_run, 0);
            n_run += j->n_run;
        }
    }
    assert_int_equal(e.n_finished, n_submitted);
    assert_in_range(e.n_running_max, 2, SEQS_MAX);
    assert_int_equal(e.n_running, 0);
    assert_true(n_run > 0 && n_submitted > n_run);
    stop(s, &e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_in_order),
        cmocka_unit_test(refused_by_prepare_never_runs),
        cmocka_unit_test(full_is_busy),
        cmocka_unit_test(freeing_drains_without_grace),
        cmocka_unit_test(limits_change_meanwhile),
        cmocka_unit_test(cancel_at_each_stage),
        cmocka_unit_test(expires_while_waiting),
        cmocka_unit_test(admitted_while_the_line_stands),
        cmocka_unit_test(drain_lets_work_finish),
        cmocka_unit_test(none_lost),
        cmocka_unit_test(run_together),
        cmocka_unit_test(held_until_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
