/*
 * The vision tower's weights: mostly views of the checkpoint. Two are rewritten once:
 *
 *   patch_embed [E, 3, t, p, p]: a still picture repeats its frame, so the temporal slices are
 *   summed in F32 and patches are 3 * p * p wide instead of twice that;
 *
 *   downsample [C, E, m, m]: its columns are reordered to (m, m, E), the order in which the rows
 *   of a merge block already lie in memory.
 */
#include "model/vision.h"

#include "base/alloc.h"

static float element(const gi_weight *w, size_t i) {
    if (w->dtype == GI_DTYPE_F32) return ((const float *)w->data)[i];
    const uint16_t h = ((const uint16_t *)w->data)[i];
    return w->dtype == GI_DTYPE_BF16 ? gi_bf16_to_f32(h) : gi_f16_to_f32(h);
}

static gi_matrix_part part(const gi_weight *w, size_t n_rows) {
    return (gi_matrix_part){.weight = w->data,
                            .type = w->dtype,
                            .panels = w->panels,
                            .panels_type = w->panels_dtype,
                            .scales = w->scales,
                            .n_rows = n_rows};
}

static gi_matrix_part part_bias(const void *weight, gi_dtype type, const gi_weight *bias,
                                size_t n_rows) {
    return (gi_matrix_part){.weight = weight,
                            .type = type,
                            .bias = bias->data,
                            .bias_type = bias->dtype,
                            .n_rows = n_rows};
}

/* dst [E, 3 * p * p] */
static void fold_frames(const gi_vision_config *c, const gi_weight *w, float *dst) {
    const size_t area = c->patch * c->patch, channels = c->hidden * c->in_channels;
    for (size_t i = 0; i < channels; i++)
        for (size_t a = 0; a < area; a++) {
            float sum = 0;
            for (size_t t = 0; t < c->temporal; t++)
                sum += element(w, (i * c->temporal + t) * area + a);
            dst[i * area + a] = sum;
        }
}

/* dst [C, m * m, E] from [C, E, m * m] */
static void reorder_downsample(const gi_vision_config *c, const gi_weight *w, float *dst) {
    const size_t block = c->merge * c->merge;
    for (size_t o = 0; o < c->out_hidden; o++)
        for (size_t e = 0; e < c->hidden; e++)
            for (size_t k = 0; k < block; k++)
                dst[(o * block + k) * c->hidden + e] = element(w, (o * c->hidden + e) * block + k);
}

static glint_status make_matrix(gi_vision *v, const char *name, gi_matrix_part p, size_t n_cols,
                                gi_matrix **ret, glint_error *err) {
    const gi_matrix_spec spec = {
        .name = name, .use = GI_MATRIX_VISION, .parts = {p}, .n_parts = 1, .n_cols = n_cols};
    return v->dev->ops->matrix_create(v->dev, &spec, ret, err);
}

static glint_status make_gate_up(gi_vision *v, const char *name, gi_matrix_part gate,
                                 gi_matrix_part up, size_t n_cols, gi_matrix **ret,
                                 glint_error *err) {
    const gi_matrix_spec spec = {.name = name,
                                 .use = GI_MATRIX_VISION,
                                 .is_swiglu = true,
                                 .parts = {gate, up},
                                 .n_parts = 2,
                                 .n_cols = n_cols};
    return v->dev->ops->matrix_create(v->dev, &spec, ret, err);
}

static glint_status make_vector(gi_vision *v, const gi_weight *w, gi_vector **ret,
                                glint_error *err) {
    return v->dev->ops->vector_create(v->dev, w->data, w->dtype, w->n, ret, err);
}

static glint_status load_layer(gi_vision *v, const gi_vision_block_weights *w, gi_vision_layer *l,
                               glint_error *err) {
    const size_t e = v->cfg.hidden, m = v->cfg.block_ffn;
    GI_TRY(make_vector(v, &w->norm1, &l->norm1, err));
    GI_TRY(make_vector(v, &w->norm2, &l->norm2, err));
    GI_TRY(make_matrix(v, "vision attn.qkv", part(&w->qkv_w, 3 * e), e, &l->qkv, err));
    GI_TRY(make_matrix(v, "vision attn.proj", part(&w->proj_w, e), e, &l->proj, err));
    GI_TRY(make_gate_up(v, "vision mlp.gate_up", part(&w->gate_w, m), part(&w->up_w, m), e,
                        &l->gate_up, err));
    return make_matrix(v, "vision mlp.down", part(&w->down_w, e), m, &l->down, err);
}

static glint_status load_stem_and_merger(gi_vision *v, const gi_vision_weights *w,
                                         glint_error *err) {
    const gi_vision_config *c = &v->cfg;
    const size_t e = c->hidden, out = c->out_hidden, g = c->merger_ffn;
    const size_t patch_cols = c->in_channels * c->patch * c->patch;
    const size_t block_cols = c->merge * c->merge * e;
    float *patch = v->folded, *down = patch + e * patch_cols;
    fold_frames(c, &w->patch_w, patch);
    reorder_downsample(c, &w->downsample_w, down);
    const gi_matrix_spec positions = {.name = "vision positions",
                                      .use = GI_MATRIX_LOOKUP,
                                      .parts = {part(&w->pos_embed, c->pos_side * c->pos_side)},
                                      .n_parts = 1,
                                      .n_cols = e};
    GI_TRY(v->dev->ops->matrix_create(v->dev, &positions, &v->positions, err));
    GI_TRY(make_matrix(v, "vision patch_embed", part_bias(patch, GI_DTYPE_F32, &w->patch_b, e),
                       patch_cols, &v->patch, err));
    GI_TRY(make_matrix(v, "vision downsample", part_bias(down, GI_DTYPE_F32, &w->downsample_b, out),
                       block_cols, &v->downsample, err));
    GI_TRY(make_matrix(v, "merger.proj", part(&w->merger_proj_w, out), out, &v->merger_proj, err));
    GI_TRY(make_gate_up(v, "merger.gate_up", part(&w->merger_gate_w, g), part(&w->merger_up_w, g),
                        out, &v->merger_gate_up, err));
    GI_TRY(make_matrix(v, "merger.down", part(&w->merger_down_w, out), g, &v->merger_down, err));
    GI_TRY(make_vector(v, &w->post_conv_norm, &v->post_conv_norm, err));
    GI_TRY(make_vector(v, &w->post_norm, &v->post_norm, err));
    GI_TRY(make_vector(v, &w->merger_norm_w, &v->merger_norm_w, err));
    return make_vector(v, &w->merger_norm_b, &v->merger_norm_b, err);
}

static glint_status make_scratch(gi_vision *v, glint_error *err) {
    const gi_device_ops *op = v->dev->ops;
    const gi_vision_config *c = &v->cfg;
    const size_t p = v->patches_max, n = p / (c->merge * c->merge);
    const size_t patch_cols = c->in_channels * c->patch * c->patch;
    GI_TRY(op->act_create(v->dev, p, patch_cols, &v->pixels, err));
    GI_TRY(op->act_create(v->dev, p, c->hidden, &v->x, err));
    GI_TRY(op->act_create(v->dev, p, 3 * c->hidden, &v->qkv, err));
    GI_TRY(op->act_create(v->dev, p, c->hidden, &v->attn, err));
    GI_TRY(op->act_create(v->dev, p, c->block_ffn, &v->mlp, err));
    GI_TRY(op->act_create(v->dev, n, c->out_hidden, &v->merged, err));
    GI_TRY(op->act_create(v->dev, n, c->out_hidden, &v->merger_in, err));
    GI_TRY(op->act_create(v->dev, n, c->merger_ffn, &v->merger_mlp, err));
    v->cos = gi_alloc_aligned(p * (c->head_dim / 2), sizeof(float));
    v->sin = gi_alloc_aligned(p * (c->head_dim / 2), sizeof(float));
    if (!v->cos || !v->sin) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for vision angles");
    return GLINT_OK;
}

glint_status gi_vision_create(gi_device *dev, const gi_checkpoint *ckpt, size_t patches_max,
                              gi_vision **ret, glint_error *err) {
    const gi_vision_config *c = &ckpt->config.vision;
    gi_vision *v = gi_calloc(1, sizeof *v);
    if (!v) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vision tower");
    glint_status st = GLINT_OK;
    v->dev = dev;
    v->cfg = *c;
    v->patches_max = patches_max;
    v->layers = gi_calloc(c->depth, sizeof *v->layers);
    v->folded = gi_alloc_aligned(c->hidden * c->in_channels * c->patch * c->patch +
                                     c->out_hidden * c->hidden * c->merge * c->merge,
                                 sizeof(float));
    if (!v->layers || !v->folded) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for the vision tower");
        goto done;
    }
    GI_TRY_DONE(load_stem_and_merger(v, &ckpt->vision, err));
    gi_checkpoint_drop_pages(ckpt);
    for (size_t i = 0; i < c->depth; i++) {
        GI_TRY_DONE(load_layer(v, &ckpt->vision.blocks[i], &v->layers[i], err));
        gi_checkpoint_drop_pages(ckpt); /* what was packed is read no more */
    }
    GI_TRY_DONE(make_scratch(v, err));
    *ret = v;
    return GLINT_OK;
done:
    gi_vision_free(v);
    return st;
}

void gi_vision_free(gi_vision *v) {
    if (!v) return;
    gi_device *d = v->dev;
    const gi_device_ops *op = d->ops;
    for (size_t i = 0; v->layers && i < v->cfg.depth; i++) {
        gi_vision_layer *l = &v->layers[i];
        op->vector_free(d, l->norm1);
        op->vector_free(d, l->norm2);
        gi_matrix *m[] = {l->qkv, l->proj, l->gate_up, l->down};
        for (size_t k = 0; k < sizeof m / sizeof m[0]; k++) op->matrix_free(d, m[k]);
    }
    gi_matrix *m[] = {v->patch,       v->positions,      v->downsample,
                      v->merger_proj, v->merger_gate_up, v->merger_down};
    for (size_t k = 0; k < sizeof m / sizeof m[0]; k++) op->matrix_free(d, m[k]);
    gi_vector *w[] = {v->post_conv_norm, v->post_norm, v->merger_norm_w, v->merger_norm_b};
    for (size_t k = 0; k < sizeof w / sizeof w[0]; k++) op->vector_free(d, w[k]);
    gi_act *a[] = {&v->pixels, &v->x,      &v->qkv,       &v->attn,
                   &v->mlp,    &v->merged, &v->merger_in, &v->merger_mlp};
    for (size_t k = 0; k < sizeof a / sizeof a[0]; k++) op->act_free(d, a[k]);
    gi_free(v->cos);
    gi_free(v->sin);
    gi_free(v->folded);
    gi_free(v->layers);
    gi_free(v);
}
