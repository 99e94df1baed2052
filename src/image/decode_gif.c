/*
 * The first frame of a GIF through giflib's low-level interface, one line at a time; DGifSlurp,
 * which stores every frame, is not used.
 *
 * As in Pillow: the canvas grows to hold a frame that sticks out; what the frame does not cover
 * shows the transparent colour or, without one, colour 0; without any palette, indexes are grey
 * levels.
 */
#include "image/decode.h"

#include "base/alloc.h"

#include <string.h>

#include <gif_lib.h>

typedef struct gif_job {
    gi_decode_job *d;
    GifFileType *gif;
    size_t at;       /* next byte of the file */
    bool is_short;   /* more was asked for than there is */
    int transparent; /* index, or -1 */
    uint8_t *line;   /* indexes of one line of the frame */
    uint8_t colours[256][4];
} gif_job;

static int on_read(GifFileType *gif, GifByteType *out, int n) {
    gif_job *job = gif->UserData;
    const size_t left = job->d->n_bytes - job->at;
    if (n < 0) return 0;
    const size_t step = (size_t)n < left ? (size_t)n : left;
    memcpy(out, job->d->bytes + job->at, step);
    job->at += step;
    job->is_short |= step < (size_t)n;
    return (int)step;
}

static gi_refusal refusal_of(const gif_job *job, int error) {
    if (error == D_GIF_ERR_NOT_ENOUGH_MEM) return GI_REFUSAL_NO_MEMORY;
    return job->is_short ? GI_REFUSAL_TRUNCATED : GI_REFUSAL_BROKEN;
}

/* An extension before the frame: only the graphic control's transparent index matters. */
static int read_extension(gif_job *job) {
    int code = 0;
    GifByteType *block = NULL;
    if (DGifGetExtension(job->gif, &code, &block) == GIF_ERROR) return GIF_ERROR;
    while (block) {
        GraphicsControlBlock control;
        if (code == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4 &&
            DGifExtensionToGCB(4, block + 1, &control) == GIF_OK) {
            job->transparent = control.TransparentColor;
        }
        if (DGifGetExtensionNext(job->gif, &block) == GIF_ERROR) return GIF_ERROR;
        if (gi_decode_is_late(job->d)) break;
    }
    return GIF_OK;
}

/* Up to and including the header of the first frame. */
static gi_refusal find_frame(gif_job *job) {
    for (;;) {
        GifRecordType type = UNDEFINED_RECORD_TYPE;
        if (DGifGetRecordType(job->gif, &type) == GIF_ERROR)
            return refusal_of(job, job->gif->Error);
        int ok = GIF_OK;
        if (type == IMAGE_DESC_RECORD_TYPE) {
            ok = DGifGetImageDesc(job->gif);
            return ok == GIF_OK ? GI_REFUSAL_NONE : refusal_of(job, job->gif->Error);
        }
        if (type == TERMINATE_RECORD_TYPE) return GI_REFUSAL_BROKEN;
        if (type == EXTENSION_RECORD_TYPE) ok = read_extension(job);
        if (ok == GIF_ERROR) return refusal_of(job, job->gif->Error);
        if (gi_decode_is_late(job->d)) return GI_REFUSAL_CPU;
    }
}

static void make_colours(gif_job *job) {
    const GifImageDesc *frame = &job->gif->Image;
    const ColorMapObject *map = frame->ColorMap ? frame->ColorMap : job->gif->SColorMap;
    for (int i = 0; i < 256; i++) {
        uint8_t *c = job->colours[i];
        c[0] = c[1] = c[2] = map ? 0 : (uint8_t)i;
        if (map && i < map->ColorCount) {
            c[0] = map->Colors[i].Red;
            c[1] = map->Colors[i].Green;
            c[2] = map->Colors[i].Blue;
        }
        c[3] = i == job->transparent ? 0 : 255;
    }
}

static void put_line(const gif_job *job, uint8_t *dst, const uint8_t *indexes, size_t n) {
    if (job->d->raster.channels == 4) {
        for (size_t x = 0; x < n; x++, dst += 4) memcpy(dst, job->colours[indexes[x]], 4);
    } else {
        for (size_t x = 0; x < n; x++, dst += 3) memcpy(dst, job->colours[indexes[x]], 3);
    }
}

static void fill_canvas(const gif_job *job) {
    const gi_raster *r = &job->d->raster;
    const uint8_t *colour = job->colours[job->transparent >= 0 ? job->transparent : 0];
    uint8_t *p = r->pixels;
    for (size_t i = 0; i < (size_t)r->width * r->height; i++, p += r->channels) {
        memcpy(p, colour, r->channels);
    }
}

static gi_refusal read_frame(gif_job *job) {
    const GifImageDesc *frame = &job->gif->Image;
    gi_decode_job *d = job->d;
    const uint32_t left = (uint32_t)frame->Left, top = (uint32_t)frame->Top;
    const uint32_t width = (uint32_t)frame->Width, height = (uint32_t)frame->Height;
    static const struct {
        uint32_t first, step;
    } PASSES[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}, {0, 1}};
    const int begin = frame->Interlace ? 0 : 4, end = frame->Interlace ? 4 : 5;
    for (int pass = begin; pass < end; pass++) {
        for (uint32_t y = PASSES[pass].first; y < height; y += PASSES[pass].step) {
            if (DGifGetLine(job->gif, job->line, (int)width) == GIF_ERROR) {
                return refusal_of(job, job->gif->Error);
            }
            put_line(job, gi_decode_row(d, top + y) + (size_t)left * d->raster.channels, job->line,
                     width);
            if (y % GI_DECODE_CLOCK_ROWS == 0 && gi_decode_is_late(d)) return GI_REFUSAL_CPU;
        }
    }
    return GI_REFUSAL_NONE;
}

static gi_refusal decode_all(gif_job *job) {
    gi_decode_job *d = job->d;
    gi_refusal r = gi_decode_check_size(d, (uint32_t)job->gif->SWidth, (uint32_t)job->gif->SHeight);
    if (r != GI_REFUSAL_NONE) return r;
    r = find_frame(job);
    if (r != GI_REFUSAL_NONE) return r;
    const GifImageDesc *frame = &job->gif->Image;
    if (frame->Width <= 0 || frame->Height <= 0) return GI_REFUSAL_BROKEN;
    const uint64_t right = (uint64_t)frame->Left + (uint64_t)frame->Width;
    const uint64_t bottom = (uint64_t)frame->Top + (uint64_t)frame->Height;
    const uint64_t canvas_w = d->raster.width, canvas_h = d->raster.height;
    r = gi_decode_check_size(d, right > canvas_w ? right : canvas_w,
                             bottom > canvas_h ? bottom : canvas_h);
    if (r != GI_REFUSAL_NONE) return r;
    make_colours(job);
    r = gi_decode_alloc(d, job->transparent >= 0 ? 4 : 3, (size_t)frame->Width);
    if (r != GI_REFUSAL_NONE) return r;
    job->line = gi_calloc((size_t)frame->Width, 1);
    if (!job->line) return GI_REFUSAL_NO_MEMORY;
    if (frame->Width != (GifWord)d->raster.width || frame->Height != (GifWord)d->raster.height) {
        fill_canvas(job);
    }
    return read_frame(job);
}

gi_refusal gi_decode_gif(gi_decode_job *d) {
    gif_job job = {.d = d, .transparent = -1};
    int error = D_GIF_SUCCEEDED;
    job.gif = DGifOpen(&job, on_read, &error);
    if (!job.gif) return refusal_of(&job, error);
    const gi_refusal r = decode_all(&job);
    gi_free(job.line);
    DGifCloseFile(job.gif, &error);
    return r;
}
