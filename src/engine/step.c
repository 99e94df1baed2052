/*
 * From jobs to batches for the two towers, and back. The arrays of a batch were made with the
 * engine, for its widest step.
 */
#include "engine/step.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/job.h"
#include "engine/picture_shelf.h"

#include <string.h>

glint_status gi_engine_acquire(glint_engine *e, glint_error *err) {
    bool expected = false;
    if (atomic_compare_exchange_strong(&e->is_running, &expected, true)) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_BUSY, "the engine is running another job");
}

void gi_engine_release(glint_engine *e) {
    atomic_store(&e->is_running, false);
}

gi_engine_bounds gi_engine_get_bounds(glint_engine *e) {
    const gi_checkpoint_sizes *sizes = &e->ckpt->sizes;
    return (gi_engine_bounds){.sequences_max = (size_t)e->info.sequences_max,
                              .rows_max = GI_ENGINE_PREFILL_TOKENS,
                              .pictures_max = GI_VISION_BATCH_MAX,
                              .patches_max = e->patches_max,
                              .vision_layers = e->ckpt->config.vision.depth,
                              .token_ops = 2 * (double)sizes->text_params,
                              .weight_bytes = (double)sizes->text_params,
                              .kv_pool = &e->kv_pool};
}

gi_job_view gi_job_get_view(glint_job *job) {
    gi_job_view view = {.kv = &job->sequence,
                        .keys = job->keys,
                        .n_keys = job->n_keys,
                        .n_prompt = job->n_prompt,
                        .n_known = job->n_known,
                        .n_places = job->n_pictures};
    for (size_t i = 0; i < job->n_pictures; i++)
        view.places[i] = (gi_picture_place){.picture = &job->pictures[i]->state,
                                            .first_token = job->places[i].first_token,
                                            .n_tokens = job->places[i].rows * job->places[i].cols};
    return view;
}

/* ---- batch arrays --------------------------------------------------------------------------- */

glint_status gi_step_init(gi_step_scratch *s, size_t n_rows, size_t n_jobs, size_t vocab,
                          glint_error *err) {
    s->ids = gi_calloc(4 * n_rows, sizeof *s->ids);
    for (size_t i = 0; i < 3 && s->ids; i++) s->pos[i] = s->ids + (i + 1) * n_rows;
    s->spans = gi_calloc(n_jobs, sizeof *s->spans);
    s->embeds = gi_calloc(n_jobs * GLINT_IMAGES_MAX, sizeof *s->embeds);
    s->logit_rows = gi_calloc(n_jobs, sizeof *s->logit_rows);
    s->logits = gi_alloc_aligned(n_jobs * vocab, sizeof *s->logits);
    if (s->ids && s->spans && s->embeds && s->logit_rows && s->logits) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_MEMORY, "no memory for steps of %zu jobs", n_jobs);
}

void gi_step_done(gi_step_scratch *s) {
    for (size_t i = 0; i < s->n_encoding; i++) gi_picture_unref(s->encoding[i]);
    gi_free(s->ids);
    gi_free(s->spans);
    gi_free(s->embeds);
    gi_free(s->logit_rows);
    gi_free(s->logits);
    *s = (gi_step_scratch){0};
}

/* ---- vision tower --------------------------------------------------------------------------- */

static gi_picture *picture_of(gi_picture_state *state) {
    return (gi_picture *)(void *)((char *)state - offsetof(gi_picture, state));
}

void gi_engine_vision_begin(glint_engine *e, gi_picture_state *const *pictures, size_t n) {
    gi_step_scratch *s = &e->step;
    gi_vision_picture batch[GI_VISION_BATCH_MAX];
    gi_assert(n >= 1 && n <= GI_VISION_BATCH_MAX);
    for (size_t i = 0; i < s->n_encoding; i++) gi_picture_unref(s->encoding[i]);
    for (size_t i = 0; i < n; i++) {
        gi_picture *p = gi_picture_ref(picture_of(pictures[i]));
        batch[i] = (gi_vision_picture){
            .patches = p->patches.rows, .grid_h = p->patches.grid_h, .grid_w = p->patches.grid_w};
        s->encoding[i] = p;
    }
    s->n_encoding = n;
    gi_vision_begin(e->vision, batch, n);
}

void gi_engine_vision_run(glint_engine *e, size_t n_layers) {
    gi_vision_run(e->vision, n_layers);
}

void gi_engine_vision_end(glint_engine *e) {
    const gi_act tokens = gi_vision_end(e->vision);
    const double now = gi_clock_ms();
    for (size_t i = 0, row = 0; i < e->step.n_encoding; i++) {
        gi_picture *p = e->step.encoding[i];
        e->dev->ops->copy_rows(e->dev, p->visual, 0, tokens, row, p->rows * p->cols);
        p->encoded_at_ms = now;
        atomic_store(&p->is_done, true);
        gi_patches_done(&p->patches);
        if (e->shelf && p->may_share) gi_picture_shelf_offer(e->shelf, p);
        row += p->rows * p->cols;
    }
}

/* ---- decoder -------------------------------------------------------------------------------- */

/* The visual tokens that fall into a feed, whose rows begin at first_row of the batch. */
static size_t visual_rows(const gi_step_feed *f, size_t first_row, gi_embed_rows *ret) {
    const glint_job *job = f->job;
    const size_t end = f->first + f->n;
    size_t n_ret = 0;
    for (size_t i = 0; i < job->n_pictures; i++) {
        const gi_mrope_image *p = &job->places[i];
        const size_t p_end = p->first_token + p->rows * p->cols;
        const size_t from = p->first_token > f->first ? p->first_token : f->first;
        const size_t to = p_end < end ? p_end : end;
        if (from >= to) continue;
        gi_assert(job->pictures[i]->encoded_at_ms > 0);
        ret[n_ret++] = (gi_embed_rows){.src = job->pictures[i]->visual,
                                       .src_row = from - p->first_token,
                                       .dst_row = first_row + (from - f->first),
                                       .n_rows = to - from};
    }
    return n_ret;
}

/* Ids and positions of a feed, from row `row` of the batch on. */
static void put_tokens(gi_step_scratch *s, const gi_step_feed *f, size_t row) {
    const glint_job *job = f->job;
    memcpy(s->ids + row, job->known + f->first, f->n * sizeof *s->ids);
    for (size_t t = 0; t < f->n; t++) {
        const size_t at = f->first + t;
        for (size_t axis = 0; axis < 3; axis++)
            s->pos[axis][row + t] = at < job->n_prompt
                                        ? job->positions[axis * job->n_prompt + at]
                                        : job->next_position + (int32_t)(at - job->n_prompt);
    }
}

void gi_engine_feed(glint_engine *e, const gi_step_feed *feeds, size_t n) {
    gi_step_scratch *s = &e->step;
    gi_batch batch = {
        .ids = s->ids,
        .pos = {s->pos[0], s->pos[1], s->pos[2]},
        .spans = s->spans,
        .n_spans = n,
        .embeds = s->embeds,
        .logit_rows = s->logit_rows,
    };
    gi_assert(n >= 1 && n <= (size_t)e->info.sequences_max);
    for (size_t i = 0; i < n; i++) {
        const gi_step_feed *f = &feeds[i];
        gi_assert(f->n >= 1 && f->n <= GI_ENGINE_PREFILL_TOKENS - batch.n_tokens);
        gi_assert(f->first == f->job->sequence.n_tokens && f->first + f->n <= f->job->n_known);
        put_tokens(s, f, batch.n_tokens);
        s->spans[i] = (gi_span){.first_row = batch.n_tokens,
                                .n_rows = f->n,
                                .n_past = f->first,
                                .blocks = f->job->sequence.blocks};
        batch.n_embeds += visual_rows(f, batch.n_tokens, s->embeds + batch.n_embeds);
        batch.n_tokens += f->n;
        if (f->wants_logits) s->logit_rows[batch.n_logit_rows++] = batch.n_tokens - 1;
    }
    gi_language_run(e->language, e->kv, &batch, s->logits);
}

const float *gi_engine_logits(const glint_engine *e, size_t i) {
    return e->step.logits + i * e->ckpt->config.text.vocab;
}
