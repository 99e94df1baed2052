/*
 * Arena over doubling chunks; an object larger than a chunk gets a chunk of its own.
 */
#include "base/arena.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <stdalign.h>
#include <string.h>

struct gi_arena_chunk {
    struct gi_arena_chunk *next;
    size_t used_bytes, cap_bytes;
    alignas(16) unsigned char bytes[];
};

enum { FIRST_CHUNK_BYTES = 16 * 1024, CHUNK_BYTES_MAX = 1024 * 1024, OBJECT_ALIGN = 16 };

void gi_arena_init(gi_arena *a, size_t max_bytes) {
    *a = (gi_arena){.max_bytes = max_bytes};
}

static struct gi_arena_chunk *add_chunk(gi_arena *a, size_t need_bytes) {
    size_t cap = a->chunk ? a->chunk->cap_bytes * 2 : FIRST_CHUNK_BYTES;
    if (cap > CHUNK_BYTES_MAX) cap = CHUNK_BYTES_MAX;
    if (cap < need_bytes) cap = need_bytes;
    size_t total, alloc_bytes;
    if (!gi_add_size(a->total_bytes, cap, &total) || total > a->max_bytes) return NULL;
    if (!gi_add_size(cap, sizeof(struct gi_arena_chunk), &alloc_bytes)) return NULL;
    struct gi_arena_chunk *c = gi_alloc(alloc_bytes);
    if (!c) return NULL;
    *c = (struct gi_arena_chunk){.next = a->chunk, .cap_bytes = cap};
    a->chunk = c;
    a->total_bytes = total;
    return c;
}

void *gi_arena_alloc(gi_arena *a, size_t count, size_t size_bytes) {
    size_t n;
    if (!gi_mul_size(count, size_bytes, &n) || n > SIZE_MAX - OBJECT_ALIGN) return NULL;
    n = gi_round_up(n, OBJECT_ALIGN);
    struct gi_arena_chunk *c = a->chunk;
    if (!c || c->cap_bytes - c->used_bytes < n) c = add_chunk(a, n);
    if (!c) return NULL;
    void *p = c->bytes + c->used_bytes;
    c->used_bytes += n;
    return memset(p, 0, n);
}

char *gi_arena_strndup(gi_arena *a, const char *s, size_t n_bytes) {
    size_t n;
    if (!gi_add_size(n_bytes, 1, &n)) return NULL;
    char *copy = gi_arena_alloc(a, n, 1);
    if (copy && n_bytes) memcpy(copy, s, n_bytes);
    return copy;
}

void gi_arena_done(gi_arena *a) {
    if (!a) return;
    for (struct gi_arena_chunk *c = a->chunk; c;) {
        struct gi_arena_chunk *next = c->next;
        gi_free(c);
        c = next;
    }
    gi_arena_init(a, a->max_bytes);
}
