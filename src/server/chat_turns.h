/**
 * @file
 * The `messages` of a chat completion: turns of text and pictures.
 *
 *     {"role": "system" | "developer" | "user" | "assistant",
 *      "content": "text" | [{"type": "text", "text": "..."},
 *                           {"type": "image_url", "image_url": {"url": "data:..."}}]}
 *
 * `detail` (beside "url") and `name` have no effect. Other members must be null or an empty array,
 * as they are in an answer that a client sends back as it came; anything else would be lost
 * silently and is refused.
 */
#ifndef GI_SERVER_CHAT_TURNS_H
#define GI_SERVER_CHAT_TURNS_H

#include "server/fields.h"

/** Turns as the engine takes them. Zero-initialise. */
typedef struct gi_chat_turns {
    glint_message *messages; /**< [n]; texts are borrowed from the body */
    size_t n;
    glint_part *parts; /**< of all messages */
} gi_chat_turns;

/**
 * Read fields->messages.
 *
 * @param fields  the pictures found are added to it, in order.
 * @param images  [GLINT_IMAGES_MAX] where the i-th picture will be; parts point there.
 * @return false with `error` set; its param is a path, "messages[0].content[1].image_url".
 */
bool gi_chat_turns_read(const gi_json_lifted *body, gi_infer_fields *fields,
                        const glint_image *images, gi_chat_turns *ret, gi_api_error *error);

/** Free. A zeroed one is fine. */
void gi_chat_turns_done(gi_chat_turns *t);

#endif
