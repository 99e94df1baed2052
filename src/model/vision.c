/*
 * The vision tower as maths; sizes and weights in vision_load.c.
 *
 *     x = norm(patches Wp + b) + positions(row, col)
 *     x = x + proj(attention(rope(qkv(norm1(x)))))            each block
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

void gi_vision_stem(gi_vision *v, const float *patches, size_t grid_h, size_t grid_w) {
    const gi_device_ops *op = v->dev->ops;
    const size_t n = grid_h * grid_w;
    gi_assert(n > 0 && n <= v->patches_max);
    op->act_upload(v->dev, v->pixels, 0, patches, n);
    op->linear(v->dev, &(gi_linear_args){
                           .out = v->x,
                           .x = v->pixels,
                           .n_tokens = n,
                           .matrix = v->patch,
                           .epilogue = GI_EPILOGUE_STORE,
                       });
    op->rms_norm(v->dev, v->x, v->x, n, v->post_conv_norm, v->cfg.rms_eps);
    op->add_position(v->dev, &(gi_add_position_args){
                                 .x = v->x,
                                 .table = v->positions,
                                 .side = v->cfg.pos_side,
                                 .grid_h = grid_h,
                                 .grid_w = grid_w,
                                 .merge = v->cfg.merge,
                             });
    gi_vision_angles(&v->cfg, grid_h, grid_w, v->cos, v->sin);
}

void gi_vision_run_block(gi_vision *v, size_t i, size_t n_patches) {
    const gi_device_ops *op = v->dev->ops;
    const gi_vision_block *b = &v->blocks[i];
    gi_linear_args lin = {.n_tokens = n_patches, .rms_eps = v->cfg.rms_eps};

    lin.out = v->qkv;
    lin.x = v->x;
    lin.rms_norm = b->norm1;
    lin.matrix = b->qkv;
    lin.epilogue = GI_EPILOGUE_STORE;
    op->linear(v->dev, &lin);
    op->vision_attention(v->dev, &(gi_vision_attention_args){
                                     .out = v->attn,
                                     .qkv = v->qkv,
                                     .n_patches = n_patches,
                                     .n_heads = v->cfg.n_heads,
                                     .rope_cos = v->cos,
                                     .rope_sin = v->sin,
                                 });
    lin.out = v->x;
    lin.x = v->attn;
    lin.rms_norm = NULL;
    lin.matrix = b->proj;
    lin.epilogue = GI_EPILOGUE_ADD;
    op->linear(v->dev, &lin);

    lin.out = v->mlp;
    lin.x = v->x;
    lin.rms_norm = b->norm2;
    lin.matrix = b->gate_up;
    lin.epilogue = GI_EPILOGUE_SWIGLU;
    op->linear(v->dev, &lin);
    lin.out = v->x;
    lin.x = v->mlp;
    lin.rms_norm = NULL;
    lin.matrix = b->down;
    lin.epilogue = GI_EPILOGUE_ADD;
    op->linear(v->dev, &lin);
}

void gi_vision_merge(gi_vision *v, size_t n_patches) {
    const gi_device_ops *op = v->dev->ops;
    const size_t block = v->cfg.merge * v->cfg.merge, n = n_patches / block;
    op->rms_norm(v->dev, v->x, v->x, n_patches, v->post_norm, v->cfg.rms_eps);
    gi_linear_args lin = {.n_tokens = n, .epilogue = GI_EPILOGUE_STORE};
    lin.out = v->merged;
    lin.x = merge_rows(v->x, block);
    lin.matrix = v->downsample;
    op->linear(v->dev, &lin);
    lin.out = v->merger_in;
    lin.x = v->merged;
    lin.matrix = v->merger_proj;
    op->linear(v->dev, &lin);
    op->layer_norm_gelu(v->dev, v->merger_in, n, v->merger_norm_w, v->merger_norm_b,
                        LAYER_NORM_EPS);
    lin.out = v->merger_mlp;
    lin.x = v->merger_in;
    lin.matrix = v->merger_gate_up;
    lin.epilogue = GI_EPILOGUE_SWIGLU;
    op->linear(v->dev, &lin);
    lin.out = v->merged;
    lin.x = v->merger_mlp;
    lin.matrix = v->merger_down;
    lin.epilogue = GI_EPILOGUE_STORE;
    op->linear(v->dev, &lin);
}

gi_act gi_vision_encode(gi_vision *v, const float *patches, size_t grid_h, size_t grid_w) {
    const size_t n = grid_h * grid_w;
    gi_vision_stem(v, patches, grid_h, grid_w);
    for (size_t i = 0; i < v->cfg.depth; i++) gi_vision_run_block(v, i, n);
    gi_vision_merge(v, n);
    return v->merged;
}
