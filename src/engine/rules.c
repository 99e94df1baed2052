/*
 * A guide remembers masks as it goes, which is what makes the second request with a schema cheap;
 * so what is kept counts as much as a guide may come to hold.
 */
#include "engine/rules.h"

#include "base/alloc.h"

/* Masks remembered for one schema, and what a compiled schema counts beside its text. */
static const size_t MASK_BYTES_MAX = (size_t)2 << 20, SCHEMA_BYTES_GUESS = (size_t)256 << 10;

static void rules_free(gi_cache_entry *entry) {
    gi_rules *r = (gi_rules *)(void *)entry;
    gi_guide_free(r->guide);
    gi_schema_free(r->owned);
    gi_free(r);
}

/* `owned` becomes the rules' in any case. */
static glint_status make(const gi_rule_maker *maker, const gi_schema *schema, gi_schema *owned,
                         gi_rules **ret, glint_error *err) {
    const gi_guide_options options = {
        .eos_ids = maker->eos, .n_eos = maker->n_eos, .cache_bytes_max = MASK_BYTES_MAX};
    gi_rules *r = gi_calloc(1, sizeof *r);
    if (!r) {
        gi_schema_free(owned);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the rules of an answer");
    }
    r->schema = schema;
    r->owned = owned;
    const glint_status st = gi_guide_create(schema, maker->trie, &options, &r->guide, err);
    if (st != GLINT_OK) {
        rules_free(&r->entry);
        return st;
    }
    *ret = r;
    return GLINT_OK;
}

glint_status gi_rules_of_template(const gi_rule_maker *maker, const gi_schema *schema,
                                  gi_rules **ret, glint_error *err) {
    static const gi_digest no_key;
    GI_TRY(make(maker, schema, NULL, ret, err));
    gi_cache_entry_init(&(*ret)->entry, &no_key, 0, rules_free);
    return GLINT_OK;
}

glint_status gi_rules_of_request(const gi_rule_maker *maker, const char *json, size_t n_bytes,
                                 gi_rules **ret, glint_error *err) {
    gi_digest key;
    gi_schema *schema = NULL;
    GI_TRY(gi_sha256_of_bytes("glint schema 1", json, n_bytes, &key, err));
    gi_cache_entry *entry = gi_cache_get(maker->cache, &key);
    if (entry) {
        *ret = (gi_rules *)(void *)entry;
        return GLINT_OK;
    }
    const glint_status st = gi_schema_compile(json, n_bytes, NULL, &schema, err);
    if (st != GLINT_OK)
        return gi_fail_param(err, st == GLINT_ERR_FORMAT ? GLINT_ERR_ARG : st, "schema");
    GI_TRY(make(maker, schema, schema, ret, err));
    gi_cache_entry_init(&(*ret)->entry, &key, MASK_BYTES_MAX + SCHEMA_BYTES_GUESS + n_bytes,
                        rules_free);
    gi_cache_put(maker->cache, &(*ret)->entry);
    return GLINT_OK;
}

void gi_rules_unref(const gi_rule_maker *maker, gi_rules *rules) {
    if (rules) gi_cache_unref(maker->cache, &rules->entry);
}
