/*
 * What a step does. In this order: rows of answers; prefill; layers of the vision tower. The latter
 * two share an allowance of time, which is without limit while no answer runs. They cannot be cut
 * finer than a block of tokens and a layer; what they take too much is a debt that the next steps
 * pay, so that the share holds in the long run whatever a layer costs.
 *
 * While no answer runs, a prompt that can be fed is fed alone: the sooner it is an answer, the
 * sooner its steps can be shared.
 */
#include "sched/plan_state.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

static void push_feed(gi_plan *plan, gi_plan_seq *seq, size_t n) {
    const size_t first = gi_plan_stored(seq);
    plan->step.feeds[plan->step.n_feeds++] = (gi_plan_feed){
        .seq = seq, .first = first, .n = n, .wants_logits = first + n == seq->n_known};
    plan->step.n_rows += n;
    seq->has_begun = true;
}

/* How many things of `each_ms` fit into a time. */
static size_t count_within(double ms, double each_ms, size_t n_most) {
    const double n = floor(fmax(ms, 0) / each_ms);
    return n < (double)n_most ? (size_t)n : n_most;
}

/* ---- answers ---- */

/* Every answer gets a row; forced tokens get what is left of rows and time, first come. */
static void feed_answers(gi_plan *plan) {
    const gi_plan_config *c = &plan->config;
    size_t n_answers = 0;
    for (const gi_plan_seq *s = plan->head; s; s = s->next) {
        gi_assert(s->n_known > gi_plan_stored(s)); /* extended or removed since the last step */
        n_answers += gi_plan_is_answering(s);
    }
    const double left_ms = c->step_ms_max - gi_costs_text_ms(plan->costs, n_answers, 0);
    size_t n_extra =
        count_within(left_ms, plan->costs->rates.answer_row_ms, c->rows_max - n_answers);
    for (gi_plan_seq *s = plan->head; s; s = s->next) {
        if (!gi_plan_is_answering(s)) continue;
        const size_t n_want = gi_min_size(s->n_known - gi_plan_stored(s), 1 + n_extra);
        const size_t n = gi_plan_hold(plan, s, n_want, true);
        if (n == 0) {
            gi_plan_preempt(plan, s); /* those before it have all the blocks */
            continue;
        }
        n_extra -= n - 1;
        push_feed(plan, s, n);
    }
    plan->step.n_answer_rows = plan->step.n_rows;
}

/* ---- prefill ---- */

/* True if all pictures that a request needs are encoded. */
static bool has_pictures(const gi_plan_seq *seq) {
    for (size_t i = 0; i < seq->n_places; i++)
        if (!seq->places[i].picture->is_encoded && gi_plan_needs(seq, &seq->places[i]))
            return false;
    return true;
}

/* True if another prompt of this step is about to store the very block that this one needs next:
 * a step later it can be shared. */
static bool is_about_to_be_stored(const gi_plan *plan, const gi_plan_seq *seq) {
    const size_t i = seq->kv->n_blocks;
    if (i >= seq->n_keys || plan->pool->prefix.n_cached_max == 0) return false;
    for (size_t f = 0; f < plan->step.n_feeds; f++) {
        const gi_plan_seq *other = plan->step.feeds[f].seq;
        if (i < other->n_keys && gi_plan_stored(other) <= i * plan->pool->block_tokens &&
            memcmp(&other->keys[i], &seq->keys[i], sizeof *seq->keys) == 0)
            return true;
    }
    return false;
}

/* A request begins, if it may. Who finds too few blocks holds up those behind it, or they would
 * always take its room. `is_forced`: nobody else can do anything. */
static bool begin(gi_plan *plan, gi_plan_seq *seq, bool is_forced, bool *ret_holds_up) {
    if (seq->has_looked) gi_plan_unlook(seq); /* there may be more by now */
    gi_plan_look(plan, seq);
    if (!has_pictures(seq)) return false; /* or less */
    const bool is_too_large = !is_forced && !gi_plan_can_begin(plan, seq);
    if (is_too_large) *ret_holds_up = true;
    if (is_too_large || is_about_to_be_stored(plan, seq)) {
        gi_plan_unlook(seq);
        return false;
    }
    if (seq->n_preempted == 0) seq->n_cached = gi_plan_stored(seq);
    plan->stats.n_cached_tokens += gi_plan_stored(seq);
    return true;
}

/* Rows of a prompt to feed within a time: whole blocks, and the present one in any case. */
static size_t prefill_rows(const gi_plan *plan, const gi_plan_seq *seq, double within_ms) {
    const size_t block = plan->pool->block_tokens, n_stored = gi_plan_stored(seq);
    const size_t n_left = seq->n_prefill - n_stored;
    const size_t n = count_within(within_ms, plan->costs->rates.prefill_row_ms, n_left);
    if (n == n_left) return n;
    const size_t end = (n_stored + n) / block * block;
    return end > n_stored ? end - n_stored : gi_min_size(block - n_stored % block, n_left);
}

/* Feed prompts in order for up to `within_ms`; returns the time that takes. */
static double feed_prompts(gi_plan *plan, double within_ms, bool is_forced) {
    const bool may_preempt = is_forced || plan->step.n_answer_rows == 0;
    double ms = 0;
    bool holds_up = false;
    for (gi_plan_seq *s = plan->head; s; s = s->next) {
        const size_t n_rows_left = plan->config.rows_max - plan->step.n_rows;
        if (n_rows_left == 0 || ms >= within_ms) break;
        if (gi_plan_is_answering(s) || !has_pictures(s)) continue;
        if (!s->has_begun && (holds_up || !begin(plan, s, is_forced, &holds_up))) continue;
        const size_t n_want = gi_min_size(prefill_rows(plan, s, within_ms - ms), n_rows_left);
        const size_t n = gi_plan_hold(plan, s, n_want, may_preempt);
        holds_up = holds_up || n == 0;
        if (n == 0) continue;
        push_feed(plan, s, n);
        ms += (double)n * plan->costs->rates.prefill_row_ms;
        if (is_forced) break;
    }
    return ms;
}

/* ---- pictures ---- */

/* Put a request's pictures into the batch; false when one finds no room. */
static bool join_batch(gi_plan *plan, gi_plan_seq *seq, size_t *n_patches) {
    gi_plan_batch *b = &plan->batch;
    for (size_t i = 0; i < seq->n_places; i++) {
        gi_picture_state *p = seq->places[i].picture;
        if (p->is_encoded || p->is_encoding) continue;
        gi_plan_look(plan, seq);
        if (!gi_plan_needs(seq, &seq->places[i])) continue;
        if (b->n == plan->config.pictures_max ||
            (b->n > 0 && *n_patches + p->n_patches > plan->config.patches_max))
            return false;
        b->pictures[b->n++] = p;
        b->work += p->work;
        *n_patches += p->n_patches;
        p->is_encoding = true;
    }
    return true;
}

static void start_batch(gi_plan *plan) {
    size_t n_patches = 0;
    plan->batch.n_layers_done = 0;
    plan->batch.work = 0;
    for (gi_plan_seq *s = plan->head; s; s = s->next)
        if (!gi_plan_is_answering(s) && !s->has_begun && !join_batch(plan, s, &n_patches)) break;
    plan->step.pictures = plan->batch.pictures;
    plan->step.n_pictures = plan->batch.n;
}

/* Run layers for up to `within_ms`, one in any case; returns the time that takes. */
static double encode(gi_plan *plan, double within_ms) {
    gi_plan_batch *b = &plan->batch;
    if (within_ms <= 0) return 0;
    if (b->n == 0) start_batch(plan);
    if (b->n == 0) return 0;
    const size_t n_layers = plan->config.vision_layers, n_left = n_layers - b->n_layers_done;
    const double layer_ms = gi_costs_vision_ms(plan->costs, b->work) / (double)n_layers;
    const size_t n = count_within(fmin(within_ms, plan->config.step_ms_max), layer_ms, n_left);
    plan->step.n_vision_layers = n > 0 ? n : 1;
    plan->step.ends_vision = plan->step.n_vision_layers == n_left;
    return (double)plan->step.n_vision_layers * layer_ms;
}

/* ---- all of it ---- */

/* The first request whose prompt can be fed, and the first that waits for a picture. */
static void find_first(const gi_plan *plan, gi_plan_seq **ret_prompt, gi_plan_seq **ret_picture) {
    *ret_prompt = *ret_picture = NULL;
    for (gi_plan_seq *s = plan->head; s && !(*ret_prompt && *ret_picture); s = s->next) {
        if (gi_plan_is_answering(s)) continue;
        gi_plan_seq **first = has_pictures(s) ? ret_prompt : ret_picture;
        if (!*first) *first = s;
    }
}

/* Time that a step with these answers has for all else, before debts. Where answers alone fill a
 * step, others still get as much again: nobody could join a slow model's answers otherwise. */
static double allowance_ms(const gi_plan *plan) {
    const double answers_ms = gi_costs_text_ms(plan->costs, plan->step.n_answer_rows, 0);
    const double most_ms = fmax(answers_ms, plan->config.step_ms_max - answers_ms);
    return fmin(plan->config.share * answers_ms, most_ms);
}

/* Spend a time on prompts and pictures; returns what was spent. */
static double fill(gi_plan *plan, double credit_ms) {
    gi_plan_seq *prompt, *picture;
    find_first(plan, &prompt, &picture);
    if (prompt && picture && picture->priority > prompt->priority) {
        const double ms = encode(plan, credit_ms);
        return ms + (isinf(credit_ms) ? 0 : feed_prompts(plan, credit_ms - ms, false));
    }
    const bool is_picture_first = prompt && picture && gi_plan_is_before(picture, prompt);
    const double ms = feed_prompts(plan, is_picture_first ? credit_ms / 2 : credit_ms, false);
    if (!isinf(credit_ms) || ms <= 0) return ms + encode(plan, credit_ms - ms);
    return ms + encode(plan, is_picture_first ? ms : 0);
}

static void choose(gi_plan *plan) {
    gi_plan_seq *prompt, *picture;
    find_first(plan, &prompt, &picture);
    if (prompt && !prompt->has_begun) gi_plan_make_room(plan, prompt);
    feed_answers(plan);
    if (plan->step.n_answer_rows == 0) {
        plan->debt_ms = 0;
        fill(plan, INFINITY);
        if (plan->step.n_feeds == 0 && plan->step.n_vision_layers == 0)
            feed_prompts(plan, INFINITY, true);
        return;
    }
    const double credit_ms = allowance_ms(plan) - plan->debt_ms;
    plan->debt_ms = fmax(0, credit_ms > 0 ? fill(plan, credit_ms) - credit_ms : -credit_ms);
}

bool gi_plan_next(gi_plan *plan, const gi_plan_step **ret) {
    gi_assert(!plan->is_open);
    plan->step = (gi_plan_step){.feeds = plan->step.feeds};
    choose(plan);
    if (plan->step.n_feeds == 0 && plan->step.n_vision_layers == 0) return false;
    plan->is_open = true;
    *ret = &plan->step;
    return true;
}
