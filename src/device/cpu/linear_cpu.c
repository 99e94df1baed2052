/*
 * Linear operations in F32 over the checkpoint's own rows: out = epilogue(norm(x) W^T + b).
 *
 * Many rows: the work is cut into tiles of GI_LINEAR_ROWS rows by 16 outputs; each tile packs its
 * 16 weight rows into an F32 panel once and runs all its rows over it. Few rows (decoding): the
 * weights are read in place, once each, and the work is cut by outputs.
 */
#include "device/cpu/device_cpu.h"

#include <math.h>
#include <string.h>

/* Up to this many rows, converting a weight once per row costs less than packing it. */
enum { DOT_ROWS_MAX = 4, DOT_GRAIN = 16 };

typedef struct linear_job {
    const gi_device_cpu *cpu;
    const gi_linear_args *args;
    const float *x; /* [T, n_cols], normed */
    size_t ld_x;
    size_t n_out; /* columns of `out` */
    size_t n_row_tiles;
} linear_job;

size_t gi_cpu_linear_scratch_floats(void) {
    return (size_t)GI_PANEL_N * (GI_PANEL_K_MAX + 2 * GI_LINEAR_ROWS);
}

/* y and, for SWIGLU, its partner in the second half: biased, combined, put where it belongs. */
static void put(const linear_job *job, size_t row, size_t j, float y, float y_up) {
    const gi_matrix *m = job->args->matrix;
    float *out = gi_cpu_row(job->args->out, row) + j;
    if (m->bias) y += m->bias[j];
    switch (job->args->epilogue) {
    case GI_EPILOGUE_STORE:
        *out = y;
        break;
    case GI_EPILOGUE_ADD:
        *out += y;
        break;
    case GI_EPILOGUE_SWIGLU:
        if (m->bias) y_up += m->bias[job->n_out + j];
        *out = y_up * (y / (1.0f + expf(-y)));
        break;
    }
}

/* acc[n_m, 16] = x[row0...] times up to 16 weight rows from w_row on. */
static void product_tile(const linear_job *job, float *acc, float *panel, size_t row0, size_t n_m,
                         size_t w_row, size_t n_j) {
    const gi_kernels *k = &job->cpu->kernels;
    const gi_matrix *m = job->args->matrix;
    memset(acc, 0, n_m * GI_PANEL_N * sizeof *acc);
    for (size_t k0 = 0; k0 < m->n_cols; k0 += GI_PANEL_K_MAX) {
        const size_t n_k = m->n_cols - k0 < GI_PANEL_K_MAX ? m->n_cols - k0 : GI_PANEL_K_MAX;
        const void *rows[GI_PANEL_N];
        for (size_t j = 0; j < n_j; j++) rows[j] = gi_cpu_matrix_row(m, w_row + j);
        k->pack_panel(panel, rows, n_j, m->type, k0, n_k);
        k->gemm_panel(acc, job->x + row0 * job->ld_x + k0, job->ld_x, n_m, panel, n_k);
    }
}

static void run_tiles(void *ctx, size_t begin, size_t end, int i_worker) {
    const linear_job *job = ctx;
    float *panel = gi_cpu_scratch(job->cpu, i_worker);
    float *acc = panel + GI_PANEL_N * GI_PANEL_K_MAX;
    float *acc_up = acc + GI_PANEL_N * GI_LINEAR_ROWS;
    const bool two = job->args->epilogue == GI_EPILOGUE_SWIGLU;
    for (size_t i = begin; i < end; i++) {
        const size_t row0 = i % job->n_row_tiles * GI_LINEAR_ROWS;
        const size_t j0 = i / job->n_row_tiles * GI_PANEL_N;
        const size_t rows_left = job->args->n_tokens - row0, cols_left = job->n_out - j0;
        const size_t n_m = rows_left < GI_LINEAR_ROWS ? rows_left : GI_LINEAR_ROWS;
        const size_t n_j = cols_left < GI_PANEL_N ? cols_left : GI_PANEL_N;
        product_tile(job, acc, panel, row0, n_m, j0, n_j);
        if (two) product_tile(job, acc_up, panel, row0, n_m, job->n_out + j0, n_j);
        for (size_t m = 0; m < n_m; m++)
            for (size_t j = 0; j < n_j; j++)
                put(job, row0 + m, j0 + j, acc[m * GI_PANEL_N + j],
                    two ? acc_up[m * GI_PANEL_N + j] : 0);
    }
}

static float dot_row(const linear_job *job, size_t row, size_t w_row) {
    const gi_matrix *m = job->args->matrix;
    return job->cpu->kernels.dot(job->x + row * job->ld_x, gi_cpu_matrix_row(m, w_row), m->type,
                                 m->n_cols);
}

static void run_dots(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const linear_job *job = ctx;
    const bool two = job->args->epilogue == GI_EPILOGUE_SWIGLU;
    for (size_t j = begin; j < end; j++)
        for (size_t row = 0; row < job->args->n_tokens; row++)
            put(job, row, j, dot_row(job, row, j), two ? dot_row(job, row, job->n_out + j) : 0);
}

static void run_norms(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const linear_job *job = ctx;
    const gi_linear_args *a = job->args;
    for (size_t t = begin; t < end; t++)
        job->cpu->kernels.rmsnorm(job->cpu->normed + t * a->x.cols, gi_cpu_row(a->x, t),
                                  a->rms_norm->values, a->x.cols, a->rms_eps);
}

void gi_cpu_linear(gi_device *dev, const gi_linear_args *args) {
    gi_device_cpu *cpu = (gi_device_cpu *)dev;
    const gi_matrix *m = args->matrix;
    const bool two = args->epilogue == GI_EPILOGUE_SWIGLU;
    linear_job job = {
        .cpu = cpu,
        .args = args,
        .x = args->x.data,
        .ld_x = args->x.cols,
        .n_out = two ? m->n_rows / 2 : m->n_rows,
        .n_row_tiles = (args->n_tokens + GI_LINEAR_ROWS - 1) / GI_LINEAR_ROWS,
    };
    gi_assert(args->x.cols == m->n_cols && args->out.cols == job.n_out);
    gi_assert(args->n_tokens <= args->x.rows && args->n_tokens <= args->out.rows);
    gi_assert(two == m->is_swiglu && args->n_tokens * m->n_cols <= cpu->options.linear_elems_max);
    if (args->n_tokens == 0) return;
    if (m->format != GI_CPU_F32) {
        gi_cpu_linear_packed(cpu, args);
        return;
    }
    if (args->rms_norm) {
        gi_workers_run(cpu->workers, args->n_tokens, 8, run_norms, &job);
        job.x = cpu->normed;
    }
    if (args->n_tokens <= DOT_ROWS_MAX) {
        gi_workers_run(cpu->workers, job.n_out, DOT_GRAIN, run_dots, &job);
    } else {
        const size_t n_col_tiles = (job.n_out + GI_PANEL_N - 1) / GI_PANEL_N;
        gi_workers_run(cpu->workers, n_col_tiles * job.n_row_tiles, 1, run_tiles, &job);
    }
}
