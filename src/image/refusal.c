/*
 * The words of every refusal, in one place. They are read by people who sent a picture: each says
 * what is wrong with it and, where there is a limit, which.
 */
#include "image/refusal.h"

static const char *const FORMAT_NAMES[GI_FORMAT_COUNT] = {
    [GI_FORMAT_NONE] = "picture",    [GI_FORMAT_JPEG] = "JPEG picture",
    [GI_FORMAT_PNG] = "PNG picture", [GI_FORMAT_WEBP] = "WebP picture",
    [GI_FORMAT_GIF] = "GIF picture",
};

static double mebibytes(size_t n_bytes) {
    return (double)n_bytes / (1024.0 * 1024.0);
}

static double megapixels(uint64_t pixels) {
    return (double)pixels / 1e6;
}

glint_status gi_verdict_fail(const gi_verdict *v, const gi_image_limits *limits, size_t n_bytes,
                             glint_error *err) {
    if (v->format >= GI_FORMAT_COUNT || v->refusal >= GI_REFUSAL_COUNT) {
        return gi_fail(err, GLINT_ERR_INTERNAL, "picture decoder gave no valid answer");
    }
    const char *name = FORMAT_NAMES[v->format];
    switch (v->refusal) {
    case GI_REFUSAL_EMPTY:
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "picture is empty");
    case GI_REFUSAL_FILE_BYTES:
        return gi_fail(err, GLINT_ERR_LIMIT, "picture file is %.1f MB; the limit is %.4g",
                       mebibytes(n_bytes), mebibytes(limits->file_bytes_max));
    case GI_REFUSAL_FORMAT:
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "not a JPEG, PNG, WebP or GIF picture");
    case GI_REFUSAL_VARIANT:
        return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                       "%s is of a kind glint does not read; save it in the usual 8-bit form",
                       name);
    case GI_REFUSAL_BROKEN:
    case GI_REFUSAL_CRASH:
        return gi_fail(err, GLINT_ERR_FORMAT, "%s is broken and cannot be decoded", name);
    case GI_REFUSAL_TRUNCATED:
        return gi_fail(err, GLINT_ERR_FORMAT, "%s is incomplete: its end is missing", name);
    case GI_REFUSAL_SIDE:
        return gi_fail(err, GLINT_ERR_LIMIT,
                       "picture is %u x %u pixels; the limit for a side is %u", v->width, v->height,
                       limits->side_px_max);
    case GI_REFUSAL_PIXELS:
        return gi_fail(err, GLINT_ERR_LIMIT, "picture is %.1f megapixels; the limit is %.4g",
                       megapixels((uint64_t)v->width * v->height), megapixels(limits->pixels_max));
    case GI_REFUSAL_ASPECT:
        return gi_fail(err, GLINT_ERR_LIMIT,
                       "picture is %u x %u pixels; one side may be at most %u times the other",
                       v->width, v->height, limits->aspect_max);
    case GI_REFUSAL_SCANS:
        return gi_fail(err, GLINT_ERR_LIMIT, "JPEG picture has too many scans; the limit is %u",
                       limits->jpeg_scans_max);
    case GI_REFUSAL_CPU:
        return gi_fail(err, GLINT_ERR_LIMIT,
                       "%s takes too long to decode; the limit is %u ms of CPU time", name,
                       limits->decode_cpu_ms_max);
    case GI_REFUSAL_BYTES:
        return gi_fail(err, GLINT_ERR_LIMIT,
                       "%s takes too much memory to decode; the limit is %.4g MB", name,
                       mebibytes(limits->decode_bytes_max));
    case GI_REFUSAL_NO_MEMORY:
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory left to decode the picture");
    case GI_REFUSAL_NONE:
    case GI_REFUSAL_COUNT:
    default:
        return GLINT_OK;
    }
}
