/*
 * Open addressing with linear probing. Keys are SHA-256, so their first bytes are the hash. A
 * removed entry is filled from behind (Knuth, TAOCP 3, 6.4, algorithm R), so that there are no
 * tombstones and the table never needs to be rebuilt.
 */
#include "kv/kv_prefix.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <string.h>

glint_status gi_kv_prefix_init(gi_kv_prefix *p, size_t n_blocks, size_t n_cached_max,
                               glint_error *err) {
    gi_assert(n_blocks <= INT32_MAX);
    gi_kv_prefix made = {.n_blocks = n_blocks,
                         .n_cached_max = n_cached_max,
                         .oldest = GI_KV_NO_BLOCK,
                         .newest = GI_KV_NO_BLOCK};
    if (n_cached_max > 0) {
        made.n_slots = 1;
        while (made.n_slots < 2 * n_blocks) made.n_slots *= 2;
        made.blocks = gi_calloc(n_blocks, sizeof *made.blocks);
        made.slots = gi_calloc(made.n_slots, sizeof *made.slots);
        if (!made.blocks || !made.slots) {
            gi_kv_prefix_done(&made);
            return gi_fail(err, GLINT_ERR_MEMORY, "no memory for an index of %zu KV blocks",
                           n_blocks);
        }
        for (size_t i = 0; i < made.n_slots; i++) made.slots[i] = GI_KV_NO_BLOCK;
    }
    *p = made;
    return GLINT_OK;
}

void gi_kv_prefix_done(gi_kv_prefix *p) {
    gi_free(p->blocks);
    gi_free(p->slots);
    *p = (gi_kv_prefix){0};
}

/* ---- the index ---- */

static size_t home_slot(const gi_kv_prefix *p, const gi_kv_key *key) {
    uint64_t h;
    memcpy(&h, key->bytes, sizeof h);
    return (size_t)h & (p->n_slots - 1);
}

/* The slot of a key, or the empty one where it would go. */
static size_t find_slot(const gi_kv_prefix *p, const gi_kv_key *key) {
    size_t i = home_slot(p, key);
    while (p->slots[i] != GI_KV_NO_BLOCK &&
           memcmp(p->blocks[p->slots[i]].key.bytes, key->bytes, sizeof key->bytes) != 0)
        i = (i + 1) & (p->n_slots - 1);
    return i;
}

int32_t gi_kv_prefix_find(const gi_kv_prefix *p, const gi_kv_key *key) {
    return p->n_slots == 0 ? GI_KV_NO_BLOCK : p->slots[find_slot(p, key)];
}

bool gi_kv_prefix_add(gi_kv_prefix *p, const gi_kv_key *key, int32_t block) {
    if (p->n_slots == 0 || p->blocks[block].is_known) return false;
    const size_t i = find_slot(p, key);
    if (p->slots[i] != GI_KV_NO_BLOCK) return false;
    p->slots[i] = block;
    p->blocks[block].key = *key;
    p->blocks[block].is_known = true;
    p->n_known++;
    return true;
}

static void remove_from_index(gi_kv_prefix *p, int32_t block) {
    const size_t mask = p->n_slots - 1;
    size_t hole = find_slot(p, &p->blocks[block].key);
    gi_assert(p->slots[hole] == block);
    for (size_t i = (hole + 1) & mask; p->slots[i] != GI_KV_NO_BLOCK; i = (i + 1) & mask) {
        /* An entry may move to the hole unless its home lies behind the hole. */
        const size_t home = home_slot(p, &p->blocks[p->slots[i]].key);
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        p->slots[hole] = p->slots[i];
        hole = i;
    }
    p->slots[hole] = GI_KV_NO_BLOCK;
    p->blocks[block].is_known = false;
    p->n_known--;
}

/* ---- the list ---- */

void gi_kv_prefix_keep(gi_kv_prefix *p, int32_t block) {
    gi_kv_known *b = &p->blocks[block];
    gi_assert(b->is_known && !b->is_cached);
    b->is_cached = true;
    b->older = p->newest;
    b->newer = GI_KV_NO_BLOCK;
    if (p->newest == GI_KV_NO_BLOCK)
        p->oldest = block;
    else
        p->blocks[p->newest].newer = block;
    p->newest = block;
    p->n_cached++;
}

void gi_kv_prefix_take(gi_kv_prefix *p, int32_t block) {
    gi_kv_known *b = &p->blocks[block];
    gi_assert(b->is_known && b->is_cached);
    if (b->older == GI_KV_NO_BLOCK)
        p->oldest = b->newer;
    else
        p->blocks[b->older].newer = b->newer;
    if (b->newer == GI_KV_NO_BLOCK)
        p->newest = b->older;
    else
        p->blocks[b->newer].older = b->older;
    b->is_cached = false;
    p->n_cached--;
}

int32_t gi_kv_prefix_evict(gi_kv_prefix *p) {
    const int32_t block = p->n_cached > 0 ? p->oldest : GI_KV_NO_BLOCK;
    if (block == GI_KV_NO_BLOCK) return GI_KV_NO_BLOCK;
    gi_kv_prefix_take(p, block);
    remove_from_index(p, block);
    return block;
}

/* ---- checks ---- */

bool gi_kv_prefix_is_sound(const gi_kv_prefix *p) {
    if (p->n_slots == 0) return p->n_known == 0 && p->n_cached == 0;
    size_t n_known = 0, n_cached = 0, n_filled = 0, n_listed = 0;
    for (size_t i = 0; i < p->n_blocks; i++) {
        const gi_kv_known *b = &p->blocks[i];
        n_known += b->is_known;
        n_cached += b->is_cached;
        if (b->is_cached && !b->is_known) return false;
        if (b->is_known && gi_kv_prefix_find(p, &b->key) != (int32_t)i) return false;
    }
    for (size_t i = 0; i < p->n_slots; i++) n_filled += p->slots[i] != GI_KV_NO_BLOCK;
    int32_t older = GI_KV_NO_BLOCK;
    for (int32_t b = p->oldest; b != GI_KV_NO_BLOCK; b = p->blocks[b].newer) {
        if (!p->blocks[b].is_cached || p->blocks[b].older != older) return false;
        if (++n_listed > n_cached) return false;
        older = b;
    }
    return p->newest == older && n_listed == n_cached && n_cached == p->n_cached &&
           n_cached <= p->n_cached_max && n_known == p->n_known && n_filled == n_known;
}
