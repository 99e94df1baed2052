/*
 * Fork-join crew. One 64-bit ticket word holds the job's generation and its next free index, so
 * that a worker that wakes late can never take a piece of a job it has not seen begin:
 *
 *     ticket = generation << 32 | next index
 *
 * A worker takes pieces by compare-and-swap on the whole word and counts finished indexes. Before
 * the caller rewrites the job description it closes the old ticket (index = INDEX_NONE), so that a
 * late worker that has read new fields under the old ticket fails its swap. The caller returns
 * when all indexes are finished; workers that got none need not have woken at all.
 */
#include "base/workers.h"

#include "base/alloc.h"
#include "base/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INDEX_NONE UINT32_MAX

/* About 20 to 50 microseconds of polling: longer than the gap between two jobs of one token. */
enum { SPINS_BEFORE_SLEEP = 4000 };

typedef struct worker {
    gi_workers *crew;
    pthread_t thread;
    int index;
} worker;

struct gi_workers {
    alignas(64) _Atomic uint64_t ticket;     /* generation << 32 | next index */
    alignas(64) _Atomic uint32_t n_finished; /* indexes */
    alignas(64) _Atomic uint32_t bell;       /* futex word: changes with each job */
    _Atomic uint32_t n_sleeping;
    _Atomic bool stopping;
    /* The job. Release stores, acquire loads: who sees a new field also sees the closed ticket. */
    _Atomic(gi_workers_fn) fn;
    _Atomic(void *) ctx;
    _Atomic size_t count, grain;
    _Atomic size_t share; /* a piece is at least 1 / share of what is left; 0 = of `grain` always */
    int n_threads;
    worker *workers; /* [n_threads - 1] */
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Take and run pieces of generation `gen` until none is left. */
static void run_pieces(gi_workers *w, uint32_t gen, int i_worker) {
    uint64_t t = atomic_load_explicit(&w->ticket, memory_order_acquire);
    for (;;) {
        if ((uint32_t)(t >> 32) != gen) return;
        const size_t begin = (uint32_t)t;
        const size_t count = atomic_load_explicit(&w->count, memory_order_acquire);
        const size_t grain = atomic_load_explicit(&w->grain, memory_order_acquire);
        const size_t share = atomic_load_explicit(&w->share, memory_order_acquire);
        const gi_workers_fn fn = atomic_load_explicit(&w->fn, memory_order_acquire);
        void *ctx = atomic_load_explicit(&w->ctx, memory_order_acquire);
        if (begin >= count) return;
        size_t n = share > 0 ? (count - begin) / share : grain;
        if (n < grain) n = grain;
        if (n > count - begin) n = count - begin;
        if (!atomic_compare_exchange_weak_explicit(&w->ticket, &t, t + n, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        fn(ctx, begin, begin + n, i_worker);
        atomic_fetch_add_explicit(&w->n_finished, (uint32_t)n, memory_order_release);
        t = atomic_load_explicit(&w->ticket, memory_order_acquire);
    }
}

static void *worker_main(void *arg) {
    worker *me = arg;
    gi_workers *w = me->crew;
    uint32_t seen = 0;
    for (;;) {
        uint32_t gen = seen;
        for (int i = 0; i < SPINS_BEFORE_SLEEP && gen == seen; i++) {
            gen = (uint32_t)(atomic_load_explicit(&w->ticket, memory_order_acquire) >> 32);
            __builtin_ia32_pause();
        }
        if (gen == seen) {
            /* Announce the nap before the last look, so that the caller either sees the sleeper
             * or the sleeper sees the job. */
            const uint32_t bell = atomic_load(&w->bell);
            atomic_fetch_add(&w->n_sleeping, 1);
            if (!atomic_load(&w->stopping) && (uint32_t)(atomic_load(&w->ticket) >> 32) == seen)
                futex_wait(&w->bell, bell);
            atomic_fetch_sub(&w->n_sleeping, 1);
        }
        if (atomic_load(&w->stopping)) return NULL;
        gen = (uint32_t)(atomic_load_explicit(&w->ticket, memory_order_acquire) >> 32);
        if (gen == seen) continue;
        seen = gen;
        run_pieces(w, gen, me->index);
    }
}

static void run_job(gi_workers *w, size_t count, size_t grain, size_t share, gi_workers_fn fn,
                    void *ctx) {
    if (count == 0) return;
    if (w->n_threads == 1 || count <= grain) {
        fn(ctx, 0, count, 0);
        return;
    }
    gi_assert(count < INDEX_NONE);
    const uint64_t old = atomic_load_explicit(&w->ticket, memory_order_relaxed);
    const uint32_t gen = (uint32_t)(old >> 32) + 1;
    atomic_store_explicit(&w->ticket, old | INDEX_NONE, memory_order_relaxed);
    atomic_store_explicit(&w->n_finished, 0, memory_order_release);
    atomic_store_explicit(&w->fn, fn, memory_order_release);
    atomic_store_explicit(&w->ctx, ctx, memory_order_release);
    atomic_store_explicit(&w->count, count, memory_order_release);
    atomic_store_explicit(&w->grain, grain, memory_order_release);
    atomic_store_explicit(&w->share, share, memory_order_release);
    atomic_store(&w->ticket, (uint64_t)gen << 32);
    if (atomic_load(&w->n_sleeping) > 0) {
        atomic_fetch_add(&w->bell, 1);
        futex_wake_all(&w->bell);
    }
    run_pieces(w, gen, 0);
    /* A worker that the system took off its core may hold the last piece: yield now and then. */
    for (unsigned i = 1; atomic_load_explicit(&w->n_finished, memory_order_acquire) < count; i++) {
        __builtin_ia32_pause();
        if (i % 2048 == 0) sched_yield();
    }
}

void gi_workers_run(gi_workers *w, size_t count, size_t grain, gi_workers_fn fn, void *ctx) {
    run_job(w, count, grain, 0, fn, ctx);
}

void gi_workers_run_long(gi_workers *w, size_t count, gi_workers_fn fn, void *ctx) {
    /* Two thirds of each thread's part of what is left: long, yet the last pieces come out even. */
    run_job(w, count, 1, (size_t)w->n_threads * 3 / 2, fn, ctx);
}

int gi_workers_count(const gi_workers *w) {
    return w->n_threads;
}

void gi_workers_free(gi_workers *w) {
    if (!w) return;
    atomic_store(&w->stopping, true);
    atomic_fetch_add(&w->bell, 1);
    futex_wake_all(&w->bell);
    for (int i = 0; i < w->n_threads - 1; i++) pthread_join(w->workers[i].thread, NULL);
    gi_free(w->workers);
    gi_free(w);
}

glint_status gi_workers_create(int n_threads, gi_workers **ret, glint_error *err) {
    if (n_threads < 1 || n_threads > GI_WORKERS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "threads must be 1 to %d, not %d", GI_WORKERS_MAX,
                       n_threads);
    gi_workers *w = gi_alloc_aligned(1, sizeof *w);
    if (!w) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the thread crew");
    memset(w, 0, sizeof *w);
    w->n_threads = 1;
    w->workers = gi_calloc((size_t)n_threads, sizeof *w->workers);
    if (!w->workers) {
        gi_workers_free(w);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %d threads", n_threads);
    }
    for (int i = 1; i < n_threads; i++) {
        worker *k = &w->workers[i - 1];
        *k = (worker){.crew = w, .index = i};
        if (!gi_thread_start(&k->thread, worker_main, k)) {
            const int e = errno;
            gi_workers_free(w);
            return gi_fail(err, GLINT_ERR_IO, "cannot start thread %d: %s", i, strerror(e));
        }
        w->n_threads++;
    }
    *ret = w;
    return GLINT_OK;
}
