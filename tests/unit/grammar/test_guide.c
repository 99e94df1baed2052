/*
 * src/grammar/guide: masks, accepting, forced tokens.
 *
 * The properties are tried on random schemas (random_schema.c) with the default model's tokenizer:
 * whatever is chosen among the allowed tokens, the answer is JSON that meets the schema; a mask
 * says of each token what accept does; and skipping forced tokens changes no greedy answer.
 */
#include "../cm.h"

#include "random_schema.h"
#include "walk.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "grammar/guide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_SCHEMAS = 10000, STEPS_MAX = 1500, FREE_STEPS = 40, TEXT_MAX = 1 << 18 };

static gi_tokenizer *tokenizer;
static gi_vocab_trie *trie;
static int32_t eos, single[256];
static uint32_t *bits;

static bool has(const uint32_t *mask, int32_t id) {
    return id >= 0 && (mask[id / 32] >> id % 32 & 1);
}

/* The n-th token of a mask, counted round. */
static int32_t nth(const uint32_t *mask, uint32_t n) {
    uint32_t count = 0;
    for (size_t w = 0; w < trie->n_words; w++) count += (uint32_t)__builtin_popcount(mask[w]);
    if (count == 0) return -1;
    n %= count;
    for (size_t w = 0; w < trie->n_words; w++) {
        const uint32_t here = (uint32_t)__builtin_popcount(mask[w]);
        if (n >= here) {
            n -= here;
            continue;
        }
        uint32_t word = mask[w];
        while (n-- > 0) word &= word - 1;
        return (int32_t)(w * 32) + __builtin_ctz(word);
    }
    return -1;
}

/* The token that brings an answer nearest to its end; any where that is not plain. */
static int32_t closing(const uint32_t *mask, uint32_t otherwise) {
    static const char order[] = "}]:,0\"", wanted[] = "0\\nx"; /* wanted: by the patterns */
    if (has(mask, eos)) return eos;
    const bool in_string = has(mask, single['}']) && has(mask, single[']']);
    const int32_t step = single[(uint8_t)wanted[otherwise % 4]];
    if (in_string && !has(mask, single['"'])) return has(mask, step) ? step : nth(mask, otherwise);
    if (in_string) return single['"'];
    for (const char *c = order; *c; c++)
        if (has(mask, single[(uint8_t)*c])) return single[(uint8_t)*c];
    return nth(mask, otherwise);
}

/* The best of the allowed tokens for a model whose logits are a hash of the text and the token. */
static int32_t best(const uint32_t *mask, uint64_t text_hash) {
    int32_t found = -1;
    uint64_t most = 0;
    for (size_t w = 0; w < trie->n_words; w++) {
        for (uint32_t word = mask[w]; word; word &= word - 1) {
            const int32_t id = (int32_t)(w * 32) + __builtin_ctz(word);
            uint64_t h = (text_hash ^ (uint64_t)id) * UINT64_C(0x9E3779B97F4A7C15);
            h = (h ^ h >> 32) * UINT64_C(0xD6E8FEB86659FD93);
            if (found >= 0 && h <= most) continue;
            found = id;
            most = h;
        }
    }
    return found;
}

static uint64_t hash_text(const gi_buf *text) {
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < text->len; i++) h = (h ^ text->data[i]) * UINT64_C(0x100000001B3);
    return h;
}

static void put_token(gi_buf *text, int32_t id) {
    size_t n;
    const uint8_t *bytes = gi_tokenizer_bytes(tokenizer, id, &n);
    assert_int_equal(gi_buf_push(text, bytes, n, NULL), GLINT_OK);
}

typedef struct rig {
    gi_schema *schema;
    gi_guide *guide;
    gi_guide_state *state;
} rig;

static bool open_rig(rig *r, const char *text) {
    glint_error err = {0};
    *r = (rig){NULL};
    const glint_status st = gi_schema_compile(text, strlen(text), NULL, &r->schema, &err);
    if (st != GLINT_OK) {
        const bool is_fine = st == GLINT_ERR_LIMIT || strstr(err.message, "no value") ||
                             strstr(err.message, "patternProperties");
        if (!is_fine) fail_msg("%s: %s", text, err.message);
        return false;
    }
    const gi_guide_options o = {.eos_ids = &eos, .n_eos = 1, .cache_bytes_max = 100000};
    assert_int_equal(gi_guide_create(r->schema, trie, &o, &r->guide, NULL), GLINT_OK);
    assert_int_equal(gi_guide_state_create(r->guide, &r->state, NULL), GLINT_OK);
    return true;
}

static void close_rig(rig *r) {
    gi_guide_state_free(r->state);
    gi_guide_free(r->guide);
    gi_schema_free(r->schema);
}

/* The answer is JSON, meets the schema, and the grammar takes it byte by byte. */
static void check_answer(const rig *r, const char *schema, const gi_buf *text) {
    json_t *value = NULL;
    glint_error err = {0};
    if (gi_json_parse_any(text->data, text->len, "answer", &value, &err) != GLINT_OK ||
        gi_schema_check(r->schema, value, &err) != GLINT_OK)
        fail_msg("%s\n%s\n%s", schema, (const char *)text->data, err.message);
    if (!walk_accepts(r->schema, (const char *)text->data, text->len, NULL))
        fail_msg("%s\n%s: not taken", schema, (const char *)text->data);
    json_decref(value);
}

/* Choose at random for a while, then towards the end. False: it got too long. */
static bool random_walk(rig *r, const char *schema, uint64_t *seed, gi_buf *text) {
    gi_guide_state_reset(r->state);
    gi_buf_clear(text);
    for (int step = 0; step < STEPS_MAX; step++) {
        if (!gi_guide_mask(r->state, bits))
            fail_msg("%s\n%s: no token", schema, (const char *)text->data);
        const uint32_t random = random_next(seed);
        const int32_t id = step < FREE_STEPS ? nth(bits, random) : closing(bits, random);
        if (!gi_guide_accept(r->state, id))
            fail_msg("%s\n%s: token %d refused", schema, (const char *)text->data, id);
        if (id == eos) return true;
        put_token(text, id);
    }
    return false;
}

/* Greedy decoding of the hash model; with `jump` forced tokens are taken without a look at it. */
static size_t decode(rig *r, bool jump, gi_buf *text, int32_t *ids, size_t *ret_n_forced) {
    size_t n = 0, n_forced = 0;
    gi_guide_state_reset(r->state);
    gi_buf_clear(text);
    while (n < STEPS_MAX) {
        int32_t forced[GI_FORCED_MAX];
        const size_t k = jump ? gi_guide_forced(r->state, forced, GI_FORCED_MAX) : 0;
        for (size_t i = 0; i < k && n < STEPS_MAX; i++) {
            assert_true(gi_guide_accept(r->state, forced[i]));
            put_token(text, forced[i]);
            ids[n++] = forced[i];
        }
        n_forced += k;
        if (k > 0) continue;
        assert_true(gi_guide_mask(r->state, bits));
        const uint64_t h = hash_text(text);
        const int32_t id = text->len < 300 ? best(bits, h) : closing(bits, (uint32_t)h);
        assert_true(gi_guide_accept(r->state, id));
        ids[n++] = id;
        if (id == eos) break;
        put_token(text, id);
    }
    *ret_n_forced = n_forced;
    return n;
}

static void compare_decodings(rig *r, const char *schema, size_t *io_n_forced) {
    static int32_t ids[2][STEPS_MAX];
    gi_buf text[2];
    size_t n[2], n_forced;
    for (int jump = 0; jump < 2; jump++) {
        gi_buf_init(&text[jump], TEXT_MAX);
        n[jump] = decode(r, jump, &text[jump], ids[jump], &n_forced);
        *io_n_forced += n_forced;
    }
    if (n[0] != n[1] || memcmp(ids[0], ids[1], n[0] * sizeof **ids) != 0)
        fail_msg("%s\n%s\n%s", schema, (const char *)text[0].data, (const char *)text[1].data);
    gi_buf_done(&text[0]);
    gi_buf_done(&text[1]);
}

static void random_schemas(void **state) {
    (void)state;
    size_t n_tried = 0, n_long = 0, n_forced = 0;
    gi_buf schema, text;
    gi_buf_init(&schema, GI_SCHEMA_BYTES_MAX);
    gi_buf_init(&text, TEXT_MAX);
    const char *from = getenv("GLINT_SEED");
    for (uint64_t i = from ? strtoull(from, NULL, 10) : 0; n_tried < N_SCHEMAS; i++) {
        rig r;
        uint64_t seed = i;
        gi_buf_clear(&schema);
        random_schema(&seed, &schema);
        if (!open_rig(&r, (const char *)schema.data)) continue;
        n_tried++;
        if (random_walk(&r, (const char *)schema.data, &seed, &text))
            check_answer(&r, (const char *)schema.data, &text);
        else
            n_long++;
        if (i % 4 == 0) compare_decodings(&r, (const char *)schema.data, &n_forced);
        close_rig(&r);
    }
    print_message("%zu schemas, %zu answers too long, %zu tokens forced\n", n_tried, n_long,
                  n_forced);
    assert_int_equal(n_long, 0);
    assert_true(n_forced > N_SCHEMAS / 10);
    gi_buf_done(&schema);
    gi_buf_done(&text);
}

/* Each bit of a mask is what accept says of a copy. */
static void masks_and_accept_agree(void **state) {
    (void)state;
    gi_buf schema;
    gi_buf_init(&schema, GI_SCHEMA_BYTES_MAX);
    for (uint64_t i = 100000; i < 100060; i++) {
        rig r;
        uint64_t seed = i;
        gi_guide_state *copy = NULL;
        gi_buf_clear(&schema);
        random_schema(&seed, &schema);
        if (!open_rig(&r, (const char *)schema.data)) continue;
        assert_int_equal(gi_guide_state_create(r.guide, &copy, NULL), GLINT_OK);
        for (int step = 0; step < 12 && gi_guide_mask(r.state, bits); step++) {
            for (int32_t id = 0; id < (int32_t)trie->n_vocab; id++) {
                gi_guide_state_copy(copy, r.state);
                if (gi_guide_accept(copy, id) != has(bits, id))
                    fail_msg("%s: step %d, token %d", (const char *)schema.data, step, id);
            }
            const int32_t id = nth(bits, random_next(&seed));
            assert_true(gi_guide_accept(r.state, id));
        }
        gi_guide_state_free(copy);
        close_rig(&r);
    }
    gi_buf_done(&schema);
}

static const char audit[] =
    "{\"type\":\"object\",\"properties\":{\"result\":{\"enum\":[\"pass\",\"review\",\"reject\"]},"
    "\"reasons\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"
    "\"required\":[\"result\",\"reasons\"]}";

/* An answer of the default model, token by token as it is encoded, is what the guide allows. */
static void a_verdict(void **state) {
    (void)state;
    static const char answer[] = "{\"result\":\"reject\",\"reasons\":[\"涉嫌虚假宣传\"]}";
    rig r;
    gi_ids ids;
    int32_t forced[GI_FORCED_MAX];
    gi_ids_init(&ids, 100);
    assert_true(open_rig(&r, audit));
    assert_int_equal(gi_tokenizer_encode(tokenizer, answer, sizeof answer - 1, &ids, NULL),
                     GLINT_OK);
    size_t n_forced = gi_guide_forced(r.state, forced, GI_FORCED_MAX);
    assert_in_range(n_forced, 2, ids.n);
    assert_memory_equal(forced, ids.ids, n_forced * sizeof *forced);
    assert_int_equal(gi_guide_forced(r.state, forced, 1), 1);
    for (size_t i = 0; i < ids.n; i++) {
        assert_false(gi_guide_is_complete(r.state));
        assert_false(gi_guide_accept(r.state, eos));
        assert_true(gi_guide_mask(r.state, bits));
        assert_false(has(bits, eos));
        assert_true(has(bits, ids.ids[i]));
        assert_true(gi_guide_accept(r.state, ids.ids[i]));
    }
    assert_true(gi_guide_is_complete(r.state));
    assert_true(gi_guide_mask(r.state, bits));
    assert_int_equal(nth(bits, 0), eos);
    assert_int_equal(nth(bits, 1), eos);
    assert_false(gi_guide_accept(r.state, ids.ids[0]));
    assert_true(gi_guide_accept(r.state, eos));
    assert_false(gi_guide_mask(r.state, bits));
    assert_false(gi_guide_accept(r.state, eos));
    assert_int_equal(gi_guide_forced(r.state, forced, 1), 0);
    gi_ids_done(&ids);
    close_rig(&r);
}

static void what_is_no_token_is_refused(void **state) {
    (void)state;
    rig r;
    assert_true(open_rig(&r, "{\"type\":\"string\"}"));
    static const int32_t ids[] = {-1, INT32_MIN, INT32_MAX, 1 << 20};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_false(gi_guide_accept(r.state, ids[i]));
    assert_false(gi_guide_accept(r.state, (int32_t)trie->n_vocab));
    assert_false(gi_guide_accept(r.state, gi_tokenizer_special(tokenizer, "<|user|>")));
    assert_true(gi_guide_accept(r.state, single['"']));
    close_rig(&r);
}

static void stepping_allocates_nothing(void **state) {
    (void)state;
    rig r;
    gi_buf text;
    uint64_t seed = 3;
    gi_buf_init(&text, TEXT_MAX);
    assert_int_equal(gi_buf_reserve(&text, TEXT_MAX - 1, NULL), GLINT_OK);
    assert_true(open_rig(&r, "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]},"
                             "\"b\":{\"type\":\"array\",\"items\":true}},\"required\":[\"a\"],"
                             "\"additionalProperties\":true}"));
    const uint64_t before = gi_alloc_count();
    for (int i = 0; i < 20; i++) (void)random_walk(&r, "fixed", &seed, &text);
    assert_int_equal(gi_alloc_count(), before);
    const gi_guide_stats stats = gi_guide_get_stats(r.guide);
    assert_in_range(stats.n_masks_computed, 1, stats.n_masks - 1);
    assert_in_range(stats.n_runs_computed, 1, stats.n_runs - 1);
    close_rig(&r);
    gi_buf_done(&text);
}

static void short_of_memory(void **state) {
    (void)state;
    gi_schema *schema = NULL;
    gi_vocab_trie *own = NULL;
    gi_guide *guide = NULL;
    gi_guide_state *s = NULL;
    uint64_t n;
    assert_int_equal(gi_schema_compile(audit, sizeof audit - 1, NULL, &schema, NULL), GLINT_OK);
    for (n = 1; !s; n++) {
        gi_alloc_fail_at(n);
        glint_status st = GLINT_OK;
        if (!own) st = gi_vocab_trie_create(tokenizer, trie->n_vocab, &own, NULL);
        if (own && !guide) st = gi_guide_create(schema, own, NULL, &guide, NULL);
        if (guide) st = gi_guide_state_create(guide, &s, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_true(n > 5);
    gi_guide_state_free(s);
    gi_guide_free(guide);
    gi_vocab_trie_free(own);
    gi_schema_free(schema);
    gi_guide_state_free(NULL);
    gi_guide_free(NULL);
    gi_vocab_trie_free(NULL);
    assert_int_equal(gi_vocab_trie_create(tokenizer, 5, &own, NULL), GLINT_ERR_ARG);
}

static int load(void **state) {
    (void)state;
    char path[GI_PATH_BYTES];
    glint_error err = {0};
    snprintf(path, sizeof path, "%s/models/default/tokenizer.json", getenv("GLINT_SOURCE_ROOT"));
    if (gi_tokenizer_load(path, &tokenizer, &err) != GLINT_OK) return -1;
    const size_t n_vocab = (size_t)gi_tokenizer_count(tokenizer) + 40; /* models round up */
    if (gi_vocab_trie_create(tokenizer, n_vocab, &trie, &err) != GLINT_OK) return -1;
    eos = gi_tokenizer_special(tokenizer, "<|endoftext|>");
    for (int32_t id = 0; id < gi_tokenizer_count(tokenizer); id++) {
        size_t n;
        const uint8_t *bytes = gi_tokenizer_bytes(tokenizer, id, &n);
        if (n == 1 && gi_tokenizer_is_text(tokenizer, id)) single[bytes[0]] = id;
    }
    bits = calloc(trie->n_words, sizeof *bits);
    return bits && eos >= 0 ? 0 : -1;
}

static int unload(void **state) {
    (void)state;
    gi_vocab_trie_free(trie);
    gi_tokenizer_free(tokenizer);
    free(bits);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verdict),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(masks_and_accept_agree),
        cmocka_unit_test(stepping_allocates_nothing),
        cmocka_unit_test(random_schemas),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests_name("guide", tests, load, unload);
}
