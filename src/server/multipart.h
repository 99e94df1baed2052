/**
 * @file
 * multipart/form-data (RFC 7578) over a body that lies in memory as a whole.
 *
 * Strict where clients agree: CRLF line ends, one Content-Disposition: form-data with a name per
 * part, header names of token characters. Blank lines before the first boundary and text behind
 * the last are skipped, as RFC 2046 asks. A part may say Content-Transfer-Encoding 7bit, 8bit,
 * binary or base64 (decoded here, strictly); anything else is refused.
 */
#ifndef GI_SERVER_MULTIPART_H
#define GI_SERVER_MULTIPART_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Most parts in one body. */
#define GI_MULTIPART_PARTS_MAX        32
/** Most bytes of headers in one part. */
#define GI_MULTIPART_HEADER_BYTES_MAX 4096
/** Room for a boundary (RFC 2046: 1..70 characters) and for a part's name, zeros included. */
#define GI_MULTIPART_BOUNDARY_BYTES   71
#define GI_MULTIPART_NAME_BYTES       80

/** One part. */
typedef struct gi_multipart_part {
    char name[GI_MULTIPART_NAME_BYTES]; /**< zero-terminated */
    bool is_file;  /**< has a filename, or a Content-Type that is not text/... */
    uint8_t *data; /**< [n_bytes] inside the body */
    size_t n_bytes;
} gi_multipart_part;

/**
 * The boundary of a Content-Type value of n bytes whose type is multipart/form-data.
 * GLINT_ERR_FORMAT when it is missing, given twice, or not one RFC 2046 allows.
 */
glint_status gi_multipart_boundary(const char *content_type, size_t n,
                                   char ret[GI_MULTIPART_BOUNDARY_BYTES], glint_error *err);

/**
 * Split a body. It is changed where a part is decoded; parts point into it.
 * @param ret_parts room for GI_MULTIPART_PARTS_MAX.
 * @return GLINT_ERR_FORMAT, GLINT_ERR_LIMIT (too many parts, long headers or names),
 *         GLINT_ERR_UNSUPPORTED (transfer encoding).
 * Cost: one pass of memmem over the body.
 */
glint_status gi_multipart_parse(const char *boundary, uint8_t *body, size_t n_bytes,
                                gi_multipart_part *ret_parts, size_t *ret_n_parts,
                                glint_error *err);

#endif
