/*
 * The engine's part: take what is ready, run the planner's steps, end requests. And the fake model,
 * whose keys and values are one number a position, a hash of the request's tokens up to there. It
 * looks at all positions a token would attend to, in the blocks that the step names.
 */
#include "../cm.h"

#include "simulate_world.h"

#include <math.h>

/* ---- the fake model ---- */

static uint64_t *slot(sim_world *w, const sim_job *job, size_t position) {
    const size_t block = w->config->block_tokens;
    SIM_CHECK(w, position / block < job->kv.n_blocks);
    return &w->slots[(size_t)job->kv.blocks[position / block] * block + position % block];
}

static void read_stored(sim_world *w, const gi_plan_feed *feed) {
    const sim_job *job = sim_job_of(feed->seq);
    for (size_t i = 0; i < feed->first; i++) {
        const uint64_t stored = *slot(w, job, i);
        SIM_CHECK(w, stored == job->chain[i]); /* what this very request wrote there, or its like */
    }
    for (size_t i = 0; i < job->script->n_pictures; i++) {
        const sim_picture_ref *p = &job->script->pictures[i];
        const bool is_fed =
            p->first_token < feed->first + feed->n && p->first_token + p->n_tokens > feed->first;
        SIM_CHECK(w, !is_fed || job->pictures[i]->is_encoded);
    }
}

static void write_fed(sim_world *w, const gi_plan_feed *feed) {
    const sim_job *job = sim_job_of(feed->seq);
    const size_t block = w->config->block_tokens;
    for (size_t i = feed->first; i < feed->first + feed->n; i++) {
        *slot(w, job, i) = job->chain[i];
        SIM_CHECK(w, w->pool.n_refs[job->kv.blocks[i / block]] == 1); /* nobody else reads it */
    }
}

static sim_picture *picture_of(gi_picture_state *p) {
    return (sim_picture *)(void *)((char *)p - offsetof(sim_picture, plan));
}

static void run_vision(sim_world *w, const gi_plan_step *step) {
    if (step->n_pictures > 0) {
        w->n_tower = w->n_tower_layers = 0; /* what was in there is forgotten; it may be freed */
        for (size_t i = 0; i < step->n_pictures; i++)
            w->tower[w->n_tower++] = picture_of(step->pictures[i]);
    }
    if (step->n_vision_layers == 0) return;
    bool is_wanted = false;
    for (size_t i = 0; i < w->n_tower; i++) is_wanted |= w->tower[i]->plan.n_users > 0;
    SIM_CHECK(w, is_wanted);
    w->n_tower_layers += step->n_vision_layers;
    SIM_CHECK(w, w->n_tower_layers <= w->config->plan.vision_layers);
    SIM_CHECK(w, step->ends_vision == (w->n_tower_layers == w->config->plan.vision_layers));
}

/* ---- requests ---- */

static void leave(sim_world *w, sim_job *job, sim_end how) {
    gi_line_leave(&w->line, &job->item, w->now_ms);
    sim_finish(w, job, how);
}

void sim_engine_remove(sim_world *w, sim_job *job, sim_end how) {
    gi_plan_remove(w->plan, &job->seq);
    job->is_planned = false;
    leave(w, job, how);
}

/* Tokens that follow after the last known one: the chosen one and what is forced behind it. */
static size_t n_following(const sim_job *job) {
    const sim_script *s = job->script;
    const size_t n_left = s->n_prompt + s->n_answer - job->seq.n_known;
    uint64_t h = job->chain[job->seq.n_known - 1];
    size_t n = 1;
    if (s->forced_every > 0 && sim_draw(&h, s->forced_every) == 0)
        n += 1 + sim_draw(&h, s->forced_max);
    return n < n_left ? n : n_left;
}

/* A slow reader has fallen so far behind that the server drops it. */
static bool is_behind(const sim_world *w, const sim_job *job) {
    if (job->script->read_ms <= 0) return false;
    const double n_read = (w->now_ms - job->outcome->first_token_ms) / job->script->read_ms;
    return (double)(job->seq.n_known - job->script->n_prompt) - n_read >
           (double)w->config->unread_max;
}

/* Its last known token was fed. */
static void choose(sim_world *w, sim_job *job) {
    if (job->outcome->first_token_ms <= 0) job->outcome->first_token_ms = w->now_ms;
    SIM_CHECK(w, job->kv.n_tokens == job->seq.n_known);
    if (job->seq.n_known == job->script->n_prompt + job->script->n_answer) {
        sim_engine_remove(w, job, SIM_END_ANSWERED);
        return;
    }
    gi_plan_extend(&job->seq, n_following(job));
    job->is_answering = true;
    if (is_behind(w, job)) gi_line_stop(&job->item, GI_SCHED_STOP_CANCELLED);
}

/* ---- steps ---- */

static void fill_plan(sim_world *w) {
    while (gi_plan_has_room(w->plan)) {
        gi_sched_item *item = gi_line_take(&w->line, GI_SCHED_RUNNING, w->now_ms);
        if (!item) return;
        sim_job *job = (sim_job *)(void *)((char *)item - offsetof(sim_job, item));
        SIM_CHECK(w, item->stop == GI_SCHED_STOP_NONE);
        gi_plan_add(w->plan, &job->seq);
        job->is_planned = true;
    }
}

static void price(sim_world *w, const gi_plan_step *step) {
    const gi_cost_rates *t = &w->config->truth;
    const size_t n_other = step->n_rows - step->n_answer_rows;
    double work = 0;
    for (size_t i = 0; step->n_vision_layers > 0 && i < w->n_tower; i++)
        work += w->tower[i]->plan.work;
    const double part = (double)step->n_vision_layers / (double)w->config->plan.vision_layers;
    const double noise = 1 + w->config->noise * (2 * sim_unit(&w->rng) - 1);
    w->vision_ms = noise * t->vision_ms * work * part;
    w->text_ms = 0;
    if (step->n_rows > 0)
        w->text_ms = noise * (t->base_ms + t->answer_row_ms * (double)step->n_answer_rows +
                              t->prefill_row_ms * (double)n_other);
    w->step_left_ms = w->vision_ms + w->text_ms;
    w->report->vision_ms += w->vision_ms;
    w->report->text_ms += w->text_ms;
}

void sim_engine_start(sim_world *w) {
    if (w->step) return;
    fill_plan(w);
    const gi_plan_step *step;
    if (!gi_plan_next(w->plan, &step)) {
        for (const sim_job *job = w->jobs; job; job = job->next)
            SIM_CHECK(w, !job->is_planned); /* there is always something to do */
        return;
    }
    w->n_steps++;
    sim_check_step(w, step);
    sim_check_pool(w);
    run_vision(w, step);
    price(w, step);
    for (size_t i = 0; i < step->n_feeds; i++) read_stored(w, &step->feeds[i]);
    for (size_t i = 0; i < step->n_feeds; i++) write_fed(w, &step->feeds[i]);
    w->step = step;
}

/* Those that were stopped or whose time is over go, between steps. */
static void end_stopped(sim_world *w) {
    for (sim_job *next, *job = w->jobs; job; job = next) {
        next = job->next;
        if (!job->is_planned) continue;
        if (job->item.stop != GI_SCHED_STOP_NONE)
            sim_engine_remove(w, job, SIM_END_CANCELLED);
        else if (job->item.deadline_ms > 0 && job->item.deadline_ms <= w->now_ms)
            sim_engine_remove(w, job, SIM_END_EXPIRED);
    }
}

static void note_gap(sim_world *w, sim_job *job) {
    if (!job->is_answering) return;
    if (job->last_fed_ms > 0)
        job->outcome->gap_max_ms = fmax(job->outcome->gap_max_ms, w->now_ms - job->last_fed_ms);
    job->last_fed_ms = w->now_ms;
}

void sim_engine_end(sim_world *w) {
    const gi_plan_step *step = w->step;
    const uint32_t fail_every = w->config->fail_every;
    const bool ends_vision = step->ends_vision;
    w->step = NULL;
    gi_plan_done(w->plan, w->vision_ms, w->text_ms);
    for (size_t i = 0; ends_vision && i < w->n_tower; i++) w->tower[i]->is_encoded = true;
    if (ends_vision) w->n_tower = 0;
    for (size_t i = 0; i < step->n_feeds; i++) {
        if (!step->feeds[i].seq) continue;
        sim_job *job = sim_job_of(step->feeds[i].seq);
        note_gap(w, job);
        if (!step->feeds[i].wants_logits) continue;
        if (fail_every > 0 && sim_draw(&w->rng, fail_every) == 0)
            sim_engine_remove(w, job, SIM_END_FAILED);
        else
            choose(w, job);
    }
    end_stopped(w);
    sim_sweep_pictures(w);
    sim_check_pool(w);
    w->line.running_ms = gi_plan_backlog_ms(w->plan);
}
