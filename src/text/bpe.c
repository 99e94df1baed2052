/*
 * The order of merges, and which outdated candidates still count, follow Hugging Face tokenizers
 * (models/bpe/word.rs, merge_all), because the ids must be equal to theirs.
 */
#include "text/bpe.h"

#include "base/alloc.h"
#include "base/hash.h"

#define NONE UINT32_MAX

static uint64_t pair_hash(int32_t left, int32_t right) {
    return gi_hash_u64((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
}

/* The slot of this pair, or the free one where it belongs. */
static gi_merge_slot *slot_of(const gi_merges *m, int32_t left, int32_t right) {
    const size_t mask = m->n_slots - 1;
    for (size_t i = (size_t)pair_hash(left, right) & mask;; i = (i + 1) & mask) {
        gi_merge_slot *s = &m->slots[i];
        if (s->rank == GI_MERGES_MAX || (s->left == left && s->right == right)) return s;
    }
}

glint_status gi_merges_build(gi_merges *m, const gi_merge *list, size_t n, glint_error *err) {
    if (n >= GI_MERGES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "more than %u merges", GI_MERGES_MAX - 1);
    size_t n_slots = 16;
    while (n_slots < n + n / 2) n_slots *= 2;
    *m = (gi_merges){.n_slots = n_slots, .n = n};
    m->slots = gi_alloc_aligned(n_slots, sizeof *m->slots);
    m->whole = gi_calloc(n ? n : 1, sizeof *m->whole);
    if (!m->slots || !m->whole) {
        gi_merges_done(m);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu merges", n);
    }
    for (size_t i = 0; i < n_slots; i++) m->slots[i].rank = GI_MERGES_MAX;
    for (size_t i = 0; i < n; i++) {
        gi_merge_slot *s = slot_of(m, list[i].left, list[i].right);
        if (s->rank != GI_MERGES_MAX) {
            const uint32_t first = s->rank;
            gi_merges_done(m);
            return gi_fail(err, GLINT_ERR_FORMAT, "merges %u and %zu join the same pair", first, i);
        }
        *s = (gi_merge_slot){list[i].left, list[i].right, (uint32_t)i};
        m->whole[i] = list[i].whole;
    }
    return GLINT_OK;
}

void gi_merges_done(gi_merges *m) {
    if (!m) return;
    gi_free(m->slots);
    gi_free(m->whole);
    *m = (gi_merges){0};
}

void gi_bpe_done(gi_bpe *b) {
    if (!b) return;
    gi_free(b->symbols);
    gi_free(b->heap);
    *b = (gi_bpe){0};
}

static glint_status reserve(gi_bpe *b, size_t n, glint_error *err) {
    if (n <= b->cap) return GLINT_OK;
    if (n >= NONE / 2) return gi_fail(err, GLINT_ERR_LIMIT, "text of %zu bytes is too long", n);
    size_t cap = b->cap ? b->cap : 64;
    while (cap < n) cap *= 2;
    const uint64_t n_work = b->n_work;
    gi_bpe_done(b);
    b->n_work = n_work;
    b->symbols = gi_calloc(cap, sizeof *b->symbols);
    b->heap = gi_calloc(cap, 2 * sizeof *b->heap);
    if (!b->symbols || !b->heap) {
        gi_bpe_done(b);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory to tokenise %zu bytes", n);
    }
    b->cap = cap;
    return GLINT_OK;
}

static void heap_push(gi_bpe *b, uint64_t key) {
    size_t i = b->n_heap++;
    while (i > 0 && key < b->heap[(i - 1) / 2]) {
        b->heap[i] = b->heap[(i - 1) / 2];
        i = (i - 1) / 2;
        b->n_work++;
    }
    b->heap[i] = key;
}

static uint64_t heap_pop(gi_bpe *b) {
    const uint64_t top = b->heap[0], key = b->heap[--b->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < b->n_heap; child = 2 * i + 1) {
        if (child + 1 < b->n_heap && b->heap[child + 1] < b->heap[child]) child++;
        if (key <= b->heap[child]) break;
        b->heap[i] = b->heap[child];
        i = child;
        b->n_work++;
    }
    b->heap[i] = key;
    return top;
}

/* Make the pair at `left` and its right neighbour a candidate if it has a rank. */
static void offer(gi_bpe *b, const gi_merges *m, uint32_t left) {
    const gi_bpe_symbol *s = &b->symbols[left];
    b->n_work++;
    const uint32_t rank = slot_of(m, s->id, b->symbols[s->next].id)->rank;
    if (rank != GI_MERGES_MAX) heap_push(b, (uint64_t)rank << 32 | left);
}

/*
 * Merge until no candidate is left. The heap never holds more than 2 n keys: n - 1 at the start,
 * and each of at most n - 1 merges takes one and adds two at most.
 */
static void merge_all(gi_bpe *b, const gi_merges *m) {
    while (b->n_heap > 0) {
        const uint64_t key = heap_pop(b);
        const uint32_t pos = (uint32_t)key, rank = (uint32_t)(key >> 32);
        gi_bpe_symbol *s = &b->symbols[pos];
        if (s->id < 0 || s->next == NONE) continue;
        /* A candidate is outdated when its pair has changed, unless the new pair makes the same
         * token. */
        gi_bpe_symbol *right = &b->symbols[s->next];
        const uint32_t now = slot_of(m, s->id, right->id)->rank;
        b->n_work++;
        if (now == GI_MERGES_MAX || m->whole[now] != m->whole[rank]) continue;
        s->id = m->whole[rank];
        s->next = right->next;
        right->id = -1;
        if (s->next != NONE) {
            b->symbols[s->next].prev = pos;
            offer(b, m, pos);
        }
        if (s->prev != NONE) offer(b, m, s->prev);
    }
}

glint_status gi_bpe_encode(gi_bpe *b, const gi_merges *m, const int32_t byte_ids[256],
                           const uint8_t *piece, size_t n_bytes, gi_ids *ids, glint_error *err) {
    if (n_bytes == 0) return GLINT_OK;
    GI_TRY(reserve(b, n_bytes, err));
    for (size_t i = 0; i < n_bytes; i++) {
        b->symbols[i] = (gi_bpe_symbol){.id = byte_ids[piece[i]],
                                        .prev = i == 0 ? NONE : (uint32_t)i - 1,
                                        .next = i + 1 == n_bytes ? NONE : (uint32_t)i + 1};
    }
    b->n_heap = 0;
    for (size_t i = 0; i + 1 < n_bytes; i++) offer(b, m, (uint32_t)i);
    merge_all(b, m);
    for (uint32_t i = 0; i != NONE; i = b->symbols[i].next)
        GI_TRY(gi_ids_push(ids, b->symbols[i].id, 1, err));
    return GLINT_OK;
}
