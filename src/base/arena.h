/**
 * @file
 * An arena: many small objects of one lifetime, freed together.
 *
 *     chunk               chunk               chunk (current)
 *     +---+------------+  +---+------------+  +---+--------+------+
 *     |hdr| objects    |->|hdr| objects    |->|hdr| objects| free |
 *     +---+------------+  +---+------------+  +---+--------+------+
 *
 * Used for what is built once at load (names, tables, merge lists). Memory for serving is sized
 * beforehand and does not come from here.
 */
#ifndef GI_BASE_ARENA_H
#define GI_BASE_ARENA_H

#include <stddef.h>

struct gi_arena_chunk;

/** Zero-initialise through gi_arena_init. Not thread-safe. */
typedef struct gi_arena {
    struct gi_arena_chunk *chunk; /**< newest chunk, NULL before the first object */
    size_t total_bytes;           /**< bytes in all chunks */
    size_t max_bytes;             /**< allocating past this returns NULL */
} gi_arena;

/** An empty arena; allocates nothing. */
void gi_arena_init(gi_arena *a, size_t max_bytes);

/** count * size zeroed bytes, 16-byte aligned, or NULL (overflow, limit, memory). */
void *gi_arena_alloc(gi_arena *a, size_t count, size_t size_bytes)
    __attribute__((warn_unused_result));

/** A zero-terminated copy of n bytes of `s`, or NULL. */
char *gi_arena_strndup(gi_arena *a, const char *s, size_t n_bytes)
    __attribute__((warn_unused_result));

/** Free everything. NULL is fine. */
void gi_arena_done(gi_arena *a);

#endif
