/* Members without a value are null or left out with their group; no content but what is asked for.
 */
#include "server/audit_line.h"

#include "base/clock.h"
#include "server/json_out.h"
#include "server/reply.h"

#include <inttypes.h>
#include <string.h>

/* ,"key":"text" or ,"key":null */
static glint_status put(gi_buf *b, const char *key, const char *text, glint_error *err) {
    GI_TRY(gi_buf_printf(b, err, ",\"%s\":", key));
    return text && text[0] ? gi_json_out_string(b, text, strlen(text), err)
                           : gi_buf_puts(b, "null", err);
}

static glint_status put_digest(gi_buf *b, const gi_record_digest *d, glint_error *err) {
    char hex[GI_DIGEST_HEX_BYTES];
    gi_digest_hex(&d->sha256, hex);
    return gi_buf_printf(b, err, "{\"sha256\":\"%s\",\"bytes\":%zu}", hex, d->n_bytes);
}

static glint_status put_asked(const gi_record *r, gi_buf *b, glint_error *err) {
    GI_TRY(put(b, "task", r->task, err));
    GI_TRY(gi_buf_printf(b, err, ",\"stream\":%s", r->is_stream ? "true" : "false"));
    if (!r->has_digests) return GLINT_OK;
    GI_TRY(gi_buf_puts(b, ",\"pictures\":[", err));
    for (size_t i = 0; i < r->n_pictures; i++) {
        if (i > 0) GI_TRY(gi_buf_puts(b, ",", err));
        GI_TRY(put_digest(b, &r->pictures[i], err));
    }
    GI_TRY(gi_buf_puts(b, "],\"prompt\":", err));
    GI_TRY(put_digest(b, &r->prompt, err));
    if (!r->prompt_text) return GLINT_OK;
    GI_TRY(gi_buf_puts(b, ",\"prompt_text\":", err));
    return gi_json_out_string(b, r->prompt_text, r->n_prompt_bytes, err);
}

static glint_status put_answer(const gi_record *r, gi_buf *b, glint_error *err) {
    GI_TRY(put(b, "finish_reason", gi_reply_finish_name(r->finish), err));
    GI_TRY(gi_buf_printf(b, err, ",\"kept\":%s", r->is_kept ? "true" : "false"));
    GI_TRY(put(b, "verdict", r->verdict, err));
    GI_TRY(gi_buf_puts(b, ",\"confidence\":", err));
    GI_TRY(gi_json_out_unit(b, r->confidence, err));
    GI_TRY(gi_buf_puts(b, ",", err));
    return gi_reply_put_usage(b, &r->usage, err);
}

/* As many stages as it went through. */
static glint_status put_timing(const gi_record *r, gi_buf *b, glint_error *err) {
    double stages_ms[GI_RECORD_STAGES];
    gi_record_stages(r->queue_ms, r->fetch_ms, &r->timing, stages_ms);
    const size_t n_stages = r->has_result     ? GI_RECORD_STAGES
                            : r->is_inference ? GI_RECORD_STAGES_SERVER
                                              : 0;
    GI_TRY(gi_buf_puts(b, ",", err));
    return gi_reply_put_timing(b, stages_ms, n_stages, r->total_ms, err);
}

glint_status gi_audit_line_write(const gi_record *r, gi_audit_line_kind kind, const char *id,
                                 const gi_principal *who, gi_buf *ret, glint_error *err) {
    gi_buf *b = ret;
    char when[GI_CLOCK_ISO8601_BYTES];
    gi_clock_iso8601(when);
    GI_TRY(gi_buf_printf(b, err, "{\"time\":\"%s\"", when));
    GI_TRY(put(b, "id", id, err));
    GI_TRY(put(b, "trace_id", r->trace.trace_id, err));
    GI_TRY(put(b, "span_id", r->trace.span_id, err));
    GI_TRY(put(b, "parent_id", r->trace.parent_id, err));
    GI_TRY(put(b, "tenant", who->tenant, err));
    GI_TRY(put(b, "key_id", who->key_id, err));
    GI_TRY(put(b, "method", r->method, err));
    GI_TRY(put(b, "route", strcmp(r->route, "-") == 0 ? NULL : r->route, err));
    GI_TRY(gi_buf_printf(b, err, ",\"status\":%d", r->status));
    GI_TRY(put(b, "code", gi_api_error_get(r->code)->code, err));
    GI_TRY(gi_buf_printf(b, err, ",\"body_bytes\":%zu", r->body_bytes));
    if (r->is_inference) GI_TRY(put_asked(r, b, err));
    if (kind == GI_AUDIT_LINE_BEGINS) return gi_buf_puts(b, ",\"begins\":true}", err);
    if (r->has_result) GI_TRY(put_answer(r, b, err));
    GI_TRY(put_timing(r, b, err));
    return gi_buf_puts(b, "}", err);
}
