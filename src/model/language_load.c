/*
 * The decoder's weights on a device: views of the checkpoint, q, k and v stacked into one matrix.
 */
#include "model/language.h"

#include "base/alloc.h"
#include "model/mrope.h"

static gi_matrix_part part(const gi_weight *w, const gi_weight *bias, size_t n_rows) {
    gi_matrix_part p = {.weight = w->data,
                        .type = w->dtype,
                        .panels = w->panels,
                        .panels_type = w->panels_dtype,
                        .scales = w->scales,
                        .n_rows = n_rows};
    if (bias) {
        p.bias = bias->data;
        p.bias_type = bias->dtype;
    }
    return p;
}

static glint_status make_matrix(gi_language *d, const char *name, gi_matrix_use use,
                                gi_matrix_part p, size_t n_cols, gi_matrix **ret,
                                glint_error *err) {
    const gi_matrix_spec spec = {
        .name = name, .use = use, .parts = {p}, .n_parts = 1, .n_cols = n_cols};
    return d->dev->ops->matrix_create(d->dev, &spec, ret, err);
}

static glint_status load_norm(gi_language *d, const gi_weight *w, gi_vector **ret,
                              glint_error *err) {
    return d->dev->ops->vector_create(d->dev, w->data, w->dtype, d->cfg.hidden, ret, err);
}

static glint_status load_layer(gi_language *d, const gi_text_layer_weights *w, gi_language_layer *l,
                               glint_error *err) {
    const gi_text_config *c = &d->cfg;
    const size_t q_rows = c->n_heads * c->head_dim, kv_rows = c->n_kv_heads * c->head_dim;
    const gi_matrix_spec qkv = {.name = "self_attn.qkv",
                                .use = GI_MATRIX_TEXT,
                                .parts = {part(&w->q_w, &w->q_b, q_rows),
                                          part(&w->k_w, &w->k_b, kv_rows),
                                          part(&w->v_w, &w->v_b, kv_rows)},
                                .n_parts = 3,
                                .n_cols = c->hidden};
    const gi_matrix_spec gate_up = {.name = "mlp.gate_up_proj",
                                    .use = GI_MATRIX_TEXT,
                                    .is_swiglu = true,
                                    .parts = {part(&w->gate_up_w, NULL, 2 * c->ffn)},
                                    .n_parts = 1,
                                    .n_cols = c->hidden};
    GI_TRY(load_norm(d, &w->input_norm, &l->input_norm, err));
    GI_TRY(load_norm(d, &w->post_attn_norm, &l->post_attn_norm, err));
    GI_TRY(load_norm(d, &w->pre_mlp_norm, &l->pre_mlp_norm, err));
    GI_TRY(load_norm(d, &w->post_mlp_norm, &l->post_mlp_norm, err));
    GI_TRY(d->dev->ops->matrix_create(d->dev, &qkv, &l->qkv, err));
    GI_TRY(d->dev->ops->matrix_create(d->dev, &gate_up, &l->gate_up, err));
    GI_TRY(make_matrix(d, "self_attn.o_proj", GI_MATRIX_TEXT, part(&w->o_w, NULL, c->hidden),
                       q_rows, &l->o, err));
    return make_matrix(d, "mlp.down_proj", GI_MATRIX_TEXT, part(&w->down_w, NULL, c->hidden),
                       c->ffn, &l->down, err);
}

static glint_status make_scratch(gi_language *d, glint_error *err) {
    const gi_device_ops *op = d->dev->ops;
    const gi_text_config *c = &d->cfg;
    const size_t t = d->tokens_max, n_pairs = c->rotary_dim / 2;
    const size_t q_cols = c->n_heads * c->head_dim;
    GI_TRY(op->act_create(d->dev, t, c->hidden, &d->x, err));
    GI_TRY(op->act_create(d->dev, t, q_cols + 2 * c->n_kv_heads * c->head_dim, &d->qkv, err));
    GI_TRY(op->act_create(d->dev, t, q_cols, &d->attn, err));
    GI_TRY(op->act_create(d->dev, t, c->hidden, &d->y, err));
    GI_TRY(op->act_create(d->dev, t, c->ffn, &d->mlp, err));
    GI_TRY(op->act_create(d->dev, d->logits_rows_max, c->hidden, &d->last, err));
    GI_TRY(op->act_create(d->dev, d->logits_rows_max, c->vocab, &d->logits, err));
    d->freq = gi_alloc_aligned(n_pairs, sizeof(float));
    d->cos = gi_alloc_aligned(t * n_pairs, sizeof(float));
    d->sin = gi_alloc_aligned(t * n_pairs, sizeof(float));
    if (!d->freq || !d->cos || !d->sin)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for decoder angles");
    gi_mrope_frequencies(c, d->freq);
    return GLINT_OK;
}

glint_status gi_language_create(gi_device *dev, const gi_checkpoint *ckpt, size_t tokens_max,
                                size_t logits_rows_max, gi_language **ret, glint_error *err) {
    const gi_text_config *c = &ckpt->config.text;
    gi_language *d = gi_calloc(1, sizeof *d);
    if (!d) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the decoder");
    glint_status st = GLINT_OK;
    d->dev = dev;
    d->cfg = *c;
    d->tokens_max = tokens_max;
    d->logits_rows_max = logits_rows_max;
    d->layers = gi_calloc(c->n_layers, sizeof *d->layers);
    if (!d->layers) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu layers", c->n_layers);
        goto done;
    }
    GI_TRY_DONE(make_matrix(d, "embed_tokens",
                            c->tied_head ? GI_MATRIX_TEXT_LOOKUP : GI_MATRIX_LOOKUP,
                            part(&ckpt->text.embed, NULL, c->vocab), c->hidden, &d->embed, err));
    if (c->tied_head)
        d->head = d->embed;
    else
        GI_TRY_DONE(make_matrix(d, "lm_head", GI_MATRIX_TEXT,
                                part(&ckpt->text.head, NULL, c->vocab), c->hidden, &d->head, err));
    GI_TRY_DONE(load_norm(d, &ckpt->text.norm, &d->norm, err));
    gi_checkpoint_drop_pages(ckpt);
    for (size_t i = 0; i < c->n_layers; i++) {
        GI_TRY_DONE(load_layer(d, &ckpt->text.layers[i], &d->layers[i], err));
        gi_checkpoint_drop_pages(ckpt); /* what was packed is read no more */
    }
    GI_TRY_DONE(make_scratch(d, err));
    *ret = d;
    return GLINT_OK;
done:
    gi_language_free(d);
    return st;
}

void gi_language_free(gi_language *d) {
    if (!d) return;
    const gi_device_ops *op = d->dev->ops;
    for (size_t i = 0; d->layers && i < d->cfg.n_layers; i++) {
        gi_language_layer *l = &d->layers[i];
        gi_vector *v[] = {l->input_norm, l->post_attn_norm, l->pre_mlp_norm, l->post_mlp_norm};
        for (size_t k = 0; k < sizeof v / sizeof v[0]; k++) op->vector_free(d->dev, v[k]);
        gi_matrix *m[] = {l->qkv, l->o, l->gate_up, l->down};
        for (size_t k = 0; k < sizeof m / sizeof m[0]; k++) op->matrix_free(d->dev, m[k]);
    }
    if (d->head != d->embed) op->matrix_free(d->dev, d->head);
    op->matrix_free(d->dev, d->embed);
    op->vector_free(d->dev, d->norm);
    gi_act *a[] = {&d->x, &d->qkv, &d->attn, &d->y, &d->mlp, &d->last, &d->logits};
    for (size_t k = 0; k < sizeof a / sizeof a[0]; k++) op->act_free(d->dev, a[k]);
    gi_free(d->freq);
    gi_free(d->cos);
    gi_free(d->sin);
    gi_free(d->layers);
    gi_free(d);
}

gi_kv_shape gi_language_kv_shape(const gi_text_config *cfg, size_t n_blocks, size_t block_tokens) {
    return (gi_kv_shape){.n_layers = cfg->n_layers,
                         .n_blocks = n_blocks,
                         .n_kv_heads = cfg->n_kv_heads,
                         .head_dim = cfg->head_dim,
                         .block_tokens = block_tokens};
}
