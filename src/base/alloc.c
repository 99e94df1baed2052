/*
 * The heap, behind one door: counting and fault injection live here.
 */
#define GI_ALLOC_DEFINES
#include "base/alloc.h"

#include "base/checked.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic uint64_t alloc_count;
static _Atomic uint64_t fail_at; /* absolute allocation number; 0 = never */

static bool must_fail(void) {
    const uint64_t n = atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed) + 1;
    if (n != atomic_load_explicit(&fail_at, memory_order_relaxed)) return false;
    errno = ENOMEM; /* as malloc does */
    return true;
}

void gi_alloc_fail_at(uint64_t n) {
    atomic_store(&fail_at, n ? atomic_load(&alloc_count) + n : 0);
}

uint64_t gi_alloc_count(void) {
    return atomic_load_explicit(&alloc_count, memory_order_relaxed);
}

void *gi_alloc(size_t n_bytes) {
    return must_fail() ? NULL : malloc(n_bytes ? n_bytes : 1);
}

void *gi_calloc(size_t count, size_t size_bytes) {
    if (must_fail()) return NULL;
    return calloc(count ? count : 1, size_bytes ? size_bytes : 1);
}

void *gi_realloc_array(void *p, size_t count, size_t size_bytes) {
    size_t n;
    if (must_fail() || !gi_mul_size(count, size_bytes, &n)) return NULL;
    return realloc(p, n ? n : 1);
}

/* x86's large page, and from where on a block has one. */
enum { LARGE_PAGE_BYTES = 2 << 20, LARGE_FROM_BYTES = LARGE_PAGE_BYTES };

/*
 * Weights are read from end to end for every token, and with pages of 4 KiB the reading waits for
 * their translation; a picture's rows are new memory each time, and then one page takes the place
 * of 512 faults. Advice: where the system has no large pages to give, nothing changes.
 */
static void *alloc_large(size_t n_bytes) {
    void *p = NULL;
    if (posix_memalign(&p, LARGE_PAGE_BYTES, n_bytes) != 0) return NULL;
    (void)madvise(p, n_bytes, MADV_HUGEPAGE);
    return p;
}

void *gi_alloc_aligned(size_t count, size_t size_bytes) {
    size_t n;
    if (must_fail() || !gi_mul_size(count, size_bytes, &n)) return NULL;
    if (n >= LARGE_FROM_BYTES) return alloc_large(n);
    if (!gi_add_size(n, GI_ALIGN_BYTES, &n)) return NULL;
    return aligned_alloc(GI_ALIGN_BYTES, gi_round_up(n - GI_ALIGN_BYTES + 1, GI_ALIGN_BYTES));
}

/*
 * calloc gives untouched zero pages for large sizes but no alignment; the pointer it returned is
 * kept just below the aligned one.
 */
void *gi_alloc_zeroed_aligned(size_t count, size_t size_bytes) {
    size_t n;
    if (must_fail() || !gi_mul_size(count, size_bytes, &n)) return NULL;
    if (!gi_add_size(n, GI_ALIGN_BYTES + sizeof(void *), &n)) return NULL;
    unsigned char *raw = calloc(n, 1);
    if (!raw) return NULL;
    const uintptr_t at = gi_round_up((uintptr_t)raw + sizeof(void *), GI_ALIGN_BYTES);
    void **p = (void **)at;
    p[-1] = raw;
    return p;
}

void gi_free_zeroed_aligned(void *p) {
    if (p) free(((void **)p)[-1]);
}

char *gi_strndup(const char *s, size_t n_bytes) {
    size_t n;
    if (!gi_add_size(n_bytes, 1, &n)) return NULL;
    char *copy = gi_alloc(n);
    if (!copy) return NULL;
    if (n_bytes) memcpy(copy, s, n_bytes);
    copy[n_bytes] = '\0';
    return copy;
}

void gi_free(void *p) {
    free(p);
}
