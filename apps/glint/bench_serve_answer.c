/*
 * Reads what servers answer. Nothing here trusts a server: a member of the wrong type is one that
 * was not told, and what is no JSON makes the answer incomplete.
 */
#include "bench_serve_answer.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

const char *const gi_load_timing_names[GI_LOAD_N_TIMINGS] = {
    "queue", "fetch", "decode_image", "preprocess", "encode", "prefill", "decode", "total"};
const char *const gi_load_count_names[GI_LOAD_N_COUNTS] = {
    "prompt_tokens", "image_tokens", "completion_tokens", "forced_tokens", "cached_tokens"};

void gi_load_answer_init(gi_load_answer *a, gi_load_api api) {
    *a = (gi_load_answer){.api = api};
    gi_buf_init(&a->text, GI_LOAD_ANSWER_BYTES_MAX);
    gi_load_answer_clear(a);
}

void gi_load_answer_clear(gi_load_answer *a) {
    for (size_t i = 0; i < GI_LOAD_N_TIMINGS; i++) a->timing_ms[i] = -1;
    for (size_t i = 0; i < GI_LOAD_N_COUNTS; i++) a->counts[i] = -1;
    a->finish[0] = a->error[0] = '\0';
    a->complete = false;
    a->n_pieces = 0;
    a->first_ms = a->last_ms = 0;
    gi_buf_clear(&a->text);
    json_decref(a->body);
    a->body = NULL;
}

static void take_number(const json_t *object, const char *key, double *to) {
    const json_t *v = json_object_get(object, key);
    if (json_is_number(v)) *to = json_number_value(v);
}

static void take_word(const json_t *v, char to[GI_LOAD_WORD_BYTES]) {
    if (json_is_string(v)) snprintf(to, GI_LOAD_WORD_BYTES, "%s", json_string_value(v));
}

/* glint's {"error": {"type", "code", ...}}; OpenAI's code may be null or a number. */
static bool take_error(gi_load_answer *a, const json_t *root) {
    const json_t *error = json_object_get(root, "error");
    if (!error || json_is_null(error)) return false;
    take_word(json_object_get(error, "type"), a->error);
    take_word(json_object_get(error, "code"), a->error);
    if (!a->error[0]) memcpy(a->error, "error", sizeof "error");
    return true;
}

static void take_usage(gi_load_answer *a, const json_t *root) {
    const json_t *usage = json_object_get(root, "usage");
    for (size_t i = 0; i < GI_LOAD_N_COUNTS; i++)
        take_number(usage, gi_load_count_names[i], &a->counts[i]);
    const json_t *details = json_object_get(usage, "prompt_tokens_details");
    take_number(details, "cached_tokens", &a->counts[GI_LOAD_CACHED]);
    const json_t *timing = json_object_get(root, "timing_ms");
    for (size_t i = 0; i < GI_LOAD_N_TIMINGS; i++)
        take_number(timing, gi_load_timing_names[i], &a->timing_ms[i]);
    const json_t *timings = json_object_get(root, "timings"); /* llama-server's */
    take_number(timings, "prompt_ms", &a->timing_ms[GI_LOAD_PREFILL]);
    take_number(timings, "predicted_ms", &a->timing_ms[GI_LOAD_DECODE]);
    take_number(timings, "cache_n", &a->counts[GI_LOAD_CACHED]);
}

static const json_t *first_choice(const json_t *root) {
    return json_array_get(json_object_get(root, "choices"), 0);
}

static glint_status take_whole(gi_load_answer *a, json_t *root, glint_error *err) {
    take_usage(a, root);
    if (a->api == GI_LOAD_API_GLINT) {
        take_word(json_object_get(root, "finish_reason"), a->finish);
        json_decref(a->body);
        a->body = json_incref(root);
        a->complete = json_is_object(json_object_get(root, "usage"));
        return GLINT_OK;
    }
    const json_t *choice = first_choice(root);
    const json_t *text = json_object_get(json_object_get(choice, "message"), "content");
    take_word(json_object_get(choice, "finish_reason"), a->finish);
    a->complete = choice != NULL;
    if (!json_is_string(text)) return GLINT_OK;
    return gi_buf_push(&a->text, json_string_value(text), json_string_length(text), err);
}

/* *ret stays NULL when the bytes are no JSON object. */
static glint_status parse(const void *bytes, size_t n_bytes, json_t **ret, glint_error *err) {
    json_t *root = NULL;
    if (gi_json_parse(bytes, n_bytes, "answer", &root, err) == GLINT_ERR_MEMORY)
        return GLINT_ERR_MEMORY;
    if (root && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    *ret = root;
    return GLINT_OK;
}

glint_status gi_load_answer_read(gi_load_answer *a, const void *bytes, size_t n_bytes,
                                 glint_error *err) {
    json_t *root = NULL;
    GI_TRY(parse(bytes, n_bytes, &root, err));
    if (!root) return GLINT_OK;
    const glint_status st = take_error(a, root) ? GLINT_OK : take_whole(a, root, err);
    json_decref(root);
    return st;
}

static void count_piece(gi_load_answer *a, double now_ms) {
    if (a->n_pieces++ == 0) a->first_ms = now_ms;
    a->last_ms = now_ms;
}

static glint_status glint_event(gi_load_answer *a, json_t *root, double now_ms, glint_error *err) {
    if (json_object_get(root, "usage")) {
        GI_TRY(take_whole(a, root, err));
        a->complete = false; /* [DONE] is still to come */
        return GLINT_OK;
    }
    if (json_string_length(json_object_get(root, "delta"))) count_piece(a, now_ms);
    return GLINT_OK;
}

static glint_status openai_event(gi_load_answer *a, const json_t *root, double now_ms,
                                 glint_error *err) {
    take_usage(a, root);
    const json_t *choice = first_choice(root);
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *text = json_object_get(delta, "content");
    take_word(json_object_get(choice, "finish_reason"), a->finish);
    if (json_string_length(text) || json_string_length(json_object_get(delta, "reasoning_content")))
        count_piece(a, now_ms);
    if (!json_is_string(text)) return GLINT_OK;
    return gi_buf_push(&a->text, json_string_value(text), json_string_length(text), err);
}

glint_status gi_load_answer_event(gi_load_answer *a, const char *data, size_t n_bytes,
                                  double now_ms, glint_error *err) {
    static const char end[] = "[DONE]";
    if (n_bytes == sizeof end - 1 && memcmp(data, end, sizeof end - 1) == 0) {
        if (!a->error[0] && (a->api == GI_LOAD_API_OPENAI || a->body)) a->complete = true;
        return GLINT_OK;
    }
    json_t *root = NULL;
    GI_TRY(parse(data, n_bytes, &root, err));
    if (!root) return GLINT_OK;
    glint_status st = GLINT_OK;
    if (take_error(a, root))
        a->complete = false;
    else if (a->api == GI_LOAD_API_OPENAI)
        st = openai_event(a, root, now_ms, err);
    else
        st = glint_event(a, root, now_ms, err);
    json_decref(root);
    return st;
}

bool gi_load_answer_is_right(const gi_load_answer *a, const json_t *want) {
    json_t *said = json_incref(a->body);
    if (a->api == GI_LOAD_API_OPENAI) {
        json_decref(said);
        said = NULL;
        (void)gi_json_parse(a->text.data, a->text.len, "answer", &said, NULL);
    }
    bool right = json_object_size(want) > 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)want, key, value) right =
        right && json_equal(json_object_get(said, key), value);
    json_decref(said);
    return right;
}

void gi_load_answer_done(gi_load_answer *a) {
    gi_load_answer_clear(a);
    gi_buf_done(&a->text);
}
