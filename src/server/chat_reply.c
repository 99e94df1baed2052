/*
 * Answers of POST /v1/chat/completions, in the shapes of OpenAI's description of its interface
 * (CreateChatCompletionResponse, CreateChatCompletionStreamResponse).
 */
#include "server/reply.h"

#include "server/json_out.h"
#include "server/sse.h"

#include <inttypes.h>
#include <string.h>

static const char *finish_name(glint_finish finish) {
    return finish == GLINT_FINISH_LENGTH ? "length" : "stop";
}

/* {"id":...,"object":...,"created":...,"model":... */
static glint_status put_head(const gi_reply *a, const char *object, gi_buf *b, glint_error *err) {
    GI_TRY(gi_buf_printf(
        b, err, "{\"id\":\"chatcmpl-%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":",
        a->id, object, a->created_s));
    return gi_json_out_string(b, a->model, strlen(a->model), err);
}

/* The prompt counts once, the answers together. */
static glint_status put_usage(const gi_reply *a, gi_buf *b, glint_error *err) {
    glint_usage sum = a->results[0]->usage;
    for (size_t i = 1; i < a->n_choices; i++)
        sum.completion_tokens += a->results[i]->usage.completion_tokens;
    return gi_buf_printf(b, err,
                         "{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d,"
                         "\"prompt_tokens_details\":{\"cached_tokens\":%d,\"image_tokens\":%d}}",
                         sum.prompt_tokens, sum.completion_tokens,
                         sum.prompt_tokens + sum.completion_tokens, sum.cached_tokens,
                         sum.image_tokens);
}

/* {"token":...,"logprob":...,"bytes":[...] and the brace left open. A token may be part of a
 * character: as text it then has a replacement character, and its bytes tell. */
static glint_status put_token(const glint_token *t, gi_buf *b, glint_error *err) {
    GI_TRY(gi_buf_puts(b, "{\"token\":", err));
    GI_TRY(gi_json_out_string(b, t->bytes, t->n_bytes, err));
    GI_TRY(gi_buf_puts(b, ",\"logprob\":", err));
    GI_TRY(gi_json_out_logprob(b, t->logprob, err));
    GI_TRY(gi_buf_puts(b, ",\"bytes\":[", err));
    for (size_t i = 0; i < t->n_bytes; i++)
        GI_TRY(gi_buf_printf(b, err, "%s%u", i > 0 ? "," : "", (unsigned)(uint8_t)t->bytes[i]));
    return gi_buf_puts(b, "]", err);
}

/* The tokens of an answer from the first-th on. */
static glint_status put_logprobs(const glint_result *r, size_t first, gi_buf *b, glint_error *err) {
    if (!r || !r->tokens) return gi_buf_puts(b, "null", err);
    GI_TRY(gi_buf_puts(b, "{\"content\":[", err));
    for (size_t i = first; i < r->n_tokens; i++) {
        if (i > first) GI_TRY(gi_buf_puts(b, ",", err));
        GI_TRY(put_token(&r->tokens[i], b, err));
        GI_TRY(gi_buf_puts(b, ",\"top_logprobs\":[", err));
        for (size_t k = 0; k < r->n_top; k++) {
            if (k > 0) GI_TRY(gi_buf_puts(b, ",", err));
            GI_TRY(put_token(&r->top_tokens[i * r->n_top + k], b, err));
            GI_TRY(gi_buf_puts(b, "}", err));
        }
        GI_TRY(gi_buf_puts(b, "]}", err));
    }
    return gi_buf_puts(b, "],\"refusal\":null}", err);
}

static glint_status write_whole(const gi_reply *a, gi_buf *b, glint_error *err) {
    GI_TRY(put_head(a, "chat.completion", b, err));
    GI_TRY(gi_buf_puts(b, ",\"choices\":[", err));
    for (size_t i = 0; i < a->n_choices; i++) {
        const glint_result *r = a->results[i];
        GI_TRY(gi_buf_printf(b, err,
                             "%s{\"index\":%zu,\"message\":{\"role\":\"assistant\",\"content\":",
                             i > 0 ? "," : "", i));
        GI_TRY(gi_json_out_string(b, r->text, r->n_text_bytes, err));
        GI_TRY(gi_buf_puts(b, ",\"refusal\":null},\"logprobs\":", err));
        GI_TRY(put_logprobs(r, 0, b, err));
        GI_TRY(gi_buf_printf(b, err, ",\"finish_reason\":\"%s\"}", finish_name(r->finish)));
    }
    GI_TRY(gi_buf_puts(b, "],\"usage\":", err));
    GI_TRY(put_usage(a, b, err));
    return gi_buf_puts(b, "}", err);
}

static glint_status open_chunk(const gi_reply *a, gi_buf *b, glint_error *err) {
    GI_TRY(gi_sse_open(b, NULL, err));
    return put_head(a, "chat.completion.chunk", b, err);
}

/* A chunk's one choice up to the value of "delta"; the caller writes that value. */
static glint_status open_choice(const gi_reply *a, size_t i, gi_buf *b, glint_error *err) {
    GI_TRY(open_chunk(a, b, err));
    return gi_buf_printf(b, err, ",\"choices\":[{\"index\":%zu,\"delta\":", i);
}

static glint_status close_choice(const gi_reply *a, const char *finish, gi_buf *b,
                                 glint_error *err) {
    GI_TRY(gi_buf_puts(b, ",\"finish_reason\":", err));
    if (finish)
        GI_TRY(gi_buf_printf(b, err, "\"%s\"", finish));
    else
        GI_TRY(gi_buf_puts(b, "null", err));
    GI_TRY(gi_buf_puts(b, a->include_usage ? "}],\"usage\":null}" : "}]}", err));
    return gi_sse_close(b, err);
}

static glint_status write_first(const gi_reply *a, gi_buf *b, glint_error *err) {
    for (size_t i = 0; i < a->n_choices; i++) {
        GI_TRY(open_choice(a, i, b, err));
        GI_TRY(gi_buf_puts(b, "{\"role\":\"assistant\",\"content\":\"\"}", err));
        GI_TRY(close_choice(a, NULL, b, err));
    }
    return GLINT_OK;
}

/* What is new of a chunk's tokens, for those who asked. */
static glint_status put_new_logprobs(const gi_reply *a, const glint_result *r, size_t first,
                                     gi_buf *b, glint_error *err) {
    if (!a->has_logprobs) return GLINT_OK;
    GI_TRY(gi_buf_puts(b, ",\"logprobs\":", err));
    return put_logprobs(r && r->n_tokens > first ? r : NULL, first, b, err);
}

static glint_status write_piece(const gi_reply *a, size_t i, const gi_reply_piece *piece, gi_buf *b,
                                glint_error *err) {
    GI_TRY(open_choice(a, i, b, err));
    GI_TRY(gi_buf_puts(b, "{\"content\":", err));
    GI_TRY(gi_json_out_string(b, piece->text, piece->n_bytes, err));
    GI_TRY(gi_buf_puts(b, "}", err));
    GI_TRY(put_new_logprobs(a, piece->so_far, piece->first_token, b, err));
    return close_choice(a, NULL, b, err);
}

static glint_status write_choice(const gi_reply *a, size_t i, size_t first_token, gi_buf *b,
                                 glint_error *err) {
    GI_TRY(open_choice(a, i, b, err));
    GI_TRY(gi_buf_puts(b, "{}", err));
    GI_TRY(put_new_logprobs(a, a->results[i], first_token, b, err));
    return close_choice(a, finish_name(a->results[i]->finish), b, err);
}

static glint_status write_last(const gi_reply *a, gi_buf *b, glint_error *err) {
    if (!a->include_usage) return GLINT_OK;
    GI_TRY(open_chunk(a, b, err));
    GI_TRY(gi_buf_puts(b, ",\"choices\":[],\"usage\":", err));
    GI_TRY(put_usage(a, b, err));
    GI_TRY(gi_buf_puts(b, "}", err));
    return gi_sse_close(b, err);
}

const gi_reply_form gi_chat_form = {write_whole, write_first, write_piece, write_choice,
                                    write_last};
