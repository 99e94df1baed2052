/*
 * The arithmetic of picture sizes. The model's rule is followed to the bit, so its steps are in
 * double where Python's are: every whole number in it is below 2^53 and exact.
 */
#include "image/fit.h"

#include <math.h>

enum { SIDE_MAX = 1 << 24, ASPECT_MAX = 200, PATCH_MAX = 64, MERGE_MAX = 8, TEMPORAL_MAX = 16 };

glint_status gi_image_spec_check(const gi_image_spec *s, glint_error *err) {
    const uint64_t pixels_limit = (uint64_t)1 << 40;
    const int ok = s->patch_px >= 1 && s->patch_px <= PATCH_MAX && s->merge >= 1 &&
                   s->merge <= MERGE_MAX && s->temporal >= 1 && s->temporal <= TEMPORAL_MAX &&
                   s->pixels_min >= 1 && s->pixels_min <= s->pixels_max &&
                   s->pixels_max <= pixels_limit;
    if (!ok) return gi_fail(err, GLINT_ERR_ARG, "picture settings of the model make no sense");
    for (int c = 0; c < 3; c++) {
        if (!isfinite(s->mean[c]) || !isfinite(s->std[c]) || !(s->std[c] > 0)) {
            return gi_fail(err, GLINT_ERR_ARG,
                           "image_mean or image_std of the model make no sense");
        }
    }
    return GLINT_OK;
}

/* Python's round(): halves to even, which is the default rounding mode of nearbyint. */
static double round_to(double side, double factor) {
    return nearbyint(side / factor) * factor;
}

glint_status gi_image_smart_resize(const gi_image_spec *spec, uint32_t width, uint32_t height,
                                   uint32_t *ret_width, uint32_t *ret_height, glint_error *err) {
    GI_TRY(gi_image_spec_check(spec, err));
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX) {
        return gi_fail(err, GLINT_ERR_ARG, "picture side out of range");
    }
    const double factor = (double)spec->patch_px * spec->merge, frames = spec->temporal;
    const double least = (double)spec->pixels_min, most = (double)spec->pixels_max;
    double h = height, w = width;
    if (h < factor || w < factor) {
        const double scale = fmax(factor / h, factor / w);
        h = floor(h * scale);
        w = floor(w * scale);
    }
    if (fmax(h, w) / fmin(h, w) > ASPECT_MAX) {
        return gi_fail(err, GLINT_ERR_LIMIT,
                       "picture is %u x %u pixels; one side may be at most %d times the other",
                       width, height, ASPECT_MAX);
    }
    double h_bar = round_to(h, factor), w_bar = round_to(w, factor);
    if (frames * h_bar * w_bar > most) {
        const double beta = sqrt(frames * h * w / most);
        h_bar = fmax(factor, floor(h / beta / factor) * factor);
        w_bar = fmax(factor, floor(w / beta / factor) * factor);
    } else if (frames * h_bar * w_bar < least) {
        const double beta = sqrt(least / (frames * h * w));
        h_bar = ceil(h * beta / factor) * factor;
        w_bar = ceil(w * beta / factor) * factor;
    }
    *ret_width = (uint32_t)w_bar;
    *ret_height = (uint32_t)h_bar;
    return GLINT_OK;
}

void gi_image_cap(uint32_t max_side_px, uint32_t floor_px, uint32_t *width, uint32_t *height) {
    const uint64_t w = *width, h = *height;
    const uint64_t longer = w > h ? w : h, shorter = w > h ? h : w;
    /* The scale is num / den; where it would take the shorter side below the floor, the floor
     * decides. */
    uint64_t num = max_side_px, den = longer;
    if (shorter * num < floor_px * den) {
        num = floor_px;
        den = shorter;
    }
    if (num >= den) return;
    *width = (uint32_t)((w * num + den / 2) / den);
    *height = (uint32_t)((h * num + den / 2) / den);
}
