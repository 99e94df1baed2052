/*
 * The first signal cancels the job, which ends between two tokens; a second one, or one while no
 * job runs, ends the program at once. SIGUSR2, sent to the waiting thread only, ends that thread.
 */
#include "interrupt.h"

#include "command.h"

#include <unistd.h>

static void *wait_for_signals(void *arg) {
    gi_interrupt *in = arg;
    for (;;) {
        int sig = 0;
        if (sigwait(&in->signals, &sig) != 0) continue;
        if (sig == SIGUSR2) return NULL;
        pthread_mutex_lock(&in->lock);
        if (!in->job || in->came) _exit(GI_EXIT_INTERRUPTED);
        in->came = true;
        glint_job_cancel(in->job);
        pthread_mutex_unlock(&in->lock);
    }
}

glint_status gi_interrupt_init(gi_interrupt *in, glint_error *err) {
    *in = (gi_interrupt){0};
    sigemptyset(&in->signals);
    sigaddset(&in->signals, SIGINT);
    sigaddset(&in->signals, SIGTERM);
    sigaddset(&in->signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &in->signals, NULL);
    pthread_mutex_init(&in->lock, NULL);
    if (pthread_create(&in->thread, NULL, wait_for_signals, in) == 0) return GLINT_OK;
    pthread_mutex_destroy(&in->lock);
    return gi_fail(err, GLINT_ERR_MEMORY, "no thread can be started");
}

void gi_interrupt_set_job(gi_interrupt *in, glint_job *job) {
    pthread_mutex_lock(&in->lock);
    in->job = job;
    pthread_mutex_unlock(&in->lock);
}

bool gi_interrupt_done(gi_interrupt *in) {
    pthread_kill(in->thread, SIGUSR2);
    pthread_join(in->thread, NULL);
    pthread_mutex_destroy(&in->lock);
    return in->came;
}
