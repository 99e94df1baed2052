/**
 * @file
 * A server without threads, tensors or time: the real waiting line, planner, costs, KV pool and
 * prefix index, driven by a clock that jumps from event to event, with a fake model that notices
 * when it is made to read what another request, or nobody, has written.
 *
 * simulate.c is the clock, the clients and the crew; simulate_engine.c runs steps and is the fake
 * model; simulate_check.c says what must be true of each step.
 *
 * The machine has `n_cores` cores. A step of the engine would use all of them; whoever decodes a
 * picture uses one; when there are too few they all get slower alike.
 */
#ifndef TESTS_SIMULATE_H
#define TESTS_SIMULATE_H

#include "sched/cost.h"
#include "sched/line.h"
#include "sched/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_PICTURES_MAX = 3, SIM_CREW_MAX = 8, SIM_CONTENTS_MAX = 256 };

/* A picture as a request shows it. Equal content, equal picture. */
typedef struct sim_picture_ref {
    unsigned content; /* below SIM_CONTENTS_MAX */
    size_t first_token, n_tokens;
} sim_picture_ref;

/* A picture in memory. */
typedef struct sim_picture {
    gi_picture_state plan;
    size_t n_refs;   /* jobs that hold it */
    bool is_encoded; /* as the fake model knows it */
} sim_picture;

/* What a client will do: all that happens follows from it and the configuration. */
typedef struct sim_script {
    double arrive_ms, cancel_ms; /* cancel_ms: 0 = never */
    double timeout_ms;           /* 0 = none; known once admitted */
    uint64_t tenant;
    int priority;
    double admit_ms, prepare_ms; /* of a core */
    bool is_bad;                 /* refused by admit or prepare */
    uint64_t prefix_seed, seed;  /* of the tokens before and after n_prefix */
    size_t n_prefix, n_prompt, n_answer;
    sim_picture_ref pictures[SIM_PICTURES_MAX];
    size_t n_pictures;
    uint32_t forced_every, forced_max; /* 1 of forced_every tokens brings up to forced_max more */
    double read_ms;                    /* a slow reader's time per token; 0 = reads at once */
} sim_script;

/* How it ended. */
typedef enum sim_end {
    SIM_END_NONE,
    SIM_END_ANSWERED,
    SIM_END_BUSY,
    SIM_END_BAD,
    SIM_END_CANCELLED,
    SIM_END_EXPIRED,
    SIM_END_UNMEETABLE,
    SIM_END_FAILED,
} sim_end;
enum { SIM_ENDS = SIM_END_FAILED + 1 };

typedef struct sim_outcome {
    sim_end how;
    double arrive_ms, end_ms, first_token_ms,
        gap_max_ms; /* gap: longest time between two of its steps */
} sim_outcome;

typedef struct sim_config {
    uint64_t seed; /* of the noise; also told when something fails */
    bool is_verbose;
    double n_cores;
    size_t n_crew, queue_max, ready_max;
    bool has_tenants; /* none may fill the line alone */
    size_t n_clients; /* not 0: so many clients, each of which sends its next request when the last
                         is answered, whatever the scripts say about arrival */
    size_t n_blocks, block_tokens, n_cached_max;
    gi_plan_config plan;
    gi_cost_rates guess, truth;
    double noise;        /* a step takes up to that much more or less, as a part of its time */
    uint32_t fail_every; /* 1 of so many tokens cannot be taken; 0 = none */
    unsigned n_kept; /* contents below it stay in memory once encoded, though nobody shows them */
    size_t picture_patches[SIM_CONTENTS_MAX]; /* of each content; its work as well */
    size_t unread_max;                        /* tokens that a slow reader may be behind */
} sim_config;

typedef struct sim_report {
    size_t n_ends[SIM_ENDS];
    gi_plan_stats plan;
    double end_ms, vision_ms, text_ms;
    size_t n_answer_steps;
    size_t answers_max; /* most requests that answered in one step */
} sim_report;

/**
 * Play the scripts, which are in order of arrival, to the end. `ret_outcomes` is [n]. Anything
 * wrong is told with the seed and fails the test that runs.
 */
void sim_run(const sim_config *config, const sim_script *scripts, size_t n,
             sim_outcome *ret_outcomes, sim_report *ret_report);

/* The next number of a generator, and one below a bound. */
uint64_t sim_random(uint64_t *state);
uint32_t sim_draw(uint64_t *state, uint32_t below);
/* A number in [0, 1). */
double sim_unit(uint64_t *state);

/* The figures by which defaults were chosen; see whatif.c. Returns the exit status. */
int sim_what_if(int argc, char **argv);

#endif
