/**
 * @file
 * Which size a picture is resized to.
 */
#ifndef GI_IMAGE_FIT_H
#define GI_IMAGE_FIT_H

#include "image/prepare.h"

/**
 * The model's own rule: sides rounded to whole merge blocks, the area within bounds.
 *
 * With f = patch * merge and t = temporal: a side below f scales both sides up to at least f
 * (truncated). Sides are rounded to multiples of f, halves to even, as Python's round(): 42 -> 56
 * and 70 -> 56. If then t * h * w > pixels_max (< pixels_min), both original sides are scaled
 * by the root of the ratio and rounded down (up) to multiples of f, to at least f.
 * Source: transformers, models/glm4v/image_processing_glm4v.py, smart_resize().
 *
 * @param width, height 1..2^24.
 * @param ret_width, ret_height untouched on failure.
 * @return GLINT_ERR_LIMIT when one side is more than 200 times the other (after scaling up to
 *         f); GLINT_ERR_ARG for a side out of range or a spec that gi_image_spec_check refuses.
 * Threads: pure.
 */
glint_status gi_image_smart_resize(const gi_image_spec *spec, uint32_t width, uint32_t height,
                                   uint32_t *ret_width, uint32_t *ret_height, glint_error *err);

/**
 * The cap: the longer side brought down to max_side_px, the other in proportion (rounded to
 * nearest, halves up), but neither below `floor_px`; a picture that is small enough keeps its size.
 * The floor is there for narrow pictures: smart_resize scales a side below one merge block
 * up again, and with it the long side past the cap. Threads: pure.
 */
void gi_image_cap(uint32_t max_side_px, uint32_t floor_px, uint32_t *width, uint32_t *height);

/** GLINT_ERR_ARG when a spec makes no sense: zeros, more than 64 px per patch, min > max. */
glint_status gi_image_spec_check(const gi_image_spec *spec, glint_error *err);

#endif
