/**
 * @file
 * The arguments of `glint ask`: which of them are pictures, which one is the question; and the
 * pictures' bytes.
 */
#ifndef APPS_GLINT_PICTURES_H
#define APPS_GLINT_PICTURES_H

#include "base/buf.h"
#include "base/fail.h"

#include <glint/glint.h>

#include <stddef.h>

/** Encoded pictures. Zero-initialised is none. */
typedef struct gi_pictures {
    gi_buf files[GLINT_IMAGES_MAX];
    const char *names[GLINT_IMAGES_MAX]; /**< as given; "standard input" for "-" */
    size_t n;
} gi_pictures;

/**
 * Tell pictures from the question. An argument is a picture when it is "-", when it exists, or
 * when it looks like a path (no space in it, and a picture's extension, or a beginning of "/",
 * "./", "../" or "~/"). The last argument, when none of that, is the question.
 *
 * @param args          [n_args]
 * @param may_end_in_question false: every argument is a picture.
 * @param ret_n         how many are pictures; they are args[0 .. *ret_n).
 * @param ret_question  the question, or NULL.
 * @return GLINT_ERR_IO: an argument before the last that is no file.
 */
glint_status gi_pictures_split(const char *const *args, size_t n_args, bool may_end_in_question,
                               size_t *ret_n, const char **ret_question, glint_error *err);

/**
 * Read the pictures, each of at most file_bytes_max. Pipes are fine.
 * GLINT_ERR_IO, GLINT_ERR_LIMIT (too many, too large), GLINT_ERR_MEMORY; the message names the
 * picture. The caller calls gi_pictures_done also after a failure.
 */
glint_status gi_pictures_read(gi_pictures *p, const char *const *paths, size_t n,
                              size_t file_bytes_max, glint_error *err);

/** Free the bytes. */
void gi_pictures_done(gi_pictures *p);

#endif
