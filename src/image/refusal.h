/**
 * @file
 * Why a picture is refused, and the words for it.
 *
 * Decoding may run in another process that is not trusted any more once it has seen a hostile
 * picture, so a verdict is made of numbers only. The words are put to it by the caller, from
 * numbers the caller has checked.
 */
#ifndef GI_IMAGE_REFUSAL_H
#define GI_IMAGE_REFUSAL_H

#include "image/prepare.h"

/** A picture format, told by its first bytes. */
typedef enum gi_format {
    GI_FORMAT_NONE,
    GI_FORMAT_JPEG,
    GI_FORMAT_PNG,
    GI_FORMAT_WEBP,
    GI_FORMAT_GIF,
    GI_FORMAT_COUNT,
} gi_format;

/** Why not. */
typedef enum gi_refusal {
    GI_REFUSAL_NONE,
    GI_REFUSAL_EMPTY,      /**< no bytes */
    GI_REFUSAL_FILE_BYTES, /**< file too large */
    GI_REFUSAL_FORMAT,     /**< none of the four formats */
    GI_REFUSAL_VARIANT,    /**< a kind of that format that glint does not read */
    GI_REFUSAL_BROKEN,     /**< the bytes contradict the format */
    GI_REFUSAL_TRUNCATED,  /**< the bytes end too early */
    GI_REFUSAL_SIDE,       /**< too wide or too high */
    GI_REFUSAL_PIXELS,     /**< too many pixels */
    GI_REFUSAL_ASPECT,     /**< too narrow */
    GI_REFUSAL_SCANS,      /**< too many scans */
    GI_REFUSAL_CPU,        /**< takes too long */
    GI_REFUSAL_BYTES,      /**< takes too much memory */
    GI_REFUSAL_NO_MEMORY,  /**< within limits, but the machine has none left */
    GI_REFUSAL_CRASH,      /**< the decoder process died of it */
    GI_REFUSAL_COUNT,
} gi_refusal;

/** A refusal with what is known of the picture by then. */
typedef struct gi_verdict {
    gi_refusal refusal;
    gi_format format;       /**< GI_FORMAT_NONE when not even that is known */
    uint32_t width, height; /**< as stored; 0 when not known */
} gi_verdict;

/**
 * Turn a verdict into a failure: fixed words, and numbers of the picture and of `limits`.
 * GLINT_OK for GI_REFUSAL_NONE. A verdict with values outside its enums is an internal fault.
 */
glint_status gi_verdict_fail(const gi_verdict *verdict, const gi_image_limits *limits,
                             size_t n_bytes, glint_error *err);

#endif
