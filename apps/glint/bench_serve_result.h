/**
 * @file
 * What one load found: requests that were due within the measured window, and the answers that
 * came within it.
 */
#ifndef APPS_GLINT_BENCH_SERVE_RESULT_H
#define APPS_GLINT_BENCH_SERVE_RESULT_H

#include "bench_serve_answer.h"
#include "bench_serve_samples.h"

/** Most different words that are counted apart; the others share the last row. */
#define GI_LOAD_TALLY_MAX 24

/** How often each word came. Zero-initialise. */
typedef struct gi_load_tally {
    struct {
        char word[GI_LOAD_WORD_BYTES];
        size_t n;
    } rows[GI_LOAD_TALLY_MAX];
    size_t n_rows;
} gi_load_tally;

/** Count `word`, cut at its room. */
void gi_load_tally_add(gi_load_tally *t, const char *word);

/** {"word": n, ...} */
json_t *gi_load_tally_json(const gi_load_tally *t);

/** How requests are sent. */
typedef struct gi_load_stage {
    double rate_per_s; /**< above 0: open loop, Poisson arrivals */
    size_t n_clients;  /**< else: so many, each sends when it has its answer */
    size_t n_requests; /**< closed loop: end after so many; 0 = by time */
} gi_load_stage;

/** Zero-initialise; free with gi_load_result_done. */
typedef struct gi_load_result {
    gi_load_stage stage;
    double window_ms; /**< measured */
    size_t n_due;     /**< requests due in the window */
    size_t n_ok;      /**< of these, with status 200 and a whole answer */
    size_t n_in_time; /**< of these, within the deadline */
    size_t n_checked; /**< of n_ok, with a right answer known */
    size_t n_right;   /**< of n_checked */
    size_t n_answers; /**< whole answers that came in the window, whenever due */
    double n_tokens;  /**< completion tokens of those */
    gi_load_tally status, errors, finishes; /**< of requests due in the window */
    gi_load_samples latency_ms;             /**< of n_ok, from when the request was due */
    gi_load_samples first_token_ms;         /**< streams: from due to the first piece of text */
    gi_load_samples per_token_ms;           /**< streams: between the first piece and the last */
    gi_load_samples late_ms;                /**< how long after it was due a request was sent */
    gi_load_samples timing_ms[GI_LOAD_N_TIMINGS]; /**< as the server told */
    double counts[GI_LOAD_N_COUNTS];              /**< sums of what the server told */
    size_t n_counted[GI_LOAD_N_COUNTS];           /**< answers that told it */
    size_t n_connections;                         /**< opened for requests of the window */
    size_t n_under_way_max;                       /**< requests under way at once, at most */
    double cpu_share; /**< of one core that the generator used in the window; negative: unknown */
} gi_load_result;

/** One request that ended. */
typedef struct gi_load_outcome {
    double due_ms, sent_ms, end_ms; /**< clock */
    long status;                    /**< HTTP; 0 = none came */
    const char *failure;            /**< why the transfer failed; NULL = it did not */
    const gi_load_answer *answer;
    const json_t *want; /**< right answer; NULL = not known */
    bool was_stream;
    size_t n_connections;
} gi_load_outcome;

/** The measured window, by the clock, and what an answer must keep; 0 = no deadline. */
typedef struct gi_load_window {
    double begin_ms, end_ms, deadline_ms;
} gi_load_window;

/** True when the answer is one: 200, whole, no error in it. */
bool gi_load_outcome_is_ok(const gi_load_outcome *o);

/** Add what the outcome says. GLINT_ERR_MEMORY, GLINT_ERR_LIMIT. */
glint_status gi_load_result_add(gi_load_result *r, const gi_load_window *w,
                                const gi_load_outcome *o, glint_error *err);

/** Free. */
void gi_load_result_done(gi_load_result *r);

#endif
