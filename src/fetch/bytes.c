/*
 * The budget counts bytes from the moment they arrive until nobody holds them, so that many
 * requests that wait with a fetched picture each cannot fill the memory.
 */
#include "fetch/bytes.h"

#include "base/alloc.h"

bool gi_fetch_budget_take(gi_fetch_budget *b, size_t n_bytes) {
    size_t used = atomic_load(&b->used_bytes);
    do {
        if (n_bytes > b->max_bytes || used > b->max_bytes - n_bytes) return false;
    } while (!atomic_compare_exchange_weak(&b->used_bytes, &used, used + n_bytes));
    return true;
}

void gi_fetch_budget_give(gi_fetch_budget *b, size_t n_bytes) {
    atomic_fetch_sub(&b->used_bytes, n_bytes);
}

gi_fetch_bytes *gi_fetch_bytes_create(gi_buf *from, gi_fetch_budget *budget) {
    gi_fetch_bytes *b = gi_calloc(1, sizeof *b);
    if (!b) return NULL;
    uint8_t *data = gi_buf_take(from, &b->n);
    /* The buffer grew by doubling; a picture may be kept for long. */
    uint8_t *tight = data ? gi_realloc_array(data, b->n ? b->n : 1, 1) : NULL;
    b->data = tight ? tight : data;
    b->budget = budget;
    atomic_init(&b->n_refs, 1);
    return b;
}

gi_fetch_bytes *gi_fetch_bytes_ref(gi_fetch_bytes *b) {
    if (b) atomic_fetch_add(&b->n_refs, 1);
    return b;
}

void gi_fetch_bytes_unref(gi_fetch_bytes *b) {
    if (!b || atomic_fetch_sub(&b->n_refs, 1) != 1) return;
    gi_fetch_budget_give(b->budget, b->n);
    union {
        const uint8_t *shown;
        uint8_t *owned;
    } data = {.shown = b->data};
    gi_free(data.owned);
    gi_free(b);
}
