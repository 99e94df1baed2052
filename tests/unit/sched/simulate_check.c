/*
 * What must be true of every step and of the blocks at any time, worked out again from the requests
 * rather than from the planner's own fields.
 */
#include "../cm.h"

#include "simulate_world.h"

#include <math.h>
#include <string.h>

/* ---- blocks ---- */

void sim_check_pool(sim_world *w) {
    const gi_kv_pool *pool = &w->pool;
    size_t n_held = 0;
    memset(w->n_holders, 0, pool->n_blocks * sizeof *w->n_holders);
    for (const sim_job *job = w->jobs; job; job = job->next) {
        SIM_CHECK(w, job->is_planned || job->kv.n_blocks == 0);
        SIM_CHECK(w, job->kv.n_tokens <= job->kv.n_blocks * pool->block_tokens);
        for (size_t i = 0; i < job->kv.n_blocks; i++) w->n_holders[job->kv.blocks[i]]++;
    }
    for (size_t i = 0; i < pool->n_blocks; i++) {
        SIM_CHECK(w, w->n_holders[i] == pool->n_refs[i]);
        n_held += w->n_holders[i] > 0;
    }
    for (size_t i = 0; i < pool->n_free; i++) SIM_CHECK(w, w->n_holders[pool->free_blocks[i]] == 0);
    SIM_CHECK(w, pool->n_free + n_held + gi_kv_pool_cached(pool) == pool->n_blocks);
    if (w->n_steps % 64 == 0) SIM_CHECK(w, gi_kv_prefix_is_sound(&pool->prefix));
}

/* ---- the line ---- */

/* A request that has just come, and is not among w->jobs yet: in the line it has left as many
 * places free as its tenant had taken before it; refused, there was none for it. */
void sim_check_place(sim_world *w, const sim_job *job, glint_status st) {
    size_t n_waiting = 0, n_own = 0;
    for (const sim_job *j = w->jobs; j; j = j->next) {
        if (j->item.state >= GI_SCHED_RUNNING) continue;
        n_waiting++;
        n_own += j->script->tenant == job->script->tenant;
    }
    const size_t n_free = w->config->queue_max - n_waiting;
    SIM_CHECK(w, n_waiting <= w->config->queue_max);
    if (st == GLINT_OK)
        SIM_CHECK(w, n_free > (w->config->has_tenants ? n_own : 0));
    else if (w->config->has_tenants && n_free > 0)
        SIM_CHECK(w, st == GLINT_ERR_LIMIT && n_own >= n_free);
    else
        SIM_CHECK(w, n_free == 0);
}

/* ---- a step ---- */

static bool is_fed(const gi_plan_step *step, const sim_job *job) {
    for (size_t i = 0; i < step->n_feeds; i++)
        if (step->feeds[i].seq == &job->seq) return true;
    return false;
}

static bool goes_before(const sim_job *a, const sim_job *b) {
    if (a->script->priority != b->script->priority)
        return a->script->priority > b->script->priority;
    return a->seq.joined < b->seq.joined;
}

/* True if somebody who goes before `job` is fed, or may be fed sooner without its blocks. */
static bool has_reason(const sim_world *w, const gi_plan_step *step, const sim_job *job) {
    for (const sim_job *j = w->jobs; j; j = j->next)
        if (j != job && j->is_planned && goes_before(j, job) &&
            (is_fed(step, j) || j->kv.n_blocks > 0 || j->script->priority > job->script->priority))
            return true;
    return false;
}

/* Nobody loses blocks for somebody who goes after it; every other answer goes on. */
static void check_answers_go_on(sim_world *w, const gi_plan_step *step) {
    for (sim_job *job = w->jobs; job; job = job->next) {
        if (!job->is_planned) continue;
        if (job->seq.n_preempted != job->n_preempted) {
            SIM_CHECK(w, has_reason(w, step, job));
            job->n_preempted = job->seq.n_preempted;
            job->is_answering = false;
        } else if (job->is_answering) {
            SIM_CHECK(w, is_fed(step, job));
        }
    }
}

static void check_feeds(sim_world *w, const gi_plan_step *step) {
    size_t n_rows = 0, n_answer_rows = 0;
    for (size_t i = 0; i < step->n_feeds; i++) {
        const gi_plan_feed *f = &step->feeds[i];
        const sim_job *job = sim_job_of(f->seq);
        SIM_CHECK(w, job->is_planned && job->item.state == GI_SCHED_RUNNING);
        SIM_CHECK(w, f->n > 0 && f->first == job->kv.n_tokens);
        SIM_CHECK(w, f->first + f->n <= job->seq.n_known);
        SIM_CHECK(w, f->wants_logits == (f->first + f->n == job->seq.n_known));
        SIM_CHECK(w, f->first + f->n <= job->kv.n_blocks * w->config->block_tokens);
        for (size_t k = 0; k < i; k++) SIM_CHECK(w, step->feeds[k].seq != f->seq);
        /* Answers first. */
        SIM_CHECK(w, !job->is_answering || n_rows == n_answer_rows);
        n_rows += f->n;
        if (job->is_answering) n_answer_rows += f->n;
    }
    SIM_CHECK(w, n_rows == step->n_rows && n_answer_rows == step->n_answer_rows);
    SIM_CHECK(w, n_rows <= w->config->plan.rows_max);
}

static void check_pictures(sim_world *w, const gi_plan_step *step) {
    size_t n_patches = 0;
    SIM_CHECK(w, step->n_pictures <= w->config->plan.pictures_max);
    for (size_t i = 0; i < step->n_pictures; i++) {
        SIM_CHECK(w, step->pictures[i]->is_encoding && !step->pictures[i]->is_encoded);
        SIM_CHECK(w, step->pictures[i]->n_users > 0);
        for (size_t k = 0; k < i; k++) SIM_CHECK(w, step->pictures[k] != step->pictures[i]);
        n_patches += step->pictures[i]->n_patches;
    }
    SIM_CHECK(w, n_patches <= w->config->plan.patches_max || step->n_pictures == 1);
    SIM_CHECK(w, step->n_pictures == 0 || step->n_vision_layers > 0);
}

static double tower_work(const sim_world *w, const gi_plan_step *step) {
    double work = 0;
    if (step->n_pictures > 0)
        for (size_t i = 0; i < step->n_pictures; i++) work += step->pictures[i]->work;
    else
        for (size_t i = 0; i < w->n_tower; i++) work += w->tower[i]->plan.work;
    return work;
}

/* Time as planned, by the costs the planner knew: at no moment of a stretch of steps with answers
 * has all else had more than its share, one layer or block excepted. */
static void check_time(sim_world *w, const gi_plan_step *step) {
    const gi_plan_config *c = &w->config->plan;
    const gi_cost_rates *r = &w->costs.rates;
    const double layer_ms = step->n_vision_layers == 0
                                ? 0
                                : r->vision_ms * tower_work(w, step) / (double)c->vision_layers;
    const double block_ms = r->prefill_row_ms * (double)w->config->block_tokens;
    const double unit_ms = fmax(layer_ms, block_ms), little = 1 + 1e-9;
    const double vision_ms = layer_ms * (double)step->n_vision_layers;
    if (step->n_vision_layers > 1) SIM_CHECK(w, vision_ms <= c->step_ms_max * little);
    if (step->n_answer_rows == 0) {
        w->allowed_ms = w->spent_ms = w->unit_ms = 0;
        return;
    }
    size_t n_answers = 0;
    for (size_t i = 0; i < step->n_feeds; i++)
        n_answers += sim_job_of(step->feeds[i].seq)->is_answering;
    const double answers_ms = r->base_ms + r->answer_row_ms * (double)step->n_answer_rows;
    const double least_ms = r->base_ms + r->answer_row_ms * (double)n_answers;
    const double other_ms =
        vision_ms + r->prefill_row_ms * (double)(step->n_rows - step->n_answer_rows);
    SIM_CHECK(w, answers_ms <= fmax(least_ms, c->step_ms_max) * little);
    SIM_CHECK(w,
              answers_ms + other_ms <= (fmax(2 * answers_ms, c->step_ms_max) + unit_ms) * little);
    w->allowed_ms += c->share * answers_ms;
    w->spent_ms += other_ms;
    w->unit_ms = fmax(w->unit_ms, unit_ms);
    SIM_CHECK(w, w->spent_ms <= (w->allowed_ms + w->unit_ms) * little);
    w->report->n_answer_steps++;
    if (n_answers > w->report->answers_max) w->report->answers_max = n_answers;
}

void sim_check_step(sim_world *w, const gi_plan_step *step) {
    SIM_CHECK(w, step->n_feeds > 0 || step->n_vision_layers > 0);
    check_answers_go_on(w, step);
    check_feeds(w, step);
    check_pictures(w, step);
    check_time(w, step);
}
