/*
 * References are counted under the engine's lock, which is also what keeps the current set from
 * being let go of between looking at it and taking a reference. Sets are made outside of it.
 */
#include "engine/task_set.h"

#include "base/alloc.h"

#include <string.h>

struct glint_tasks {
    glint_engine *engine;
    gi_templates *templates;
    gi_rules **rules; /* [n] of those with a schema, else NULL */
    size_t n;
    int n_refs; /* under engine->tasks_lock */
    char fingerprint[GI_DIGEST_HEX_BYTES];
};

static void set_free(glint_tasks *set) {
    for (size_t i = 0; set->rules && i < set->n; i++)
        gi_rules_unref(&set->engine->rules, set->rules[i]);
    gi_free(set->rules);
    gi_templates_free(set->templates);
    gi_free(set);
}

static glint_status make_rules(glint_tasks *set, glint_error *err) {
    while (gi_templates_get(set->templates, set->n)) set->n++;
    set->rules = gi_calloc(set->n, sizeof(gi_rules *));
    if (!set->rules) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for templates");
    for (size_t i = 0; i < set->n; i++) {
        const gi_schema *schema = gi_templates_get(set->templates, i)->schema;
        if (schema) GI_TRY(gi_rules_of_template(&set->engine->rules, schema, &set->rules[i], err));
    }
    return GLINT_OK;
}

glint_status gi_task_set_create(glint_engine *e, glint_tasks **ret, glint_error *err) {
    glint_tasks *set = gi_calloc(1, sizeof *set);
    if (!set) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for templates");
    set->engine = e;
    set->n_refs = 1;
    glint_status st = gi_templates_load(e->template_dir, &set->templates, err);
    if (st == GLINT_OK) st = make_rules(set, err);
    if (st != GLINT_OK) {
        set_free(set);
        return st;
    }
    *ret = set;
    return GLINT_OK;
}

glint_status gi_task_set_seal(glint_tasks *set, glint_error *err) {
    const gi_digest *parts[] = {&set->engine->fingerprint, gi_templates_digest(set->templates)};
    gi_digest digest;
    gi_sha256 h;
    GI_TRY(gi_sha256_init(&h, err));
    gi_sha256_begin(&h, "glint engine and templates 1");
    for (size_t i = 0; i < 2; i++) gi_sha256_bytes(&h, parts[i]->bytes, sizeof parts[i]->bytes);
    const glint_status st = gi_sha256_end(&h, &digest, err);
    gi_sha256_done(&h);
    if (st == GLINT_OK) gi_digest_hex(&digest, set->fingerprint);
    return st;
}

const gi_task *gi_task_set_find(const glint_tasks *set, const char *name) {
    return gi_templates_find(set->templates, name);
}

gi_rules *gi_task_set_rules(const glint_tasks *set, const gi_task *task) {
    for (size_t i = 0; i < set->n; i++)
        if (gi_templates_get(set->templates, i) == task) return set->rules[i];
    return NULL;
}

/* ---- references ---- */

glint_tasks *gi_task_set_ref(const glint_tasks *set) {
    glint_tasks *counted = (glint_tasks *)(uintptr_t)set;
    pthread_mutex_lock(&set->engine->tasks_lock);
    counted->n_refs++;
    pthread_mutex_unlock(&set->engine->tasks_lock);
    return counted;
}

glint_tasks *glint_engine_tasks(glint_engine *engine) {
    pthread_mutex_lock(&engine->tasks_lock);
    glint_tasks *set = engine->tasks;
    set->n_refs++;
    pthread_mutex_unlock(&engine->tasks_lock);
    return set;
}

void glint_tasks_unref(glint_tasks *set) {
    if (!set) return;
    pthread_mutex_lock(&set->engine->tasks_lock);
    const bool is_last = --set->n_refs == 0;
    pthread_mutex_unlock(&set->engine->tasks_lock);
    if (is_last) set_free(set);
}

glint_status glint_engine_reload_tasks(glint_engine *engine, glint_error *err) {
    glint_tasks *set = NULL;
    GI_TRY(gi_task_set_create(engine, &set, err));
    const glint_status st = gi_task_set_seal(set, err);
    if (st != GLINT_OK) {
        set_free(set);
        return st;
    }
    pthread_mutex_lock(&engine->tasks_lock);
    glint_tasks *old = engine->tasks;
    engine->tasks = set;
    pthread_mutex_unlock(&engine->tasks_lock);
    glint_tasks_unref(old);
    return GLINT_OK;
}

/* ---- looking ---- */

const char *glint_tasks_fingerprint(const glint_tasks *set) {
    return set->fingerprint;
}

bool glint_tasks_get(const glint_tasks *set, size_t i, glint_task_info *ret) {
    const gi_task *task = gi_templates_get(set->templates, i);
    if (!task) return false;
    *ret = (glint_task_info){.name = task->name,
                             .description = task->description,
                             .default_prompt = task->default_prompt,
                             .languages = task->languages,
                             .n_languages = task->n_languages,
                             .max_tokens = task->max_tokens,
                             .is_data = task->schema != NULL};
    return true;
}
