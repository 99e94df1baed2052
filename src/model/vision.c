/*
 * The vision tower as maths; sizes and weights in vision_load.c.
 *
 *     x = norm(patches Wp + b) + positions(row, col)
 *     x = x + proj(attention(rope(qkv(norm1(x)))))            each layer
 *     x = x + down(silu(gate(norm2(x))) * up(norm2(x)))
 *     y = merger(downsample(post_norm(x)))                    2x2 patches to one token
 *     merger(z) = down(silu(gate(g)) * up(g)),  g = gelu(layer_norm(proj(z)))
 */
#include "model/vision.h"

#include "model/mrope.h"

/* Of the merger's LayerNorm: nn.LayerNorm's default, not in the config. */
static const float LAYER_NORM_EPS = 1e-5f;

/* 2x2 rows of patches side by side: [P, E] read as [P / 4, 4E]. Rows are contiguous. */
static gi_act merge_rows(gi_act act, size_t n) {
    return (gi_act){.data = act.data, .rows = act.rows / n, .cols = act.cols * n};
}

/* The first n rows of out = epilogue(x W^T + b). */
static void linear(gi_vision *v, gi_act out, gi_act x, size_t n, const gi_matrix *matrix,
                   gi_epilogue epilogue) {
    v->dev->ops->linear(v->dev, &(gi_linear_args){
                                    .out = out,
                                    .x = x,
                                    .n_tokens = n,
                                    .matrix = matrix,
                                    .epilogue = epilogue,
                                });
}

/* All rows of out = epilogue(norm(v->x) W^T + b). */
static void norm_linear(gi_vision *v, gi_act out, const gi_vector *norm, const gi_matrix *matrix,
                        gi_epilogue epilogue) {
    v->dev->ops->linear(v->dev, &(gi_linear_args){
                                    .out = out,
                                    .x = v->x,
                                    .n_tokens = v->n_rows,
                                    .rms_norm = norm,
                                    .rms_eps = v->cfg.rms_eps,
                                    .matrix = matrix,
                                    .epilogue = epilogue,
                                });
}

void gi_vision_begin(gi_vision *v, const gi_vision_picture *pictures, size_t n) {
    const gi_device_ops *op = v->dev->ops;
    gi_assert(n >= 1 && n <= GI_VISION_BATCH_MAX);
    v->n_pictures = n;
    v->n_rows = v->n_layers_run = 0;
    for (size_t i = 0; i < n; i++) {
        v->n_patches[i] = pictures[i].grid_h * pictures[i].grid_w;
        gi_assert(v->n_patches[i] > 0 && v->n_patches[i] <= v->patches_max - v->n_rows);
        op->act_upload(v->dev, v->pixels, v->n_rows, pictures[i].patches, v->n_patches[i]);
        v->n_rows += v->n_patches[i];
    }
    linear(v, v->x, v->pixels, v->n_rows, v->patch, GI_EPILOGUE_STORE);
    op->rms_norm(v->dev, v->x, v->x, v->n_rows, v->post_conv_norm, v->cfg.rms_eps);
    const size_t n_pairs = v->cfg.head_dim / 2;
    for (size_t i = 0, row = 0; i < n; row += v->n_patches[i++]) {
        op->add_position(v->dev, &(gi_add_position_args){
                                     .x = v->x,
                                     .first_row = row,
                                     .table = v->positions,
                                     .side = v->cfg.pos_side,
                                     .grid_h = pictures[i].grid_h,
                                     .grid_w = pictures[i].grid_w,
                                     .merge = v->cfg.merge,
                                 });
        gi_vision_angles(&v->cfg, pictures[i].grid_h, pictures[i].grid_w, v->cos + row * n_pairs,
                         v->sin + row * n_pairs);
    }
}

/* Every picture attends to itself alone. */
static void attend(gi_vision *v) {
    const size_t n_pairs = v->cfg.head_dim / 2;
    for (size_t i = 0, row = 0; i < v->n_pictures; row += v->n_patches[i++])
        v->dev->ops->vision_attention(v->dev, &(gi_vision_attention_args){
                                                  .out = v->attn,
                                                  .qkv = v->qkv,
                                                  .first_row = row,
                                                  .n_patches = v->n_patches[i],
                                                  .n_heads = v->cfg.n_heads,
                                                  .rope_cos = v->cos + row * n_pairs,
                                                  .rope_sin = v->sin + row * n_pairs,
                                              });
}

static void run_layer(gi_vision *v, const gi_vision_layer *l) {
    norm_linear(v, v->qkv, l->norm1, l->qkv, GI_EPILOGUE_STORE);
    attend(v);
    linear(v, v->x, v->attn, v->n_rows, l->proj, GI_EPILOGUE_ADD);
    norm_linear(v, v->mlp, l->norm2, l->gate_up, GI_EPILOGUE_SWIGLU);
    linear(v, v->x, v->mlp, v->n_rows, l->down, GI_EPILOGUE_ADD);
}

void gi_vision_run(gi_vision *v, size_t n_layers) {
    for (; n_layers > 0 && v->n_layers_run < v->cfg.depth; n_layers--)
        run_layer(v, &v->layers[v->n_layers_run++]);
}

gi_act gi_vision_end(gi_vision *v) {
    gi_assert(v->n_layers_run == v->cfg.depth);
    const gi_device_ops *op = v->dev->ops;
    const size_t block = v->cfg.merge * v->cfg.merge, n = v->n_rows / block;
    op->rms_norm(v->dev, v->x, v->x, v->n_rows, v->post_norm, v->cfg.rms_eps);
    linear(v, v->merged, merge_rows(v->x, block), n, v->downsample, GI_EPILOGUE_STORE);
    linear(v, v->merger_in, v->merged, n, v->merger_proj, GI_EPILOGUE_STORE);
    op->layer_norm_gelu(v->dev, v->merger_in, n, v->merger_norm_w, v->merger_norm_b,
                        LAYER_NORM_EPS);
    linear(v, v->merger_mlp, v->merger_in, n, v->merger_gate_up, GI_EPILOGUE_SWIGLU);
    linear(v, v->merged, v->merger_mlp, n, v->merger_down, GI_EPILOGUE_STORE);
    return v->merged;
}

double gi_vision_ops(const gi_vision_config *c, size_t n_patches) {
    const double p = (double)n_patches, e = (double)c->hidden, m = (double)c->block_ffn;
    const double out = (double)c->out_hidden, block = (double)(c->merge * c->merge);
    const double patch = (double)(c->in_channels * c->patch * c->patch);
    const double per_patch = 2 * (4 * e * e + 3 * e * m) + 4 * p * e;
    const double per_token = 2 * (out * block * e + out * out + 3 * out * (double)c->merger_ffn);
    return p * (2 * patch * e + (double)c->depth * per_patch) + p / block * per_token;
}
