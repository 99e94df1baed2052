/**
 * @file
 * A set of templates ready for use: parsed, and each schema with its rules. The engine has one at a
 * time; another takes its place when templates are read again, and the old one lives until the
 * last job made from it has gone.
 */
#ifndef GI_ENGINE_TASK_SET_H
#define GI_ENGINE_TASK_SET_H

#include "engine/engine.h"

/**
 * Read the templates of e->template_dir and compile their schemas; e->rules must be in place. The
 * caller has the one reference. Errors as gi_templates_load.
 */
glint_status gi_task_set_create(glint_engine *e, glint_tasks **ret, glint_error *err);

/** Name a set by its templates and the engine, whose fingerprint must be in place. Before anybody
 * else sees it. Errors as base/sha256.h. */
glint_status gi_task_set_seal(glint_tasks *set, glint_error *err);

/** One more reference to a set that somebody holds. Any thread. */
glint_tasks *gi_task_set_ref(const glint_tasks *set);

/** The template called `name`, or NULL. */
const gi_task *gi_task_set_find(const glint_tasks *set, const char *name);

/** The rules of a template's schema; NULL: it has none, or is not of this set. Borrowed. */
gi_rules *gi_task_set_rules(const glint_tasks *set, const gi_task *task);

#endif
