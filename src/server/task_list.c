/* The engine's templates as they are; the limits are those of /openapi.json under x-limits. */
#include "server/task_list.h"

#include "server/json_out.h"
#include "server/reply.h"

#include <inttypes.h>
#include <string.h>

static glint_status put_text(gi_buf *b, const char *text, glint_error *err) {
    if (!text) return gi_buf_puts(b, "null", err);
    return gi_json_out_string(b, text, strlen(text), err);
}

static const char *answer_of(const glint_task_info *task) {
    if (strcmp(task->name, GI_REPLY_AUDIT_TASK) == 0) return "verdict";
    return task->is_data ? "data" : "text";
}

static glint_status put_task(const glint_task_info *task, gi_buf *b, glint_error *err) {
    GI_TRY(gi_buf_puts(b, "{\"name\":", err));
    GI_TRY(put_text(b, task->name, err));
    GI_TRY(gi_buf_puts(b, ",\"description\":", err));
    GI_TRY(put_text(b, task->description, err));
    GI_TRY(gi_buf_puts(b, ",\"languages\":[", err));
    for (size_t i = 0; i < task->n_languages; i++) {
        if (i > 0) GI_TRY(gi_buf_puts(b, ",", err));
        GI_TRY(put_text(b, task->languages[i], err));
    }
    GI_TRY(gi_buf_puts(b, "],\"default_prompt\":", err));
    GI_TRY(put_text(b, task->default_prompt, err));
    return gi_buf_printf(b, err, ",\"max_tokens\":%d,\"answer\":\"%s\"}", task->max_tokens,
                         answer_of(task));
}

glint_status gi_task_list_write(const glint_tasks *tasks, const gi_field_limits *fields,
                                int64_t body_bytes_max, gi_buf *b, glint_error *err) {
    glint_task_info task;
    GI_TRY(gi_buf_puts(b, "{\"tasks\":[", err));
    for (size_t i = 0; glint_tasks_get(tasks, i, &task); i++) {
        if (i > 0) GI_TRY(gi_buf_puts(b, ",", err));
        GI_TRY(put_task(&task, b, err));
    }
    return gi_buf_printf(b, err,
                         "],\"limits\":{\"body_bytes\":%" PRId64 ",\"timeout_ms\":%" PRId64
                         ",\"max_side_px\":%" PRId64 ",\"images\":%d}}",
                         body_bytes_max, fields->timeout_ms, fields->max_side_px, GLINT_IMAGES_MAX);
}
