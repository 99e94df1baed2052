/**
 * @file
 * Heap memory. The only place that calls malloc, so that a test can make the n-th allocation
 * fail and so that every array size is a checked product.
 */
#ifndef GI_BASE_ALLOC_H
#define GI_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/** Cache line and widest vector register, in bytes. */
#define GI_ALIGN_BYTES 64

/** n bytes, contents undefined; NULL when they cannot be had. n = 0 gives a unique pointer. */
void *gi_alloc(size_t n_bytes) __attribute__((malloc, warn_unused_result));

/** An array of `count` zeroed elements; NULL when count * size overflows or cannot be had. */
void *gi_calloc(size_t count, size_t size_bytes) __attribute__((malloc, warn_unused_result));

/** Grow or shrink to count * size bytes. On failure returns NULL and `p` stays valid. */
void *gi_realloc_array(void *p, size_t count, size_t size_bytes)
    __attribute__((warn_unused_result));

/** An array aligned to GI_ALIGN_BYTES, contents undefined; NULL as above. Free with gi_free. From
 * 2 MiB on it asks the system for large pages. */
void *gi_alloc_aligned(size_t count, size_t size_bytes) __attribute__((malloc, warn_unused_result));

/**
 * A zeroed array aligned to GI_ALIGN_BYTES whose pages take no memory until they are written:
 * for large pools that may never fill. NULL as above. Only gi_free_zeroed_aligned frees it.
 */
void *gi_alloc_zeroed_aligned(size_t count, size_t size_bytes)
    __attribute__((malloc, warn_unused_result));

/** Free what gi_alloc_zeroed_aligned returned. NULL is fine. */
void gi_free_zeroed_aligned(void *p);

/** A copy of n bytes plus a terminating zero; NULL when memory is short. */
char *gi_strndup(const char *s, size_t n_bytes) __attribute__((malloc, warn_unused_result));

/** Free what any function above returned, gi_alloc_zeroed_aligned excepted. NULL is fine. */
void gi_free(void *p);

/**
 * Make the n-th allocation from now on fail (1 = the next); 0 turns this off. For tests; the
 * counter is shared by all threads.
 */
void gi_alloc_fail_at(uint64_t n);

/** Allocations asked for since the program started. A serving step must not change it. */
uint64_t gi_alloc_count(void);

#if defined __clang_analyzer__ && !defined GI_ALLOC_DEFINES
/* The static analyser knows what the C library's calls do: leaks, double frees, zeroed memory. */
#include <stdlib.h>
#define gi_alloc(n_bytes)            malloc(n_bytes)
#define gi_calloc(count, size_bytes) calloc(count, size_bytes)
#define gi_free(p)                   free(p)
#endif

#endif
