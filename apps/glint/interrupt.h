/**
 * @file
 * Ctrl-C: a thread that waits for SIGINT and SIGTERM and cancels the running job. No signal
 * handler runs, so nothing here has to be safe inside one.
 */
#ifndef APPS_GLINT_INTERRUPT_H
#define APPS_GLINT_INTERRUPT_H

#include <glint/glint.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

typedef struct gi_interrupt {
    pthread_t thread;
    pthread_mutex_t lock;
    sigset_t signals;
    glint_job *job; /**< to be cancelled; NULL: a signal ends the program at once */
    bool came;
} gi_interrupt;

/**
 * Block the signals in this thread, and so in those it starts, and begin to wait for them.
 * GLINT_ERR_MEMORY when no thread can be had.
 */
glint_status gi_interrupt_init(gi_interrupt *in, glint_error *err);

/** The job that a signal cancels from now on; NULL before it is freed. */
void gi_interrupt_set_job(gi_interrupt *in, glint_job *job);

/** Stop waiting. Returns true when a signal came. */
bool gi_interrupt_done(gi_interrupt *in);

#endif
