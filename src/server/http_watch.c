/*
 * A thread with an epoll set of its own, beside the library's, that waits for nothing but the end
 * of what a peer sends. A FIN counts as a hang-up, as it does for most servers: a client that
 * half-closes and still waits cannot be told from one that is gone.
 *
 * Deadlines are found by walking the list every tick: a few thousand connections at most, ten times
 * a second, and nothing at all when there is none.
 */
#include "server/http_watch.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 64 };

/* The serial of the wake-up descriptor in the epoll set. */
static const uint64_t WAKE_SERIAL = 0;

struct gi_http_watch {
    pthread_mutex_t lock;
    pthread_t thread;
    gi_http_watch_ops ops;
    void *ctx;
    int epoll_fd, wake_fd;
    gi_http_watched *head;
    uint64_t last_serial;
    bool stopping;
};

void gi_http_watch_lock(gi_http_watch *w) {
    pthread_mutex_lock(&w->lock);
}

void gi_http_watch_unlock(gi_http_watch *w) {
    pthread_mutex_unlock(&w->lock);
}

static void wake(gi_http_watch *w) {
    const uint64_t one = 1;
    /* The counter cannot overflow into blocking within the life of the machine. */
    while (write(w->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void leave_set(gi_http_watch *w, gi_http_watched *c) {
    struct epoll_event e = {0};
    if (c->is_in_set) epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, c->fd, &e);
    c->is_in_set = false;
}

void gi_http_watch_add(gi_http_watch *w, gi_http_watched *c) {
    const bool is_first = !w->head;
    c->serial = ++w->last_serial;
    struct epoll_event e = {.events = EPOLLRDHUP, .data.u64 = c->serial};
    /* Without memory for the set a hang-up is noticed when the answer is sent. */
    c->is_in_set = epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) == 0;
    c->prev = NULL;
    c->next = w->head;
    if (w->head) w->head->prev = c;
    w->head = c;
    if (is_first) wake(w);
}

void gi_http_watch_remove(gi_http_watch *w, gi_http_watched *c) {
    leave_set(w, c);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->head = c->next;
    if (c->next) c->next->prev = c->prev;
    c->prev = c->next = NULL;
}

/* An event may be older than the connection that has its descriptor now: the serial tells. */
static void tell_hangup(gi_http_watch *w, uint64_t serial) {
    for (gi_http_watched *c = w->head; c; c = c->next) {
        if (c->serial != serial || !c->is_in_set) continue;
        leave_set(w, c);
        w->ops.on_hangup(w->ctx, c);
        return;
    }
}

static void tell_due(gi_http_watch *w) {
    const double now_ms = gi_clock_ms();
    for (gi_http_watched *c = w->head, *next; c; c = next) {
        next = c->next;
        if (c->deadline_ms <= 0 || c->deadline_ms > now_ms) continue;
        c->deadline_ms = 0;
        w->ops.on_due(w->ctx, c);
    }
}

static void *watch_main(void *arg) {
    gi_http_watch *w = arg;
    struct epoll_event events[EVENTS];
    pthread_mutex_lock(&w->lock);
    while (!w->stopping) {
        const int timeout_ms = w->head ? GI_HTTP_WATCH_TICK_MS : -1;
        pthread_mutex_unlock(&w->lock);
        const int n = epoll_wait(w->epoll_fd, events, EVENTS, timeout_ms);
        pthread_mutex_lock(&w->lock);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 != WAKE_SERIAL) {
                tell_hangup(w, events[i].data.u64);
                continue;
            }
            uint64_t count;
            while (read(w->wake_fd, &count, sizeof count) < 0 && errno == EINTR) {
            }
        }
        tell_due(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void close_fds(gi_http_watch *w) {
    if (w->epoll_fd >= 0) close(w->epoll_fd);
    if (w->wake_fd >= 0) close(w->wake_fd);
}

glint_status gi_http_watch_create(gi_http_watch_ops ops, void *ctx, gi_http_watch **ret,
                                  glint_error *err) {
    gi_http_watch *w = gi_calloc(1, sizeof *w);
    if (!w) return gi_fail(err, GLINT_ERR_MEMORY, "http: no memory");
    w->ops = ops;
    w->ctx = ctx;
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = WAKE_SERIAL};
    if (w->epoll_fd < 0 || w->wake_fd < 0 ||
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &e) != 0) {
        close_fds(w);
        gi_free(w);
        return gi_fail(err, GLINT_ERR_IO, "http: cannot watch connections: %s", strerror(errno));
    }
    pthread_mutex_init(&w->lock, NULL);
    if (!gi_thread_start(&w->thread, watch_main, w)) {
        pthread_mutex_destroy(&w->lock);
        close_fds(w);
        gi_free(w);
        return gi_fail(err, GLINT_ERR_MEMORY, "http: cannot start a thread");
    }
    *ret = w;
    return GLINT_OK;
}

void gi_http_watch_free(gi_http_watch *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    wake(w);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    close_fds(w);
    gi_free(w);
}
