/* There is one model; the list has one entry. */
#include "server/models.h"

#include "server/json_out.h"

#include <inttypes.h>
#include <string.h>

glint_status gi_models_write_one(const gi_model_entry *model, gi_buf *b, glint_error *err) {
    GI_TRY(gi_buf_puts(b, "{\"id\":", err));
    GI_TRY(gi_json_out_string(b, model->name, strlen(model->name), err));
    return gi_buf_printf(b, err,
                         ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":\"glint\"}",
                         model->created_s);
}

glint_status gi_models_write_list(const gi_model_entry *model, gi_buf *b, glint_error *err) {
    GI_TRY(gi_buf_puts(b, "{\"object\":\"list\",\"data\":[", err));
    GI_TRY(gi_models_write_one(model, b, err));
    return gi_buf_puts(b, "]}", err);
}
