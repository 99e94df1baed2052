/*
 * Pictures are made on the caller's thread: bytes to patches, and room for the visual tokens, so
 * that whoever runs the engine allocates nothing.
 */
#include "engine/picture.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/picture_shelf.h"

#include <string.h>

static void picture_free(gi_cache_entry *entry) {
    gi_picture *p = (gi_picture *)(void *)entry;
    gi_patches_done(&p->patches);
    p->engine->dev->ops->act_free(p->engine->dev, &p->visual);
    gi_free(p);
}

gi_picture *gi_picture_ref(gi_picture *p) {
    gi_cache_ref(p->engine->picture_cache, &p->entry);
    return p;
}

void gi_picture_unref(gi_picture *p) {
    if (!p) return;
    gi_cache *cache = p->engine->picture_cache;
    /* Patches are far larger than the visual tokens they count as. */
    if (p->may_share && !atomic_load(&p->is_done)) gi_cache_remove(cache, &p->entry.key);
    gi_cache_unref(cache, &p->entry);
}

static glint_status make_key(const gi_picture_spec *spec, gi_digest *ret, glint_error *err) {
    gi_sha256 h;
    GI_TRY(gi_sha256_init(&h, err));
    gi_sha256_begin(&h, "glint picture 1");
    gi_sha256_bytes(&h, spec->tenant, strlen(spec->tenant));
    gi_sha256_u64(&h, spec->max_side_px);
    gi_sha256_bytes(&h, spec->image.bytes, spec->image.n_bytes);
    const glint_status st = gi_sha256_end(&h, ret, err);
    gi_sha256_done(&h);
    return st;
}

/* Sizes of a grid of patches, and room for the visual tokens. */
static glint_status measure(gi_picture *p, size_t grid_h, size_t grid_w, glint_error *err) {
    const glint_engine *e = p->engine;
    const gi_config *cfg = &e->ckpt->config;
    const size_t n = grid_h * grid_w;
    if (n > e->patches_max) {
        gi_fail(err, GLINT_ERR_LIMIT, "picture gives %zu patches; the limit is %zu", n,
                e->patches_max);
        return gi_fail_param(err, GLINT_ERR_LIMIT, "image");
    }
    p->rows = grid_h / cfg->vision.merge;
    p->cols = grid_w / cfg->vision.merge;
    p->state = (gi_picture_state){.n_patches = n, .work = gi_vision_ops(&cfg->vision, n)};
    return e->dev->ops->act_create(e->dev, p->rows * p->cols, cfg->text.hidden, &p->visual, err);
}

static void init_entry(gi_picture *p, const gi_digest *key) {
    const size_t n_bytes =
        sizeof *p + p->rows * p->cols * p->engine->ckpt->config.text.hidden * sizeof(float);
    gi_cache_entry_init(&p->entry, key, n_bytes, picture_free);
}

static glint_status make(glint_engine *e, const gi_picture_spec *spec, const gi_digest *key,
                         gi_picture **ret, glint_error *err) {
    gi_picture *p = gi_calloc(1, sizeof *p);
    if (!p) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a picture");
    p->engine = e;
    glint_status st =
        gi_image_prepare(spec->image.bytes, spec->image.n_bytes, &e->ckpt->config.image,
                         &e->image_limits, spec->max_side_px, e->pictures, &p->patches, err);
    if (st != GLINT_OK)
        gi_fail_param(err, st, "image");
    else
        st = measure(p, p->patches.grid_h, p->patches.grid_w, err);
    if (st != GLINT_OK) {
        picture_free(&p->entry);
        return st;
    }
    init_entry(p, key);
    p->may_share = spec->may_share;
    *ret = p;
    return GLINT_OK;
}

/* A picture that another process encoded, or NULL. */
static gi_picture *find_elsewhere(glint_engine *e, const gi_digest *key) {
    gi_shelf_found found;
    if (!e->shelf || !gi_picture_shelf_find(e->shelf, key, &found)) return NULL;
    const size_t merge = e->ckpt->config.vision.merge;
    gi_picture *p = gi_calloc(1, sizeof *p);
    if (p) {
        p->engine = e;
        if (measure(p, found.rows * merge, found.cols * merge, NULL) != GLINT_OK) {
            picture_free(&p->entry);
            p = NULL;
        }
    }
    if (p) {
        e->dev->ops->act_upload(e->dev, p->visual, 0, found.values, p->rows * p->cols);
        p->state.is_encoded = true;
        p->encoded_at_ms = gi_clock_ms();
        atomic_store(&p->is_done, true);
        init_entry(p, key);
    }
    gi_picture_shelf_done(e->shelf, &found);
    return p;
}

glint_status gi_picture_open(glint_engine *e, const gi_picture_spec *spec, gi_picture **ret,
                             bool *ret_is_found, glint_error *err) {
    gi_digest key = {{0}};
    *ret_is_found = false;
    if (!spec->may_share) return make(e, spec, &key, ret, err); /* its key is never looked at */
    GI_TRY(make_key(spec, &key, err));
    gi_picture *p = (gi_picture *)(void *)gi_cache_get(e->picture_cache, &key);
    if (p) {
        *ret_is_found = true;
        *ret = p;
        return GLINT_OK;
    }
    p = find_elsewhere(e, &key);
    *ret_is_found = p != NULL;
    if (!p) GI_TRY(make(e, spec, &key, &p, err));
    gi_cache_put(e->picture_cache, &p->entry);
    *ret = p;
    return GLINT_OK;
}
