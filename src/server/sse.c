/* Events are appended to a buffer that is sent as a whole, so that a client never sees half of one
 * for longer than the network takes. */
#include "server/sse.h"

glint_status gi_sse_open(gi_buf *b, const char *name, glint_error *err) {
    if (name) GI_TRY(gi_buf_printf(b, err, "event: %s\n", name));
    return gi_buf_puts(b, "data: ", err);
}

glint_status gi_sse_close(gi_buf *b, glint_error *err) {
    return gi_buf_puts(b, "\n\n", err);
}

glint_status gi_sse_done(gi_buf *b, glint_error *err) {
    GI_TRY(gi_sse_open(b, NULL, err));
    GI_TRY(gi_buf_puts(b, "[DONE]", err));
    return gi_sse_close(b, err);
}
