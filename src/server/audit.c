/*
 * A queue, the thread that empties it and one that looks at the clock. The writer takes the whole
 * queue at once; what comes meanwhile is the next batch, and shares its sync. It alone makes calls
 * that may block, with no lock held.
 *
 * One that does not come back in time is said to hang. The clock's thread then takes its batch's
 * tokens and those of the queue, so that nobody waits any more, and the lines stay where they are.
 * When the log is opened again or closed, a writer that hangs is left alone: it frees what it has
 * when it comes back, and the log itself when it is the last to use it.
 */
#include "server/audit.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "server/audit_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Most writers at once: one for each time that a log which hangs was opened again, and hung. */
enum { WRITERS_MAX = 8 };

typedef struct entry {
    struct entry *next;
    gi_audit_done_fn on_done; /* NULL: nobody waits; the writer's, the clock's while it tells */
    void *token;
    gi_buf line;
    bool is_written;
} entry;

/* A file and the thread that writes to it. Under the log's lock but for the file, which is the
 * thread's while there is a batch. */
typedef struct writer {
    gi_audit *log;
    pthread_t thread;
    gi_audit_file file;
    glint_error err;         /* of opening */
    bool is_opened;          /* or failed to: then there is an error */
    entry *batch;            /* NULL: idle */
    double due_ms;           /* when it hangs; infinite: nothing that may block is being done */
    _Atomic bool is_hanging; /* written under the lock */
    bool is_left;            /* it takes no more batches, and ends */
    bool is_detached;        /* nobody waits for its end */
    bool is_over;
} writer;

struct gi_audit {
    gi_audit_settings settings;
    void *ctx;
    size_t lines_max;
    pthread_t clock;
    bool has_clock;
    pthread_mutex_t reopening; /* one at a time; taken before the other */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    entry *first, *last; /* under the lock, as is what follows */
    size_t n_waiting;
    writer *writer;
    bool is_telling; /* the clock's thread reads entries without the lock */
    bool is_closing;
    int n_writers;     /* threads that use this */
    bool is_abandoned; /* the last of them frees it */
    atomic_bool is_ok; /* the last line was written */
    _Atomic uint64_t n_lines, n_bytes, n_lost, n_syncs;
};

/* ---- one batch ---- */

static void tell_health(gi_audit *a, bool is_ok, const char *why) {
    if (atomic_exchange(&a->is_ok, is_ok) == is_ok) return;
    if (is_ok)
        gi_log(GI_LOG_INFO, "audit", "%s: lines are written again", a->settings.path);
    else
        gi_log(GI_LOG_ERROR, "audit", "%s: %s; %s", a->settings.path, why,
               a->settings.serves_unrecorded ? "requests are answered without a line"
                                             : "requests are refused");
}

/* Write what has not been given up. Why some lines could not be written, or 0. */
static int write_batch(writer *w, entry *batch) {
    gi_audit *a = w->log;
    int why = 0;
    for (entry *e = batch; e; e = e->next) {
        if (atomic_load(&w->is_hanging) && !a->settings.serves_unrecorded) break;
        e->is_written = gi_audit_file_write(&w->file, &e->line);
        if (!e->is_written) why = errno;
    }
    if (!a->settings.is_durable) return why;
    atomic_fetch_add(&a->n_syncs, 1);
    if (gi_audit_file_sync(&w->file)) return why;
    why = errno;
    for (entry *e = batch; e; e = e->next) e->is_written = false;
    return why;
}

static void count_batch(gi_audit *a, const entry *batch) {
    uint64_t n_lines = 0, n_bytes = 0, n_lost = 0;
    for (const entry *e = batch; e; e = e->next) {
        n_lost += !e->is_written;
        n_lines += e->is_written;
        n_bytes += e->is_written ? e->line.len : 0;
    }
    atomic_fetch_add(&a->n_lines, n_lines);
    atomic_fetch_add(&a->n_bytes, n_bytes);
    atomic_fetch_add(&a->n_lost, n_lost);
}

static void finish_batch(gi_audit *a, entry *batch) {
    while (batch) {
        entry *e = batch;
        batch = e->next;
        if (e->on_done) e->on_done(a->ctx, e->token, e->is_written);
        gi_buf_done(&e->line);
        gi_free(e);
    }
}

/* ---- the writer's thread ---- */

static void free_log(gi_audit *a) {
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->reopening);
    gi_free(a);
}

/* The queue, or NULL when there will be none for it. Under the lock. */
static entry *take_queue(writer *w) {
    gi_audit *a = w->log;
    while (!w->is_left && (a->writer != w || !a->first)) pthread_cond_wait(&a->changed, &a->lock);
    if (w->is_left) return NULL;
    w->batch = a->first;
    w->due_ms = gi_clock_ms() + (double)a->settings.timeout_ms;
    a->first = a->last = NULL;
    a->n_waiting = 0;
    pthread_cond_broadcast(&a->changed); /* the clock's thread has a moment to wait for */
    return w->batch;
}

/* Under the lock, which it gives up meanwhile. */
static void do_batch(writer *w, entry *batch) {
    gi_audit *a = w->log;
    pthread_mutex_unlock(&a->lock);
    const int why = write_batch(w, batch);
    count_batch(a, batch);
    pthread_mutex_lock(&a->lock);
    w->due_ms = HUGE_VAL;
    while (a->is_telling) pthread_cond_wait(&a->changed, &a->lock);
    atomic_store(&w->is_hanging, false);
    const bool is_current = a->writer == w;
    pthread_mutex_unlock(&a->lock);
    if (is_current) tell_health(a, why == 0, why ? strerror(why) : NULL);
    finish_batch(a, batch);
    pthread_mutex_lock(&a->lock);
    w->batch = NULL;
    pthread_cond_broadcast(&a->changed);
}

static void *writer_main(void *arg) {
    writer *w = arg;
    gi_audit *a = w->log;
    gi_audit_file file;
    glint_error err = {0};
    const bool is_open = gi_audit_file_open(a->settings.path, &file, &err) == GLINT_OK;
    pthread_mutex_lock(&a->lock);
    w->err = err;
    if (is_open) w->file = file;
    w->is_opened = true;
    pthread_cond_broadcast(&a->changed);
    for (entry *batch; is_open && (batch = take_queue(w));) do_batch(w, batch);
    pthread_mutex_unlock(&a->lock);
    if (is_open) gi_audit_file_close(&w->file);
    pthread_mutex_lock(&a->lock);
    w->is_over = true;
    const bool is_last = --a->n_writers == 0 && a->is_abandoned;
    if (w->is_detached) gi_free(w);
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (is_last) free_log(a);
    return NULL;
}

/* ---- writers, from outside; under the lock ---- */

/* Wait until nothing of it is needed any more; one that hangs is left to itself. */
static void leave_writer(writer *w) {
    gi_audit *a = w->log;
    const double until_ms = gi_clock_ms() + (double)a->settings.timeout_ms;
    w->is_left = true;
    pthread_cond_broadcast(&a->changed);
    while (w->batch && !atomic_load(&w->is_hanging)) pthread_cond_wait(&a->changed, &a->lock);
    /* Closing may hang, too. */
    while (w->is_opened && !w->batch && !w->is_over && gi_clock_ms() < until_ms)
        gi_cond_wait_until(&a->changed, &a->lock, until_ms);
    if (!w->is_over) {
        w->is_detached = true;
        pthread_detach(w->thread);
        return;
    }
    pthread_mutex_unlock(&a->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_lock(&a->lock);
    gi_free(w);
}

/* A writer that has the file open, and is not used yet. */
static glint_status start_writer(gi_audit *a, writer **ret, glint_error *err) {
    const char *path = a->settings.path;
    const double until_ms = gi_clock_ms() + (double)a->settings.timeout_ms;
    if (a->n_writers >= WRITERS_MAX)
        return gi_fail(err, GLINT_ERR_IO, "%s: %d files hang already", path, a->n_writers);
    writer *w = gi_calloc(1, sizeof *w);
    if (!w) return gi_fail(err, GLINT_ERR_MEMORY, "audit log: no memory");
    *w = (writer){.log = a, .due_ms = HUGE_VAL};
    if (!gi_thread_start(&w->thread, writer_main, w)) {
        gi_free(w);
        return gi_fail(err, GLINT_ERR_MEMORY, "audit log: cannot start a thread");
    }
    a->n_writers++;
    while (!w->is_opened && gi_clock_ms() < until_ms)
        gi_cond_wait_until(&a->changed, &a->lock, until_ms);
    glint_status st = GLINT_OK;
    if (!w->is_opened)
        st = gi_fail(err, GLINT_ERR_IO, "%s: cannot be opened within %" PRId64 " ms", path,
                     a->settings.timeout_ms);
    else if (w->err.code != GLINT_OK)
        st = gi_fail(err, w->err.code, "%s", w->err.message);
    if (st == GLINT_OK)
        *ret = w;
    else
        leave_writer(w);
    return st;
}

/* ---- the clock's thread ---- */

static void fail_tokens(gi_audit *a, entry *list) {
    for (entry *e = list; e; e = e->next) {
        if (e->on_done) e->on_done(a->ctx, e->token, false);
        e->on_done = NULL;
    }
}

static void put_back(gi_audit *a, entry *list, size_t n) {
    entry **end = &list;
    while (*end) end = &(*end)->next;
    *end = a->first;
    a->first = list;
    if (!a->last)
        for (a->last = list; a->last && a->last->next;) a->last = a->last->next;
    a->n_waiting += n;
}

/* The writer hangs: nobody waits for it any more. Under the lock, which it gives up meanwhile. */
static void give_up(gi_audit *a, writer *w) {
    entry *queue = a->first;
    const size_t n_queue = a->n_waiting;
    char why[80];
    snprintf(why, sizeof why, "no answer from the disk for %" PRId64 " ms", a->settings.timeout_ms);
    w->due_ms = HUGE_VAL;
    atomic_store(&w->is_hanging, true);
    a->first = a->last = NULL;
    a->n_waiting = 0;
    a->is_telling = true;
    pthread_mutex_unlock(&a->lock);
    tell_health(a, false, why);
    fail_tokens(a, w->batch);
    fail_tokens(a, queue);
    if (!a->settings.serves_unrecorded) {
        atomic_fetch_add(&a->n_lost, n_queue);
        finish_batch(a, queue);
    }
    pthread_mutex_lock(&a->lock);
    if (a->settings.serves_unrecorded) put_back(a, queue, n_queue);
    a->is_telling = false;
    pthread_cond_broadcast(&a->changed);
}

static void *clock_main(void *arg) {
    gi_audit *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->is_closing) {
        writer *w = a->writer;
        if (w && gi_clock_ms() >= w->due_ms)
            give_up(a, w);
        else
            gi_cond_wait_until(&a->changed, &a->lock, w ? w->due_ms : HUGE_VAL);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- the face ---- */

glint_status gi_audit_open(const gi_audit_settings *settings, size_t lines_max, void *ctx,
                           gi_audit **ret, glint_error *err) {
    gi_audit *a = gi_calloc(1, sizeof *a);
    if (!a) return gi_fail(err, GLINT_ERR_MEMORY, "audit log: no memory");
    a->settings = *settings;
    a->lines_max = lines_max;
    a->ctx = ctx;
    atomic_init(&a->is_ok, true);
    pthread_mutex_init(&a->reopening, NULL);
    pthread_mutex_init(&a->lock, NULL);
    gi_cond_init(&a->changed);
    pthread_mutex_lock(&a->lock);
    glint_status st = start_writer(a, &a->writer, err);
    pthread_mutex_unlock(&a->lock);
    if (st == GLINT_OK) {
        a->has_clock = gi_thread_start(&a->clock, clock_main, a);
        if (!a->has_clock) st = gi_fail(err, GLINT_ERR_MEMORY, "audit log: cannot start a thread");
    }
    if (st != GLINT_OK) {
        gi_audit_close(a);
        return st;
    }
    *ret = a;
    return GLINT_OK;
}

void gi_audit_close(gi_audit *a) {
    if (!a) return;
    pthread_mutex_lock(&a->lock);
    writer *w = a->writer;
    while (w && (a->first || w->batch) && !atomic_load(&w->is_hanging))
        pthread_cond_wait(&a->changed, &a->lock);
    while (a->is_telling) pthread_cond_wait(&a->changed, &a->lock);
    a->is_closing = true;
    a->writer = NULL;
    if (w) leave_writer(w);
    atomic_fetch_add(&a->n_lost, a->n_waiting);
    finish_batch(a, a->first);
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->has_clock) pthread_join(a->clock, NULL);
    pthread_mutex_lock(&a->lock);
    a->is_abandoned = true;
    const bool is_last = a->n_writers == 0;
    pthread_mutex_unlock(&a->lock);
    if (is_last) free_log(a);
}

void gi_audit_lost(gi_audit *a) {
    atomic_fetch_add(&a->n_lost, 1);
}

/* Append to the queue while there is room. Under the lock. */
static gi_audit_fate append(gi_audit *a, entry *e) {
    const bool hangs = atomic_load(&a->writer->is_hanging);
    if (a->n_waiting >= a->lines_max || (hangs && !a->settings.serves_unrecorded))
        return GI_AUDIT_LOST;
    if (hangs) e->on_done = NULL;
    if (a->last)
        a->last->next = e;
    else
        a->first = e;
    a->last = e;
    a->n_waiting++;
    pthread_cond_broadcast(&a->changed);
    return e->on_done ? GI_AUDIT_TOLD : GI_AUDIT_TAKEN;
}

gi_audit_fate gi_audit_push(gi_audit *a, gi_buf *line, gi_audit_done_fn on_done, void *token) {
    entry *e = gi_calloc(1, sizeof *e);
    gi_audit_fate fate = GI_AUDIT_LOST;
    if (e && gi_buf_puts(line, "\n", NULL) == GLINT_OK) {
        *e = (entry){.on_done = on_done, .token = token, .line = *line};
        pthread_mutex_lock(&a->lock);
        fate = append(a, e);
        pthread_mutex_unlock(&a->lock);
    }
    if (fate == GI_AUDIT_LOST) {
        gi_audit_lost(a);
        gi_free(e);
    } else {
        *line = (gi_buf){.max_bytes = line->max_bytes};
    }
    return fate;
}

/* Let `to` write in place of the present writer, once that is between two batches. Under the
 * lock. */
static glint_status change_writer(gi_audit *a, writer *to, glint_error *err) {
    writer *from = a->writer;
    const bool is_same = gi_audit_file_is_same(&from->file, &to->file);
    from->is_left = true;
    while (from->batch && !atomic_load(&from->is_hanging)) pthread_cond_wait(&a->changed, &a->lock);
    if (from->batch && is_same) {
        /* Two that write to one file would mix their lines. */
        from->is_left = false;
        leave_writer(to);
        return gi_fail(err, GLINT_ERR_IO, "%s: hangs, and is the same file as before",
                       a->settings.path);
    }
    if (is_same) to->file.is_cut = to->file.is_cut || from->file.is_cut;
    a->writer = to;
    leave_writer(from);
    return GLINT_OK;
}

glint_status gi_audit_reopen(gi_audit *a, glint_error *err) {
    writer *w = NULL;
    pthread_mutex_lock(&a->reopening);
    pthread_mutex_lock(&a->lock);
    glint_status st = start_writer(a, &w, err);
    if (st == GLINT_OK) st = change_writer(a, w, err);
    pthread_mutex_unlock(&a->lock);
    pthread_mutex_unlock(&a->reopening);
    return st;
}

bool gi_audit_is_healthy(const gi_audit *a) {
    return atomic_load(&a->is_ok);
}

gi_audit_stats gi_audit_get_stats(gi_audit *a) {
    pthread_mutex_lock(&a->lock);
    const size_t n_waiting = a->n_waiting;
    pthread_mutex_unlock(&a->lock);
    return (gi_audit_stats){.n_lines = atomic_load(&a->n_lines),
                            .n_bytes = atomic_load(&a->n_bytes),
                            .n_lost = atomic_load(&a->n_lost),
                            .n_syncs = atomic_load(&a->n_syncs),
                            .n_waiting = n_waiting};
}
