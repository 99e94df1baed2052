/**
 * @file
 * What glint's threads have in common: how they are started, and how one waits for a condition
 * until a moment of gi_clock_ms.
 */
#ifndef GI_BASE_THREAD_H
#define GI_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/**
 * Start a thread that no signal reaches but those of its own faults: the others are the program's.
 * False when it cannot be had; errno then says why.
 */
bool gi_thread_start(pthread_t *ret, void *(*main)(void *), void *arg);

/** A condition for gi_cond_wait_until; ended by pthread_cond_destroy. */
void gi_cond_init(pthread_cond_t *cv);

/** pthread_cond_wait, but not beyond `until_ms` of gi_clock_ms; without end when it is infinite. */
void gi_cond_wait_until(pthread_cond_t *cv, pthread_mutex_t *lock, double until_ms);

#endif
