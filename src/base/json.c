/*
 * jansson behind limits. Depth is checked before parsing by counting brackets outside strings:
 * jansson's own limit (2048) is a compile-time constant of the library.
 */
#include "base/json.h"

#include "base/ascii.h"
#include "base/filemap.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static bool depth_is_ok(const char *s, size_t n) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        const char c = s[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > GI_JSON_DEPTH_MAX) return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

/* A text on its way into jansson. */
typedef struct feed {
    const char *at, *end;
    bool is_short; /* memory was missing */
} feed;

/* Out of memory, jansson leaves out of a string or a number what did not fit, and only errno tells:
 * until the next number, whose reader clears it. So digits and what is not digits come in pieces of
 * their own, and errno is looked at between. */
static size_t next_piece(void *to, size_t n_max, void *ctx) {
    feed *f = ctx;
    size_t n = 0;
    f->is_short |= errno == ENOMEM;
    while (n < n_max && f->at + n < f->end &&
           gi_ascii_is_digit(f->at[n]) == gi_ascii_is_digit(f->at[0]))
        n++;
    memcpy(to, f->at, n);
    f->at += n;
    return n;
}

static glint_status parse(const void *data, size_t n_bytes, size_t flags, const char *what,
                          json_t **ret, glint_error *err) {
    if (n_bytes == 0) data = ""; /* neither memchr nor jansson takes a null pointer */
    /* To jansson a zero byte outside a string is the end of the text, whatever follows. */
    if (memchr(data, '\0', n_bytes))
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: not valid JSON: a zero byte", what);
    if (!depth_is_ok(data, n_bytes))
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: nested deeper than %d", what, GI_JSON_DEPTH_MAX);
    feed f = {.at = data, .end = (const char *)data + n_bytes};
    json_error_t je;
    errno = 0;
    flags |= JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *v = json_load_callback(next_piece, &f, flags, &je);
    /* Out of memory it may also say "invalid token", or nothing. */
    if (f.is_short || errno == ENOMEM || (!v && je.text[0] == '\0')) {
        json_decref(v);
        return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory to parse it", what);
    }
    if (!v)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s:%d: not valid JSON (column %d): %s", what,
                       je.line, je.column, je.text);
    *ret = v;
    return GLINT_OK;
}

glint_status gi_json_parse(const void *data, size_t n_bytes, const char *what, json_t **ret,
                           glint_error *err) {
    return parse(data, n_bytes, 0, what, ret, err);
}

glint_status gi_json_parse_any(const void *data, size_t n_bytes, const char *what, json_t **ret,
                               glint_error *err) {
    return parse(data, n_bytes, JSON_DECODE_ANY, what, ret, err);
}

glint_status gi_json_load(const char *path, size_t max_bytes, json_t **ret, glint_error *err) {
    gi_buf b;
    gi_buf_init(&b, max_bytes);
    glint_status st = gi_file_read(path, &b, err);
    if (st == GLINT_OK) st = gi_json_parse(b.data, b.len, path, ret, err);
    gi_buf_done(&b);
    return st;
}

/* What a getter's messages begin with. */
#define WHAT(what) (what) ? (what) : "", (what) ? ": " : ""

/* Find `key`; *ret_value stays NULL when it is absent and not required. */
static glint_status find(const json_t *obj, const char *what, const char *key, bool required,
                         const json_t **ret_value, glint_error *err) {
    const json_t *v = json_object_get(obj, key);
    if (v && json_is_null(v)) v = NULL;
    if (!v && required)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s%s\"%s\" is missing", WHAT(what), key);
    *ret_value = v;
    return GLINT_OK;
}

static glint_status wrong_type(const char *what, const char *key, const char *want,
                               glint_error *err) {
    return gi_fail(err, GLINT_ERR_FORMAT, "%s%s\"%s\" must be %s", WHAT(what), key, want);
}

glint_status gi_json_get_int(const json_t *obj, const char *what, const char *key, bool required,
                             int64_t min, int64_t max, int64_t *ret, glint_error *err) {
    const json_t *v = NULL;
    GI_TRY(find(obj, what, key, required, &v, err));
    if (!v) return GLINT_OK;
    int64_t n;
    if (json_is_integer(v)) {
        n = json_integer_value(v);
    } else if (json_is_real(v) && fabs(json_real_value(v)) < 9e15 &&
               json_real_value(v) == floor(json_real_value(v))) {
        n = (int64_t)json_real_value(v);
    } else {
        return wrong_type(what, key, "an integer", err);
    }
    if (n < min || n > max)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s%s\"%s\" is %lld, must be %lld to %lld",
                       WHAT(what), key, (long long)n, (long long)min, (long long)max);
    *ret = n;
    return GLINT_OK;
}

glint_status gi_json_get_double(const json_t *obj, const char *what, const char *key, bool required,
                                double min, double max, double *ret, glint_error *err) {
    const json_t *v = NULL;
    GI_TRY(find(obj, what, key, required, &v, err));
    if (!v) return GLINT_OK;
    if (!json_is_number(v)) return wrong_type(what, key, "a number", err);
    const double d = json_number_value(v);
    if (!isfinite(d) || d < min || d > max)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s%s\"%s\" is %g, must be %g to %g", WHAT(what), key,
                       d, min, max);
    *ret = d;
    return GLINT_OK;
}

glint_status gi_json_get_bool(const json_t *obj, const char *what, const char *key, bool required,
                              bool *ret, glint_error *err) {
    const json_t *v = NULL;
    GI_TRY(find(obj, what, key, required, &v, err));
    if (!v) return GLINT_OK;
    if (!json_is_boolean(v)) return wrong_type(what, key, "true or false", err);
    *ret = json_is_true(v);
    return GLINT_OK;
}

glint_status gi_json_get_string(const json_t *obj, const char *what, const char *key, bool required,
                                const char **ret, glint_error *err) {
    const json_t *v = NULL;
    GI_TRY(find(obj, what, key, required, &v, err));
    if (!v) return GLINT_OK;
    if (!json_is_string(v)) return wrong_type(what, key, "a string", err);
    if (strlen(json_string_value(v)) != json_string_length(v))
        return wrong_type(what, key, "a string without zero bytes", err);
    *ret = json_string_value(v);
    return GLINT_OK;
}

glint_status gi_json_get_object(const json_t *obj, const char *what, const char *key, bool required,
                                const json_t **ret, glint_error *err) {
    const json_t *v = NULL;
    GI_TRY(find(obj, what, key, required, &v, err));
    if (!v) return GLINT_OK;
    if (!json_is_object(v)) return wrong_type(what, key, "an object", err);
    *ret = v;
    return GLINT_OK;
}

glint_status gi_json_get_array(const json_t *obj, const char *what, const char *key, bool required,
                               const json_t **ret, glint_error *err) {
    const json_t *v = NULL;
    GI_TRY(find(obj, what, key, required, &v, err));
    if (!v) return GLINT_OK;
    if (!json_is_array(v)) return wrong_type(what, key, "an array", err);
    *ret = v;
    return GLINT_OK;
}
