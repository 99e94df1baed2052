/*
 * Whole models against transformers, stage by stage: every case of tests/golden/default and
 * tests/golden/tiny, from the encoded picture to the last greedy token, in F32. Then the same
 * tokens once more in one batch: decoding step by step must equal prefill at once.
 */
#include "golden.h"

#include "base/alloc.h"
#include "base/json.h"
#include "engine/engine.h"
#include "model/mrope.h"
#include "model/sampler.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOKENS_MAX = 512, PICTURES_MAX = 4, PATCHES_MAX = 2048, MAX_SIDE_PX = 2048 };
static const double BAR = 1e-4;

/* One case on its way through the model; buffers are as large as any case needs. */
typedef struct run {
    glint_engine *engine;
    const char *name;
    gi_safetensors golden;
    gi_patches pictures[PICTURES_MAX];
    size_t n_pictures, n_visual;
    gi_ids prompt;
    gi_mrope_image places[PICTURES_MAX];
    int32_t positions[3 * TOKENS_MAX];
    int32_t next_position;
    gi_act visual;
    float *block_first, *block_last; /* [PATCHES_MAX, E] */
    float *rows;                     /* [PATCHES_MAX, widest] */
    gi_kv_sequence sequence;
} run;

static void check(const run *r, const char *stage, const float *got, const float *want, size_t n) {
    const double e = golden_error(got, want, n);
    golden_note(stage, e);
    if (!(e < BAR)) fail_msg("%s: %s: error %.3e, bar %.0e", r->name, stage, e, BAR);
}

/* Compare rows `index` (a tensor of row numbers) of all[.., cols] with golden tensor `stage`. */
static void check_rows(run *r, const char *stage, const char *index, const float *all,
                       size_t cols) {
    size_t n, n_values;
    const int32_t *at = golden_i32(&r->golden, index, &n);
    const float *want = golden_f32(&r->golden, stage, &n_values);
    assert_int_equal(n_values, n * cols);
    for (size_t i = 0; i < n; i++)
        memcpy(r->rows + i * cols, all + (size_t)at[i] * cols, cols * sizeof *all);
    check(r, stage, r->rows, want, n_values);
}

static void check_equal(const run *r, const char *stage, const int32_t *got, size_t n) {
    size_t n_want;
    const int32_t *want = golden_i32(&r->golden, stage, &n_want);
    if (n != n_want) fail_msg("%s: %s: %zu values, not %zu", r->name, stage, n, n_want);
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("%s: %s[%zu] is %d, not %d", r->name, stage, i, got[i], want[i]);
}

/* ---- pictures ------------------------------------------------------------------------------- */

static void prepare_pictures(run *r, const json_t *names, const char *folder) {
    const gi_config *cfg = &r->engine->ckpt->config;
    const gi_image_limits limits = gi_image_limits_default();
    int32_t grids[3 * PICTURES_MAX];
    r->n_pictures = json_array_size(names);
    assert_true(r->n_pictures <= PICTURES_MAX);
    for (size_t i = 0; i < r->n_pictures; i++) {
        char path[512];
        snprintf(path, sizeof path, "tests/golden/%s/%s", folder,
                 json_string_value(json_array_get(names, i)));
        gi_buf file;
        glint_error err = {0};
        gi_buf_init(&file, 16 << 20);
        assert_int_equal(gi_file_read(golden_path(path), &file, &err), GLINT_OK);
        const glint_status st = gi_image_prepare(file.data, file.len, &cfg->image, &limits,
                                                 MAX_SIDE_PX, NULL, &r->pictures[i], &err);
        if (st != GLINT_OK) fail_msg("%s: %s", r->name, err.message);
        gi_buf_done(&file);
        grids[3 * i] = 1;
        grids[3 * i + 1] = (int32_t)r->pictures[i].grid_h;
        grids[3 * i + 2] = (int32_t)r->pictures[i].grid_w;
        r->places[i].rows = r->pictures[i].grid_h / cfg->vision.merge;
        r->places[i].cols = r->pictures[i].grid_w / cfg->vision.merge;
    }
    if (r->n_pictures > 0) check_equal(r, "grid_thw", grids, 3 * r->n_pictures);
}

/* Patches must be equal to the bit. `all` is [PATCHES_MAX, cols] scratch. */
static void check_patches(run *r) {
    const gi_vision_config *c = &r->engine->ckpt->config.vision;
    const size_t cols = c->in_channels * c->patch * c->patch;
    size_t n;
    const int32_t *at = golden_i32(&r->golden, "patch_rows", &n);
    const float *want = golden_f32(&r->golden, "patches", NULL);
    for (size_t i = 0; i < n; i++) {
        size_t row = (size_t)at[i], k = 0;
        for (;; k++) {
            const size_t n_rows = (size_t)r->pictures[k].grid_h * r->pictures[k].grid_w;
            if (row < n_rows) break;
            row -= n_rows;
        }
        const float *got = r->pictures[k].rows + row * cols;
        if (memcmp(got, want + i * cols, cols * sizeof *got) != 0)
            fail_msg("%s: patch %d differs (error %.2e)", r->name, at[i],
                     golden_error(got, want + i * cols, cols));
    }
}

static void encode_pictures(run *r) {
    gi_vision *v = r->engine->vision;
    const gi_device_ops *op = v->dev->ops;
    const size_t e = v->cfg.hidden, block = v->cfg.merge * v->cfg.merge;
    const size_t out = v->cfg.out_hidden;
    size_t n_all = 0;
    for (size_t i = 0; i < r->n_pictures; i++)
        n_all += (size_t)r->pictures[i].grid_h * r->pictures[i].grid_w;
    if (n_all == 0) return;
    assert_true(n_all <= PATCHES_MAX);
    assert_int_equal(op->act_create(v->dev, n_all / block, out, &r->visual, NULL), GLINT_OK);
    gi_vision_picture pictures[GLINT_IMAGES_MAX];
    for (size_t i = 0; i < r->n_pictures; i++)
        pictures[i] = (gi_vision_picture){.patches = r->pictures[i].rows,
                                          .grid_h = r->pictures[i].grid_h,
                                          .grid_w = r->pictures[i].grid_w};
    gi_vision_begin(v, pictures, r->n_pictures);
    gi_vision_run(v, 1);
    op->act_download(v->dev, v->x, 0, r->block_first, n_all);
    gi_vision_run(v, SIZE_MAX);
    op->act_download(v->dev, v->x, 0, r->block_last, n_all);
    op->copy_rows(v->dev, r->visual, 0, gi_vision_end(v), 0, n_all / block);
    r->n_visual = n_all / block;
    check_rows(r, "vision_block_first", "patch_rows", r->block_first, e);
    check_rows(r, "vision_block_last", "patch_rows", r->block_last, e);
    op->act_download(v->dev, r->visual, 0, r->block_first, r->n_visual);
    check_rows(r, "vision_out", "vision_rows", r->block_first, out);
}

/* ---- prompt --------------------------------------------------------------------------------- */

static void encode_prompt(run *r, const json_t *turns) {
    enum { TURNS_MAX = 4, PARTS_MAX = 6 };
    gi_chat_turn turn[TURNS_MAX] = {0};
    gi_chat_part parts[TURNS_MAX][PARTS_MAX] = {0};
    size_t i_picture = 0, starts[PICTURES_MAX];
    const size_t n_turns = json_array_size(turns);
    assert_true(n_turns <= TURNS_MAX);
    for (size_t t = 0; t < n_turns; t++) {
        const json_t *src = json_array_get(turns, t), *list = json_object_get(src, "parts");
        const char *role = json_string_value(json_object_get(src, "role"));
        turn[t].role = strcmp(role, "system") == 0 ? GI_CHAT_SYSTEM
                       : strcmp(role, "user") == 0 ? GI_CHAT_USER
                                                   : GI_CHAT_ASSISTANT;
        turn[t].parts = parts[t];
        turn[t].n_parts = json_array_size(list);
        assert_true(turn[t].n_parts <= PARTS_MAX);
        for (size_t k = 0; k < turn[t].n_parts; k++) {
            const json_t *text = json_object_get(json_array_get(list, k), "text");
            if (text) {
                parts[t][k].text = json_string_value(text);
                parts[t][k].n_text_bytes = json_string_length(text);
            } else {
                const gi_mrope_image *p = &r->places[i_picture++];
                parts[t][k].n_image_tokens = p->rows * p->cols;
            }
        }
    }
    gi_ids_init(&r->prompt, TOKENS_MAX);
    assert_int_equal(
        gi_chat_encode(&r->engine->chat, turn, n_turns, false, &r->prompt, starts, NULL), GLINT_OK);
    check_equal(r, "input_ids", r->prompt.ids, r->prompt.n);
    for (size_t i = 0; i < r->n_pictures; i++) r->places[i].first_token = starts[i];
    r->next_position = gi_mrope_positions(r->prompt.n, r->places, r->n_pictures, r->positions);
    check_equal(r, "position_ids", r->positions, 3 * r->prompt.n);
}

/* ---- decoder -------------------------------------------------------------------------------- */

static size_t visual_rows(const run *r, gi_embed_rows *ret) {
    size_t row = 0;
    for (size_t i = 0; i < r->n_pictures; i++) {
        const size_t n = r->places[i].rows * r->places[i].cols;
        ret[i] = (gi_embed_rows){
            .src = r->visual, .src_row = row, .dst_row = r->places[i].first_token, .n_rows = n};
        row += n;
    }
    return r->n_pictures;
}

static void prefill(run *r, float *logits) {
    gi_language *lm = r->engine->language;
    const gi_device_ops *op = lm->dev->ops;
    const size_t n = r->prompt.n, last = n - 1, c = lm->cfg.hidden;
    gi_embed_rows embeds[PICTURES_MAX];
    assert_int_equal(gi_kv_sequence_reserve(&r->sequence, n, NULL), GLINT_OK);
    const gi_span span = {.n_rows = n, .blocks = r->sequence.blocks};
    const gi_batch batch = {.n_tokens = n,
                            .ids = r->prompt.ids,
                            .pos = {r->positions, r->positions + n, r->positions + 2 * n},
                            .spans = &span,
                            .n_spans = 1,
                            .embeds = embeds,
                            .n_embeds = visual_rows(r, embeds),
                            .logit_rows = &last,
                            .n_logit_rows = 1};
    gi_language_begin(lm, &batch);
    for (size_t i = 0; i < lm->cfg.n_layers; i++) {
        gi_language_run_layer(lm, r->engine->kv, &batch, i);
        if (i == 0) {
            op->act_download(lm->dev, lm->x, 0, r->block_first, n);
            check_rows(r, "layer_first", "token_rows", r->block_first, c);
        }
    }
    op->act_download(lm->dev, lm->x, 0, r->block_first, n);
    check_rows(r, "layer_last", "token_rows", r->block_first, c);
    gi_language_finish(lm, &batch, logits);
    op->act_download(lm->dev, lm->last, 0, r->rows, 1);
    check(r, "final_norm_last", r->rows, golden_f32(&r->golden, "final_norm_last", NULL), c);
    check(r, "logits_last", logits, golden_f32(&r->golden, "logits_last", NULL), lm->cfg.vocab);
    r->sequence.n_tokens = n;
}

/* Greedy tokens, each checked against golden; the logits of each step stay in steps[g][V]. */
static size_t generate(run *r, float *steps) {
    gi_language *lm = r->engine->language;
    const size_t v = lm->cfg.vocab, row = 0;
    size_t n_want;
    const int32_t *want = golden_i32(&r->golden, "generated", &n_want);
    gi_sampler greedy;
    assert_int_equal(gi_sampler_init(&greedy, v, 0, 1, 0, 0, NULL), GLINT_OK);
    for (size_t g = 0; g < n_want; g++) {
        const int32_t id = gi_sampler_next(&greedy, steps + g * v, NULL);
        if (id != want[g]) fail_msg("%s: token %zu is %d, not %d", r->name, g, id, want[g]);
        if (g + 1 == n_want) break;
        const size_t past = r->sequence.n_tokens;
        const int32_t pos = r->next_position + (int32_t)g;
        assert_int_equal(gi_kv_sequence_reserve(&r->sequence, past + 1, NULL), GLINT_OK);
        const gi_span span = {.n_rows = 1, .n_past = past, .blocks = r->sequence.blocks};
        const gi_batch batch = {.n_tokens = 1,
                                .ids = &id,
                                .pos = {&pos, &pos, &pos},
                                .spans = &span,
                                .n_spans = 1,
                                .logit_rows = &row,
                                .n_logit_rows = 1};
        gi_language_run(lm, r->engine->kv, &batch, steps + (g + 1) * v);
        r->sequence.n_tokens = past + 1;
    }
    gi_sampler_done(&greedy);
    return n_want;
}

/* Prompt and answer in one batch; its logits at the answer's positions are those of the steps. */
static void check_steps_equal_prefill(run *r, const float *steps, size_t n_generated,
                                      float *logits) {
    gi_language *lm = r->engine->language;
    const size_t prompt = r->prompt.n, v = lm->cfg.vocab, n = prompt + n_generated - 1;
    const int32_t *generated = golden_i32(&r->golden, "generated", NULL);
    int32_t ids[TOKENS_MAX], pos[3][TOKENS_MAX];
    assert_true(n <= TOKENS_MAX);
    for (size_t t = 0; t < n; t++) {
        const size_t g = t - prompt; /* used for t >= prompt only */
        ids[t] = t < prompt ? r->prompt.ids[t] : generated[g];
        for (size_t axis = 0; axis < 3; axis++)
            pos[axis][t] =
                t < prompt ? r->positions[axis * prompt + t] : r->next_position + (int32_t)g;
    }
    gi_kv_sequence_release(&r->sequence);
    assert_int_equal(gi_kv_sequence_reserve(&r->sequence, n, NULL), GLINT_OK);
    const gi_span span = {.n_rows = n, .blocks = r->sequence.blocks};
    gi_embed_rows embeds[PICTURES_MAX];
    const size_t last = n - 1;
    const gi_batch batch = {.n_tokens = n,
                            .ids = ids,
                            .pos = {pos[0], pos[1], pos[2]},
                            .spans = &span,
                            .n_spans = 1,
                            .embeds = embeds,
                            .n_embeds = visual_rows(r, embeds),
                            .logit_rows = &last,
                            .n_logit_rows = 1};
    gi_language_run(lm, r->engine->kv, &batch, logits);
    check(r, "steps = prefill", logits, steps + (n_generated - 1) * v, v);
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void run_case(glint_engine *engine, const json_t *json, const char *folder) {
    const gi_config *cfg = &engine->ckpt->config;
    const size_t patch_cols = cfg->vision.in_channels * cfg->vision.patch * cfg->vision.patch;
    run *r = gi_calloc(1, sizeof *r);
    assert_non_null(r);
    r->engine = engine;
    r->name = json_string_value(json_object_get(json, "name"));
    char path[512];
    glint_error err = {0};
    snprintf(path, sizeof path, "tests/golden/%s/%s.safetensors", folder, r->name);
    assert_int_equal(gi_safetensors_open(golden_path(path), &r->golden, &err), GLINT_OK);
    size_t widest = cfg->text.hidden > cfg->vision.hidden ? cfg->text.hidden : cfg->vision.hidden;
    if (patch_cols > widest) widest = patch_cols;
    r->block_first = gi_calloc((size_t)PATCHES_MAX * widest, sizeof(float));
    r->block_last = gi_calloc((size_t)PATCHES_MAX * widest, sizeof(float));
    r->rows = gi_calloc((size_t)PATCHES_MAX * widest, sizeof(float));
    float *logits = gi_calloc((size_t)TOKENS_MAX * cfg->text.vocab, sizeof(float));
    assert_true(r->block_first && r->block_last && r->rows && logits);
    assert_int_equal(gi_kv_sequence_init(&r->sequence, &engine->kv_pool, TOKENS_MAX, NULL),
                     GLINT_OK);

    prepare_pictures(r, json_object_get(json, "pictures"), folder);
    if (r->n_pictures > 0) check_patches(r);
    encode_pictures(r);
    encode_prompt(r, json_object_get(json, "turns"));
    prefill(r, logits);
    const size_t n_generated = generate(r, logits);
    check_steps_equal_prefill(r, logits, n_generated, r->block_first);

    engine->dev->ops->act_free(engine->dev, &r->visual);
    for (size_t i = 0; i < r->n_pictures; i++) gi_patches_done(&r->pictures[i]);
    gi_kv_sequence_done(&r->sequence);
    gi_ids_done(&r->prompt);
    gi_safetensors_close(&r->golden);
    gi_free(r->block_first);
    gi_free(r->block_last);
    gi_free(r->rows);
    gi_free(logits);
    gi_free(r);
}

static void run_folder(const char *folder, size_t n_cases) {
    char path[512];
    glint_error err = {0};
    json_t *cases = NULL;
    snprintf(path, sizeof path, "tests/golden/%s/cases.json", folder);
    assert_int_equal(gi_json_load(golden_path(path), 1 << 20, &cases, &err), GLINT_OK);
    char model[4096];
    snprintf(model, sizeof model, "%s",
             golden_path(json_string_value(json_object_get(cases, "model"))));
    glint_engine *engine = NULL;
    const glint_engine_options options = {.model_dir = model,
                                          .dtype = GLINT_DTYPE_F32,
                                          .max_side_px = MAX_SIDE_PX,
                                          .context_tokens_max = 1024};
    if (glint_engine_open(&options, &engine, &err) != GLINT_OK) fail_msg("%s", err.message);
    const json_t *list = json_object_get(cases, "cases");
    assert_int_equal(json_array_size(list), n_cases);
    for (size_t i = 0; i < n_cases; i++) run_case(engine, json_array_get(list, i), folder);
    json_decref(cases);
    glint_engine_close(engine);
}

static void default_model(void **state) {
    (void)state;
    run_folder("default", 18);
}

static void tiny_model(void **state) {
    (void)state;
    run_folder("tiny", 3);
}

static int print_notes(void **state) {
    (void)state;
    golden_print_notes();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_model),
        cmocka_unit_test(tiny_model),
    };
    return cmocka_run_group_tests(tests, NULL, print_notes);
}
