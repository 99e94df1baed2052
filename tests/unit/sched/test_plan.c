/*
 * src/sched/plan by example: what a step holds, in an order and of a size that can be foreseen. The
 * histories that cannot are test_simulation's.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "sched/plan.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 4, N_BLOCKS = 64, REQUESTS = 8, TOKENS_MAX = 64 };

typedef struct request {
    gi_plan_seq seq;
    gi_kv_sequence kv;
    gi_kv_key keys[TOKENS_MAX / BLOCK];
} request;

typedef struct rig {
    gi_kv_pool pool;
    gi_costs costs;
    gi_plan *plan;
    request r[REQUESTS];
    gi_picture_state pictures[REQUESTS];
    const gi_plan_step *step;
} rig;

/* A row costs 1 ms wherever it is fed, a unit of vision work 1 ms. */
static const gi_cost_rates RATES = {
    .vision_ms = 1, .prefill_row_ms = 1, .base_ms = 1e-9, .answer_row_ms = 1};
static const gi_plan_config CONFIG = {.seqs_max = REQUESTS,
                                      .rows_max = 32,
                                      .patches_max = 20,
                                      .pictures_max = 4,
                                      .vision_layers = 5,
                                      .share = 8,
                                      .step_ms_max = 100};

static void set_up(rig *g, gi_plan_config config, size_t n_blocks) {
    *g = (rig){0};
    gi_costs_init(&g->costs, &RATES);
    assert_int_equal(gi_kv_pool_init(&g->pool, n_blocks, BLOCK, n_blocks, NULL), GLINT_OK);
    assert_int_equal(gi_plan_create(&config, &g->pool, &g->costs, &g->plan, NULL), GLINT_OK);
}

/* Requests whose keys begin alike share; `content` is what the keys are of. */
static gi_plan_seq *join(rig *g, size_t i, size_t n_prompt, uint8_t content) {
    request *r = &g->r[i];
    assert_int_equal(gi_kv_sequence_init(&r->kv, &g->pool, TOKENS_MAX, NULL), GLINT_OK);
    for (size_t k = 0; k < TOKENS_MAX / BLOCK; k++)
        r->keys[k].bytes[0] = content, r->keys[k].bytes[1] = (uint8_t)k;
    r->seq.kv = &r->kv;
    r->seq.keys = r->keys;
    r->seq.n_keys = n_prompt / BLOCK;
    r->seq.n_prompt = r->seq.n_known = n_prompt;
    gi_plan_add(g->plan, &r->seq);
    return &r->seq;
}

static gi_plan_seq *join_with_picture(rig *g, size_t i, size_t n_prompt, gi_picture_state *p) {
    g->r[i].seq.places[0] = (gi_picture_place){.picture = p, .first_token = 1, .n_tokens = 2};
    g->r[i].seq.n_places = 1;
    return join(g, i, n_prompt, (uint8_t)(1 + i));
}

static void next(rig *g) {
    assert_true(gi_plan_next(g->plan, &g->step));
}

/* The step takes what it was expected to; what wanted logits gets one more token. */
static void done(rig *g) {
    const gi_plan_step *s = g->step;
    double work = 0;
    for (size_t i = 0; i < REQUESTS; i++)
        work += g->pictures[i].is_encoding ? g->pictures[i].work : 0;
    gi_plan_done(g->plan, work * (double)s->n_vision_layers / 5, (double)s->n_rows);
    for (size_t i = 0; i < s->n_feeds; i++)
        if (s->feeds[i].seq && s->feeds[i].wants_logits) gi_plan_extend(s->feeds[i].seq, 1);
}

static void assert_feed(const rig *g, size_t i, const gi_plan_seq *seq, size_t first, size_t n) {
    assert_true(i < g->step->n_feeds);
    assert_ptr_equal(g->step->feeds[i].seq, seq);
    assert_int_equal(g->step->feeds[i].first, first);
    assert_int_equal(g->step->feeds[i].n, n);
}

static void tear_down(rig *g) {
    for (size_t i = 0; i < REQUESTS; i++) {
        if (g->r[i].seq.kv && g->r[i].seq.n_known > 0) gi_plan_remove(g->plan, &g->r[i].seq);
        gi_kv_sequence_done(&g->r[i].kv);
    }
    const gi_plan_step *step;
    assert_false(gi_plan_next(g->plan, &step));
    assert_int_equal(gi_kv_pool_available(&g->pool), g->pool.n_blocks);
    gi_plan_free(g->plan);
    gi_kv_pool_done(&g->pool);
}

static void answers_go_first_and_prompts_by_their_share(void **state) {
    rig g;
    set_up(&g, CONFIG, N_BLOCKS);
    gi_plan_seq *a = join(&g, 0, 10, 1);
    next(&g);
    assert_feed(&g, 0, a, 0, 10);
    assert_true(g.step->feeds[0].wants_logits);
    assert_int_equal(g.step->n_answer_rows, 0);
    done(&g);
    /* One answer row is worth 8 of prompts: two blocks a step. */
    gi_plan_seq *b = join(&g, 1, 19, 2);
    next(&g);
    assert_int_equal(g.step->n_feeds, 2);
    assert_feed(&g, 0, a, 10, 1);
    assert_feed(&g, 1, b, 0, 8);
    assert_false(g.step->feeds[1].wants_logits);
    assert_int_equal(g.step->n_answer_rows, 1);
    assert_int_equal(g.step->n_rows, 9);
    done(&g);
    next(&g);
    assert_feed(&g, 1, b, 8, 8);
    done(&g);
    next(&g);
    assert_feed(&g, 1, b, 16, 3);
    assert_true(g.step->feeds[1].wants_logits);
    done(&g);
    /* Forced tokens are rows of the answer. */
    next(&g);
    assert_int_equal(g.step->n_answer_rows, 2);
    gi_plan_done(g.plan, 0, 2);
    gi_plan_extend(a, 5);
    gi_plan_extend(b, 1);
    next(&g);
    assert_feed(&g, 0, a, 14, 5);
    assert_feed(&g, 1, b, 20, 1);
    done(&g);
    tear_down(&g);
}

static void layers_of_a_batch_by_their_share(void **state) {
    rig g;
    set_up(&g, CONFIG, N_BLOCKS);
    for (size_t i = 0; i < 3; i++) g.pictures[i] = (gi_picture_state){.n_patches = 8, .work = 10};
    gi_plan_seq *a = join(&g, 0, 4, 9);
    next(&g);
    done(&g);
    /* Two of 8 patches fit into 20; five layers of 4 ms, 8 ms a step. The third waits. */
    for (size_t i = 1; i < 4; i++) join_with_picture(&g, i, 6, &g.pictures[i - 1]);
    next(&g);
    assert_int_equal(g.step->n_pictures, 2);
    assert_ptr_equal(g.step->pictures[0], &g.pictures[0]);
    assert_int_equal(g.step->n_vision_layers, 2);
    assert_feed(&g, 0, a, 4, 1);
    assert_int_equal(g.step->n_feeds, 1);
    done(&g);
    next(&g);
    assert_int_equal(g.step->n_pictures, 0);
    assert_int_equal(g.step->n_vision_layers, 2);
    assert_false(g.step->ends_vision);
    done(&g);
    next(&g);
    assert_int_equal(g.step->n_vision_layers, 1);
    assert_true(g.step->ends_vision);
    assert_false(g.pictures[0].is_encoded);
    done(&g);
    assert_true(g.pictures[0].is_encoded && g.pictures[1].is_encoded && !g.pictures[2].is_encoded);
    /* Who is nearly there goes before the next picture. */
    next(&g);
    assert_feed(&g, 1, &g.r[1].seq, 0, 6);
    assert_feed(&g, 2, &g.r[2].seq, 0, 4);
    assert_int_equal(g.step->n_vision_layers, 0);
    done(&g);
    tear_down(&g);
}

/* Answers that fill a step by themselves keep nobody out. */
static void slow_answers_let_others_join(void **state) {
    rig g;
    gi_plan_config config = CONFIG;
    config.step_ms_max = 0.5;
    set_up(&g, config, N_BLOCKS);
    gi_plan_seq *a = join(&g, 0, 4, 1);
    next(&g);
    done(&g);
    gi_plan_seq *b = join(&g, 1, 12, 2);
    for (size_t n_steps = 0; b->n_known == 12; n_steps++) {
        assert_true(n_steps < 16);
        next(&g);
        assert_feed(&g, 0, a, 4 + n_steps, 1);
        done(&g);
    }
    tear_down(&g);
}

/* A layer that costs far more than a step's share is paid back by steps of answers alone. */
static void a_dear_layer_is_paid_back(void **state) {
    rig g;
    set_up(&g, CONFIG, N_BLOCKS);
    g.pictures[0] = (gi_picture_state){.n_patches = 100, .work = 5 * 20};
    join(&g, 0, 4, 9);
    next(&g);
    done(&g);
    join_with_picture(&g, 1, 6, &g.pictures[0]);
    static const size_t want[] = {1, 0, 1, 0, 1, 0, 0, 1, 0, 1};
    for (size_t i = 0; i < 10; i++) {
        next(&g);
        assert_int_equal(g.step->n_vision_layers, want[i]);
        done(&g);
    }
    assert_true(g.pictures[0].is_encoded);
    tear_down(&g);
}

static void one_prompt_twice_is_stored_once(void **state) {
    rig g;
    set_up(&g, CONFIG, N_BLOCKS);
    gi_plan_seq *a = join(&g, 0, 12, 7), *b = join(&g, 1, 12, 7), *c = join(&g, 2, 12, 8);
    next(&g);
    assert_int_equal(g.step->n_feeds, 2);
    assert_feed(&g, 0, a, 0, 12);
    assert_feed(&g, 1, c, 0, 12);
    done(&g);
    /* All but the last token, whose logits are wanted: two of three blocks. */
    next(&g);
    assert_feed(&g, 2, b, 8, 4);
    assert_int_equal(b->n_cached, 8);
    done(&g);
    assert_int_equal(gi_plan_get_stats(g.plan).n_cached_tokens, 8);
    tear_down(&g);
}

static void the_last_of_the_lowest_priority_makes_room(void **state) {
    rig g;
    set_up(&g, CONFIG, 9);
    g.r[1].seq.priority = 1;
    gi_plan_seq *a = join(&g, 0, 8, 1), *b = join(&g, 1, 8, 2), *c = join(&g, 2, 8, 3);
    next(&g);
    assert_feed(&g, 0, b, 0, 8); /* higher priority first */
    assert_feed(&g, 1, a, 0, 8);
    done(&g); /* c does not begin: nobody would have room to grow */
    for (int i = 0; i < 4; i++) {
        next(&g);
        assert_feed(&g, 0, b, 8 + (size_t)i, 1);
        done(&g);
    }
    gi_plan_remove(g.plan, a);
    a->n_known = 0;
    gi_kv_sequence_done(&g.r[0].kv);
    size_t n_b = 12;
    while (c->n_preempted == 0) {
        next(&g);
        assert_feed(&g, 0, b, n_b++, 1);
        done(&g);
        assert_true(n_b < TOKENS_MAX);
    }
    assert_int_equal(b->n_preempted, 0);
    assert_int_equal(c->kv->n_blocks, 0);
    assert_int_equal(c->n_prefill, c->n_known);
    gi_plan_remove(g.plan, b);
    b->n_known = 0;
    gi_kv_sequence_done(&g.r[1].kv);
    /* All that it had is fed again, but for its prompt's blocks that nobody has taken. */
    const size_t n_known = c->n_known;
    next(&g);
    assert_int_equal(g.step->n_answer_rows, 0);
    assert_ptr_equal(g.step->feeds[0].seq, c);
    assert_int_equal(g.step->feeds[0].first + g.step->feeds[0].n, n_known);
    assert_true(g.step->feeds[0].wants_logits);
    done(&g);
    tear_down(&g);
}

static void a_batch_that_nobody_wants_is_dropped(void **state) {
    rig g;
    set_up(&g, CONFIG, N_BLOCKS);
    g.pictures[0] = (gi_picture_state){.n_patches = 8, .work = 200};
    g.pictures[1] = (gi_picture_state){.n_patches = 8, .work = 200};
    join_with_picture(&g, 0, 6, &g.pictures[0]);
    join_with_picture(&g, 1, 6, &g.pictures[0]);
    next(&g);
    assert_int_equal(g.step->n_pictures, 1); /* shown twice, encoded once */
    assert_int_equal(g.pictures[0].n_users, 2);
    gi_plan_remove(g.plan, &g.r[0].seq);
    gi_plan_remove(g.plan, &g.r[1].seq);
    assert_true(g.pictures[0].is_encoding); /* the step is under way */
    gi_plan_done(g.plan, 50, 0);
    assert_false(g.pictures[0].is_encoding || g.pictures[0].is_encoded);
    g.r[0].seq.n_known = g.r[1].seq.n_known = 0;
    tear_down(&g);
}

static void backlog_is_what_is_left(void **state) {
    rig g;
    set_up(&g, CONFIG, N_BLOCKS);
    g.pictures[0] = (gi_picture_state){.n_patches = 8, .work = 50};
    g.r[0].seq.n_answer_guess = 10;
    join_with_picture(&g, 0, 6, &g.pictures[0]);
    assert_true(fabs(gi_plan_backlog_ms(g.plan) - 66) < 1e-6);
    next(&g);
    assert_int_equal(g.step->n_vision_layers, 5);
    done(&g);
    assert_true(fabs(gi_plan_backlog_ms(g.plan) - 16) < 1e-6);
    next(&g);
    done(&g);
    assert_true(fabs(gi_plan_backlog_ms(g.plan) - 9) < 0.5);
    tear_down(&g);
}

static void refuses_what_is_out_of_range(void **state) {
    rig g;
    set_up(&g, CONFIG, N_BLOCKS);
    gi_plan *plan = NULL;
    gi_plan_config bad[8];
    for (size_t i = 0; i < 8; i++) bad[i] = CONFIG;
    bad[0].seqs_max = 0;
    bad[1].seqs_max = GI_PLAN_SEQS_MAX + 1;
    bad[2].rows_max = REQUESTS - 1;
    bad[3].patches_max = 0;
    bad[4].pictures_max = 0;
    bad[5].vision_layers = 0;
    bad[6].share = NAN;
    bad[7].step_ms_max = 0;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(gi_plan_create(&bad[i], &g.pool, &g.costs, &plan, NULL), GLINT_ERR_ARG);
    for (uint64_t n = 1; n <= 3; n++) {
        gi_alloc_fail_at(n);
        assert_int_equal(gi_plan_create(&CONFIG, &g.pool, &g.costs, &plan, NULL), GLINT_ERR_MEMORY);
    }
    gi_alloc_fail_at(0);
    assert_null(plan);
    gi_plan_free(NULL);
    tear_down(&g);
}

/* ---- costs ---- */

static void costs_follow_the_truth(void **state) {
    gi_costs c;
    gi_costs_init(&c, &(gi_cost_rates){1e-3, 1, 5, 0.5});
    for (int i = 0; i < 400; i++) {
        const size_t n = 1 + (size_t)i % 7;
        gi_costs_saw_text(&c, n, 0, i % 40 == 39 ? 500 : 0.30 + 0.06 * (double)n);
        gi_costs_saw_text(&c, n, 64, i % 40 == 38 ? 500 : 0.30 + 0.06 * (double)n + 0.02 * 64);
        gi_costs_saw_vision(&c, 1e9, i % 40 == 37 ? 1e6 : 20);
    }
    /* One measurement in forty is a thousand times too high: it does little. */
    assert_true(fabs(gi_costs_text_ms(&c, 4, 0) - 0.54) < 0.1);
    assert_true(fabs(gi_costs_text_ms(&c, 0, 100) - 2.3) < 0.5);
    assert_true(fabs(gi_costs_vision_ms(&c, 5e8) - 10) < 1.5);
    assert_true(gi_costs_text_ms(&c, 0, 0) <= 0);
    assert_true(c.batch > 2 && c.batch < 6);
}

/* As long as steps are all alike their price is learned, whatever part of it is the base. */
static void costs_of_steps_that_are_alike(void **state) {
    gi_costs c;
    gi_costs_init(&c, &(gi_cost_rates){1, 1, 0.3, 0.06});
    for (int i = 0; i < 500; i++) gi_costs_saw_text(&c, 1, 0, 7.2);
    assert_true(fabs(gi_costs_text_ms(&c, 1, 0) - 7.2) < 0.01);
    assert_true(c.rates.base_ms > 0 && c.rates.answer_row_ms > 0);
    for (int i = 0; i < 500; i++) gi_costs_saw_text(&c, 1 + (size_t)i % 8, 0, 5 + (double)(i % 8));
    assert_true(fabs(c.rates.answer_row_ms - 1) < 0.1 && fabs(c.rates.base_ms - 4) < 0.3);
    /* What cannot be is not learned. */
    const gi_costs before = c;
    gi_costs_saw_text(&c, 0, 0, 5);
    gi_costs_saw_text(&c, 3, 0, NAN);
    gi_costs_saw_vision(&c, 0, 5);
    gi_costs_saw_vision(&c, 5, -1);
    assert_memory_equal(&c, &before, sizeof c);
}

static void company_shares_the_base(void **state) {
    gi_costs c;
    gi_costs_init(&c, &(gi_cost_rates){
                          .vision_ms = 2, .prefill_row_ms = 0.1, .base_ms = 3, .answer_row_ms = 1});
    const gi_cost_request r = {.vision_work = 5, .n_prompt_rows = 100, .n_answer_tokens = 10};
    c.batch = 1;
    assert_true(fabs(gi_costs_request_ms(&c, &r) - (10 + 10 + 40)) < 1e-9);
    c.batch = 3;
    assert_true(fabs(gi_costs_request_ms(&c, &r) - (10 + 10 + 20)) < 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_go_first_and_prompts_by_their_share),
        cmocka_unit_test(layers_of_a_batch_by_their_share),
        cmocka_unit_test(slow_answers_let_others_join),
        cmocka_unit_test(a_dear_layer_is_paid_back),
        cmocka_unit_test(one_prompt_twice_is_stored_once),
        cmocka_unit_test(the_last_of_the_lowest_priority_makes_room),
        cmocka_unit_test(a_batch_that_nobody_wants_is_dropped),
        cmocka_unit_test(backlog_is_what_is_left),
        cmocka_unit_test(refuses_what_is_out_of_range),
        cmocka_unit_test(costs_follow_the_truth),
        cmocka_unit_test(costs_of_steps_that_are_alike),
        cmocka_unit_test(company_shares_the_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
