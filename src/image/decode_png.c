/*
 * PNG through libpng's row interface.
 *
 * libpng rather than libspng: Debian patches it as a security-critical package, it has been fuzzed
 * for longer, and its row interface hands out rows of an interlaced picture without a second copy.
 * libspng 0.7.3 would also inflate iCCP and zTXt before the pixels, which a limit can only turn
 * into an error. The simplified interface (png_image_*) is not used: three of libpng's
 * four overflows of 2025 were there.
 *
 * libpng never sees an ancillary chunk. The chunk reader below checks lengths and checksums and
 * hands on IHDR, PLTE, tRNS and IDAT alone, so profiles and texts are not inflated, no chunk is
 * stored, and what remains of libpng is the part that makes pixels. APNG frames (fdAT) fall away in
 * the same way: the first frame is the picture.
 *
 * As in Pillow: chunks before the pixels must have a right checksum, IDAT is guarded by zlib's own,
 * and nothing after the last row is read, except to find the orientation (eXIf). No gamma or
 * colour profile is applied. 16-bit samples keep their high byte.
 */
#include "image/decode.h"

#include "base/alloc.h"
#include "base/ascii.h"
#include "image/exif.h"

#include <setjmp.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

enum { SIGNATURE_BYTES = 8, CHUNK_FRAME_BYTES = 12, IHDR_BYTES = 13 };

/* A chunk in the file; data and checksum are known to lie inside it. */
typedef struct png_chunk {
    const uint8_t *start; /* of the length field */
    const uint8_t *data;
    size_t n_bytes; /* of data */
} png_chunk;

typedef struct png_job {
    gi_decode_job *d;
    png_structp png;
    png_infop info;
    size_t at;           /* next byte of the file */
    const uint8_t *feed; /* bytes of a chunk on its way to libpng */
    size_t n_feed;
    gi_refusal memory; /* why an allocation was refused, if one was */
    gi_refusal refusal;
    jmp_buf leave;
} png_job;

static _Noreturn void leave(png_job *job, gi_refusal refusal) {
    job->refusal = refusal;
    longjmp(job->leave, 1);
}

static uint32_t get32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_chunk(const png_chunk *c, const char *type) {
    return !memcmp(c->start + 4, type, 4);
}

/* The chunk at *at; moves *at behind it. */
static gi_refusal next_chunk(const gi_decode_job *d, size_t *at, png_chunk *ret) {
    const size_t left = d->n_bytes - *at;
    if (left < CHUNK_FRAME_BYTES) return GI_REFUSAL_TRUNCATED;
    const uint8_t *p = d->bytes + *at;
    for (int i = 4; i < 8; i++) {
        if (!gi_ascii_is_alpha(p[i])) return GI_REFUSAL_BROKEN;
    }
    const size_t n = get32(p);
    if (n > INT32_MAX) return GI_REFUSAL_BROKEN;
    if (n > left - CHUNK_FRAME_BYTES) return GI_REFUSAL_TRUNCATED;
    *ret = (png_chunk){p, p + 8, n};
    *at += CHUNK_FRAME_BYTES + n;
    return GI_REFUSAL_NONE;
}

static bool is_intact(const png_chunk *c) {
    return crc32(0, c->start + 4, (uInt)(c->n_bytes + 4)) == get32(c->data + c->n_bytes);
}

/* Before libpng: sizes against the limits, checksums up to the pixels, orientation anywhere. */
static gi_refusal survey(gi_decode_job *d) {
    size_t at = SIGNATURE_BYTES;
    png_chunk c;
    gi_refusal r = next_chunk(d, &at, &c);
    if (r != GI_REFUSAL_NONE) return r;
    if (!is_chunk(&c, "IHDR") || c.n_bytes != IHDR_BYTES || !is_intact(&c)) {
        return GI_REFUSAL_BROKEN;
    }
    r = gi_decode_check_size(d, get32(c.data), get32(c.data + 4));
    bool in_pixels = false;
    while (r == GI_REFUSAL_NONE) {
        r = next_chunk(d, &at, &c);
        if (r != GI_REFUSAL_NONE) return in_pixels ? GI_REFUSAL_NONE : r;
        if (is_chunk(&c, "IEND")) break;
        if (is_chunk(&c, "IDAT")) {
            in_pixels = true;
            continue;
        }
        if (!is_intact(&c)) {
            if (!in_pixels) return GI_REFUSAL_BROKEN;
        } else if (is_chunk(&c, "eXIf")) {
            d->raster.orientation = gi_exif_orientation(c.data, c.n_bytes);
        }
        if (gi_decode_is_late(d)) return GI_REFUSAL_CPU;
    }
    if (r == GI_REFUSAL_NONE && !in_pixels) return GI_REFUSAL_BROKEN;
    return r;
}

static void on_error(png_structp png, png_const_charp text) {
    (void)text;
    png_job *job = png_get_error_ptr(png);
    leave(job, job->memory != GI_REFUSAL_NONE ? job->memory : GI_REFUSAL_BROKEN);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t n_bytes) {
    png_job *job = png_get_mem_ptr(png);
    void *p = n_bytes > job->d->bytes_left ? NULL : gi_alloc(n_bytes);
    if (p) {
        /* Not given back when freed: libpng allocates a few row buffers and one zlib state. */
        job->d->bytes_left -= n_bytes;
    } else {
        job->memory = n_bytes > job->d->bytes_left ? GI_REFUSAL_BYTES : GI_REFUSAL_NO_MEMORY;
    }
    return p;
}

static void on_free(png_structp png, png_voidp p) {
    (void)png;
    gi_free(p);
}

static void on_read(png_structp png, png_bytep out, png_size_t n) {
    png_job *job = png_get_io_ptr(png);
    while (n > 0) {
        if (job->n_feed == 0) {
            png_chunk c;
            const gi_refusal r = next_chunk(job->d, &job->at, &c);
            if (r != GI_REFUSAL_NONE) leave(job, r);
            if (!is_chunk(&c, "IHDR") && !is_chunk(&c, "PLTE") && !is_chunk(&c, "tRNS") &&
                !is_chunk(&c, "IDAT") && !is_chunk(&c, "IEND")) {
                continue;
            }
            job->feed = c.start;
            job->n_feed = c.n_bytes + CHUNK_FRAME_BYTES;
        }
        const size_t step = n < job->n_feed ? n : job->n_feed;
        memcpy(out, job->feed, step);
        out += step;
        n -= step;
        job->feed += step;
        job->n_feed -= step;
    }
}

/* Every kind to 8-bit RGB or RGBA. Returns the channels. */
static uint32_t set_transforms(png_structp png, png_infop info) {
    const int type = png_get_color_type(png, info);
    const bool has_key = png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
    if (has_key) png_set_tRNS_to_alpha(png);
    if (png_get_bit_depth(png, info) == 16) png_set_strip_16(png);
    if (!(type & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
    return has_key || (type & PNG_COLOR_MASK_ALPHA) ? 4 : 3;
}

/* Everything that may jump. */
static void decode_all(png_job *job) {
    gi_decode_job *d = job->d;
    job->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, on_error, on_warning, job,
                                        on_malloc, on_free);
    if (!job->png) leave(job, GI_REFUSAL_NO_MEMORY);
    job->info = png_create_info_struct(job->png);
    if (!job->info) leave(job, GI_REFUSAL_NO_MEMORY);
    png_set_read_fn(job->png, job, on_read);
    png_set_sig_bytes(job->png, SIGNATURE_BYTES);
    png_set_crc_action(job->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE); /* survey() checked */
    png_set_user_limits(job->png, d->limits.side_px_max, d->limits.side_px_max);
    png_read_info(job->png, job->info);

    const uint32_t channels = set_transforms(job->png, job->info);
    const int n_passes = png_set_interlace_handling(job->png);
    const gi_refusal r = gi_decode_alloc(d, channels, 0);
    if (r != GI_REFUSAL_NONE) leave(job, r);
    png_read_update_info(job->png, job->info);
    if (png_get_rowbytes(job->png, job->info) != (size_t)d->raster.width * channels) {
        leave(job, GI_REFUSAL_BROKEN);
    }
    for (int pass = 0; pass < n_passes; pass++) {
        for (uint32_t y = 0; y < d->raster.height; y++) {
            png_read_row(job->png, gi_decode_row(d, y), NULL);
            if (y % GI_DECODE_CLOCK_ROWS == 0 && gi_decode_is_late(d)) leave(job, GI_REFUSAL_CPU);
        }
    }
}

gi_refusal gi_decode_png(gi_decode_job *d) {
    const gi_refusal r = survey(d);
    if (r != GI_REFUSAL_NONE) return r;
    png_job job = {.d = d, .at = SIGNATURE_BYTES};
    if (!setjmp(job.leave)) decode_all(&job);
    if (job.png) png_destroy_read_struct(&job.png, job.info ? &job.info : NULL, NULL);
    return job.refusal;
}
