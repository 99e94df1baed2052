/**
 * @file
 * The language model (a decoder) over batches of tokens of one or many sequences. See MODEL.md,
 * "Decoder".
 *
 * Letters: T tokens of a batch, C hidden, F feed-forward, H heads, K kv heads, D head dim,
 * V vocabulary.
 */
#ifndef GI_MODEL_LANGUAGE_H
#define GI_MODEL_LANGUAGE_H

#include "device/device.h"
#include "model/checkpoint.h"

/** One layer's weights on the device. */
typedef struct gi_language_layer {
    gi_vector *input_norm, *post_attn_norm, *pre_mlp_norm, *post_mlp_norm; /**< [C] */
    gi_matrix *qkv;     /**< [(H + 2K) D, C] with biases */
    gi_matrix *o;       /**< [C, H D] */
    gi_matrix *gate_up; /**< [2F, C], gate rows first */
    gi_matrix *down;    /**< [C, F] */
} gi_language_layer;

/** The language model bound to a device, with room for batches of tokens_max rows. */
typedef struct gi_language {
    gi_device *dev;
    gi_text_config cfg;
    size_t tokens_max;         /**< most rows of one batch */
    size_t logits_rows_max;    /**< most rows whose logits one batch may ask for */
    gi_matrix *embed, *head;   /**< [V, C]; the same matrix when tied */
    gi_vector *norm;           /**< [C] */
    gi_language_layer *layers; /**< [n_layers] */
    gi_act x;                  /**< [T, C] the residual stream */
    gi_act qkv, attn;          /**< [T, (H + 2K) D], [T, H D] */
    gi_act y;                  /**< [T, C] what a sublayer adds, before its post norm */
    gi_act mlp;                /**< [T, F] */
    gi_act last;               /**< [logits_rows_max, C] rows that go on to the head */
    gi_act logits;             /**< [logits_rows_max, V] */
    float *freq;               /**< [rotary_dim / 2] */
    float *cos, *sin;          /**< [T, rotary_dim / 2] */
} gi_language;

/** Rows of a batch that are visual tokens instead of token ids. */
typedef struct gi_embed_rows {
    gi_act src; /**< [>= src_row + n_rows, C] */
    size_t src_row, dst_row, n_rows;
} gi_embed_rows;

/** Tokens to run. Arrays are borrowed during the call. */
typedef struct gi_batch {
    size_t n_tokens;       /**< T, 1..tokens_max */
    const int32_t *ids;    /**< [T]; -1 where an embed row covers it; else < V */
    const int32_t *pos[3]; /**< [T] each: time, row, column */
    const gi_span *spans;  /**< [n_spans], covering all rows in order */
    size_t n_spans;
    const gi_embed_rows *embeds; /**< [n_embeds] */
    size_t n_embeds;
    const size_t *logit_rows; /**< [n_logit_rows] rows whose logits are wanted, ascending */
    size_t n_logit_rows;      /**< 0..logits_rows_max */
} gi_batch;

/**
 * Put the decoder's weights on a device and make its scratch.
 *
 * @param ckpt must outlive the decoder.
 * GLINT_ERR_MEMORY, GLINT_ERR_UNSUPPORTED.
 */
glint_status gi_language_create(gi_device *dev, const gi_checkpoint *ckpt, size_t tokens_max,
                                size_t logits_rows_max, gi_language **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_language_free(gi_language *d);

/** Shape of the KV store this decoder needs for n_blocks blocks of block_tokens. */
gi_kv_shape gi_language_kv_shape(const gi_text_config *cfg, size_t n_blocks, size_t block_tokens);

/**
 * Run a batch: its keys and values go into `kv`, the wanted logits to the host.
 *
 * @param ret_logits f32 [n_logit_rows, V].
 * Threads: one at a time per device.
 */
void gi_language_run(gi_language *d, gi_kv_store *kv, const gi_batch *batch, float *ret_logits);

/* The stages of gi_language_run, for tests against golden vectors. Here all rows go through all
 * layers; gi_language_run takes only the wanted rows through the end of the last one. */

/** Embedding rows into d->x, angles into d->cos, d->sin. */
void gi_language_begin(gi_language *d, const gi_batch *batch);

/** Layer `i` over d->x. */
void gi_language_run_layer(gi_language *d, gi_kv_store *kv, const gi_batch *batch, size_t i);

/** The wanted rows through the final norm (into d->last) and the head. */
void gi_language_finish(gi_language *d, const gi_batch *batch, float *ret_logits);

#endif
