/*
 * Linear operations over packed panels, INT8 or BF16.
 *
 * First x is made narrow, row by row: norm, then INT8 with a scale per row, or BF16. Then the
 * work is cut into (64 outputs, ROWS rows); each piece runs its rows six at a time over its panel
 * and finishes them in registers and L1: scale, bias, activation, residual. A weight is read from
 * memory once for up to ROWS rows, so that decoding a batch costs little more than decoding one.
 */
#include "device/cpu/device_cpu.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "kernels/pack.h"

#include <string.h>

/* Rows that share one visit to a panel: enough to hide it, few enough to share work evenly. */
enum { ROWS = 16 * GI_TILE_M };
/* Below this many elements the caller makes x narrow alone: waking a worker costs more. */
enum { SERIAL_ELEMS = 16 * 1024 };

typedef struct packed_job {
    gi_device_cpu *cpu;
    const gi_linear_args *args;
    size_t n_out;        /* columns of `out` */
    size_t n_out_panels; /* panels that hold them: the gates', for SWIGLU */
    size_t n_row_blocks;
    size_t ld_x; /* elements of a narrow row */
} packed_job;

size_t gi_cpu_packed_scratch_floats(const gi_device_cpu_options *options) {
    /* A normed row; two tiles of sums, two of results. */
    return gi_round_up(options->linear_cols_max, 16) + (size_t)4 * GI_TILE_M * GI_TILE_N;
}

/* ---- packing -------------------------------------------------------------------------------- */

typedef struct pack_job {
    gi_device_cpu *cpu;
    gi_matrix *m;
} pack_job;

/* The rows of panel i: a SWIGLU matrix starts a new panel at its second half. */
static size_t panel_rows(const gi_matrix *m, size_t i, const void *rows[GI_TILE_N]) {
    const size_t half = m->is_swiglu ? m->n_rows / 2 : m->n_rows;
    const size_t half_panels = gi_pack_panels(half);
    const size_t first = i / half_panels * half + i % half_panels * GI_TILE_N;
    const size_t end = (i / half_panels + 1) * half;
    const size_t n = end - first < GI_TILE_N ? end - first : GI_TILE_N;
    for (size_t j = 0; j < n; j++) rows[j] = gi_cpu_matrix_row(m, first + j);
    return n;
}

static void run_pack(void *ctx, size_t begin, size_t end, int i_worker) {
    const pack_job *job = ctx;
    gi_matrix *m = job->m;
    float *row = gi_cpu_scratch(job->cpu, i_worker);
    for (size_t i = begin; i < end; i++) {
        const void *rows[GI_TILE_N];
        const size_t n = panel_rows(m, i, rows);
        uint8_t *panel = m->panels + i * m->n_units * GI_UNIT_BYTES;
        if (m->format == GI_CPU_S8)
            gi_pack_panel_s8(panel, m->scales + i * GI_TILE_N, rows, n, m->type, m->n_cols,
                             job->cpu->kernels.widen, row);
        else
            gi_pack_panel_bf16((uint16_t *)(void *)panel, rows, n, m->type, m->n_cols,
                               job->cpu->kernels.widen, row);
    }
}

glint_status gi_cpu_matrix_pack(gi_device_cpu *cpu, gi_matrix *m, const char *name,
                                glint_error *err) {
    const size_t halves = m->is_swiglu ? 2 : 1;
    m->n_panels = halves * gi_pack_panels(m->n_rows / halves);
    m->n_units =
        m->format == GI_CPU_S8 ? gi_pack_units_s8(m->n_cols) : gi_pack_units_bf16(m->n_cols);
    gi_assert(m->n_cols <= cpu->options.linear_cols_max);
    m->panels = gi_alloc_aligned(m->n_panels * m->n_units, GI_UNIT_BYTES);
    if (m->format == GI_CPU_S8) m->scales = gi_calloc(m->n_panels * GI_TILE_N, sizeof(float));
    if (!m->panels || (m->format == GI_CPU_S8 && !m->scales))
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory to pack %s", name);
    gi_assert(!(m->bias && m->is_swiglu));
    pack_job job = {.cpu = cpu, .m = m};
    gi_workers_run(cpu->workers, m->n_panels, 1, run_pack, &job);
    return GLINT_OK;
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

/* y[n_m, 64] = rows `row`... of x times panel `i_panel`, with bias. */
static void product(const packed_job *job, float *y, int32_t *sums, size_t row, size_t n_m,
                    size_t i_panel) {
    const gi_device_cpu *cpu = job->cpu;
    const gi_matrix *m = job->args->matrix;
    const uint8_t *panel = m->panels + i_panel * m->n_units * GI_UNIT_BYTES;
    const float *bias = m->bias ? m->bias + i_panel * GI_TILE_N : NULL;
    if (m->format == GI_CPU_S8) {
        cpu->kernels.gemm_s8(sums, (const int8_t *)cpu->narrow_x + row * job->ld_x, job->ld_x, n_m,
                             panel, m->n_units);
        cpu->kernels.dequantize(y, sums, n_m, cpu->x_scale + row, cpu->x_sum + row,
                                m->scales + i_panel * GI_TILE_N, bias);
        return;
    }
    cpu->kernels.gemm_bf16(y, GI_TILE_N, (const uint16_t *)cpu->narrow_x + row * job->ld_x,
                           job->ld_x, n_m, (const uint16_t *)(const void *)panel, m->n_units);
    for (size_t i = 0; bias && i < n_m; i++)
        cpu->kernels.add_row(y + i * GI_TILE_N, bias, GI_TILE_N);
}

static void run_products(void *ctx, size_t begin, size_t end, int i_worker) {
    const packed_job *job = ctx;
    const gi_linear_args *a = job->args;
    const gi_kernels *k = &job->cpu->kernels;
    float *y = gi_cpu_scratch(job->cpu, i_worker), *y_up = y + GI_TILE_M * GI_TILE_N;
    int32_t *sums = (int32_t *)(void *)(y_up + GI_TILE_M * GI_TILE_N);
    for (size_t i = begin; i < end; i++) {
        const size_t i_panel = i / job->n_row_blocks, j0 = i_panel * GI_TILE_N;
        const size_t n_j = job->n_out - j0 < GI_TILE_N ? job->n_out - j0 : GI_TILE_N;
        const size_t row0 = i % job->n_row_blocks * ROWS;
        const size_t row_end = row0 + ROWS < a->n_tokens ? row0 + ROWS : a->n_tokens;
        for (size_t row = row0; row < row_end; row += GI_TILE_M) {
            const size_t n_m = row_end - row < GI_TILE_M ? row_end - row : GI_TILE_M;
            product(job, y, sums, row, n_m, i_panel);
            if (a->epilogue == GI_EPILOGUE_SWIGLU)
                product(job, y_up, sums, row, n_m, job->n_out_panels + i_panel);
            for (size_t m = 0; m < n_m; m++) {
                float *out = gi_cpu_row(a->out, row + m) + j0;
                const float *ym = y + m * GI_TILE_N;
                if (a->epilogue == GI_EPILOGUE_STORE)
                    memcpy(out, ym, n_j * sizeof *out);
                else if (a->epilogue == GI_EPILOGUE_ADD)
                    k->add_row(out, ym, n_j);
                else
                    k->swiglu(out, ym, y_up + m * GI_TILE_N, n_j);
            }
        }
    }
}

void gi_cpu_linear_packed(gi_device_cpu *cpu, const gi_linear_args *args) {
    const gi_matrix *m = args->matrix;
    packed_job job = {.cpu = cpu, .args = args};
    job.n_out = m->is_swiglu ? m->n_rows / 2 : m->n_rows;
    job.n_out_panels = gi_pack_panels(job.n_out);
    job.n_row_blocks = (args->n_tokens + ROWS - 1) / ROWS;
    job.ld_x = m->n_units * (m->format == GI_CPU_S8 ? 4 : 2);
    gi_assert(args->n_tokens <= cpu->options.linear_rows_max);
    if (args->n_tokens * m->n_cols <= SERIAL_ELEMS)
        narrow_rows(&job, 0, args->n_tokens, 0);
    else
        gi_workers_run(cpu->workers, args->n_tokens, 8, narrow_rows, &job);
    gi_workers_run(cpu->workers, job.n_out_panels * job.n_row_blocks, 1, run_products, &job);
}
