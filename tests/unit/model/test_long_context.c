/*
 * Sequences longer than one chunk of attention: the packed path against F32, split over workers
 * against whole tiles, and a sequence in a batch against the same sequence alone.
 */
#include "golden.h"

#include "base/alloc.h"
#include "engine/engine.h"

#include <string.h>

enum { TOKENS = 2500, CHUNK = 500, OTHER = 70, CONTEXT = 4096 };

static int32_t token(size_t i, size_t vocab) {
    return (int32_t)((i * 2654435761u + 12345u) % (vocab - 32));
}

static glint_engine *open_engine(glint_dtype dtype, glint_dtype kv_dtype, int n_threads) {
    glint_engine *e = NULL;
    glint_error err = {0};
    const glint_engine_options o = {.model_dir = golden_path("models/default"),
                                    .dtype = dtype,
                                    .kv_dtype = kv_dtype,
                                    .n_threads = n_threads,
                                    .context_tokens_max = CONTEXT,
                                    .max_side_px = 56};
    if (glint_engine_open(&o, &e, &err) != GLINT_OK) fail_msg("%s", err.message);
    return e;
}

/* Run tokens [past, past + n) of a made-up text; the logits of the last go to `logits`. */
static void feed(glint_engine *e, gi_kv_sequence *seq, size_t past, size_t n, float *logits) {
    int32_t ids[CHUNK], pos[CHUNK];
    assert_true(n <= CHUNK);
    for (size_t i = 0; i < n; i++) {
        ids[i] = token(past + i, e->language->cfg.vocab);
        pos[i] = (int32_t)(past + i);
    }
    assert_int_equal(gi_kv_sequence_reserve(seq, past + n, NULL), GLINT_OK);
    const gi_span span = {.n_rows = n, .n_past = past, .blocks = seq->blocks};
    const size_t last = n - 1;
    const gi_batch batch = {.n_tokens = n,
                            .ids = ids,
                            .pos = {pos, pos, pos},
                            .spans = &span,
                            .n_spans = 1,
                            .logit_rows = &last,
                            .n_logit_rows = 1};
    gi_language_run(e->language, e->kv, &batch, logits);
}

/* Prefill all but one token, decode the last: both kinds of tile. */
static void run_text(glint_dtype dtype, glint_dtype kv_dtype, int n_threads, float *logits,
                     size_t *ret_vocab) {
    glint_engine *e = open_engine(dtype, kv_dtype, n_threads);
    gi_kv_sequence seq = {0};
    assert_int_equal(gi_kv_sequence_init(&seq, &e->kv_pool, CONTEXT, NULL), GLINT_OK);
    for (size_t at = 0; at < TOKENS; at += CHUNK)
        feed(e, &seq, at, at + CHUNK < TOKENS ? CHUNK : TOKENS - 1 - at, logits);
    feed(e, &seq, TOKENS - 1, 1, logits);
    *ret_vocab = e->language->cfg.vocab;
    gi_kv_sequence_done(&seq);
    glint_engine_close(e);
}

static void packed_agrees_with_f32(void **state) {
    (void)state;
    static const struct {
        const char *name;
        glint_dtype dtype, kv_dtype;
        double bar;
    } rows[] = {{"BF16", GLINT_DTYPE_BF16, GLINT_DTYPE_BF16, 1e-2},
                {"BF16, INT8 cache", GLINT_DTYPE_BF16, GLINT_DTYPE_INT8, 1e-2},
                {"INT8", GLINT_DTYPE_INT8, GLINT_DTYPE_BF16, 4e-2}};
    static float f32[8192], got[8192];
    size_t vocab;
    run_text(GLINT_DTYPE_F32, GLINT_DTYPE_AUTO, 2, f32, &vocab);
    assert_true(vocab <= 8192);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run_text(rows[i].dtype, rows[i].kv_dtype, 2, got, &vocab);
        const double e = golden_error(got, f32, vocab);
        print_message("golden: %d tokens, %s against F32: error %.2e, bar %.0e\n", TOKENS,
                      rows[i].name, e, rows[i].bar);
        assert_true(e < rows[i].bar);
    }
}

static void split_equals_whole(void **state) {
    (void)state;
    static float one[8192], many[8192];
    static const glint_dtype kv[] = {GLINT_DTYPE_BF16, GLINT_DTYPE_INT8};
    size_t vocab;
    for (size_t i = 0; i < 2; i++) {
        run_text(GLINT_DTYPE_INT8, kv[i], 1, one, &vocab);
        run_text(GLINT_DTYPE_INT8, kv[i], 4, many, &vocab);
        assert_memory_equal(one, many, vocab * sizeof(float));
    }
}

/* Enough sequences that tiles are not split; the long one must not notice. */
static void batch_equals_alone(void **state) {
    (void)state;
    enum { SEQUENCES = 8 };
    static float alone[8192];
    size_t vocab;
    glint_engine *e = open_engine(GLINT_DTYPE_BF16, GLINT_DTYPE_AUTO, 2);
    gi_kv_sequence seq[SEQUENCES] = {0};
    vocab = e->language->cfg.vocab;
    float *logits = gi_calloc(vocab, sizeof *logits);
    assert_non_null(logits);
    /* The pool holds one context; the others are short. */
    for (size_t s = 0; s < SEQUENCES; s++) {
        assert_int_equal(gi_kv_sequence_init(&seq[s], &e->kv_pool, CONTEXT, NULL), GLINT_OK);
        const size_t n = s == 3 ? TOKENS - 1 : s < 4 ? OTHER : 3 + s;
        for (size_t at = 0; at < n; at += CHUNK)
            feed(e, &seq[s], at, n - at < CHUNK ? n - at : CHUNK, logits);
    }
    gi_span spans[SEQUENCES];
    int32_t ids[SEQUENCES], pos[SEQUENCES];
    const size_t want = 3;
    for (size_t s = 0; s < SEQUENCES; s++) {
        const size_t past = s == 3 ? TOKENS - 1 : s < 4 ? OTHER : 3 + s;
        assert_int_equal(gi_kv_sequence_reserve(&seq[s], past + 1, NULL), GLINT_OK);
        spans[s] = (gi_span){.first_row = s, .n_rows = 1, .n_past = past, .blocks = seq[s].blocks};
        ids[s] = token(past, vocab);
        pos[s] = (int32_t)past;
    }
    const gi_batch batch = {.n_tokens = SEQUENCES,
                            .ids = ids,
                            .pos = {pos, pos, pos},
                            .spans = spans,
                            .n_spans = SEQUENCES,
                            .logit_rows = &want,
                            .n_logit_rows = 1};
    gi_language_run(e->language, e->kv, &batch, logits);
    for (size_t s = 0; s < SEQUENCES; s++) gi_kv_sequence_done(&seq[s]);
    glint_engine_close(e);
    run_text(GLINT_DTYPE_BF16, GLINT_DTYPE_AUTO, 2, alone, &vocab);
    assert_memory_equal(logits, alone, vocab * sizeof(float));
    gi_free(logits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_agrees_with_f32),
        cmocka_unit_test(split_equals_whole),
        cmocka_unit_test(batch_equals_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
