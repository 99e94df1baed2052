/*
 * Pictures are made on the caller's thread: bytes to patches, and room for the visual tokens, so
 * that whoever runs the engine allocates nothing.
 */
#include "engine/picture.h"

#include "base/alloc.h"

static void picture_free(gi_picture *p) {
    gi_patches_done(&p->patches);
    p->engine->dev->ops->act_free(p->engine->dev, &p->visual);
    gi_free(p);
}

gi_picture *gi_picture_ref(gi_picture *p) {
    atomic_fetch_add_explicit(&p->n_refs, 1, memory_order_relaxed);
    return p;
}

void gi_picture_unref(gi_picture *p) {
    if (p && atomic_fetch_sub_explicit(&p->n_refs, 1, memory_order_acq_rel) == 1) picture_free(p);
}

static glint_status measure(gi_picture *p, glint_error *err) {
    const glint_engine *e = p->engine;
    const gi_config *cfg = &e->ckpt->config;
    const size_t n = (size_t)p->patches.grid_h * p->patches.grid_w;
    if (n > e->patches_max) {
        gi_fail(err, GLINT_ERR_LIMIT, "picture gives %zu patches; the limit is %zu", n,
                e->patches_max);
        return gi_fail_param(err, GLINT_ERR_LIMIT, "image");
    }
    p->rows = p->patches.grid_h / cfg->vision.merge;
    p->cols = p->patches.grid_w / cfg->vision.merge;
    p->state = (gi_picture_state){.n_patches = n, .work = gi_vision_ops(&cfg->vision, n)};
    return e->dev->ops->act_create(e->dev, p->rows * p->cols, cfg->text.hidden, &p->visual, err);
}

glint_status gi_picture_create(glint_engine *e, const glint_image *image, uint32_t max_side_px,
                               gi_picture **ret, glint_error *err) {
    gi_picture *p = gi_calloc(1, sizeof *p);
    if (!p) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a picture");
    p->engine = e;
    atomic_init(&p->n_refs, 1);
    glint_status st =
        gi_image_prepare(image->bytes, image->n_bytes, &e->ckpt->config.image, &e->image_limits,
                         max_side_px, e->pictures, &p->patches, err);
    if (st != GLINT_OK) {
        gi_fail_param(err, st, "image");
    } else {
        st = measure(p, err);
    }
    if (st != GLINT_OK) {
        picture_free(p);
        return st;
    }
    *ret = p;
    return GLINT_OK;
}
