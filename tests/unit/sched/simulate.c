/*
 * Clients, crew and clock. Between two events everybody works at a speed that follows from how many
 * want the cores.
 */
#include "../cm.h"

#include "simulate_world.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>

enum { STEPS_MAX = 4000000 };
static const double SOON_MS = 1e-9; /* what is this near has happened */

uint64_t sim_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint32_t sim_draw(uint64_t *state, uint32_t below) {
    return (uint32_t)((sim_random(state) >> 32) * below >> 32);
}

double sim_unit(uint64_t *state) {
    return (double)(sim_random(state) >> 11) * 0x1p-53;
}

void sim_fail(const sim_world *w, const char *what, const char *file, int line) {
    print_error("%s:%d: not so after %zu steps, at %.3f ms: %s\n", file, line, w->n_steps,
                w->now_ms, what);
    print_error("to see it again: build/tests/test_simulation --seed %llu --verbose\n",
                (unsigned long long)w->config->seed);
    fail();
    __builtin_unreachable();
}

static void say(const sim_world *w, const sim_job *job, const char *what) {
    if (w->config->is_verbose)
        print_message("%10.3f  request at %.3f: %s\n", w->now_ms, job->script->arrive_ms, what);
}

static sim_job *job_of(gi_sched_item *item) {
    return (sim_job *)(void *)((char *)item - offsetof(sim_job, item));
}

/* ---- what a request is made of ---- */

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t state = a * 0xD6E8FEB86659FD93u ^ b;
    return sim_random(&state);
}

/* Token at a position of prompt or answer; those of a picture depend on its content. */
static uint64_t token_at(const sim_script *s, size_t position) {
    for (size_t i = 0; i < s->n_pictures; i++) {
        const sim_picture_ref *p = &s->pictures[i];
        if (position >= p->first_token && position < p->first_token + p->n_tokens)
            return mix(0x11111 + p->content, position - p->first_token);
    }
    return mix(position < s->n_prefix ? s->prefix_seed : s->seed, position);
}

static void make_content(sim_world *w, sim_job *job) {
    const sim_script *s = job->script;
    const size_t n = s->n_prompt + s->n_answer, block = w->config->block_tokens;
    job->chain = gi_calloc(n, sizeof *job->chain);
    job->keys = gi_calloc(s->n_prompt / block + 1, sizeof *job->keys);
    assert_true(job->chain && job->keys);
    uint64_t h = mix(0x5A17, s->tenant);
    for (size_t i = 0; i < n; i++) {
        h = job->chain[i] = mix(h, token_at(s, i));
        if ((i + 1) % block == 0 && i < s->n_prompt)
            for (size_t k = 0; k < 4; k++)
                for (size_t b = 0; b < 8; b++)
                    job->keys[i / block].bytes[8 * k + b] = (uint8_t)(mix(h, k) >> 8 * b);
    }
}

static void take_pictures(sim_world *w, sim_job *job) {
    for (size_t i = 0; i < job->script->n_pictures; i++) {
        const unsigned content = job->script->pictures[i].content;
        sim_picture **p = &w->pictures[content];
        if (!*p) {
            *p = gi_calloc(1, sizeof **p);
            assert_non_null(*p);
            (*p)->plan.n_patches = w->config->picture_patches[content];
            (*p)->plan.work = (double)(*p)->plan.n_patches;
        }
        (*p)->n_refs++;
        job->pictures[i] = *p;
        job->seq.places[i] = (gi_picture_place){.picture = &(*p)->plan,
                                                .first_token = job->script->pictures[i].first_token,
                                                .n_tokens = job->script->pictures[i].n_tokens};
    }
}

static bool is_being_encoded(const sim_world *w, const sim_picture *p) {
    for (size_t i = 0; w->step && w->step->n_vision_layers > 0 && i < w->n_tower; i++)
        if (w->tower[i] == p) return true;
    return false;
}

void sim_sweep_pictures(sim_world *w) {
    for (size_t i = 0; i < SIM_CONTENTS_MAX; i++) {
        sim_picture *p = w->pictures[i];
        if (!p || p->n_refs > 0 || p->plan.is_encoding) continue;
        SIM_CHECK(w, p->plan.n_users == 0 && !is_being_encoded(w, p));
        if (i < w->config->n_kept && p->plan.is_encoded) continue;
        gi_free(p);
        w->pictures[i] = NULL;
    }
}

static void prepare_job(sim_world *w, sim_job *job) {
    const sim_script *s = job->script;
    make_content(w, job);
    take_pictures(w, job);
    assert_int_equal(gi_kv_sequence_init(&job->kv, &w->pool, s->n_prompt + s->n_answer, NULL),
                     GLINT_OK);
    job->seq.kv = &job->kv;
    job->seq.n_prompt = job->seq.n_known = s->n_prompt;
    job->seq.n_answer_guess = s->n_answer;
    job->seq.priority = s->priority;
    job->seq.n_places = s->n_pictures;
    if (w->config->n_cached_max > 0) {
        job->seq.keys = job->keys;
        job->seq.n_keys = s->n_prompt / w->config->block_tokens;
    }
}

static double cost_ms(const sim_world *w, const sim_script *s) {
    gi_cost_request r = {.n_prompt_rows = s->n_prompt, .n_answer_tokens = s->n_answer};
    for (size_t i = 0; i < s->n_pictures; i++)
        r.vision_work += (double)w->config->picture_patches[s->pictures[i].content];
    return gi_costs_request_ms(&w->costs, &r);
}

/* ---- coming and going ---- */

static const char *const END_NAMES[SIM_ENDS] = {"nothing",   "answered", "busy",       "bad",
                                                "cancelled", "expired",  "unmeetable", "failed"};

void sim_finish(sim_world *w, sim_job *job, sim_end how) {
    say(w, job, END_NAMES[how]);
    SIM_CHECK(w, job->outcome->how == SIM_END_NONE); /* ends exactly once */
    SIM_CHECK(w, job->item.state == GI_SCHED_DONE && !job->is_planned);
    SIM_CHECK(w, job->kv.n_blocks == 0);
    job->outcome->how = how;
    job->outcome->end_ms = w->now_ms;
    w->report->n_ends[how]++;
    *(job->prev ? &job->prev->next : &w->jobs) = job->next;
    if (job->next) job->next->prev = job->prev;
    for (size_t i = 0; i < SIM_PICTURES_MAX; i++)
        if (job->pictures[i]) job->pictures[i]->n_refs--;
    gi_kv_sequence_done(&job->kv);
    gi_free(job->chain);
    gi_free(job->keys);
    gi_free(job);
    sim_sweep_pictures(w);
}

static void arrive(sim_world *w, const sim_script *script, sim_outcome *outcome) {
    sim_job *job = gi_calloc(1, sizeof *job);
    assert_non_null(job);
    job->script = script;
    job->outcome = outcome;
    *outcome = (sim_outcome){.arrive_ms = w->now_ms};
    job->item.tenant = script->tenant;
    job->item.priority = script->priority;
    const glint_status st = gi_line_submit(&w->line, &job->item, w->now_ms);
    sim_check_place(w, job, st);
    if (st != GLINT_OK) {
        outcome->how = SIM_END_BUSY;
        outcome->end_ms = w->now_ms;
        w->report->n_ends[SIM_END_BUSY]++;
        gi_free(job);
        return;
    }
    job->next = w->jobs;
    if (w->jobs) w->jobs->prev = job;
    w->jobs = job;
}

static sim_end end_of(const sim_job *job) {
    switch (job->item.stop) {
    case GI_SCHED_STOP_NONE:
        return SIM_END_BAD;
    case GI_SCHED_STOP_EXPIRED:
        return SIM_END_EXPIRED;
    case GI_SCHED_STOP_UNMEETABLE:
        return SIM_END_UNMEETABLE;
    case GI_SCHED_STOP_CANCELLED:
    case GI_SCHED_STOP_DRAINED:
        break;
    }
    return SIM_END_CANCELLED;
}

static void cancel_due(sim_world *w) {
    for (sim_job *next, *job = w->jobs; job; job = next) {
        next = job->next;
        if (job->script->cancel_ms <= 0 || job->script->cancel_ms > w->now_ms + SOON_MS) continue;
        /* Half of the running ones go at once, in the middle of a step; the others after it. */
        if (gi_line_stop(&job->item, GI_SCHED_STOP_CANCELLED) && sim_draw(&w->rng, 2) == 0)
            sim_engine_remove(w, job, SIM_END_CANCELLED);
    }
}

static void reap_due(sim_world *w) {
    for (gi_sched_item *item; (item = gi_line_reap(&w->line, w->now_ms + SOON_MS));)
        sim_finish(w, job_of(item), end_of(job_of(item)));
}

/* ---- the crew ---- */

static void take_work(sim_world *w, sim_worker *worker) {
    gi_sched_item *item = gi_line_take(&w->line, GI_SCHED_ADMITTING, w->now_ms);
    if (!item) item = gi_line_take(&w->line, GI_SCHED_PREPARING, w->now_ms);
    if (!item) return;
    SIM_CHECK(w, item->stop == GI_SCHED_STOP_NONE);
    worker->job = job_of(item);
    worker->left_ms = item->state == GI_SCHED_ADMITTING ? worker->job->script->admit_ms
                                                        : worker->job->script->prepare_ms;
}

static void end_work(sim_world *w, sim_worker *worker) {
    sim_job *job = worker->job;
    worker->job = NULL;
    const bool is_admitting = job->item.state == GI_SCHED_ADMITTING;
    if (is_admitting) {
        job->item.cost_ms = cost_ms(w, job->script);
        if (job->script->timeout_ms > 0)
            job->item.deadline_ms = job->script->arrive_ms + job->script->timeout_ms;
        w->line.running_ms = gi_plan_backlog_ms(w->plan);
    } else {
        prepare_job(w, job);
    }
    /* Some bad requests are seen early, others when their pictures are read. */
    const bool ok = !job->script->is_bad || (is_admitting && job->script->seed % 2 == 0);
    if (ok && job->item.stop == GI_SCHED_STOP_NONE && gi_line_put(&w->line, &job->item, w->now_ms))
        return;
    gi_line_leave(&w->line, &job->item, w->now_ms);
    sim_finish(w, job, end_of(job));
}

/* ---- the clock ---- */

/* Let time pass up to `until_ms` or to the first end of somebody's work. */
static void pass_time(sim_world *w, double until_ms) {
    double n_wanted = w->step ? w->config->n_cores : 0, first_ms = INFINITY;
    for (size_t i = 0; i < w->config->n_crew; i++) n_wanted += w->crew[i].job != NULL;
    const double speed = n_wanted > w->config->n_cores ? w->config->n_cores / n_wanted : 1;
    if (w->step) first_ms = w->step_left_ms;
    for (size_t i = 0; i < w->config->n_crew; i++)
        if (w->crew[i].job) first_ms = fmin(first_ms, w->crew[i].left_ms);
    const double pass_ms = fmin(fmax(0, until_ms - w->now_ms), first_ms / speed);
    SIM_CHECK(w, isfinite(pass_ms)); /* somebody waits, nobody works */
    w->now_ms += pass_ms;
    w->step_left_ms -= pass_ms * speed;
    for (size_t i = 0; i < w->config->n_crew; i++) w->crew[i].left_ms -= pass_ms * speed;
}

static double next_event_ms(const sim_world *w) {
    double ms = gi_line_next_deadline_ms(&w->line);
    for (const sim_job *job = w->jobs; job; job = job->next)
        if (job->script->cancel_ms > w->now_ms + SOON_MS) ms = fmin(ms, job->script->cancel_ms);
    return ms;
}

static void begin_world(sim_world *w) {
    const sim_config *c = w->config;
    gi_line_init(&w->line, c->queue_max, c->ready_max);
    w->line.has_tenants = c->has_tenants;
    gi_costs_init(&w->costs, &c->guess);
    assert_int_equal(gi_kv_pool_init(&w->pool, c->n_blocks, c->block_tokens, c->n_cached_max, NULL),
                     GLINT_OK);
    assert_int_equal(gi_plan_create(&c->plan, &w->pool, &w->costs, &w->plan, NULL), GLINT_OK);
    w->slots = gi_calloc(c->n_blocks * c->block_tokens, sizeof *w->slots);
    w->n_holders = gi_calloc(c->n_blocks, sizeof *w->n_holders);
    assert_true(w->slots && w->n_holders);
}

static void end_world(sim_world *w) {
    SIM_CHECK(w, gi_kv_pool_available(&w->pool) == w->pool.n_blocks);
    w->report->plan = gi_plan_get_stats(w->plan);
    w->report->end_ms = w->now_ms;
    SIM_CHECK(w, w->report->plan.n_seqs == 0 && gi_plan_backlog_ms(w->plan) == 0);
    for (size_t i = 0; i < SIM_CONTENTS_MAX; i++) {
        if (!w->pictures[i]) continue;
        SIM_CHECK(w, w->pictures[i]->n_refs == 0 && w->pictures[i]->plan.n_users == 0 &&
                         !w->pictures[i]->plan.is_encoding);
        gi_free(w->pictures[i]);
    }
    gi_plan_free(w->plan);
    gi_kv_pool_done(&w->pool);
    gi_free(w->slots);
    gi_free(w->n_holders);
}

/* When the next request arrives, of which n_arrived have. */
static double arrival_ms(const sim_world *w, const sim_script *next, size_t n_arrived) {
    if (w->config->n_clients == 0) return next->arrive_ms;
    size_t n_ended = 0;
    for (size_t i = 0; i < SIM_ENDS; i++) n_ended += w->report->n_ends[i];
    return n_arrived - n_ended < w->config->n_clients ? w->now_ms : HUGE_VAL;
}

void sim_run(const sim_config *config, const sim_script *scripts, size_t n,
             sim_outcome *ret_outcomes, sim_report *ret_report) {
    *ret_report = (sim_report){0};
    sim_world world = {.config = config, .rng = config->seed, .report = ret_report}, *w = &world;
    begin_world(w);
    for (size_t n_arrived = 0; n_arrived < n || w->jobs || w->step;) {
        SIM_CHECK(w, w->n_steps < STEPS_MAX); /* else they keep each other from ending */
        const double next_ms =
            n_arrived < n ? arrival_ms(w, &scripts[n_arrived], n_arrived) : HUGE_VAL;
        pass_time(w, fmin(next_ms, next_event_ms(w)));
        for (;
             n_arrived < n && arrival_ms(w, &scripts[n_arrived], n_arrived) <= w->now_ms + SOON_MS;
             n_arrived++)
            arrive(w, &scripts[n_arrived], &ret_outcomes[n_arrived]);
        cancel_due(w);
        for (size_t i = 0; i < config->n_crew; i++)
            if (w->crew[i].job && w->crew[i].left_ms <= SOON_MS) end_work(w, &w->crew[i]);
        if (sim_draw(&w->rng, 2)) reap_due(w); /* else the clerk is late */
        if (w->step && w->step_left_ms <= SOON_MS) sim_engine_end(w);
        sim_engine_start(w);
        for (size_t i = 0; i < config->n_crew; i++)
            if (!w->crew[i].job) take_work(w, &w->crew[i]);
        reap_due(w);
    }
    end_world(w);
}
