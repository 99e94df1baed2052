/*
 * One decoder layer, one vision block and the merger at the widths of GLM-4.6V-Flash, against
 * transformers. Weights come from the hash of reference/hashed.py; see tests/golden/README.md.
 */
#include "golden.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/cpus.h"
#include "base/json.h"
#include "model/language.h"
#include "model/mrope.h"
#include "model/vision.h"

#include <stdio.h>
#include <string.h>

enum { TOKENS = 8, GRID = 4, PATCHES = GRID * GRID };

/* The F32 path has the bar of tests/golden/README.md. The narrow formats round activations to 8
 * bits (BF16: mantissa, INT8: the whole number) before every product, which shows as about one
 * part in a hundred of a layer's largest value; the bars stand at about twice what is observed. */
static const struct {
    const char *name;
    gi_cpu_format text, vision;
    double text_bar, vision_bar;
} formats[] = {
    {"f32", GI_CPU_F32, GI_CPU_F32, 1e-4, 1e-4},
    {"bf16", GI_CPU_BF16, GI_CPU_BF16, 1e-2, 1e-2},
    {"int8", GI_CPU_S8, GI_CPU_BF16, 5e-2, 1e-2},
};

typedef struct layers {
    json_t *json;
    gi_safetensors golden;
    gi_device *dev; /* of the format under test */
    gi_arena arena; /* weights */
    gi_text_layer_weights text;
    gi_vision_block_weights block;
    gi_checkpoint ckpt;
} layers;

static uint64_t fnv1a(const char *s) {
    uint64_t h = 0xCBF29CE484222325u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 0x100000001B3u;
    return h;
}

/* The hash of reference/hashed.py. */
static gi_weight make_weight(layers *l, const char *name) {
    const json_t *spec = json_object_get(json_object_get(l->json, "tensors"), name);
    if (!spec) fail_msg("layers.json has no %s", name);
    const json_t *shape = json_array_get(spec, 0);
    const float amplitude = (float)json_number_value(json_array_get(spec, 1));
    const float mean = (float)json_number_value(json_array_get(spec, 2));
    size_t n = 1;
    for (size_t i = 0; i < json_array_size(shape); i++)
        n *= (size_t)json_integer_value(json_array_get(shape, i));
    uint16_t *w = gi_arena_alloc(&l->arena, n, sizeof *w);
    assert_non_null(w);
    const uint64_t seed = fnv1a(name);
    for (size_t i = 0; i < n; i++) {
        uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        const float u = (float)(z >> 40) * 0x1p-23f - 1.0f;
        w[i] = gi_f32_to_bf16(mean + amplitude * u);
    }
    const json_t *probe = json_object_get(json_object_get(l->json, "probe"), name);
    const size_t at[] = {0, 1, 2, n - 1};
    for (size_t i = 0; i < 4; i++)
        assert_true((double)gi_bf16_to_f32(w[at[i]]) ==
                    json_number_value(json_array_get(probe, i)));
    return (gi_weight){.data = w, .dtype = GI_DTYPE_BF16, .n = n};
}

/* The rows of an input tensor as F32. */
static const float *make_input(layers *l, const char *name) {
    const gi_weight w = make_weight(l, name);
    float *x = gi_arena_alloc(&l->arena, w.n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < w.n; i++) x[i] = gi_bf16_to_f32(((const uint16_t *)w.data)[i]);
    return x;
}

static int setup(void **state) {
    layers *l = gi_calloc(1, sizeof *l);
    *state = l;
    gi_arena_init(&l->arena, (size_t)2 << 30);
    glint_error err = {0};
    if (gi_json_load(golden_path("tests/golden/layers/layers.json"), 1 << 20, &l->json, &err) ||
        gi_safetensors_open(golden_path("tests/golden/layers/layers.safetensors"), &l->golden,
                            &err)) {
        print_error("%s\n", err.message);
        return -1;
    }
    gi_config *c = &l->ckpt.config;
    c->text = (gi_text_config){.hidden = 4096,
                               .n_layers = 1,
                               .n_heads = 32,
                               .n_kv_heads = 2,
                               .head_dim = 128,
                               .ffn = 13696,
                               .vocab = 16,
                               .positions_max = 64,
                               .rotary_dim = 64,
                               .mrope_section = {8, 12, 12},
                               .rope_theta = 500000.0,
                               .rms_eps = 1e-5f,
                               .qkv_bias = true,
                               .tied_head = true};
    c->vision = (gi_vision_config){.hidden = 1536,
                                   .depth = 1,
                                   .n_heads = 12,
                                   .head_dim = 128,
                                   .out_hidden = 4096,
                                   .block_ffn = 4096,
                                   .merger_ffn = 13696,
                                   .patch = 14,
                                   .merge = 2,
                                   .temporal = 2,
                                   .in_channels = 3,
                                   .image_size = 336,
                                   .pos_side = 24,
                                   .rope_theta = 10000.0,
                                   .rms_eps = 1e-5f};
    return 0;
}

static int teardown(void **state) {
    layers *l = *state;
    json_decref(l->json);
    gi_safetensors_close(&l->golden);
    gi_arena_done(&l->arena);
    gi_free(l);
    return 0;
}

static void open_device(layers *l, gi_cpu_format text, gi_cpu_format vision) {
    const gi_device_cpu_options options = {.n_threads = gi_cpus_usable(),
                                           .text_format = text,
                                           .kv_format =
                                               text == GI_CPU_F32 ? GI_CPU_F32 : GI_CPU_BF16,
                                           .vision_format = vision,
                                           .linear_elems_max = 32 * 13696,
                                           .linear_cols_max = 13696,
                                           .linear_rows_max = 32,
                                           .kv_tokens_max = 64,
                                           .patches_max = PATCHES,
                                           .text_cols = 4096,
                                           .text_head_dim = 128,
                                           .vision_cols = 1536,
                                           .vision_heads = 12};
    assert_int_equal(gi_device_cpu_create(&options, &l->dev, NULL), GLINT_OK);
}

static void compare(layers *l, const char *stage, const char *format, double bar,
                    const float *got) {
    size_t n;
    const float *want = golden_f32(&l->golden, stage, &n);
    const double e = golden_error(got, want, n);
    print_message("golden: %-14s %-5s error %.2e, bar %.0e\n", stage, format, e, bar);
    if (!(e < bar)) fail_msg("%s at %s: error %.3e, bar %.0e", stage, format, e, bar);
}

static void decoder_layer(void **state) {
    layers *l = *state;
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
        {"text.input_layernorm.weight", offsetof(gi_text_layer_weights, input_norm)},
        {"text.post_self_attn_layernorm.weight", offsetof(gi_text_layer_weights, post_attn_norm)},
        {"text.post_attention_layernorm.weight", offsetof(gi_text_layer_weights, pre_mlp_norm)},
        {"text.post_mlp_layernorm.weight", offsetof(gi_text_layer_weights, post_mlp_norm)},
        {"text.self_attn.q_proj.weight", offsetof(gi_text_layer_weights, q_w)},
        {"text.self_attn.q_proj.bias", offsetof(gi_text_layer_weights, q_b)},
        {"text.self_attn.k_proj.weight", offsetof(gi_text_layer_weights, k_w)},
        {"text.self_attn.k_proj.bias", offsetof(gi_text_layer_weights, k_b)},
        {"text.self_attn.v_proj.weight", offsetof(gi_text_layer_weights, v_w)},
        {"text.self_attn.v_proj.bias", offsetof(gi_text_layer_weights, v_b)},
        {"text.self_attn.o_proj.weight", offsetof(gi_text_layer_weights, o_w)},
        {"text.mlp.gate_up_proj.weight", offsetof(gi_text_layer_weights, gate_up_w)},
        {"text.mlp.down_proj.weight", offsetof(gi_text_layer_weights, down_w)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        *(gi_weight *)(void *)((char *)&l->text + fields[i].offset) =
            make_weight(l, fields[i].name);
    /* A head is not part of this test: any 16 rows do. */
    l->ckpt.text = (gi_text_weights){
        .embed = l->text.q_w, .layers = &l->text, .norm = l->text.input_norm, .head = l->text.q_w};
    const float *input = make_input(l, "text.input");
    int32_t pos[3][TOKENS], ids[TOKENS];
    const json_t *axes = json_object_get(l->json, "position_ids");
    for (size_t axis = 0; axis < 3; axis++)
        for (size_t t = 0; t < TOKENS; t++) {
            const json_t *p = json_array_get(json_array_get(axes, axis), t);
            pos[axis][t] = (int32_t)json_integer_value(p);
            ids[t] = -1;
        }
    const int32_t blocks[] = {2};
    const gi_span span = {.n_rows = TOKENS, .blocks = blocks};
    const gi_batch batch = {.n_tokens = TOKENS,
                            .ids = ids,
                            .pos = {pos[0], pos[1], pos[2]},
                            .spans = &span,
                            .n_spans = 1};
    float *x = gi_arena_alloc(&l->arena, (size_t)TOKENS * 4096, sizeof *x);
    assert_non_null(x);
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        gi_language *lm = NULL;
        gi_kv_store *kv = NULL;
        open_device(l, formats[f].text, formats[f].vision);
        const gi_kv_shape shape =
            gi_language_kv_shape(&l->ckpt.config.text, 4, l->dev->ops->kv_block_tokens(l->dev));
        assert_int_equal(gi_language_create(l->dev, &l->ckpt, TOKENS, 1, &lm, NULL), GLINT_OK);
        assert_int_equal(l->dev->ops->kv_create(l->dev, &shape, &kv, NULL), GLINT_OK);
        gi_language_begin(lm, &batch);
        l->dev->ops->act_upload(l->dev, lm->x, 0, input, TOKENS);
        gi_language_run_layer(lm, kv, &batch, 0);
        l->dev->ops->act_download(l->dev, lm->x, 0, x, TOKENS);
        compare(l, "text.output", formats[f].name, formats[f].text_bar, x);
        l->dev->ops->kv_free(l->dev, kv);
        gi_language_free(lm);
        gi_device_free(l->dev);
    }
}

/* Everything the tower needs; what a test does not look at may be any weight large enough. */
static void make_vision_weights(layers *l) {
    l->block = (gi_vision_block_weights){
        .norm1 = make_weight(l, "vision.norm1.weight"),
        .qkv_w = make_weight(l, "vision.attn.qkv.weight"),
        .proj_w = make_weight(l, "vision.attn.proj.weight"),
        .norm2 = make_weight(l, "vision.norm2.weight"),
        .gate_w = make_weight(l, "vision.mlp.gate_proj.weight"),
        .up_w = make_weight(l, "vision.mlp.up_proj.weight"),
        .down_w = make_weight(l, "vision.mlp.down_proj.weight"),
    };
    l->ckpt.vision = (gi_vision_weights){
        .patch_w = l->block.qkv_w,
        .patch_b = l->block.norm1,
        .post_conv_norm = l->block.norm1,
        .pos_embed = l->block.qkv_w,
        .blocks = &l->block,
        .post_norm = make_weight(l, "merge.post_layernorm.weight"),
        .downsample_w = make_weight(l, "merge.downsample.weight"),
        .downsample_b = make_weight(l, "merge.downsample.bias"),
        .merger_proj_w = make_weight(l, "merge.merger.proj.weight"),
        .merger_norm_w = make_weight(l, "merge.merger.post_projection_norm.weight"),
        .merger_norm_b = make_weight(l, "merge.merger.post_projection_norm.bias"),
        .merger_gate_w = make_weight(l, "merge.merger.gate_proj.weight"),
        .merger_up_w = make_weight(l, "merge.merger.up_proj.weight"),
        .merger_down_w = make_weight(l, "merge.merger.down_proj.weight"),
    };
}

static void vision_block_and_merger(void **state) {
    layers *l = *state;
    make_vision_weights(l);
    const float *block_input = make_input(l, "vision.input");
    const float *merge_input = make_input(l, "merge.input");
    float *x = gi_arena_alloc(&l->arena, (size_t)PATCHES * 1536, sizeof *x);
    assert_non_null(x);
    for (size_t f = 0; f < 2; f++) {
        gi_vision *v = NULL;
        open_device(l, formats[f].text, formats[f].vision);
        assert_int_equal(gi_vision_create(l->dev, &l->ckpt, PATCHES, &v, NULL), GLINT_OK);
        gi_vision_angles(&v->cfg, GRID, GRID, v->cos, v->sin);
        l->dev->ops->act_upload(l->dev, v->x, 0, block_input, PATCHES);
        v->n_pictures = 1;
        v->n_patches[0] = v->n_rows = PATCHES;
        gi_vision_run(v, 1);
        l->dev->ops->act_download(l->dev, v->x, 0, x, PATCHES);
        compare(l, "vision.output", formats[f].name, formats[f].vision_bar, x);
        l->dev->ops->act_upload(l->dev, v->x, 0, merge_input, PATCHES);
        gi_vision_end(v);
        l->dev->ops->act_download(l->dev, v->merged, 0, x, PATCHES / 4);
        compare(l, "merge.output", formats[f].name, formats[f].vision_bar, x);
        gi_vision_free(v);
        gi_device_free(l->dev);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoder_layer),
        cmocka_unit_test(vision_block_and_merger),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
