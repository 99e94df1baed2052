/**
 * @file
 * Encoded pictures on their way to and from a glint_picture_store: a thread that hands over those
 * the engine has encoded, and the form they have there:
 *
 *     u32 rows, u32 cols, u32 hidden size, u32 0, then f32 [rows * cols, hidden], little-endian
 *
 * F32, as the vision tower leaves them, so that an answer does not depend on who encoded.
 */
#ifndef GI_ENGINE_PICTURE_SHELF_H
#define GI_ENGINE_PICTURE_SHELF_H

#include "engine/picture.h"

typedef struct gi_picture_shelf gi_picture_shelf;

/** @param e  with its fingerprint. @param store copied. GLINT_ERR_MEMORY. */
glint_status gi_picture_shelf_create(glint_engine *e, const glint_picture_store *store,
                                     gi_picture_shelf **ret, glint_error *err);

/** End the thread; what it has not handed over is lost. NULL is fine. */
void gi_picture_shelf_free(gi_picture_shelf *s);

/** Take a picture that is encoded, to be handed over some time soon. Neither waits nor allocates:
 * when too many are waiting it is not taken. For whoever runs the engine. */
void gi_picture_shelf_offer(gi_picture_shelf *s, gi_picture *picture);

/** A picture that was found. */
typedef struct gi_shelf_found {
    size_t rows, cols;   /**< visual tokens, no more than the engine's pictures may have */
    const float *values; /**< [rows * cols, hidden] */
    void *handle;
} gi_shelf_found;

/** Look for a picture by its key in the engine's cache. Waits for the store. Any thread. */
bool gi_picture_shelf_find(gi_picture_shelf *s, const gi_digest *key, gi_shelf_found *ret);

void gi_picture_shelf_done(gi_picture_shelf *s, gi_shelf_found *found);

#endif
