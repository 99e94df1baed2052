/*
 * JPEG through libjpeg-turbo's row interface: 8-bit baseline, extended and progressive, grey,
 * YCbCr, RGB, CMYK and YCCK. Its defaults (slow integer DCT, fancy upsampling) are Pillow's.
 *
 * Our error manager jumps out of the library on every error and keeps only the error's class;
 * the library's words are never made. Damaged entropy-coded data is only a warning to libjpeg,
 * which fills in grey, as in every browser; data that ends too early is refused: the source below
 * never pretends an end, it says "no more now", which libjpeg hands back to us.
 *
 * Scans are counted while the library works (progress monitor), not before: a file of one scan
 * costs nothing extra and a file of thousands is stopped at the limit.
 */
#include "image/decode.h"

#include "base/alloc.h"
#include "image/exif.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

typedef struct jpeg_job {
    struct jpeg_decompress_struct cinfo; /* first: callbacks get this pointer */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    gi_decode_job *d;
    uint8_t *cmyk_row;
    gi_refusal refusal;
    jmp_buf leave;
} jpeg_job;

static _Noreturn void leave(jpeg_job *job, gi_refusal refusal) {
    job->refusal = refusal;
    longjmp(job->leave, 1);
}

static void on_error(j_common_ptr cinfo) {
    jpeg_job *job = (jpeg_job *)(void *)cinfo;
    switch (cinfo->err->msg_code) {
    case JERR_NO_BACKING_STORE: /* over max_memory_to_use */
    case JERR_WIDTH_OVERFLOW:
        leave(job, GI_REFUSAL_BYTES);
    case JERR_OUT_OF_MEMORY:
        leave(job, GI_REFUSAL_NO_MEMORY);
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_CCIR601_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_COMPONENT_COUNT:
        leave(job, GI_REFUSAL_VARIANT);
    default:
        leave(job, GI_REFUSAL_BROKEN);
    }
}

static void on_message(j_common_ptr cinfo, int level) {
    if (level < 0) cinfo->err->num_warnings++;
}

static void on_output(j_common_ptr cinfo) {
    (void)cinfo;
}

static void on_progress(j_common_ptr cinfo) {
    jpeg_job *job = (jpeg_job *)(void *)cinfo;
    if ((uint32_t)job->cinfo.input_scan_number > job->d->limits.jpeg_scans_max) {
        leave(job, GI_REFUSAL_SCANS);
    }
    if (gi_decode_is_late(job->d)) leave(job, GI_REFUSAL_CPU);
}

static void source_nothing(j_decompress_ptr cinfo) {
    (void)cinfo;
}

static boolean source_empty(j_decompress_ptr cinfo) {
    (void)cinfo;
    return FALSE;
}

static void source_skip(j_decompress_ptr cinfo, long n) {
    struct jpeg_source_mgr *s = cinfo->src;
    const size_t step = n < 0 ? 0 : (size_t)n < s->bytes_in_buffer ? (size_t)n : s->bytes_in_buffer;
    s->next_input_byte += step;
    s->bytes_in_buffer -= step;
}

/* The first APP1 with an EXIF block; libjpeg keeps the markers because we asked it to. */
static uint32_t orientation_of(const struct jpeg_decompress_struct *cinfo) {
    for (jpeg_saved_marker_ptr m = cinfo->marker_list; m; m = m->next) {
        if (m->data_length >= 6 && !memcmp(m->data, "Exif\0\0", 6)) {
            return gi_exif_orientation(m->data, m->data_length);
        }
    }
    return 1;
}

/* a * b / 255, rounded to nearest. */
static uint8_t scale255(uint32_t a, uint32_t b) {
    const uint32_t t = a * b + 128;
    return (uint8_t)(((t >> 8) + t) >> 8);
}

/* Adobe stores CMYK inverted: 255 is no ink. With k = 255 - ink of black, out = k - (1 - c) * k,
 * in the order of rounding that Pillow uses. */
static void cmyk_to_rgb(const uint8_t *src, uint8_t *dst, uint32_t width) {
    for (uint32_t x = 0; x < width; x++, src += 4, dst += 3) {
        const uint8_t k = src[3];
        for (int c = 0; c < 3; c++) dst[c] = (uint8_t)(k - scale255(255u - src[c], k));
    }
}

/* Everything that may jump. */
static void decode_all(jpeg_job *job) {
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    gi_decode_job *d = job->d;
    jpeg_create_decompress(cinfo);
    cinfo->src = &job->source;
    cinfo->progress = &job->progress;
    cinfo->mem->max_memory_to_use = (long)d->bytes_left;
    jpeg_save_markers(cinfo, JPEG_APP0 + 1, 0xffff);

    if (jpeg_read_header(cinfo, TRUE) != JPEG_HEADER_OK) leave(job, GI_REFUSAL_TRUNCATED);
    gi_refusal r = gi_decode_check_size(d, cinfo->image_width, cinfo->image_height);
    if (r != GI_REFUSAL_NONE) leave(job, r);
    const int n = cinfo->num_components;
    if (n != 1 && n != 3 && n != 4) leave(job, GI_REFUSAL_VARIANT);
    cinfo->out_color_space = n == 4 ? JCS_CMYK : JCS_RGB;
    r = gi_decode_alloc(d, 3, 0);
    if (r != GI_REFUSAL_NONE) leave(job, r);
    d->raster.orientation = orientation_of(cinfo);
    cinfo->mem->max_memory_to_use = (long)d->bytes_left;
    if (n == 4) {
        job->cmyk_row = gi_calloc(d->raster.width, 4);
        if (!job->cmyk_row) leave(job, GI_REFUSAL_NO_MEMORY);
    }

    if (!jpeg_start_decompress(cinfo)) leave(job, GI_REFUSAL_TRUNCATED);
    while (cinfo->output_scanline < cinfo->output_height) {
        const uint32_t y = cinfo->output_scanline;
        uint8_t *out = gi_decode_row(d, y);
        JSAMPROW row = job->cmyk_row ? job->cmyk_row : out;
        if (jpeg_read_scanlines(cinfo, &row, 1) != 1) leave(job, GI_REFUSAL_TRUNCATED);
        if (job->cmyk_row) cmyk_to_rgb(job->cmyk_row, out, d->raster.width);
        if (y % GI_DECODE_CLOCK_ROWS == 0 && gi_decode_is_late(d)) leave(job, GI_REFUSAL_CPU);
    }
}

gi_refusal gi_decode_jpeg(gi_decode_job *d) {
    jpeg_job job = {.d = d};
    job.cinfo.err = jpeg_std_error(&job.errors);
    job.errors.error_exit = on_error;
    job.errors.emit_message = on_message;
    job.errors.output_message = on_output;
    job.progress.progress_monitor = on_progress;
    job.source = (struct jpeg_source_mgr){
        .next_input_byte = d->bytes,
        .bytes_in_buffer = d->n_bytes,
        .init_source = source_nothing,
        .fill_input_buffer = source_empty,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_nothing,
    };
    if (!setjmp(job.leave)) decode_all(&job);
    jpeg_destroy_decompress(&job.cinfo);
    gi_free(job.cmyk_row);
    return job.refusal;
}
