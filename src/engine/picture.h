/**
 * @file
 * A picture on its way through the engine: patches until it is encoded, visual tokens afterwards.
 * Held by the jobs that show it, by the engine while it is in the tower, and by the engine's cache,
 * which gives the same picture to another job: a new question about it costs no decoding and no
 * encoding. It is the same when the original bytes, the size asked for and the tenant are.
 */
#ifndef GI_ENGINE_PICTURE_H
#define GI_ENGINE_PICTURE_H

#include "base/cache.h"
#include "engine/engine.h"
#include "engine/picture_state.h"

typedef struct gi_picture {
    gi_cache_entry entry; /**< key: bytes, size asked for, tenant; zeros when not shared */
    glint_engine *engine;
    gi_picture_state state; /**< whoever runs the engine reads and writes it */
    size_t rows, cols;      /**< visual tokens */
    gi_patches patches;     /**< freed once it is encoded */
    gi_act visual;          /**< [rows * cols, C], filled by encoding it */
    double encoded_at_ms;   /**< gi_clock_ms; 0 = not yet; of whoever runs the engine */
    atomic_bool is_done;    /**< the same, for everybody */
    bool may_share;         /**< others may have it */
} gi_picture;

/** What to make a picture of. */
typedef struct gi_picture_spec {
    glint_image image;
    uint32_t max_side_px; /**< longest side after the cap */
    const char *tenant;   /**< those of different tenants are never shared */
    bool may_share;       /**< take it from the cache, and leave it there */
} gi_picture_spec;

/**
 * Decode and prepare a picture, or find it. The caller has one reference.
 *
 * @param ret_is_found it came from the cache. Its patches' times are then not this caller's.
 * Errors as gi_image_prepare; err->param is "image". Threads: any number at once.
 */
glint_status gi_picture_open(glint_engine *engine, const gi_picture_spec *spec, gi_picture **ret,
                             bool *ret_is_found, glint_error *err);

/** One reference more, for somebody who holds one. Returns it. */
gi_picture *gi_picture_ref(gi_picture *picture);

/** Let go. NULL is fine. */
void gi_picture_unref(gi_picture *picture);

#endif
