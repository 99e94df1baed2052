/**
 * @file
 * Files: mapped read-only, or read whole under a cap.
 */
#ifndef GI_BASE_FILEMAP_H
#define GI_BASE_FILEMAP_H

#include "base/buf.h"

#include <stdbool.h>

/** A read-only mapping. data is NULL for an empty file. */
typedef struct gi_filemap {
    const uint8_t *data; /**< [size_bytes], valid until gi_filemap_close */
    size_t size_bytes;
} gi_filemap;

/**
 * Map a regular file read-only and shared, so that its pages are the page cache's.
 *
 * @return GLINT_ERR_IO (cannot open, not a regular file), GLINT_ERR_MEMORY; the message names
 *         the path.
 * The file must not be truncated while mapped: the system would then signal the reader.
 */
glint_status gi_filemap_open(const char *path, gi_filemap *ret, glint_error *err);

/** Unmap. A zeroed or NULL map is fine. */
void gi_filemap_close(gi_filemap *map);

/** Let the system take the mapping's pages out of this process; reading brings them back. */
void gi_filemap_drop_pages(const gi_filemap *map);

/**
 * Read a whole regular file into `ret` (initialised by the caller; its max_bytes is the cap).
 * GLINT_ERR_IO, GLINT_ERR_LIMIT, GLINT_ERR_MEMORY; the message names the path.
 */
glint_status gi_file_read(const char *path, gi_buf *ret, glint_error *err);

/** True if something exists at `path` and is a regular file. */
bool gi_file_exists(const char *path);

/** dir + "/" + name into out. GLINT_ERR_LIMIT when it does not fit. */
glint_status gi_path_join(char *out, size_t out_bytes, const char *dir, const char *name,
                          glint_error *err);

/** Room for a path, in bytes. */
#define GI_PATH_BYTES 4096

#endif
