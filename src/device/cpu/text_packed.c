/*
 * Text attention over a packed KV store.
 *
 * A block of 64 tokens is a panel, so scores and mixes are the same products as in the linear
 * operations, with the cache in the place of weights. The query heads that share a kv head are
 * rows of one tile: a group of G heads of one token, or of several tokens while prefilling, reads
 * each block once.
 *
 *     queries [Hkv][T * G][D]       row t * G + g: token t, head kv * G + g
 */
#include "device/cpu/device_cpu.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

typedef struct text_job {
    gi_device_cpu *cpu;
    const gi_attention_args *args;
    size_t n_kv_heads, group, head_dim;
    size_t n_tokens;
    size_t ld_scores; /* floats between rows of scores */
    float scale;
} text_job;

enum { BLOCK = GI_CPU_PACKED_BLOCK };

size_t gi_cpu_text_packed_scratch_floats(const gi_device_cpu_options *o) {
    const size_t keys = gi_round_up(o->kv_tokens_max, BLOCK);
    /* Scores, their softmax in BF16, a tile of sums and one of a block's part. */
    const size_t attend = GI_TILE_M * (keys + keys / 2 + 2 * GI_TILE_N);
    return attend > 2 * o->text_cols ? attend : 2 * o->text_cols;
}

static size_t block_of(const gi_span *span, size_t pos) {
    return (size_t)span->blocks[pos / BLOCK];
}

/* ---- store ---------------------------------------------------------------------------------- */

/*
 * A block that is begun may hold another sequence's values. They will get weight 0, but 0 times
 * an infinity is not 0: begin with zeros.
 */
static void clear_new_blocks(const text_job *job) {
    const gi_attention_args *a = job->args;
    gi_kv_store *kv = a->kv;
    for (size_t i = 0; i < a->n_spans; i++) {
        const gi_span *s = &a->spans[i];
        const size_t end = s->n_past + s->n_rows;
        for (size_t pos = gi_round_up(s->n_past, BLOCK); pos < end; pos += BLOCK)
            memset((uint16_t *)kv->values +
                       gi_cpu_kv_offset(kv, a->layer, block_of(s, pos), 0, kv->value_head),
                   0, job->n_kv_heads * kv->value_head * sizeof(uint16_t));
    }
}

static void store_row(const text_job *job, const float *k, const float *v, size_t layer_block,
                      size_t slot, uint16_t *narrow) {
    const gi_attention_args *a = job->args;
    const gi_kv_store *kv = a->kv;
    const gi_kernels *kern = &job->cpu->kernels;
    const size_t d = job->head_dim;
    kern->narrow_row(narrow, k, 1.0f, job->n_kv_heads * d, job->n_kv_heads * d);
    for (size_t h = 0; h < job->n_kv_heads; h++) {
        uint16_t *keys =
            (uint16_t *)kv->keys + gi_cpu_kv_offset(kv, a->layer, layer_block, h, kv->key_head);
        for (size_t u = 0; u < d / 2; u++)
            memcpy(keys + (u * BLOCK + slot) * 2, narrow + h * d + 2 * u, 4);
    }
    kern->narrow_row(narrow, v, 1.0f, job->n_kv_heads * d, job->n_kv_heads * d);
    for (size_t h = 0; h < job->n_kv_heads; h++) {
        uint16_t *values =
            (uint16_t *)kv->values + gi_cpu_kv_offset(kv, a->layer, layer_block, h, kv->value_head);
        for (size_t c = 0; c < d; c++)
            values[((c / GI_TILE_N * (BLOCK / 2) + slot / 2) * GI_TILE_N + c % GI_TILE_N) * 2 +
                   slot % 2] = narrow[h * d + c];
    }
}

static void run_store(void *ctx, size_t begin, size_t end, int i_worker) {
    const text_job *job = ctx;
    const gi_attention_args *a = job->args;
    const size_t d = job->head_dim, n_pairs = a->rotary_dim / 2, g = job->group;
    uint16_t *narrow = (uint16_t *)(void *)gi_cpu_scratch(job->cpu, i_worker);
    for (size_t t = begin; t < end; t++) {
        const float *cos = a->rope_cos + t * n_pairs, *sin = a->rope_sin + t * n_pairs;
        float *q = gi_cpu_row(a->qkv, t), *k = q + a->n_heads * d;
        for (size_t h = 0; h < a->n_heads + job->n_kv_heads; h++)
            gi_cpu_rope_interleaved(q + h * d, cos, sin, n_pairs);
        for (size_t h = 0; h < a->n_heads; h++)
            job->cpu->kernels.narrow_row(job->cpu->queries +
                                             ((h / g * job->n_tokens + t) * g + h % g) * d,
                                         q + h * d, job->scale, d, d);
        const gi_span *span = gi_cpu_span_of_row(a, t);
        const size_t pos = span->n_past + (t - span->first_row);
        store_row(job, k, k + job->n_kv_heads * d, block_of(span, pos), pos % BLOCK, narrow);
    }
}

/* ---- attend --------------------------------------------------------------------------------- */

/* Tile rows [first, first + n_m) of a span, counted in (token, head of the group), one kv head. */
static void attend_tile(const text_job *job, const gi_span *span, size_t kv_head, size_t first,
                        size_t n_m, float *scratch) {
    const gi_attention_args *a = job->args;
    const gi_kernels *kern = &job->cpu->kernels;
    const gi_kv_store *kv = a->kv;
    const size_t d = job->head_dim, g = job->group, ld = job->ld_scores;
    float *scores = scratch, *sum = scores + GI_TILE_M * ld, *part = sum + GI_TILE_M * GI_TILE_N;
    uint16_t *weights = (uint16_t *)(void *)(part + GI_TILE_M * GI_TILE_N);
    const uint16_t *q =
        job->cpu->queries + ((kv_head * job->n_tokens + span->first_row) * g + first) * d;
    const size_t len_max = span->n_past + (first + n_m - 1) / g + 1;
    const size_t n_blocks = (len_max + BLOCK - 1) / BLOCK;
    float inverse[GI_TILE_M];

    for (size_t b = 0; b < n_blocks; b++)
        kern->gemm_bf16(scores + b * BLOCK, ld, q, d, n_m,
                        (const uint16_t *)kv->keys + gi_cpu_kv_offset(kv, a->layer,
                                                                      (size_t)span->blocks[b],
                                                                      kv_head, kv->key_head),
                        d / 2);
    for (size_t m = 0; m < n_m; m++)
        inverse[m] = kern->softmax_bf16(weights + m * ld, scores + m * ld,
                                        span->n_past + (first + m) / g + 1, n_blocks * BLOCK);
    for (size_t c0 = 0; c0 < d; c0 += GI_TILE_N) {
        const size_t n_c = d - c0 < GI_TILE_N ? d - c0 : GI_TILE_N;
        for (size_t b = 0; b < n_blocks; b++) {
            const uint16_t *values =
                (const uint16_t *)kv->values +
                gi_cpu_kv_offset(kv, a->layer, (size_t)span->blocks[b], kv_head, kv->value_head) +
                c0 * BLOCK;
            kern->gemm_bf16(b == 0 ? sum : part, GI_TILE_N, weights + b * BLOCK, ld, n_m, values,
                            BLOCK / 2);
            if (b > 0) kern->add_row(sum, part, n_m * GI_TILE_N);
        }
        for (size_t m = 0; m < n_m; m++) {
            const size_t row = first + m;
            float *out =
                gi_cpu_row(a->out, span->first_row + row / g) + (kv_head * g + row % g) * d + c0;
            for (size_t c = 0; c < n_c; c++) out[c] = sum[m * GI_TILE_N + c] * inverse[m];
        }
    }
}

static size_t tiles_of(const text_job *job, const gi_span *span) {
    return (span->n_rows * job->group + GI_TILE_M - 1) / GI_TILE_M;
}

/* Index i counts (tile, kv head) pairs, all spans' tiles in a row. */
static void run_attend(void *ctx, size_t begin, size_t end, int i_worker) {
    const text_job *job = ctx;
    for (size_t i = begin; i < end; i++) {
        size_t tile = i / job->n_kv_heads;
        const gi_span *span = job->args->spans;
        for (; tile >= tiles_of(job, span); span++) tile -= tiles_of(job, span);
        const size_t first = tile * GI_TILE_M, n_rows = span->n_rows * job->group;
        attend_tile(job, span, i % job->n_kv_heads, first,
                    n_rows - first < GI_TILE_M ? n_rows - first : GI_TILE_M,
                    gi_cpu_scratch(job->cpu, i_worker));
    }
}

void gi_cpu_attention_packed(gi_device_cpu *cpu, const gi_attention_args *args) {
    const gi_kv_shape *s = &args->kv->shape;
    text_job job = {
        .cpu = cpu,
        .args = args,
        .n_kv_heads = s->n_kv_heads,
        .group = args->n_heads / s->n_kv_heads,
        .head_dim = s->head_dim,
        .ld_scores = gi_round_up(cpu->options.kv_tokens_max, BLOCK),
        .scale = 1.0f / sqrtf((float)s->head_dim),
    };
    gi_assert(job.group > 0);
    size_t n_tiles = 0;
    for (size_t i = 0; i < args->n_spans; i++) {
        job.n_tokens += args->spans[i].n_rows;
        n_tiles += tiles_of(&job, &args->spans[i]);
    }
    gi_assert(args->n_heads * s->head_dim <= cpu->options.text_cols);
    gi_assert(job.n_tokens <= cpu->options.linear_rows_max);
    clear_new_blocks(&job);
    if (job.n_tokens < 8)
        run_store(&job, 0, job.n_tokens, 0);
    else
        gi_workers_run(cpu->workers, job.n_tokens, 8, run_store, &job);
    gi_workers_run(cpu->workers, n_tiles * s->n_kv_heads, 1, run_attend, &job);
}
