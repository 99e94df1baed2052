/*
 * A queue and the thread that empties it. Two locks: that of the queue is held for a few pointers,
 * that of the file while it is written to or exchanged. The thread takes the whole queue at once;
 * what comes meanwhile is the next batch, and shares its sync.
 */
#include "server/audit.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

typedef struct entry {
    struct entry *next;
    void *token;
    gi_buf line;
    bool is_written;
} entry;

struct gi_audit {
    gi_audit_settings settings;
    gi_audit_done_fn on_done;
    void *ctx;
    size_t lines_max;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    entry *first, *last; /* under the lock, as are the next two */
    size_t n_waiting;
    bool is_closing;
    pthread_mutex_t file_lock;
    int fd;            /* under the file's lock, as is the next */
    bool is_cut;       /* the last line has no end */
    atomic_bool is_ok; /* the last line was written */
    _Atomic uint64_t n_lines, n_bytes, n_lost, n_syncs;
};

/* ---- the file ---- */

/* True when the file ends in the middle of a line. */
static bool ends_cut(const char *path) {
    char last = '\n';
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    const off_t end = lseek(fd, 0, SEEK_END);
    const bool is_cut = end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
    close(fd);
    return is_cut;
}

static glint_status open_file(const char *path, int *ret, glint_error *err) {
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return gi_fail(err, GLINT_ERR_IO, "%s: cannot be written to: %s", path, strerror(errno));
    *ret = fd;
    return GLINT_OK;
}

/* One write, but where the system takes only a part of it. */
static bool write_line(gi_audit *a, const gi_buf *line) {
    if (a->is_cut && write(a->fd, "\n", 1) != 1) return false;
    a->is_cut = false;
    for (size_t n_done = 0; n_done < line->len;) {
        const ssize_t n = write(a->fd, line->data + n_done, line->len - n_done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            a->is_cut = n_done > 0;
            return false;
        }
        n_done += (size_t)n;
    }
    return true;
}

static bool sync_file(gi_audit *a) {
    atomic_fetch_add(&a->n_syncs, 1);
    /* A pipe or a terminal has nothing to be synced. */
    return fdatasync(a->fd) == 0 || errno == EINVAL || errno == EROFS;
}

/* ---- the thread ---- */

static void tell_health(gi_audit *a, bool is_ok, const char *why) {
    if (atomic_exchange(&a->is_ok, is_ok) == is_ok) return;
    if (is_ok)
        gi_log(GI_LOG_INFO, "audit", "%s: lines are written again", a->settings.path);
    else
        gi_log(GI_LOG_ERROR, "audit", "%s: %s; %s", a->settings.path, why,
               a->settings.serves_unrecorded ? "requests are answered without a line"
                                             : "requests are refused");
}

static void write_batch(gi_audit *a, entry *batch) {
    const char *why = NULL;
    uint64_t n_lines = 0, n_bytes = 0, n_lost = 0;
    pthread_mutex_lock(&a->file_lock);
    for (entry *e = batch; e; e = e->next) {
        e->is_written = write_line(a, &e->line);
        if (!e->is_written) why = strerror(errno);
    }
    if (a->settings.is_durable && !sync_file(a)) {
        why = strerror(errno);
        for (entry *e = batch; e; e = e->next) e->is_written = false;
    }
    pthread_mutex_unlock(&a->file_lock);
    for (entry *e = batch; e; e = e->next) {
        n_lost += !e->is_written;
        n_lines += e->is_written;
        n_bytes += e->is_written ? e->line.len : 0;
    }
    atomic_fetch_add(&a->n_lines, n_lines);
    atomic_fetch_add(&a->n_bytes, n_bytes);
    atomic_fetch_add(&a->n_lost, n_lost);
    tell_health(a, !why, why);
}

static void finish_batch(gi_audit *a, entry *batch) {
    while (batch) {
        entry *e = batch;
        batch = e->next;
        if (e->token) a->on_done(a->ctx, e->token, e->is_written);
        gi_buf_done(&e->line);
        gi_free(e);
    }
}

static void *thread_main(void *arg) {
    gi_audit *a = arg;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->first && !a->is_closing) pthread_cond_wait(&a->changed, &a->lock);
        if (!a->first) break;
        entry *batch = a->first;
        a->first = a->last = NULL;
        a->n_waiting = 0;
        pthread_mutex_unlock(&a->lock);
        write_batch(a, batch);
        finish_batch(a, batch);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- the face ---- */

glint_status gi_audit_open(const gi_audit_settings *settings, size_t lines_max,
                           gi_audit_done_fn on_done, void *ctx, gi_audit **ret, glint_error *err) {
    gi_audit *a = gi_calloc(1, sizeof *a);
    if (!a) return gi_fail(err, GLINT_ERR_MEMORY, "audit log: no memory");
    a->settings = *settings;
    a->lines_max = lines_max;
    a->on_done = on_done;
    a->ctx = ctx;
    a->fd = -1;
    atomic_init(&a->is_ok, true);
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->file_lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    glint_status st = open_file(settings->path, &a->fd, err);
    a->is_cut = st == GLINT_OK && ends_cut(settings->path);
    if (st == GLINT_OK) {
        a->has_thread = gi_thread_start(&a->thread, thread_main, a);
        if (!a->has_thread) st = gi_fail(err, GLINT_ERR_MEMORY, "audit log: cannot start a thread");
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
    if (a->has_thread) {
        pthread_mutex_lock(&a->lock);
        a->is_closing = true;
        pthread_cond_signal(&a->changed);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    if (a->fd >= 0) close(a->fd);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->file_lock);
    pthread_mutex_destroy(&a->lock);
    gi_free(a);
}

void gi_audit_lost(gi_audit *a) {
    atomic_fetch_add(&a->n_lost, 1);
}

bool gi_audit_push(gi_audit *a, gi_buf *line, void *token) {
    entry *e = gi_calloc(1, sizeof *e);
    bool ok = e && gi_buf_puts(line, "\n", NULL) == GLINT_OK;
    if (ok) *e = (entry){.token = token, .line = *line};
    pthread_mutex_lock(&a->lock);
    ok = ok && a->n_waiting < a->lines_max;
    if (ok) {
        if (a->last)
            a->last->next = e;
        else
            a->first = e;
        a->last = e;
        a->n_waiting++;
        pthread_cond_signal(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    if (ok) {
        *line = (gi_buf){.max_bytes = line->max_bytes};
    } else {
        gi_audit_lost(a);
        gi_free(e);
    }
    return ok;
}

glint_status gi_audit_reopen(gi_audit *a, glint_error *err) {
    int fd = -1;
    GI_TRY(open_file(a->settings.path, &fd, err));
    const bool is_cut = ends_cut(a->settings.path);
    pthread_mutex_lock(&a->file_lock);
    const int old = a->fd;
    a->fd = fd;
    a->is_cut = is_cut;
    pthread_mutex_unlock(&a->file_lock);
    close(old);
    return GLINT_OK;
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
