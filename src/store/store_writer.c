/*
 * Values on their way into Redis: a queue with a maximum in bytes and in number, and the one thread
 * that seals and sends them. When Redis is away the queue is not a place to wait: what is old by
 * the time it comes back has been made again meanwhile.
 */
#include "store/store_inside.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

#include <string.h>

enum { ITEMS_MAX = 1024, COMMAND_BYTES_MORE = 512 };

struct gi_store_item {
    gi_store_item *next;
    gi_store_kind kind;
    gi_digest key;
    int64_t ttl_ms;
    size_t n;
    uint8_t bytes[];
};

static bool send_item(gi_store *s, const gi_store_item *item) {
    gi_redis_conn *c;
    gi_resp_reply reply;
    gi_buf out;
    gi_buf_init(&out, item->n + GI_STORE_HEADER_BYTES + COMMAND_BYTES_MORE);
    bool ok = gi_store_push_set(s, item->kind, &item->key, item->ttl_ms, item->bytes, item->n,
                                &out) == GLINT_OK &&
              gi_store_exchange(s, &out, 1, &reply, &c);
    gi_buf_done(&out);
    if (!ok) return false;
    ok = gi_resp_is_ok(&reply);
    if (!ok) {
        atomic_fetch_add(&s->n_errors, 1);
        if (reply.type == GI_RESP_ERROR)
            gi_log(GI_LOG_DEBUG, "redis", "SET: %.*s", (int)(reply.n < 80 ? reply.n : 80),
                   (const char *)reply.bytes);
    }
    gi_redis_pool_give(s->pool, c, ok || reply.type == GI_RESP_ERROR);
    return ok;
}

static void *writer_main(void *arg) {
    gi_store *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->oldest && !s->is_stopping) pthread_cond_wait(&s->cv, &s->lock);
        if (s->is_stopping) break;
        gi_store_item *item = s->oldest;
        s->oldest = item->next;
        if (!s->oldest) s->end = &s->oldest;
        pthread_mutex_unlock(&s->lock);
        const bool ok = send_item(s, item);
        atomic_fetch_add(ok ? &s->kinds[item->kind].n_stored : &s->n_dropped, 1);
        pthread_mutex_lock(&s->lock);
        s->n_queued--;
        s->queue_bytes -= item->n;
        gi_free(item);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

glint_status gi_store_writer_start(gi_store *s, glint_error *err) {
    s->has_writer = gi_thread_start(&s->writer, writer_main, s);
    return s->has_writer ? GLINT_OK
                         : gi_fail(err, GLINT_ERR_MEMORY, "Redis: cannot start a thread");
}

void gi_store_writer_stop(gi_store *s) {
    if (s->has_writer) {
        pthread_mutex_lock(&s->lock);
        s->is_stopping = true;
        pthread_cond_signal(&s->cv);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->writer, NULL);
    }
    while (s->oldest) {
        gi_store_item *item = s->oldest;
        s->oldest = item->next;
        gi_free(item);
    }
}

bool gi_store_takes(gi_store *s, size_t n_bytes) {
    if (n_bytes > gi_store_value_bytes_max(s)) return false;
    if (gi_redis_pool_get_stats(s->pool).state != GI_BREAKER_CLOSED) return false;
    pthread_mutex_lock(&s->lock);
    const bool has_room =
        s->n_queued < ITEMS_MAX && n_bytes <= (size_t)s->settings.queue_bytes_max - s->queue_bytes;
    pthread_mutex_unlock(&s->lock);
    return has_room;
}

void gi_store_put(gi_store *s, gi_store_kind kind, const gi_digest *key, const void *bytes,
                  size_t n_bytes, int64_t ttl_ms) {
    if (ttl_ms < 1) return;
    gi_store_item *item = gi_store_takes(s, n_bytes) ? gi_alloc(sizeof *item + n_bytes) : NULL;
    if (item) {
        *item = (gi_store_item){
            .kind = kind,
            .key = *key,
            .ttl_ms = ttl_ms < s->settings.ttl_ms ? ttl_ms : s->settings.ttl_ms,
            .n = n_bytes,
        };
        if (n_bytes > 0) memcpy(item->bytes, bytes, n_bytes);
        pthread_mutex_lock(&s->lock);
        /* Others may have come since we looked. */
        if (s->n_queued < ITEMS_MAX &&
            n_bytes <= (size_t)s->settings.queue_bytes_max - s->queue_bytes) {
            *s->end = item;
            s->end = &item->next;
            s->n_queued++;
            s->queue_bytes += n_bytes;
            item = NULL;
            pthread_cond_signal(&s->cv);
        }
        pthread_mutex_unlock(&s->lock);
        if (!item) return;
        gi_free(item);
    }
    atomic_fetch_add(&s->n_dropped, 1);
}
