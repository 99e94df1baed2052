/*
 * Vision attention in BF16 over packed panels.
 *
 * Keys and values become panels, as if they were weights: scores are q times a panel of 64 keys,
 * and the mix is the softmax times a panel of 64 value columns.
 *
 *     queries       [H][P][D]                       roped, times 1 / sqrt(D)
 *     key panels    [H][P / 64][D / 2][64 keys][2]       pairs of dims
 *     value panels  [H][D / 64][P / 2][64 dims][2]       pairs of keys
 *
 * A piece of work is one head and six queries: all their scores lie in the worker's scratch, so
 * the softmax sees whole rows and nothing is rescaled.
 */
#include "device/cpu/device_cpu.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "kernels/pack.h"

#include <math.h>
#include <string.h>

typedef struct packed_job {
    gi_device_cpu *cpu;
    const gi_vision_attention_args *args;
    size_t cols, head_dim;
    size_t n_units_k;            /* D / 2: units of a key panel */
    size_t n_key_panels;         /* P / 64, up */
    size_t n_value_panels;       /* D / 64, up */
    size_t keys_padded;          /* n_key_panels * 64 */
    size_t key_head, value_head; /* elements of one head's panels */
} packed_job;

enum { AHEAD = 6 }; /* rows between a prefetch and its use */

static size_t dims_of(const gi_device_cpu_options *o) {
    return o->vision_cols / o->vision_heads;
}

size_t gi_cpu_vision_packed_scratch_floats(const gi_device_cpu_options *o) {
    const size_t keys = gi_round_up(o->patches_max, GI_TILE_N), d = dims_of(o);
    /* Scores, their softmax in BF16, a tile of results; or 64 rows of roped keys. */
    const size_t attend = GI_TILE_M * (keys + keys / 2 + GI_TILE_N);
    const size_t pack = GI_TILE_N * (d + d / 2);
    return attend > pack ? attend : pack;
}

glint_status gi_cpu_vision_packed_create(gi_device_cpu *cpu, glint_error *err) {
    const gi_device_cpu_options *o = &cpu->options;
    const size_t keys = gi_round_up(o->patches_max, GI_TILE_N), d = dims_of(o);
    gi_assert(d % 2 == 0);
    cpu->key_panels = gi_alloc_aligned(o->vision_cols * keys, sizeof(uint16_t));
    cpu->value_panels =
        gi_alloc_aligned(o->vision_heads * gi_round_up(d, GI_TILE_N) * keys, sizeof(uint16_t));
    if (!cpu->key_panels || !cpu->value_panels)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for vision attention");
    return GLINT_OK;
}

/* ---- q, k, v to panels ---------------------------------------------------------------------- */

/* Halves (j, j + D/2), as rotate_half. */
static void rope_halves(float *restrict out, const float *restrict x, const float *restrict cos,
                        const float *restrict sin, size_t half) {
    for (size_t j = 0; j < half; j++) {
        out[j] = x[j] * cos[j] - x[j + half] * sin[j];
        out[j + half] = x[j + half] * cos[j] + x[j] * sin[j];
    }
}

/* Two columns of 16 bits at a time: dst[u][j] = (src[j][2u], src[j][2u + 1]). */
static void interleave_keys(uint16_t *dst, const uint16_t *src, size_t n_units) {
    for (size_t u = 0; u < n_units; u++)
        for (size_t j = 0; j < GI_TILE_N; j++)
            memcpy(dst + (u * GI_TILE_N + j) * 2, src + j * 2 * n_units + 2 * u, 4);
}

/* A head's dims of a row lie far from those of the next row: no pattern that the processor finds.
 */
static void prefetch_floats(const float *x, size_t n) {
    for (size_t i = 0; i < n; i += 16) __builtin_prefetch(x + i);
}

/* Values of two keys, side by side: dst[panel][pair][64 dims][2]. */
static void interleave_values(uint16_t *dst, size_t ld_panel, const uint16_t *rows, size_t d) {
    for (size_t c0 = 0; c0 < d; c0 += GI_TILE_N, dst += ld_panel)
        for (size_t c = 0; c < GI_TILE_N && c0 + c < d; c++) {
            dst[2 * c] = rows[c0 + c];
            dst[2 * c + 1] = rows[d + c0 + c];
        }
}

/* Index i counts (head, block of 64 patches). */
static void run_pack(void *ctx, size_t begin, size_t end, int i_worker) {
    const packed_job *job = ctx;
    const gi_vision_attention_args *a = job->args;
    const gi_kernels *k = &job->cpu->kernels;
    const size_t d = job->head_dim, half = d / 2;
    const float scale = 1.0f / sqrtf((float)d);
    float *roped = gi_cpu_scratch(job->cpu, i_worker);
    uint16_t *rows = (uint16_t *)(void *)(roped + GI_TILE_N * d);
    for (size_t i = begin; i < end; i++) {
        const size_t h = i / job->n_key_panels, block = i % job->n_key_panels;
        const size_t p0 = block * GI_TILE_N;
        const size_t n = a->n_patches - p0 < GI_TILE_N ? a->n_patches - p0 : GI_TILE_N;
        uint16_t *values = job->cpu->value_panels + h * job->value_head;
        if (n < GI_TILE_N) memset(rows, 0, GI_TILE_N * d * sizeof *rows);
        for (size_t r = 0; r < n; r++) {
            const size_t p = p0 + r;
            const float *q = gi_cpu_row(a->qkv, p) + h * d;
            for (size_t part = 0; part < 3 && r + AHEAD < n; part++)
                prefetch_floats(q + AHEAD * a->qkv.cols + part * job->cols, d);
            const float *cos = a->rope_cos + p * half, *sin = a->rope_sin + p * half;
            rope_halves(roped, q, cos, sin, half);
            k->narrow_row(job->cpu->queries + (h * a->n_patches + p) * d, roped, scale, d, d);
            rope_halves(roped, q + job->cols, cos, sin, half);
            k->narrow_row(rows + r * d, roped, 1.0f, d, d);
        }
        interleave_keys(job->cpu->key_panels + h * job->key_head +
                            block * job->n_units_k * GI_TILE_N * 2,
                        rows, job->n_units_k);
        for (size_t r = 0; r < n; r++)
            k->narrow_row(rows + r * d, gi_cpu_row(a->qkv, p0 + r) + 2 * job->cols + h * d, 1.0f, d,
                          d);
        /* Keys past the last have weight 0, but 0 times what lies there must be 0. */
        memset(rows + n * d, 0, (GI_TILE_N - n) * d * sizeof *rows);
        for (size_t r = 0; r < GI_TILE_N; r += 2)
            interleave_values(values + (p0 + r) * GI_TILE_N, job->keys_padded * GI_TILE_N,
                              rows + r * d, d);
    }
}

/* ---- attention ------------------------------------------------------------------------------ */

/* Index i counts (head, six queries), heads outermost so that a head's panels stay in cache. */
static void run_attend(void *ctx, size_t begin, size_t end, int i_worker) {
    const packed_job *job = ctx;
    const gi_vision_attention_args *a = job->args;
    const gi_kernels *k = &job->cpu->kernels;
    const size_t n = a->n_patches, d = job->head_dim, ld = job->keys_padded;
    const size_t n_tiles = (n + GI_TILE_M - 1) / GI_TILE_M;
    float *scores = gi_cpu_scratch(job->cpu, i_worker), *tile = scores + GI_TILE_M * ld;
    uint16_t *weights = (uint16_t *)(void *)(tile + GI_TILE_M * GI_TILE_N);
    for (size_t i = begin; i < end; i++) {
        const size_t h = i / n_tiles, row = i % n_tiles * GI_TILE_M;
        const size_t n_m = n - row < GI_TILE_M ? n - row : GI_TILE_M;
        const uint16_t *q = job->cpu->queries + (h * n + row) * d;
        const uint16_t *keys = job->cpu->key_panels + h * job->key_head;
        const uint16_t *values = job->cpu->value_panels + h * job->value_head;
        float inverse[GI_TILE_M];
        for (size_t b = 0; b < job->n_key_panels; b++)
            k->gemm_bf16(scores + b * GI_TILE_N, ld, q, d, n_m,
                         keys + b * job->n_units_k * GI_TILE_N * 2, job->n_units_k);
        for (size_t m = 0; m < n_m; m++)
            inverse[m] = k->softmax_bf16(weights + m * ld, scores + m * ld, n, ld);
        for (size_t v = 0; v < job->n_value_panels; v++) {
            const size_t c0 = v * GI_TILE_N, n_c = d - c0 < GI_TILE_N ? d - c0 : GI_TILE_N;
            k->gemm_bf16(tile, GI_TILE_N, weights, ld, n_m, values + v * ld * GI_TILE_N, ld / 2);
            for (size_t m = 0; m < n_m; m++) {
                float *out = gi_cpu_row(a->out, row + m) + h * d + c0;
                for (size_t c = 0; c < n_c; c++) out[c] = tile[m * GI_TILE_N + c] * inverse[m];
            }
        }
    }
}

void gi_cpu_vision_attention_packed(gi_device_cpu *cpu, const gi_vision_attention_args *args) {
    packed_job job = {.cpu = cpu, .args = args, .cols = args->qkv.cols / 3};
    job.head_dim = job.cols / args->n_heads;
    job.n_units_k = job.head_dim / 2;
    job.n_key_panels = gi_pack_panels(args->n_patches);
    job.n_value_panels = gi_pack_panels(job.head_dim);
    job.keys_padded = job.n_key_panels * GI_TILE_N;
    job.key_head = job.keys_padded * job.head_dim;
    job.value_head = job.n_value_panels * job.keys_padded * GI_TILE_N;
    gi_assert(args->n_heads == cpu->options.vision_heads);
    const size_t n_tiles = (args->n_patches + GI_TILE_M - 1) / GI_TILE_M;
    gi_workers_run(cpu->workers, args->n_heads * job.n_key_panels, 1, run_pack, &job);
    gi_workers_run(cpu->workers, args->n_heads * n_tiles, 4, run_attend, &job);
}
