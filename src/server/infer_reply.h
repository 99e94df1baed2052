/**
 * @file
 * The answer of POST /v1/multimodal/inference as JSON.
 */
#ifndef GI_SERVER_INFER_REPLY_H
#define GI_SERVER_INFER_REPLY_H

#include <glint/glint.h>

#include "base/buf.h"

/** The task whose answers are verdicts, whatever the model wrote. */
#define GI_INFER_AUDIT_TASK "audit"

/** The verdict when the model gave none: a person must look. */
#define GI_INFER_REVIEW "review"

/** What goes into an answer beside the engine's result. */
typedef struct gi_infer_answer {
    const char *id, *model, *task;
    const glint_result *result;
    double queue_ms; /**< waited */
    double fetch_ms; /**< fetched pictures */
    double total_ms; /**< from the complete request to this answer */
} gi_infer_answer;

/**
 * Append the answer.
 *
 *     audit           result, reasons, confidence
 *     other with JSON data, confidence (data is null and text holds the words when they do not
 *                     have the task's shape)
 *     other           text, confidence
 *
 * An audit without a verdict of the task's shape becomes result "review" with no reasons,
 * confidence 0 and the model's words in text: it fails towards a person, never towards "pass".
 * GLINT_ERR_LIMIT, GLINT_ERR_MEMORY.
 */
glint_status gi_infer_reply_write(const gi_infer_answer *a, gi_buf *b, glint_error *err);

#endif
