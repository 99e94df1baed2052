/*
 * src/model/checkpoint: every weight bound to the right bytes, and every way in which files,
 * index and config can disagree refused by the tensor's or the file's name.
 */
#include "../cm.h"

#include "tiny_checkpoint.h"

#include "base/alloc.h"
#include "model/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT   "model.language_model."
#define LAYER1 TEXT "layers.1."
#define VISION "model.visual."

static gi_checkpoint *open_or_fail(const char *dir) {
    glint_error err = {0};
    gi_checkpoint *k = NULL;
    if (gi_checkpoint_open(dir, &k, &err) != GLINT_OK) fail_msg("%s", err.message);
    return k;
}

static void expect_refusal(const char *dir, glint_status status, const char *part) {
    glint_error err = {0};
    gi_checkpoint *k = NULL;
    const glint_status found = gi_checkpoint_open(dir, &k, &err);
    assert_null(k);
    if (found != status || !strstr(err.message, part))
        fail_msg("status %d, message '%s', expected %d and '%s'", found, err.message, status, part);
}

static void write_single(const char *dir, const tiny_model *m) {
    tiny_write_shard(dir, "model.safetensors", m, 0, m->n);
}

static void write_config_with(const char *dir, const char *old, const char *new) {
    char text[2048];
    const char *at = strstr(TINY_CONFIG, old);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - TINY_CONFIG), TINY_CONFIG, new,
             at + strlen(old));
    tiny_write_text(dir, "config.json", text);
}

/* The bytes of the tensor of that name in the checkpoint's files. */
static const gi_st_tensor *raw(const gi_checkpoint *k, const char *name) {
    for (size_t i = 0; i < k->sizes.n_files; i++) {
        const gi_st_tensor *t = gi_safetensors_find(&k->files[i], name);
        if (t) return t;
    }
    fail_msg("no tensor %s", name); /* does not return */
    abort();
}

static void check_weight(const gi_checkpoint *k, const gi_weight *w, const char *name, size_t n) {
    assert_ptr_equal(w->data, raw(k, name)->data);
    assert_int_equal(w->n, n);
    assert_int_equal(w->dtype, GI_DTYPE_BF16);
}

/* Each field against its name, written down independently of the loader's table. */
static void check_all_weights(const gi_checkpoint *k, const char *text, const char *vision) {
    const struct {
        const gi_weight *w;
        const char *prefix, *name;
        size_t n;
    } rows[] = {
        {&k->text.embed, text, "embed_tokens.weight", 16 * 8},
        {&k->text.norm, text, "norm.weight", 8},
        {&k->text.head, text, "embed_tokens.weight", 16 * 8},
        {&k->text.layers[1].input_norm, text, "layers.1.input_layernorm.weight", 8},
        {&k->text.layers[1].q_w, text, "layers.1.self_attn.q_proj.weight", 64},
        {&k->text.layers[1].q_b, text, "layers.1.self_attn.q_proj.bias", 8},
        {&k->text.layers[1].k_w, text, "layers.1.self_attn.k_proj.weight", 32},
        {&k->text.layers[1].k_b, text, "layers.1.self_attn.k_proj.bias", 4},
        {&k->text.layers[1].v_w, text, "layers.1.self_attn.v_proj.weight", 32},
        {&k->text.layers[1].v_b, text, "layers.1.self_attn.v_proj.bias", 4},
        {&k->text.layers[1].o_w, text, "layers.1.self_attn.o_proj.weight", 64},
        {&k->text.layers[1].post_attn_norm, text, "layers.1.post_self_attn_layernorm.weight", 8},
        {&k->text.layers[1].pre_mlp_norm, text, "layers.1.post_attention_layernorm.weight", 8},
        {&k->text.layers[1].gate_up_w, text, "layers.1.mlp.gate_up_proj.weight", 24 * 8},
        {&k->text.layers[1].down_w, text, "layers.1.mlp.down_proj.weight", 96},
        {&k->text.layers[1].post_mlp_norm, text, "layers.1.post_mlp_layernorm.weight", 8},
        {&k->text.layers[0].down_w, text, "layers.0.mlp.down_proj.weight", 96},
        {&k->vision.patch_w, vision, "patch_embed.proj.weight", 16 * 24},
        {&k->vision.patch_b, vision, "patch_embed.proj.bias", 16},
        {&k->vision.post_conv_norm, vision, "post_conv_layernorm.weight", 16},
        {&k->vision.pos_embed, vision, "embeddings.position_embedding.weight", 9 * 16},
        {&k->vision.post_norm, vision, "post_layernorm.weight", 16},
        {&k->vision.downsample_w, vision, "downsample.weight", 8 * 64},
        {&k->vision.downsample_b, vision, "downsample.bias", 8},
        {&k->vision.merger_proj_w, vision, "merger.proj.weight", 64},
        {&k->vision.merger_norm_w, vision, "merger.post_projection_norm.weight", 8},
        {&k->vision.merger_norm_b, vision, "merger.post_projection_norm.bias", 8},
        {&k->vision.merger_gate_w, vision, "merger.gate_proj.weight", 160},
        {&k->vision.merger_up_w, vision, "merger.up_proj.weight", 160},
        {&k->vision.merger_down_w, vision, "merger.down_proj.weight", 160},
        {&k->vision.blocks[0].norm1, vision, "blocks.0.norm1.weight", 16},
        {&k->vision.blocks[0].qkv_w, vision, "blocks.0.attn.qkv.weight", 48 * 16},
        {&k->vision.blocks[0].proj_w, vision, "blocks.0.attn.proj.weight", 256},
        {&k->vision.blocks[0].norm2, vision, "blocks.0.norm2.weight", 16},
        {&k->vision.blocks[0].gate_w, vision, "blocks.0.mlp.gate_proj.weight", 128},
        {&k->vision.blocks[0].up_w, vision, "blocks.0.mlp.up_proj.weight", 128},
        {&k->vision.blocks[0].down_w, vision, "blocks.0.mlp.down_proj.weight", 128},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", rows[i].prefix, rows[i].name);
        check_weight(k, rows[i].w, name, rows[i].n);
    }
}

static void single_file(void **state) {
    tiny_model m;
    tiny_model_init(&m);
    write_single(*state, &m);
    gi_checkpoint *k = open_or_fail(*state);
    check_all_weights(k, TEXT, VISION);
    const gi_checkpoint_sizes *z = &k->sizes;
    assert_int_equal(z->n_tensors, m.n);
    assert_int_equal(z->n_files, 1);
    assert_int_equal(z->embed_params, 128);
    assert_int_equal(z->head_params, 0);
    assert_int_equal(z->text_params, 2 * 528 + 8);
    assert_int_equal(z->vision_params, 384 + 16 + 16 + 144 + 16 + 1440);
    assert_int_equal(z->merger_params, 512 + 8 + 64 + 8 + 8 + 480);
    assert_int_equal(z->total_params, 128 + 1064 + 2016 + 1080);
    assert_int_equal(z->total_bytes, 2 * z->total_params);
    assert_int_equal(z->bf16_bytes, z->total_bytes);
    assert_int_equal(((const uint8_t *)k->text.layers[0].down_w.data)[191], 191);
    gi_checkpoint_close(k);
    gi_checkpoint_close(NULL);
}

static void shards_and_index(void **state) {
    const char *dir = *state;
    tiny_model m;
    tiny_model_init(&m);
    tiny_write_shard(dir, "a.safetensors", &m, 0, 11);
    tiny_write_shard(dir, "b.safetensors", &m, 11, m.n);
    tiny_write_index(dir, &m, 11);
    gi_checkpoint *k = open_or_fail(dir);
    check_all_weights(k, TEXT, VISION);
    assert_int_equal(k->sizes.n_files, 2);
    gi_checkpoint_close(k);

    tiny_write_index(dir, &m, 12);
    expect_refusal(dir, GLINT_ERR_FORMAT, "in a.safetensors, found it b.safetensors");
    tiny_write_index(dir, &m, 10);
    expect_refusal(dir, GLINT_ERR_FORMAT, "in b.safetensors, found it a.safetensors");

    tiny_model more = m;
    tiny_add(&more, "model.extra", (uint64_t[]){2}, 1);
    tiny_write_index(dir, &more, 11);
    expect_refusal(dir, GLINT_ERR_FORMAT,
                   "places \"model.extra\" in b.safetensors, found it nowhere");
    tiny_write_shard(dir, "b.safetensors", &more, 11, more.n);
    tiny_write_index(dir, &m, 11);
    expect_refusal(dir, GLINT_ERR_FORMAT, "does not list \"model.extra\" of b.safetensors");

    tiny_write_index(dir, &m, 11);
    tiny_write_shard(dir, "b.safetensors", &m, 10, m.n);
    expect_refusal(dir, GLINT_ERR_FORMAT, "is also in");

    char path[512];
    snprintf(path, sizeof path, "%s/b.safetensors", dir);
    assert_int_equal(unlink(path), 0);
    expect_refusal(dir, GLINT_ERR_IO, "b.safetensors");

    static const struct {
        const char *text, *message;
    } indexes[] = {
        {"{}", "\"weight_map\" is missing"},
        {"{\"weight_map\": []}", "must be an object"},
        {"{\"weight_map\": {\"x\": 1}}", "\"x\" must name a file of this directory"},
        {"{\"weight_map\": {\"x\": \"../a.safetensors\"}}", "must name a file of this directory"},
        {"{\"weight_map\": {\"x\": \"/etc/passwd\"}}", "must name a file of this directory"},
        {"{\"weight_map\": {\"x\": \"..\"}}", "must name a file of this directory"},
        {"{\"weight_map\": {\"x\": \"\"}}", "must name a file of this directory"},
        {"{\"weight_map\": {}}", "are missing"},
        {"{\"weight_map\"", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        tiny_write_text(dir, "model.safetensors.index.json", indexes[i].text);
        expect_refusal(dir, GLINT_ERR_FORMAT, indexes[i].message);
    }
}

static void older_names(void **state) {
    static const struct {
        const char *text, *vision;
    } rows[] = {
        {"model.", "visual."},
        {"language_model.model.", "visual."},
        {"language_model.", "visual."},
        {"model.", "model.visual."},
        {"model.language_model.", "visual."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tiny_model m;
        tiny_model_init(&m);
        if (strcmp(rows[i].vision, VISION) != 0) tiny_rename(&m, VISION, rows[i].vision);
        tiny_rename(&m, TEXT, rows[i].text);
        write_single(*state, &m);
        gi_checkpoint *k = open_or_fail(*state);
        check_all_weights(k, rows[i].text, rows[i].vision);
        gi_checkpoint_close(k);
    }
    tiny_model m; /* two schemes in one file are none */
    tiny_model_init(&m);
    tiny_rename(&m, LAYER1, "model.layers.1.");
    write_single(*state, &m);
    expect_refusal(*state, GLINT_ERR_FORMAT,
                   "\"" LAYER1 "input_layernorm.weight\" and 12 more are missing");
}

static void heads(void **state) {
    const char *dir = *state;
    tiny_model m;
    tiny_model_init(&m);
    /* beside a tied config a stored head is left alone, but must fit */
    tiny_add(&m, "lm_head.weight", (uint64_t[]){16, 8}, 2);
    write_single(dir, &m);
    gi_checkpoint *k = open_or_fail(dir);
    assert_ptr_equal(k->text.head.data, k->text.embed.data);
    assert_int_equal(k->sizes.head_params, 0);
    gi_checkpoint_close(k);
    tiny_find(&m, "lm_head.weight")->shape[0] = 15;
    write_single(dir, &m);
    expect_refusal(dir, GLINT_ERR_FORMAT, "\"lm_head.weight\" has shape [15, 8], expected [16, 8]");

    write_config_with(dir, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    tiny_find(&m, "lm_head.weight")->shape[0] = 16;
    for (int older = 0; older < 2; older++) {
        if (older) tiny_rename(&m, "lm_head.", "language_model.lm_head.");
        write_single(dir, &m);
        k = open_or_fail(dir);
        check_weight(k, &k->text.head, older ? "language_model.lm_head.weight" : "lm_head.weight",
                     128);
        assert_int_equal(k->sizes.head_params, 128);
        gi_checkpoint_close(k);
    }
    tiny_drop(&m, "language_model.lm_head.weight");
    write_single(dir, &m);
    expect_refusal(dir, GLINT_ERR_FORMAT, "tensor \"lm_head.weight\" is missing");
}

static void biases(void **state) {
    const char *dir = *state;
    tiny_model m;
    tiny_model_init(&m);
    write_config_with(dir, "\"attention_bias\": true", "\"attention_bias\": false");
    write_single(dir, &m);
    expect_refusal(dir, GLINT_ERR_UNSUPPORTED, "(6 such tensors)");
    for (char layer = '0'; layer < '2'; layer++)
        for (size_t i = 0; i < 3; i++) {
            char name[96];
            snprintf(name, sizeof name, TEXT "layers.%c.self_attn.%c_proj.bias", layer, "qkv"[i]);
            tiny_drop(&m, name);
        }
    write_single(dir, &m);
    gi_checkpoint *k = open_or_fail(dir);
    assert_null(k->text.layers[1].q_b.data);
    assert_int_equal(k->text.layers[1].q_b.n, 0);
    assert_non_null(k->text.layers[1].q_w.data);
    gi_checkpoint_close(k);
}

/* Each tensor in turn missing; misshapen; of another dtype; once more under another name. */
static void each_tensor(void **state) {
    const char *dir = *state;
    tiny_model good;
    tiny_model_init(&good);
    for (size_t i = 0; i < good.n; i++) {
        char part[256];
        tiny_model m = good;
        tiny_drop(&m, good.tensors[i].name);
        write_single(dir, &m);
        snprintf(part, sizeof part, "\"%s\"", good.tensors[i].name);
        expect_refusal(dir, GLINT_ERR_FORMAT, part);

        m = good;
        m.tensors[i].shape[m.tensors[i].n_dims - 1]++;
        write_single(dir, &m);
        snprintf(part, sizeof part, "\"%s\" has shape [", good.tensors[i].name);
        expect_refusal(dir, GLINT_ERR_FORMAT, part);

        m = good;
        m.tensors[i].shape[m.tensors[i].n_dims++] = 1;
        write_single(dir, &m);
        expect_refusal(dir, GLINT_ERR_FORMAT, part);

        m = good;
        m.tensors[i].dtype = "I64";
        write_single(dir, &m);
        snprintf(part, sizeof part, "\"%s\" has dtype I64, expected BF16, F16 or F32",
                 good.tensors[i].name);
        expect_refusal(dir, GLINT_ERR_UNSUPPORTED, part);

        m = good;
        tiny_add(&m, "x.weight", good.tensors[i].shape, good.tensors[i].n_dims);
        write_single(dir, &m);
        expect_refusal(dir, GLINT_ERR_UNSUPPORTED,
                       "model.safetensors: tensor \"x.weight\" is not part of "
                       "Glm4vForConditionalGeneration (1 such tensor)");
    }
}

static void transposed_and_formats(void **state) {
    const char *dir = *state;
    tiny_model m;
    tiny_model_init(&m);
    tiny_tensor *down = tiny_find(&m, LAYER1 "mlp.down_proj.weight");
    down->shape[0] = 12;
    down->shape[1] = 8;
    write_single(dir, &m);
    expect_refusal(dir, GLINT_ERR_FORMAT,
                   "\"" LAYER1 "mlp.down_proj.weight\" has shape [12, 8], expected [8, 12]");
    down->shape[0] = 8;
    down->shape[1] = 12;
    down->dtype = "F32";
    tiny_find(&m, VISION "downsample.weight")->dtype = "F16";
    write_single(dir, &m);
    gi_checkpoint *k = open_or_fail(dir);
    assert_int_equal(k->text.layers[1].down_w.dtype, GI_DTYPE_F32);
    assert_int_equal(k->text.layers[1].down_w.n, 96);
    assert_int_equal(k->vision.downsample_w.dtype, GI_DTYPE_F16);
    assert_int_equal(k->sizes.f32_bytes, 384);
    assert_int_equal(k->sizes.f16_bytes, 1024);
    assert_int_equal(k->sizes.bf16_bytes, k->sizes.total_bytes - 384 - 1024);
    gi_checkpoint_close(k);
}

/* The file cut at every length that matters, and a byte too many. */
static void cut_files(void **state) {
    const char *dir = *state;
    static uint8_t bytes[64 * 1024];
    char path[512];
    tiny_model m;
    tiny_model_init(&m);
    write_single(dir, &m);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof bytes - 1, f);
    assert_int_equal(fclose(f), 0);
    for (size_t cut = 0; cut < n; cut = cut < 16 || cut > n - 16 ? cut + 1 : cut + 509) {
        tiny_write(dir, "model.safetensors", bytes, cut);
        expect_refusal(dir, GLINT_ERR_FORMAT, "model.safetensors: ");
    }
    tiny_write(dir, "model.safetensors", bytes, n + 1);
    expect_refusal(dir, GLINT_ERR_FORMAT, "model.safetensors: ");
    tiny_write(dir, "model.safetensors", bytes, n);
    gi_checkpoint_close(open_or_fail(dir));
    /* one more space in the header leaves every tensor at an odd address */
    memmove(bytes + 9, bytes + 8, n - 8);
    const size_t header = (size_t)bytes[0] + ((size_t)bytes[1] << 8);
    memmove(bytes + 8, bytes + 9, header);
    bytes[8 + header] = ' ';
    bytes[0]++;
    assert_int_not_equal(bytes[0], 0);
    tiny_write(dir, "model.safetensors", bytes, n + 1);
    expect_refusal(dir, GLINT_ERR_UNSUPPORTED, "is not aligned in the file");
}

static void no_weights(void **state) {
    const char *dir = *state;
    expect_refusal(dir, GLINT_ERR_IO, "neither model.safetensors nor model.safetensors.index.json");
    expect_refusal("/nonexistent", GLINT_ERR_IO, "/nonexistent/config.json");
    tiny_write(dir, "model.safetensors", "\2\0\0\0\0\0\0\0{}", 10);
    expect_refusal(dir, GLINT_ERR_FORMAT,
                   "\"" TEXT "embed_tokens.weight\" and 47 more are missing");
}

static void out_of_memory(void **state) {
    const char *dir = *state;
    tiny_model m;
    tiny_model_init(&m);
    tiny_write_shard(dir, "a.safetensors", &m, 0, 11);
    tiny_write_shard(dir, "b.safetensors", &m, 11, m.n);
    tiny_write_index(dir, &m, 11);
    glint_status status = GLINT_ERR_MEMORY;
    uint64_t n = 0;
    while (status != GLINT_OK) {
        gi_checkpoint *k = NULL;
        gi_alloc_fail_at(++n);
        status = gi_checkpoint_open(dir, &k, NULL);
        gi_alloc_fail_at(0);
        if (status != GLINT_OK) assert_int_equal(status, GLINT_ERR_MEMORY);
        gi_checkpoint_close(k);
    }
    assert_in_range(n, 10, 100);
}

static void default_model(void **state) {
    (void)state;
    const char *root = getenv("GLINT_SOURCE_ROOT");
    char dir[512];
    assert_non_null(root);
    snprintf(dir, sizeof dir, "%s/models/default", root);
    gi_checkpoint *k = open_or_fail(dir);
    assert_int_equal(k->sizes.n_tensors, 149);
    assert_int_equal(k->sizes.total_params, 18441216);
    assert_int_equal(k->sizes.bf16_bytes, 36882432); /* the index's total_size */
    gi_checkpoint_close(k);
}

static int setup(void **state) {
    char *dir = tiny_dir_create();
    tiny_write_settings(dir);
    *state = dir;
    return 0;
}

static int teardown(void **state) {
    tiny_dir_remove(*state);
    return 0;
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIR(single_file),
        IN_DIR(shards_and_index),
        IN_DIR(older_names),
        IN_DIR(heads),
        IN_DIR(biases),
        IN_DIR(each_tensor),
        IN_DIR(transposed_and_formats),
        IN_DIR(cut_files),
        IN_DIR(no_weights),
        IN_DIR(out_of_memory),
        cmocka_unit_test(default_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
