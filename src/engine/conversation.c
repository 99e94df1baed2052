/*
 * Turns as they come from a caller. What it says is text; that a picture stands somewhere is said
 * by the structure alone.
 */
#include "engine/conversation.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <string.h>

const glint_image *gi_conversation_picture(const glint_request *r, size_t i) {
    for (size_t m = 0; m < r->n_messages; m++)
        for (size_t p = 0; p < r->messages[m].n_parts; p++)
            if (r->messages[m].parts[p].image && i-- == 0) return r->messages[m].parts[p].image;
    return NULL;
}

size_t gi_conversation_pictures(const glint_request *r) {
    size_t n = 0;
    while (gi_conversation_picture(r, n)) n++;
    return n;
}

static glint_status refuse(const char *words, glint_error *err) {
    gi_fail(err, GLINT_ERR_ARG, "messages: %s", words);
    return gi_fail_param(err, GLINT_ERR_ARG, "messages");
}

static glint_status check_message(const glint_message *m, size_t *io_n_bytes, glint_error *err) {
    if ((int)m->role < GLINT_ROLE_SYSTEM || m->role > GLINT_ROLE_ASSISTANT)
        return refuse("no such role", err);
    if (m->n_parts > 0 && !m->parts) return refuse("parts are null, but not 0", err);
    for (size_t i = 0; i < m->n_parts; i++) {
        const glint_part *p = &m->parts[i];
        size_t bad;
        if (p->image && m->role != GLINT_ROLE_USER)
            return refuse("a picture that is not the user's", err);
        if (p->image && p->image->n_bytes > 0 && !p->image->bytes)
            return refuse("a picture's bytes are null", err);
        if (p->image) continue;
        if (p->n_text_bytes > 0 && !p->text) return refuse("text is null, but not empty", err);
        if (p->n_text_bytes > GLINT_PROMPT_BYTES_MAX - *io_n_bytes) {
            gi_fail(err, GLINT_ERR_LIMIT, "more than %d bytes of text", GLINT_PROMPT_BYTES_MAX);
            return gi_fail_param(err, GLINT_ERR_LIMIT, "messages");
        }
        *io_n_bytes += p->n_text_bytes;
        if (p->n_text_bytes > 0 &&
            !gi_utf8_is_valid((const uint8_t *)p->text, p->n_text_bytes, &bad))
            return refuse("text is not UTF-8", err);
    }
    return GLINT_OK;
}

glint_status gi_conversation_check(const glint_request *r, glint_error *err) {
    if (r->n_messages > GLINT_MESSAGES_MAX) return refuse("too many", err);
    if (!r->messages) return refuse("null, but not 0", err);
    if (r->n_images > 0 || r->n_prompt_bytes > 0 || (r->prompt && r->prompt[0]) || r->task)
        return refuse("given together with images, prompt or task", err);
    size_t n_bytes = 0, n_parts = 0;
    for (size_t m = 0; m < r->n_messages; m++) {
        if (r->messages[m].n_parts > GLINT_PARTS_MAX - n_parts)
            return refuse("too many parts", err);
        n_parts += r->messages[m].n_parts;
        GI_TRY(check_message(&r->messages[m], &n_bytes, err));
    }
    if (gi_conversation_pictures(r) <= GLINT_IMAGES_MAX) return GLINT_OK;
    gi_fail(err, GLINT_ERR_ARG, "at most %d pictures", GLINT_IMAGES_MAX);
    return gi_fail_param(err, GLINT_ERR_ARG, "images");
}

static gi_chat_role role_of(glint_role role) {
    switch (role) {
    case GLINT_ROLE_SYSTEM:
        return GI_CHAT_SYSTEM;
    case GLINT_ROLE_USER:
        return GI_CHAT_USER;
    case GLINT_ROLE_ASSISTANT:
        break;
    }
    return GI_CHAT_ASSISTANT;
}

glint_status gi_conversation_encode(const gi_chat *chat, const glint_request *r,
                                    gi_mrope_image *places, gi_ids *ret, glint_error *err) {
    size_t n_parts = 0, i_part = 0, i_picture = 0, starts[GLINT_IMAGES_MAX];
    for (size_t m = 0; m < r->n_messages; m++) n_parts += r->messages[m].n_parts;
    gi_chat_turn turns[GLINT_MESSAGES_MAX];
    gi_chat_part *parts = gi_calloc(n_parts + 1, sizeof *parts);
    if (!parts) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a conversation");
    for (size_t m = 0; m < r->n_messages; m++) {
        const glint_message *from = &r->messages[m];
        turns[m] = (gi_chat_turn){
            .role = role_of(from->role), .parts = parts + i_part, .n_parts = from->n_parts};
        for (size_t p = 0; p < from->n_parts; p++, i_part++) {
            const glint_part *part = &from->parts[p];
            if (part->image) {
                parts[i_part].n_image_tokens = places[i_picture].rows * places[i_picture].cols;
                i_picture++;
            } else {
                parts[i_part].text = part->text ? part->text : "";
                parts[i_part].n_text_bytes = part->n_text_bytes;
            }
        }
    }
    const glint_status st =
        gi_chat_encode(chat, turns, r->n_messages, r->thinking, ret, starts, err);
    for (size_t i = 0; st == GLINT_OK && i < i_picture; i++) places[i].first_token = starts[i];
    gi_free(parts);
    return st;
}
