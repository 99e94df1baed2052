/**
 * @file
 * The conversation form of a request (glint_request.messages): checked, and as the turns of the
 * chat template.
 */
#ifndef GI_ENGINE_CONVERSATION_H
#define GI_ENGINE_CONVERSATION_H

#include <glint/glint.h>

#include "model/mrope.h"
#include "text/chat.h"

/** The picture parts of all messages. */
size_t gi_conversation_pictures(const glint_request *r);

/** The i-th of them, in order. */
const glint_image *gi_conversation_picture(const glint_request *r, size_t i);

/** GLINT_ERR_ARG, GLINT_ERR_LIMIT; err->param is "messages", or "images" for their number. */
glint_status gi_conversation_check(const glint_request *r, glint_error *err);

/**
 * Append the prompt's ids.
 *
 * @param places [pictures] sizes of the pictures in visual tokens; first_token is set here.
 * Errors as gi_chat_encode.
 */
glint_status gi_conversation_encode(const gi_chat *chat, const glint_request *r,
                                    gi_mrope_image *places, gi_ids *ret, glint_error *err);

#endif
