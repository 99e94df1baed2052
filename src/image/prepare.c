/*
 * The funnel. All that depends on a stranger's bytes happens in gi_render, in a decoder process or
 * here; what is left is arithmetic on pixels of a checked size.
 */
#include "image/prepare.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "image/decoder.h"
#include "image/fit.h"
#include "image/patchify.h"
#include "image/refusal.h"

gi_image_limits gi_image_limits_default(void) {
    return (gi_image_limits){
        .file_bytes_max = (size_t)10 << 20,
        .side_px_max = 16384,
        .pixels_max = 40000000,
        .aspect_max = 200,
        .decode_cpu_ms_max = 1000,
        .decode_bytes_max = (size_t)256 << 20,
        .jpeg_scans_max = 100,
    };
}

static glint_status render_here(const void *bytes, size_t n_bytes, const gi_render_request *request,
                                gi_rendering *ret, glint_error *err) {
    const gi_verdict v = gi_render(bytes, n_bytes, request, ret);
    return gi_verdict_fail(&v, &request->limits, n_bytes, err);
}

static glint_status make_rows(const gi_image_spec *spec, const gi_rendering *picture,
                              gi_patches *ret, glint_error *err) {
    const size_t n_pixels = (size_t)picture->width * picture->height;
    float *rows = gi_alloc_aligned(n_pixels, 3 * sizeof *rows);
    if (!rows) return gi_fail(err, GLINT_ERR_MEMORY, "no memory left for the picture's patches");
    gi_patchify(spec, picture->pixels, picture->width, picture->height, rows);
    *ret = (gi_patches){
        .rows = rows,
        .grid_h = picture->height / spec->patch_px,
        .grid_w = picture->width / spec->patch_px,
        .source_w = picture->source_w,
        .source_h = picture->source_h,
    };
    return GLINT_OK;
}

glint_status gi_image_prepare(const void *bytes, size_t n_bytes, const gi_image_spec *spec,
                              const gi_image_limits *limits, uint32_t max_side_px,
                              gi_decoder *decoder, gi_patches *ret, glint_error *err) {
    GI_TRY(gi_image_spec_check(spec, err));
    if (max_side_px == 0) return gi_fail(err, GLINT_ERR_ARG, "max_side must be at least 1");
    const gi_render_request request = {*limits, *spec, max_side_px};
    gi_decoder_lease lease = {0};
    const double start_ms = gi_clock_ms();
    if (decoder) {
        GI_TRY(gi_decoder_render(decoder, bytes, n_bytes, &request, &lease, err));
    } else {
        GI_TRY(render_here(bytes, n_bytes, &request, &lease.picture, err));
    }
    const double rendered_ms = gi_clock_ms();
    const glint_status st = make_rows(spec, &lease.picture, ret, err);
    if (st == GLINT_OK) {
        ret->decode_ms = rendered_ms - start_ms - lease.picture.resize_ms;
        ret->preprocess_ms = lease.picture.resize_ms + gi_clock_ms() - rendered_ms;
    }
    if (decoder) {
        gi_decoder_release(&lease);
    } else {
        gi_free(lease.picture.pixels);
    }
    return st;
}

void gi_patches_done(gi_patches *p) {
    if (!p) return;
    gi_free(p->rows);
    *p = (gi_patches){0};
}
