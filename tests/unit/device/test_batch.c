/*
 * Sequences in batches, on the model with random weights: a sequence's numbers are the same bits
 * alone, in company, in one piece, in pieces, on any number of threads, and whatever lay in its
 * KV blocks before.
 *
 * One difference is by design. F32 has two ways to multiply, by rows for up to 4 rows and by
 * panels for more (linear_cpu.c), which add in another order; across that border F32 is held to
 * F32_BAR, on the same side to the bit.
 */
#include "../cm.h"

#include "../model/golden.h"
#include "base/alloc.h"
#include "device/cpu/device_cpu.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

enum {
    CONTEXT = 2048,
    SEQUENCES = 7,
    STEPS = 3,      /* decode steps behind a prompt */
    F32_ROWS = 4,   /* up to this many rows F32 multiplies row by row */
    VOCAB = 509,    /* of the model */
    HIDDEN = 64,    /* likewise */
    N_BLOCKS = 300, /* enough for all of them, in blocks of 16 */
};
#define F32_BAR 2e-5

typedef struct format {
    const char *name;
    glint_engine_options options;
} format;

static const format formats[] = {
    {"F32", {.dtype = GLINT_DTYPE_F32}},
    {"BF16", {.dtype = GLINT_DTYPE_BF16}},
    {"BF16, INT8 cache", {.dtype = GLINT_DTYPE_BF16, .kv_dtype = GLINT_DTYPE_INT8}},
    {"INT8", {.dtype = GLINT_DTYPE_INT8}},
    {"INT8, INT8 cache", {.dtype = GLINT_DTYPE_INT8, .kv_dtype = GLINT_DTYPE_INT8}},
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

/* Prompt lengths: one token, one more than a block, chunks of attention, odd ends. */
static const size_t lengths[SEQUENCES] = {1, 7, 64, 65, 130, 1100, 3};

typedef struct rig {
    const format *f;
    gi_checkpoint *ckpt;
    gi_device *dev;
    gi_language *lm;
    gi_kv_store *kv;
    gi_kv_pool pool;
    gi_act visual; /* embed rows for prompts: [16, C] */
} rig;

/* What is compared: the residual stream behind the last layer, and the logits. */
typedef struct numbers {
    float x[HIDDEN], logits[VOCAB];
} numbers;

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static rig open_rig(const format *f, int n_threads) {
    rig r = {.f = f};
    glint_error err = {0};
    if (gi_checkpoint_open(golden_path("tests/golden/tiny/model"), &r.ckpt, &err))
        fail_msg("%s", err.message);
    const gi_text_config *c = &r.ckpt->config.text;
    assert_true(c->vocab == VOCAB && c->hidden == HIDDEN);
    glint_engine_options o = f->options;
    o.n_threads = n_threads;
    const gi_device_cpu_options cpu = gi_engine_cpu_options(r.ckpt, &o, CONTEXT, CONTEXT, 64);
    assert_int_equal(gi_device_cpu_create(&cpu, &r.dev, NULL), GLINT_OK);
    assert_int_equal(gi_language_create(r.dev, r.ckpt, CONTEXT, SEQUENCES, &r.lm, NULL), GLINT_OK);
    const size_t block = r.dev->ops->kv_block_tokens(r.dev);
    const gi_kv_shape shape = gi_language_kv_shape(c, N_BLOCKS, block);
    assert_int_equal(gi_kv_pool_init(&r.pool, N_BLOCKS, block, 0, NULL), GLINT_OK);
    assert_int_equal(r.dev->ops->kv_create(r.dev, &shape, &r.kv, NULL), GLINT_OK);
    assert_int_equal(r.dev->ops->act_create(r.dev, 16, HIDDEN, &r.visual, NULL), GLINT_OK);
    float rows[16 * HIDDEN];
    uint64_t rng = 5;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rows[i] = (float)(next_random(&rng) >> 40) * 0x1p-23f - 1.0f;
    r.dev->ops->act_upload(r.dev, r.visual, 0, rows, 16);
    return r;
}

static void close_rig(rig *r) {
    r->dev->ops->act_free(r->dev, &r->visual);
    r->dev->ops->kv_free(r->dev, r->kv);
    gi_kv_pool_done(&r->pool);
    gi_language_free(r->lm);
    gi_device_free(r->dev);
    gi_checkpoint_close(r->ckpt);
}

/* Everything in the store to NaN, as a sequence with broken numbers would leave it. */
static void poison(rig *r) {
    const gi_kv_shape *s = &r->kv->shape;
    const size_t heads = s->n_layers * s->n_blocks * s->n_kv_heads;
    const size_t elem = r->kv->format == GI_CPU_F32 ? 4 : r->kv->format == GI_CPU_BF16 ? 2 : 1;
    memset(r->kv->keys, 0xFF, heads * r->kv->key_head * elem);
    memset(r->kv->values, 0xFF, heads * r->kv->value_head * elem);
    if (r->kv->scales) memset(r->kv->scales, 0xFF, heads * 2 * GI_TILE_N * sizeof(float));
}

/* Token t of sequence s: any id, positions that move on all axes. */
static int32_t token(size_t s, size_t t) {
    uint64_t rng = s * 100003 + t;
    return (int32_t)(next_random(&rng) % 470);
}

static int32_t position(size_t t, int axis) {
    return (int32_t)(t + (size_t)axis * (t % 5));
}

/* Visual tokens: prompt positions [3, 9) of sequences longer than 60. */
enum { VISUAL_BEGIN = 3, VISUAL_END = 9 };

/* The next `n` tokens of sequence `index`. */
typedef struct piece {
    gi_kv_sequence *seq;
    size_t index, n;
} piece;

static size_t visual_rows(const rig *r, const piece *p, size_t row, gi_embed_rows *ret) {
    const size_t past = p->seq->n_tokens;
    const size_t begin = past > VISUAL_BEGIN ? past : VISUAL_BEGIN;
    const size_t end = past + p->n < VISUAL_END ? past + p->n : VISUAL_END;
    if (lengths[p->index] <= 60 || begin >= end) return 0;
    *ret = (gi_embed_rows){.src = r->visual,
                           .src_row = p->index + begin - VISUAL_BEGIN,
                           .dst_row = row + begin - past,
                           .n_rows = end - begin};
    return 1;
}

/* gi_language_run takes only the wanted rows through the end of the last layer: the same logits.
 * The keys and values it stores are those that are there. */
static void check_run(rig *r, const gi_batch *batch, const float *want) {
    static float got[SEQUENCES * VOCAB];
    gi_language_run(r->lm, r->kv, batch, got);
    for (size_t i = 0; i < batch->n_logit_rows; i++) {
        const float *g = got + i * VOCAB, *w = want + i * VOCAB;
        if (memcmp(g, w, VOCAB * sizeof *g) == 0) continue;
        const double e = golden_error(g, w, VOCAB);
        if (r->f->options.dtype != GLINT_DTYPE_F32 || !(e < F32_BAR))
            fail_msg("%s: logits of row %zu alone differ by %.2e", r->f->name, batch->logit_rows[i],
                     e);
    }
}

/* One batch of pieces; ret[i] is of piece i's last token. */
static void run_batch(rig *r, const piece *pieces, size_t n_pieces, numbers *ret) {
    static int32_t ids[CONTEXT], pos[3][CONTEXT];
    static float logits[SEQUENCES * VOCAB];
    gi_span spans[SEQUENCES];
    gi_embed_rows embeds[SEQUENCES];
    size_t last[SEQUENCES], n = 0, n_embeds = 0;
    for (size_t i = 0; i < n_pieces; i++) {
        const piece *p = &pieces[i];
        const size_t past = p->seq->n_tokens;
        assert_int_equal(gi_kv_sequence_reserve(p->seq, past + p->n, NULL), GLINT_OK);
        n_embeds += visual_rows(r, p, n, &embeds[n_embeds]);
        spans[i] =
            (gi_span){.first_row = n, .n_rows = p->n, .n_past = past, .blocks = p->seq->blocks};
        for (size_t t = 0; t < p->n; t++, n++) {
            ids[n] = token(p->index, past + t);
            for (int axis = 0; axis < 3; axis++) pos[axis][n] = position(past + t, axis);
        }
        last[i] = n - 1;
    }
    const gi_batch batch = {.n_tokens = n,
                            .ids = ids,
                            .pos = {pos[0], pos[1], pos[2]},
                            .spans = spans,
                            .n_spans = n_pieces,
                            .embeds = embeds,
                            .n_embeds = n_embeds,
                            .logit_rows = last,
                            .n_logit_rows = n_pieces};
    gi_language_begin(r->lm, &batch);
    for (size_t i = 0; i < r->lm->cfg.n_layers; i++) gi_language_run_layer(r->lm, r->kv, &batch, i);
    for (size_t i = 0; i < n_pieces; i++)
        r->dev->ops->act_download(r->dev, r->lm->x, last[i], ret[i].x, 1);
    gi_language_finish(r->lm, &batch, logits);
    check_run(r, &batch, logits);
    for (size_t i = 0; i < n_pieces; i++) {
        memcpy(ret[i].logits, logits + i * VOCAB, sizeof ret[i].logits);
        pieces[i].seq->n_tokens += pieces[i].n;
    }
}

static void begin_sequence(rig *r, gi_kv_sequence *seq) {
    assert_int_equal(gi_kv_sequence_init(seq, &r->pool, CONTEXT, NULL), GLINT_OK);
}

/* Prompt in pieces of `chunk`, then STEPS single tokens: ret[0] and ret[1..STEPS]. */
static void run_alone(rig *r, size_t index, size_t chunk, numbers ret[1 + STEPS]) {
    gi_kv_sequence seq;
    begin_sequence(r, &seq);
    while (seq.n_tokens < lengths[index]) {
        const size_t left = lengths[index] - seq.n_tokens;
        run_batch(r, &(piece){&seq, index, left < chunk ? left : chunk}, 1, ret);
    }
    for (size_t step = 1; step <= STEPS; step++)
        run_batch(r, &(piece){&seq, index, 1}, 1, &ret[step]);
    gi_kv_sequence_done(&seq);
}

/* Equal to the bit; or, across F32's border of 4 rows, within F32_BAR. */
static void compare(const rig *r, const char *what, size_t index, const numbers *got,
                    const numbers *want, bool same_x, bool same_logits) {
    const bool is_f32 = r->f->options.dtype == GLINT_DTYPE_F32;
    const struct {
        const char *name;
        const float *got, *want;
        size_t n;
        bool same;
    } rows[] = {{"x", got->x, want->x, HIDDEN, same_x},
                {"logits", got->logits, want->logits, VOCAB, same_x && same_logits}};
    for (size_t i = 0; i < 2; i++) {
        if (memcmp(rows[i].got, rows[i].want, rows[i].n * sizeof(float)) == 0) continue;
        const double e = golden_error(rows[i].got, rows[i].want, rows[i].n);
        if (!is_f32 || rows[i].same || !(e < F32_BAR))
            fail_msg("%s, %s, sequence %zu: %s differ by %.2e", r->f->name, what, index,
                     rows[i].name, e);
    }
}

static void batch_equals_alone(void **state) {
    (void)state;
    static numbers alone[SEQUENCES][1 + STEPS], got[SEQUENCES];
    for (size_t f = 0; f < N_FORMATS; f++) {
        rig r = open_rig(&formats[f], 2);
        gi_kv_sequence seqs[SEQUENCES];
        piece pieces[SEQUENCES];
        for (size_t i = 0; i < SEQUENCES; i++) run_alone(&r, i, CONTEXT, alone[i]);
        for (size_t i = 0; i < SEQUENCES; i++) {
            begin_sequence(&r, &seqs[i]);
            pieces[i] = (piece){&seqs[i], i, lengths[i]};
        }
        for (size_t step = 0; step <= STEPS; step++) {
            run_batch(&r, pieces, SEQUENCES, got);
            for (size_t i = 0; i < SEQUENCES; i++) {
                compare(&r, "batch", i, &got[i], &alone[i][step],
                        step == 0 && lengths[i] > F32_ROWS, false);
                pieces[i].n = 1;
            }
        }
        for (size_t i = 0; i < SEQUENCES; i++) gi_kv_sequence_done(&seqs[i]);
        close_rig(&r);
    }
}

/* Some decode while others prefill, in a batch of up to 4 logits: F32 too is equal to the bit. */
static void mixed_batch_equals_alone(void **state) {
    (void)state;
    static numbers alone[SEQUENCES][1 + STEPS], got[SEQUENCES];
    for (size_t f = 0; f < N_FORMATS; f++) {
        rig r = open_rig(&formats[f], 2);
        gi_kv_sequence seqs[3];
        for (size_t i = 3; i <= 5; i++) run_alone(&r, i, CONTEXT, alone[i]);
        for (size_t i = 0; i < 3; i++) begin_sequence(&r, &seqs[i]);
        run_batch(&r, (piece[]){{&seqs[0], 3, 65}}, 1, got);
        /* Sequence 3 takes its first step while 4 and 5 are prefilled. */
        run_batch(&r, (piece[]){{&seqs[1], 4, 130}, {&seqs[0], 3, 1}, {&seqs[2], 5, 1100}}, 3, got);
        compare(&r, "mixed", 4, &got[0], &alone[4][0], true, true);
        compare(&r, "mixed", 3, &got[1], &alone[3][1], false, false);
        compare(&r, "mixed", 5, &got[2], &alone[5][0], true, true);
        /* Two rows, then one: on F32's side of few rows. */
        run_batch(&r, (piece[]){{&seqs[2], 5, 1}, {&seqs[1], 4, 1}}, 2, got);
        compare(&r, "mixed", 5, &got[0], &alone[5][1], true, true);
        compare(&r, "mixed", 4, &got[1], &alone[4][1], true, true);
        for (size_t i = 0; i < 3; i++) gi_kv_sequence_done(&seqs[i]);
        close_rig(&r);
    }
}

/* A prompt in pieces. Only the last two sizes have pieces of 4 rows or fewer. */
static void chunked_prefill_equals_whole(void **state) {
    (void)state;
    static const struct {
        size_t index, chunk;
    } rows[] = {{5, 16}, {5, 63}, {5, 64}, {5, 100}, {5, 512}, {5, 1000}, {4, 5}, {4, 4}, {4, 1}};
    static numbers whole[SEQUENCES][1 + STEPS], got[1 + STEPS];
    for (size_t f = 0; f < N_FORMATS; f++) {
        rig r = open_rig(&formats[f], 2);
        for (size_t i = 4; i <= 5; i++) run_alone(&r, i, CONTEXT, whole[i]);
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
            run_alone(&r, rows[k].index, rows[k].chunk, got);
            for (size_t step = 0; step <= STEPS; step++)
                compare(&r, "chunks", rows[k].chunk, &got[step], &whole[rows[k].index][step],
                        rows[k].chunk > F32_ROWS, true);
        }
        close_rig(&r);
    }
}

static void threads_make_no_difference(void **state) {
    (void)state;
    static numbers one[1 + STEPS], got[1 + STEPS];
    for (size_t f = 0; f < N_FORMATS; f++)
        for (size_t index = 4; index <= 5; index++)
            for (int n_threads = 1; n_threads <= 5; n_threads += 2) {
                rig r = open_rig(&formats[f], n_threads);
                run_alone(&r, index, 300, n_threads == 1 ? one : got);
                for (size_t step = 0; n_threads > 1 && step <= STEPS; step++)
                    compare(&r, "threads", index, &got[step], &one[step], true, true);
                close_rig(&r);
            }
}

/* Blocks that held NaN: nothing of it comes through. */
static void old_values_do_not_leak(void **state) {
    (void)state;
    enum { N = 5, CHUNKS = 3 };
    static const size_t chunks[CHUNKS] = {CONTEXT, 33, 1};
    static numbers clean[N][CHUNKS][1 + STEPS], got[1 + STEPS];
    for (size_t f = 0; f < N_FORMATS; f++) {
        rig r = open_rig(&formats[f], 2);
        for (size_t i = 0; i < N * CHUNKS; i++)
            run_alone(&r, i / CHUNKS, chunks[i % CHUNKS], clean[i / CHUNKS][i % CHUNKS]);
        for (size_t i = 0; i < N * CHUNKS; i++) {
            poison(&r);
            run_alone(&r, i / CHUNKS, chunks[i % CHUNKS], got);
            for (size_t step = 0; step <= STEPS; step++)
                compare(&r, "poison", i / CHUNKS, &got[step], &clean[i / CHUNKS][i % CHUNKS][step],
                        true, true);
        }
        close_rig(&r);
    }
}

/* Blocks go from sequence to sequence while another one lives on, in a poisoned store. */
static void reused_blocks_do_not_mix_sequences(void **state) {
    (void)state;
    static numbers alone[SEQUENCES][1 + STEPS], got[2];
    for (size_t f = 0; f < N_FORMATS; f++) {
        rig r = open_rig(&formats[f], 2);
        gi_kv_sequence lives, other;
        for (size_t i = 0; i < SEQUENCES; i++) run_alone(&r, i, CONTEXT, alone[i]);
        poison(&r);
        begin_sequence(&r, &lives);
        begin_sequence(&r, &other);
        run_batch(&r, (piece[]){{&lives, 5, 600}, {&other, 4, 130}}, 2, got);
        gi_kv_sequence_release(&other);
        run_batch(&r, (piece[]){{&other, 2, 64}, {&lives, 5, 500}}, 2, got);
        compare(&r, "reuse", 2, &got[0], &alone[2][0], true, true);
        compare(&r, "reuse", 5, &got[1], &alone[5][0], true, true);
        gi_kv_sequence_release(&other);
        run_batch(&r, &(piece){&lives, 5, 1}, 1, got);
        compare(&r, "reuse", 5, &got[0], &alone[5][1], true, true);
        run_batch(&r, &(piece){&other, 3, 65}, 1, got);
        compare(&r, "reuse", 3, &got[0], &alone[3][0], true, true);
        run_batch(&r, &(piece){&lives, 5, 1}, 1, got);
        compare(&r, "reuse", 5, &got[0], &alone[5][2], true, true);
        gi_kv_sequence_done(&lives);
        gi_kv_sequence_done(&other);
        close_rig(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_equals_alone),
        cmocka_unit_test(mixed_batch_equals_alone),
        cmocka_unit_test(chunked_prefill_equals_whole),
        cmocka_unit_test(threads_make_no_difference),
        cmocka_unit_test(old_values_do_not_leak),
        cmocka_unit_test(reused_blocks_do_not_mix_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
