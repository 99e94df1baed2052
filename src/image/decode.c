/*
 * What the four codecs share: telling formats apart, the limits, the clock.
 */
#include "image/decode.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <string.h>
#include <time.h>

static uint64_t thread_cpu_ns(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static gi_format format_of(const uint8_t *b, size_t n) {
    if (n >= 3 && !memcmp(b, "\xff\xd8\xff", 3)) return GI_FORMAT_JPEG;
    if (n >= 8 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8)) return GI_FORMAT_PNG;
    if (n >= 12 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4)) return GI_FORMAT_WEBP;
    if (n >= 6 && (!memcmp(b, "GIF87a", 6) || !memcmp(b, "GIF89a", 6))) return GI_FORMAT_GIF;
    return GI_FORMAT_NONE;
}

gi_verdict gi_sniff(const uint8_t *bytes, size_t n_bytes, const gi_image_limits *limits) {
    gi_verdict v = {0};
    if (n_bytes == 0) {
        v.refusal = GI_REFUSAL_EMPTY;
    } else if (n_bytes > limits->file_bytes_max) {
        v.refusal = GI_REFUSAL_FILE_BYTES;
    } else {
        v.format = format_of(bytes, n_bytes);
        if (v.format == GI_FORMAT_NONE) v.refusal = GI_REFUSAL_FORMAT;
    }
    return v;
}

gi_refusal gi_decode_check_size(gi_decode_job *d, uint64_t width, uint64_t height) {
    const gi_image_limits *l = &d->limits;
    d->raster.width = width > UINT32_MAX ? UINT32_MAX : (uint32_t)width;
    d->raster.height = height > UINT32_MAX ? UINT32_MAX : (uint32_t)height;
    if (width == 0 || height == 0) return GI_REFUSAL_BROKEN;
    if (width > l->side_px_max || height > l->side_px_max) return GI_REFUSAL_SIDE;
    if (width * height > l->pixels_max) return GI_REFUSAL_PIXELS;
    const uint64_t longer = width > height ? width : height;
    const uint64_t shorter = width > height ? height : width;
    if (longer > shorter * l->aspect_max) return GI_REFUSAL_ASPECT;
    return GI_REFUSAL_NONE;
}

gi_refusal gi_decode_alloc(gi_decode_job *d, uint32_t channels, size_t working_bytes) {
    size_t n_pixels, n, total;
    if (!gi_mul_size(d->raster.width, d->raster.height, &n_pixels) ||
        !gi_mul_size(n_pixels, channels, &n) || !gi_add_size(n, working_bytes, &total) ||
        total > d->bytes_left) {
        return GI_REFUSAL_BYTES;
    }
    d->raster.pixels = gi_calloc(n, 1);
    if (!d->raster.pixels) return GI_REFUSAL_NO_MEMORY;
    d->raster.channels = channels;
    d->bytes_left -= total;
    return GI_REFUSAL_NONE;
}

bool gi_decode_is_late(const gi_decode_job *d) {
    return thread_cpu_ns() - d->cpu_start_ns > (uint64_t)d->limits.decode_cpu_ms_max * 1000000u;
}

static gi_refusal run_codec(gi_decode_job *d) {
    switch (d->format) {
    case GI_FORMAT_JPEG:
        return gi_decode_jpeg(d);
    case GI_FORMAT_PNG:
        return gi_decode_png(d);
    case GI_FORMAT_WEBP:
        return gi_decode_webp(d);
    case GI_FORMAT_GIF:
        return gi_decode_gif(d);
    case GI_FORMAT_NONE:
    case GI_FORMAT_COUNT:
    default:
        return GI_REFUSAL_FORMAT;
    }
}

gi_verdict gi_decode(const void *bytes, size_t n_bytes, const gi_image_limits *limits,
                     gi_raster *ret) {
    gi_verdict v = gi_sniff(bytes, n_bytes, limits);
    if (v.refusal != GI_REFUSAL_NONE) return v;
    gi_decode_job d = {
        .bytes = bytes,
        .n_bytes = n_bytes,
        .limits = *limits,
        .bytes_left = limits->decode_bytes_max,
        .cpu_start_ns = thread_cpu_ns(),
        .raster = {.orientation = 1},
        .format = v.format,
    };
    v.refusal = run_codec(&d);
    v.width = d.raster.width;
    v.height = d.raster.height;
    if (v.refusal == GI_REFUSAL_NONE) {
        *ret = d.raster;
    } else {
        gi_free(d.raster.pixels);
    }
    return v;
}
