/*
 * A ring of pictures, each held by a reference, between whoever runs the engine and a thread that
 * reads them from the device and gives them to the store. A picture's visual tokens never change
 * once it is encoded, so they are read without a lock.
 */
#include "engine/picture_shelf.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/thread.h"

#include <pthread.h>
#include <string.h>

enum { WAITING_MAX = 64, HEAD_WORDS = 4 };

struct gi_picture_shelf {
    glint_engine *engine;
    glint_picture_store store;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t cv;
    gi_picture *waiting[WAITING_MAX]; /* a ring: [first, first + n) */
    size_t first, n;
    bool is_stopping;
};

static size_t hidden_of(const gi_picture_shelf *s) {
    return s->engine->ckpt->config.text.hidden;
}

static glint_status store_key(const gi_picture_shelf *s, const gi_digest *picture, gi_digest *ret) {
    gi_sha256 h;
    GI_TRY(gi_sha256_init(&h, NULL));
    gi_sha256_begin(&h, "glint encoded picture 1");
    gi_sha256_bytes(&h, s->engine->fingerprint.bytes, sizeof s->engine->fingerprint.bytes);
    gi_sha256_bytes(&h, picture->bytes, sizeof picture->bytes);
    const glint_status st = gi_sha256_end(&h, ret, NULL);
    gi_sha256_done(&h);
    return st;
}

/* ---- handing over ---- */

static void hand_over(gi_picture_shelf *s, gi_picture *p) {
    gi_device *dev = s->engine->dev;
    const size_t n_rows = p->rows * p->cols, hidden = hidden_of(s);
    const size_t n_bytes = (HEAD_WORDS + n_rows * hidden) * sizeof(float);
    gi_digest key;
    if (n_bytes > s->store.bytes_max || store_key(s, &p->entry.key, &key) != GLINT_OK) return;
    uint32_t *words = gi_alloc(n_bytes);
    if (!words) return;
    words[0] = (uint32_t)p->rows;
    words[1] = (uint32_t)p->cols;
    words[2] = (uint32_t)hidden;
    words[3] = 0;
    dev->ops->act_download(dev, p->visual, 0, (float *)(void *)(words + HEAD_WORDS), n_rows);
    s->store.put(s->store.ctx, key.bytes, words, n_bytes);
    gi_free(words);
}

static void *shelf_main(void *arg) {
    gi_picture_shelf *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->n == 0 && !s->is_stopping) pthread_cond_wait(&s->cv, &s->lock);
        if (s->is_stopping) break;
        gi_picture *p = s->waiting[s->first];
        s->first = (s->first + 1) % WAITING_MAX;
        s->n--;
        pthread_mutex_unlock(&s->lock);
        hand_over(s, p);
        gi_picture_unref(p);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void gi_picture_shelf_offer(gi_picture_shelf *s, gi_picture *picture) {
    pthread_mutex_lock(&s->lock);
    if (s->n < WAITING_MAX) {
        s->waiting[(s->first + s->n++) % WAITING_MAX] = gi_picture_ref(picture);
        pthread_cond_signal(&s->cv);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- finding ---- */

/* Whether n_bytes are a picture of this engine. */
static bool read_sizes(const gi_picture_shelf *s, const void *bytes, size_t n_bytes,
                       gi_shelf_found *ret) {
    const gi_config *cfg = &s->engine->ckpt->config;
    const size_t per_token = cfg->vision.merge * cfg->vision.merge;
    uint32_t head[HEAD_WORDS];
    size_t n_tokens, n_values, n_needed;
    if (n_bytes < sizeof head || (uintptr_t)bytes % _Alignof(float) != 0) return false;
    memcpy(head, bytes, sizeof head);
    if (head[0] == 0 || head[1] == 0 || head[2] != cfg->text.hidden || head[3] != 0) return false;
    if (!gi_mul_size(head[0], head[1], &n_tokens) ||
        n_tokens > s->engine->patches_max / per_token ||
        !gi_mul_size(n_tokens, head[2], &n_values) ||
        !gi_mul_size(n_values, sizeof(float), &n_needed) || n_needed != n_bytes - sizeof head)
        return false;
    ret->rows = head[0];
    ret->cols = head[1];
    ret->values = (const float *)bytes + HEAD_WORDS;
    return true;
}

bool gi_picture_shelf_find(gi_picture_shelf *s, const gi_digest *key, gi_shelf_found *ret) {
    gi_digest name;
    const void *bytes;
    size_t n_bytes;
    gi_shelf_found found = {0};
    if (store_key(s, key, &name) != GLINT_OK ||
        !s->store.find(s->store.ctx, name.bytes, &bytes, &n_bytes, &found.handle))
        return false;
    if (!read_sizes(s, bytes, n_bytes, &found)) {
        s->store.done(s->store.ctx, found.handle);
        return false;
    }
    *ret = found;
    return true;
}

void gi_picture_shelf_done(gi_picture_shelf *s, gi_shelf_found *found) {
    s->store.done(s->store.ctx, found->handle);
    *found = (gi_shelf_found){0};
}

/* ---- life ---- */

glint_status gi_picture_shelf_create(glint_engine *e, const glint_picture_store *store,
                                     gi_picture_shelf **ret, glint_error *err) {
    gi_picture_shelf *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a store of pictures");
    s->engine = e;
    s->store = *store;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->cv, NULL);
    s->has_thread = gi_thread_start(&s->thread, shelf_main, s);
    if (!s->has_thread) {
        gi_picture_shelf_free(s);
        return gi_fail(err, GLINT_ERR_MEMORY, "cannot start a thread");
    }
    *ret = s;
    return GLINT_OK;
}

void gi_picture_shelf_free(gi_picture_shelf *s) {
    if (!s) return;
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->is_stopping = true;
        pthread_cond_signal(&s->cv);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    for (; s->n > 0; s->n--) {
        gi_picture_unref(s->waiting[s->first]);
        s->first = (s->first + 1) % WAITING_MAX;
    }
    pthread_cond_destroy(&s->cv);
    pthread_mutex_destroy(&s->lock);
    gi_free(s);
}
