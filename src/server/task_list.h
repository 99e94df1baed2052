/**
 * @file
 * GET /v1/tasks: what can be asked of this server, and how much at once; for whoever lets people
 * choose.
 */
#ifndef GI_SERVER_TASK_LIST_H
#define GI_SERVER_TASK_LIST_H

#include <glint/glint.h>

#include "base/buf.h"
#include "server/fields.h"

/**
 * Append {"tasks": [{"name", "description", "languages", "default_prompt", "max_tokens",
 * "answer": "verdict" | "data" | "text"}], "limits": {...}}.
 * GLINT_ERR_LIMIT, GLINT_ERR_MEMORY.
 */
glint_status gi_task_list_write(const glint_tasks *tasks, const gi_field_limits *fields,
                                int64_t body_bytes_max, gi_buf *b, glint_error *err);

#endif
