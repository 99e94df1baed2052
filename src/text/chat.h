/**
 * @file
 * The chat template: turns of text and pictures to token ids. Structure (roles, picture slots,
 * thinking switch) is put in as special ids; text of any origin is encoded as plain text.
 */
#ifndef GI_TEXT_CHAT_H
#define GI_TEXT_CHAT_H

#include "text/tokenizer.h"

/** The template dialects of the family. */
typedef enum gi_chat_dialect {
    GI_CHAT_PLAIN,   /**< no thinking switch in the template (the default model) */
    GI_CHAT_GLM_41V, /**< GLM-4.1V-Thinking: always thinks; <think></think><answer> is prefilled */
    GI_CHAT_GLM_46V, /**< GLM-4.6V: /nothink and an empty <think></think> switch thinking off */
} gi_chat_dialect;

typedef enum gi_chat_role { GI_CHAT_SYSTEM, GI_CHAT_USER, GI_CHAT_ASSISTANT } gi_chat_role;

/** A piece of a turn: text, or a picture of n_image_tokens visual tokens (text NULL). */
typedef struct gi_chat_part {
    const char *text; /**< UTF-8, borrowed */
    size_t n_text_bytes;
    size_t n_image_tokens;
} gi_chat_part;

typedef struct gi_chat_turn {
    gi_chat_role role;
    const gi_chat_part *parts; /**< [n_parts]; an assistant's are text */
    size_t n_parts;
    const char *reasoning; /**< what the assistant thought, UTF-8; NULL = look for it in the text */
    size_t n_reasoning_bytes;
} gi_chat_turn;

/** Special ids of a checkpoint, resolved by token string; see gi_chat_init. */
typedef struct gi_chat {
    const gi_tokenizer *tokenizer; /**< borrowed */
    gi_chat_dialect dialect;
    int32_t gmask, sop, system, user, assistant, observation;
    int32_t image_begin, image_end, image;
    /* The rest are -1 when the checkpoint has no such token. */
    int32_t think_begin, think_end, nothink;
    int32_t answer_begin, answer_end; /**< GLM-4.1V's <answer>, </answer> */
    int32_t box_begin, box_end;
} gi_chat;

/**
 * Resolve the ids by string and tell the dialect from the checkpoint's own template text
 * (chat_template.jinja or tokenizer_config.json's chat_template): one with a thinking switch is
 * GLM-4.6V's; one without is GLM-4.1V's where </answer> is a token, else plain. template_text NULL
 * = unknown: then the tokens tell.
 *
 * GLINT_ERR_FORMAT names a missing token; GLINT_ERR_UNSUPPORTED when the template is not one of
 * this family.
 */
glint_status gi_chat_init(gi_chat *chat, const gi_tokenizer *tokenizer, const char *template_text,
                          glint_error *err);

/**
 * Append the prompt of a conversation, ready for the assistant's answer.
 *
 * A turn is its role's special id and one text, which begins with a newline: text between two
 * special ids is tokenised as a whole. Without thinking, GLM-4.6V gets the special id /nothink
 * after each user text that does not end with these letters (typed ones stay letters) and an
 * empty thought; GLM-4.1V gets an empty thought and the beginning of its answer.
 *
 * @param thinking        let a thinking model think.
 * @param ret_image_start [number of picture parts] index in `ids` of each picture's first
 *                        <|image|> id; may be NULL when there is no picture.
 * @return GLINT_ERR_ARG (text that is not UTF-8, a picture without tokens or in an assistant's
 *         turn), GLINT_ERR_LIMIT (more ids than `ids` may hold), GLINT_ERR_MEMORY.
 * Threads: any number on one gi_chat.
 */
glint_status gi_chat_encode(const gi_chat *chat, const gi_chat_turn *turns, size_t n_turns,
                            bool thinking, gi_ids *ids, size_t *ret_image_start, glint_error *err);

#endif
