/*
 * The smallest checkpoint: decoder 8 wide, 2 layers, 2 heads of 4 sharing 1 KV head, MLP 12,
 * vocabulary 16; vision tower 16 wide, 1 block, 2 heads of 8, patches of 2 px, position table 3x3.
 */
#include "../cm.h"

#include "tiny_checkpoint.h"

#include "base/alloc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char TINY_CONFIG[] =
    "{\"architectures\": [\"Glm4vForConditionalGeneration\"], \"model_type\": \"glm4v\","
    " \"image_start_token_id\": 9, \"image_end_token_id\": 10, \"image_token_id\": 11,"
    " \"tie_word_embeddings\": true, \"eos_token_id\": [1, 2], \"pad_token_id\": 1,"
    " \"text_config\": {\"model_type\": \"glm4v_text\", \"attention_bias\": true,"
    "  \"hidden_act\": \"silu\", \"hidden_size\": 8, \"intermediate_size\": 12,"
    "  \"max_position_embeddings\": 128, \"num_attention_heads\": 2, \"num_hidden_layers\": 2,"
    "  \"num_key_value_heads\": 1, \"rms_norm_eps\": 1e-05, \"vocab_size\": 16,"
    "  \"partial_rotary_factor\": 0.5, \"rope_theta\": 10000.0,"
    "  \"rope_scaling\": {\"rope_type\": \"default\", \"mrope_section\": [1, 0, 0]}},"
    " \"vision_config\": {\"model_type\": \"glm4v_vision\", \"hidden_size\": 16, \"depth\": 1,"
    "  \"num_heads\": 2, \"attention_bias\": false, \"intermediate_size\": 20,"
    "  \"hidden_act\": \"silu\", \"image_size\": 6, \"patch_size\": 2, \"out_hidden_size\": 8,"
    "  \"rms_norm_eps\": 1e-05, \"spatial_merge_size\": 2, \"temporal_patch_size\": 2,"
    "  \"in_channels\": 3}}";

const char TINY_GENERATION[] = "{\"eos_token_id\": [3, 1, 3], \"pad_token_id\": 4}";

const char TINY_PREPROCESSOR[] =
    "{\"image_processor_type\": \"Glm4vImageProcessor\", \"patch_size\": 2, \"merge_size\": 2,"
    " \"temporal_patch_size\": 2, \"do_rescale\": true, \"image_mean\": [0.1, 0.2, 0.3],"
    " \"image_std\": [0.4, 0.5, 0.6], \"size\": {\"shortest_edge\": 64, \"longest_edge\": 4096}}";

char *tiny_dir_create(void) {
    const char *base = getenv("TMPDIR");
    char path[256];
    snprintf(path, sizeof path, "%s/glint-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return gi_strndup(path, strlen(path));
}

static void full_path(char out[512], const char *dir, const char *name) {
    const int n = snprintf(out, 512, "%s/%s", dir, name);
    assert_in_range(n, 1, 511);
}

void tiny_dir_remove(char *dir) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        char path[512];
        full_path(path, dir, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            assert_int_equal(unlink(path), 0);
    }
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
    gi_free(dir);
}

void tiny_write(const char *dir, const char *name, const void *bytes, size_t n_bytes) {
    char path[512];
    full_path(path, dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n_bytes, f), n_bytes);
    assert_int_equal(fclose(f), 0);
}

void tiny_write_text(const char *dir, const char *name, const char *text) {
    tiny_write(dir, name, text, strlen(text));
}

void tiny_write_settings(const char *dir) {
    tiny_write_text(dir, "config.json", TINY_CONFIG);
    tiny_write_text(dir, "generation_config.json", TINY_GENERATION);
    tiny_write_text(dir, "preprocessor_config.json", TINY_PREPROCESSOR);
}

void tiny_add(tiny_model *m, const char *name, const uint64_t *shape, size_t n_dims) {
    assert_in_range(m->n, 0, TINY_TENSORS_MAX - 1);
    tiny_tensor *t = &m->tensors[m->n++];
    *t = (tiny_tensor){.dtype = "BF16", .n_dims = n_dims};
    assert_in_range(snprintf(t->name, sizeof t->name, "%s", name), 1, sizeof t->name - 1);
    for (size_t i = 0; i < n_dims; i++) t->shape[i] = shape[i];
}

void tiny_model_init(tiny_model *m) {
    static const struct {
        const char *name;
        uint64_t shape[5];
    } rows[] = {
        {"model.language_model.embed_tokens.weight", {16, 8}},
        {"model.language_model.norm.weight", {8}},
        {"model.language_model.layers.#.input_layernorm.weight", {8}},
        {"model.language_model.layers.#.self_attn.q_proj.weight", {8, 8}},
        {"model.language_model.layers.#.self_attn.q_proj.bias", {8}},
        {"model.language_model.layers.#.self_attn.k_proj.weight", {4, 8}},
        {"model.language_model.layers.#.self_attn.k_proj.bias", {4}},
        {"model.language_model.layers.#.self_attn.v_proj.weight", {4, 8}},
        {"model.language_model.layers.#.self_attn.v_proj.bias", {4}},
        {"model.language_model.layers.#.self_attn.o_proj.weight", {8, 8}},
        {"model.language_model.layers.#.post_self_attn_layernorm.weight", {8}},
        {"model.language_model.layers.#.post_attention_layernorm.weight", {8}},
        {"model.language_model.layers.#.mlp.gate_up_proj.weight", {24, 8}},
        {"model.language_model.layers.#.mlp.down_proj.weight", {8, 12}},
        {"model.language_model.layers.#.post_mlp_layernorm.weight", {8}},
        {"model.visual.patch_embed.proj.weight", {16, 3, 2, 2, 2}},
        {"model.visual.patch_embed.proj.bias", {16}},
        {"model.visual.post_conv_layernorm.weight", {16}},
        {"model.visual.embeddings.position_embedding.weight", {9, 16}},
        {"model.visual.post_layernorm.weight", {16}},
        {"model.visual.downsample.weight", {8, 16, 2, 2}},
        {"model.visual.downsample.bias", {8}},
        {"model.visual.merger.proj.weight", {8, 8}},
        {"model.visual.merger.post_projection_norm.weight", {8}},
        {"model.visual.merger.post_projection_norm.bias", {8}},
        {"model.visual.merger.gate_proj.weight", {20, 8}},
        {"model.visual.merger.up_proj.weight", {20, 8}},
        {"model.visual.merger.down_proj.weight", {8, 20}},
        {"model.visual.blocks.0.norm1.weight", {16}},
        {"model.visual.blocks.0.norm2.weight", {16}},
        {"model.visual.blocks.0.attn.qkv.weight", {48, 16}},
        {"model.visual.blocks.0.attn.proj.weight", {16, 16}},
        {"model.visual.blocks.0.mlp.gate_proj.weight", {8, 16}},
        {"model.visual.blocks.0.mlp.up_proj.weight", {8, 16}},
        {"model.visual.blocks.0.mlp.down_proj.weight", {16, 8}},
    };
    m->n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *layer = strchr(rows[i].name, '#');
        size_t n_dims = 0;
        while (n_dims < 5 && rows[i].shape[n_dims]) n_dims++;
        for (int l = 0; l < (layer ? 2 : 1); l++) {
            tiny_add(m, rows[i].name, rows[i].shape, n_dims);
            if (layer) m->tensors[m->n - 1].name[layer - rows[i].name] = (char)('0' + l);
        }
    }
}

tiny_tensor *tiny_find(tiny_model *m, const char *name) {
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->tensors[i].name, name) == 0) return &m->tensors[i];
    fail_msg("no tensor %s", name); /* does not return */
    abort();
}

void tiny_drop(tiny_model *m, const char *name) {
    tiny_tensor *t = tiny_find(m, name);
    *t = m->tensors[--m->n];
}

void tiny_rename(tiny_model *m, const char *from, const char *to) {
    size_t n_renamed = 0;
    for (size_t i = 0; i < m->n; i++) {
        char old[96];
        if (strncmp(m->tensors[i].name, from, strlen(from)) != 0) continue;
        memcpy(old, m->tensors[i].name, sizeof old);
        const int n = snprintf(m->tensors[i].name, sizeof old, "%s%s", to, old + strlen(from));
        assert_in_range(n, 1, sizeof old - 1);
        n_renamed++;
    }
    assert_in_range(n_renamed, 1, m->n);
}

static size_t tensor_bytes(const tiny_tensor *t) {
    size_t n = t->dtype[1] == '3' ? 4 : t->dtype[1] == '6' ? 8 : 2; /* F32, I64, else 16 bits */
    for (size_t i = 0; i < t->n_dims; i++) n *= t->shape[i];
    return n;
}

void tiny_write_shard(const char *dir, const char *name, const tiny_model *m, size_t from,
                      size_t to) {
    enum { HEADER_MAX = 32 * 1024, DATA_MAX = 64 * 1024 };
    static char file[8 + HEADER_MAX + DATA_MAX];
    char *header = file + 8;
    size_t len = 1, at = 0;
    header[0] = '{';
    for (size_t i = from; i < to; i++) {
        const tiny_tensor *t = &m->tensors[i];
        len += (size_t)snprintf(header + len, HEADER_MAX - len,
                                "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i > from ? "," : "",
                                t->name, t->dtype);
        for (size_t d = 0; d < t->n_dims; d++)
            len += (size_t)snprintf(header + len, HEADER_MAX - len, "%s%u", d ? "," : "",
                                    (unsigned)t->shape[d]);
        const size_t end = at + tensor_bytes(t);
        len += (size_t)snprintf(header + len, HEADER_MAX - len, "],\"data_offsets\":[%zu,%zu]}", at,
                                end);
        at = end;
        assert_in_range(len, 1, HEADER_MAX - 16);
    }
    header[len++] = '}';
    while (len % 8) header[len++] = ' ';
    assert_in_range(at, 0, DATA_MAX);
    for (size_t i = 0; i < 8; i++) file[i] = (char)(len >> 8 * i);
    for (size_t i = from, byte = 0; i < to; i++)
        for (size_t b = 0; b < tensor_bytes(&m->tensors[i]); b++)
            header[len + byte++] = (char)(b % 251);
    tiny_write(dir, name, file, 8 + len + at);
}

void tiny_write_index(const char *dir, const tiny_model *m, size_t split) {
    static char text[16 * 1024];
    size_t len = (size_t)snprintf(text, sizeof text, "{\"metadata\":{},\"weight_map\":{");
    for (size_t i = 0; i < m->n; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s\"%s\":\"%s.safetensors\"",
                                i ? "," : "", m->tensors[i].name, i < split ? "a" : "b");
        assert_in_range(len, 1, sizeof text - 8);
    }
    snprintf(text + len, sizeof text - len, "}}");
    tiny_write_text(dir, "model.safetensors.index.json", text);
}
