/*
 * Running a job: encode its pictures, prefill its prompt, decode token by token. Nothing here
 * allocates; every buffer was made by glint_job_create or with the engine.
 */
#include "engine/job.h"

#include "base/clock.h"

#include <math.h>

const glint_result *glint_job_result(const glint_job *job) {
    return &job->result;
}

void glint_job_cancel(glint_job *job) {
    atomic_store(&job->is_cancelled, true);
}

/* Looked at between steps: the only points at which a job can be stopped. */
static glint_status check_stop(const glint_job *job, glint_error *err) {
    if (atomic_load_explicit(&job->is_cancelled, memory_order_relaxed))
        return gi_fail(err, GLINT_ERR_CANCELLED, "cancelled");
    if (job->deadline_ms > 0 && gi_clock_ms() >= job->deadline_ms)
        return gi_fail(err, GLINT_ERR_DEADLINE, "the deadline passed");
    return GLINT_OK;
}

static glint_status encode_pictures(glint_job *job, glint_error *err) {
    glint_engine *e = job->engine;
    const double begin = gi_clock_ms();
    size_t row = 0;
    for (size_t i = 0; i < job->n_pictures; i++) {
        gi_job_picture *p = &job->pictures[i];
        GI_TRY(check_stop(job, err));
        const size_t n = p->place.rows * p->place.cols;
        const gi_vision_picture picture = {.patches = p->patches.rows,
                                           .grid_h = p->patches.grid_h,
                                           .grid_w = p->patches.grid_w};
        gi_vision_begin(e->vision, &picture, 1);
        gi_vision_run(e->vision, SIZE_MAX);
        e->dev->ops->copy_rows(e->dev, job->visual, row, gi_vision_end(e->vision), 0, n);
        gi_patches_done(&p->patches);
        row += n;
    }
    job->result.timing.encode_ms = gi_clock_ms() - begin;
    return GLINT_OK;
}

/* The visual tokens that fall into prompt positions [begin, begin + n). */
static size_t visual_rows(const glint_job *job, size_t begin, size_t n, gi_embed_rows *ret) {
    size_t n_ret = 0, row = 0;
    for (size_t i = 0; i < job->n_pictures; i++) {
        const gi_mrope_image *p = &job->pictures[i].place;
        const size_t n_visual = p->rows * p->cols;
        const size_t first = p->first_token > begin ? p->first_token : begin;
        const size_t end =
            p->first_token + n_visual < begin + n ? p->first_token + n_visual : begin + n;
        if (first < end)
            ret[n_ret++] = (gi_embed_rows){.src = job->visual,
                                           .src_row = row + (first - p->first_token),
                                           .dst_row = first - begin,
                                           .n_rows = end - first};
        row += n_visual;
    }
    return n_ret;
}

static glint_status prefill(glint_job *job, glint_error *err) {
    glint_engine *e = job->engine;
    const double start = gi_clock_ms();
    const size_t n = job->prompt.n;
    for (size_t begin = 0; begin < n; begin += GI_ENGINE_PREFILL_TOKENS) {
        GI_TRY(check_stop(job, err));
        const size_t rest = n - begin;
        const size_t chunk = rest < GI_ENGINE_PREFILL_TOKENS ? rest : GI_ENGINE_PREFILL_TOKENS;
        GI_TRY(gi_kv_sequence_reserve(&job->sequence, begin + chunk, err));
        gi_embed_rows embeds[GLINT_IMAGES_MAX];
        const gi_span span = {.n_rows = chunk, .n_past = begin, .blocks = job->sequence.blocks};
        const size_t last_row = chunk - 1;
        const int32_t *pos = job->positions + begin;
        const gi_batch batch = {
            .n_tokens = chunk,
            .ids = job->prompt.ids + begin,
            .pos = {pos, pos + n, pos + 2 * n},
            .spans = &span,
            .n_spans = 1,
            .embeds = embeds,
            .n_embeds = visual_rows(job, begin, chunk, embeds),
            .logit_rows = &last_row,
            .n_logit_rows = chunk == rest,
        };
        gi_language_run(e->language, e->kv, &batch, e->logits);
        job->sequence.n_tokens = begin + chunk;
    }
    job->result.timing.prefill_ms = gi_clock_ms() - start;
    return GLINT_OK;
}

glint_status gi_job_feed(glint_job *job, int32_t id, int n_before, glint_error *err) {
    glint_engine *e = job->engine;
    const size_t past = job->sequence.n_tokens, row = 0;
    const int32_t pos = job->next_position + n_before;
    GI_TRY(gi_kv_sequence_reserve(&job->sequence, past + 1, err));
    const gi_span span = {.n_rows = 1, .n_past = past, .blocks = job->sequence.blocks};
    const gi_batch batch = {
        .n_tokens = 1,
        .ids = &id,
        .pos = {&pos, &pos, &pos},
        .spans = &span,
        .n_spans = 1,
        .logit_rows = &row,
        .n_logit_rows = 1,
    };
    gi_language_run(e->language, e->kv, &batch, e->logits);
    job->sequence.n_tokens = past + 1;
    return GLINT_OK;
}

/* Take one token into the answer; *ret_goes_on is false when it ends it. */
static glint_status take_token(glint_job *job, int32_t id, glint_text_fn on_text, void *ctx,
                               bool *ret_goes_on, glint_error *err) {
    const glint_engine *e = job->engine;
    const char *piece = NULL;
    size_t n_bytes = 0;
    const gi_answer_phase before = gi_answer_get_phase(job->answer);
    *ret_goes_on = gi_answer_push(job->answer, id, &piece, &n_bytes);
    const gi_answer_phase after = gi_answer_get_phase(job->answer);
    if (before == GI_ANSWER_TEXT || (before == GI_ANSWER_START && after == GI_ANSWER_TEXT))
        gi_confidence_step(&job->confidence, e->logits, (size_t)gi_tokenizer_count(e->tokenizer),
                           id);
    if (n_bytes > 0 && on_text && !on_text(ctx, piece, n_bytes))
        return gi_fail(err, GLINT_ERR_CANCELLED, "cancelled by its reader");
    return GLINT_OK;
}

static glint_status generate(glint_job *job, glint_text_fn on_text, void *ctx, glint_error *err) {
    glint_engine *e = job->engine;
    const double start = gi_clock_ms();
    const size_t context = (size_t)e->info.context_tokens_max;
    glint_finish finish = GLINT_FINISH_LENGTH;
    int n = 0;
    for (;;) {
        GI_TRY(check_stop(job, err));
        const int32_t id = gi_sampler_next(&job->sampler, e->logits);
        if (gi_engine_is_eos(e, id)) {
            finish = GLINT_FINISH_STOP;
            break;
        }
        bool goes_on;
        job->result.usage.completion_tokens = ++n;
        GI_TRY(take_token(job, id, on_text, ctx, &goes_on, err));
        if (!goes_on) finish = GLINT_FINISH_STOP;
        if (!goes_on || n >= job->max_tokens || job->sequence.n_tokens + 1 >= context) break;
        GI_TRY(gi_job_feed(job, id, n - 1, err));
    }
    const char *piece = NULL;
    size_t n_bytes = 0;
    GI_TRY(gi_answer_finish(job->answer, job->task->shape, &finish, &piece, &n_bytes, err));
    if (n_bytes > 0 && on_text && !on_text(ctx, piece, n_bytes))
        return gi_fail(err, GLINT_ERR_CANCELLED, "cancelled by its reader");
    job->result.finish = finish;
    job->result.timing.decode_ms = gi_clock_ms() - start;
    return GLINT_OK;
}

glint_status gi_job_begin(glint_job *job, glint_error *err) {
    if (job->has_run) return gi_fail(err, GLINT_ERR_ARG, "the job has already run");
    bool expected = false;
    if (!atomic_compare_exchange_strong(&job->engine->is_running, &expected, true))
        return gi_fail(err, GLINT_ERR_BUSY, "the engine is running another job");
    job->has_run = true;
    glint_status st = encode_pictures(job, err);
    if (st == GLINT_OK) st = prefill(job, err);
    if (st != GLINT_OK) gi_job_end(job);
    return st;
}

void gi_job_end(glint_job *job) {
    gi_kv_sequence_release(&job->sequence);
    atomic_store(&job->engine->is_running, false);
}

glint_status glint_job_run(glint_job *job, glint_text_fn on_text, void *ctx, glint_error *err) {
    GI_TRY(gi_job_begin(job, err));
    const glint_status st = generate(job, on_text, ctx, err);
    gi_job_end(job);
    glint_result *r = &job->result;
    r->text = gi_answer_text(job->answer, &r->n_text_bytes);
    r->reasoning = gi_answer_reasoning(job->answer);
    r->data_json = gi_answer_data_json(job->answer);
    r->confidence = gi_confidence_value(&job->confidence);
    return st;
}
