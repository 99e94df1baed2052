/**
 * @file
 * What a server said to one request: whole, or piece by piece as server-sent events; glint's own
 * form or OpenAI's. What a server does not tell stays unknown (a negative number).
 *
 * Of a glint stream, a piece is an event whose object has a non-empty `delta`, and the answer the
 * one with `usage`; of OpenAI's, a piece is a non-empty `choices[0].delta.content` (or
 * `reasoning_content`). `[DONE]` is the end of both; `error` is a failure.
 */
#ifndef APPS_GLINT_BENCH_SERVE_ANSWER_H
#define APPS_GLINT_BENCH_SERVE_ANSWER_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

/** Most bytes of an answer that is not a stream, and of the text of one that is. */
#define GI_LOAD_ANSWER_BYTES_MAX ((size_t)4 << 20)
/** Room for an error's code or a reason to finish; longer ones are cut. */
#define GI_LOAD_WORD_BYTES       48

typedef enum gi_load_api {
    GI_LOAD_API_GLINT,
    GI_LOAD_API_OPENAI,
} gi_load_api;

/** The parts of a server's time, in milliseconds; the names are those of glint's timing_ms. */
typedef enum gi_load_timing {
    GI_LOAD_QUEUE,
    GI_LOAD_FETCH,
    GI_LOAD_DECODE_IMAGE,
    GI_LOAD_PREPROCESS,
    GI_LOAD_ENCODE,
    GI_LOAD_PREFILL,
    GI_LOAD_DECODE,
    GI_LOAD_TOTAL,
    GI_LOAD_N_TIMINGS,
} gi_load_timing;

/** The tokens of usage. */
typedef enum gi_load_count {
    GI_LOAD_PROMPT,
    GI_LOAD_IMAGE,
    GI_LOAD_COMPLETION,
    GI_LOAD_FORCED,
    GI_LOAD_CACHED,
    GI_LOAD_N_COUNTS,
} gi_load_count;

/** By those numbers: "queue", ... and "prompt_tokens", ... */
extern const char *const gi_load_timing_names[GI_LOAD_N_TIMINGS];
extern const char *const gi_load_count_names[GI_LOAD_N_COUNTS];

typedef struct gi_load_answer {
    gi_load_api api;
    double timing_ms[GI_LOAD_N_TIMINGS]; /**< negative: not told */
    double counts[GI_LOAD_N_COUNTS];     /**< negative: not told */
    char finish[GI_LOAD_WORD_BYTES];     /**< finish_reason; "" = not told */
    char error[GI_LOAD_WORD_BYTES];      /**< code of an error; "" = none */
    bool complete;                       /**< the whole answer came */
    size_t n_pieces;                     /**< pieces of text of a stream */
    double first_ms, last_ms;            /**< clock at the first and the last piece */
    gi_buf text;                         /**< of an OpenAI answer, to check it */
    json_t *body;                        /**< of a glint answer, to check it; or NULL */
} gi_load_answer;

/** An answer of nothing yet; allocates nothing. */
void gi_load_answer_init(gi_load_answer *a, gi_load_api api);

/** Begin another; keeps memory. */
void gi_load_answer_clear(gi_load_answer *a);

/**
 * Read an answer that is not a stream, or an error's body. What cannot be read makes it incomplete.
 * GLINT_ERR_MEMORY, GLINT_ERR_LIMIT (its text).
 */
glint_status gi_load_answer_read(gi_load_answer *a, const void *bytes, size_t n_bytes,
                                 glint_error *err);

/** Read one event of a stream that came at `now_ms`. Same errors. */
glint_status gi_load_answer_event(gi_load_answer *a, const char *data, size_t n_bytes,
                                  double now_ms, glint_error *err);

/** True when every member of `want` is in the answer with that value. */
bool gi_load_answer_is_right(const gi_load_answer *a, const json_t *want);

/** Free. */
void gi_load_answer_done(gi_load_answer *a);

#endif
