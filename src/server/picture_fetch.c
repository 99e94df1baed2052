/*
 * Shared by the request, which may end at any time, and the fetcher, which calls back for each
 * picture exactly once: whoever is last frees it. `on_ready` is called under the lock, so that a
 * request which has ended its fetch can be freed at once. Lock order: this, then the scheduler's.
 *
 * A client learns that a picture could not be had, and nothing else: not whether the host exists,
 * is allowed, listens or has a picture.
 */
#include "server/picture_fetch.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>

/* One picture that is fetched. */
typedef struct picture {
    gi_picture_fetch *owner;
    bool is_wanted;
    bool has_begun;
    gi_fetch *fetch; /* NULL before it has begun and after it is done */
    gi_fetch_result result;
} picture;

struct gi_picture_fetch {
    pthread_mutex_t lock;
    size_t n_owners, n_pending;
    void (*on_ready)(void *ctx); /* NULL: nobody waits any more */
    void *ctx;
    size_t n;
    picture pictures[GLINT_IMAGES_MAX];
    double begun_ms, done_ms;
};

/* Let go of the lock and of one owner's share. */
static void unlock_and_disown(gi_picture_fetch *f) {
    const bool is_last = --f->n_owners == 0;
    pthread_mutex_unlock(&f->lock);
    if (!is_last) return;
    for (size_t i = 0; i < f->n; i++) gi_fetch_bytes_unref(f->pictures[i].result.bytes);
    pthread_mutex_destroy(&f->lock);
    gi_free(f);
}

/* One of the things that were waited for is there. The lock is held. */
static void count_down(gi_picture_fetch *f) {
    if (--f->n_pending > 0) return;
    f->done_ms = gi_clock_ms();
    if (f->on_ready) f->on_ready(f->ctx);
    f->on_ready = NULL;
}

static void on_done(void *ctx, const gi_fetch_result *result) {
    picture *p = ctx;
    gi_picture_fetch *f = p->owner;
    pthread_mutex_lock(&f->lock);
    p->result = *result;
    gi_fetch_free(p->fetch);
    p->fetch = NULL;
    count_down(f);
    unlock_and_disown(f);
}

/* Not under the lock: it may ask Redis first, and on_done of the pictures before this one runs on
 * the fetcher's only thread. */
static void begin_one(gi_picture_fetch *f, picture *p, gi_fetcher *fetcher,
                      const gi_fetch_request *request) {
    glint_error err = {0};
    p->owner = f;
    p->is_wanted = true;
    pthread_mutex_lock(&f->lock);
    f->n_pending++;
    f->n_owners++;
    pthread_mutex_unlock(&f->lock);
    const glint_status st = gi_fetch_begin(fetcher, request, &p->fetch, &err);
    p->has_begun = st == GLINT_OK;
    if (st == GLINT_OK) return;
    pthread_mutex_lock(&f->lock);
    p->result = (gi_fetch_result){.status = st, .err = err};
    f->n_pending--;
    f->n_owners--;
    pthread_mutex_unlock(&f->lock);
}

bool gi_picture_fetch_begin(gi_fetcher *fetcher, const char *tenant, const gi_infer_fields *fields,
                            double timeout_ms, void (*on_ready)(void *ctx), void *ctx,
                            gi_picture_fetch **ret, gi_api_error *error) {
    if (!fetcher || gi_fetcher_is_off(fetcher))
        return gi_api_fail(error, GI_API_IMAGE_URLS_DISABLED, "image");
    gi_picture_fetch *f = gi_calloc(1, sizeof *f);
    if (!f) return gi_api_fail(error, GI_API_OVERLOADED, NULL);
    pthread_mutex_init(&f->lock, NULL);
    f->on_ready = on_ready;
    f->ctx = ctx;
    f->n = fields->n_pictures;
    f->n_owners = 2;  /* the caller, and this function until it returns */
    f->n_pending = 1; /* so that not all are there before all have begun */
    f->begun_ms = gi_clock_ms();
    for (size_t i = 0; i < f->n; i++) {
        const gi_fetch_request request = {.scope = tenant,
                                          .url = fields->pictures[i].url,
                                          .n = fields->pictures[i].n,
                                          .timeout_ms = timeout_ms,
                                          .no_cache = !fields->cache,
                                          .on_done = on_done,
                                          .ctx = &f->pictures[i]};
        if (request.url) begin_one(f, &f->pictures[i], fetcher, &request);
    }
    pthread_mutex_lock(&f->lock);
    *ret = f; /* before on_ready, which may use it */
    count_down(f);
    unlock_and_disown(f);
    return true;
}

static gi_api_code code_of(const picture *p) {
    const glint_status st = p->result.status;
    /* No place for another fetch; or, later, no room for its bytes. */
    if (st == GLINT_ERR_BUSY && !p->has_begun) return GI_API_QUEUE_FULL;
    if (st == GLINT_ERR_MEMORY || st == GLINT_ERR_BUSY) return GI_API_OVERLOADED;
    if (st == GLINT_ERR_UNSUPPORTED) return GI_API_IMAGE_URLS_DISABLED;
    return st == GLINT_ERR_DEADLINE ? GI_API_DEADLINE : GI_API_IMAGE_FETCH_FAILED;
}

bool gi_picture_fetch_take(const gi_picture_fetch *f, const char *request_id,
                           gi_field_picture *pictures, gi_api_error *error) {
    for (size_t i = 0; i < f->n; i++) {
        const gi_fetch_result *r = &f->pictures[i].result;
        if (!f->pictures[i].is_wanted) continue;
        if (r->status != GLINT_OK) {
            gi_log(GI_LOG_INFO, "fetch", "id=%s picture %zu: %s", request_id, i + 1,
                   r->err.message);
            gi_api_fail(error, code_of(&f->pictures[i]), "image");
        } else {
            pictures[i] = (gi_field_picture){.bytes = r->bytes->data, .n = r->bytes->n};
        }
    }
    return error->code == GI_API_OK;
}

double gi_picture_fetch_ms(gi_picture_fetch *f) {
    pthread_mutex_lock(&f->lock);
    const double until_ms = f->n_pending > 0 ? gi_clock_ms() : f->done_ms;
    pthread_mutex_unlock(&f->lock);
    return until_ms - f->begun_ms;
}

void gi_picture_fetch_end(gi_picture_fetch *f) {
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    f->on_ready = NULL;
    for (size_t i = 0; i < f->n; i++)
        if (f->pictures[i].fetch) gi_fetch_cancel(f->pictures[i].fetch);
    unlock_and_disown(f);
}
