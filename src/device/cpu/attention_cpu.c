/*
 * Attention. Both towers run the same inner loop: up to four queries against runs of transposed
 * keys, softmax over the scores, then a weighted sum of values.
 *
 * Text: rope, then keys and values go into the paged store, then each (head, four rows) of each
 * span is one piece of work. Rows of a tile see different numbers of keys (causality); the part
 * that all of them see is mixed together, the rest row by row. Every row's sums run over its keys
 * in order, so a row's result does not depend on its neighbours in the batch.
 */
#include "device/cpu/device_cpu.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

/* ---- text ----------------------------------------------------------------------------------- */

typedef struct text_job {
    const gi_device_cpu *cpu;
    const gi_attention_args *args;
    size_t n_heads, n_kv_heads, head_dim, block_tokens;
    float *keys, *values;
    float scale;
} text_job;

void gi_cpu_rope_interleaved(float *x, const float *cos, const float *sin, size_t n_pairs) {
    for (size_t j = 0; j < n_pairs; j++) {
        const float a = x[2 * j], b = x[2 * j + 1];
        x[2 * j] = a * cos[j] - b * sin[j];
        x[2 * j + 1] = b * cos[j] + a * sin[j];
    }
}

const gi_span *gi_cpu_span_of_row(const gi_attention_args *a, size_t row) {
    const gi_span *s = a->spans;
    while (row >= s->first_row + s->n_rows) s++;
    return s;
}

/* Where head `h` of the block that holds position `pos` begins, in keys and in values. */
static size_t block_offset(const text_job *job, const gi_span *span, size_t pos, size_t h) {
    return gi_cpu_kv_offset(job->args->kv, job->args->layer,
                            (size_t)span->blocks[pos / job->block_tokens], h,
                            job->args->kv->key_head);
}

static void run_rope_and_store(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const text_job *job = ctx;
    const gi_attention_args *a = job->args;
    const size_t d = job->head_dim, n_pairs = a->rotary_dim / 2;
    for (size_t t = begin; t < end; t++) {
        const float *cos = a->rope_cos + t * n_pairs, *sin = a->rope_sin + t * n_pairs;
        float *q = gi_cpu_row(a->qkv, t);
        float *k = q + job->n_heads * d, *v = k + job->n_kv_heads * d;
        for (size_t h = 0; h < job->n_heads + job->n_kv_heads; h++)
            gi_cpu_rope_interleaved(q + h * d, cos, sin, n_pairs);
        const gi_span *span = gi_cpu_span_of_row(a, t);
        const size_t pos = span->n_past + (t - span->first_row);
        const size_t slot = pos % job->block_tokens;
        for (size_t h = 0; h < job->n_kv_heads; h++) {
            const size_t at = block_offset(job, span, pos, h);
            for (size_t i = 0; i < d; i++)
                job->keys[at + i * job->block_tokens + slot] = k[h * d + i];
            memcpy(job->values + at + slot * d, v + h * d, d * sizeof(float));
        }
    }
}

/* Rows [row, row + n_q) of one span, one head. */
static void attend_tile(const text_job *job, const gi_span *span, size_t row, size_t n_q,
                        size_t head, float *scores) {
    const gi_attention_args *a = job->args;
    const gi_kernels *kern = &job->cpu->kernels;
    const size_t d = job->head_dim, b = job->block_tokens, ld_s = job->cpu->options.kv_tokens_max;
    const size_t kv_head = head / (job->n_heads / job->n_kv_heads);
    const size_t len0 = span->n_past + (row - span->first_row) + 1; /* keys of the first row */
    const size_t len_max = len0 + n_q - 1;
    const float *q = gi_cpu_row(a->qkv, row) + head * d;
    float *out = gi_cpu_row(a->out, row) + head * d;

    for (size_t p = 0; p < len_max; p += b)
        kern->attn_scores(scores + p, ld_s, q, a->qkv.cols, n_q,
                          job->keys + block_offset(job, span, p, kv_head), b, d,
                          gi_min_size(b, len_max - p), job->scale);
    for (size_t i = 0; i < n_q; i++) {
        kern->softmax(scores + i * ld_s, len0 + i);
        memset(out + i * a->out.cols, 0, d * sizeof *out);
    }
    for (size_t p = 0; p < len_max; p += b) {
        const float *v = job->values + block_offset(job, span, p, kv_head);
        const size_t shared = len0 > p ? gi_min_size(b, len0 - p) : 0;
        if (shared > 0) kern->attn_mix(out, a->out.cols, scores + p, ld_s, n_q, v, d, shared, d);
        for (size_t i = 1; i < n_q; i++) {
            const size_t own = len0 + i > p ? gi_min_size(b, len0 + i - p) : 0;
            if (own > shared)
                kern->attn_mix(out + i * a->out.cols, a->out.cols, scores + i * ld_s + p + shared,
                               ld_s, 1, v + shared * d, d, own - shared, d);
        }
    }
}

/* Index i counts (tile, head) pairs, all spans' tiles in a row. */
static void run_text(void *ctx, size_t begin, size_t end, int i_worker) {
    const text_job *job = ctx;
    const gi_attention_args *a = job->args;
    for (size_t i = begin; i < end; i++) {
        size_t tile = i / job->n_heads;
        const gi_span *span = a->spans;
        for (;; span++) {
            const size_t n_tiles = (span->n_rows + GI_QUERY_ROWS - 1) / GI_QUERY_ROWS;
            if (tile < n_tiles) break;
            tile -= n_tiles;
        }
        const size_t first = tile * GI_QUERY_ROWS;
        attend_tile(job, span, span->first_row + first,
                    gi_min_size(GI_QUERY_ROWS, span->n_rows - first), i % job->n_heads,
                    gi_cpu_scratch(job->cpu, i_worker));
    }
}

void gi_cpu_attention(gi_device *dev, const gi_attention_args *args) {
    gi_device_cpu *cpu = (gi_device_cpu *)dev;
    const gi_kv_shape *s = &args->kv->shape;
    text_job job = {
        .cpu = cpu,
        .args = args,
        .n_heads = args->n_heads,
        .n_kv_heads = s->n_kv_heads,
        .head_dim = s->head_dim,
        .block_tokens = s->block_tokens,
        .keys = args->kv->keys,
        .values = args->kv->values,
        .scale = 1.0f / sqrtf((float)s->head_dim),
    };
    gi_assert(args->qkv.cols == (args->n_heads + 2 * s->n_kv_heads) * s->head_dim);
    gi_assert(args->out.cols == args->n_heads * s->head_dim && args->layer < s->n_layers);
    size_t n_tokens = 0, n_tiles = 0;
    for (size_t i = 0; i < args->n_spans; i++) {
        gi_assert(args->spans[i].n_past + args->spans[i].n_rows <= cpu->options.kv_tokens_max);
        n_tokens += args->spans[i].n_rows;
        n_tiles += (args->spans[i].n_rows + GI_QUERY_ROWS - 1) / GI_QUERY_ROWS;
    }
    if (args->kv->format != GI_CPU_F32) {
        gi_cpu_attention_packed(cpu, args);
        return;
    }
    gi_workers_run(cpu->workers, n_tokens, 16, run_rope_and_store, &job);
    gi_workers_run(cpu->workers, n_tiles * job.n_heads, 1, run_text, &job);
}

/* ---- vision --------------------------------------------------------------------------------- */

typedef struct vision_job {
    const gi_device_cpu *cpu;
    const gi_vision_attention_args *args;
    size_t cols, head_dim;
    float scale;
} vision_job;

/* Halves (j, j + D/2), as rotate_half. */
static void rope_halves(float *x, const float *cos, const float *sin, size_t half) {
    for (size_t j = 0; j < half; j++) {
        const float a = x[j], b = x[j + half];
        x[j] = a * cos[j] - b * sin[j];
        x[j + half] = b * cos[j] + a * sin[j];
    }
}

static void run_vision_rope(void *ctx, size_t begin, size_t end, int i_worker) {
    (void)i_worker;
    const vision_job *job = ctx;
    const gi_vision_attention_args *a = job->args;
    const size_t d = job->head_dim, half = d / 2, ld = job->cpu->options.patches_max;
    for (size_t p = begin; p < end; p++) {
        float *q = gi_cpu_row(a->qkv, p), *k = q + job->cols;
        for (size_t h = 0; h < a->n_heads; h++) {
            rope_halves(q + h * d, a->rope_cos + p * half, a->rope_sin + p * half, half);
            rope_halves(k + h * d, a->rope_cos + p * half, a->rope_sin + p * half, half);
        }
        for (size_t c = 0; c < job->cols; c++) job->cpu->keys_t[c * ld + p] = k[c];
    }
}

static void run_vision(void *ctx, size_t begin, size_t end, int i_worker) {
    const vision_job *job = ctx;
    const gi_vision_attention_args *a = job->args;
    const gi_kernels *kern = &job->cpu->kernels;
    const size_t d = job->head_dim, n = a->n_patches, ld = job->cpu->options.patches_max;
    float *scores = gi_cpu_scratch(job->cpu, i_worker);
    for (size_t i = begin; i < end; i++) {
        const size_t head = i % a->n_heads, row = i / a->n_heads * GI_QUERY_ROWS;
        const size_t n_q = gi_min_size(GI_QUERY_ROWS, n - row);
        const float *v = gi_cpu_row(a->qkv, 0) + 2 * job->cols + head * d;
        float *out = gi_cpu_row(a->out, row) + head * d;
        kern->attn_scores(scores, n, gi_cpu_row(a->qkv, row) + head * d, a->qkv.cols, n_q,
                          job->cpu->keys_t + head * d * ld, ld, d, n, job->scale);
        for (size_t r = 0; r < n_q; r++) {
            kern->softmax(scores + r * n, n);
            memset(out + r * a->out.cols, 0, d * sizeof *out);
        }
        kern->attn_mix(out, a->out.cols, scores, n, n_q, v, a->qkv.cols, n, d);
    }
}

void gi_cpu_vision_attention(gi_device *dev, const gi_vision_attention_args *args) {
    gi_device_cpu *cpu = (gi_device_cpu *)dev;
    gi_assert(args->first_row + args->n_patches <= args->qkv.rows);
    gi_assert(args->first_row + args->n_patches <= args->out.rows);
    gi_vision_attention_args a = *args; /* of the picture's rows alone */
    a.qkv = gi_cpu_rows_from(args->qkv, args->first_row);
    a.out = gi_cpu_rows_from(args->out, args->first_row);
    vision_job job = {.cpu = cpu, .args = &a, .cols = a.qkv.cols / 3};
    gi_assert(job.cols % a.n_heads == 0 && job.cols == a.out.cols);
    gi_assert(job.cols <= cpu->options.vision_cols && a.n_patches <= cpu->options.patches_max);
    if (cpu->options.vision_format != GI_CPU_F32) {
        gi_cpu_vision_attention_packed(cpu, &a);
        return;
    }
    job.head_dim = job.cols / a.n_heads;
    job.scale = 1.0f / sqrtf((float)job.head_dim);
    const size_t n_tiles = (a.n_patches + GI_QUERY_ROWS - 1) / GI_QUERY_ROWS;
    gi_workers_run(cpu->workers, a.n_patches, 16, run_vision_rope, &job);
    gi_workers_run(cpu->workers, n_tiles * a.n_heads, 1, run_vision, &job);
}
