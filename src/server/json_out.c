/*
 * Answers are small and flat, so they are written straight into the buffer that goes to the
 * socket. A model's text is not trusted to be anything: it is escaped like a stranger's.
 */
#include "server/json_out.h"

#include "base/utf8.h"

#include <math.h>
#include <stdbool.h>

static glint_status push_escape(gi_buf *b, uint32_t cp, glint_error *err) {
    switch (cp) {
    case '"':
        return gi_buf_push(b, "\\\"", 2, err);
    case '\\':
        return gi_buf_push(b, "\\\\", 2, err);
    case '\n':
        return gi_buf_push(b, "\\n", 2, err);
    case '\r':
        return gi_buf_push(b, "\\r", 2, err);
    case '\t':
        return gi_buf_push(b, "\\t", 2, err);
    default:
        return gi_buf_printf(b, err, "\\u%04x", (unsigned)cp);
    }
}

static bool must_escape(uint32_t cp) {
    return cp < 0x20 || cp == '"' || cp == '\\' || cp == 0x7F || cp == 0x2028 || cp == 0x2029;
}

glint_status gi_json_out_string(gi_buf *b, const char *s, size_t n_bytes, glint_error *err) {
    const uint8_t *p = (const uint8_t *)s;
    size_t plain = 0, i = 0; /* p[plain..i) needs no change */
    GI_TRY(gi_buf_push(b, "\"", 1, err));
    while (i < n_bytes) {
        uint32_t cp = 0;
        const int n = gi_utf8_decode(p + i, n_bytes - i, &cp);
        if (n > 0 && !must_escape(cp)) {
            i += (size_t)n;
            continue;
        }
        GI_TRY(gi_buf_push(b, p + plain, i - plain, err));
        if (n > 0)
            GI_TRY(push_escape(b, cp, err));
        else
            GI_TRY(gi_buf_push(b, "\xEF\xBF\xBD", 3, err));
        i += n > 0 ? (size_t)n : 1;
        plain = i;
    }
    GI_TRY(gi_buf_push(b, p + plain, i - plain, err));
    return gi_buf_push(b, "\"", 1, err);
}

glint_status gi_json_out_ms(gi_buf *b, double ms, glint_error *err) {
    return gi_buf_printf(b, err, "%.3f", isfinite(ms) && ms > 0 ? ms : 0.0);
}

glint_status gi_json_out_unit(gi_buf *b, double p, glint_error *err) {
    if (!isfinite(p) || p < 0) p = 0;
    return gi_buf_printf(b, err, "%.4f", p > 1 ? 1.0 : p);
}

glint_status gi_json_out_logprob(gi_buf *b, double logprob, glint_error *err) {
    if (!(logprob > -9999)) logprob = -9999;
    return gi_buf_printf(b, err, "%.6f", logprob < 0 ? logprob : 0.0);
}
