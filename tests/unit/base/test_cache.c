/*
 * src/base/cache: never more bytes than allowed, what is held is never freed, what is not held goes
 * in order of last use, and every value is freed once, however many threads are at it.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* A value with the entry not in front, so that nothing relies on that. */
typedef struct value {
    uint64_t id;
    atomic_int *n_freed; /* [1], counts */
    gi_cache_entry entry;
} value;

static value *value_of(gi_cache_entry *e) {
    return (value *)(void *)((char *)e - offsetof(value, entry));
}

static void free_value(gi_cache_entry *e) {
    value *v = value_of(e);
    gi_assert(e->n_refs == 0); /* cmocka's asserts are for its own thread */
    if (v->n_freed) atomic_fetch_add(v->n_freed, 1);
    memset(v, 0xEE, sizeof *v);
    gi_free(v);
}

/* Keys of one `slot` share their first 24 bytes, hence a bucket. */
static gi_digest key_of(uint64_t slot, uint64_t id) {
    gi_digest key = {{0}};
    memcpy(key.bytes, &slot, sizeof slot);
    memcpy(key.bytes + 24, &id, sizeof id);
    return key;
}

static gi_digest key_of_id(uint64_t id) {
    return key_of(id % 7, id);
}

static value *make_value(uint64_t id, size_t n_bytes, atomic_int *n_freed) {
    const gi_digest key = key_of_id(id);
    value *v = gi_calloc(1, sizeof *v);
    assert_non_null(v);
    v->id = id;
    v->n_freed = n_freed;
    gi_cache_entry_init(&v->entry, &key, n_bytes, free_value);
    return v;
}

/* Put a value and let go of it. */
static bool put(gi_cache *cache, uint64_t id, size_t n_bytes, atomic_int *n_freed) {
    value *v = make_value(id, n_bytes, n_freed);
    const bool is_kept = gi_cache_put(cache, &v->entry);
    gi_cache_unref(cache, &v->entry);
    return is_kept;
}

static value *get(gi_cache *cache, uint64_t id) {
    const gi_digest key = key_of_id(id);
    gi_cache_entry *e = gi_cache_get(cache, &key);
    if (!e) return NULL;
    assert_int_equal(value_of(e)->id, id);
    return value_of(e);
}

static bool has(gi_cache *cache, uint64_t id) {
    value *v = get(cache, id);
    if (v) gi_cache_unref(cache, &v->entry);
    return v != NULL;
}

static void the_least_recently_used_goes_first(void **state) {
    (void)state;
    gi_cache *cache;
    atomic_int n_freed = 0;
    assert_int_equal(gi_cache_create(100, &cache, NULL), GLINT_OK);
    for (uint64_t id = 0; id < 10; id++) assert_true(put(cache, id, 10, &n_freed));
    assert_true(has(cache, 0)); /* 0 is the newest now, 1 the oldest */
    assert_true(put(cache, 10, 10, &n_freed));
    assert_false(has(cache, 1));
    assert_true(put(cache, 11, 25, &n_freed)); /* takes three places */
    assert_int_equal(n_freed, 4);
    for (uint64_t id = 2; id <= 4; id++) assert_false(has(cache, id));
    for (uint64_t id = 5; id <= 11; id++) assert_true(has(cache, id));
    assert_true(has(cache, 0));
    const gi_cache_stats s = gi_cache_get_stats(cache);
    assert_int_equal(s.n_entries, 8);
    assert_int_equal(s.n_bytes, 95);
    assert_int_equal(s.n_inserts, 12);
    assert_int_equal(s.n_evictions, 4);
    assert_int_equal(s.n_hits, 9);
    assert_int_equal(s.n_misses, 4);
    gi_cache_free(cache);
    assert_int_equal(n_freed, 12);
}

static void what_is_held_stays(void **state) {
    (void)state;
    gi_cache *cache;
    atomic_int n_freed = 0;
    assert_int_equal(gi_cache_create(100, &cache, NULL), GLINT_OK);
    for (uint64_t id = 0; id < 10; id++) assert_true(put(cache, id, 10, &n_freed));
    value *held[9];
    for (uint64_t id = 0; id < 9; id++) held[id] = get(cache, id);
    assert_false(put(cache, 20, 11, &n_freed)); /* only 10 bytes are not in use: nothing goes */
    assert_int_equal(n_freed, 1);
    assert_true(has(cache, 9));
    assert_true(put(cache, 21, 10, &n_freed)); /* 9 goes */
    assert_false(has(cache, 9));
    assert_int_equal(gi_cache_get_stats(cache).n_bytes, 100);
    for (uint64_t id = 0; id < 9; id++) assert_int_equal(held[id]->id, id);
    for (uint64_t id = 9; id-- > 0;) gi_cache_unref(cache, &held[id]->entry);
    assert_true(put(cache, 22, 20, &n_freed)); /* 21 and 8, which was let go first */
    assert_false(has(cache, 8));
    assert_true(has(cache, 7));
    gi_cache_free(cache);
    assert_int_equal(n_freed, 13);
}

static void held_twice_is_freed_once(void **state) {
    (void)state;
    gi_cache *cache;
    atomic_int n_freed = 0;
    assert_int_equal(gi_cache_create(100, &cache, NULL), GLINT_OK);
    value *a = make_value(1, 40, &n_freed);
    assert_true(gi_cache_put(cache, &a->entry));
    assert_ptr_equal(get(cache, 1), a);
    gi_cache_unref(cache, &a->entry);
    assert_false(put(cache, 2, 70, &n_freed)); /* 40 are in use */
    assert_int_equal(n_freed, 1);
    const gi_digest key = key_of_id(1);
    gi_cache_remove(cache, &key);
    assert_int_equal(gi_cache_get_stats(cache).n_entries, 0);
    assert_int_equal(n_freed, 1);
    assert_true(put(cache, 1, 90, &n_freed)); /* a new one of the same key, and all the room */
    assert_int_equal(a->id, 1);
    gi_cache_unref(cache, &a->entry);
    assert_int_equal(n_freed, 2);
    gi_cache_remove(cache, &key);
    gi_cache_remove(cache, &key);
    assert_int_equal(n_freed, 3);
    gi_cache_unref(cache, NULL);
    gi_cache_free(cache);
}

/* Two made the same: the first stays, and has just been used. */
static void the_first_of_a_key_stays(void **state) {
    (void)state;
    gi_cache *cache;
    atomic_int n_first = 0, n_second = 0;
    assert_int_equal(gi_cache_create(20, &cache, NULL), GLINT_OK);
    assert_true(put(cache, 1, 10, &n_first));
    assert_true(put(cache, 2, 10, NULL));
    assert_false(put(cache, 1, 10, &n_second));
    assert_int_equal(n_first, 0);
    assert_int_equal(n_second, 1);
    assert_true(put(cache, 3, 10, NULL));
    assert_true(has(cache, 1));
    assert_false(has(cache, 2));
    gi_cache_free(cache);
}

static void off_and_too_large(void **state) {
    (void)state;
    gi_cache *cache;
    atomic_int n_freed = 0;
    assert_int_equal(gi_cache_create(0, &cache, NULL), GLINT_OK);
    assert_false(put(cache, 1, 0, &n_freed));
    assert_false(has(cache, 1));
    assert_int_equal(gi_cache_get_stats(cache).n_misses, 0);
    gi_cache_free(cache);
    assert_int_equal(gi_cache_create(100, &cache, NULL), GLINT_OK);
    assert_true(put(cache, 1, 60, &n_freed));
    assert_false(put(cache, 2, 101, &n_freed));
    assert_false(put(cache, 3, SIZE_MAX, &n_freed));
    assert_true(has(cache, 1));
    assert_true(put(cache, 4, 100, &n_freed));
    assert_false(has(cache, 1));
    assert_true(put(cache, 5, 0, &n_freed));
    gi_cache_free(cache);
    gi_cache_free(NULL);
    assert_int_equal(n_freed, 6);
}

/* All 256 bits count, and a thousand entries in one bucket are found as well. */
static void keys_that_differ_in_one_bit(void **state) {
    (void)state;
    gi_cache *cache;
    assert_int_equal(gi_cache_create(SIZE_MAX, &cache, NULL), GLINT_OK);
    for (size_t bit = 0; bit <= 256; bit++) {
        gi_digest key = {{0}};
        if (bit < 256) key.bytes[bit / 8] = (uint8_t)(1u << bit % 8);
        value *v = make_value(bit, 1, NULL);
        v->entry.key = key;
        assert_null(gi_cache_get(cache, &key));
        assert_true(gi_cache_put(cache, &v->entry));
        gi_cache_unref(cache, &v->entry);
    }
    for (uint64_t id = 1000; id < 4000; id++) assert_true(put(cache, id, 1, NULL));
    for (uint64_t id = 1000; id < 4000; id++) assert_true(has(cache, id));
    assert_int_equal(gi_cache_get_stats(cache).n_entries, 3257);
    gi_cache_free(cache);
}

/* More buckets cannot be had: everything is found all the same. */
static void short_of_memory(void **state) {
    (void)state;
    gi_cache *cache = NULL;
    for (uint64_t n = 1; n <= 2; n++) {
        gi_alloc_fail_at(n);
        assert_int_equal(gi_cache_create(100, &cache, NULL), GLINT_ERR_MEMORY);
        assert_null(cache);
    }
    assert_int_equal(gi_cache_create(SIZE_MAX, &cache, NULL), GLINT_OK);
    for (uint64_t id = 0; id < 300; id++) {
        value *v = make_value(id, 1, NULL);
        gi_alloc_fail_at(id < 200 ? 1 : 0);
        assert_true(gi_cache_put(cache, &v->entry));
        gi_alloc_fail_at(0);
        gi_cache_unref(cache, &v->entry);
    }
    for (uint64_t id = 0; id < 300; id++) assert_true(has(cache, id));
    gi_cache_free(cache);
}

/* ---- random histories, against a plain account ---- */

enum { IDS = 24, HOLDS = 6, BUDGET = 100 };

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

typedef struct model {
    gi_cache *cache;
    value *kept[IDS]; /* what lies under each id, or NULL */
    size_t n_bytes[IDS], n_holds[IDS];
    uint64_t let_go[IDS], clock;
    value *held[HOLDS];
    int n_made;
    atomic_int n_freed;
} model;

static size_t kept_bytes(const model *m, bool held_only) {
    size_t n = 0;
    for (size_t i = 0; i < IDS; i++)
        if (m->kept[i] && (!held_only || m->n_holds[i] > 0)) n += m->n_bytes[i];
    return n;
}

static void model_put(model *m, value *v, size_t n_bytes) {
    const uint64_t id = v->id;
    const bool fits = n_bytes <= BUDGET && kept_bytes(m, true) + n_bytes <= BUDGET;
    const bool is_known = m->kept[id] != NULL;
    assert_int_equal(gi_cache_put(m->cache, &v->entry), fits && !is_known);
    if (is_known && n_bytes <= BUDGET && m->n_holds[id] == 0) m->let_go[id] = ++m->clock;
    if (!fits || is_known) return;
    while (kept_bytes(m, false) + n_bytes > BUDGET) {
        size_t oldest = IDS;
        for (size_t i = 0; i < IDS; i++)
            if (m->kept[i] && m->n_holds[i] == 0 &&
                (oldest == IDS || m->let_go[i] < m->let_go[oldest]))
                oldest = i;
        m->kept[oldest] = NULL;
    }
    m->kept[id] = v;
    m->n_bytes[id] = n_bytes;
    m->n_holds[id] = 1;
}

static void model_release(model *m, value **io) {
    value *v = *io;
    *io = NULL;
    if (m->kept[v->id] == v && --m->n_holds[v->id] == 0) m->let_go[v->id] = ++m->clock;
    gi_cache_unref(m->cache, &v->entry);
}

static void random_step(model *m, uint64_t *rng) {
    const uint64_t id = next_random(rng) % IDS;
    value **slot = &m->held[next_random(rng) % HOLDS];
    const gi_digest key = key_of_id(id);
    if (*slot) {
        model_release(m, slot);
    } else if (next_random(rng) % 8 == 0) {
        gi_cache_remove(m->cache, &key);
        m->kept[id] = NULL;
    } else if (next_random(rng) % 2) {
        *slot = get(m->cache, id);
        assert_ptr_equal(*slot, m->kept[id]);
        if (*slot) m->n_holds[id]++;
    } else {
        const size_t n_bytes = next_random(rng) % (next_random(rng) % 8 ? 40 : 110);
        *slot = make_value(id, n_bytes, &m->n_freed);
        m->n_made++;
        model_put(m, *slot, n_bytes);
    }
}

static void random_histories(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        model m = {0};
        uint64_t rng = seed;
        assert_int_equal(gi_cache_create(BUDGET, &m.cache, NULL), GLINT_OK);
        for (int step = 0; step < 600; step++) {
            random_step(&m, &rng);
            const gi_cache_stats s = gi_cache_get_stats(m.cache);
            size_t n_kept = 0, n_alive = 0;
            for (size_t i = 0; i < IDS; i++) n_kept += m.kept[i] != NULL;
            for (size_t i = 0; i < HOLDS; i++) {
                const value *v = m.held[i];
                bool is_counted = !v || m.kept[v->id] == v;
                for (size_t j = 0; j < i; j++) is_counted |= m.held[j] == v;
                n_alive += !is_counted;
            }
            assert_int_equal(s.n_entries, n_kept);
            assert_int_equal(s.n_bytes, kept_bytes(&m, false));
            assert_int_equal(m.n_made - m.n_freed, n_kept + n_alive);
        }
        for (size_t i = 0; i < HOLDS; i++)
            if (m.held[i]) model_release(&m, &m.held[i]);
        gi_cache_free(m.cache);
        assert_int_equal(m.n_freed, m.n_made);
    }
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000 };

typedef struct crowd {
    gi_cache *cache;
    atomic_int n_made, n_freed, n_wrong;
} crowd;

typedef struct member {
    crowd *crowd;
    uint64_t rng;
} member;

static void *in_the_crowd(void *arg) {
    member *me = arg;
    crowd *c = me->crowd;
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t id = next_random(&me->rng) % 40;
        const gi_digest key = key_of_id(id);
        gi_cache_entry *e = gi_cache_get(c->cache, &key);
        if (!e) {
            value *v = gi_calloc(1, sizeof *v);
            v->id = id;
            v->n_freed = &c->n_freed;
            gi_cache_entry_init(&v->entry, &key, 1 + id, free_value);
            atomic_fetch_add(&c->n_made, 1);
            gi_cache_put(c->cache, &v->entry);
            e = &v->entry;
        }
        if (value_of(e)->id != id) atomic_fetch_add(&c->n_wrong, 1);
        if (next_random(&me->rng) % 50 == 0) gi_cache_remove(c->cache, &key);
        if (value_of(e)->id != id) atomic_fetch_add(&c->n_wrong, 1);
        gi_cache_unref(c->cache, e);
        if (gi_cache_get_stats(c->cache).n_bytes > 300) atomic_fetch_add(&c->n_wrong, 1);
    }
    return NULL;
}

static void many_threads(void **state) {
    (void)state;
    crowd c = {.n_made = 0};
    member members[THREADS];
    pthread_t threads[THREADS];
    assert_int_equal(gi_cache_create(300, &c.cache, NULL), GLINT_OK);
    for (uint64_t i = 0; i < THREADS; i++) {
        members[i] = (member){.crowd = &c, .rng = i};
        assert_int_equal(pthread_create(&threads[i], NULL, in_the_crowd, &members[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    const gi_cache_stats s = gi_cache_get_stats(c.cache);
    assert_int_equal(s.n_hits + s.n_misses, THREADS * ROUNDS);
    assert_int_equal(s.n_misses, c.n_made);
    assert_int_equal(c.n_made - c.n_freed, s.n_entries);
    assert_true(s.n_evictions > 0 && s.n_hits > 0);
    gi_cache_free(c.cache);
    assert_int_equal(c.n_freed, c.n_made);
    assert_int_equal(c.n_wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(what_is_held_stays),
        cmocka_unit_test(held_twice_is_freed_once),
        cmocka_unit_test(the_first_of_a_key_stays),
        cmocka_unit_test(off_and_too_large),
        cmocka_unit_test(keys_that_differ_in_one_bit),
        cmocka_unit_test(short_of_memory),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
