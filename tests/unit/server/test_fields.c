/*
 * src/server/fields and picture_ref: defaults, every range at both ends, every type refused where
 * it does not belong, and forms that say the same as JSON.
 */
#include "../cm.h"

#include "base/filemap.h"
#include "server/fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gi_field_limits LIMITS = {.max_side_px = 2048, .timeout_ms = 60000};

/* Read `text`; on success the JSON stays alive in *ret_json for the strings in *ret. */
static gi_api_error read_text(const char *text, gi_infer_fields *ret, gi_json_lifted *ret_json) {
    gi_api_error error = {0};
    glint_error err = {0};
    if (gi_json_lift_parse(text, strlen(text), ret_json, &err) != GLINT_OK)
        fail_msg("%s: %s", text, err.message);
    gi_fields_read(&gi_infer_table, ret_json, NULL, 0, &LIMITS, ret, &error);
    return error;
}

static void expect(const char *text, gi_api_code code, const char *param) {
    gi_infer_fields f;
    gi_json_lifted json = {0};
    const gi_api_error error = read_text(text, &f, &json);
    if (error.code != code || strcmp(error.param, param) != 0)
        fail_msg("%s: code %d on \"%s\", not %d on \"%s\"", text, (int)error.code, error.param,
                 (int)code, param);
    gi_json_lift_done(&json);
}

static void defaults(void **state) {
    gi_infer_fields f;
    gi_json_lifted json = {0};
    assert_int_equal(read_text("{\"prompt\":\"hi\"}", &f, &json).code, GI_API_OK);
    assert_string_equal(f.task, "audit");
    assert_int_equal(f.prompt.n, 2);
    assert_int_equal(f.max_tokens, 0);
    assert_true(f.temperature == 0 && f.top_p == 1);
    assert_int_equal(f.top_k, 0);
    assert_int_equal(f.seed, 0);
    assert_int_equal(f.n_stops, 0);
    assert_int_equal(f.n_pictures, 0);
    assert_int_equal(f.max_side_px, 0);
    assert_int_equal(f.timeout_ms, LIMITS.timeout_ms);
    assert_true(f.cache && !f.has_seed);
    gi_json_lift_done(&json);
}

static void everything(void **state) {
    gi_infer_fields f;
    gi_json_lifted json = {0};
    const gi_api_error error = read_text(
        "{\"images\":[\"Zm9v\",\"data:image/png;base64,Zm9vYg==\",\"DATA:Image/JPEG;Base64,Zm8=\"],"
        "\"prompt\":\"a\\u0000b\",\"task\":\"ocr\",\"max_tokens\":4096.0,\"temperature\":-0,"
        "\"top_p\":1e-6,\"top_k\":7,\"seed\":9007199254740991,\"stop\":[\"a\",\"b\"],"
        "\"max_side\":2048,\"timeout_ms\":1,\"stream\":true,\"schema\":null,\"cache\":false}",
        &f, &json);
    assert_int_equal(error.code, GI_API_OK);
    assert_int_equal(f.n_pictures, 3);
    assert_int_equal(f.pictures[1].n, 8);
    assert_memory_equal(f.pictures[1].base64, "Zm9vYg==", 8);
    assert_memory_equal(f.pictures[2].base64, "Zm8=", 4);
    assert_int_equal(f.prompt.n, 3);
    assert_memory_equal(f.prompt.s, "a\0b", 3);
    assert_string_equal(f.task, "ocr");
    assert_int_equal(f.max_tokens, 4096);
    assert_true(f.temperature == 0 && !signbit(f.temperature));
    assert_true(f.top_p == 1e-6);
    assert_int_equal(f.seed, 9007199254740991);
    assert_int_equal(f.n_stops, 2);
    assert_string_equal(f.stops[1], "b");
    assert_int_equal(f.max_side_px, 2048);
    assert_int_equal(f.timeout_ms, 1);
    assert_true(!f.cache && f.has_seed);
    assert_true(f.stream);
    assert_null(f.schema);
    gi_json_lift_done(&json);
}

/* From the table itself: each number at its ends and one step beyond. */
static void ranges(void **state) {
    char text[256];
    int n_checked = 0;
    for (size_t i = 0; i < gi_infer_table.n; i++) {
        const gi_field *field = &gi_infer_table.rows[i];
        if (field->type != GI_FIELD_INT && field->type != GI_FIELD_NUMBER) continue;
        const bool is_int = field->type == GI_FIELD_INT;
        double max = field->max;
        if (strcmp(field->name, "max_side") == 0) max = (double)LIMITS.max_side_px;
        if (strcmp(field->name, "timeout_ms") == 0) max = (double)LIMITS.timeout_ms;
        const struct {
            double value;
            bool ok;
        } cases[] = {
            {field->min, true},
            {max, true},
            {is_int ? field->min - 1 : field->min - 1e-9, false},
            {is_int ? max + 1 : max + 1e-9, false},
            {-9007199254740993.0, false},
            {1e300, false},
            {-1e300, false},
        };
        for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
            snprintf(text, sizeof text, "{\"prompt\":\"x\",\"%s\":%.17g}", field->name,
                     cases[k].value);
            expect(text, cases[k].ok ? GI_API_OK : GI_API_INVALID_VALUE,
                   cases[k].ok ? "" : field->name);
        }
        n_checked++;
    }
    assert_int_equal(n_checked, 7);
    expect("{\"prompt\":\"x\",\"seed\":9007199254740993}", GI_API_INVALID_VALUE, "seed");
    expect("{\"prompt\":\"x\",\"max_tokens\":1.5}", GI_API_INVALID_TYPE, "max_tokens");
}

/* From the table: each field with each JSON type. Whatever is not its type is refused by name. */
static void types(void **state) {
    static const struct {
        const char *text;
        char kind;
    } values[] = {{"\"Zm9v\"", 's'}, {"1", 'n'},  {"true", 'b'},
                  {"false", 'b'},    {"{}", 'o'}, {"[1]", 'x'}};
    char text[256];
    for (size_t i = 0; i < gi_infer_table.n; i++) {
        const gi_field *field = &gi_infer_table.rows[i];
        snprintf(text, sizeof text, "{\"prompt\":\"x\",\"%s\":null}", field->name);
        if (strcmp(field->name, "prompt") != 0) expect(text, GI_API_OK, "");
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            char want = 0;
            switch (field->type) {
            case GI_FIELD_TEXT:
            case GI_FIELD_NAME:
            case GI_FIELD_NAMES:
            case GI_FIELD_PICTURE:
                want = 's';
                break;
            case GI_FIELD_INT:
            case GI_FIELD_NUMBER:
                want = 'n';
                break;
            case GI_FIELD_BOOL:
                want = 'b';
                break;
            case GI_FIELD_PICTURES:
                want = 'a';
                break;
            case GI_FIELD_SCHEMA:
                want = 'o';
                break;
            case GI_FIELD_MESSAGES:
            case GI_FIELD_FORMAT:
            case GI_FIELD_STREAM_OPTIONS:
            case GI_FIELD_ONLY:
            case GI_FIELD_IGNORED:
                continue; /* not in this table */
            }
            if (values[k].kind == want) continue;
            if (strcmp(field->name, "max_side") == 0 && values[k].kind == 'n') continue;
            snprintf(text, sizeof text, "{\"%s\":%s}", field->name, values[k].text);
            expect(text, GI_API_INVALID_TYPE, field->name);
        }
    }
}

static void refused(void **state) {
    expect("{}", GI_API_MISSING_INPUT, "");
    expect("{\"prompt\":\"\"}", GI_API_MISSING_INPUT, "");
    expect("[]", GI_API_INVALID_TYPE, "");
    expect("\"x\"", GI_API_INVALID_TYPE, "");
    expect("null", GI_API_INVALID_TYPE, "");
    expect("{\"prompt\":\"x\",\"Prompt\":\"y\"}", GI_API_UNKNOWN_FIELD, "Prompt");
    expect("{\"image\":\"Zm9v\",\"images\":[\"Zm9v\"]}", GI_API_CONFLICTING_FIELDS, "images");
    expect("{\"images\":[\"Zm9v\",\"Zm9v\",\"Zm9v\",\"Zm9v\",\"Zm9v\",\"Zm9v\",\"Zm9v\",\"Zm9v\","
           "\"Zm9v\"]}",
           GI_API_TOO_MANY_IMAGES, "images");
    expect("{\"prompt\":\"x\",\"schema\":false}", GI_API_INVALID_TYPE, "schema");
    expect("{\"prompt\":\"x\",\"task\":\"\"}", GI_API_INVALID_VALUE, "task");
    expect("{\"prompt\":\"x\",\"task\":\"a\\u0000b\"}", GI_API_INVALID_VALUE, "task");
    expect("{\"prompt\":\"x\",\"stop\":\"\"}", GI_API_INVALID_VALUE, "stop");
    expect("{\"prompt\":\"x\",\"stop\":[1]}", GI_API_INVALID_TYPE, "stop");
    expect("{\"prompt\":\"x\",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}",
           GI_API_INVALID_VALUE, "stop");
    expect("{\"prompt\":\"x\",\"stop\":[]}", GI_API_OK, "");
}

static void picture_text(void **state) {
    static const struct {
        const char *text;
        gi_api_code code;
    } cases[] = {
        {"http://a/b.png", GI_API_OK}, /* judged by whoever fetches */
        {"HTTPS:anything", GI_API_OK},
        {"http", GI_API_OK}, /* base64 */
        {"", GI_API_INVALID_IMAGE_REF},
        {"Zm9", GI_API_INVALID_IMAGE_REF},
        {"file:///etc/passwd", GI_API_INVALID_IMAGE_REF},
        {"ftp://x/y", GI_API_INVALID_IMAGE_REF},
        {"data:text/plain;base64,Zm9v", GI_API_INVALID_IMAGE_REF},
        {"data:video/jpeg;base64,Zm9v", GI_API_INVALID_IMAGE_REF},
        {"data:image/png,Zm9v", GI_API_INVALID_IMAGE_REF},
        {"data:image/png;charset=x;base64,Zm9v", GI_API_INVALID_IMAGE_REF},
        {"data:image/png;base64,", GI_API_INVALID_IMAGE_REF},
        {"data:image/;base64,Zm9v", GI_API_INVALID_IMAGE_REF},
        {"data:image/png;base64,Zm9v:", GI_API_INVALID_IMAGE_REF},
        {"data:image/svg+xml;base64,Zm9v", GI_API_OK}, /* judged by its bytes */
        {"Zm9v", GI_API_OK},
    };
    char text[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, "{\"image\":\"%s\"}", cases[i].text);
        expect(text, cases[i].code, cases[i].code ? "image" : "");
        snprintf(text, sizeof text, "{\"images\":[\"Zm9v\",\"%s\"]}", cases[i].text);
        expect(text, cases[i].code, cases[i].code ? "images" : "");
    }
}

/* ---- forms ---- */

typedef struct form {
    gi_multipart_part parts[16];
    size_t n;
    char bytes[16][64];
} form;

static void add(form *f, const char *name, const char *value, bool is_file) {
    gi_multipart_part *p = &f->parts[f->n];
    snprintf(p->name, sizeof p->name, "%s", name);
    p->n_bytes = (size_t)snprintf(f->bytes[f->n], sizeof f->bytes[0], "%s", value);
    p->data = (uint8_t *)f->bytes[f->n];
    p->is_file = is_file;
    f->n++;
}

static gi_api_error read_form(form *form_, gi_infer_fields *ret, gi_json_lifted *ret_json) {
    gi_api_error error = {0};
    gi_field_picture files[GLINT_IMAGES_MAX];
    size_t n_files = 0;
    if (gi_fields_from_form(&gi_infer_table, form_->parts, form_->n, &ret_json->json, files,
                            &n_files, &error))
        gi_fields_read(&gi_infer_table, ret_json, files, n_files, &LIMITS, ret, &error);
    return error;
}

static void form_says_the_same(void **state) {
    form f = {0};
    add(&f, "image", "\x89PNG", true);
    add(&f, "prompt", "123", false);
    add(&f, "max_tokens", " 7 ", false);
    add(&f, "temperature", "0.5", false);
    add(&f, "cache", "false", false);
    add(&f, "stop", "a", false);
    add(&f, "stop", "b", false);
    add(&f, "image", "Zm9v", false);
    add(&f, "image", "\xFF\xD8", true);
    gi_infer_fields got;
    gi_json_lifted json = {0};
    const gi_api_error error = read_form(&f, &got, &json);
    assert_int_equal(error.code, GI_API_OK);
    assert_int_equal(got.n_pictures, 3);
    assert_int_equal(got.pictures[0].n, 4);
    assert_memory_equal(got.pictures[1].bytes, "\xFF\xD8", 2);
    assert_memory_equal(got.pictures[2].base64, "Zm9v", 4);
    assert_int_equal(got.prompt.n, 3);
    assert_int_equal(got.max_tokens, 7);
    assert_true(got.temperature == 0.5);
    assert_false(got.cache);
    assert_int_equal(got.n_stops, 2);
    gi_json_lift_done(&json);
}

static void form_refused(void **state) {
    static const struct {
        const char *name, *value;
        gi_api_code code;
    } cases[] = {
        {"max_tokens", "", GI_API_INVALID_VALUE},
        {"max_tokens", "1,2", GI_API_INVALID_VALUE},
        {"max_tokens", "1],[2", GI_API_INVALID_VALUE},
        {"max_tokens", "NaN", GI_API_INVALID_VALUE},
        {"max_tokens", "1e400", GI_API_INVALID_VALUE},
        {"max_tokens", "\"1\"", GI_API_INVALID_TYPE},
        {"max_tokens", "0x10", GI_API_INVALID_VALUE},
        {"cache", "yes", GI_API_INVALID_VALUE},
        {"prompt", "\xFF", GI_API_INVALID_VALUE},
        {"nothing", "1", GI_API_UNKNOWN_FIELD},
        {"stream", "yes", GI_API_INVALID_VALUE},
        {"schema", "{", GI_API_INVALID_VALUE},
        {"schema", "[]", GI_API_INVALID_TYPE},
        {"image", "ftp://a/", GI_API_INVALID_IMAGE_REF},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        form f = {0};
        add(&f, cases[i].name, cases[i].value, false);
        gi_infer_fields got;
        gi_json_lifted json = {0};
        const gi_api_error error = read_form(&f, &got, &json);
        if (error.code != cases[i].code)
            fail_msg("%s=%s: code %d", cases[i].name, cases[i].value, (int)error.code);
        gi_json_lift_done(&json);
    }
    form twice = {0};
    add(&twice, "prompt", "a", false);
    add(&twice, "prompt", "b", false);
    gi_infer_fields got;
    gi_json_lifted json = {0};
    assert_int_equal(read_form(&twice, &got, &json).code, GI_API_DUPLICATE_FIELD);
    form many = {0};
    for (int i = 0; i <= GLINT_IMAGES_MAX; i++) add(&many, "image", "x", true);
    assert_int_equal(read_form(&many, &got, &json).code, GI_API_TOO_MANY_IMAGES);
}

/* ---- docs/api.md ---- */

static const char *type_word(gi_field_type type) {
    switch (type) {
    case GI_FIELD_TEXT:
    case GI_FIELD_NAME:
    case GI_FIELD_PICTURE:
        return "string";
    case GI_FIELD_INT:
        return "integer";
    case GI_FIELD_NUMBER:
        return "number";
    case GI_FIELD_BOOL:
        return "true or false";
    case GI_FIELD_NAMES:
        return "string or array";
    case GI_FIELD_PICTURES:
        return "array";
    case GI_FIELD_SCHEMA:
    case GI_FIELD_FORMAT:
    case GI_FIELD_STREAM_OPTIONS:
        return "object";
    case GI_FIELD_MESSAGES:
        return "array";
    case GI_FIELD_ONLY:
    case GI_FIELD_IGNORED:
        break;
    }
    return "";
}

static const char *range_words(const gi_field *f, char out[64]) {
    out[0] = '\0';
    if (f->type == GI_FIELD_TEXT || f->type == GI_FIELD_NAME)
        snprintf(out, 64, "%.0f to %.0f bytes", f->min, f->max);
    else if (f->type == GI_FIELD_NAMES)
        snprintf(out, 64, "each %.0f to %.0f bytes", f->min, f->max);
    else if (f->type == GI_FIELD_INT)
        snprintf(out, 64, "%.0f to %.0f", f->min, f->max);
    else if (f->type == GI_FIELD_NUMBER)
        snprintf(out, 64, "%g to %g", f->min, f->max);
    else if (f->type == GI_FIELD_SCHEMA || f->type == GI_FIELD_FORMAT)
        snprintf(out, 64, "up to %.0f bytes", f->max);
    else if (f->type == GI_FIELD_MESSAGES)
        snprintf(out, 64, "%.0f to %.0f entries", f->min, f->max);
    else if (f->type == GI_FIELD_PICTURES)
        snprintf(out, 64, "up to %.0f", f->max);
    return out;
}

/* The documentation has a row for each field and each error, word for word. */
static void documented(void **state) {
    char path[GI_PATH_BYTES], row[1024], range[64];
    gi_buf doc;
    gi_buf_init(&doc, 1 << 20);
    const char *root = getenv("GLINT_SOURCE_ROOT");
    assert_non_null(root);
    assert_int_equal(gi_path_join(path, sizeof path, root, "docs/api.md", NULL), GLINT_OK);
    assert_int_equal(gi_file_read(path, &doc, NULL), GLINT_OK);
    const gi_field_table *const tables[] = {&gi_infer_table, &gi_chat_table};
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < tables[t]->n; i++) {
            const gi_field *f = &tables[t]->rows[i];
            snprintf(row, sizeof row, "| `%s` | %s | %s | %s | %s |\n", f->name, type_word(f->type),
                     range_words(f, range), f->default_text, f->doc);
            if (!strstr((char *)doc.data, row)) fail_msg("docs/api.md lacks: %s", row);
        }
    for (int code = GI_API_OK + 1; code < GI_API_CODE_COUNT; code++) {
        const gi_api_error_info *e = gi_api_error_get((gi_api_code)code);
        snprintf(row, sizeof row, "| %d | `%s` | `%s` | %s |\n", e->status, e->code, e->type,
                 e->message);
        if (!strstr((char *)doc.data, row)) fail_msg("docs/api.md lacks: %s", row);
    }
    gi_buf_done(&doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(ranges),
        cmocka_unit_test(types),
        cmocka_unit_test(refused),
        cmocka_unit_test(picture_text),
        cmocka_unit_test(form_says_the_same),
        cmocka_unit_test(form_refused),
        cmocka_unit_test(documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
