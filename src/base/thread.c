/*
 * Conditions count on the monotonic clock, as gi_clock_ms does: setting the date moves no deadline.
 */
#include "base/thread.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

bool gi_thread_start(pthread_t *ret, void *(*main)(void *), void *arg) {
    static const int FAULTS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof FAULTS / sizeof FAULTS[0]; i++) sigdelset(&blocked, FAULTS[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before); /* inherited by the new thread */
    const int failed = pthread_create(ret, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) errno = failed;
    return !failed;
}

void gi_cond_init(pthread_cond_t *cv) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cv, &attr);
    pthread_condattr_destroy(&attr);
}

void gi_cond_wait_until(pthread_cond_t *cv, pthread_mutex_t *lock, double until_ms) {
    if (isinf(until_ms)) {
        pthread_cond_wait(cv, lock);
        return;
    }
    const double s = floor(until_ms / 1e3);
    const struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((until_ms - s * 1e3) * 1e6)};
    pthread_cond_timedwait(cv, lock, &t);
}
