/*
 * Bodies are put together from text, not from a JSON tree: a picture's base64 is by far the most of
 * them, and copying it through a library would cost the generator what the server needs.
 */
#include "bench_serve_body.h"

#include <inttypes.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 4 << 20, QUESTIONS = 1000000 };

static const char BOUNDARY[] = "glint-load-5f1d0c2a9b7e4836";

const char *gi_load_body_type(const gi_load_recipe *r) {
    return r->form ? "Content-Type: multipart/form-data; boundary=glint-load-5f1d0c2a9b7e4836"
                   : "Content-Type: application/json";
}

const char *gi_load_body_path(const gi_load_recipe *r) {
    return r->api == GI_LOAD_API_GLINT ? "/v1/multimodal/inference" : "/v1/chat/completions";
}

void gi_load_body_init(gi_load_body *b) {
    *b = (gi_load_body){0};
    gi_buf_init(&b->head, TEXT_BYTES_MAX);
    gi_buf_init(&b->foot, TEXT_BYTES_MAX);
}

/* The question with its quotes; of the same picture, "question number N: " goes before it. The
 * default model answers it as it does without, which a number elsewhere may change. */
static glint_status push_question(gi_buf *to, const gi_load_recipe *r, const gi_load_picture *pic,
                                  uint64_t i, glint_error *err) {
    const char *q = pic->question ? pic->question : r->question;
    if (!r->same_picture) return gi_buf_puts(to, q, err);
    GI_TRY(gi_buf_printf(to, err, "\"第%06" PRIu64 "问：", (r->serial + i) % QUESTIONS));
    return gi_buf_puts(to, q + 1, err);
}

/* The begin of the picture when it has a mark. */
static glint_status push_mark(gi_buf *to, const gi_load_recipe *r, const gi_load_picture *pic,
                              uint64_t i, bool base64, glint_error *err) {
    uint8_t head[GI_LOAD_MARK_BYTES_MAX];
    char text[GI_LOAD_BASE64_BYTES(GI_LOAD_MARK_BYTES_MAX)];
    if (!r->vary) return GLINT_OK;
    const size_t n =
        gi_load_mark_head(pic->file.data, pic->is_png, (r->serial + i) % GI_LOAD_SERIALS, head);
    if (!base64) return gi_buf_push(to, head, n, err);
    gi_load_base64(head, n, text);
    return gi_buf_push(to, text, GI_LOAD_BASE64_BYTES(n), err);
}

static glint_status glint_json(gi_load_body *b, const gi_load_recipe *r, uint64_t i,
                               glint_error *err) {
    gi_buf *h = &b->head;
    GI_TRY(gi_buf_printf(h, err, "{\"task\":\"%s\",\"prompt\":", r->task));
    GI_TRY(push_question(h, r, b->picture, i, err));
    if (r->max_tokens) GI_TRY(gi_buf_printf(h, err, ",\"max_tokens\":%" PRId64, r->max_tokens));
    if (r->timeout_ms) GI_TRY(gi_buf_printf(h, err, ",\"timeout_ms\":%" PRId64, r->timeout_ms));
    if (r->stream) GI_TRY(gi_buf_puts(h, ",\"stream\":true", err));
    if (r->no_cache) GI_TRY(gi_buf_puts(h, ",\"cache\":false", err));
    GI_TRY(gi_buf_puts(h, ",\"image\":\"", err));
    GI_TRY(push_mark(h, r, b->picture, i, true, err));
    return gi_buf_puts(&b->foot, "\"}", err);
}

static glint_status openai_json(gi_load_body *b, const gi_load_recipe *r, uint64_t i,
                                glint_error *err) {
    gi_buf *h = &b->head;
    GI_TRY(gi_buf_printf(h, err, "{\"model\":\"%s\",\"temperature\":0", r->model));
    if (r->max_tokens) GI_TRY(gi_buf_printf(h, err, ",\"max_tokens\":%" PRId64, r->max_tokens));
    if (r->stream)
        GI_TRY(gi_buf_puts(h, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}", err));
    if (r->no_cache) GI_TRY(gi_buf_puts(h, ",\"cache_prompt\":false", err));
    GI_TRY(gi_buf_printf(h, err,
                         ",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
                         "\"image_url\":{\"url\":\"data:image/%s;base64,",
                         b->picture->is_png ? "png" : "jpeg"));
    GI_TRY(push_mark(h, r, b->picture, i, true, err));
    GI_TRY(gi_buf_puts(&b->foot, "\"}},{\"type\":\"text\",\"text\":", err));
    GI_TRY(push_question(&b->foot, r, b->picture, i, err));
    return gi_buf_puts(&b->foot, "}]}]}", err);
}

static glint_status push_part(gi_buf *to, const char *name, const char *value, glint_error *err) {
    return gi_buf_printf(to, err,
                         "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n",
                         BOUNDARY, name, value);
}

static glint_status push_number(gi_buf *to, const char *name, int64_t value, glint_error *err) {
    return gi_buf_printf(
        to, err, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%" PRId64 "\r\n",
        BOUNDARY, name, value);
}

/* A form's question is plain text: what the quotes hold, read once more. */
static glint_status push_form_question(gi_load_body *b, const gi_load_recipe *r, uint64_t i,
                                       glint_error *err) {
    json_t *question = NULL;
    gi_buf *quoted = &b->foot; /* free until the picture stands */
    GI_TRY(push_question(quoted, r, b->picture, i, err));
    question = json_loadb((const char *)quoted->data, quoted->len, JSON_DECODE_ANY, NULL);
    gi_buf_clear(quoted);
    if (!question) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a question");
    const glint_status st = push_part(&b->head, "prompt", json_string_value(question), err);
    json_decref(question);
    return st;
}

static glint_status glint_form(gi_load_body *b, const gi_load_recipe *r, uint64_t i,
                               glint_error *err) {
    gi_buf *h = &b->head;
    GI_TRY(push_part(h, "task", r->task, err));
    GI_TRY(push_form_question(b, r, i, err));
    if (r->max_tokens) GI_TRY(push_number(h, "max_tokens", r->max_tokens, err));
    if (r->timeout_ms) GI_TRY(push_number(h, "timeout_ms", r->timeout_ms, err));
    if (r->stream) GI_TRY(push_part(h, "stream", "true", err));
    if (r->no_cache) GI_TRY(push_part(h, "cache", "false", err));
    GI_TRY(gi_buf_printf(h, err,
                         "--%s\r\nContent-Disposition: form-data; name=\"image\"; "
                         "filename=\"picture\"\r\nContent-Type: image/%s\r\n\r\n",
                         BOUNDARY, b->picture->is_png ? "png" : "jpeg"));
    GI_TRY(push_mark(h, r, b->picture, i, false, err));
    return gi_buf_printf(&b->foot, err, "\r\n--%s--\r\n", BOUNDARY);
}

glint_status gi_load_body_make(gi_load_body *b, const gi_load_recipe *r, uint64_t i,
                               glint_error *err) {
    const size_t at = r->same_picture || r->same_request ? 0 : (size_t)(i % r->pictures->n);
    b->picture = &r->pictures->items[at];
    b->at = 0;
    gi_buf_clear(&b->head);
    gi_buf_clear(&b->foot);
    b->middle = r->form ? b->picture->file.data + b->picture->cut : b->picture->base64.data;
    b->n_middle = r->form ? b->picture->file.len - b->picture->cut : b->picture->base64.len;
    if (r->form) return glint_form(b, r, i, err);
    return r->api == GI_LOAD_API_GLINT ? glint_json(b, r, i, err) : openai_json(b, r, i, err);
}

size_t gi_load_body_bytes(const gi_load_body *b) {
    return b->head.len + b->n_middle + b->foot.len;
}

size_t gi_load_body_read(gi_load_body *b, void *out, size_t n) {
    const uint8_t *parts[] = {b->head.data, b->middle, b->foot.data};
    const size_t sizes[] = {b->head.len, b->n_middle, b->foot.len};
    size_t done = 0, begin = 0;
    for (size_t p = 0; p < 3 && done < n; begin += sizes[p], p++) {
        if (b->at >= begin + sizes[p]) continue;
        const size_t from = b->at - begin, left = sizes[p] - from;
        const size_t take = left < n - done ? left : n - done;
        memcpy((uint8_t *)out + done, parts[p] + from, take);
        done += take;
        b->at += take;
    }
    return done;
}

void gi_load_body_done(gi_load_body *b) {
    gi_buf_done(&b->head);
    gi_buf_done(&b->foot);
}
