/**
 * @file
 * GET /v1/models: what is loaded, as OpenAI's interface lists it.
 */
#ifndef GI_SERVER_MODELS_H
#define GI_SERVER_MODELS_H

#include "base/buf.h"

/** A served model. */
typedef struct gi_model_entry {
    const char *name;
    int64_t created_s; /**< seconds since 1970; when it was loaded */
} gi_model_entry;

/** Append {"id","object","created","owned_by"}. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_models_write_one(const gi_model_entry *model, gi_buf *b, glint_error *err);

/** Append the list of it. */
glint_status gi_models_write_list(const gi_model_entry *model, gi_buf *b, glint_error *err);

#endif
