/**
 * @file
 * One step of the engine: what many jobs do together. The caller decides what (src/sched), holds
 * the KV blocks for it, and has the engine to itself (gi_engine_acquire). Nothing here allocates
 * or fails.
 *
 * A scheduler needs this header alone; the tests put a scripted engine behind it.
 *
 * To a step a job is a row of known tokens, of which some are stored in the KV cache:
 *
 *     [ prompt, pictures in it ........ | answer so far, forced tokens ]
 *       0         sequence.n_tokens                             n_known
 */
#ifndef GI_ENGINE_STEP_H
#define GI_ENGINE_STEP_H

#include <glint/glint.h>

#include "engine/picture_state.h"
#include "kv/kv_pool.h"

/** What an engine can do in a step. */
typedef struct gi_engine_bounds {
    size_t sequences_max; /**< jobs */
    size_t rows_max;      /**< tokens, of all jobs together */
    size_t pictures_max;  /**< pictures of one batch in the vision tower */
    size_t patches_max;   /**< their patches together */
    size_t vision_layers; /**< layers of the vision tower */
    double token_ops;     /**< operations of a token through the decoder, roughly */
    double weight_bytes;  /**< that a step of the decoder reads, roughly */
    gi_kv_pool *kv_pool;
} gi_engine_bounds;

gi_engine_bounds gi_engine_get_bounds(glint_engine *engine);

/** What a scheduler must know of a job. */
typedef struct gi_job_view {
    gi_kv_sequence *kv;
    const gi_kv_key *keys; /**< [n_keys] of the prompt's full blocks; NULL: it shares nothing */
    size_t n_keys;
    size_t n_prompt, n_known;
    gi_picture_place places[GLINT_IMAGES_MAX];
    size_t n_places;
} gi_job_view;

/** Valid until the job is freed, but for n_known. */
gi_job_view gi_job_get_view(glint_job *job);

/** Take the engine for one thread that runs it. GLINT_ERR_BUSY when another one has it. */
glint_status gi_engine_acquire(glint_engine *engine, glint_error *err);
void gi_engine_release(glint_engine *engine);

/* ---- jobs ---- */

/**
 * The job begins to run: its times count from now. on_text may be NULL. What its schema forces at
 * the beginning of the answer becomes known.
 * GLINT_ERR_ARG when it ran before; GLINT_ERR_CANCELLED (its reader does not want more).
 */
glint_status gi_job_start(glint_job *job, glint_text_fn on_text, void *ctx, glint_error *err);

/**
 * All known tokens are stored: choose the next one from the i-th logits of the newest feed.
 *
 * @param ret_n_known tokens known afterwards; 0 when the answer has ended, and the result is
 *                    complete.
 * @return GLINT_ERR_CANCELLED (its reader does not want more), GLINT_ERR_MEMORY.
 * Allocates only when the answer ends.
 */
glint_status gi_job_take(glint_job *job, size_t i_logits, size_t *ret_n_known, glint_error *err);

/**
 * Whatever came of it: fill in the result as far as the answer got, and the times.
 *
 * @param n_cached prompt tokens whose keys and values were found instead of computed.
 */
void gi_job_conclude(glint_job *job, size_t n_cached);

/* ---- vision tower ---- */

/** Bring n pictures (within the bounds) into the vision tower. */
void gi_engine_vision_begin(glint_engine *engine, gi_picture_state *const *pictures, size_t n);

/** Run some layers of the batch in the tower. */
void gi_engine_vision_run(glint_engine *engine, size_t n_layers);

/** All its layers have run: the pictures get their visual tokens. The engine holds references to
 * them until the next batch begins. */
void gi_engine_vision_end(glint_engine *engine);

/* ---- decoder ---- */

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
 * @param n 1..sequences_max feeds, of at most rows_max tokens together. The i-th that wants logits
 *          has the i-th.
 */
void gi_engine_feed(glint_engine *engine, const gi_step_feed *feeds, size_t n);

/** The i-th logits of the newest feed, f32 [V]. */
const float *gi_engine_logits(const glint_engine *engine, size_t i);

#endif
