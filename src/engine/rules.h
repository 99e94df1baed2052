/**
 * @file
 * The rules of an answer: a schema and the guide that keeps the model to it. Those of templates are
 * made whenever these are read; those that come with requests are kept for the next request that
 * brings the same, in a cache with a byte budget.
 */
#ifndef GI_ENGINE_RULES_H
#define GI_ENGINE_RULES_H

#include "base/cache.h"
#include "grammar/guide.h"

/** Immutable; any number of jobs and threads. */
typedef struct gi_rules {
    gi_cache_entry entry;    /**< its key: the schema's text */
    const gi_schema *schema; /**< `owned`, or a template's */
    gi_schema *owned;
    gi_guide *guide;
} gi_rules;

/** What rules are made with. */
typedef struct gi_rule_maker {
    const gi_vocab_trie *trie;
    const int32_t *eos; /**< [n_eos] */
    size_t n_eos;
    gi_cache *cache;
} gi_rule_maker;

/** Rules of a template's schema, which must outlive them. The caller has the one reference. */
glint_status gi_rules_of_template(const gi_rule_maker *maker, const gi_schema *schema,
                                  gi_rules **ret, glint_error *err);

/**
 * Rules of a schema that came with a request; compiled, or found.
 * GLINT_ERR_ARG, _UNSUPPORTED, _LIMIT with err->param "schema"; GLINT_ERR_MEMORY.
 */
glint_status gi_rules_of_request(const gi_rule_maker *maker, const char *json, size_t n_bytes,
                                 gi_rules **ret, glint_error *err);

/** Let go. NULL is fine. */
void gi_rules_unref(const gi_rule_maker *maker, gi_rules *rules);

#endif
