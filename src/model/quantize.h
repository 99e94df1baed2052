/**
 * @file
 * A checkpoint of BF16, F16 or F32 weights rewritten with packed ones: the decoder's matrices as
 * INT8 panels, the vision tower's as BF16 or INT8 panels. Format and measured loss:
 * docs/quantization.md.
 */
#ifndef GI_MODEL_QUANTIZE_H
#define GI_MODEL_QUANTIZE_H

#include "model/checkpoint.h"

/** What became of one weight. */
typedef struct gi_quantize_report {
    const char *name;
    const char *format;     /**< "int8", "bf16 panels", "as it is" */
    uint64_t source_bytes;  /**< bytes before */
    uint64_t written_bytes; /**< bytes after, the plain form included where it is kept */
    double relative_error;  /**< sqrt(sum (w - q)^2 / sum w^2) over its elements */
    double worst_row_error; /**< the largest of the same over one row */
} gi_quantize_report;

/** Called after each weight is written; `done` of `total` source bytes. */
typedef void (*gi_quantize_progress)(void *ctx, const gi_quantize_report *report, uint64_t done,
                                     uint64_t total);

/** How. */
typedef struct gi_quantize_options {
    bool is_vision_int8;           /**< the vision tower's matrices as INT8 panels, too */
    gi_quantize_progress progress; /**< NULL: nobody wants to know */
    void *ctx;
} gi_quantize_options;

/**
 * Write SRC's weights to DST/model.safetensors and the settings and tokenizer files beside it.
 *
 * @param options copied; progress is called on this thread.
 * @param dst_dir made if it does not exist; refused when it holds a checkpoint already.
 * @return GLINT_ERR_ARG (same directory, or DST holds a checkpoint), GLINT_ERR_UNSUPPORTED (SRC is
 *         packed), GLINT_ERR_IO, GLINT_ERR_MEMORY.
 * Memory: one panel at a time. Threads: any.
 */
glint_status gi_quantize(const char *src_dir, const char *dst_dir,
                         const gi_quantize_options *options, glint_error *err);

#endif
