/*
 * Answers of POST /v1/multimodal/inference. The engine hands over text, JSON it has checked, and
 * numbers; this decides which of them a client sees, and under which names.
 */
#include "server/reply.h"

#include "base/json.h"
#include "base/utf8.h"
#include "server/json_out.h"
#include "server/sse.h"

#include <math.h>
#include <string.h>

const char *gi_reply_finish_name(glint_finish finish) {
    switch (finish) {
    case GLINT_FINISH_LENGTH:
        return "length";
    case GLINT_FINISH_INVALID:
        return "invalid_answer";
    case GLINT_FINISH_NONE:
    case GLINT_FINISH_STOP:
        break;
    }
    return "stop";
}

static glint_status put_key(gi_buf *b, const char *key, glint_error *err) {
    return gi_buf_printf(b, err, "\"%s\":", key);
}

static glint_status put_text(gi_buf *b, const char *key, const char *s, size_t n,
                             glint_error *err) {
    GI_TRY(put_key(b, key, err));
    return gi_json_out_string(b, s, n, err);
}

/* True when `data` is a verdict: {"result": string, "reasons": [string...], ...}. */
static bool is_verdict(const json_t *data) {
    const json_t *reasons = json_object_get(data, "reasons");
    if (!json_is_string(json_object_get(data, "result")) || !json_is_array(reasons)) return false;
    for (size_t i = 0; i < json_array_size(reasons); i++)
        if (!json_is_string(json_array_get(reasons, i))) return false;
    return true;
}

static glint_status put_verdict(gi_buf *b, const json_t *data, double confidence,
                                glint_error *err) {
    const json_t *result = json_object_get(data, "result");
    const json_t *reasons = json_object_get(data, "reasons");
    GI_TRY(put_text(b, "result", json_string_value(result), json_string_length(result), err));
    GI_TRY(gi_buf_puts(b, ",\"reasons\":[", err));
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const json_t *reason = json_array_get(reasons, i);
        if (i > 0) GI_TRY(gi_buf_puts(b, ",", err));
        GI_TRY(gi_json_out_string(b, json_string_value(reason), json_string_length(reason), err));
    }
    GI_TRY(gi_buf_puts(b, "],\"confidence\":", err));
    return gi_json_out_unit(b, confidence, err);
}

/* The verdict of an audit, the caller's to let go of; NULL when there is none. */
static json_t *read_verdict(const glint_result *r) {
    json_t *data = NULL;
    if (!r->data_json || r->finish == GLINT_FINISH_INVALID) return NULL;
    if (gi_json_parse(r->data_json, strlen(r->data_json), "answer", &data, NULL) != GLINT_OK)
        return NULL;
    if (is_verdict(data)) return data;
    json_decref(data);
    return NULL;
}

static glint_status put_audit(gi_buf *b, const glint_result *r, glint_error *err) {
    json_t *data = read_verdict(r);
    glint_status st;
    if (data) {
        st = put_verdict(b, data, r->confidence, err);
    } else {
        st = gi_buf_puts(
            b, "\"result\":\"" GI_REPLY_REVIEW "\",\"reasons\":[],\"confidence\":0.0000,", err);
        if (st == GLINT_OK) st = put_text(b, "text", r->text, r->n_text_bytes, err);
    }
    json_decref(data);
    return st;
}

static glint_status put_other(gi_buf *b, const glint_result *r, glint_error *err) {
    if (r->data_json) {
        /* Compact JSON made by the engine's own writer. */
        GI_TRY(put_key(b, "data", err));
        GI_TRY(gi_buf_puts(b, r->data_json, err));
    } else {
        if (r->finish == GLINT_FINISH_INVALID) GI_TRY(gi_buf_puts(b, "\"data\":null,", err));
        GI_TRY(put_text(b, "text", r->text, r->n_text_bytes, err));
    }
    GI_TRY(gi_buf_puts(b, ",\"confidence\":", err));
    return gi_json_out_unit(b, r->confidence, err);
}

static bool is_verdict_due(const gi_reply *a) {
    return strcmp(a->task, GI_REPLY_AUDIT_TASK) == 0 && !a->is_data;
}

static void record_verdict(const glint_result *r, gi_record *record) {
    json_t *data = read_verdict(r);
    const char *verdict =
        data ? json_string_value(json_object_get(data, "result")) : GI_REPLY_REVIEW;
    size_t n = strlen(verdict);
    if (n >= sizeof record->verdict)
        n = gi_utf8_complete_prefix((const uint8_t *)verdict, sizeof record->verdict - 1);
    memcpy(record->verdict, verdict, n);
    record->verdict[n] = '\0';
    if (!data) record->confidence = 0;
    json_decref(data);
}

void gi_reply_record(const gi_reply *a, bool is_ok, gi_record *record) {
    record->queue_ms = a->queue_ms;
    record->fetch_ms = a->fetch_ms;
    if (!is_ok) return;
    const glint_result *first = a->results[0];
    record->has_result = true;
    record->finish = first->finish;
    record->usage = first->usage;
    record->timing = first->timing;
    record->confidence = first->confidence;
    for (size_t i = 1; i < a->n_choices; i++) {
        record->usage.completion_tokens += a->results[i]->usage.completion_tokens;
        record->usage.forced_tokens += a->results[i]->usage.forced_tokens;
    }
    if (is_verdict_due(a)) record_verdict(first, record);
}

glint_status gi_reply_put_usage(gi_buf *b, const glint_usage *u, glint_error *err) {
    return gi_buf_printf(b, err,
                         "\"usage\":{\"prompt_tokens\":%d,\"image_tokens\":%d,"
                         "\"completion_tokens\":%d,\"forced_tokens\":%d,\"cached_tokens\":%d}",
                         u->prompt_tokens, u->image_tokens, u->completion_tokens, u->forced_tokens,
                         u->cached_tokens);
}

glint_status gi_reply_put_timing(gi_buf *b, const double *stages_ms, size_t n_stages,
                                 double total_ms, glint_error *err) {
    GI_TRY(gi_buf_puts(b, "\"timing_ms\":{", err));
    for (size_t i = 0; i < n_stages; i++) {
        GI_TRY(put_key(b, gi_record_stage_names[i], err));
        GI_TRY(gi_json_out_ms(b, stages_ms[i], err));
        GI_TRY(gi_buf_puts(b, ",", err));
    }
    GI_TRY(put_key(b, "total", err));
    GI_TRY(gi_json_out_ms(b, total_ms, err));
    return gi_buf_puts(b, "}", err);
}

static glint_status put_names(const gi_reply *a, gi_buf *b, glint_error *err) {
    GI_TRY(gi_buf_puts(b, "{", err));
    GI_TRY(put_text(b, "id", a->id, strlen(a->id), err));
    GI_TRY(gi_buf_puts(b, ",", err));
    GI_TRY(put_text(b, "model", a->model, strlen(a->model), err));
    GI_TRY(gi_buf_puts(b, ",", err));
    return put_text(b, "task", a->task, strlen(a->task), err);
}

static glint_status write_whole(const gi_reply *a, gi_buf *b, glint_error *err) {
    const glint_result *r = a->results[0];
    GI_TRY(put_names(a, b, err));
    GI_TRY(gi_buf_puts(b, ",", err));
    GI_TRY(is_verdict_due(a) ? put_audit(b, r, err) : put_other(b, r, err));
    const double worked_ms = fmax(0, a->total_ms - a->queue_ms - a->fetch_ms);
    GI_TRY(gi_buf_printf(b, err,
                         ",\"inference_time_ms\":%.0f,\"tokens_generated\":%d,"
                         "\"finish_reason\":\"%s\",",
                         worked_ms, r->usage.completion_tokens, gi_reply_finish_name(r->finish)));
    GI_TRY(gi_reply_put_usage(b, &r->usage, err));
    GI_TRY(gi_buf_puts(b, ",", err));
    double stages_ms[GI_RECORD_STAGES];
    gi_record_stages(a->queue_ms, a->fetch_ms, &r->timing, stages_ms);
    GI_TRY(gi_reply_put_timing(b, stages_ms, GI_RECORD_STAGES, a->total_ms, err));
    return gi_buf_puts(b, "}", err);
}

static glint_status write_first(const gi_reply *a, gi_buf *b, glint_error *err) {
    GI_TRY(gi_sse_open(b, NULL, err));
    GI_TRY(put_names(a, b, err));
    GI_TRY(gi_buf_puts(b, "}", err));
    return gi_sse_close(b, err);
}

static glint_status write_piece(const gi_reply *a, size_t i, const gi_reply_piece *piece, gi_buf *b,
                                glint_error *err) {
    (void)a;
    (void)i;
    GI_TRY(gi_sse_open(b, NULL, err));
    GI_TRY(gi_buf_puts(b, "{", err));
    GI_TRY(put_text(b, "delta", piece->text, piece->n_bytes, err));
    GI_TRY(gi_buf_puts(b, "}", err));
    return gi_sse_close(b, err);
}

static glint_status write_choice(const gi_reply *a, size_t i, size_t first_token, gi_buf *b,
                                 glint_error *err) {
    (void)a;
    (void)i;
    (void)first_token;
    (void)b;
    (void)err;
    return GLINT_OK; /* there is one, and the whole says it all */
}

static glint_status write_last(const gi_reply *a, gi_buf *b, glint_error *err) {
    GI_TRY(gi_sse_open(b, NULL, err));
    GI_TRY(write_whole(a, b, err));
    return gi_sse_close(b, err);
}

const gi_reply_form gi_infer_form = {write_whole, write_first, write_piece, write_choice,
                                     write_last};
