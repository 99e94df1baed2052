/*
 * Values of a schema (enum, const) as a generated answer has them. Depth is bounded by the parser.
 */
#include "grammar/schema_parts.h"

#include "base/parse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The shortest decimal that reads back as the same number. */
static glint_status write_real(double v, gi_buf *out, glint_error *err) {
    char text[40];
    double back = NAN;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (gi_parse_double(text, &back) && back == v) break;
    }
    return gi_buf_puts(out, text, err);
}

glint_status gi_json_write_string(const char *s, size_t n, gi_buf *out, glint_error *err) {
    static const char letters[] = "\"\\bfnrt", values[] = "\"\\\b\f\n\r\t";
    GI_TRY(gi_buf_puts(out, "\"", err));
    for (size_t i = 0; i < n; i++) {
        const char *p = s[i] ? strchr(values, s[i]) : NULL;
        if (p)
            GI_TRY(gi_buf_printf(out, err, "\\%c", letters[p - values]));
        else if ((unsigned char)s[i] < 0x20)
            GI_TRY(gi_buf_printf(out, err, "\\u%04x", (unsigned)(unsigned char)s[i]));
        else
            GI_TRY(gi_buf_push(out, &s[i], 1, err));
    }
    return gi_buf_puts(out, "\"", err);
}

glint_status gi_json_write(const json_t *value, gi_json_layout layout, gi_buf *out,
                           glint_error *err) {
    const char *comma = layout == GI_JSON_SPACED ? ", " : ",";
    const char *colon = layout == GI_JSON_SPACED ? ": " : ":";
    const char *key;
    json_t *member;
    size_t n = 0;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        GI_TRY(gi_buf_puts(out, "{", err));
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            if (n++ > 0) GI_TRY(gi_buf_puts(out, comma, err));
            GI_TRY(gi_json_write_string(key, strlen(key), out, err));
            GI_TRY(gi_buf_puts(out, colon, err));
            GI_TRY(gi_json_write(member, layout, out, err));
        }
        return gi_buf_puts(out, "}", err);
    case JSON_ARRAY:
        GI_TRY(gi_buf_puts(out, "[", err));
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0) GI_TRY(gi_buf_puts(out, comma, err));
            GI_TRY(gi_json_write(json_array_get(value, i), layout, out, err));
        }
        return gi_buf_puts(out, "]", err);
    case JSON_STRING:
        return gi_json_write_string(json_string_value(value), json_string_length(value), out, err);
    case JSON_INTEGER:
        return gi_buf_printf(out, err, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return write_real(json_real_value(value), out, err);
    case JSON_TRUE:
        return gi_buf_puts(out, "true", err);
    case JSON_FALSE:
        return gi_buf_puts(out, "false", err);
    case JSON_NULL:
        break;
    }
    return gi_buf_puts(out, "null", err);
}
