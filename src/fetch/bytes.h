/**
 * @file
 * Bytes that several owners read and nobody changes, and a budget on all of them together.
 */
#ifndef GI_FETCH_BYTES_H
#define GI_FETCH_BYTES_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes alive, and the most there may be. */
typedef struct gi_fetch_budget {
    atomic_size_t used_bytes;
    size_t max_bytes;
} gi_fetch_budget;

/** Take n bytes from the budget; false when there are not as many left. Any thread. */
bool gi_fetch_budget_take(gi_fetch_budget *b, size_t n_bytes);

/** Give n bytes back. Any thread. */
void gi_fetch_budget_give(gi_fetch_budget *b, size_t n_bytes);

/** A fetched file. Read-only once made. */
typedef struct gi_fetch_bytes {
    const uint8_t *data; /**< [n] */
    size_t n;
    atomic_int n_refs;
    gi_fetch_budget *budget; /**< n bytes of it go back with the last reference */
} gi_fetch_bytes;

/** Make one out of a buffer, whose bytes were taken from `budget` already. One reference. On
 * failure (NULL: no memory) buffer and budget are as before. */
gi_fetch_bytes *gi_fetch_bytes_create(gi_buf *from, gi_fetch_budget *budget);

/** One more reference; returns `b`. NULL is fine. Any thread. */
gi_fetch_bytes *gi_fetch_bytes_ref(gi_fetch_bytes *b);

/** One reference less; the last one frees. NULL is fine. Any thread. */
void gi_fetch_bytes_unref(gi_fetch_bytes *b);

#endif
