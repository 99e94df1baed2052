/**
 * @file
 * What the files of the server share: its parts, and where it stands between listening and drained.
 * For server.c, which owns them, and routes.c, which asks them.
 */
#ifndef GI_SERVER_SERVER_STATE_H
#define GI_SERVER_SERVER_STATE_H

#include "server/http.h"
#include "server/infer.h"
#include "server/listen.h"
#include "server/observer.h"
#include "server/page.h"
#include "server/server.h"

#include <pthread.h>
#include <stdatomic.h>

/* LEAVING: nobody should send more, but what comes is still taken. */
typedef enum gi_server_state {
    GI_SERVER_LOADING,
    GI_SERVER_READY,
    GI_SERVER_LEAVING,
    GI_SERVER_DRAINING
} gi_server_state;

/* What gi_server_change changes, beside access. */
typedef struct gi_server_limits {
    int64_t queue_max, ready_max;
    int64_t drain_ms, drain_delay_ms;
} gi_server_limits;

struct gi_server {
    gi_server_settings settings; /* as at the start */
    pthread_mutex_t limits_lock; /* of who changes them or makes `infer` */
    gi_server_limits limits;
    _Atomic int64_t timeout_ms;
    _Atomic(gi_http *) http; /* its thread may ask for it before it is there */
    gi_store *store;         /* NULL: no Redis */
    gi_access *access;
    gi_page *page;
    gi_fetcher *fetcher; /* NULL: no picture URLs */
    gi_observer *observer;
    _Atomic uint64_t n_reloads[2]; /* failed, ok */
    glint_engine *engine;
    _Atomic(gi_infer *) infer; /* NULL until the model is loaded */
    _Atomic int state;         /* gi_server_state */
    int64_t loaded_s;          /* seconds since 1970; set before infer */
    char address[GI_LISTEN_TEXT_BYTES];
};

/** What the fields of a request are held to. */
gi_field_limits gi_server_field_limits(const gi_server *s);

#endif
