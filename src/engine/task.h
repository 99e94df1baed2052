/**
 * @file
 * Task templates: what is put around a user's prompt, and the shape its answer must have. The
 * built-in ones are the files in templates/, embedded at build time; docs/templates.md has the
 * format.
 */
#ifndef GI_ENGINE_TASK_H
#define GI_ENGINE_TASK_H

#include "base/buf.h"
#include "base/sha256.h"
#include "grammar/schema.h"

/** A set of templates. Immutable after loading; any number of threads. */
typedef struct gi_templates gi_templates;

/** One template. All strings are UTF-8 and live as long as the set. */
typedef struct gi_task {
    const char *name;             /**< [a-z0-9_-]{1,64} */
    const char *description;      /**< one line for people */
    const char *system;           /**< system text, slots filled; NULL = no system turn */
    const char *prompt_before;    /**< user turn: this, the request's prompt, ... */
    const char *prompt_behind;    /**< ... and this */
    const char *default_prompt;   /**< used when the request's prompt is empty; NULL = none */
    const char *const *languages; /**< [n_languages] BCP 47 tags it is written for */
    size_t n_languages;
    int max_tokens;            /**< when the request gives none */
    const gi_schema *schema;   /**< what the answer must be; NULL = free text */
    const char *label_field;   /**< property whose probability is the confidence; or NULL */
    const char *const *labels; /**< [n_labels] values allowed for it */
    size_t n_labels;
} gi_task;

/**
 * The built-in templates, then the *.json files of `dir` in byte order of their names (NULL: only
 * the built-in ones). A file with the name of an earlier template replaces it.
 * GLINT_ERR_IO, _FORMAT, _UNSUPPORTED, _LIMIT, _MEMORY; the message names file, line and key.
 */
glint_status gi_templates_load(const char *dir, gi_templates **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_templates_free(gi_templates *tasks);

/** Over the texts of all templates, in the order they were read. Lives as long as the set. */
const gi_digest *gi_templates_digest(const gi_templates *tasks);

/** The template called `name`, or NULL. */
const gi_task *gi_templates_find(const gi_templates *tasks, const char *name);

/** The i-th template, built-in ones first, or NULL past the last. */
const gi_task *gi_templates_get(const gi_templates *tasks, size_t i);

/**
 * Append the text of the user's turn: the template's prompt with {prompt} replaced by the n bytes
 * of `prompt`, or by the default prompt when it is empty or only white space. What a user writes
 * is not searched for slots.
 * GLINT_ERR_ARG when both are empty; GLINT_ERR_LIMIT, _MEMORY.
 */
glint_status gi_task_render(const gi_task *task, const char *prompt, size_t n_prompt_bytes,
                            gi_buf *ret, glint_error *err);

#endif
