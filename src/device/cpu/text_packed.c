/*
 * Text attention over a packed KV store.
 *
 * A block of 64 tokens is a panel, so scores and mixes are the same products as in the linear
 * operations, with the cache in the place of weights. The query heads that share a kv head are
 * rows of one tile: a group of G heads of one token, or of several tokens while prefilling, reads
 * each block once.
 *
 *     queries [Hkv][T * G][D]       row t * G + g: token t, head kv * G + g
 *
 * Long sequences are attended to in chunks of CHUNK tokens, each with a softmax of its own, and
 * the chunks are merged in order. So scores need little room, and when there are fewer tiles than
 * workers, the chunks of one tile are spread over them. Chunks depend on positions alone: a row's
 * result is the same bits whoever computes it and whatever else is in the batch.
 */
#include "device/cpu/device_cpu.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

typedef struct text_job {
    gi_device_cpu *cpu;
    const gi_attention_args *args;
    const gi_cpu_kv_format *format;
    size_t n_kv_heads, group, head_dim;
    size_t n_tokens;
    size_t n_chunks; /* most chunks of any span */
    size_t ld_part;  /* floats of a part */
    float scale;
} text_job;

enum { BLOCK = GI_CPU_PACKED_BLOCK, CHUNK_BLOCKS = 16, CHUNK = CHUNK_BLOCKS * BLOCK };

/*
 * The outcome of one chunk for the rows of a tile: maximum and sum of the softmax, and the mix of
 * values before division, [GI_TILE_M] + [GI_TILE_M] + [GI_TILE_M][D, up to whole tiles] floats.
 */
typedef struct part {
    float *max, *sum, *mix;
} part;

static size_t part_floats(size_t head_dim) {
    return GI_TILE_M * (2 + gi_round_up(head_dim, GI_TILE_N));
}

static part part_at(float *floats) {
    return (part){.max = floats, .sum = floats + GI_TILE_M, .mix = floats + 2 * GI_TILE_M};
}

/* Scores, their softmax in BF16, a block's mix, and the format's own scratch. */
enum { ATTEND_FLOATS = GI_TILE_M * (CHUNK + CHUNK / 2 + GI_TILE_N) + GI_CPU_KV_SCRATCH };

/* Tiles below this many per worker are split into chunks. */
enum { SPLIT_TILES = 2 };

size_t gi_cpu_text_parts_floats(const gi_device_cpu_options *o) {
    const size_t chunks = (o->kv_tokens_max + CHUNK - 1) / CHUNK;
    return (size_t)o->n_threads * SPLIT_TILES * chunks * part_floats(o->text_head_dim);
}

size_t gi_cpu_text_packed_scratch_floats(const gi_device_cpu_options *o) {
    const size_t floats = ATTEND_FLOATS + 2 * part_floats(o->text_head_dim);
    return floats > 2 * o->text_cols ? floats : 2 * o->text_cols;
}

static gi_cpu_kv_head head_at(const text_job *job, const gi_span *span, size_t i_block,
                              size_t kv_head) {
    return (gi_cpu_kv_head){.kv = job->args->kv,
                            .layer = job->args->layer,
                            .block = (size_t)span->blocks[i_block],
                            .kv_head = kv_head};
}

/* ---- store ---------------------------------------------------------------------------------- */

static void clear_new_blocks(const text_job *job) {
    const gi_attention_args *a = job->args;
    for (size_t i = 0; i < a->n_spans; i++) {
        const gi_span *s = &a->spans[i];
        const size_t end = s->n_past + s->n_rows;
        for (size_t pos = gi_round_up(s->n_past, BLOCK); pos < end; pos += BLOCK)
            for (size_t h = 0; h < job->n_kv_heads; h++)
                job->format->clear(head_at(job, s, pos / BLOCK, h));
    }
}

static void run_store(void *ctx, size_t begin, size_t end, int i_worker) {
    const text_job *job = ctx;
    const gi_attention_args *a = job->args;
    const size_t d = job->head_dim, n_pairs = a->rotary_dim / 2, g = job->group;
    for (size_t t = begin; t < end; t++) {
        const float *cos = a->rope_cos + t * n_pairs, *sin = a->rope_sin + t * n_pairs;
        float *q = gi_cpu_row(a->qkv, t), *k = q + a->n_heads * d;
        for (size_t h = 0; h < a->n_heads + job->n_kv_heads; h++)
            gi_cpu_rope_interleaved(q + h * d, cos, sin, n_pairs);
        for (size_t h = 0; h < a->n_heads; h++)
            job->format->store_query(job->cpu, (h / g * job->n_tokens + t) * g + h % g, q + h * d,
                                     job->scale, d);
        const gi_span *span = gi_cpu_span_of_row(a, t);
        const size_t pos = span->n_past + (t - span->first_row);
        for (size_t h = 0; h < job->n_kv_heads; h++)
            job->format->store(job->cpu, head_at(job, span, pos / BLOCK, h), pos % BLOCK, k + h * d,
                               k + (job->n_kv_heads + h) * d, gi_cpu_scratch(job->cpu, i_worker));
    }
}

/* ---- attend --------------------------------------------------------------------------------- */

/* Rows [first, first + n_m) of a span, counted in (token, head of the group), and one kv head. */
typedef struct tile {
    const gi_span *span;
    size_t kv_head, first, n_m;
} tile;

/* Keys that tile row m sees. */
static size_t keys_of(const text_job *job, const tile *t, size_t m) {
    return t->span->n_past + (t->first + m) / job->group + 1;
}

static size_t chunks_of(const text_job *job, const tile *t) {
    return (keys_of(job, t, t->n_m - 1) + CHUNK - 1) / CHUNK;
}

/* mix[n_m, D] = weights times the chunk's values. */
static void mix_values(const text_job *job, const tile *t, size_t block0, size_t n_blocks,
                       const uint16_t *weights, float *block_mix, float *scratch, float *mix) {
    for (size_t c0 = 0; c0 < job->head_dim; c0 += GI_TILE_N, mix += GI_TILE_M * GI_TILE_N)
        for (size_t b = 0; b < n_blocks; b++) {
            job->format->mix(job->cpu, head_at(job, t->span, block0 + b, t->kv_head), c0,
                             weights + b * BLOCK, CHUNK, t->n_m, b == 0 ? mix : block_mix, scratch);
            if (b > 0) job->cpu->kernels.add_row(mix, block_mix, t->n_m * GI_TILE_N);
        }
}

static void attend_chunk(const text_job *job, const tile *t, size_t chunk, float *scratch,
                         part ret) {
    const gi_kernels *kern = &job->cpu->kernels;
    const size_t begin = chunk * CHUNK, block0 = chunk * CHUNK_BLOCKS;
    const size_t last = keys_of(job, t, t->n_m - 1) - begin;
    const size_t n_blocks = last < CHUNK ? (last + BLOCK - 1) / BLOCK : CHUNK_BLOCKS;
    float *scores = scratch, *block_mix = scores + GI_TILE_M * CHUNK;
    float *format_scratch = block_mix + GI_TILE_M * GI_TILE_N;
    uint16_t *weights = (uint16_t *)(void *)(format_scratch + GI_CPU_KV_SCRATCH);
    const size_t q_row = (t->kv_head * job->n_tokens + t->span->first_row) * job->group + t->first;

    for (size_t b = 0; b < n_blocks; b++)
        job->format->scores(job->cpu, head_at(job, t->span, block0 + b, t->kv_head), q_row, t->n_m,
                            scores + b * BLOCK, CHUNK, format_scratch);
    for (size_t m = 0; m < t->n_m; m++) {
        float *row = scores + m * CHUNK;
        const size_t end = keys_of(job, t, m);
        const size_t n = end <= begin ? 0 : end - begin < CHUNK ? end - begin : CHUNK;
        ret.max[m] = -INFINITY;
        ret.sum[m] = 0;
        if (n == 0) {
            memset(weights + m * CHUNK, 0, n_blocks * BLOCK * sizeof *weights);
            continue;
        }
        /* Only a merge looks at the maximum. */
        for (size_t i = 0; job->n_chunks > 1 && i < n; i++)
            ret.max[m] = row[i] > ret.max[m] ? row[i] : ret.max[m];
        ret.sum[m] = 1.0f / kern->softmax_bf16(weights + m * CHUNK, row, n, n_blocks * BLOCK);
    }
    mix_values(job, t, block0, n_blocks, weights, block_mix, format_scratch, ret.mix);
}

/* acc = the softmax over the keys of both. Milakov & Gimelshein 2018, section 3. */
static void merge_part(const text_job *job, part acc, part p, size_t n_m) {
    for (size_t m = 0; m < n_m; m++) {
        const float max = p.max[m] > acc.max[m] ? p.max[m] : acc.max[m];
        const float a = expf(acc.max[m] - max), b = expf(p.max[m] - max);
        acc.max[m] = max;
        acc.sum[m] = acc.sum[m] * a + p.sum[m] * b;
        for (size_t c0 = 0; c0 < job->head_dim; c0 += GI_TILE_N) {
            float *x = acc.mix + (c0 / GI_TILE_N * GI_TILE_M + m) * GI_TILE_N;
            const float *y = p.mix + (x - acc.mix);
            for (size_t c = 0; c < GI_TILE_N; c++) x[c] = x[c] * a + y[c] * b;
        }
    }
}

static void store_tile(const text_job *job, const tile *t, part p) {
    const gi_attention_args *a = job->args;
    const size_t d = job->head_dim, g = job->group;
    for (size_t m = 0; m < t->n_m; m++) {
        const size_t row = t->first + m;
        float *out =
            gi_cpu_row(a->out, t->span->first_row + row / g) + (t->kv_head * g + row % g) * d;
        const float inverse = 1.0f / p.sum[m];
        for (size_t c = 0; c < d; c++)
            out[c] = p.mix[(c / GI_TILE_N * GI_TILE_M + m) * GI_TILE_N + c % GI_TILE_N] * inverse;
    }
}

static size_t tiles_of(const text_job *job, const gi_span *span) {
    return (span->n_rows * job->group + GI_TILE_M - 1) / GI_TILE_M;
}

/* Index i counts (tile, kv head) pairs, all spans' tiles in a row. */
static tile tile_at(const text_job *job, size_t i) {
    size_t k = i / job->n_kv_heads;
    const gi_span *span = job->args->spans;
    for (; k >= tiles_of(job, span); span++) k -= tiles_of(job, span);
    const size_t first = k * GI_TILE_M, left = span->n_rows * job->group - first;
    return (tile){.span = span,
                  .kv_head = i % job->n_kv_heads,
                  .first = first,
                  .n_m = left < GI_TILE_M ? left : GI_TILE_M};
}

/* A whole tile. */
static void run_tiles(void *ctx, size_t begin, size_t end, int i_worker) {
    const text_job *job = ctx;
    float *scratch = gi_cpu_scratch(job->cpu, i_worker);
    float *parts = scratch + ATTEND_FLOATS;
    const part acc = part_at(parts), next = part_at(parts + job->ld_part);
    for (size_t i = begin; i < end; i++) {
        const tile t = tile_at(job, i);
        attend_chunk(job, &t, 0, scratch, acc);
        for (size_t chunk = 1; chunk < chunks_of(job, &t); chunk++) {
            attend_chunk(job, &t, chunk, scratch, next);
            merge_part(job, acc, next, t.n_m);
        }
        store_tile(job, &t, acc);
    }
}

/* One chunk of a tile, into the shared parts. */
static void run_chunks(void *ctx, size_t begin, size_t end, int i_worker) {
    const text_job *job = ctx;
    for (size_t i = begin; i < end; i++) {
        const tile t = tile_at(job, i / job->n_chunks);
        const size_t chunk = i % job->n_chunks;
        if (chunk < chunks_of(job, &t))
            attend_chunk(job, &t, chunk, gi_cpu_scratch(job->cpu, i_worker),
                         part_at(job->cpu->text_parts + i * job->ld_part));
    }
}

static void run_merges(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const text_job *job = ctx;
    for (size_t i = begin; i < end; i++) {
        const tile t = tile_at(job, i);
        float *parts = job->cpu->text_parts + i * job->n_chunks * job->ld_part;
        for (size_t chunk = 1; chunk < chunks_of(job, &t); chunk++)
            merge_part(job, part_at(parts), part_at(parts + chunk * job->ld_part), t.n_m);
        store_tile(job, &t, part_at(parts));
    }
}

void gi_cpu_attention_packed(gi_device_cpu *cpu, const gi_attention_args *args) {
    const gi_kv_shape *s = &args->kv->shape;
    text_job job = {
        .cpu = cpu,
        .args = args,
        .format = args->kv->format == GI_CPU_S8 ? &gi_cpu_kv_s8 : &gi_cpu_kv_bf16,
        .n_kv_heads = s->n_kv_heads,
        .group = args->n_heads / s->n_kv_heads,
        .head_dim = s->head_dim,
        .ld_part = part_floats(s->head_dim),
        .scale = 1.0f / sqrtf((float)s->head_dim),
    };
    gi_assert(job.group > 0);
    size_t n_tiles = 0;
    for (size_t i = 0; i < args->n_spans; i++) {
        const gi_span *span = &args->spans[i];
        const size_t chunks = (span->n_past + span->n_rows + CHUNK - 1) / CHUNK;
        job.n_tokens += span->n_rows;
        n_tiles += tiles_of(&job, span) * s->n_kv_heads;
        job.n_chunks = chunks > job.n_chunks ? chunks : job.n_chunks;
    }
    gi_assert(s->head_dim == cpu->options.text_head_dim);
    gi_assert(args->n_heads * s->head_dim <= cpu->options.text_cols);
    gi_assert(job.n_tokens <= cpu->options.linear_rows_max);
    clear_new_blocks(&job);
    if (job.n_tokens < 8)
        run_store(&job, 0, job.n_tokens, 0);
    else
        gi_workers_run(cpu->workers, job.n_tokens, 8, run_store, &job);
    const size_t n_workers = (size_t)gi_workers_count(cpu->workers);
    if (job.n_chunks == 1 || n_tiles > SPLIT_TILES * n_workers) {
        gi_workers_run(cpu->workers, n_tiles, 1, run_tiles, &job);
    } else {
        gi_workers_run(cpu->workers, n_tiles * job.n_chunks, 1, run_chunks, &job);
        gi_workers_run(cpu->workers, n_tiles, 1, run_merges, &job);
    }
}
