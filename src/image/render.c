/*
 * Decoded pixels live here only as long as it takes to resize them.
 */
#include "image/render.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "image/decode.h"
#include "image/fit.h"
#include "image/resample.h"

gi_refusal gi_render_size(const gi_render_request *request, uint32_t source_w, uint32_t source_h,
                          uint32_t *ret_width, uint32_t *ret_height) {
    const gi_image_spec *spec = &request->spec;
    uint32_t width = source_w, height = source_h;
    gi_image_cap(request->max_side_px, spec->patch_px * spec->merge, &width, &height);
    if (gi_image_smart_resize(spec, width, height, &width, &height, NULL) != GLINT_OK) {
        return GI_REFUSAL_ASPECT;
    }
    if ((size_t)width * height > GI_RENDER_PIXELS_MAX) return GI_REFUSAL_BYTES;
    *ret_width = width;
    *ret_height = height;
    return GI_REFUSAL_NONE;
}

static gi_refusal resize(const gi_raster *raster, const gi_render_request *request,
                         gi_rendering *ret) {
    const bool transposed = gi_raster_is_transposed(raster);
    ret->source_w = transposed ? raster->height : raster->width;
    ret->source_h = transposed ? raster->width : raster->height;
    const gi_refusal r =
        gi_render_size(request, ret->source_w, ret->source_h, &ret->width, &ret->height);
    if (r != GI_REFUSAL_NONE) return r;
    ret->pixels = gi_calloc((size_t)ret->width * ret->height, 3);
    if (!ret->pixels || gi_resample(raster, ret->width, ret->height, ret->pixels, NULL)) {
        gi_free(ret->pixels);
        return GI_REFUSAL_NO_MEMORY;
    }
    return GI_REFUSAL_NONE;
}

gi_verdict gi_render(const void *bytes, size_t n_bytes, const gi_render_request *request,
                     gi_rendering *ret) {
    gi_raster raster = {0};
    gi_verdict v = gi_decode(bytes, n_bytes, &request->limits, &raster);
    if (v.refusal != GI_REFUSAL_NONE) return v;
    const double start_ms = gi_clock_ms();
    gi_raster_flatten(&raster);
    gi_rendering made = {0};
    v.refusal = resize(&raster, request, &made);
    gi_free(raster.pixels);
    if (v.refusal != GI_REFUSAL_NONE) return v;
    made.resize_ms = gi_clock_ms() - start_ms;
    *ret = made;
    return v;
}
