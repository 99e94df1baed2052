/*
 * A packed matrix: its panels found in the checkpoint, or made from plain rows at load.
 */
#include "device/cpu/device_cpu.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "kernels/pack.h"

/* Rows that are packed together: a part, or half of one. At most two halves of three parts. */
typedef struct row_run {
    const gi_matrix_part *part;
    size_t first_in_part, first_row, n_rows;
    bool is_packed; /* the part has panels in the matrix's format */
} row_run;

enum { RUNS_MAX = 2 * GI_MATRIX_PARTS_MAX };

typedef struct pack_job {
    gi_device_cpu *cpu;
    gi_matrix *m;
} pack_job;

static size_t list_runs(const gi_matrix *m, row_run runs[RUNS_MAX]) {
    const gi_dtype want = m->format == GI_CPU_S8 ? GI_DTYPE_S8 : GI_DTYPE_BF16;
    const size_t n_cuts = m->is_swiglu && m->n_parts == 1 ? 2 : 1;
    size_t n = 0, row = 0;
    for (size_t i = 0; i < m->n_parts; i++) {
        const gi_matrix_part *p = &m->parts[i];
        for (size_t cut = 0; cut < n_cuts; cut++) {
            const size_t n_rows = p->n_rows / n_cuts;
            runs[n++] = (row_run){.part = p,
                                  .first_in_part = cut * n_rows,
                                  .first_row = row,
                                  .n_rows = n_rows,
                                  .is_packed = p->panels && p->panels_type == want};
            row += n_rows;
        }
    }
    return n;
}

/* Fill the panels whose units are owned. */
static void run_pack(void *ctx, size_t begin, size_t end, int i_worker) {
    const pack_job *job = ctx;
    const gi_matrix *m = job->m;
    float *row = gi_cpu_scratch(job->cpu, i_worker);
    for (size_t i = begin; i < end; i++) {
        const gi_cpu_panel *panel = &m->panels[i];
        if (panel->i_owned == SIZE_MAX) continue;
        uint8_t *units = m->owned_units + panel->i_owned * m->n_units * GI_UNIT_BYTES;
        const void *rows[GI_TILE_N];
        for (size_t j = 0; j < panel->n_rows; j++)
            rows[j] = gi_cpu_matrix_row(m, panel->first_row + j);
        if (m->format == GI_CPU_S8)
            gi_pack_panel_s8(units, m->owned_scales + panel->i_owned * GI_TILE_N, rows,
                             panel->n_rows, m->type, m->n_cols, job->cpu->kernels.widen, row);
        else
            gi_pack_panel_bf16((uint16_t *)(void *)units, rows, panel->n_rows, m->type, m->n_cols,
                               job->cpu->kernels.widen, row);
    }
}

/* Point every panel at its bytes. */
static void place_panels(gi_matrix *m, const row_run *runs, size_t n_runs) {
    const size_t panel_bytes = m->n_units * GI_UNIT_BYTES;
    gi_cpu_panel *panel = m->panels;
    size_t n_owned = 0;
    for (size_t r = 0; r < n_runs; r++) {
        const size_t in_part = gi_pack_panels(runs[r].n_rows) * (runs[r].first_in_part > 0);
        for (size_t row = 0; row < runs[r].n_rows; row += GI_TILE_N, panel++) {
            const size_t i = in_part + row / GI_TILE_N, left = runs[r].n_rows - row;
            panel->first_row = runs[r].first_row + row;
            panel->n_rows = left < GI_TILE_N ? left : GI_TILE_N;
            panel->i_owned = runs[r].is_packed ? SIZE_MAX : n_owned++;
            const uint8_t *base = runs[r].is_packed ? runs[r].part->panels : m->owned_units;
            const size_t at = runs[r].is_packed ? i : panel->i_owned;
            panel->units = base + at * panel_bytes;
            if (m->format == GI_CPU_S8)
                panel->scales =
                    (runs[r].is_packed ? runs[r].part->scales : m->owned_scales) + at * GI_TILE_N;
        }
    }
}

glint_status gi_cpu_matrix_pack(gi_device_cpu *cpu, gi_matrix *m, const char *name,
                                glint_error *err) {
    row_run runs[RUNS_MAX];
    const size_t n_runs = list_runs(m, runs);
    size_t n_owned = 0;
    for (size_t r = 0; r < n_runs; r++) {
        const size_t n = gi_pack_panels(runs[r].n_rows);
        m->n_panels += n;
        if (runs[r].is_packed) continue;
        if (!runs[r].part->weight)
            return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                           "%s: the checkpoint holds it packed as %s only", name,
                           gi_dtype_name(runs[r].part->panels_type));
        n_owned += n;
    }
    if (m->format == GI_CPU_S8 && gi_pack_units_s8(m->n_cols) > GI_S8_UNITS_MAX)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                       "%s: %zu columns are too many for INT8, which takes %d", name, m->n_cols,
                       4 * GI_S8_UNITS_MAX);
    gi_assert(m->n_cols <= cpu->options.linear_cols_max && !(m->bias && m->is_swiglu));
    m->n_units =
        m->format == GI_CPU_S8 ? gi_pack_units_s8(m->n_cols) : gi_pack_units_bf16(m->n_cols);
    m->panels = gi_calloc(m->n_panels, sizeof *m->panels);
    if (n_owned > 0) {
        m->owned_units = gi_alloc_aligned(n_owned * m->n_units, GI_UNIT_BYTES);
        m->owned_scales = gi_alloc_aligned(n_owned, GI_TILE_N * sizeof(float));
    }
    if (!m->panels || (n_owned > 0 && (!m->owned_units || !m->owned_scales)))
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory to pack %s", name);
    place_panels(m, runs, n_runs);
    pack_job job = {.cpu = cpu, .m = m};
    if (n_owned > 0) gi_workers_run(cpu->workers, m->n_panels, 1, run_pack, &job);
    return GLINT_OK;
}
