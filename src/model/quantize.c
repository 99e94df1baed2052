/*
 * Two walks over the weights: the first declares what will be written, the second writes it.
 *
 * Panels come first in the file, then scales, then plain tensors, so that panels and scales, whose
 * sizes are multiples of 64 bytes, lie aligned and can be used where they are mapped.
 */
#include "model/quantize.h"

#include "base/alloc.h"
#include "base/json_text.h"
#include "kernels/pack.h"
#include "model/st_writer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTINGS_BYTES_MAX = 64 << 20, NAME_BYTES = GI_ST_NAME_BYTES_MAX + 16 };

/* The passes over the weights, in the order of the file. */
typedef enum pass { PASS_PANELS, PASS_SCALES, PASS_PLAIN, PASSES } pass;

typedef struct quantizer {
    const gi_checkpoint *src;
    gi_kernels kernels;
    gi_st_writer writer;
    pass pass;
    bool is_declaring;
    uint8_t *units; /* one panel */
    float *row, *panel_scales;
    float **scales; /* [n_matrices] scales of every INT8 matrix, until they are written */
    size_t n_matrices, i_matrix;
    uint64_t done_bytes;
    gi_quantize_options options;
} quantizer;

typedef struct matrix_plan {
    bool is_s8, is_packed, keeps_plain;
    size_t n_rows, n_cols, cuts, n_panels, n_units;
} matrix_plan;

static matrix_plan plan_matrix(const quantizer *q, const gi_weight_entry *e) {
    matrix_plan p = {.is_packed = e->is_text_matrix || e->is_vision_matrix,
                     .cuts = e->is_gate_up ? 2 : 1};
    p.is_s8 = e->is_text_matrix || (e->is_vision_matrix && q->options.is_vision_int8);
    /* A tied embedding is read row by row as well. */
    p.keeps_plain = !p.is_packed || e->weight == &q->src->text.embed;
    if (!p.is_packed) return p;
    p.n_rows = (size_t)e->shape[0];
    p.n_cols = (size_t)e->shape[1];
    p.n_panels = p.cuts * gi_pack_panels(p.n_rows / p.cuts);
    p.n_units = p.is_s8 ? gi_pack_units_s8(p.n_cols) : gi_pack_units_bf16(p.n_cols);
    return p;
}

static size_t source_bytes(const gi_weight *w) {
    return w->n * gi_dtype_bytes(w->dtype);
}

/* ---- declaring ------------------------------------------------------------------------------ */

static glint_status declare(quantizer *q, const gi_weight_entry *e, glint_error *err) {
    const matrix_plan p = plan_matrix(q, e);
    char name[NAME_BYTES];
    if (p.is_s8 && p.n_units > GI_S8_UNITS_MAX)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                       "%s: %zu columns are too many for INT8, which takes %d", e->name, p.n_cols,
                       4 * GI_S8_UNITS_MAX);
    if (q->pass == PASS_PANELS && p.is_packed) {
        const uint64_t shape[] = {p.n_panels, p.n_units, GI_TILE_N, p.is_s8 ? 4 : 2};
        snprintf(name, sizeof name, "%s.panels", e->name);
        q->n_matrices++;
        return gi_st_writer_declare(&q->writer, name, p.is_s8 ? "U8" : "BF16", shape, 4,
                                    (uint64_t)p.n_panels * p.n_units * GI_UNIT_BYTES, err);
    }
    if (q->pass == PASS_SCALES && p.is_packed && p.is_s8) {
        const uint64_t shape[] = {p.n_panels, GI_TILE_N};
        snprintf(name, sizeof name, "%s.scales", e->name);
        return gi_st_writer_declare(&q->writer, name, "F32", shape, 2,
                                    (uint64_t)p.n_panels * GI_TILE_N * sizeof(float), err);
    }
    if (q->pass == PASS_PLAIN && p.keeps_plain)
        return gi_st_writer_declare(&q->writer, e->name, gi_dtype_name(e->weight->dtype), e->shape,
                                    e->n_dims, source_bytes(e->weight), err);
    return GLINT_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Squared error and squared size of row j of the panel just packed. */
static void row_error(const quantizer *q, const matrix_plan *p, const void *src, gi_dtype type,
                      size_t j, double *ret_error, double *ret_size) {
    double error = 0, size = 0;
    q->kernels.widen(q->row, src, type, p->n_cols);
    for (size_t k = 0; k < p->n_cols; k++) {
        const uint8_t *u = q->units + (p->is_s8 ? k / 4 * GI_UNIT_BYTES + 4 * j + k % 4
                                                : k / 2 * GI_UNIT_BYTES + 4 * j + k % 2 * 2);
        uint16_t half;
        memcpy(&half, u, p->is_s8 ? 1 : 2);
        const float got = p->is_s8 ? (float)(*u - 128) * q->panel_scales[j] : gi_bf16_to_f32(half);
        const double d = (double)got - (double)q->row[k];
        error += d * d;
        size += (double)q->row[k] * (double)q->row[k];
    }
    *ret_error = error;
    *ret_size = size;
}

static glint_status write_panels(quantizer *q, const gi_weight_entry *e, const matrix_plan *p,
                                 gi_quantize_report *report, glint_error *err) {
    const gi_weight *w = e->weight;
    const size_t row_bytes = p->n_cols * gi_dtype_bytes(w->dtype), half = p->n_rows / p->cuts;
    double error = 0, size = 0;
    float *scales = p->is_s8 ? gi_calloc(p->n_panels * GI_TILE_N, sizeof *scales) : NULL;
    if (p->is_s8 && !scales) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for scales");
    q->scales[q->i_matrix++] = scales;
    size_t i_panel = 0;
    for (size_t cut = 0; cut < p->cuts; cut++)
        for (size_t row = 0; row < half; row += GI_TILE_N, i_panel++) {
            const size_t n = half - row < GI_TILE_N ? half - row : GI_TILE_N;
            const void *rows[GI_TILE_N];
            for (size_t j = 0; j < n; j++)
                rows[j] = (const unsigned char *)w->data + (cut * half + row + j) * row_bytes;
            if (p->is_s8)
                gi_pack_panel_s8(q->units, q->panel_scales, rows, n, w->dtype, p->n_cols,
                                 q->kernels.widen, q->row);
            else
                gi_pack_panel_bf16((uint16_t *)(void *)q->units, rows, n, w->dtype, p->n_cols,
                                   q->kernels.widen, q->row);
            if (scales)
                memcpy(scales + i_panel * GI_TILE_N, q->panel_scales, GI_TILE_N * sizeof *scales);
            for (size_t j = 0; j < n; j++) {
                double row_e, row_s;
                row_error(q, p, rows[j], w->dtype, j, &row_e, &row_s);
                error += row_e;
                size += row_s;
                if (row_s > 0)
                    report->worst_row_error = fmax(report->worst_row_error, sqrt(row_e / row_s));
            }
            GI_TRY(gi_st_writer_put(&q->writer, q->units, p->n_units * GI_UNIT_BYTES, err));
        }
    report->relative_error = size > 0 ? sqrt(error / size) : 0;
    report->format = p->is_s8 ? "int8" : "bf16 panels";
    report->written_bytes = (uint64_t)p->n_panels * p->n_units * GI_UNIT_BYTES +
                            (p->is_s8 ? p->n_panels * GI_TILE_N * sizeof(float) : 0) +
                            (p->keeps_plain ? source_bytes(w) : 0);
    return GLINT_OK;
}

static glint_status write_weight(quantizer *q, const gi_weight_entry *e, glint_error *err) {
    const matrix_plan p = plan_matrix(q, e);
    gi_quantize_report report = {.name = e->name,
                                 .format = "as it is",
                                 .source_bytes = source_bytes(e->weight),
                                 .written_bytes = source_bytes(e->weight)};
    if (q->pass == PASS_SCALES) {
        if (!p.is_packed) return GLINT_OK;
        const float *scales = q->scales[q->i_matrix++];
        if (!scales) return GLINT_OK;
        return gi_st_writer_put(&q->writer, scales, p.n_panels * GI_TILE_N * sizeof *scales, err);
    }
    if (q->pass == PASS_PANELS) {
        if (!p.is_packed) return GLINT_OK;
        GI_TRY(write_panels(q, e, &p, &report, err));
    } else {
        if (!p.keeps_plain) return GLINT_OK;
        GI_TRY(gi_st_writer_put(&q->writer, e->weight->data, source_bytes(e->weight), err));
        if (p.is_packed) return GLINT_OK; /* reported with its panels */
    }
    q->done_bytes += report.source_bytes;
    if (q->options.progress)
        q->options.progress(q->options.ctx, &report, q->done_bytes, q->src->sizes.total_bytes);
    return GLINT_OK;
}

static glint_status visit(void *ctx, const gi_weight_entry *e, glint_error *err) {
    quantizer *q = ctx;
    if (e->weight->panels)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: the source is packed already", e->name);
    return q->is_declaring ? declare(q, e, err) : write_weight(q, e, err);
}

static glint_status walk(quantizer *q, glint_error *err) {
    for (q->pass = PASS_PANELS; q->pass < PASSES; q->pass++) {
        q->i_matrix = 0;
        GI_TRY(gi_checkpoint_each(q->src, visit, q, err));
    }
    return GLINT_OK;
}

static glint_status write_weights(quantizer *q, const char *dst_dir, glint_error *err) {
    char path[GI_PATH_BYTES];
    const gi_config *c = &q->src->config;
    const size_t widths[] = {
        c->text.hidden,      c->text.ffn,         c->text.n_heads * c->text.head_dim,
        c->vision.hidden,    c->vision.block_ffn, c->vision.merger_ffn,
        c->vision.out_hidden};
    size_t cols = 0;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        cols = widths[i] > cols ? widths[i] : cols;
    GI_TRY(gi_path_join(path, sizeof path, dst_dir, "model.safetensors", err));
    GI_TRY(gi_st_writer_init(&q->writer, path, err));
    q->units = gi_alloc_aligned(gi_pack_units_bf16(cols), GI_UNIT_BYTES);
    q->row = gi_alloc_aligned(cols, sizeof *q->row);
    q->panel_scales = gi_alloc_aligned(GI_TILE_N, sizeof *q->panel_scales);
    if (!q->units || !q->row || !q->panel_scales)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory to quantise");
    q->is_declaring = true;
    GI_TRY(walk(q, err));
    GI_TRY(gi_st_writer_begin(&q->writer, err));
    q->scales = gi_calloc(q->n_matrices, sizeof *q->scales);
    if (!q->scales) return gi_fail(err, GLINT_ERR_MEMORY, "no memory to quantise");
    q->is_declaring = false;
    GI_TRY(walk(q, err));
    return gi_st_writer_finish(&q->writer, err);
}

/* ---- the files beside the weights ----------------------------------------------------------- */

static glint_status write_file(const char *dir, const char *name, const void *bytes, size_t n,
                               glint_error *err) {
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, dir, name, err));
    FILE *f = fopen(path, "wbe");
    if (!f) return gi_fail(err, GLINT_ERR_IO, "%s: %s", path, strerror(errno));
    const bool ok = fwrite(bytes, 1, n, f) == n;
    if (fclose(f) != 0 || !ok) return gi_fail(err, GLINT_ERR_IO, "%s: cannot be written", path);
    return GLINT_OK;
}

static glint_status copy_file(const char *src_dir, const char *dst_dir, const char *name,
                              glint_error *err) {
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, src_dir, name, err));
    if (!gi_file_exists(path)) return GLINT_OK;
    gi_buf b;
    gi_buf_init(&b, SETTINGS_BYTES_MAX);
    glint_status st = gi_file_read(path, &b, err);
    if (st == GLINT_OK) st = write_file(dst_dir, name, b.data, b.len, err);
    gi_buf_done(&b);
    return st;
}

/* config.json with the note that keeps other programs from misreading the weights. */
static glint_status write_config(const char *src_dir, const char *dst_dir, bool is_vision_int8,
                                 glint_error *err) {
    char path[GI_PATH_BYTES];
    json_t *config = NULL;
    GI_TRY(gi_path_join(path, sizeof path, src_dir, "config.json", err));
    GI_TRY(gi_json_load(path, SETTINGS_BYTES_MAX, &config, err));
    json_t *note =
        json_pack("{s:s, s:i, s:s, s:s}", "quant_method", GI_CONFIG_QUANT_METHOD, "version", 1,
                  "text", "int8", "vision", is_vision_int8 ? "int8" : "bf16");
    glint_status st = GLINT_OK;
    gi_buf text;
    gi_buf_init(&text, SETTINGS_BYTES_MAX);
    if (!note || json_object_set_new(config, "quantization_config", note) != 0)
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for config.json");
    if (st == GLINT_OK) st = gi_json_dump(config, JSON_INDENT(2) | JSON_PRESERVE_ORDER, &text, err);
    if (st == GLINT_OK) st = write_file(dst_dir, "config.json", text.data, text.len, err);
    gi_buf_done(&text);
    json_decref(config);
    return st;
}

static glint_status check_dirs(const char *src_dir, const char *dst_dir, glint_error *err) {
    struct stat src, dst;
    char path[GI_PATH_BYTES];
    if (mkdir(dst_dir, 0755) != 0 && errno != EEXIST)
        return gi_fail(err, GLINT_ERR_IO, "%s: %s", dst_dir, strerror(errno));
    if (stat(src_dir, &src) != 0 || stat(dst_dir, &dst) != 0)
        return gi_fail(err, GLINT_ERR_IO, "%s: %s", src_dir, strerror(errno));
    if (src.st_dev == dst.st_dev && src.st_ino == dst.st_ino)
        return gi_fail(err, GLINT_ERR_ARG, "source and destination are the same directory");
    GI_TRY(gi_path_join(path, sizeof path, dst_dir, "config.json", err));
    if (gi_file_exists(path))
        return gi_fail(err, GLINT_ERR_ARG, "%s holds a checkpoint already", dst_dir);
    return GLINT_OK;
}

glint_status gi_quantize(const char *src_dir, const char *dst_dir,
                         const gi_quantize_options *options, glint_error *err) {
    gi_checkpoint *src = NULL;
    GI_TRY(gi_checkpoint_open(src_dir, &src, err));
    quantizer q = {.src = src, .options = *options, .writer = {.fd = -1}};
    glint_status st;
    (void)gi_kernels_get(NULL, &q.kernels);
    GI_TRY_DONE(check_dirs(src_dir, dst_dir, err));
    GI_TRY_DONE(write_weights(&q, dst_dir, err));
    for (size_t i = 1; i < GI_CHECKPOINT_FILES_N; i++)
        GI_TRY_DONE(copy_file(src_dir, dst_dir, gi_checkpoint_files[i], err));
    /* The first one last: a directory without config.json is no checkpoint. */
    GI_TRY_DONE(write_config(src_dir, dst_dir, q.options.is_vision_int8, err));
done:
    gi_st_writer_done(&q.writer);
    for (size_t i = 0; q.scales && i < q.n_matrices; i++) gi_free(q.scales[i]);
    gi_free(q.scales);
    gi_free(q.units);
    gi_free(q.row);
    gi_free(q.panel_scales);
    gi_checkpoint_close(src);
    return st;
}
