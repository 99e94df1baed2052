/*
 * Binds the tensors of a checkpoint to the model's weight records.
 *
 * One table says what a GLM-4V checkpoint contains: for each weight its name, its shape in terms
 * of the config, and the record field that receives it. Binding walks the table; what the table
 * names and the files lack, or the files hold and the table does not name, is an error. So a
 * wrong checkpoint is refused here with the tensor's name, and the model code needs no checks.
 */
#include "model/bind.h"

#include "kernels/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPE_TEXT_BYTES = 120, PANEL_ALIGN = 64 };

/* ---- what a checkpoint contains ---- */

/* Dimensions a shape may be made of; the letters of checkpoint.h. */
typedef enum dim {
    DIM_NONE, /* end of a shape */
    DIM_V,
    DIM_C,
    DIM_HD,
    DIM_KD,
    DIM_F,
    DIM_2F,
    DIM_E,
    DIM_3E,
    DIM_M,
    DIM_G,
    DIM_POS,
    DIM_CHANNELS,
    DIM_TEMPORAL,
    DIM_PATCH,
    DIM_MERGE,
} dim;

typedef enum part { PART_EMBED, PART_TEXT, PART_HEAD, PART_VISION, PART_MERGER } part;

enum { SHAPE_DIMS_MAX = 5 };

typedef struct weight_spec {
    const char *name; /* after the prefix */
    dim shape[SHAPE_DIMS_MAX];
    size_t offset; /* of the gi_weight in its record */
    part part;
    bool is_qkv_bias; /* there only if config.text.qkv_bias */
} weight_spec;

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define AT(field) offsetof(gi_text_weights, field)
static const weight_spec TEXT[] = {
    {"embed_tokens.weight", {DIM_V, DIM_C}, AT(embed), PART_EMBED},
    {"norm.weight", {DIM_C}, AT(norm), PART_TEXT},
};
static const weight_spec HEAD = {"lm_head.weight", {DIM_V, DIM_C}, AT(head), PART_HEAD};
#undef AT

#define AT(field) offsetof(gi_text_layer_weights, field)
static const weight_spec TEXT_LAYER[] = {
    {"input_layernorm.weight", {DIM_C}, AT(input_norm), PART_TEXT},
    {"self_attn.q_proj.weight", {DIM_HD, DIM_C}, AT(q_w), PART_TEXT},
    {"self_attn.q_proj.bias", {DIM_HD}, AT(q_b), PART_TEXT, true},
    {"self_attn.k_proj.weight", {DIM_KD, DIM_C}, AT(k_w), PART_TEXT},
    {"self_attn.k_proj.bias", {DIM_KD}, AT(k_b), PART_TEXT, true},
    {"self_attn.v_proj.weight", {DIM_KD, DIM_C}, AT(v_w), PART_TEXT},
    {"self_attn.v_proj.bias", {DIM_KD}, AT(v_b), PART_TEXT, true},
    {"self_attn.o_proj.weight", {DIM_C, DIM_HD}, AT(o_w), PART_TEXT},
    {"post_self_attn_layernorm.weight", {DIM_C}, AT(post_attn_norm), PART_TEXT},
    {"post_attention_layernorm.weight", {DIM_C}, AT(pre_mlp_norm), PART_TEXT},
    {"mlp.gate_up_proj.weight", {DIM_2F, DIM_C}, AT(gate_up_w), PART_TEXT},
    {"mlp.down_proj.weight", {DIM_C, DIM_F}, AT(down_w), PART_TEXT},
    {"post_mlp_layernorm.weight", {DIM_C}, AT(post_mlp_norm), PART_TEXT},
};
#undef AT

#define AT(field) offsetof(gi_vision_weights, field)
static const weight_spec VISION[] = {
    {"patch_embed.proj.weight",
     {DIM_E, DIM_CHANNELS, DIM_TEMPORAL, DIM_PATCH, DIM_PATCH},
     AT(patch_w),
     PART_VISION},
    {"patch_embed.proj.bias", {DIM_E}, AT(patch_b), PART_VISION},
    {"post_conv_layernorm.weight", {DIM_E}, AT(post_conv_norm), PART_VISION},
    {"embeddings.position_embedding.weight", {DIM_POS, DIM_E}, AT(pos_embed), PART_VISION},
    {"post_layernorm.weight", {DIM_E}, AT(post_norm), PART_VISION},
    {"downsample.weight", {DIM_C, DIM_E, DIM_MERGE, DIM_MERGE}, AT(downsample_w), PART_MERGER},
    {"downsample.bias", {DIM_C}, AT(downsample_b), PART_MERGER},
    {"merger.proj.weight", {DIM_C, DIM_C}, AT(merger_proj_w), PART_MERGER},
    {"merger.post_projection_norm.weight", {DIM_C}, AT(merger_norm_w), PART_MERGER},
    {"merger.post_projection_norm.bias", {DIM_C}, AT(merger_norm_b), PART_MERGER},
    {"merger.gate_proj.weight", {DIM_G, DIM_C}, AT(merger_gate_w), PART_MERGER},
    {"merger.up_proj.weight", {DIM_G, DIM_C}, AT(merger_up_w), PART_MERGER},
    {"merger.down_proj.weight", {DIM_C, DIM_G}, AT(merger_down_w), PART_MERGER},
};
#undef AT

#define AT(field) offsetof(gi_vision_block_weights, field)
static const weight_spec VISION_BLOCK[] = {
    {"norm1.weight", {DIM_E}, AT(norm1), PART_VISION},
    {"attn.qkv.weight", {DIM_3E, DIM_E}, AT(qkv_w), PART_VISION},
    {"attn.proj.weight", {DIM_E, DIM_E}, AT(proj_w), PART_VISION},
    {"norm2.weight", {DIM_E}, AT(norm2), PART_VISION},
    {"mlp.gate_proj.weight", {DIM_M, DIM_E}, AT(gate_w), PART_VISION},
    {"mlp.up_proj.weight", {DIM_M, DIM_E}, AT(up_w), PART_VISION},
    {"mlp.down_proj.weight", {DIM_E, DIM_M}, AT(down_w), PART_VISION},
};
#undef AT

/* Prefixes in use, the published one first; a checkpoint uses one of each throughout. */
static const char *const TEXT_PREFIXES[] = {"model.language_model.", "language_model.model.",
                                            "language_model.", "model."};
static const char *const VISION_PREFIXES[] = {"model.visual.", "visual."};
static const char *const HEAD_PREFIXES[] = {"", "language_model."};

static uint64_t dim_value(dim d, const gi_config *c) {
    const gi_text_config *t = &c->text;
    const gi_vision_config *v = &c->vision;
    switch (d) {
    case DIM_NONE:
        return 0;
    case DIM_V:
        return t->vocab;
    case DIM_C:
        return t->hidden;
    case DIM_HD:
        return t->n_heads * t->head_dim;
    case DIM_KD:
        return t->n_kv_heads * t->head_dim;
    case DIM_F:
        return t->ffn;
    case DIM_2F:
        return 2 * t->ffn;
    case DIM_E:
        return v->hidden;
    case DIM_3E:
        return 3 * v->hidden;
    case DIM_M:
        return v->block_ffn;
    case DIM_G:
        return v->merger_ffn;
    case DIM_POS:
        return v->pos_side * v->pos_side;
    case DIM_CHANNELS:
        return v->in_channels;
    case DIM_TEMPORAL:
        return v->temporal;
    case DIM_PATCH:
        return v->patch;
    case DIM_MERGE:
        return v->merge;
    }
    return 0;
}

static size_t spec_shape(const weight_spec *w, const gi_config *c, uint64_t shape[SHAPE_DIMS_MAX]) {
    size_t n = 0;
    for (; n < SHAPE_DIMS_MAX && w->shape[n] != DIM_NONE; n++) shape[n] = dim_value(w->shape[n], c);
    return n;
}

/* Tables are looked up row by row; every other [rows, cols] weight is multiplied by. */
static bool is_matrix(const weight_spec *w) {
    return w->shape[1] != DIM_NONE && w->shape[2] == DIM_NONE && w->shape[0] != DIM_POS;
}

/* ---- binding ---- */

static glint_status out_of_memory(const gi_binder *b) {
    return gi_fail(b->err, GLINT_ERR_MEMORY, "%s: no memory to open the checkpoint", b->dir);
}

static int by_tensor_name(const void *name, const void *at) {
    return strcmp(name, ((const gi_bind_slot *)at)->tensor->name);
}

gi_bind_slot *gi_bind_find(const gi_binder *b, const char *name) {
    if (!b->n_slots) return NULL;
    return bsearch(name, b->slots, b->n_slots, sizeof b->slots[0], by_tensor_name);
}

/* "[384, 256, 2, 2]" */
static void shape_text(char out[SHAPE_TEXT_BYTES], const uint64_t *shape, size_t n_dims) {
    size_t len = 0;
    out[len++] = '[';
    for (size_t i = 0; i < n_dims && len < SHAPE_TEXT_BYTES - 24; i++)
        len += (size_t)snprintf(out + len, SHAPE_TEXT_BYTES - len, i ? ", %llu" : "%llu",
                                (unsigned long long)shape[i]);
    out[len++] = ']';
    out[len] = '\0';
}

static glint_status check_dims(const gi_binder *b, const gi_bind_slot *s, const uint64_t *want,
                               size_t n) {
    const gi_st_tensor *t = s->tensor;
    bool same = t->n_dims == n;
    for (size_t i = 0; same && i < n; i++) same = t->shape[i] == want[i];
    if (same) return GLINT_OK;
    char found_text[SHAPE_TEXT_BYTES], want_text[SHAPE_TEXT_BYTES];
    shape_text(found_text, t->shape, t->n_dims);
    shape_text(want_text, want, n);
    return gi_fail(b->err, GLINT_ERR_FORMAT,
                   "%s: \"%.100s\" has shape %s, expected %s after config.json",
                   b->file_names[s->file], t->name, found_text, want_text);
}

static glint_status check_shape(const gi_binder *b, const gi_bind_slot *s, const weight_spec *w) {
    uint64_t want[SHAPE_DIMS_MAX];
    return check_dims(b, s, want, spec_shape(w, &b->ckpt->config, want));
}

static glint_status check_dtype(const gi_binder *b, const gi_bind_slot *s, gi_dtype *ret) {
    static const gi_dtype known[] = {GI_DTYPE_BF16, GI_DTYPE_F16, GI_DTYPE_F32};
    const gi_st_tensor *t = s->tensor;
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcmp(t->dtype, gi_dtype_name(known[i])) != 0) continue;
        if ((uintptr_t)t->data % gi_dtype_bytes(known[i]) != 0)
            return gi_fail(b->err, GLINT_ERR_UNSUPPORTED,
                           "%s: \"%.100s\" is not aligned in the file: save it again with the "
                           "safetensors library",
                           b->file_names[s->file], t->name);
        *ret = known[i];
        return GLINT_OK;
    }
    return gi_fail(b->err, GLINT_ERR_UNSUPPORTED,
                   "%s: \"%.100s\" has dtype %s, expected BF16, F16 or F32", b->file_names[s->file],
                   t->name, t->dtype);
}

static void count_bytes(gi_checkpoint_sizes *z, gi_dtype dtype, uint64_t n_bytes) {
    uint64_t *const bytes[] = {[GI_DTYPE_F32] = &z->f32_bytes,
                               [GI_DTYPE_BF16] = &z->bf16_bytes,
                               [GI_DTYPE_F16] = &z->f16_bytes,
                               [GI_DTYPE_S8] = &z->int8_bytes};
    *bytes[dtype] += n_bytes;
    z->total_bytes += n_bytes;
    z->n_tensors++;
}

static void count_params(gi_checkpoint_sizes *z, part p, uint64_t n) {
    uint64_t *const params[] = {[PART_EMBED] = &z->embed_params,
                                [PART_TEXT] = &z->text_params,
                                [PART_HEAD] = &z->head_params,
                                [PART_VISION] = &z->vision_params,
                                [PART_MERGER] = &z->merger_params};
    *params[p] += n;
    z->total_params += n;
}

/* The tensor "NAME.SUFFIX", or NULL. */
static gi_bind_slot *find_suffixed(const gi_binder *b, const char *name, const char *suffix) {
    char full[GI_ST_NAME_BYTES_MAX + 16];
    snprintf(full, sizeof full, "%s.%s", name, suffix);
    return gi_bind_find(b, full);
}

static glint_status take_packed(gi_binder *b, gi_bind_slot *s, const char *dtype,
                                const uint64_t *shape, size_t n_dims, const void **ret) {
    const gi_st_tensor *t = s->tensor;
    GI_TRY(check_dims(b, s, shape, n_dims));
    if (strcmp(t->dtype, dtype) != 0 || (uintptr_t)t->data % PANEL_ALIGN != 0)
        return gi_fail(b->err, GLINT_ERR_FORMAT,
                       "%s: \"%.100s\" must be %s and lie at a multiple of %d bytes",
                       b->file_names[s->file], t->name, dtype, PANEL_ALIGN);
    s->used = true;
    *ret = t->data;
    return GLINT_OK;
}

/* The packed form of a matrix, if there is one: NAME.panels and, for INT8, NAME.scales. */
static glint_status bind_packed(gi_binder *b, const char *name, const weight_spec *spec,
                                gi_weight *w) {
    gi_bind_slot *panels = is_matrix(spec) ? find_suffixed(b, name, "panels") : NULL;
    if (!panels) return GLINT_OK;
    const bool is_s8 = strcmp(panels->tensor->dtype, "U8") == 0;
    uint64_t shape[SHAPE_DIMS_MAX];
    spec_shape(spec, &b->ckpt->config, shape);
    const size_t cuts = spec->shape[0] == DIM_2F ? 2 : 1;
    const uint64_t n_panels = cuts * gi_pack_panels(shape[0] / cuts);
    const uint64_t units = is_s8 ? gi_pack_units_s8(shape[1]) : gi_pack_units_bf16(shape[1]);
    const uint64_t want[] = {n_panels, units, GI_TILE_N, is_s8 ? 4 : 2};
    GI_TRY(take_packed(b, panels, is_s8 ? "U8" : "BF16", want, COUNT(want), &w->panels));
    w->panels_dtype = is_s8 ? GI_DTYPE_S8 : GI_DTYPE_BF16;
    w->n = shape[0] * shape[1];
    count_bytes(&b->ckpt->sizes, w->panels_dtype, panels->tensor->n_bytes);
    if (!is_s8) return GLINT_OK;
    gi_bind_slot *scales = find_suffixed(b, name, "scales");
    if (!scales)
        return gi_fail(b->err, GLINT_ERR_FORMAT, "%s: tensor \"%.150s.scales\" is missing", b->dir,
                       name);
    const void *data = NULL;
    const uint64_t want_scales[] = {n_panels, GI_TILE_N};
    GI_TRY(take_packed(b, scales, "F32", want_scales, COUNT(want_scales), &data));
    w->scales = data;
    count_bytes(&b->ckpt->sizes, GI_DTYPE_F32, scales->tensor->n_bytes);
    return GLINT_OK;
}

/* Bind one weight; a missing one is noted and reported when all have been looked at. */
static glint_status bind_weight(gi_binder *b, const char *prefix, const weight_spec *spec,
                                void *record) {
    if (spec->is_qkv_bias && !b->ckpt->config.text.qkv_bias) return GLINT_OK;
    char name[GI_ST_NAME_BYTES_MAX];
    gi_weight w = {0};
    snprintf(name, sizeof name, "%s%s", prefix, spec->name);
    gi_bind_slot *s = gi_bind_find(b, name);
    GI_TRY(bind_packed(b, name, spec, &w));
    if (s) {
        w.data = s->tensor->data;
        GI_TRY(check_shape(b, s, spec));
        GI_TRY(check_dtype(b, s, &w.dtype));
        w.n = s->tensor->n_bytes / gi_dtype_bytes(w.dtype);
        s->used = true;
        count_bytes(&b->ckpt->sizes, w.dtype, s->tensor->n_bytes);
    } else if (!w.panels || spec->part == PART_EMBED) {
        if (b->n_missing++ == 0) memcpy(b->first_missing, name, sizeof name);
        return GLINT_OK;
    }
    memcpy((char *)record + spec->offset, &w, sizeof w);
    count_params(&b->ckpt->sizes, spec->part, w.n);
    return GLINT_OK;
}

static glint_status bind_all(gi_binder *b, const char *prefix, const weight_spec *specs, size_t n,
                             void *record) {
    for (size_t i = 0; i < n; i++) GI_TRY(bind_weight(b, prefix, &specs[i], record));
    return GLINT_OK;
}

/* The prefix under which `name` exists; the first when it exists under none. */
static const char *find_prefix(const gi_binder *b, const char *const *prefixes, size_t n,
                               const char *name) {
    for (size_t i = 0; i < n; i++) {
        char full[GI_ST_NAME_BYTES_MAX];
        snprintf(full, sizeof full, "%s%s", prefixes[i], name);
        if (gi_bind_find(b, full) || find_suffixed(b, full, "panels")) return prefixes[i];
    }
    return prefixes[0];
}

static glint_status bind_text(gi_binder *b) {
    gi_text_weights *t = &b->ckpt->text;
    const gi_text_config *c = &b->ckpt->config.text;
    t->layers = gi_arena_alloc(&b->ckpt->arena, c->n_layers, sizeof *t->layers);
    if (!t->layers) return out_of_memory(b);
    const char *prefix = find_prefix(b, TEXT_PREFIXES, COUNT(TEXT_PREFIXES), TEXT[0].name);
    GI_TRY(bind_all(b, prefix, TEXT, COUNT(TEXT), t));
    for (size_t i = 0; i < c->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%slayers.%zu.", prefix, i);
        GI_TRY(bind_all(b, layer, TEXT_LAYER, COUNT(TEXT_LAYER), &t->layers[i]));
    }
    prefix = find_prefix(b, HEAD_PREFIXES, COUNT(HEAD_PREFIXES), HEAD.name);
    if (!c->tied_head) return bind_weight(b, prefix, &HEAD, t);
    /* transformers ties after loading, so a stored head has no effect; still it must fit. */
    char name[GI_ST_NAME_BYTES_MAX];
    snprintf(name, sizeof name, "%s%s", prefix, HEAD.name);
    gi_bind_slot *s = gi_bind_find(b, name);
    if (s) {
        GI_TRY(check_shape(b, s, &HEAD));
        s->used = true;
    }
    t->head = t->embed;
    return GLINT_OK;
}

static glint_status bind_vision(gi_binder *b) {
    gi_vision_weights *v = &b->ckpt->vision;
    const size_t depth = b->ckpt->config.vision.depth;
    v->blocks = gi_arena_alloc(&b->ckpt->arena, depth, sizeof *v->blocks);
    if (!v->blocks) return out_of_memory(b);
    const char *prefix = find_prefix(b, VISION_PREFIXES, COUNT(VISION_PREFIXES), VISION[0].name);
    GI_TRY(bind_all(b, prefix, VISION, COUNT(VISION), v));
    for (size_t i = 0; i < depth; i++) {
        char block[64];
        snprintf(block, sizeof block, "%sblocks.%zu.", prefix, i);
        GI_TRY(bind_all(b, block, VISION_BLOCK, COUNT(VISION_BLOCK), &v->blocks[i]));
    }
    return GLINT_OK;
}

static glint_status check_complete(const gi_binder *b) {
    if (b->n_missing == 1)
        return gi_fail(b->err, GLINT_ERR_FORMAT, "%s: tensor \"%.150s\" is missing", b->dir,
                       b->first_missing);
    if (b->n_missing > 1)
        return gi_fail(b->err, GLINT_ERR_FORMAT, "%s: tensor \"%.150s\" and %zu more are missing",
                       b->dir, b->first_missing, b->n_missing - 1);
    size_t n_unknown = 0;
    const gi_bind_slot *first = NULL;
    for (size_t i = 0; i < b->n_slots; i++) {
        if (b->slots[i].used) continue;
        if (n_unknown++ == 0) first = &b->slots[i];
    }
    if (!first) return GLINT_OK;
    return gi_fail(b->err, GLINT_ERR_UNSUPPORTED,
                   "%s: tensor \"%.100s\" is not part of %s (%zu such tensor%s)",
                   b->file_names[first->file], first->tensor->name, b->ckpt->config.architecture,
                   n_unknown, n_unknown == 1 ? "" : "s");
}

glint_status gi_bind_weights(gi_binder *b) {
    GI_TRY(bind_text(b));
    GI_TRY(bind_vision(b));
    return check_complete(b);
}

/* ---- walking ---- */

static glint_status visit_all(const gi_checkpoint *k, const char *prefix, const weight_spec *specs,
                              size_t n, const void *record, gi_weight_visitor visit, void *ctx,
                              glint_error *err) {
    for (size_t i = 0; i < n; i++) {
        const weight_spec *spec = &specs[i];
        if (spec->is_qkv_bias && !k->config.text.qkv_bias) continue;
        char name[GI_ST_NAME_BYTES_MAX];
        snprintf(name, sizeof name, "%s%s", prefix, spec->name);
        const bool is_text = spec->part == PART_TEXT || spec->part == PART_HEAD ||
                             (spec->part == PART_EMBED && k->config.text.tied_head);
        const bool is_vision = spec->part == PART_VISION || spec->part == PART_MERGER;
        gi_weight_entry entry = {
            .name = name,
            .weight = (const gi_weight *)(const void *)((const char *)record + spec->offset),
            .is_text_matrix = is_matrix(spec) && is_text,
            .is_vision_matrix = is_matrix(spec) && is_vision,
            .is_gate_up = spec->shape[0] == DIM_2F,
        };
        entry.n_dims = spec_shape(spec, &k->config, entry.shape);
        GI_TRY(visit(ctx, &entry, err));
    }
    return GLINT_OK;
}

glint_status gi_checkpoint_each(const gi_checkpoint *ckpt, gi_weight_visitor visit, void *ctx,
                                glint_error *err) {
    char prefix[64];
    GI_TRY(visit_all(ckpt, TEXT_PREFIXES[0], TEXT, COUNT(TEXT), &ckpt->text, visit, ctx, err));
    for (size_t i = 0; i < ckpt->config.text.n_layers; i++) {
        snprintf(prefix, sizeof prefix, "%slayers.%zu.", TEXT_PREFIXES[0], i);
        GI_TRY(visit_all(ckpt, prefix, TEXT_LAYER, COUNT(TEXT_LAYER), &ckpt->text.layers[i], visit,
                         ctx, err));
    }
    if (!ckpt->config.text.tied_head)
        GI_TRY(visit_all(ckpt, HEAD_PREFIXES[0], &HEAD, 1, &ckpt->text, visit, ctx, err));
    GI_TRY(
        visit_all(ckpt, VISION_PREFIXES[0], VISION, COUNT(VISION), &ckpt->vision, visit, ctx, err));
    for (size_t i = 0; i < ckpt->config.vision.depth; i++) {
        snprintf(prefix, sizeof prefix, "%sblocks.%zu.", VISION_PREFIXES[0], i);
        GI_TRY(visit_all(ckpt, prefix, VISION_BLOCK, COUNT(VISION_BLOCK), &ckpt->vision.blocks[i],
                         visit, ctx, err));
    }
    return GLINT_OK;
}
