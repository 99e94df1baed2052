/*
 * A plan names requests and pictures; a step of the engine wants jobs. The arrays in between were
 * made once, for the widest step.
 */
#include "sched/engine_ops.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <string.h>

_Static_assert(GI_PLAN_PICTURES_MAX >= GLINT_IMAGES_MAX, "a plan takes what a job may have");

/* How requests share a step; see docs/adr/0005. */
static const double SHARE = 3, STEP_MS_MAX = 5;

/* Patches of a batch of pictures: enough to share the weights of a tower, few enough that nobody
 * waits long for the others of a batch: docs/adr/0005. */
enum { BATCH_PATCHES_MAX = 512 };

/* First guesses of a machine, replaced by what is measured: operations and bytes in a millisecond.
 */
static const double GUESS_OPS = 300e6, GUESS_BYTES = 20e6;

/* Tokens of an answer before any has ended, and the weight of the newest. */
static const double ANSWER_GUESS = 32, ANSWER_WEIGHT = 0.1;

struct gi_engine_ops {
    glint_engine *engine;
    gi_engine_bounds bounds;
    gi_step_feed *feeds;  /* [sequences_max] */
    double answer_tokens; /* of answers that ended, smoothed */
};

static glint_status begin(void *ctx, gi_sched_request *r, glint_error *err) {
    const gi_engine_ops *o = ctx;
    GI_TRY(gi_job_start(r->job, r->on_text, r->text_ctx, err));
    const gi_job_view view = gi_job_get_view(r->job);
    r->seq = (gi_plan_seq){.kv = view.kv,
                           .keys = view.keys,
                           .n_keys = view.n_keys,
                           .n_prompt = view.n_prompt,
                           .n_known = view.n_known,
                           .n_answer_guess = (size_t)o->answer_tokens,
                           .priority = r->item.priority,
                           .n_places = view.n_places};
    memcpy(r->seq.places, view.places, view.n_places * sizeof *view.places);
    return GLINT_OK;
}

static glint_job *job_of(gi_plan_seq *seq) {
    return ((gi_sched_request *)(void *)((char *)seq - offsetof(gi_sched_request, seq)))->job;
}

static void step(void *ctx, const gi_plan_step *plan, double *ret_vision_ms, double *ret_text_ms) {
    gi_engine_ops *o = ctx;
    const double begin_ms = gi_clock_ms();
    if (plan->n_pictures > 0) gi_engine_vision_begin(o->engine, plan->pictures, plan->n_pictures);
    if (plan->n_vision_layers > 0) gi_engine_vision_run(o->engine, plan->n_vision_layers);
    if (plan->ends_vision) gi_engine_vision_end(o->engine);
    const double vision_ms = gi_clock_ms();
    for (size_t i = 0; i < plan->n_feeds; i++)
        o->feeds[i] = (gi_step_feed){.job = job_of(plan->feeds[i].seq),
                                     .first = plan->feeds[i].first,
                                     .n = plan->feeds[i].n,
                                     .wants_logits = plan->feeds[i].wants_logits};
    if (plan->n_feeds > 0) gi_engine_feed(o->engine, o->feeds, plan->n_feeds);
    *ret_vision_ms = vision_ms - begin_ms;
    *ret_text_ms = gi_clock_ms() - vision_ms;
}

static glint_status take(void *ctx, gi_sched_request *r, size_t i_logits, size_t *ret_n_known,
                         glint_error *err) {
    (void)ctx;
    return gi_job_take(r->job, i_logits, ret_n_known, err);
}

static void conclude(void *ctx, gi_sched_request *r) {
    gi_engine_ops *o = ctx;
    gi_job_conclude(r->job, r->seq.n_cached);
    const glint_result *result = glint_job_result(r->job);
    if (result->finish != GLINT_FINISH_NONE)
        o->answer_tokens +=
            ANSWER_WEIGHT * ((double)result->usage.completion_tokens - o->answer_tokens);
}

glint_status gi_engine_ops_create(glint_engine *engine, gi_engine_ops **ret, glint_error *err) {
    gi_engine_ops *o = gi_calloc(1, sizeof *o);
    if (!o) return gi_fail(err, GLINT_ERR_MEMORY, "scheduler: no memory");
    o->bounds = gi_engine_get_bounds(engine);
    o->feeds = gi_calloc(o->bounds.sequences_max, sizeof *o->feeds);
    glint_status st = GLINT_OK;
    if (!o->feeds) st = gi_fail(err, GLINT_ERR_MEMORY, "scheduler: no memory");
    if (st == GLINT_OK) st = gi_engine_acquire(engine, err);
    if (st != GLINT_OK) {
        gi_free(o->feeds);
        gi_free(o);
        return st;
    }
    o->engine = engine;
    o->answer_tokens = ANSWER_GUESS;
    *ret = o;
    return GLINT_OK;
}

void gi_engine_ops_free(gi_engine_ops *o) {
    if (!o) return;
    gi_engine_release(o->engine);
    gi_free(o->feeds);
    gi_free(o);
}

void gi_engine_ops_configure(gi_engine_ops *o, gi_sched_config *c) {
    c->engine = (gi_sched_engine){
        .begin = begin, .step = step, .take = take, .conclude = conclude, .ctx = o};
    c->pool = o->bounds.kv_pool;
    c->plan.seqs_max = o->bounds.sequences_max;
    c->plan.rows_max = o->bounds.rows_max;
    c->plan.patches_max =
        o->bounds.patches_max < BATCH_PATCHES_MAX ? o->bounds.patches_max : BATCH_PATCHES_MAX;
    c->plan.pictures_max = o->bounds.pictures_max;
    c->plan.vision_layers = o->bounds.vision_layers;
    c->plan.share = SHARE;
    c->plan.step_ms_max = STEP_MS_MAX;
    gi_costs_init(&c->costs, &(gi_cost_rates){.vision_ms = 1 / GUESS_OPS,
                                              .prefill_row_ms = o->bounds.token_ops / GUESS_OPS,
                                              .base_ms = o->bounds.weight_bytes / GUESS_BYTES,
                                              .answer_row_ms = o->bounds.token_ops / GUESS_OPS});
}
