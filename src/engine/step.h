/**
 * @file
 * One step of the engine: what many jobs do together. The caller decides what (src/sched), holds
 * the KV blocks for it, and has the engine to itself (gi_engine_acquire). Nothing here allocates
 * or fails.
 *
 * To a step a job is a row of known tokens, of which some are stored in the KV cache:
 *
 *     [ prompt, pictures in it ........ | answer so far, forced tokens ]
 *       0         sequence.n_tokens                             n_known
 */
#ifndef GI_ENGINE_STEP_H
#define GI_ENGINE_STEP_H

#include "engine/job.h"

/** Take the engine for one thread that runs it. GLINT_ERR_BUSY when another one has it. */
glint_status gi_engine_acquire(glint_engine *engine, glint_error *err);
void gi_engine_release(glint_engine *engine);

/** Bring n pictures (1..GI_VISION_BATCH_MAX) into the vision tower; patches as gi_vision_begin. */
void gi_engine_vision_begin(glint_engine *engine, gi_picture *const *pictures, size_t n);

/** Run some blocks of the batch in the tower. */
void gi_engine_vision_run(glint_engine *engine, size_t n_blocks);

/** All its blocks have run: the pictures get their visual tokens. The engine holds references to
 * them until the next batch begins. */
void gi_engine_vision_end(glint_engine *engine);

/** Known tokens [first, first + n) of a job; first is its sequence.n_tokens. */
typedef struct gi_step_feed {
    glint_job *job;
    size_t first, n;
    bool wants_logits; /**< of the last of them */
} gi_step_feed;

/**
 * Run tokens through the decoder. Blocks for them are held; pictures that they show are encoded;
 * sequence.n_tokens is the caller's to raise.
 *
 * @param n 1..sequences_max feeds, of at most GI_ENGINE_PREFILL_TOKENS tokens together.
 * The logits of the i-th feed that wants them are row i of gi_engine_logits.
 */
void gi_engine_feed(glint_engine *engine, const gi_step_feed *feeds, size_t n);

/** Row i of the newest logits, f32 [V]. */
const float *gi_engine_logits(const glint_engine *engine, size_t i);

#endif
