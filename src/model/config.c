/*
 * Reads a checkpoint's three settings files into gi_config. Every number passes a range check
 * where it is read; what numbers must have to do with one another is checked at the end of each
 * part. A setting that would change the mathematics in a way glint does not compute (another
 * activation, scaled rope, quantised weights, biases in the vision tower) is refused by name: an
 * ignored setting would give answers that are wrong but fluent.
 */
#include "model/config.h"

#include "base/filemap.h"
#include "base/json.h"
#include "model/config_rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    FILE_BYTES_MAX = 1024 * 1024,
    LAYERS_MAX = 1024,
    HEADS_MAX = 1024,
    WIDTH_MAX = 1 << 17, /* hidden sizes */
    FFN_MAX = 1 << 20,   /* MLP widths */
    VOCAB_MAX = 1 << 24,
    POSITIONS_MAX = 1 << 24,
    PATCH_MAX = 64,
    MERGE_MAX = 8,
    TEMPORAL_MAX = 8,
    IMAGE_SIDE_MAX = 1 << 14,
    WHAT_BYTES = 64,
};

static const double PIXELS_MAX = 1e12;

/* An object of a settings file and its name in messages ("config.json: text_config"). */
typedef struct section {
    const json_t *obj;
    const char *what;
    glint_error *err;
} section;

static glint_status get_size(section s, const char *key, bool required, size_t min, size_t max,
                             size_t *ret) {
    int64_t v = (int64_t)*ret;
    GI_TRY(gi_json_get_int(s.obj, s.what, key, required, (int64_t)min, (int64_t)max, &v, s.err));
    *ret = (size_t)v;
    return GLINT_OK;
}

/* A side given as n or as [n, n]. */
static glint_status get_side(section s, const char *key, size_t max, size_t *ret) {
    const json_t *v = json_object_get(s.obj, key);
    if (!json_is_array(v)) return get_size(s, key, false, 1, max, ret);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *n = json_array_get(v, i);
        if (!json_is_integer(n) || json_integer_value(n) < 1 ||
            json_integer_value(n) > (json_int_t)max ||
            json_integer_value(n) != json_integer_value(json_array_get(v, 0)))
            return gi_fail(s.err, GLINT_ERR_UNSUPPORTED,
                           "%s: \"%s\" must be one number, 1 to %zu, or that number repeated",
                           s.what, key, max);
    }
    if (json_array_size(v) == 0)
        return gi_fail(s.err, GLINT_ERR_FORMAT, "%s: \"%s\" is empty", s.what, key);
    *ret = (size_t)json_integer_value(json_array_get(v, 0));
    return GLINT_OK;
}

/* The section must say `want` at `key`, or nothing. */
static glint_status want_string(section s, const char *key, const char *want) {
    const char *found = want;
    GI_TRY(gi_json_get_string(s.obj, s.what, key, false, &found, s.err));
    if (strcmp(found, want) != 0)
        return gi_fail(s.err, GLINT_ERR_UNSUPPORTED, "%s: \"%s\" is \"%.60s\", expected \"%s\"",
                       s.what, key, found, want);
    return GLINT_OK;
}

static glint_status want_bool(section s, const char *key, bool want) {
    bool found = want;
    GI_TRY(gi_json_get_bool(s.obj, s.what, key, false, &found, s.err));
    if (found != want)
        return gi_fail(s.err, GLINT_ERR_UNSUPPORTED, "%s: \"%s\" is %s, expected %s", s.what, key,
                       found ? "true" : "false", want ? "true" : "false");
    return GLINT_OK;
}

/* ---- config.json ---- */

static glint_status read_architecture(section root, gi_config *c) {
    const char *type = NULL, *name = NULL;
    const json_t *list = NULL;
    GI_TRY(gi_json_get_string(root.obj, root.what, "model_type", true, &type, root.err));
    GI_TRY(gi_json_get_array(root.obj, root.what, "architectures", false, &list, root.err));
    if (list) name = json_string_value(json_array_get(list, 0));
    /* glm46v is the same model under a newer name; its text_config may also be another one. */
    const bool is_41v = strcmp(type, "glm4v") == 0, is_46v = strcmp(type, "glm46v") == 0;
    const char *const want =
        is_46v ? "Glm46VForConditionalGeneration" : "Glm4vForConditionalGeneration";
    if (!list) name = want;
    if ((!is_41v && !is_46v) || !name || strcmp(name, want) != 0)
        return gi_fail(root.err, GLINT_ERR_UNSUPPORTED,
                       "%s: architecture \"%.60s\" (model_type \"%.40s\") is not supported, "
                       "expected Glm4vForConditionalGeneration (model_type \"glm4v\")",
                       root.what, name ? name : "?", type);
    const json_t *quantized = NULL;
    GI_TRY(gi_json_get_object(root.obj, root.what, "quantization_config", false, &quantized,
                              root.err));
    if (quantized) {
        const char *method = json_string_value(json_object_get(quantized, "quant_method"));
        if (!method || strcmp(method, GI_CONFIG_QUANT_METHOD) != 0)
            return gi_fail(
                root.err, GLINT_ERR_UNSUPPORTED,
                "%s: weights quantised with \"%.40s\" are not supported, expected BF16, F16 "
                "or F32, or those of glint quantize",
                root.what, method ? method : "?");
    }
    memcpy(c->architecture, want, strlen(want) + 1);
    return GLINT_OK;
}

static glint_status read_text(section s, gi_text_config *t) {
    GI_TRY(want_string(s, "hidden_act", "silu"));
    GI_TRY(get_size(s, "hidden_size", true, 1, WIDTH_MAX, &t->hidden));
    GI_TRY(get_size(s, "num_hidden_layers", true, 1, LAYERS_MAX, &t->n_layers));
    GI_TRY(get_size(s, "num_attention_heads", true, 1, HEADS_MAX, &t->n_heads));
    t->n_kv_heads = t->n_heads;
    GI_TRY(get_size(s, "num_key_value_heads", false, 1, HEADS_MAX, &t->n_kv_heads));
    GI_TRY(get_size(s, "intermediate_size", true, 1, FFN_MAX, &t->ffn));
    GI_TRY(get_size(s, "vocab_size", true, 1, VOCAB_MAX, &t->vocab));
    t->positions_max = 32768;
    GI_TRY(get_size(s, "max_position_embeddings", false, 1, POSITIONS_MAX, &t->positions_max));
    double eps = 1e-5;
    GI_TRY(gi_json_get_double(s.obj, s.what, "rms_norm_eps", false, 1e-12, 0.1, &eps, s.err));
    t->rms_eps = (float)eps;
    t->qkv_bias = true;
    GI_TRY(gi_json_get_bool(s.obj, s.what, "attention_bias", false, &t->qkv_bias, s.err));

    if (t->n_heads % t->n_kv_heads != 0)
        return gi_fail(s.err, GLINT_ERR_FORMAT,
                       "%s: \"num_attention_heads\" is %zu, expected a multiple of "
                       "\"num_key_value_heads\" %zu",
                       s.what, t->n_heads, t->n_kv_heads);
    const json_t *head_dim = json_object_get(s.obj, "head_dim");
    if ((!head_dim || json_is_null(head_dim)) && t->hidden % t->n_heads != 0)
        return gi_fail(s.err, GLINT_ERR_FORMAT,
                       "%s: \"hidden_size\" is %zu, expected a multiple of \"num_attention_heads\" "
                       "%zu, or a \"head_dim\"",
                       s.what, t->hidden, t->n_heads);
    t->head_dim = t->hidden / t->n_heads;
    GI_TRY(get_size(s, "head_dim", false, 2, GI_CONFIG_HEAD_DIM_MAX, &t->head_dim));
    if (t->head_dim < 2 || t->head_dim > GI_CONFIG_HEAD_DIM_MAX || t->head_dim % 2 != 0)
        return gi_fail(s.err, GLINT_ERR_FORMAT,
                       "%s: head dimension is %zu, expected an even number, 2 to %d", s.what,
                       t->head_dim, GI_CONFIG_HEAD_DIM_MAX);
    return gi_config_read_rope(s.obj, s.what, t, s.err);
}

static glint_status check_vision(section s, const gi_text_config *t, const gi_vision_config *v) {
    if (v->hidden % v->n_heads != 0 || v->hidden / v->n_heads % 4 != 0)
        return gi_fail(s.err, GLINT_ERR_FORMAT,
                       "%s: \"hidden_size\" is %zu, expected \"num_heads\" %zu times a multiple of "
                       "4",
                       s.what, v->hidden, v->n_heads);
    if (v->out_hidden != t->hidden)
        return gi_fail(s.err, GLINT_ERR_FORMAT,
                       "%s: \"out_hidden_size\" is %zu, expected the decoder's \"hidden_size\" %zu",
                       s.what, v->out_hidden, t->hidden);
    if (v->image_size < v->patch)
        return gi_fail(s.err, GLINT_ERR_FORMAT,
                       "%s: \"image_size\" is %zu, expected \"patch_size\" %zu or more", s.what,
                       v->image_size, v->patch);
    return GLINT_OK;
}

static glint_status read_vision(section s, const gi_text_config *t, gi_vision_config *v) {
    GI_TRY(want_string(s, "hidden_act", "silu"));
    GI_TRY(want_bool(s, "attention_bias", false));
    GI_TRY(get_size(s, "hidden_size", true, 1, WIDTH_MAX, &v->hidden));
    GI_TRY(get_size(s, "depth", true, 1, LAYERS_MAX, &v->depth));
    GI_TRY(get_size(s, "num_heads", true, 1, HEADS_MAX, &v->n_heads));
    GI_TRY(get_size(s, "out_hidden_size", true, 1, WIDTH_MAX, &v->out_hidden));
    GI_TRY(get_size(s, "intermediate_size", true, 1, FFN_MAX, &v->merger_ffn));
    v->image_size = 336;
    GI_TRY(get_side(s, "image_size", IMAGE_SIDE_MAX, &v->image_size));
    v->patch = 14;
    GI_TRY(get_side(s, "patch_size", PATCH_MAX, &v->patch));
    v->temporal = 2;
    GI_TRY(get_side(s, "temporal_patch_size", TEMPORAL_MAX, &v->temporal));
    v->merge = 2;
    GI_TRY(get_size(s, "spatial_merge_size", false, 1, MERGE_MAX, &v->merge));
    v->in_channels = 3;
    GI_TRY(get_size(s, "in_channels", false, 3, 3, &v->in_channels));
    double eps = 1e-5;
    GI_TRY(gi_json_get_double(s.obj, s.what, "rms_norm_eps", false, 1e-12, 0.1, &eps, s.err));
    v->rms_eps = (float)eps;

    const json_t *rope = NULL;
    GI_TRY(gi_json_get_object(s.obj, s.what, "rope_parameters", false, &rope, s.err));
    v->rope_theta = 10000.0;
    GI_TRY(gi_json_get_double(rope, "config.json: vision_config.rope_parameters", "rope_theta",
                              false, 1.0, 1e12, &v->rope_theta, s.err));

    GI_TRY(check_vision(s, t, v));
    v->head_dim = v->hidden / v->n_heads;
    v->block_ffn = v->out_hidden;
    v->pos_side = v->image_size / v->patch;
    return GLINT_OK;
}

/* An id below the vocabulary's size; absent leaves *ret alone. */
static glint_status get_id(section s, const char *key, size_t vocab, int32_t *ret) {
    int64_t id = *ret;
    GI_TRY(gi_json_get_int(s.obj, s.what, key, false, 0, (int64_t)vocab - 1, &id, s.err));
    *ret = (int32_t)id;
    return GLINT_OK;
}

/* eos_token_id: an id or a list of ids. */
static glint_status read_eos(section s, gi_config *c) {
    const json_t *v = json_object_get(s.obj, "eos_token_id");
    if (!v || json_is_null(v)) return GLINT_OK;
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= (json_int_t)c->text.vocab)
            return gi_fail(s.err, GLINT_ERR_FORMAT,
                           "%s: \"eos_token_id\" must be ids below \"vocab_size\" %zu", s.what,
                           c->text.vocab);
        const int32_t eos = (int32_t)json_integer_value(id);
        bool is_new = true;
        for (size_t j = 0; j < c->n_eos; j++) is_new &= c->eos[j] != eos;
        if (!is_new) continue;
        if (c->n_eos == GI_CONFIG_EOS_MAX)
            return gi_fail(s.err, GLINT_ERR_LIMIT, "%s: \"eos_token_id\" has more than %d ids",
                           s.what, GI_CONFIG_EOS_MAX);
        c->eos[c->n_eos++] = eos;
    }
    return GLINT_OK;
}

static glint_status read_ids(section root, section text, section generation, gi_config *c) {
    c->pad = c->image_begin = c->image_end = c->image_token = -1;
    const section places[] = {generation, root, text}; /* the first that names ids wins */
    for (size_t i = 0; i < 3 && c->n_eos == 0; i++) GI_TRY(read_eos(places[i], c));
    if (c->n_eos == 0)
        return gi_fail(root.err, GLINT_ERR_FORMAT,
                       "%s: \"eos_token_id\" is missing here and in generation_config.json",
                       root.what);
    for (size_t i = 0; i < 3 && c->pad < 0; i++)
        GI_TRY(get_id(places[i], "pad_token_id", c->text.vocab, &c->pad));
    GI_TRY(get_id(root, "image_start_token_id", c->text.vocab, &c->image_begin));
    GI_TRY(get_id(root, "image_end_token_id", c->text.vocab, &c->image_end));
    return get_id(root, "image_token_id", c->text.vocab, &c->image_token);
}

static glint_status read_model(const json_t *json, const json_t *generation_json, gi_config *c,
                               glint_error *err) {
    const section root = {json, "config.json", err};
    GI_TRY(read_architecture(root, c));
    section text = {json, "config.json", err}; /* flat layout unless there is a text_config */
    const json_t *obj = NULL;
    GI_TRY(gi_json_get_object(json, root.what, "text_config", false, &obj, err));
    if (obj) {
        text = (section){obj, "config.json: text_config", err};
        GI_TRY(want_string(text, "model_type", "glm4v_text"));
    }
    GI_TRY(read_text(text, &c->text));
    /* Before transformers 5 the switch lay in text_config; either one ties. */
    bool tied_text = false;
    GI_TRY(
        gi_json_get_bool(json, root.what, "tie_word_embeddings", false, &c->text.tied_head, err));
    GI_TRY(gi_json_get_bool(text.obj, text.what, "tie_word_embeddings", false, &tied_text, err));
    c->text.tied_head |= tied_text;

    GI_TRY(gi_json_get_object(json, root.what, "vision_config", true, &obj, err));
    GI_TRY(read_vision((section){obj, "config.json: vision_config", err}, &c->text, &c->vision));
    return read_ids(root, text, (section){generation_json, "generation_config.json", err}, c);
}

/* ---- preprocessor_config.json ---- */

static glint_status read_triple(section s, const char *key, const double usual[3], double min,
                                float ret[3]) {
    const json_t *list = NULL;
    GI_TRY(gi_json_get_array(s.obj, s.what, key, false, &list, s.err));
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = list ? json_array_get(list, i) : NULL;
        const double v = list ? json_number_value(n) : usual[i];
        if (list && (json_array_size(list) != 3 || !json_is_number(n) || !isfinite(v) || v < min ||
                     v > 1.0))
            return gi_fail(s.err, GLINT_ERR_FORMAT, "%s: \"%s\" must hold 3 numbers, %g to 1",
                           s.what, key, min);
        ret[i] = (float)v;
    }
    return GLINT_OK;
}

/* Bounds in pixels times frames: size.{shortest,longest}_edge, else {min,max}_pixels. */
static glint_status read_pixel_bounds(section s, gi_image_spec *spec) {
    double lo = 112 * 112, hi = 28 * 28 * 15000;
    const json_t *size = NULL;
    GI_TRY(gi_json_get_object(s.obj, s.what, "size", false, &size, s.err));
    GI_TRY(gi_json_get_double(s.obj, s.what, "min_pixels", false, 1, PIXELS_MAX, &lo, s.err));
    GI_TRY(gi_json_get_double(s.obj, s.what, "max_pixels", false, 1, PIXELS_MAX, &hi, s.err));
    char what[WHAT_BYTES];
    snprintf(what, sizeof what, "%s: size", s.what);
    GI_TRY(
        gi_json_get_double(size, what, "shortest_edge", size != NULL, 1, PIXELS_MAX, &lo, s.err));
    GI_TRY(gi_json_get_double(size, what, "longest_edge", size != NULL, 1, PIXELS_MAX, &hi, s.err));
    spec->pixels_min = (uint64_t)lo;
    spec->pixels_max = (uint64_t)hi;
    const uint64_t side = (uint64_t)spec->patch_px * spec->merge;
    const uint64_t least = spec->temporal * side * side;
    if (spec->pixels_max < least || spec->pixels_min > spec->pixels_max)
        return gi_fail(s.err, GLINT_ERR_FORMAT,
                       "%s: picture bounds are %llu to %llu pixels, expected a range that reaches "
                       "%llu",
                       s.what, (unsigned long long)spec->pixels_min,
                       (unsigned long long)spec->pixels_max, (unsigned long long)least);
    return GLINT_OK;
}

static glint_status read_image_type(section s) {
    const char *type = "Glm4vImageProcessor";
    GI_TRY(gi_json_get_string(s.obj, s.what, "image_processor_type", false, &type, s.err));
    static const char *const known[] = {
        "Glm4vImageProcessor",      "Glm46VImageProcessor",   "Glm4vImageProcessorFast",
        "Glm46VImageProcessorFast", "Glm4vImageProcessorPil", "Glm46VImageProcessorPil",
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(type, known[i]) == 0) return GLINT_OK;
    return gi_fail(s.err, GLINT_ERR_UNSUPPORTED,
                   "%s: \"image_processor_type\" is \"%.60s\", expected \"Glm4vImageProcessor\" or "
                   "\"Glm46VImageProcessor\"",
                   s.what, type);
}

static glint_status read_image(section s, const gi_vision_config *v, gi_image_spec *spec) {
    static const double clip_mean[3] = {0.48145466, 0.4578275, 0.40821073};
    static const double clip_std[3] = {0.26862954, 0.26130258, 0.27577711};
    GI_TRY(read_image_type(s));
    GI_TRY(want_bool(s, "do_resize", true));
    GI_TRY(want_bool(s, "do_rescale", true));
    GI_TRY(want_bool(s, "do_normalize", true));
    double factor = 1.0 / 255.0;
    GI_TRY(gi_json_get_double(s.obj, s.what, "rescale_factor", false, 0.0, 1.0, &factor, s.err));
    if (fabs(factor * 255.0 - 1.0) > 1e-6)
        return gi_fail(s.err, GLINT_ERR_UNSUPPORTED, "%s: \"rescale_factor\" is %g, expected 1/255",
                       s.what, factor);
    size_t resample = 3; /* bicubic */
    GI_TRY(get_size(s, "resample", false, 3, 3, &resample));

    size_t patch = 14, merge = 2, temporal = 2;
    GI_TRY(get_side(s, "patch_size", PATCH_MAX, &patch));
    GI_TRY(get_size(s, "merge_size", false, 1, MERGE_MAX, &merge));
    GI_TRY(get_side(s, "temporal_patch_size", TEMPORAL_MAX, &temporal));
    const struct {
        const char *key, *twin;
        size_t found, want;
    } pairs[] = {{"patch_size", "patch_size", patch, v->patch},
                 {"merge_size", "spatial_merge_size", merge, v->merge},
                 {"temporal_patch_size", "temporal_patch_size", temporal, v->temporal}};
    for (size_t i = 0; i < 3; i++)
        if (pairs[i].found != pairs[i].want)
            return gi_fail(s.err, GLINT_ERR_FORMAT,
                           "%s: \"%s\" is %zu, expected %zu as in config.json: vision_config.%s",
                           s.what, pairs[i].key, pairs[i].found, pairs[i].want, pairs[i].twin);
    spec->patch_px = (uint32_t)patch;
    spec->merge = (uint32_t)merge;
    spec->temporal = (uint32_t)temporal;
    GI_TRY(read_triple(s, "image_mean", clip_mean, 0.0, spec->mean));
    GI_TRY(read_triple(s, "image_std", clip_std, 1e-3, spec->std));
    return read_pixel_bounds(s, spec);
}

/* ---- the directory ---- */

/* Parse DIR/name. When it is absent and not required, *ret stays NULL. */
static glint_status load_json(const char *dir, const char *name, bool required, json_t **ret,
                              glint_error *err) {
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, dir, name, err));
    if (!required && !gi_file_exists(path)) return GLINT_OK;
    json_t *json = NULL;
    GI_TRY(gi_json_load(path, FILE_BYTES_MAX, &json, err));
    if (!json_is_object(json)) {
        json_decref(json);
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: must be a JSON object", path);
    }
    *ret = json;
    return GLINT_OK;
}

glint_status gi_config_load(const char *dir, gi_config *ret, glint_error *err) {
    json_t *model = NULL, *generation = NULL, *preprocessor = NULL, *processor = NULL;
    gi_config c = {0};
    section image = {NULL, "preprocessor_config.json", err};
    glint_status st;
    GI_TRY_DONE(load_json(dir, "config.json", true, &model, err));
    GI_TRY_DONE(load_json(dir, "generation_config.json", false, &generation, err));
    GI_TRY_DONE(read_model(model, generation, &c, err));
    /* transformers 5 may write all processors into one file. */
    GI_TRY_DONE(load_json(dir, "preprocessor_config.json", false, &preprocessor, err));
    image.obj = preprocessor;
    if (!preprocessor) {
        GI_TRY_DONE(load_json(dir, "processor_config.json", false, &processor, err));
        GI_TRY_DONE(gi_json_get_object(processor, "processor_config.json", "image_processor",
                                       processor != NULL, &image.obj, err));
        image.what = "processor_config.json: image_processor";
    }
    if (!image.obj) {
        st = gi_fail(err, GLINT_ERR_IO, "%s: preprocessor_config.json is missing", dir);
        goto done;
    }
    GI_TRY_DONE(read_image(image, &c.vision, &c.image));
    *ret = c;
done:
    json_decref(model);
    json_decref(generation);
    json_decref(preprocessor);
    json_decref(processor);
    return st;
}
