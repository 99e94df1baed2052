/**
 * @file
 * Inside a job: a request's pictures, tokens and answer. glint_job_create fills it on any thread
 * (job_create.c), glint_job_run computes it (job.c).
 */
#ifndef GI_ENGINE_JOB_H
#define GI_ENGINE_JOB_H

#include "engine/answer.h"
#include "engine/engine.h"
#include "grammar/confidence.h"
#include "model/mrope.h"
#include "model/sampler.h"

/** A picture of a job: its patches until it is encoded, its place in the prompt. */
typedef struct gi_job_picture {
    gi_patches patches;
    gi_mrope_image place;
} gi_job_picture;

struct glint_job {
    glint_engine *engine;
    const gi_task *task;
    gi_job_picture pictures[GLINT_IMAGES_MAX];
    size_t n_pictures;
    gi_ids prompt;         /**< token ids, visual tokens as <|image|> */
    int32_t *positions;    /**< [3][prompt.n] */
    int32_t next_position; /**< of the first generated token */
    gi_act visual;         /**< [visual tokens of all pictures, C], in prompt order */
    gi_kv_sequence sequence;
    gi_sampler sampler;
    gi_confidence confidence;
    gi_answer *answer;
    int max_tokens;
    double created_ms;
    double deadline_ms; /**< on gi_clock_ms; 0 = none */
    atomic_bool is_cancelled;
    bool has_run;
    glint_result result;
};

/**
 * The first half of glint_job_run: encode the pictures and prefill the prompt. The logits of the
 * first answer token are in engine->logits. For measurements that look at logits; nobody else may
 * run a job of this engine until gi_job_end. Errors as glint_job_run.
 */
glint_status gi_job_begin(glint_job *job, glint_error *err);

/** Run the n-th (from 0) answer token through the decoder; its logits replace the old ones. */
glint_status gi_job_feed(glint_job *job, int32_t id, int n_before, glint_error *err);

/** Give the KV blocks back. */
void gi_job_end(glint_job *job);

#endif
