/**
 * @file
 * Inside a job: a request's pictures, tokens and answer. glint_job_create fills it on any thread
 * (job_create.c); then either glint_job_run computes it (job.c), or a scheduler does, together
 * with others (step.h): it feeds the known tokens, and gi_job_take adds to them.
 */
#ifndef GI_ENGINE_JOB_H
#define GI_ENGINE_JOB_H

#include "engine/answer.h"
#include "engine/engine.h"
#include "engine/logprobs.h"
#include "engine/picture.h"
#include "engine/step.h"
#include "grammar/confidence.h"
#include "model/mrope.h"
#include "model/sampler.h"

struct glint_job {
    glint_engine *engine;
    glint_tasks *tasks; /**< a reference: `task` and its rules are theirs */
    const gi_task *task;
    gi_picture *pictures[GLINT_IMAGES_MAX];
    gi_mrope_image places[GLINT_IMAGES_MAX]; /**< of each picture in the prompt */
    size_t n_pictures;
    int32_t *known; /**< [n_prompt + max_tokens] ids: the prompt, visual tokens as <|image|>, and
                         the answer so far */
    size_t n_prompt, n_known;
    int32_t *positions;    /**< [3][n_prompt] */
    int32_t next_position; /**< of the first generated token */
    gi_kv_key *keys;       /**< [n_keys] of the prompt's full blocks; NULL when it shares nothing */
    size_t n_keys;
    gi_kv_sequence sequence;
    gi_sampler sampler;
    gi_confidence confidence;
    gi_rules *rules;       /**< of the answer, or NULL: free text */
    bool owns_rules;       /**< a reference to them */
    gi_guide_state *guide; /**< where the answer stands in them; NULL: nothing keeps it to them */
    uint32_t *allowed;     /**< [trie's n_words] tokens that may come next */
    bool thinking;
    gi_logprobs logprobs;
    gi_answer *answer;
    glint_text_fn on_text; /**< or NULL */
    void *text_ctx;
    int max_tokens;
    double created_ms;
    double deadline_ms;                           /**< on gi_clock_ms; 0 = none */
    double begun_ms, encoded_ms, first_logits_ms; /**< on gi_clock_ms; 0 = not yet */
    atomic_bool is_cancelled;
    bool has_run;
    glint_result result;
};

/* For measurements that look at logits, and for glint_job_run: one job alone. */

/**
 * Take the engine, encode the pictures and prefill the prompt: the logits of the first answer
 * token are row 0 of gi_engine_logits. Errors as glint_job_run; the engine is then given back.
 */
glint_status gi_job_begin(glint_job *job, glint_error *err);

/** Run one more token through the decoder; its logits replace the old ones. */
glint_status gi_job_feed(glint_job *job, int32_t id, glint_error *err);

/** Give the KV blocks and the engine back. */
void gi_job_end(glint_job *job);

#endif
