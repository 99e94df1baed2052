/**
 * @file
 * What the HTTP library does not do: a deadline for each phase of a connection, and word of clients
 * that go away while their answer is being worked out.
 *
 * One lock guards all watched connections and is the lock of the HTTP layer; everything here but
 * create, free, lock and unlock is called with it held, and the callbacks run under it.
 */
#ifndef GI_SERVER_HTTP_WATCH_H
#define GI_SERVER_HTTP_WATCH_H

#include "base/fail.h"

#include <stdbool.h>
#include <stdint.h>

/** How late a deadline may be noticed, in milliseconds. */
#define GI_HTTP_WATCH_TICK_MS 100

typedef struct gi_http_watch gi_http_watch;

/** One connection; embedded in the caller's. */
typedef struct gi_http_watched {
    struct gi_http_watched *prev, *next;
    int fd;
    uint64_t serial;    /**< tells connections apart that got the same fd one after the other */
    double deadline_ms; /**< by gi_clock_ms; 0 = none */
    bool is_in_set;     /**< the peer has not closed yet, as far as is known */
} gi_http_watched;

typedef struct gi_http_watch_ops {
    /** The deadline passed; it is 0 again. */
    void (*on_due)(void *ctx, gi_http_watched *c);
    /** The peer closed the connection or its sending half; told once. */
    void (*on_hangup)(void *ctx, gi_http_watched *c);
} gi_http_watch_ops;

/** Start the thread. GLINT_ERR_IO, GLINT_ERR_MEMORY. */
glint_status gi_http_watch_create(gi_http_watch_ops ops, void *ctx, gi_http_watch **ret,
                                  glint_error *err);

/** End the thread. No connection may be left. NULL is fine. */
void gi_http_watch_free(gi_http_watch *w);

void gi_http_watch_lock(gi_http_watch *w);
void gi_http_watch_unlock(gi_http_watch *w);

/** Watch c, whose fd and deadline are set. */
void gi_http_watch_add(gi_http_watch *w, gi_http_watched *c);

/** Watch it no more; before its fd is closed. */
void gi_http_watch_remove(gi_http_watch *w, gi_http_watched *c);

#endif
