/*
 * src/model/config: every layout that is read gives the same numbers, and every setting that is
 * missing, out of range, at odds with another or unsupported is refused by file and key.
 */
#include "../cm.h"

#include "tiny_checkpoint.h"

#include "base/alloc.h"
#include "model/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Put `value` (JSON; NULL = delete) at "a.b.c" of DIR/file. */
static void change_file(const char *dir, const char *file, const char *path, const char *value) {
    char full[512], key[64];
    snprintf(full, sizeof full, "%s/%s", dir, file);
    json_t *root = json_load_file(full, 0, NULL), *at = root;
    for (;;) {
        const size_t len = strcspn(path, ".");
        assert_in_range(len, 1, sizeof key - 1);
        memcpy(key, path, len);
        key[len] = '\0';
        path += len;
        if (*path == '\0') break;
        path++;
        at = json_object_get(at, key);
        assert_non_null(at);
    }
    if (value)
        assert_int_equal(json_object_set_new(at, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    else
        assert_int_equal(json_object_del(at, key), 0);
    assert_int_equal(json_dump_file(root, full, 0), 0);
    json_decref(root);
}

/* One change to an otherwise good file. */
static void write_changed(const char *dir, const char *file, const char *text, const char *path,
                          const char *value) {
    tiny_write_text(dir, file, text);
    change_file(dir, file, path, value);
}

static const char *file_text(const char *file) {
    return strcmp(file, "config.json") == 0              ? TINY_CONFIG
           : strcmp(file, "generation_config.json") == 0 ? TINY_GENERATION
                                                         : TINY_PREPROCESSOR;
}

static void check_tiny(const gi_config *c) {
    const gi_text_config *t = &c->text;
    const gi_vision_config *v = &c->vision;
    assert_string_equal(c->architecture, "Glm4vForConditionalGeneration");
    assert_int_equal(t->hidden, 8);
    assert_int_equal(t->n_layers, 2);
    assert_int_equal(t->n_heads, 2);
    assert_int_equal(t->n_kv_heads, 1);
    assert_int_equal(t->head_dim, 4);
    assert_int_equal(t->ffn, 12);
    assert_int_equal(t->vocab, 16);
    assert_int_equal(t->positions_max, 128);
    assert_int_equal(t->rotary_dim, 2);
    assert_int_equal(t->mrope_section[0], 1);
    assert_int_equal(t->mrope_section[1], 0);
    assert_int_equal(t->mrope_section[2], 0);
    assert_true(t->rope_theta == 10000.0 && t->rms_eps == 1e-5f);
    assert_true(t->qkv_bias && t->tied_head);
    assert_int_equal(v->hidden, 16);
    assert_int_equal(v->depth, 1);
    assert_int_equal(v->n_heads, 2);
    assert_int_equal(v->head_dim, 8);
    assert_int_equal(v->out_hidden, 8);
    assert_int_equal(v->block_ffn, 8);
    assert_int_equal(v->merger_ffn, 20);
    assert_int_equal(v->patch, 2);
    assert_int_equal(v->merge, 2);
    assert_int_equal(v->temporal, 2);
    assert_int_equal(v->in_channels, 3);
    assert_int_equal(v->image_size, 6);
    assert_int_equal(v->pos_side, 3);
    assert_true(v->rope_theta == 10000.0 && v->rms_eps == 1e-5f);
    assert_int_equal(c->image.patch_px, 2);
    assert_int_equal(c->image.merge, 2);
    assert_int_equal(c->image.temporal, 2);
    assert_int_equal(c->image.pixels_min, 64);
    assert_int_equal(c->image.pixels_max, 4096);
    assert_true(c->image.mean[0] == 0.1f && c->image.mean[2] == 0.3f && c->image.std[1] == 0.5f);
    assert_int_equal(c->n_eos, 2); /* generation_config.json's, without the repeated 3 */
    assert_int_equal(c->eos[0], 3);
    assert_int_equal(c->eos[1], 1);
    assert_int_equal(c->pad, 4);
    assert_int_equal(c->image_begin, 9);
    assert_int_equal(c->image_end, 10);
    assert_int_equal(c->image_token, 11);
}

static void load_or_fail(const char *dir, gi_config *c) {
    glint_error err = {0};
    if (gi_config_load(dir, c, &err) != GLINT_OK) fail_msg("%s", err.message);
}

static void layouts(void **state) {
    const char *dir = *state;
    gi_config c;
    load_or_fail(dir, &c);
    check_tiny(&c);

    /* transformers 5: one object for rope, sides as lists, the switch for tying at the top */
    tiny_write_text(
        dir, "config.json",
        "{\"model_type\":\"glm4v\",\"architectures\":null,\"image_start_token_id\":9,"
        "\"image_end_token_id\":10,\"image_token_id\":11,\"tie_word_embeddings\":true,"
        "\"text_config\":{\"model_type\":\"glm4v_text\",\"hidden_size\":8,\"intermediate_size\":12,"
        "\"max_position_embeddings\":128,\"num_attention_heads\":2,\"num_hidden_layers\":2,"
        "\"num_key_value_heads\":1,\"vocab_size\":16,\"head_dim\":4,\"rope_theta\":7.0,"
        "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000,"
        "\"partial_rotary_factor\":0.5,\"mrope_section\":[1,0,0]},\"rope_scaling\":null},"
        "\"vision_config\":{\"hidden_size\":16,\"depth\":1,\"num_heads\":2,\"intermediate_size\":"
        "20,"
        "\"image_size\":[6,6],\"patch_size\":[2,2],\"temporal_patch_size\":[2],"
        "\"out_hidden_size\":8,\"rope_parameters\":{\"rope_type\":\"axial\","
        "\"rope_theta\":10000.0}}}");
    load_or_fail(dir, &c);
    check_tiny(&c);

    /* the first GLM-4.1V exports: decoder settings at the top, "type" for the kind of rope,
     * min_pixels and max_pixels */
    tiny_write_text(
        dir, "config.json",
        "{\"model_type\":\"glm4v\",\"architectures\":[\"Glm4vForConditionalGeneration\"],"
        "\"image_start_token_id\":9,\"image_end_token_id\":10,\"image_token_id\":11,"
        "\"tie_word_embeddings\":true,\"hidden_size\":8,\"intermediate_size\":12,"
        "\"max_position_embeddings\":128,\"num_attention_heads\":2,\"num_hidden_layers\":2,"
        "\"num_key_value_heads\":1,\"vocab_size\":16,\"rope_theta\":10000,"
        "\"partial_rotary_factor\":0.5,\"attention_bias\":true,"
        "\"rope_scaling\":{\"type\":\"default\",\"mrope_section\":[1,0,0]},"
        "\"vision_config\":{\"hidden_size\":16,\"depth\":1,\"num_heads\":2,\"intermediate_size\":"
        "20,"
        "\"image_size\":6,\"patch_size\":2,\"out_hidden_size\":8}}");
    tiny_write_text(dir, "preprocessor_config.json",
                    "{\"patch_size\":2,\"min_pixels\":64,\"max_pixels\":4096,\"resample\":3,"
                    "\"rescale_factor\":0.00392156862745098,\"image_mean\":[0.1,0.2,0.3],"
                    "\"image_std\":[0.4,0.5,0.6]}");
    load_or_fail(dir, &c);
    check_tiny(&c);

    /* all processors in one file */
    char path[512];
    snprintf(path, sizeof path, "%s/preprocessor_config.json", dir);
    assert_int_equal(remove(path), 0);
    tiny_write_text(dir, "processor_config.json",
                    "{\"image_processor\":{\"patch_size\":2,\"size\":{\"shortest_edge\":64,"
                    "\"longest_edge\":4096},\"image_mean\":[0.1,0.2,0.3],"
                    "\"image_std\":[0.4,0.5,0.6]}}");
    load_or_fail(dir, &c);
    check_tiny(&c);

    snprintf(path, sizeof path, "%s/processor_config.json", dir);
    assert_int_equal(remove(path), 0);
    glint_error err;
    assert_int_equal(gi_config_load(dir, &c, &err), GLINT_ERR_IO);
    assert_non_null(strstr(err.message, "preprocessor_config.json is missing"));
}

static void single_changes(void **state) {
    const char *dir = *state;
    gi_config c;
    static const char *const eos_rows[][2] = {{"7", "7"}, {"[7, 7]", "7"}};
    for (size_t i = 0; i < 2; i++) {
        write_changed(dir, "generation_config.json", TINY_GENERATION, "eos_token_id",
                      eos_rows[i][0]);
        load_or_fail(dir, &c);
        assert_int_equal(c.n_eos, 1);
        assert_int_equal(c.eos[0], 7);
    }
    char path[512];
    snprintf(path, sizeof path, "%s/generation_config.json", dir);
    assert_int_equal(remove(path), 0);
    load_or_fail(dir, &c); /* then config.json's */
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(c.eos[1], 2);
    assert_int_equal(c.pad, 1);

    write_changed(dir, "config.json", TINY_CONFIG, "tie_word_embeddings", NULL);
    load_or_fail(dir, &c);
    assert_false(c.text.tied_head);
    write_changed(dir, "config.json", TINY_CONFIG, "text_config.num_key_value_heads", "null");
    load_or_fail(dir, &c);
    assert_int_equal(c.text.n_kv_heads, 2);
    write_changed(dir, "config.json", TINY_CONFIG, "text_config.attention_bias", "false");
    load_or_fail(dir, &c);
    assert_false(c.text.qkv_bias);
    write_changed(dir, "config.json", TINY_CONFIG, "text_config.rope_theta", "500000");
    load_or_fail(dir, &c);
    assert_true(c.text.rope_theta == 500000.0);
    write_changed(dir, "config.json", TINY_CONFIG, "text_config.rope_scaling",
                  "{\"mrope_section\": [0, 1, 1], \"partial_rotary_factor\": 1.0}");
    load_or_fail(dir, &c); /* the inner factor wins */
    assert_int_equal(c.text.rotary_dim, 4);
    write_changed(dir, "config.json", TINY_CONFIG, "text_config.head_dim", "8");
    change_file(dir, "config.json", "text_config.partial_rotary_factor", "0.25");
    load_or_fail(dir, &c); /* wider than hidden / heads */
    assert_int_equal(c.text.head_dim, 8);
    assert_int_equal(c.text.rotary_dim, 2);
    write_changed(dir, "config.json", TINY_CONFIG, "model_type", "\"glm46v\"");
    change_file(dir, "config.json", "architectures", "[\"Glm46VForConditionalGeneration\"]");
    load_or_fail(dir, &c);
    assert_string_equal(c.architecture, "Glm46VForConditionalGeneration");
    write_changed(dir, "config.json", TINY_CONFIG, "architectures",
                  "[\"Glm46VForConditionalGeneration\"]");
    assert_int_equal(gi_config_load(dir, &c, NULL), GLINT_ERR_UNSUPPORTED);
}

/* One change, one refusal. */
static const struct refusal {
    const char *file, *path, *value; /* value NULL = delete the key */
    glint_status status;
    const char *message; /* part of it */
} REFUSALS[] = {
#define CONFIG   "config.json"
#define FORMAT   GLINT_ERR_FORMAT
#define UNKNOWN  GLINT_ERR_UNSUPPORTED
#define IMAGE    "preprocessor_config.json"
#define GENERATE "generation_config.json"
    {CONFIG, "model_type", NULL, FORMAT, "config.json: \"model_type\" is missing"},
    {CONFIG, "model_type", "\"glm_ocr\"", UNKNOWN, "(model_type \"glm_ocr\") is not supported"},
    {CONFIG, "model_type", "\"glm4v_moe\"", UNKNOWN, "expected Glm4vForConditionalGeneration"},
    {CONFIG, "architectures", "[\"GlmOcrForConditionalGeneration\"]", UNKNOWN,
     "architecture \"GlmOcrForConditionalGeneration\""},
    {CONFIG, "architectures", "[]", UNKNOWN, "architecture \"?\""},
    {CONFIG, "architectures", "[7]", UNKNOWN, "architecture \"?\""},
    {CONFIG, "architectures", "\"Glm4v\"", FORMAT, "\"architectures\" must be an array"},
    {CONFIG, "quantization_config", "{\"quant_method\": \"fp8\"}", UNKNOWN,
     "weights quantised with \"fp8\""},
    {CONFIG, "text_config", "[]", FORMAT, "\"text_config\" must be an object"},
    {CONFIG, "text_config.model_type", "\"glm4v_moe_text\"", UNKNOWN,
     "config.json: text_config: \"model_type\" is \"glm4v_moe_text\", expected \"glm4v_text\""},
    {CONFIG, "text_config.hidden_act", "\"gelu\"", UNKNOWN, "\"hidden_act\" is \"gelu\""},
    {CONFIG, "text_config.hidden_size", NULL, FORMAT, "text_config: \"hidden_size\" is missing"},
    {CONFIG, "text_config.hidden_size", "0", FORMAT, "\"hidden_size\" is 0, must be 1 to 131072"},
    {CONFIG, "text_config.hidden_size", "-8", FORMAT, "\"hidden_size\" is -8"},
    {CONFIG, "text_config.hidden_size", "8.5", FORMAT, "\"hidden_size\" must be an integer"},
    {CONFIG, "text_config.hidden_size", "1e300", FORMAT, "\"hidden_size\" must be an integer"},
    {CONFIG, "text_config.hidden_size", "9223372036854775807", FORMAT, "must be 1 to 131072"},
    {CONFIG, "text_config.hidden_size", "\"8\"", FORMAT, "must be an integer"},
    {CONFIG, "text_config.hidden_size", "9", FORMAT,
     "\"hidden_size\" is 9, expected a multiple of \"num_attention_heads\" 2"},
    {CONFIG, "vision_config.out_hidden_size", "16", FORMAT,
     "vision_config: \"out_hidden_size\" is 16, expected the decoder's \"hidden_size\" 8"},
    {CONFIG, "text_config.num_hidden_layers", "1025", FORMAT, "must be 1 to 1024"},
    {CONFIG, "text_config.num_attention_heads", "0", FORMAT, "must be 1 to 1024"},
    {CONFIG, "text_config.num_attention_heads", "8", FORMAT, "head dimension is 1"},
    {CONFIG, "text_config.num_key_value_heads", "3", FORMAT,
     "\"num_attention_heads\" is 2, expected a multiple of \"num_key_value_heads\" 3"},
    {CONFIG, "text_config.head_dim", "5", FORMAT, "head dimension is 5"},
    {CONFIG, "text_config.head_dim", "4096", FORMAT, "\"head_dim\" is 4096"},
    {CONFIG, "text_config.intermediate_size", "2000000", FORMAT, "\"intermediate_size\""},
    {CONFIG, "text_config.vocab_size", "99999999", FORMAT, "\"vocab_size\" is 99999999"},
    {CONFIG, "text_config.vocab_size", "11", FORMAT, "\"image_token_id\" is 11, must be 0 to 10"},
    {CONFIG, "text_config.max_position_embeddings", "0", FORMAT, "\"max_position_embeddings\""},
    {CONFIG, "text_config.rms_norm_eps", "0", FORMAT, "\"rms_norm_eps\" is 0"},
    {CONFIG, "text_config.rms_norm_eps", "\"1e-5\"", FORMAT, "must be a number"},
    {CONFIG, "text_config.attention_bias", "1", FORMAT, "must be true or false"},
    {CONFIG, "text_config.partial_rotary_factor", "1.5", FORMAT, "is 1.5, must be 0 to 1"},
    {CONFIG, "text_config.partial_rotary_factor", "0", FORMAT, "rotates 0 of 4 dimensions"},
    {CONFIG, "text_config.partial_rotary_factor", "0.75", FORMAT, "rotates 3 of 4 dimensions"},
    {CONFIG, "text_config.partial_rotary_factor", "1.0", FORMAT,
     "\"mrope_section\" adds up to 1, expected half of the 4 rotated dimensions"},
    {CONFIG, "text_config.rope_theta", "0", FORMAT, "\"rope_theta\" is 0"},
    {CONFIG, "text_config.rope_scaling", NULL, FORMAT, "adds up to 32"},
    {CONFIG, "text_config.rope_scaling", "3", FORMAT, "\"rope_scaling\" must be an object"},
    {CONFIG, "text_config.rope_scaling.rope_type", "\"yarn\"", UNKNOWN,
     "text_config.rope_scaling: \"rope_type\" is \"yarn\", expected \"default\""},
    {CONFIG, "text_config.rope_scaling.mrope_section", "[1, 0]", FORMAT, "has 2 numbers"},
    {CONFIG, "text_config.rope_scaling.mrope_section", "[1, 0, 0, 0]", FORMAT, "has 4 numbers"},
    {CONFIG, "text_config.rope_scaling.mrope_section", "[2, -1, 0]", FORMAT, "whole numbers"},
    {CONFIG, "text_config.rope_scaling.mrope_section", "[1, 0, \"\"]", FORMAT, "whole numbers"},
    {CONFIG, "text_config.rope_scaling.mrope_section", "[1, 9223372036854775807, 0]", FORMAT,
     "whole numbers"},
    {CONFIG, "vision_config", NULL, FORMAT, "\"vision_config\" is missing"},
    {CONFIG, "vision_config.hidden_act", "\"gelu\"", UNKNOWN, "vision_config: \"hidden_act\""},
    {CONFIG, "vision_config.attention_bias", "true", UNKNOWN,
     "vision_config: \"attention_bias\" is true, expected false"},
    {CONFIG, "vision_config.depth", "0", FORMAT, "\"depth\" is 0"},
    {CONFIG, "vision_config.num_heads", "3", FORMAT, "\"hidden_size\" is 16, expected"},
    {CONFIG, "vision_config.num_heads", "8", FORMAT, "times a multiple of 4"},
    {CONFIG, "vision_config.in_channels", "1", FORMAT, "\"in_channels\" is 1, must be 3 to 3"},
    {CONFIG, "vision_config.out_hidden_size", "7", FORMAT, "\"out_hidden_size\" is 7"},
    {CONFIG, "vision_config.patch_size", "65", FORMAT, "must be 1 to 64"},
    {CONFIG, "vision_config.patch_size", "[2, 3]", UNKNOWN, "\"patch_size\" must be one number"},
    {CONFIG, "vision_config.patch_size", "[]", FORMAT, "\"patch_size\" is empty"},
    {CONFIG, "vision_config.patch_size", "[[2], 2]", UNKNOWN, "\"patch_size\" must be one number"},
    {CONFIG, "vision_config.patch_size", "3", FORMAT,
     "preprocessor_config.json: \"patch_size\" is 2, expected 3 as in config.json"},
    {CONFIG, "vision_config.spatial_merge_size", "9", FORMAT, "\"spatial_merge_size\" is 9"},
    {CONFIG, "vision_config.temporal_patch_size", "1", FORMAT, "\"temporal_patch_size\" is 2"},
    {CONFIG, "vision_config.image_size", "1", FORMAT, "\"image_size\" is 1"},
    {CONFIG, "image_token_id", "16", FORMAT, "\"image_token_id\" is 16, must be 0 to 15"},
    {CONFIG, "image_token_id", "-1", FORMAT, "\"image_token_id\" is -1"},
    {CONFIG, "tie_word_embeddings", "\"yes\"", FORMAT, "must be true or false"},
    {GENERATE, "eos_token_id", "[16]", FORMAT, "generation_config.json: \"eos_token_id\""},
    {GENERATE, "eos_token_id", "[-1]", FORMAT, "\"eos_token_id\" must be ids"},
    {GENERATE, "eos_token_id", "\"</s>\"", FORMAT, "\"eos_token_id\" must be ids"},
    {GENERATE, "eos_token_id", "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,0]", GLINT_OK, NULL},
    {GENERATE, "pad_token_id", "16", FORMAT, "\"pad_token_id\" is 16"},
    {IMAGE, "image_processor_type", "\"Qwen2VLImageProcessor\"", UNKNOWN,
     "\"image_processor_type\" is \"Qwen2VLImageProcessor\""},
    {IMAGE, "do_resize", "false", UNKNOWN, "\"do_resize\" is false, expected true"},
    {IMAGE, "do_rescale", "false", UNKNOWN, "\"do_rescale\" is false"},
    {IMAGE, "do_normalize", "false", UNKNOWN, "\"do_normalize\" is false"},
    {IMAGE, "rescale_factor", "0.0078", UNKNOWN, "\"rescale_factor\" is 0.0078, expected 1/255"},
    {IMAGE, "resample", "2", FORMAT, "\"resample\" is 2, must be 3 to 3"},
    {IMAGE, "merge_size", "4", FORMAT, "\"merge_size\" is 4, expected 2 as in config.json"},
    {IMAGE, "image_mean", "[0.1, 0.2]", FORMAT, "\"image_mean\" must hold 3 numbers, 0 to 1"},
    {IMAGE, "image_mean", "[0.1, 0.2, \"x\"]", FORMAT, "\"image_mean\" must hold 3 numbers"},
    {IMAGE, "image_std", "[0.1, 0, 0.1]", FORMAT, "\"image_std\" must hold 3 numbers, 0.001 to 1"},
    {IMAGE, "size", "{}", FORMAT, "preprocessor_config.json: size: \"shortest_edge\" is missing"},
    {IMAGE, "size", "7", FORMAT, "\"size\" must be an object"},
    {IMAGE, "size.longest_edge", "31", FORMAT, "a range that reaches 32"},
    {IMAGE, "size.longest_edge", "63", FORMAT, "picture bounds are 64 to 63 pixels"},
    {IMAGE, "size.longest_edge", "1e300", FORMAT, "\"longest_edge\" is 1e+300"},
#undef CONFIG
#undef FORMAT
#undef UNKNOWN
#undef IMAGE
#undef GENERATE
};

static void refusals(void **state) {
    const char *dir = *state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        const struct refusal *r = &REFUSALS[i];
        gi_config c = {.n_eos = 99};
        glint_error err = {0};
        tiny_write_settings(dir);
        write_changed(dir, r->file, file_text(r->file), r->path, r->value);
        const glint_status status = gi_config_load(dir, &c, &err);
        if (status != r->status || (r->message && !strstr(err.message, r->message)))
            fail_msg("%s %s = %s: status %d, message '%s'", r->file, r->path,
                     r->value ? r->value : "(deleted)", status, err.message);
        if (status != GLINT_OK) assert_int_equal(c.n_eos, 99); /* untouched */
    }
}

static void broken_files(void **state) {
    const char *dir = *state;
    static const struct {
        const char *file, *text;
        glint_status status;
        const char *message;
    } rows[] = {
        {"config.json", "", GLINT_ERR_FORMAT, "config.json:1: not valid JSON"},
        {"config.json", "{\"model_type\": ", GLINT_ERR_FORMAT, "config.json:1: "},
        {"config.json", "[]", GLINT_ERR_FORMAT, "must be a JSON object"},
        {"config.json", "{\"a\":1,\"a\":2}", GLINT_ERR_FORMAT, "duplicate"},
        {"generation_config.json", "{", GLINT_ERR_FORMAT, "generation_config.json:1: not valid"},
        {"preprocessor_config.json", "null", GLINT_ERR_FORMAT, "not valid JSON"},
        {"preprocessor_config.json", "[]", GLINT_ERR_FORMAT, "must be a JSON object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gi_config c;
        glint_error err = {0};
        tiny_write_settings(dir);
        tiny_write_text(dir, rows[i].file, rows[i].text);
        assert_int_equal(gi_config_load(dir, &c, &err), rows[i].status);
        if (!strstr(err.message, rows[i].message)) fail_msg("message '%s'", err.message);
    }
    static char large[1024 * 1024 + 2];
    memset(large, ' ', sizeof large - 1);
    tiny_write_text(dir, "config.json", large);
    assert_int_equal(gi_config_load(dir, &(gi_config){0}, NULL), GLINT_ERR_LIMIT);
    assert_int_equal(gi_config_load("/nonexistent", &(gi_config){0}, NULL), GLINT_ERR_IO);
}

static void default_model(void **state) {
    (void)state;
    const char *root = getenv("GLINT_SOURCE_ROOT");
    char dir[512];
    gi_config c;
    assert_non_null(root);
    snprintf(dir, sizeof dir, "%s/models/default", root);
    load_or_fail(dir, &c);
    assert_int_equal(c.text.hidden, 384);
    assert_int_equal(c.text.rotary_dim, 32);
    assert_int_equal(c.vision.pos_side, 24);
    assert_int_equal(c.image.pixels_max, 401408);
    assert_int_equal(c.n_eos, 3);
    assert_int_equal(c.image_token, 6139);
}

static void out_of_memory(void **state) {
    const char *dir = *state;
    glint_status status = GLINT_ERR_MEMORY;
    uint64_t n = 0;
    while (status != GLINT_OK) {
        gi_config c;
        gi_alloc_fail_at(++n);
        status = gi_config_load(dir, &c, NULL);
        gi_alloc_fail_at(0);
        if (status != GLINT_OK) assert_int_equal(status, GLINT_ERR_MEMORY);
    }
    assert_in_range(n, 4, 20); /* one buffer for each file */
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
        IN_DIR(layouts),

        IN_DIR(single_changes),
        IN_DIR(refusals),
        IN_DIR(broken_files),
        IN_DIR(out_of_memory),
        cmocka_unit_test(default_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
