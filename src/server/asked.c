/*
 * Reading is cheap and tells who need not wait; decoding pictures costs memory and is done when it
 * is nearly the request's turn.
 */
#include "server/asked.h"

#include "base/alloc.h"
#include "base/json_text.h"
#include "server/base64.h"
#include "server/header_value.h"

#include <string.h>
#include <sys/random.h>

/* The media type of a Content-Type value, or NULL. */
static const char *known_type(const char *content_type, bool *ret_is_form) {
    if (!content_type) return NULL;
    gi_header_value v = gi_header_value_begin(content_type, strlen(content_type));
    const char *word;
    gi_header_param param;
    const size_t n = gi_header_value_word(&v, &word);
    *ret_is_form = gi_token_equals(word, n, "multipart/form-data");
    if (!*ret_is_form && !gi_token_equals(word, n, "application/json")) return NULL;
    while (gi_header_value_next(&v, &param))
        if (!*ret_is_form && gi_token_equals(param.name, param.n_name, "charset") &&
            !gi_token_equals(param.value, param.n_value, "utf-8"))
            return NULL;
    return v.bad ? NULL : content_type;
}

bool gi_asked_begin(gi_asked *a, const gi_field_table *table, gi_http_request *http,
                    gi_api_error *error) {
    a->table = table;
    const char *type = known_type(gi_http_header(http, "Content-Type"), &a->is_form);
    if (!type || (a->is_form && table->is_chat))
        return gi_api_fail(error, GI_API_UNSUPPORTED_MEDIA_TYPE, NULL);
    if (a->is_form && gi_multipart_boundary(type, strlen(type), a->boundary, NULL) != GLINT_OK)
        return gi_api_fail(error, GI_API_INVALID_MULTIPART, NULL);
    return true;
}

static bool read_json(gi_asked *a, gi_buf *body, gi_api_error *error) {
    const glint_status st = gi_json_lift_parse((const char *)body->data, body->len, &a->json, NULL);
    if (st == GLINT_OK) return true;
    return gi_api_fail(error, st == GLINT_ERR_MEMORY ? GI_API_OVERLOADED : GI_API_INVALID_JSON,
                       NULL);
}

static bool read_form(gi_asked *a, gi_buf *body, gi_field_picture *files, size_t *ret_n_files,
                      gi_api_error *error) {
    size_t n_parts = 0;
    if (body->len == 0 || gi_multipart_parse(a->boundary, body->data, body->len, a->parts, &n_parts,
                                             NULL) != GLINT_OK)
        return gi_api_fail(error, GI_API_INVALID_MULTIPART, NULL);
    return gi_fields_from_form(a->table, a->parts, n_parts, &a->json.json, files, ret_n_files,
                               error);
}

/* The schema as text, its keys in the order they came. */
static bool write_schema(gi_asked *a, gi_api_error *error) {
    static const char ANY_OBJECT[] = "{\"type\":\"object\"}";
    const json_t *schema = a->fields.schema;
    if (!schema && !a->fields.any_object) return true;
    gi_buf text;
    gi_buf_init(&text, GI_SCHEMA_BYTES_MAX);
    const glint_status st = schema ? gi_json_dump(schema, JSON_COMPACT, &text, NULL)
                                   : gi_buf_puts(&text, ANY_OBJECT, NULL);
    if (st == GLINT_OK) a->schema_json = (char *)gi_buf_take(&text, &a->n_schema_bytes);
    gi_buf_done(&text);
    return st == GLINT_OK || gi_api_fail(error, GI_API_OVERLOADED, NULL);
}

/* Fields that mean nothing without others. */
static bool check_features(const gi_asked *a, gi_api_error *error) {
    const gi_infer_fields *f = &a->fields;
    if (f->top_logprobs > 0 && !f->logprobs)
        return gi_api_fail_detail(error, GI_API_INVALID_VALUE, "top_logprobs",
                                  "top_logprobs needs logprobs to be true.");
    return true;
}

bool gi_asked_read(gi_asked *a, gi_http_request *http, const gi_field_limits *limits,
                   gi_api_error *error) {
    gi_buf *body = gi_http_body(http);
    gi_field_picture files[GLINT_IMAGES_MAX];
    size_t n_files = 0;
    if (!(a->is_form ? read_form(a, body, files, &n_files, error) : read_json(a, body, error)))
        return false;
    gi_infer_fields *f = &a->fields;
    if (!gi_fields_read(a->table, &a->json, files, n_files, limits, f, error)) return false;
    if (f->messages && !gi_chat_turns_read(&a->json, f, a->images, &a->turns, error)) return false;
    if (f->seed == GI_SEED_RANDOM && getrandom(&f->seed, sizeof f->seed, 0) < 0) f->seed = 0;
    return write_schema(a, error) && check_features(a, error);
}

bool gi_asked_decode(gi_asked *a, gi_api_error *error) {
    for (size_t i = 0; i < a->fields.n_pictures; i++) {
        const gi_field_picture *p = &a->fields.pictures[i];
        a->images[i] = (glint_image){.bytes = p->bytes, .n_bytes = p->n};
        if (!p->base64) continue;
        size_t n;
        if (gi_base64_decoded_bytes(p->base64, p->n, &n, NULL) != GLINT_OK)
            return gi_api_fail(error, GI_API_INVALID_IMAGE_REF, "image");
        a->decoded[i] = gi_alloc(n);
        if (!a->decoded[i]) return gi_api_fail(error, GI_API_OVERLOADED, NULL);
        if (gi_base64_decode(p->base64, p->n, a->decoded[i], NULL) != GLINT_OK)
            return gi_api_fail(error, GI_API_INVALID_IMAGE_REF, "image");
        a->images[i] = (glint_image){.bytes = a->decoded[i], .n_bytes = n};
    }
    return true;
}

static bool show_picture(const gi_asked *a, size_t i, gi_asked_picture_fn fn, void *ctx) {
    const gi_field_picture *p = &a->fields.pictures[i];
    size_t n;
    if (!p->base64) return fn(ctx, i, p->bytes, p->n);
    if (a->decoded[i]) return fn(ctx, i, a->images[i].bytes, a->images[i].n_bytes);
    if (gi_base64_decoded_bytes(p->base64, p->n, &n, NULL) != GLINT_OK) return false;
    void *bytes = gi_alloc(n);
    const bool ok =
        bytes && gi_base64_decode(p->base64, p->n, bytes, NULL) == GLINT_OK && fn(ctx, i, bytes, n);
    gi_free(bytes);
    return ok;
}

bool gi_asked_each_picture(const gi_asked *a, gi_asked_picture_fn fn, void *ctx) {
    for (size_t i = 0; i < a->fields.n_pictures; i++)
        if (!show_picture(a, i, fn, ctx)) return false;
    return true;
}

static bool digest_picture(void *ctx, size_t i, const void *bytes, size_t n_bytes) {
    gi_digest *digests = ctx;
    return gi_sha256_of_bytes("glint picture bytes 1", bytes, n_bytes, &digests[i], NULL) ==
           GLINT_OK;
}

bool gi_asked_digest_pictures(const gi_asked *a, gi_digest ret[GLINT_IMAGES_MAX]) {
    return gi_asked_each_picture(a, digest_picture, ret);
}

glint_request gi_asked_request(const gi_asked *a, size_t i_choice, int vocab_size) {
    const gi_infer_fields *f = &a->fields;
    const bool is_chat = a->turns.n > 0;
    return (glint_request){
        .images = is_chat ? NULL : a->images,
        .n_images = is_chat ? 0 : f->n_pictures,
        .prompt = f->prompt.s,
        .n_prompt_bytes = f->prompt.n,
        .messages = a->turns.messages,
        .n_messages = a->turns.n,
        .schema_json = a->schema_json,
        .n_schema_bytes = a->n_schema_bytes,
        .max_tokens = (int)f->max_tokens,
        .temperature = f->temperature,
        .top_p = f->top_p,
        .top_k = f->top_k < vocab_size ? (int)f->top_k : 0, /* all of them is no limit */
        .seed = (uint64_t)f->seed + i_choice,
        .stops = f->stops,
        .n_stops = f->n_stops,
        .max_side_px = (int)f->max_side_px,
        .no_cache = !f->cache,
        .logprobs = f->logprobs,
        .top_logprobs = (int)f->top_logprobs,
    };
}

void gi_asked_done(gi_asked *a) {
    for (size_t i = 0; i < GLINT_IMAGES_MAX; i++) gi_free(a->decoded[i]);
    gi_chat_turns_done(&a->turns);
    gi_free(a->schema_json);
    gi_json_lift_done(&a->json);
    const gi_field_table *table = a->table;
    *a = (gi_asked){.table = table};
}
