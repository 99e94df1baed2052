/*
 * The decoder as maths; weights in language_load.c.
 *
 *     x = x + post_attn_norm(o(attention(rope(qkv(input_norm(x))))))     each layer
 *     x = x + post_mlp_norm(down(up * silu(gate))),  [gate; up] = gate_up(pre_mlp_norm(x))
 *     logits = head(norm(x))
 */
#include "model/language.h"

#include "model/mrope.h"

void gi_language_begin(gi_language *d, const gi_batch *batch) {
    const gi_device_ops *op = d->dev->ops;
    const size_t n_pairs = d->cfg.rotary_dim / 2;
    gi_assert(batch->n_tokens > 0 && batch->n_tokens <= d->tokens_max);
    op->embed(d->dev, d->x, d->embed, batch->ids, batch->n_tokens);
    for (size_t i = 0; i < batch->n_embeds; i++) {
        const gi_embed_rows *e = &batch->embeds[i];
        op->copy_rows(d->dev, d->x, e->dst_row, e->src, e->src_row, e->n_rows);
    }
    for (size_t t = 0; t < batch->n_tokens; t++) {
        const int32_t pos[3] = {batch->pos[0][t], batch->pos[1][t], batch->pos[2][t]};
        gi_mrope_angles(&d->cfg, d->freq, pos, d->cos + t * n_pairs, d->sin + t * n_pairs);
    }
}

/* The first n rows of out = x W^T + b. */
static void linear(gi_language *d, gi_act out, gi_act x, size_t n, const gi_matrix *matrix) {
    d->dev->ops->linear(d->dev, &(gi_linear_args){
                                    .out = out,
                                    .x = x,
                                    .n_tokens = n,
                                    .matrix = matrix,
                                    .epilogue = GI_EPILOGUE_STORE,
                                });
}

/* A layer up to its attention: the last of it in which one row reads another's. */
static void attend(gi_language *d, gi_kv_store *kv, const gi_batch *batch, size_t i) {
    const gi_device_ops *op = d->dev->ops;
    const gi_language_layer *l = &d->layers[i];
    op->linear(d->dev, &(gi_linear_args){
                           .out = d->qkv,
                           .x = d->x,
                           .n_tokens = batch->n_tokens,
                           .rms_norm = l->input_norm,
                           .rms_eps = d->cfg.rms_eps,
                           .matrix = l->qkv,
                           .epilogue = GI_EPILOGUE_STORE,
                       });
    op->attention(d->dev, &(gi_attention_args){
                              .out = d->attn,
                              .qkv = d->qkv,
                              .spans = batch->spans,
                              .n_spans = batch->n_spans,
                              .rope_cos = d->cos,
                              .rope_sin = d->sin,
                              .rotary_dim = d->cfg.rotary_dim,
                              .n_heads = d->cfg.n_heads,
                              .layer = i,
                              .kv = kv,
                          });
}

/* The rest of a layer, over the first `n` rows of d->x and d->attn. */
static void feed_forward(gi_language *d, size_t i, size_t n) {
    const gi_device_ops *op = d->dev->ops;
    const gi_language_layer *l = &d->layers[i];
    linear(d, d->y, d->attn, n, l->o);
    op->rms_norm_add(d->dev, d->x, d->y, n, l->post_attn_norm, d->cfg.rms_eps);
    op->linear(d->dev, &(gi_linear_args){
                           .out = d->mlp,
                           .x = d->x,
                           .n_tokens = n,
                           .rms_norm = l->pre_mlp_norm,
                           .rms_eps = d->cfg.rms_eps,
                           .matrix = l->gate_up,
                           .epilogue = GI_EPILOGUE_SWIGLU,
                       });
    linear(d, d->y, d->mlp, n, l->down);
    op->rms_norm_add(d->dev, d->x, d->y, n, l->post_mlp_norm, d->cfg.rms_eps);
}

void gi_language_run_layer(gi_language *d, gi_kv_store *kv, const gi_batch *batch, size_t i) {
    attend(d, kv, batch, i);
    feed_forward(d, i, batch->n_tokens);
}

/* The last layer: nobody attends to its output, so only the wanted rows go through all of it. They
 * end up as the first rows of d->x. */
static void run_last_layer(gi_language *d, gi_kv_store *kv, const gi_batch *batch) {
    const gi_device_ops *op = d->dev->ops;
    const size_t i_last = d->cfg.n_layers - 1, n = batch->n_logit_rows;
    attend(d, kv, batch, i_last);
    for (size_t i = 0; i < n; i++) {
        const size_t row = batch->logit_rows[i];
        gi_assert(row >= i); /* ascending: none is overwritten before it is moved */
        if (row == i) continue;
        op->copy_rows(d->dev, d->x, i, d->x, row, 1);
        op->copy_rows(d->dev, d->attn, i, d->attn, row, 1);
    }
    if (n > 0) feed_forward(d, i_last, n);
}

/* Logits of the first `n` rows of x. */
static void project(gi_language *d, gi_act x, size_t n, float *ret_logits) {
    const gi_device_ops *op = d->dev->ops;
    op->rms_norm(d->dev, d->last, x, n, d->norm, d->cfg.rms_eps);
    linear(d, d->logits, d->last, n, d->head);
    op->act_download(d->dev, d->logits, 0, ret_logits, n);
}

void gi_language_finish(gi_language *d, const gi_batch *batch, float *ret_logits) {
    const size_t n = batch->n_logit_rows;
    gi_assert(n <= d->logits_rows_max);
    for (size_t i = 0; i < n; i++)
        d->dev->ops->copy_rows(d->dev, d->last, i, d->x, batch->logit_rows[i], 1);
    if (n > 0) project(d, d->last, n, ret_logits);
}

void gi_language_run(gi_language *d, gi_kv_store *kv, const gi_batch *batch, float *ret_logits) {
    gi_assert(batch->n_logit_rows <= d->logits_rows_max);
    gi_language_begin(d, batch);
    for (size_t i = 0; i + 1 < d->cfg.n_layers; i++) gi_language_run_layer(d, kv, batch, i);
    run_last_layer(d, kv, batch);
    if (batch->n_logit_rows > 0) project(d, d->x, batch->n_logit_rows, ret_logits);
}
