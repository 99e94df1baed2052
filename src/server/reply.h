/**
 * @file
 * What answers look like, for each route: whole, as JSON, or piece by piece, as events.
 *
 *     POST /v1/multimodal/inference    infer_reply.c    gi_infer_form
 *     POST /v1/chat/completions        chat_reply.c     gi_chat_form
 */
#ifndef GI_SERVER_REPLY_H
#define GI_SERVER_REPLY_H

#include <glint/glint.h>

#include "base/buf.h"
#include "server/fields.h"
#include "server/record.h"

/** The task whose answers are verdicts, whatever the model wrote. */
#define GI_REPLY_AUDIT_TASK "audit"

/** The verdict when the model gave none: a person must look. */
#define GI_REPLY_REVIEW "review"

/** What goes into an answer. */
typedef struct gi_reply {
    const char *id, *model;
    const char *task;                            /**< "" for a chat */
    const glint_result *results[GI_CHOICES_MAX]; /**< of the choices that are complete */
    size_t n_choices;
    int64_t created_s;  /**< seconds since 1970 */
    bool include_usage; /**< of a streamed chat */
    bool is_data;       /**< the answers have a schema of the request's own */
    bool has_logprobs;  /**< of a chat: the tokens are told, each with */
    size_t n_top;       /**< so many others */
    double queue_ms;    /**< waited */
    double fetch_ms;    /**< fetched pictures */
    double total_ms;    /**< from the complete request to this answer */
} gi_reply;

/** More of a choice, as it comes. */
typedef struct gi_reply_piece {
    const char *text; /**< n_bytes: whole characters */
    size_t n_bytes;
    const glint_result *so_far; /**< its tokens from first_token on are new; NULL: not known */
    size_t first_token;
} gi_reply_piece;

/**
 * How a route answers. Each function appends to `b`: `whole` the JSON of the answer, the others
 * any number of whole events. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY.
 */
typedef struct gi_reply_form {
    glint_status (*whole)(const gi_reply *a, gi_buf *b, glint_error *err);
    /** Before any text. */
    glint_status (*first)(const gi_reply *a, gi_buf *b, glint_error *err);
    /** More of the i-th choice. */
    glint_status (*piece)(const gi_reply *a, size_t i, const gi_reply_piece *piece, gi_buf *b,
                          glint_error *err);
    /** The i-th choice is complete; tokens from first_token on have not been told yet. */
    glint_status (*choice)(const gi_reply *a, size_t i, size_t first_token, gi_buf *b,
                           glint_error *err);
    /** All are. */
    glint_status (*last)(const gi_reply *a, gi_buf *b, glint_error *err);
} gi_reply_form;

/**
 * whole:
 *
 *     audit           result, reasons, confidence
 *     other with JSON data, confidence (data is null and text holds the words when they do not
 *                     have the task's shape)
 *     other           text, confidence
 *
 * An audit without a verdict of the task's shape becomes result "review" with no reasons,
 * confidence 0 and the model's words in text: it fails towards a person, never towards "pass".
 *
 * Events: {"id","model","task"}, {"delta"}..., then the whole.
 */
extern const gi_reply_form gi_infer_form;

/** OpenAI's chat.completion and chat.completion.chunk. */
extern const gi_reply_form gi_chat_form;

/** "stop", "length" or "invalid_answer". */
const char *gi_reply_finish_name(glint_finish finish);

/** Append "usage":{...}: counts of tokens. */
glint_status gi_reply_put_usage(gi_buf *b, const glint_usage *usage, glint_error *err);

/** Append "timing_ms":{...}: the first n_stages of gi_record_stages, and the total. */
glint_status gi_reply_put_timing(gi_buf *b, const double *stages_ms, size_t n_stages,
                                 double total_ms, glint_error *err);

/** Put what was asked and answered into a record; `is_ok`: all choices are complete. */
void gi_reply_record(const gi_reply *a, bool is_ok, gi_record *io_record);

#endif
