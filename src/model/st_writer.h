/**
 * @file
 * Writing one safetensors file: first every tensor is declared, then their bytes follow in the
 * same order. The file appears under its name only when it is complete.
 */
#ifndef GI_MODEL_ST_WRITER_H
#define GI_MODEL_ST_WRITER_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/** Where the first tensor's bytes begin: a multiple of this, so that sizes decide alignment. */
#define GI_ST_WRITER_ALIGN 64

/** A file being written. Zero-initialised is closed. */
typedef struct gi_st_writer {
    gi_buf header; /**< JSON so far */
    uint64_t declared_bytes, written_bytes;
    int fd;
    char *path, *part_path; /**< final name, and the name until then */
} gi_st_writer;

/** Begin. GLINT_ERR_MEMORY. The caller calls gi_st_writer_done whatever happens. */
glint_status gi_st_writer_init(gi_st_writer *w, const char *path, glint_error *err);

/** Declare the next tensor. dtype is the format's name ("BF16", "U8"). GLINT_ERR_MEMORY, _LIMIT. */
glint_status gi_st_writer_declare(gi_st_writer *w, const char *name, const char *dtype,
                                  const uint64_t *shape, size_t n_dims, uint64_t n_bytes,
                                  glint_error *err);

/** Create the file and write the header; no tensor can be declared after. GLINT_ERR_IO. */
glint_status gi_st_writer_begin(gi_st_writer *w, glint_error *err);

/** Append bytes of the tensors, in the order of their declaration. GLINT_ERR_IO. */
glint_status gi_st_writer_put(gi_st_writer *w, const void *bytes, size_t n_bytes, glint_error *err);

/** Flush to disk and give the file its name. GLINT_ERR_IO; GLINT_ERR_INTERNAL if bytes lack. */
glint_status gi_st_writer_finish(gi_st_writer *w, glint_error *err);

/** Free; removes the file unless it was finished. */
void gi_st_writer_done(gi_st_writer *w);

#endif
