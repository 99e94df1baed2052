/**
 * @file
 * From a checkpoint's tensors to the model's weight records: the part of opening a checkpoint
 * that knows names and shapes.
 */
#ifndef GI_MODEL_BIND_H
#define GI_MODEL_BIND_H

#include "model/checkpoint.h"

#include <stdbool.h>

/** A tensor of one of the files. */
typedef struct gi_bind_slot {
    const gi_st_tensor *tensor;
    size_t file; /**< index into files and file_names */
    bool used;   /**< a weight was bound to it */
} gi_bind_slot;

/** A checkpoint that is being opened. */
typedef struct gi_binder {
    const char *dir;
    const char **file_names; /**< [n_files] names without the directory, for messages */
    gi_bind_slot *slots;     /**< [n_slots] the tensors of all files, sorted by name */
    size_t n_slots;
    gi_checkpoint *ckpt; /**< config and files are set */
    glint_error *err;
    char first_missing[GI_ST_NAME_BYTES_MAX]; /**< set when n_missing > 0 */
    size_t n_missing;
} gi_binder;

/** The tensor of that name, or NULL. */
gi_bind_slot *gi_bind_find(const gi_binder *b, const char *name);

/**
 * Fill the checkpoint's weights and sizes. GLINT_ERR_FORMAT (a tensor is missing or has another
 * shape), GLINT_ERR_UNSUPPORTED (another dtype, not aligned, not part of the architecture),
 * GLINT_ERR_MEMORY.
 */
glint_status gi_bind_weights(gi_binder *b);

#endif
