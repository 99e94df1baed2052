/*
 * The life of requests in the planner: they join, steps are done, they leave. The list is kept in
 * order (higher priority first, then as they joined), so that every walk along it is a walk in the
 * order of who goes first. What a step does is plan_step.c's.
 */
#include "sched/plan.h"

#include "base/alloc.h"
#include "sched/plan_state.h"

#include <math.h>

static bool is_sound(const gi_plan_config *c, const gi_kv_pool *pool) {
    return c->seqs_max >= 1 && c->seqs_max <= GI_PLAN_SEQS_MAX && c->rows_max >= c->seqs_max &&
           c->rows_max >= pool->block_tokens && c->patches_max >= 1 && c->pictures_max >= 1 &&
           c->vision_layers >= 1 && c->share > 0 && isfinite(c->share) && c->step_ms_max > 0;
}

glint_status gi_plan_create(const gi_plan_config *config, gi_kv_pool *pool, gi_costs *costs,
                            gi_plan **ret, glint_error *err) {
    if (!is_sound(config, pool))
        return gi_fail(err, GLINT_ERR_ARG, "planner: a limit is out of range");
    gi_plan *plan = gi_calloc(1, sizeof *plan);
    gi_plan_feed *feeds = gi_calloc(config->seqs_max, sizeof *feeds);
    gi_picture_state **pictures = gi_calloc(config->pictures_max, sizeof(gi_picture_state *));
    if (!plan || !feeds || !pictures) {
        gi_free(plan);
        gi_free(feeds);
        gi_free(pictures);
        return gi_fail(err, GLINT_ERR_MEMORY, "planner: no memory");
    }
    *plan = (gi_plan){.config = *config,
                      .pool = pool,
                      .costs = costs,
                      .batch.pictures = pictures,
                      .step.feeds = feeds};
    *ret = plan;
    return GLINT_OK;
}

void gi_plan_free(gi_plan *plan) {
    if (!plan) return;
    gi_assert(plan->stats.n_seqs == 0 && !plan->is_open);
    gi_free(plan->step.feeds);
    gi_free(plan->batch.pictures);
    gi_free(plan);
}

bool gi_plan_has_room(const gi_plan *plan) {
    return plan->stats.n_seqs < plan->config.seqs_max;
}

/* ---- joining and leaving ---- */

void gi_plan_add(gi_plan *plan, gi_plan_seq *seq) {
    gi_assert(gi_plan_has_room(plan) && !plan->is_open);
    gi_assert(seq->kv->n_blocks == 0 && seq->n_prompt >= 1 && seq->n_known >= seq->n_prompt);
    gi_assert(seq->n_places <= GI_PLAN_PICTURES_MAX);
    gi_assert(seq->n_keys <= (seq->keys ? seq->n_prompt / plan->pool->block_tokens : 0));
    seq->joined = plan->n_joined++;
    seq->n_prefill = seq->n_known;
    for (size_t i = 0; i < seq->n_places; i++) seq->places[i].picture->n_users++;
    gi_plan_seq *before = plan->tail; /* the one that goes just before it */
    while (before && gi_plan_is_before(seq, before)) before = before->prev;
    seq->prev = before;
    seq->next = before ? before->next : plan->head;
    *(seq->next ? &seq->next->prev : &plan->tail) = seq;
    *(before ? &before->next : &plan->head) = seq;
    plan->stats.n_seqs++;
}

static void drop_batch(gi_plan *plan) {
    for (size_t i = 0; i < plan->batch.n; i++) plan->batch.pictures[i]->is_encoding = false;
    plan->batch.n = 0;
}

static void drop_unwanted_batch(gi_plan *plan) {
    for (size_t i = 0; i < plan->batch.n; i++)
        if (plan->batch.pictures[i]->n_users > 0) return;
    drop_batch(plan);
}

void gi_plan_remove(gi_plan *plan, gi_plan_seq *seq) {
    *(seq->prev ? &seq->prev->next : &plan->head) = seq->next;
    *(seq->next ? &seq->next->prev : &plan->tail) = seq->prev;
    seq->prev = seq->next = NULL;
    plan->stats.n_seqs--;
    gi_kv_sequence_release(seq->kv);
    for (size_t i = 0; i < seq->n_places; i++) seq->places[i].picture->n_users--;
    for (size_t i = 0; plan->is_open && i < plan->step.n_feeds; i++)
        if (plan->step.feeds[i].seq == seq) plan->step.feeds[i].seq = NULL;
    if (!plan->is_open) drop_unwanted_batch(plan); /* else when the step is done */
}

/* ---- after a step ---- */

static void store(gi_plan_feed *feed) {
    gi_plan_seq *seq = feed->seq;
    if (!seq) return;
    seq->kv->n_tokens = feed->first + feed->n;
    if (seq->keys && feed->first < seq->n_prompt)
        gi_kv_sequence_publish(seq->kv, seq->keys, seq->n_keys);
}

static void end_vision(gi_plan *plan) {
    for (size_t i = 0; i < plan->batch.n; i++) plan->batch.pictures[i]->is_encoded = true;
    plan->stats.n_vision_batches++;
    plan->stats.n_pictures += plan->batch.n;
    drop_batch(plan);
}

void gi_plan_done(gi_plan *plan, double vision_ms, double text_ms) {
    gi_assert(plan->is_open);
    const gi_plan_step *step = &plan->step;
    plan->is_open = false;
    for (size_t i = 0; i < step->n_feeds; i++) store(&step->feeds[i]);
    plan->stats.n_steps++;
    plan->stats.n_rows += step->n_rows;
    plan->stats.n_answer_rows += step->n_answer_rows;
    gi_costs_saw_text(plan->costs, step->n_answer_rows, step->n_rows - step->n_answer_rows,
                      text_ms);
    if (step->n_vision_layers > 0) {
        const double part = (double)step->n_vision_layers / (double)plan->config.vision_layers;
        gi_costs_saw_vision(plan->costs, plan->batch.work * part, vision_ms);
        plan->batch.n_layers_done += step->n_vision_layers;
    }
    if (step->ends_vision) end_vision(plan);
    drop_unwanted_batch(plan);
}

void gi_plan_extend(gi_plan_seq *seq, size_t n_new) {
    gi_assert(gi_plan_stored(seq) == seq->n_known);
    seq->n_known += n_new;
}

/* ---- what is left ---- */

/* Work of a picture that one of its users has to bear. */
static double picture_work(const gi_plan *plan, const gi_picture_state *p) {
    if (p->is_encoded) return 0;
    const double n_layers = (double)plan->config.vision_layers;
    const double done = p->is_encoding ? (double)plan->batch.n_layers_done / n_layers : 0;
    return p->work * (1 - done) / (double)p->n_users;
}

double gi_plan_backlog_ms(const gi_plan *plan) {
    double ms = 0;
    for (const gi_plan_seq *s = plan->head; s; s = s->next) {
        const size_t n_stored = gi_plan_stored(s), n_answer = s->n_known - s->n_prompt;
        gi_cost_request left = {
            .n_prompt_rows = s->n_prefill > n_stored ? s->n_prefill - n_stored : 0,
            .n_answer_tokens = s->n_answer_guess > n_answer ? s->n_answer_guess - n_answer : 1,
        };
        for (size_t i = 0; i < s->n_places; i++)
            if (gi_plan_needs(s, &s->places[i]))
                left.vision_work += picture_work(plan, s->places[i].picture);
        ms += gi_costs_request_ms(plan->costs, &left);
    }
    return ms;
}

gi_plan_stats gi_plan_get_stats(const gi_plan *plan) {
    return plan->stats;
}
