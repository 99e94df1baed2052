/*
 * src/sched/line, plan and cost together, on random histories in a simulated server; what is
 * checked is in simulate_check.c and simulate_engine.c.
 *
 *     test_simulation                          all seeds
 *     test_simulation --seed N [--verbose]     one of them
 *     test_simulation --what-if ...            figures for choosing defaults; see whatif.c
 *
 * GLINT_SIM_SEEDS sets the number of seeds.
 */
#include "../cm.h"

#include "simulate.h"

#include "base/alloc.h"
#include "base/parse.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS = 10000, SCRIPTS_MAX = 40 };

/* ---- random histories ---- */

typedef struct history {
    sim_config config;
    sim_script scripts[SCRIPTS_MAX];
    sim_outcome outcomes[SCRIPTS_MAX];
    size_t n;
    size_t tokens_max; /* of any request, prompt and answer */
} history;

/* One of these, 1 in `rarely` times the second. */
static double pick(uint64_t *rng, uint32_t rarely, double usual, double rare) {
    return sim_draw(rng, rarely) == 0 ? rare : usual;
}

/* Pictures side by side in the prompt, some of it before, between and behind them. */
static void draw_pictures(history *h, sim_script *s, uint64_t *rng) {
    const uint32_t n_contents = 1 + sim_draw(rng, 8);
    size_t at = sim_draw(rng, 4);
    s->n_pictures = sim_draw(rng, SIM_PICTURES_MAX + 1);
    for (size_t i = 0; i < s->n_pictures; i++) {
        const unsigned content = sim_draw(rng, n_contents);
        const size_t n = 1 + h->config.picture_patches[content] / 4;
        s->pictures[i] = (sim_picture_ref){content, at, n};
        at += n + sim_draw(rng, 3);
    }
    s->n_prompt = at + 1 + sim_draw(rng, 12);
}

static void draw_script(history *h, sim_script *s, double arrive_ms, uint64_t *rng) {
    *s = (sim_script){.arrive_ms = arrive_ms,
                      .tenant = sim_draw(rng, 3),
                      .priority = (int)pick(rng, 3, 0, sim_draw(rng, 3)),
                      .admit_ms = 0.1 * sim_unit(rng),
                      .prepare_ms = 2 * sim_unit(rng),
                      .is_bad = sim_draw(rng, 20) == 0,
                      .prefix_seed = sim_draw(rng, 3),
                      .seed = sim_draw(rng, 4) ? sim_random(rng) : sim_draw(rng, 4),
                      .n_answer = 1 + sim_draw(rng, 20)};
    draw_pictures(h, s, rng);
    s->n_prefix = sim_draw(rng, (uint32_t)s->n_prompt + 1);
    if (sim_draw(rng, 2)) {
        s->forced_every = 1 + sim_draw(rng, 4);
        s->forced_max = 1 + sim_draw(rng, 12);
    }
    if (sim_draw(rng, 5) == 0) s->cancel_ms = arrive_ms + 60 * sim_unit(rng);
    if (sim_draw(rng, 5) == 0) s->timeout_ms = 200 * sim_unit(rng);
    if (sim_draw(rng, 10) == 0) s->read_ms = 20 * sim_unit(rng);
    if (s->n_prompt + s->n_answer > h->tokens_max) h->tokens_max = s->n_prompt + s->n_answer;
}

static gi_cost_rates draw_rates(uint64_t *rng) {
    return (gi_cost_rates){.vision_ms = 0.2 * sim_unit(rng) + 1e-4,
                           .prefill_row_ms = 0.1 * sim_unit(rng) + 1e-4,
                           .base_ms = sim_unit(rng) + 1e-3,
                           .answer_row_ms = 0.2 * sim_unit(rng) + 1e-4};
}

static void draw_config(sim_config *c, uint64_t *rng) {
    c->n_cores = 1 + sim_draw(rng, 3);
    c->n_crew = 1 + sim_draw(rng, 4);
    c->queue_max = 1 + sim_draw(rng, 40);
    c->has_tenants = sim_draw(rng, 2);
    c->ready_max = 1 + sim_draw(rng, c->queue_max < 6 ? (uint32_t)c->queue_max : 6);
    c->block_tokens = 1 + sim_draw(rng, 8);
    c->guess = draw_rates(rng);
    c->truth = draw_rates(rng);
    c->noise = 0.5 * sim_unit(rng);
    c->fail_every = sim_draw(rng, 8) == 0 ? 40 : 0;
    c->n_kept = sim_draw(rng, 2) ? SIM_CONTENTS_MAX : 0;
    c->unread_max = 1 + sim_draw(rng, 10);
    for (size_t i = 0; i < SIM_CONTENTS_MAX; i++)
        c->picture_patches[i] = 4 * (1 + sim_draw(rng, 6));
    gi_plan_config *p = &c->plan;
    p->seqs_max = 1 + sim_draw(rng, 12);
    p->rows_max = p->seqs_max + c->block_tokens + sim_draw(rng, 40);
    p->patches_max = 4 + sim_draw(rng, 60);
    p->pictures_max = 1 + sim_draw(rng, 4);
    p->vision_layers = 1 + sim_draw(rng, 12);
    p->share = 0.1 + 5 * sim_unit(rng);
    p->step_ms_max = 0.05 + pick(rng, 4, 5 * sim_unit(rng), 100);
}

/* Everything about a seed's history. The pool holds any one request, and seldom all. */
static void draw_history(history *h, uint64_t seed) {
    uint64_t rng = seed * 0x9E3779B97F4A7C15u;
    *h = (history){.config.seed = seed};
    draw_config(&h->config, &rng);
    h->n = 2 + sim_draw(&rng, sim_draw(&rng, 4) ? 14 : SCRIPTS_MAX - 1);
    const double between_ms = pick(&rng, 3, 4, 40) * sim_unit(&rng);
    double at_ms = 0;
    for (size_t i = 0; i < h->n; i++) {
        draw_script(h, &h->scripts[i], at_ms, &rng);
        if (sim_draw(&rng, 3)) at_ms += between_ms * -log(1 - sim_unit(&rng));
    }
    const size_t n_least = (h->tokens_max + h->config.block_tokens - 1) / h->config.block_tokens;
    h->config.n_blocks = n_least + sim_draw(&rng, (uint32_t)pick(&rng, 2, 10, 200));
    h->config.n_cached_max = (size_t)pick(&rng, 3, (double)h->config.n_blocks, sim_draw(&rng, 8));
}

/* For a planner that aborts: how to see it again, written before each history. */
static char replay_text[96];
static size_t replay_text_len;

static void tell_seed(int sig) {
    (void)sig;
    if (write(2, replay_text, replay_text_len) < 0) _exit(2);
}

typedef struct totals {
    size_t n_ends[SIM_ENDS];
    uint64_t n_preempted, n_cached_tokens, n_steps, n_vision_batches, n_pictures;
    size_t answers_max;
} totals;

static void play(uint64_t seed, bool is_verbose, totals *sum) {
    static history h;
    sim_report r;
    draw_history(&h, seed);
    h.config.is_verbose = is_verbose;
    replay_text_len =
        (size_t)snprintf(replay_text, sizeof replay_text,
                         "to see it again: build/tests/test_simulation --seed %llu --verbose\n",
                         (unsigned long long)seed);
    sim_run(&h.config, h.scripts, h.n, h.outcomes, &r);
    for (size_t i = 0; i < h.n; i++) {
        /* Each ends, and for no reason that is not its own. */
        const sim_script *s = &h.scripts[i];
        const sim_end how = h.outcomes[i].how;
        assert_int_not_equal(how, SIM_END_NONE);
        if (how == SIM_END_BAD) assert_true(s->is_bad);
        if (how == SIM_END_ANSWERED) assert_false(s->is_bad);
        if (how == SIM_END_CANCELLED) assert_true(s->cancel_ms > 0 || s->read_ms > 0);
        if (how == SIM_END_EXPIRED || how == SIM_END_UNMEETABLE) assert_true(s->timeout_ms > 0);
        if (how == SIM_END_FAILED) assert_true(h.config.fail_every > 0);
    }
    for (size_t i = 0; i < SIM_ENDS; i++) sum->n_ends[i] += r.n_ends[i];
    sum->n_preempted += r.plan.n_preempted;
    sum->n_cached_tokens += r.plan.n_cached_tokens;
    sum->n_steps += r.plan.n_steps;
    sum->n_vision_batches += r.plan.n_vision_batches;
    sum->n_pictures += r.plan.n_pictures;
    if (r.answers_max > sum->answers_max) sum->answers_max = r.answers_max;
}

static uint64_t n_seeds(void) {
    const char *text = getenv("GLINT_SIM_SEEDS");
    uint64_t n;
    return text && gi_parse_u64(text, &n) ? n : SEEDS;
}

static void random_histories(void **state) {
    totals sum = {0};
    const uint64_t n = n_seeds();
    for (uint64_t seed = 1; seed <= n; seed++) play(seed, false, &sum);
    print_message("%llu histories, %llu steps, %zu answered, %llu preempted, %llu tokens shared, "
                  "%llu pictures in %llu batches, up to %zu answers at once\n",
                  (unsigned long long)n, (unsigned long long)sum.n_steps,
                  sum.n_ends[SIM_END_ANSWERED], (unsigned long long)sum.n_preempted,
                  (unsigned long long)sum.n_cached_tokens, (unsigned long long)sum.n_pictures,
                  (unsigned long long)sum.n_vision_batches, sum.answers_max);
    /* What these histories are for has happened in them. */
    if (n < 100) return;
    for (int i = SIM_END_ANSWERED; i < SIM_ENDS; i++) assert_true(sum.n_ends[i] > 0);
    assert_true(sum.n_preempted > n / 10 && sum.n_cached_tokens > n);
    assert_true(sum.n_pictures > sum.n_vision_batches && sum.answers_max >= 8);
}

int main(int argc, char **argv) {
    signal(SIGABRT, tell_seed);
    if (argc > 1 && strcmp(argv[1], "--what-if") == 0) return sim_what_if(argc - 2, argv + 2);
    uint64_t seed;
    if (argc > 2 && strcmp(argv[1], "--seed") == 0 && gi_parse_u64(argv[2], &seed)) {
        totals sum = {0};
        play(seed, argc > 3, &sum);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
