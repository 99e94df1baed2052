/**
 * @file
 * The pictures that a load sends: the JPEG and PNG files of a folder, ready to be sent, and marks
 * that make every request's bytes new to every cache while the pixels stay what they are.
 *
 * A mark is a comment: a COM segment behind a JPEG's SOI, a tEXt chunk behind a PNG's IHDR. The
 * head of the file with the mark has a multiple of three bytes, so that its base64 ends there and
 * the rest, encoded once, follows unchanged.
 */
#ifndef APPS_GLINT_BENCH_SERVE_PICTURES_H
#define APPS_GLINT_BENCH_SERVE_PICTURES_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

/** Most bytes of one picture, and of all. */
#define GI_LOAD_PICTURE_BYTES_MAX  ((size_t)20 << 20)
#define GI_LOAD_PICTURES_BYTES_MAX ((size_t)512 << 20)
#define GI_LOAD_PICTURES_MAX       ((size_t)65536)

/** How many marks there are: microseconds of half a year. */
#define GI_LOAD_SERIALS ((uint64_t)1 << 44)

/** Bytes of a marked head, at most; a multiple of three. */
#define GI_LOAD_MARK_BYTES_MAX 75

typedef struct gi_load_picture {
    gi_buf file;    /**< bytes as they are */
    gi_buf base64;  /**< of file.data[cut ..] */
    size_t cut;     /**< where a marked head ends in the file; 0 when heads are not marked */
    bool is_png;    /**< else JPEG */
    char *question; /**< of cases.json as a JSON string with its quotes; NULL: none */
    json_t *answer; /**< object that the right answer has the members of; NULL: not known */
    char name[64];  /**< of the file, cut */
} gi_load_picture;

/** Zero-initialise. */
typedef struct gi_load_pictures {
    gi_load_picture *items; /**< [n], by name */
    size_t n, cap, bytes;   /**< bytes of all files */
    bool has_questions, has_answers;
} gi_load_pictures;

/**
 * Read the folder. Files that are neither JPEG nor PNG are left out. A cases.json beside them
 * ([{"image", "task", "prompt", "answer"}, ...], as train/scenes writes) gives questions and right
 * answers: pictures that it does not name, or names with another task than `task`, are left out.
 *
 * @param marked   leave room for marks: base64 begins behind the head.
 * @param task     of the cases to use.
 * @return GLINT_ERR_IO (no folder, no picture in it), GLINT_ERR_FORMAT (cases.json),
 *         GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. The caller calls gi_load_pictures_done always.
 */
glint_status gi_load_pictures_read(gi_load_pictures *p, const char *dir, const char *task,
                                   bool marked, glint_error *err);

/** `text` as a JSON string with its quotes. GLINT_ERR_FORMAT (not UTF-8), GLINT_ERR_MEMORY. The
 * caller frees it with gi_free. */
glint_status gi_load_quote(const char *text, char **ret, glint_error *err);

/** Free. */
void gi_load_pictures_done(gi_load_pictures *p);

/**
 * Where a marked head may replace the begin of a file: behind SOI or IHDR.
 *
 * @return false: neither a JPEG nor a PNG.
 */
bool gi_load_mark_cut(const uint8_t *file, size_t n_bytes, size_t *ret_cut, bool *ret_is_png);

/**
 * The begin of `file` with a comment that holds `serial`: sending it and then file[cut ..] gives
 * a picture with the same pixels and other bytes.
 *
 * @param serial below GI_LOAD_SERIALS.
 * @return bytes written to `out`: a multiple of three.
 */
size_t gi_load_mark_head(const uint8_t *file, bool is_png, uint64_t serial,
                         uint8_t out[GI_LOAD_MARK_BYTES_MAX]);

/** Characters of the base64 of n bytes. */
#define GI_LOAD_BASE64_BYTES(n) (((n) + 2) / 3 * 4)

/** Encode n bytes into `out` [GI_LOAD_BASE64_BYTES(n)], without a zero at its end. */
void gi_load_base64(const uint8_t *bytes, size_t n, char *out);

#endif
