/*
 * Row operations: embedding, copies, norms, sampled positions.
 */
#include "device/cpu/device_cpu.h"

#include <math.h>
#include <string.h>

enum { ROW_GRAIN = 8 };

void gi_cpu_embed(gi_device *dev, gi_act out, const gi_matrix *table, const int32_t *ids,
                  size_t n) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    gi_assert(out.cols == table->n_cols && n <= out.rows);
    for (size_t t = 0; t < n; t++) {
        if (ids[t] < 0) continue;
        gi_assert((size_t)ids[t] < table->n_rows);
        cpu->kernels.widen(gi_cpu_row(out, t), gi_cpu_matrix_row(table, (size_t)ids[t]),
                           table->type, out.cols);
    }
}

void gi_cpu_copy_rows(gi_device *dev, gi_act dst, size_t dst_row, gi_act src, size_t src_row,
                      size_t n_rows) {
    (void)dev;
    gi_assert(dst.cols == src.cols && dst_row + n_rows <= dst.rows && src_row + n_rows <= src.rows);
    memmove(gi_cpu_row(dst, dst_row), gi_cpu_row(src, src_row), n_rows * src.cols * sizeof(float));
}

typedef struct norm_job {
    const gi_device_cpu *cpu;
    gi_act out, x;
    const gi_vector *w, *b;
    float eps;
} norm_job;

static void run_rms_norm(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const norm_job *job = ctx;
    for (size_t t = begin; t < end; t++)
        job->cpu->kernels.rmsnorm(gi_cpu_row(job->out, t), gi_cpu_row(job->x, t), job->w->values,
                                  job->x.cols, job->eps);
}

void gi_cpu_rms_norm(gi_device *dev, gi_act out, gi_act x, size_t n, const gi_vector *w,
                     float eps) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    gi_assert(out.cols == x.cols && w->n == x.cols && n <= x.rows && n <= out.rows);
    norm_job job = {.cpu = cpu, .out = out, .x = x, .w = w, .eps = eps};
    gi_workers_run(cpu->workers, n, ROW_GRAIN, run_rms_norm, &job);
}

static void run_rms_norm_add(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const norm_job *job = ctx;
    for (size_t t = begin; t < end; t++) {
        float *x = gi_cpu_row(job->out, t), *y = gi_cpu_row(job->x, t);
        job->cpu->kernels.rmsnorm(y, y, job->w->values, job->x.cols, job->eps);
        for (size_t i = 0; i < job->x.cols; i++) x[i] += y[i];
    }
}

void gi_cpu_rms_norm_add(gi_device *dev, gi_act x, gi_act y, size_t n, const gi_vector *w,
                         float eps) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    gi_assert(x.cols == y.cols && w->n == x.cols && n <= x.rows && n <= y.rows);
    norm_job job = {.cpu = cpu, .out = x, .x = y, .w = w, .eps = eps};
    gi_workers_run(cpu->workers, n, ROW_GRAIN, run_rms_norm_add, &job);
}

/* Two passes in double: the mean of thousands of values must not eat the variance. */
static void layer_norm_gelu_row(float *x, const float *w, const float *b, size_t n, float eps) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    const float r = (float)(1.0 / sqrt(squares / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) {
        const float y = (x[i] - (float)mean) * r * w[i] + b[i];
        x[i] = 0.5f * y * (1.0f + erff(y * 0.70710678f));
    }
}

static void run_layer_norm_gelu(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const norm_job *job = ctx;
    for (size_t t = begin; t < end; t++)
        layer_norm_gelu_row(gi_cpu_row(job->x, t), job->w->values, job->b->values, job->x.cols,
                            job->eps);
}

void gi_cpu_layer_norm_gelu(gi_device *dev, gi_act x, size_t n, const gi_vector *w,
                            const gi_vector *b, float eps) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    gi_assert(w->n == x.cols && b->n == x.cols && n <= x.rows);
    norm_job job = {.cpu = cpu, .x = x, .w = w, .b = b, .eps = eps};
    gi_workers_run(cpu->workers, n, ROW_GRAIN, run_layer_norm_gelu, &job);
}

/* ---- positions ------------------------------------------------------------------------------ */

/* Weights of the four taps around a sample at fraction t, a = -0.75 as torch's grid_sample. */
static void cubic_weights(float t, float w[4]) {
    const float a = -0.75f;
    const float d0 = t + 1.0f, d2 = 1.0f - t, d3 = 2.0f - t;
    w[0] = ((a * d0 - 5.0f * a) * d0 + 8.0f * a) * d0 - 4.0f * a;
    w[1] = ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f;
    w[2] = ((a + 2.0f) * d2 - (a + 3.0f)) * d2 * d2 + 1.0f;
    w[3] = ((a * d3 - 5.0f * a) * d3 + 8.0f * a) * d3 - 4.0f * a;
}

/* Source index and weights along one axis: align_corners=False, border padding per tap. */
static void axis_taps(size_t i, size_t grid, size_t side, size_t index[4], float w[4]) {
    /* torch's order of operations in F32, so that the same fraction comes out. */
    const float norm = ((float)i + 0.5f) / (float)grid * 2.0f - 1.0f;
    const float pos = ((norm + 1.0f) * (float)side - 1.0f) / 2.0f;
    const float base = floorf(pos);
    cubic_weights(pos - base, w);
    for (int tap = 0; tap < 4; tap++) {
        const long at = (long)base - 1 + tap;
        index[tap] = at < 0 ? 0 : at >= (long)side ? side - 1 : (size_t)at;
    }
}

typedef struct position_job {
    const gi_device_cpu *cpu;
    const gi_add_position_args *args;
} position_job;

static void run_positions(void *ctx, size_t begin, size_t end, int i_worker) {
    const position_job *job = ctx;
    const gi_add_position_args *a = job->args;
    const size_t cols = a->x.cols, m = a->merge, blocks_w = a->grid_w / m;
    float *row = gi_cpu_scratch(job->cpu, i_worker), *sum = row + cols;
    for (size_t p = begin; p < end; p++) {
        /* Patches come merge block by merge block, row-major within a block. */
        const size_t block = p / (m * m), inner = p % (m * m);
        size_t iy[4], ix[4];
        float wy[4], wx[4];
        axis_taps(block / blocks_w * m + inner / m, a->grid_h, a->side, iy, wy);
        axis_taps(block % blocks_w * m + inner % m, a->grid_w, a->side, ix, wx);
        memset(sum, 0, cols * sizeof *sum);
        for (int ty = 0; ty < 4; ty++)
            for (int tx = 0; tx < 4; tx++) {
                const void *src = gi_cpu_matrix_row(a->table, iy[ty] * a->side + ix[tx]);
                const float w = wy[ty] * wx[tx];
                if (w == 0.0f) continue;
                job->cpu->kernels.widen(row, src, a->table->type, cols);
                for (size_t c = 0; c < cols; c++) sum[c] += w * row[c];
            }
        float *x = gi_cpu_row(a->x, a->first_row + p);
        for (size_t c = 0; c < cols; c++) x[c] += sum[c];
    }
}

void gi_cpu_add_position(gi_device *dev, const gi_add_position_args *args) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    gi_assert(args->first_row + args->grid_h * args->grid_w <= args->x.rows);
    gi_assert(args->table->n_cols == args->x.cols);
    gi_assert(2 * args->x.cols <= cpu->scratch_floats);
    gi_assert(args->grid_h % args->merge == 0 && args->grid_w % args->merge == 0);
    position_job job = {.cpu = cpu, .args = args};
    gi_workers_run(cpu->workers, args->grid_h * args->grid_w, ROW_GRAIN, run_positions, &job);
}
