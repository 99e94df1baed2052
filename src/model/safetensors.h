/**
 * @file
 * One safetensors file, mapped read-only.
 *
 *     8 bytes    n, length of the header, little endian
 *     n bytes    JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...,
 *                      "__metadata__": {"key": "text"}}, padded with spaces
 *     the rest   the tensors' bytes; offsets count from here, little endian, row-major
 *
 * The header is read in one pass straight from the mapping, without a document tree: memory is
 * bounded by the number of tensors, whatever the header says. Refused: everything the reference
 * implementation refuses (header too long or past the end, not UTF-8, not starting with '{',
 * offsets that leave a hole, overlap, disagree with dtype and shape or do not end at the end of
 * the file), and also unknown keys, duplicate names, names over GI_ST_NAME_BYTES_MAX or with a
 * zero byte, more than GI_ST_TENSORS_MAX tensors or GI_ST_DIMS_MAX dimensions.
 * Source: github.com/huggingface/safetensors, README "Format" and safetensors/src/tensor.rs.
 */
#ifndef GI_MODEL_SAFETENSORS_H
#define GI_MODEL_SAFETENSORS_H

#include "base/arena.h"
#include "base/fail.h"
#include "base/filemap.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Longest header, in bytes. The reference implementation stops at 100,000,000; a third of that is
 * more than GI_ST_TENSORS_MAX tensors with the longest names need, and keeps the worst header
 * below 64 MB of memory, mapping included, and half a second.
 */
#define GI_ST_HEADER_BYTES_MAX (32 * 1024 * 1024)
/** Most tensors in a file. */
#define GI_ST_TENSORS_MAX      32768
/** Longest tensor name, in bytes. */
#define GI_ST_NAME_BYTES_MAX   512
/** Most dimensions of a tensor; the vision stem has 5. */
#define GI_ST_DIMS_MAX         8

/** A tensor as the file describes it. Strings and data live as long as the file is open. */
typedef struct gi_st_tensor {
    const char *name;  /**< UTF-8, zero-terminated, unique in the file */
    const char *dtype; /**< "BF16", "F32", "I64", ...: one of the format's names, constant */
    const void *data;  /**< [n_bytes] in the mapping; not always aligned: the format allows that */
    uint64_t n_bytes;  /**< product of the shape times the element's size */
    size_t n_dims;     /**< 0 = a scalar */
    uint64_t shape[GI_ST_DIMS_MAX]; /**< the first n_dims are set, outermost first */
} gi_st_tensor;

/** An open file. Zero-initialised is closed. */
typedef struct gi_safetensors {
    gi_filemap map;
    gi_arena arena;        /**< names */
    gi_st_tensor *tensors; /**< [n_tensors], owned, sorted by name (strcmp) */
    size_t n_tensors;
} gi_safetensors;

/**
 * Map and check a file. No tensor byte is read.
 *
 * @param ret untouched on failure; the caller closes it.
 * @return GLINT_ERR_IO, GLINT_ERR_FORMAT, GLINT_ERR_LIMIT (a cap above), GLINT_ERR_MEMORY; the
 *         message begins with the file's path.
 * Threads: any; the open file is read-only.
 */
glint_status gi_safetensors_open(const char *path, gi_safetensors *ret, glint_error *err);

/**
 * The same for bytes in memory, which stay the caller's and must outlive `ret`. `what` stands in
 * for the path in messages.
 */
glint_status gi_safetensors_parse(const void *bytes, size_t n_bytes, const char *what,
                                  gi_safetensors *ret, glint_error *err);

/** The tensor of that name, or NULL. For tests: the model takes tensors by its own table. */
const gi_st_tensor *gi_safetensors_find(const gi_safetensors *st, const char *name);

/** Unmap and free. NULL or closed is fine. */
void gi_safetensors_close(gi_safetensors *st);

#endif
