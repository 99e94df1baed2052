/**
 * @file
 * Inside the simulator.
 */
#ifndef TESTS_SIMULATE_WORLD_H
#define TESTS_SIMULATE_WORLD_H

#include "simulate.h"

/* A request that came in. */
typedef struct sim_job {
    gi_sched_item item;
    gi_plan_seq seq;
    gi_kv_sequence kv;
    const sim_script *script;
    sim_outcome *outcome;
    struct sim_job *prev, *next; /* all that are not finished */
    uint64_t *chain; /* [n_prompt + n_answer]: of each position, a hash of all up to there */
    gi_kv_key *keys;
    sim_picture *pictures[SIM_PICTURES_MAX];
    bool is_planned;      /* it is in the planner */
    bool is_answering;    /* past its prompt, as the checker sees it */
    unsigned n_preempted; /* as the checker last saw it */
    double last_fed_ms;   /* of an answer row; 0 = none */
} sim_job;

typedef struct sim_worker {
    sim_job *job; /* NULL: idle */
    double left_ms;
} sim_worker;

typedef struct sim_world {
    const sim_config *config;
    uint64_t rng;
    double now_ms;
    gi_line line;
    gi_costs costs;
    gi_kv_pool pool;
    gi_plan *plan;
    sim_job *jobs;
    sim_worker crew[SIM_CREW_MAX];
    sim_picture *pictures[SIM_CONTENTS_MAX];
    sim_report *report;
    /* The engine. */
    const gi_plan_step *step; /* under way; NULL: idle */
    double step_left_ms, vision_ms, text_ms;
    uint64_t *slots;     /* [n_blocks * block_tokens]: what is stored there */
    unsigned *n_holders; /* [n_blocks] scratch of the checker */
    sim_picture *tower[SIM_CONTENTS_MAX];
    size_t n_tower, n_tower_layers;
    size_t n_steps;
    /* The checker's account of one stretch of steps with answers. */
    double allowed_ms, spent_ms, unit_ms;
} sim_world;

/* Tell what is wrong and how to see it again; fails the test. */
_Noreturn void sim_fail(const sim_world *w, const char *what, const char *file, int line);
#define SIM_CHECK(w, cond) ((cond) ? (void)0 : sim_fail((w), #cond, __FILE__, __LINE__))

static inline sim_job *sim_job_of(const gi_plan_seq *seq) {
    return (sim_job *)(void *)((char *)(uintptr_t)seq - offsetof(sim_job, seq));
}

/* simulate.c */
void sim_finish(sim_world *w, sim_job *job, sim_end how);
void sim_sweep_pictures(sim_world *w);

/* simulate_engine.c: the next step, if there is anything to do and none is under way; what happens
 * when its time is over; a request that is to go. */
void sim_engine_start(sim_world *w);
void sim_engine_end(sim_world *w);
void sim_engine_remove(sim_world *w, sim_job *job, sim_end how);

/* simulate_check.c: a step as it was planned; blocks at any time. */
void sim_check_step(sim_world *w, const gi_plan_step *step);
void sim_check_place(sim_world *w, const sim_job *job, glint_status st);
void sim_check_pool(sim_world *w);

#endif
