/**
 * @file
 * Driving a glint_engine by the scheduler: plans become steps of the engine (engine/step.h).
 */
#ifndef GI_SCHED_ENGINE_OPS_H
#define GI_SCHED_ENGINE_OPS_H

#include "engine/step.h"
#include "sched/sched.h"

/** One engine under a scheduler. */
typedef struct gi_engine_ops gi_engine_ops;

/**
 * Take the engine for a scheduler. GLINT_ERR_BUSY when somebody runs it, GLINT_ERR_MEMORY.
 *
 * @param engine borrowed.
 */
glint_status gi_engine_ops_create(glint_engine *engine, gi_engine_ops **ret, glint_error *err);

/** Give the engine back; the scheduler is gone. NULL is fine. */
void gi_engine_ops_free(gi_engine_ops *ops);

/** Fill in what gi_sched_config needs of the engine: engine, pool, plan. */
void gi_engine_ops_configure(gi_engine_ops *ops, gi_sched_config *config);

#endif
