/**
 * @file
 * A fixed crew of threads that split one job at a time (fork and join).
 *
 * The caller takes part, so a crew of 1 runs everything in the caller and starts no thread.
 * Idle workers spin briefly for the next job, because the decoder hands out dozens of jobs per
 * token, then sleep on a futex, so that an idle server uses no CPU.
 */
#ifndef GI_BASE_WORKERS_H
#define GI_BASE_WORKERS_H

#include "base/fail.h"

#include <stddef.h>

typedef struct gi_workers gi_workers;

/** A part of a job: indexes [begin, end) of 0..count, run by worker `i_worker` (0 = caller). */
typedef void (*gi_workers_fn)(void *ctx, size_t begin, size_t end, int i_worker);

/**
 * Start n_threads - 1 threads (n_threads 1..GI_WORKERS_MAX).
 * GLINT_ERR_ARG, GLINT_ERR_MEMORY, GLINT_ERR_IO (a thread could not be started).
 */
glint_status gi_workers_create(int n_threads, gi_workers **ret, glint_error *err);

/** Stop and join the threads. NULL is fine. No job may be running. */
void gi_workers_free(gi_workers *w);

/** Threads in the crew, the caller included. */
int gi_workers_count(const gi_workers *w);

/**
 * Run fn over 0..count in pieces of at most `grain` (>= 1) indexes, taken in order by whoever is
 * free, and return when all are done. One caller at a time: the crew belongs to one device.
 */
void gi_workers_run(gi_workers *w, size_t count, size_t grain, gi_workers_fn fn, void *ctx);

/**
 * The same in pieces that begin long and become short: for work that reads memory in the order of
 * its indexes, which goes the faster the fewer places it is read at.
 */
void gi_workers_run_long(gi_workers *w, size_t count, gi_workers_fn fn, void *ctx);

/** Most threads in a crew. */
#define GI_WORKERS_MAX 256

#endif
