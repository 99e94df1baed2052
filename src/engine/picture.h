/**
 * @file
 * A picture on its way through the engine: patches until it is encoded, visual tokens afterwards.
 * Reference-counted: held by the jobs that show it and by the engine while it is in the tower.
 */
#ifndef GI_ENGINE_PICTURE_H
#define GI_ENGINE_PICTURE_H

#include "engine/engine.h"
#include "engine/picture_state.h"

#include <stdatomic.h>

typedef struct gi_picture {
    glint_engine *engine;
    atomic_uint n_refs;
    gi_picture_state state; /**< whoever runs the engine reads and writes it */
    size_t rows, cols;      /**< visual tokens */
    gi_patches patches;     /**< freed when it enters the tower */
    gi_act visual;          /**< [rows * cols, C], filled when it leaves it */
    double encoded_at_ms;   /**< gi_clock_ms; 0 = not yet */
} gi_picture;

/**
 * Decode and prepare a picture. The caller has one reference.
 *
 * @param max_side_px longest side after the cap.
 * Errors as gi_image_prepare; err->param is "image". Threads: any number at once.
 */
glint_status gi_picture_create(glint_engine *engine, const glint_image *image, uint32_t max_side_px,
                               gi_picture **ret, glint_error *err);

/** One reference more. Returns it. */
gi_picture *gi_picture_ref(gi_picture *picture);

/** One reference less; the last one frees it. NULL is fine. */
void gi_picture_unref(gi_picture *picture);

#endif
