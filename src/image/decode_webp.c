/*
 * WebP through libwebp: lossy, lossless, alpha, and the first frame of an animation.
 *
 * The container is read by libwebpdemux. libwebp's own animation decoder is not used, since
 * it keeps two canvases of its own; the one frame we want is decoded to its place on ours. As in
 * that decoder, what the frame leaves uncovered is transparent when the file has alpha and black
 * when it has none.
 *
 * libwebp cannot be interrupted; its time is limited from outside, by the decoder process.
 */
#include "image/decode.h"

#include "image/exif.h"

#include <webp/decode.h>
#include <webp/demux.h>

static gi_refusal refusal_of(VP8StatusCode status) {
    switch (status) {
    case VP8_STATUS_OK:
        return GI_REFUSAL_NONE;
    case VP8_STATUS_OUT_OF_MEMORY:
        return GI_REFUSAL_NO_MEMORY;
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return GI_REFUSAL_VARIANT;
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return GI_REFUSAL_TRUNCATED;
    case VP8_STATUS_INVALID_PARAM:
    case VP8_STATUS_BITSTREAM_ERROR:
    case VP8_STATUS_USER_ABORT:
    default:
        return GI_REFUSAL_BROKEN;
    }
}

static uint32_t orientation_of(const WebPDemuxer *demux) {
    uint32_t orientation = 1;
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(demux, "EXIF", 1, &chunk)) {
        orientation = gi_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    }
    WebPDemuxReleaseChunkIterator(&chunk);
    return orientation;
}

/* Bytes libwebp allocates for a frame, beside the pixels: lossless pictures and lossless alpha
 * planes are kept whole as 32-bit values, lossy ones a few rows at a time. */
static size_t working_bytes(const WebPBitstreamFeatures *f) {
    enum { LOSSY = 1 };
    const size_t n = (size_t)f->width * (size_t)f->height;
    if (f->format != LOSSY) return n * 4;
    return f->has_alpha ? n * 5 : 0;
}

static gi_refusal decode_frame(gi_decode_job *d, const WebPIterator *frame, bool has_alpha) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return GI_REFUSAL_NO_MEMORY;
    const uint8_t *bytes = frame->fragment.bytes;
    const size_t n_bytes = frame->fragment.size;
    gi_refusal r = refusal_of(WebPGetFeatures(bytes, n_bytes, &config.input));
    if (r != GI_REFUSAL_NONE) return r;
    const int64_t right = (int64_t)frame->x_offset + config.input.width;
    const int64_t bottom = (int64_t)frame->y_offset + config.input.height;
    if (frame->x_offset < 0 || frame->y_offset < 0 || right > d->raster.width ||
        bottom > d->raster.height) {
        return GI_REFUSAL_BROKEN;
    }

    const uint32_t channels = has_alpha ? 4 : 3;
    r = gi_decode_alloc(d, channels, working_bytes(&config.input));
    if (r != GI_REFUSAL_NONE) return r;
    const size_t stride = (size_t)d->raster.width * channels;
    const size_t height = (size_t)config.input.height;
    config.output.colorspace = has_alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){
        .rgba = gi_decode_row(d, (uint32_t)frame->y_offset) + (size_t)frame->x_offset * channels,
        .stride = (int)stride,
        .size = stride * (height - 1) + (size_t)config.input.width * channels,
    };
    r = refusal_of(WebPDecode(bytes, n_bytes, &config));
    WebPFreeDecBuffer(&config.output);
    return r;
}

gi_refusal gi_decode_webp(gi_decode_job *d) {
    const WebPData data = {d->bytes, d->n_bytes};
    WebPDemuxState state;
    WebPDemuxer *demux = WebPDemuxPartial(&data, &state);
    if (!demux) return state == WEBP_DEMUX_PARSE_ERROR ? GI_REFUSAL_BROKEN : GI_REFUSAL_TRUNCATED;
    if (state == WEBP_DEMUX_PARSING_HEADER) {
        WebPDemuxDelete(demux);
        return GI_REFUSAL_TRUNCATED;
    }

    WebPIterator frame = {0};
    const bool has_alpha = WebPDemuxGetI(demux, WEBP_FF_FORMAT_FLAGS) & ALPHA_FLAG;
    gi_refusal r = gi_decode_check_size(d, WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH),
                                        WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT));
    if (r == GI_REFUSAL_NONE && state != WEBP_DEMUX_DONE) r = GI_REFUSAL_TRUNCATED;
    if (r == GI_REFUSAL_NONE && !WebPDemuxGetFrame(demux, 1, &frame)) r = GI_REFUSAL_BROKEN;
    if (r == GI_REFUSAL_NONE) {
        d->raster.orientation = orientation_of(demux);
        r = decode_frame(d, &frame, has_alpha);
    }
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(demux);
    return r;
}
