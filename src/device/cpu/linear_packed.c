/*
 * Linear operations over packed panels, INT8 or BF16.
 *
 * First x is made narrow, row by row: norm, then INT8 with a scale per row, or BF16. Then the
 * work is cut into (64 outputs, ROWS rows); each piece runs its rows six at a time over its panel
 * and finishes them in registers and L1: scale, bias, activation, residual. A weight is read from
 * memory once for up to ROWS rows, so that decoding a batch costs little more than decoding one.
 */
#include "device/cpu/device_cpu.h"

#include "base/checked.h"
#include "kernels/pack.h"

#include <string.h>

/* Rows that share one visit to a panel: enough to hide it, few enough to share work evenly. */
enum { ROWS = 16 * GI_TILE_M };
/* Up to this many rows, reading the weights takes longer than multiplying with them. */
enum { FEW_ROWS = 16 };
/* Below this many elements the caller makes x narrow alone: waking a worker costs more. */
enum { SERIAL_ELEMS = 16 * 1024 };

typedef struct packed_job {
    gi_device_cpu *cpu;
    const gi_linear_args *args;
    size_t n_out_panels; /* panels to visit: the gates', for SWIGLU */
    size_t n_row_blocks;
    size_t ld_x; /* elements of a narrow row */
} packed_job;

size_t gi_cpu_packed_scratch_floats(const gi_device_cpu_options *options) {
    /* A normed row; two tiles of sums, two of results. */
    return gi_round_up(options->linear_cols_max, 16) + (size_t)4 * GI_TILE_M * GI_TILE_N;
}

/* ---- x -------------------------------------------------------------------------------------- */

static void narrow_rows(void *ctx, size_t begin, size_t end, int i_worker) {
    const packed_job *job = ctx;
    const gi_linear_args *a = job->args;
    const gi_kernels *k = &job->cpu->kernels;
    const size_t n = a->matrix->n_cols;
    float *normed = gi_cpu_scratch(job->cpu, i_worker);
    for (size_t t = begin; t < end; t++) {
        const float *x = gi_cpu_row(a->x, t);
        if (a->rms_norm) {
            k->rmsnorm(normed, x, a->rms_norm->values, n, a->rms_eps);
            x = normed;
        }
        if (a->matrix->format == GI_CPU_S8)
            job->cpu->x_scale[t] = k->quantize_row((int8_t *)job->cpu->narrow_x + t * job->ld_x,
                                                   &job->cpu->x_sum[t], x, n, job->ld_x);
        else
            k->narrow_row((uint16_t *)job->cpu->narrow_x + t * job->ld_x, x, 1.0f, n, job->ld_x);
    }
}

/* ---- products ------------------------------------------------------------------------------- */

/* y[n_m, 64] = rows `row`... of x times a panel, with bias. */
static void product(const packed_job *job, float *y, int32_t *sums, size_t row, size_t n_m,
                    const gi_cpu_panel *panel) {
    const gi_device_cpu *cpu = job->cpu;
    const gi_matrix *m = job->args->matrix;
    const float *bias = m->bias ? m->bias + panel->first_row : NULL;
    if (m->format == GI_CPU_S8) {
        /* Asked for now: after the products of one row, memory would be waited for once more. */
        for (size_t j = 0; j < GI_TILE_N; j += 64 / sizeof *panel->scales)
            __builtin_prefetch(panel->scales + j);
        cpu->kernels.gemm_s8(sums, (const int8_t *)cpu->narrow_x + row * job->ld_x, job->ld_x, n_m,
                             panel->units, m->n_units);
        cpu->kernels.dequantize(y, sums, n_m, cpu->x_scale + row, cpu->x_sum + row, panel->scales,
                                bias);
        return;
    }
    cpu->kernels.gemm_bf16(y, GI_TILE_N, (const uint16_t *)cpu->narrow_x + row * job->ld_x,
                           job->ld_x, n_m, (const uint16_t *)(const void *)panel->units,
                           m->n_units);
    for (size_t i = 0; bias && i < n_m; i++)
        cpu->kernels.add_row(y + i * GI_TILE_N, bias, GI_TILE_N);
}

/* The results of n_m rows from `row` on, where they belong. */
static void put(const packed_job *job, gi_epilogue epilogue, const gi_cpu_panel *panel, size_t row,
                size_t n_m, const float *y, const float *y_up) {
    const gi_linear_args *a = job->args;
    const gi_kernels *k = &job->cpu->kernels;
    for (size_t m = 0; m < n_m; m++) {
        float *out = gi_cpu_row(a->out, row + m) + panel->first_row;
        const float *ym = y + m * GI_TILE_N;
        if (epilogue == GI_EPILOGUE_STORE)
            memcpy(out, ym, panel->n_rows * sizeof *out);
        else if (epilogue == GI_EPILOGUE_ADD)
            k->add_row(out, ym, panel->n_rows);
        else
            k->swiglu(out, ym, y_up + m * GI_TILE_N, panel->n_rows);
    }
}

/* Index i counts (panel, ROWS rows). */
static void run_products(void *ctx, size_t begin, size_t end, int i_worker) {
    const packed_job *job = ctx;
    const gi_linear_args *a = job->args;
    float *y = gi_cpu_scratch(job->cpu, i_worker), *y_up = y + GI_TILE_M * GI_TILE_N;
    int32_t *sums = (int32_t *)(void *)(y_up + GI_TILE_M * GI_TILE_N);
    for (size_t i = begin; i < end; i++) {
        const gi_cpu_panel *panel = &a->matrix->panels[i / job->n_row_blocks];
        const size_t row0 = i % job->n_row_blocks * ROWS;
        const size_t row_end = row0 + ROWS < a->n_tokens ? row0 + ROWS : a->n_tokens;
        for (size_t row = row0; row < row_end; row += GI_TILE_M) {
            const size_t n_m = row_end - row < GI_TILE_M ? row_end - row : GI_TILE_M;
            product(job, y, sums, row, n_m, panel);
            if (a->epilogue == GI_EPILOGUE_SWIGLU)
                product(job, y_up, sums, row, n_m, panel + job->n_out_panels);
            put(job, a->epilogue, panel, row, n_m, y, y_up);
        }
    }
}

/*
 * Few rows, by panels: each run of panels is read from end to end, for SWIGLU first the gates',
 * whose results wait in `out`, then their partners'.
 */
static void run_few_rows(void *ctx, size_t begin, size_t end, int i_worker) {
    const packed_job *job = ctx;
    const gi_linear_args *a = job->args;
    const bool two = a->epilogue == GI_EPILOGUE_SWIGLU;
    float *y = gi_cpu_scratch(job->cpu, i_worker), *y_up = y + GI_TILE_M * GI_TILE_N;
    int32_t *sums = (int32_t *)(void *)(y_up + GI_TILE_M * GI_TILE_N);
    const size_t n = a->n_tokens;
    for (size_t i = begin; two && i < end; i++) {
        const gi_cpu_panel *panel = &a->matrix->panels[i];
        for (size_t row = 0; row < n; row += GI_TILE_M) {
            const size_t n_m = n - row < GI_TILE_M ? n - row : GI_TILE_M;
            product(job, y, sums, row, n_m, panel);
            put(job, GI_EPILOGUE_STORE, panel, row, n_m, y, NULL);
        }
    }
    for (size_t i = begin; i < end; i++) {
        const gi_cpu_panel *panel = &a->matrix->panels[i];
        for (size_t row = 0; row < n; row += GI_TILE_M) {
            const size_t n_m = n - row < GI_TILE_M ? n - row : GI_TILE_M;
            product(job, two ? y_up : y, sums, row, n_m, panel + (two ? job->n_out_panels : 0));
            for (size_t m = 0; two && m < n_m; m++)
                memcpy(y + m * GI_TILE_N, gi_cpu_row(a->out, row + m) + panel->first_row,
                       panel->n_rows * sizeof *y);
            put(job, a->epilogue, panel, row, n_m, y, y_up);
        }
    }
}

void gi_cpu_linear_packed(gi_device_cpu *cpu, const gi_linear_args *args) {
    const gi_matrix *m = args->matrix;
    packed_job job = {.cpu = cpu, .args = args};
    job.n_out_panels = m->is_swiglu ? m->n_panels / 2 : m->n_panels;
    job.n_row_blocks = (args->n_tokens + ROWS - 1) / ROWS;
    job.ld_x = m->n_units * (m->format == GI_CPU_S8 ? 4 : 2);
    gi_assert(args->n_tokens <= cpu->options.linear_rows_max);
    if (args->n_tokens * m->n_cols <= SERIAL_ELEMS)
        narrow_rows(&job, 0, args->n_tokens, 0);
    else
        gi_workers_run(cpu->workers, args->n_tokens, 8, narrow_rows, &job);
    if (args->n_tokens <= FEW_ROWS)
        gi_workers_run_long(cpu->workers, job.n_out_panels, run_few_rows, &job);
    else
        gi_workers_run(cpu->workers, job.n_out_panels * job.n_row_blocks, 1, run_products, &job);
}
