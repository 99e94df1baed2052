/*
 * A job's answer, token by token, and running one job alone: encode its pictures, prefill its
 * prompt, decode. Nothing here allocates until the answer ends; every buffer was made by
 * glint_job_create or with the engine.
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

/* ---- the answer ----------------------------------------------------------------------------- */

static glint_status give_text(const glint_job *job, const char *piece, size_t n_bytes,
                              glint_error *err) {
    if (n_bytes == 0 || !job->on_text || job->on_text(job->text_ctx, piece, n_bytes))
        return GLINT_OK;
    return gi_fail(err, GLINT_ERR_CANCELLED, "cancelled by its reader");
}

/* Whether the next token belongs to what the schema rules. */
static bool is_guided(const glint_job *job) {
    const gi_answer_phase phase = gi_answer_get_phase(job->answer);
    return job->guide && (phase == GI_ANSWER_TEXT || (phase == GI_ANSWER_START && !job->thinking));
}

/* Take one token into the answer; *ret_goes_on is false when it ends it. Without logits it was
 * forced. */
static glint_status take_token(glint_job *job, int32_t id, const float *logits, bool *ret_goes_on,
                               glint_error *err) {
    const char *piece = NULL;
    size_t n_bytes = 0;
    const size_t n_logits = (size_t)gi_tokenizer_count(job->engine->tokenizer);
    const gi_answer_phase before = gi_answer_get_phase(job->answer);
    *ret_goes_on = gi_answer_push(job->answer, id, &piece, &n_bytes);
    const gi_answer_phase after = gi_answer_get_phase(job->answer);
    if (before == GI_ANSWER_TEXT || (before == GI_ANSWER_START && after == GI_ANSWER_TEXT))
        gi_confidence_step(&job->confidence, logits, n_logits, id);
    if (job->logprobs.n_max > 0) gi_logprobs_push(&job->logprobs, logits, n_logits, id);
    job->result.n_tokens = job->logprobs.n; /* on_text may look at them */
    job->known[job->n_known++] = id;
    job->result.usage.completion_tokens++;
    return give_text(job, piece, n_bytes, err);
}

static glint_status finish(glint_job *job, glint_finish why, glint_error *err) {
    const char *piece = NULL;
    size_t n_bytes = 0;
    const gi_schema *schema = job->rules ? job->rules->schema : NULL;
    GI_TRY(gi_answer_finish(job->answer, schema, &why, &piece, &n_bytes, err));
    GI_TRY(give_text(job, piece, n_bytes, err));
    job->result.finish = why;
    return GLINT_OK;
}

static bool is_full(const glint_job *job) {
    return job->result.usage.completion_tokens >= job->max_tokens ||
           job->n_known >= (size_t)job->engine->info.context_tokens_max;
}

/*
 * The tokens that follow without a choice. *ret_goes_on is false when they end the answer: a stop
 * string, or the schema leaves nothing but the end.
 */
static glint_status take_forced(glint_job *job, bool *ret_goes_on, glint_error *err) {
    int32_t ids[GI_FORCED_MAX];
    *ret_goes_on = true;
    while (is_guided(job) && !is_full(job)) {
        const size_t n = gi_guide_forced(job->guide, ids, GI_FORCED_MAX);
        if (n == 0) break;
        for (size_t i = 0; i < n && !is_full(job); i++) {
            if (!gi_guide_accept(job->guide, ids[i])) return GLINT_OK;
            job->result.usage.forced_tokens++;
            GI_TRY(take_token(job, ids[i], NULL, ret_goes_on, err));
            if (!*ret_goes_on) return GLINT_OK;
        }
    }
    return GLINT_OK;
}

glint_status gi_job_start(glint_job *job, glint_text_fn on_text, void *ctx, glint_error *err) {
    if (job->has_run) return gi_fail(err, GLINT_ERR_ARG, "the job has already run");
    job->has_run = true;
    job->on_text = on_text;
    job->text_ctx = ctx;
    job->begun_ms = gi_clock_ms();
    /* An answer whose beginning is forced has it in its prompt. */
    bool goes_on;
    return job->engine->asks_for_forced ? GLINT_OK : take_forced(job, &goes_on, err);
}

/* The schema allows nothing but the end. */
static bool is_over(glint_job *job) {
    if (!is_guided(job) || !gi_guide_is_complete(job->guide)) return false;
    if (!gi_guide_mask(job->guide, job->allowed)) return true;
    for (size_t w = 0; w < job->engine->trie->n_words; w++)
        for (uint32_t bits = job->allowed[w]; bits; bits &= bits - 1)
            if (!gi_engine_is_eos(job->engine, (int32_t)(w * 32) + __builtin_ctz(bits)))
                return false;
    return true;
}

/* The next token by the model, within the rules; -1: none is allowed. */
static int32_t choose(glint_job *job, const float *logits) {
    if (!is_guided(job)) return gi_sampler_next(&job->sampler, logits, NULL);
    if (!gi_guide_mask(job->guide, job->allowed)) return -1;
    const int32_t id = gi_sampler_next(&job->sampler, logits, job->allowed);
    if (id >= 0) gi_guide_accept(job->guide, id);
    return id;
}

glint_status gi_job_take(glint_job *job, size_t i_logits, size_t *ret_n_known, glint_error *err) {
    const glint_engine *e = job->engine;
    const float *logits = gi_engine_logits(e, i_logits);
    bool goes_on;
    if (job->first_logits_ms <= 0) job->first_logits_ms = gi_clock_ms();
    *ret_n_known = 0;
    /* What was forced at the beginning may have ended it already. */
    if (gi_answer_get_phase(job->answer) == GI_ANSWER_ENDED)
        return finish(job, GLINT_FINISH_STOP, err);
    if (is_full(job)) return finish(job, GLINT_FINISH_LENGTH, err);
    const int32_t id = choose(job, logits);
    if (id < 0 || gi_engine_is_eos(e, id)) return finish(job, GLINT_FINISH_STOP, err);
    GI_TRY(take_token(job, id, logits, &goes_on, err));
    if (goes_on && !e->asks_for_forced) GI_TRY(take_forced(job, &goes_on, err));
    if (!goes_on || is_over(job)) return finish(job, GLINT_FINISH_STOP, err);
    if (is_full(job)) return finish(job, GLINT_FINISH_LENGTH, err);
    *ret_n_known = job->n_known;
    return GLINT_OK;
}

void gi_job_conclude(glint_job *job, size_t n_cached) {
    glint_result *r = &job->result;
    r->usage.cached_tokens = (int)n_cached;
    const double now = gi_clock_ms();
    double encoded = job->begun_ms;
    for (size_t i = 0; i < job->n_pictures; i++)
        encoded = fmax(encoded, job->pictures[i]->encoded_at_ms);
    if (job->begun_ms > 0) {
        const double first = job->first_logits_ms > 0 ? job->first_logits_ms : now;
        r->timing.encode_ms = encoded - job->begun_ms;
        r->timing.prefill_ms = fmax(first - encoded, 0);
        r->timing.decode_ms = now - first;
    }
    r->text = gi_answer_text(job->answer, &r->n_text_bytes);
    r->reasoning = gi_answer_reasoning(job->answer);
    r->data_json = gi_answer_data_json(job->answer);
    r->confidence = gi_confidence_value(&job->confidence);
}

/* ---- one job alone -------------------------------------------------------------------------- */

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
    for (size_t i = 0; i < job->n_pictures; i++) {
        GI_TRY(check_stop(job, err));
        if (job->pictures[i]->state.is_encoded) continue;
        gi_picture_state *picture = &job->pictures[i]->state;
        gi_engine_vision_begin(e, &picture, 1);
        gi_engine_vision_run(e, SIZE_MAX);
        gi_engine_vision_end(e);
        picture->is_encoded = true;
    }
    return GLINT_OK;
}

/* Feed all known tokens that are not stored, in steps of the engine's width. */
static glint_status feed_known(glint_job *job, glint_error *err) {
    while (job->sequence.n_tokens < job->n_known) {
        GI_TRY(check_stop(job, err));
        const size_t first = job->sequence.n_tokens, rest = job->n_known - first;
        const size_t n = rest < GI_ENGINE_PREFILL_TOKENS ? rest : GI_ENGINE_PREFILL_TOKENS;
        GI_TRY(gi_kv_sequence_reserve(&job->sequence, first + n, err));
        const gi_step_feed f = {.job = job, .first = first, .n = n, .wants_logits = n == rest};
        gi_engine_feed(job->engine, &f, 1);
        job->sequence.n_tokens += n;
    }
    return GLINT_OK;
}

static glint_status prefill(glint_job *job, glint_error *err) {
    GI_TRY(encode_pictures(job, err));
    return feed_known(job, err);
}

glint_status gi_job_begin(glint_job *job, glint_error *err) {
    GI_TRY(gi_engine_acquire(job->engine, err));
    const glint_status st = prefill(job, err);
    if (st != GLINT_OK) gi_job_end(job);
    return st;
}

glint_status gi_job_feed(glint_job *job, int32_t id, glint_error *err) {
    if (job->n_known >= job->n_prompt + (size_t)job->max_tokens)
        return gi_fail(err, GLINT_ERR_LIMIT, "the answer is at its longest");
    job->known[job->n_known++] = id;
    return feed_known(job, err);
}

void gi_job_end(glint_job *job) {
    gi_kv_sequence_release(&job->sequence);
    gi_engine_release(job->engine);
}

glint_status glint_job_run(glint_job *job, glint_text_fn on_text, void *ctx, glint_error *err) {
    if (job->has_run) return gi_fail(err, GLINT_ERR_ARG, "the job has already run");
    /* First: where somebody else has it, nothing has been said yet and it may be tried again. */
    GI_TRY(gi_engine_acquire(job->engine, err));
    glint_status st = gi_job_start(job, on_text, ctx, err);
    if (st == GLINT_OK) st = prefill(job, err);
    for (size_t n_known = SIZE_MAX; st == GLINT_OK && n_known > 0;) {
        st = check_stop(job, err);
        if (st == GLINT_OK) st = gi_job_take(job, 0, &n_known, err);
        if (st == GLINT_OK && n_known > 0) st = feed_known(job, err);
    }
    gi_job_conclude(job, 0);
    gi_job_end(job);
    return st;
}
