/*
 * From a request to a job: every value checked, pictures decoded, the prompt as tokens. Runs on
 * the caller's thread and touches nothing that a running job uses.
 */
#include "engine/job.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "engine/conversation.h"
#include "engine/task_set.h"
#include "kv/prompt_keys.h"

#include <math.h>
#include <string.h>

/* Nothing is put around a conversation. */
static const gi_task NO_TASK = {.name = "", .max_tokens = 1024};

static glint_status check_range(const char *param, double value, double min, double max,
                                glint_error *err) {
    if (isfinite(value) && value >= min && value <= max) return GLINT_OK;
    gi_fail(err, GLINT_ERR_ARG, "%s must be %g to %g", param, min, max);
    return gi_fail_param(err, GLINT_ERR_ARG, param);
}

/* A list or text whose length says that there is one, but that is not there. */
static glint_status check_pointers(const glint_request *r, glint_error *err) {
    const char *param = NULL;
    if (r->n_prompt_bytes > 0 && !r->prompt) param = "prompt";
    if (r->n_stops > 0 && !r->stops) param = "stop";
    if (r->n_images > 0 && !r->images) param = "images";
    for (size_t i = 0; i < r->n_images && !param; i++)
        if (r->images[i].n_bytes > 0 && !r->images[i].bytes) param = "image";
    if (!param) return GLINT_OK;
    gi_fail(err, GLINT_ERR_ARG, "%s is null, but its length is not 0", param);
    return gi_fail_param(err, GLINT_ERR_ARG, param);
}

static glint_status check_request(const glint_engine *e, const glint_request *r, size_t n_prompt,
                                  glint_error *err) {
    if (r->n_images > GLINT_IMAGES_MAX) {
        gi_fail(err, GLINT_ERR_ARG, "at most %d pictures, not %zu", GLINT_IMAGES_MAX, r->n_images);
        return gi_fail_param(err, GLINT_ERR_ARG, "images");
    }
    GI_TRY(check_pointers(r, err));
    if (r->n_messages > 0) GI_TRY(gi_conversation_check(r, err));
    size_t bad;
    if (n_prompt > GLINT_PROMPT_BYTES_MAX) {
        gi_fail(err, GLINT_ERR_LIMIT, "prompt of %zu bytes; the limit is %d", n_prompt,
                GLINT_PROMPT_BYTES_MAX);
        return gi_fail_param(err, GLINT_ERR_LIMIT, "prompt");
    }
    if (n_prompt > 0 && !gi_utf8_is_valid((const uint8_t *)r->prompt, n_prompt, &bad)) {
        gi_fail(err, GLINT_ERR_ARG, "prompt is not UTF-8 at byte %zu", bad);
        return gi_fail_param(err, GLINT_ERR_ARG, "prompt");
    }
    if (r->max_tokens != 0)
        GI_TRY(check_range("max_tokens", r->max_tokens, 1, GLINT_MAX_TOKENS_MAX, err));
    GI_TRY(check_range("temperature", r->temperature, 0, 2, err));
    GI_TRY(check_range("top_logprobs", r->top_logprobs, 0, GLINT_TOP_LOGPROBS_MAX, err));
    if (r->top_p != 0) GI_TRY(check_range("top_p", r->top_p, 1e-6, 1, err));
    GI_TRY(check_range("top_k", r->top_k, 0, e->info.vocab_size, err));
    if (r->max_side_px != 0)
        GI_TRY(check_range("max_side", r->max_side_px, 28, e->max_side_px, err));
    GI_TRY(check_range("timeout_ms", r->timeout_ms, 0, 3.6e6, err));
    return check_range("stop", (double)r->n_stops, 0, GLINT_STOPS_MAX, err);
}

static glint_status prepare_pictures(glint_job *job, const glint_request *r, glint_error *err) {
    glint_engine *e = job->engine;
    const uint32_t max_side = r->max_side_px ? (uint32_t)r->max_side_px : e->max_side_px;
    const bool is_talk = r->n_messages > 0;
    const size_t n = is_talk ? gi_conversation_pictures(r) : r->n_images;
    for (size_t i = 0; i < n; i++) {
        const gi_picture_spec spec = {.image =
                                          is_talk ? *gi_conversation_picture(r, i) : r->images[i],
                                      .max_side_px = max_side,
                                      .tenant = r->tenant ? r->tenant : "",
                                      .may_share = !r->no_cache};
        bool is_found;
        const glint_status st = gi_picture_open(e, &spec, &job->pictures[i], &is_found, err);
        if (st != GLINT_OK && err) err->picture = (int)i + 1;
        if (st != GLINT_OK) return st;
        const gi_picture *p = job->pictures[i];
        job->n_pictures++;
        job->places[i] = (gi_mrope_image){.rows = p->rows, .cols = p->cols};
        if (!is_found) {
            job->result.timing.decode_image_ms += p->patches.decode_ms;
            job->result.timing.preprocess_ms += p->patches.preprocess_ms;
        }
        job->result.usage.image_tokens += (int)(p->rows * p->cols);
    }
    return GLINT_OK;
}

static glint_status encode_prompt(glint_job *job, const glint_request *r, size_t n_prompt,
                                  gi_ids *ret, glint_error *err) {
    const glint_engine *e = job->engine;
    const gi_task *task = job->task;
    if (r->n_messages > 0) return gi_conversation_encode(&e->chat, r, job->places, ret, err);
    gi_buf text;
    gi_buf_init(&text, 2 * (size_t)GLINT_PROMPT_BYTES_MAX);
    glint_status st = gi_task_render(task, r->prompt ? r->prompt : "", n_prompt, &text, err);
    if (st == GLINT_ERR_ARG) gi_fail_param(err, st, "prompt");
    if (st != GLINT_OK) goto done;
    gi_chat_part parts[GLINT_IMAGES_MAX + 1], system = {0};
    for (size_t i = 0; i < job->n_pictures; i++)
        parts[i] = (gi_chat_part){.n_image_tokens = job->places[i].rows * job->places[i].cols};
    parts[job->n_pictures] =
        (gi_chat_part){.text = (const char *)text.data, .n_text_bytes = text.len};
    gi_chat_turn turns[2];
    size_t n_turns = 0, starts[GLINT_IMAGES_MAX];
    if (task->system) {
        system = (gi_chat_part){.text = task->system, .n_text_bytes = strlen(task->system)};
        turns[n_turns++] = (gi_chat_turn){.role = GI_CHAT_SYSTEM, .parts = &system, .n_parts = 1};
    }
    turns[n_turns++] =
        (gi_chat_turn){.role = GI_CHAT_USER, .parts = parts, .n_parts = job->n_pictures + 1};
    st = gi_chat_encode(&e->chat, turns, n_turns, r->thinking, ret, starts, err);
    if (st != GLINT_OK) goto done;
    for (size_t i = 0; i < job->n_pictures; i++) job->places[i].first_token = starts[i];
done:
    gi_buf_done(&text);
    return st;
}

/* The prompt must leave room for at least one token of answer. */
static glint_status check_length(const glint_job *job, glint_error *err) {
    const size_t context = (size_t)job->engine->info.context_tokens_max;
    if (job->n_prompt < context) return GLINT_OK;
    gi_fail(err, GLINT_ERR_LIMIT, "prompt and pictures are %zu tokens; the context holds %zu",
            job->n_prompt, context);
    return gi_fail_param(err, GLINT_ERR_LIMIT, "prompt");
}

/* What the answer must be: the request's own schema, else the task's. */
static glint_status make_rules(glint_job *job, const glint_request *r, glint_error *err) {
    glint_engine *e = job->engine;
    if (r->schema_json) {
        GI_TRY(gi_rules_of_request(&e->rules, r->schema_json, r->n_schema_bytes, &job->rules, err));
        job->owns_rules = true;
    } else {
        job->rules = gi_task_set_rules(job->tasks, job->task);
    }
    if (!job->rules) return GLINT_OK;
    job->allowed = gi_calloc(e->trie->n_words, sizeof *job->allowed);
    if (!job->allowed) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a mask");
    return gi_guide_state_create(job->rules->guide, &job->guide, err);
}

/* The keys of the prompt's blocks, so that what it has in common with others is computed once. */
static glint_status make_keys(glint_job *job, const glint_request *r, glint_error *err) {
    const glint_engine *e = job->engine;
    const char *tenant = r->tenant ? r->tenant : "";
    const size_t n = job->n_prompt / e->kv_pool.block_tokens;
    if (r->no_cache || n == 0) return GLINT_OK;
    gi_prompt_picture pictures[GLINT_IMAGES_MAX];
    for (size_t i = 0; i < job->n_pictures; i++)
        pictures[i] = (gi_prompt_picture){.first_token = job->places[i].first_token,
                                          .n_tokens = job->places[i].rows * job->places[i].cols,
                                          .content = job->pictures[i]->entry.key};
    job->keys = gi_calloc(n, sizeof *job->keys);
    if (!job->keys) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a prompt");
    gi_digest salt;
    GI_TRY(gi_sha256_of_bytes("glint prompt 1", tenant, strlen(tenant), &salt, err));
    job->n_keys = n;
    return gi_prompt_keys(&salt, job->known, job->n_prompt, e->kv_pool.block_tokens, pictures,
                          job->n_pictures, job->keys, err);
}

static glint_status make_buffers(glint_job *job, const glint_request *r, const gi_ids *prompt,
                                 glint_error *err) {
    glint_engine *e = job->engine;
    const size_t n = job->n_prompt;
    job->known = gi_calloc(n + (size_t)job->max_tokens, sizeof *job->known);
    job->positions = gi_calloc(3 * n, sizeof *job->positions);
    if (!job->known || !job->positions)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a prompt");
    memcpy(job->known, prompt->ids, n * sizeof *job->known);
    job->n_known = n;
    job->next_position = gi_mrope_positions(n, job->places, job->n_pictures, job->positions);
    GI_TRY(
        gi_kv_sequence_init(&job->sequence, &e->kv_pool, (size_t)e->info.context_tokens_max, err));
    GI_TRY(gi_sampler_init(&job->sampler, (size_t)gi_tokenizer_count(e->tokenizer), r->temperature,
                           r->top_p > 0 ? r->top_p : 1, (size_t)r->top_k, r->seed, err));
    if (r->logprobs)
        GI_TRY(gi_logprobs_init(&job->logprobs, e->tokenizer, (size_t)job->max_tokens,
                                (size_t)r->top_logprobs, err));
    job->result.tokens = job->logprobs.tokens;
    job->result.top_tokens = job->logprobs.top;
    job->result.n_top = job->logprobs.n_top;
    const gi_answer_options answer = {
        .chat = &e->chat,
        .thinking = r->thinking,
        .max_tokens = job->max_tokens,
        .stops = r->stops,
        .n_stops = r->n_stops,
    };
    const glint_status st = gi_answer_create(&answer, &job->answer, err);
    if (st == GLINT_ERR_ARG) gi_fail_param(err, st, "stop");
    if (job->task->label_field && !job->owns_rules)
        gi_confidence_init_labels(&job->confidence, e->tokenizer, job->task->label_field,
                                  job->task->labels, job->task->n_labels);
    else
        gi_confidence_init_text(&job->confidence, e->tokenizer);
    return st;
}

static glint_status choose_task(glint_job *job, const glint_request *r, glint_error *err) {
    const char *name = r->task ? r->task : "audit";
    job->tasks = r->tasks ? gi_task_set_ref(r->tasks) : glint_engine_tasks(job->engine);
    job->task = r->n_messages > 0 ? &NO_TASK : gi_task_set_find(job->tasks, name);
    if (job->task) return GLINT_OK;
    gi_fail(err, GLINT_ERR_ARG, "no task is called \"%.64s\"", name);
    return gi_fail_param(err, GLINT_ERR_ARG, "task");
}

glint_status glint_job_create(glint_engine *engine, const glint_request *request, glint_job **ret,
                              glint_error *err) {
    const double now = gi_clock_ms();
    const char *prompt = request->prompt ? request->prompt : "";
    const size_t n_prompt = request->n_prompt_bytes ? request->n_prompt_bytes : strlen(prompt);
    GI_TRY(check_request(engine, request, n_prompt, err));
    glint_job *job = gi_calloc(1, sizeof *job);
    if (!job) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a job");
    glint_status st;
    job->engine = engine;
    gi_ids ids;
    gi_ids_init(&ids, (size_t)GLINT_PROMPT_BYTES_MAX * 2);
    GI_TRY_DONE(choose_task(job, request, err));
    job->thinking = request->thinking;
    job->created_ms = now;
    job->deadline_ms = request->timeout_ms > 0 ? now + request->timeout_ms : 0;
    job->max_tokens = request->max_tokens ? request->max_tokens : job->task->max_tokens;
    job->result.text = "";
    GI_TRY_DONE(make_rules(job, request, err)); /* cheap to refuse: before pictures */
    GI_TRY_DONE(prepare_pictures(job, request, err));
    const double text_begin = gi_clock_ms();
    GI_TRY_DONE(encode_prompt(job, request, n_prompt, &ids, err));
    job->n_prompt = ids.n;
    GI_TRY_DONE(check_length(job, err));
    GI_TRY_DONE(make_buffers(job, request, &ids, err));
    GI_TRY_DONE(make_keys(job, request, err));
    job->result.timing.preprocess_ms += gi_clock_ms() - text_begin;
    job->result.usage.prompt_tokens = (int)ids.n;
    *ret = job;
    job = NULL;
done:
    gi_ids_done(&ids);
    glint_job_free(job);
    return st;
}

void glint_job_free(glint_job *job) {
    if (!job) return;
    for (size_t i = 0; i < job->n_pictures; i++) gi_picture_unref(job->pictures[i]);
    gi_free(job->known);
    gi_free(job->positions);
    gi_free(job->keys);
    /* Blocks are the running job's; whoever ran it has given them back. */
    gi_assert(job->sequence.n_blocks == 0);
    gi_kv_sequence_done(&job->sequence);
    gi_sampler_done(&job->sampler);
    gi_logprobs_done(&job->logprobs);
    gi_guide_state_free(job->guide);
    gi_free(job->allowed);
    if (job->owns_rules) gi_rules_unref(&job->engine->rules, job->rules);
    gi_answer_free(job->answer);
    glint_tasks_unref(job->tasks);
    gi_free(job);
}
