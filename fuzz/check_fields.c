/* The tables say what is allowed; what came out is compared with them once more. */
#include "check_fields.h"

#include <string.h>

const gi_field_limits CHECK_LIMITS = {.max_side_px = 2048, .timeout_ms = 60000};

static void check_row(const gi_field *row, const gi_infer_fields *f) {
    const void *at = (const char *)f + row->offset;
    if (row->type == GI_FIELD_INT) {
        int64_t v;
        memcpy(&v, at, sizeof v);
        const bool is_unset = v == GI_SEED_RANDOM || v == 0;
        gi_assert(is_unset ||
                  ((double)v >= row->min && (double)v <= gi_field_max(row, &CHECK_LIMITS)));
    } else if (row->type == GI_FIELD_NUMBER) {
        double v;
        memcpy(&v, at, sizeof v);
        gi_assert(v >= row->min && v <= row->max);
    } else if (row->type == GI_FIELD_TEXT) {
        gi_json_span v;
        memcpy(&v, at, sizeof v);
        gi_assert((double)v.n <= row->max);
    }
}

void check_fields(const gi_field_table *table, const gi_infer_fields *f) {
    for (size_t i = 0; i < table->n; i++) check_row(&table->rows[i], f);
    gi_assert(f->n_pictures <= GLINT_IMAGES_MAX && f->n_stops <= GLINT_STOPS_MAX);
    for (size_t i = 0; i < f->n_pictures; i++) {
        const gi_field_picture *p = &f->pictures[i];
        gi_assert((p->base64 != NULL) + (p->url != NULL) + (p->bytes != NULL) == 1);
    }
    for (size_t i = 0; i < f->n_stops; i++) gi_assert(f->stops[i] != NULL);
}

void check_refusal(const gi_api_error *error) {
    gi_buf text;
    json_t *root = NULL;
    gi_assert(error->code > GI_API_OK && error->code < GI_API_CODE_COUNT);
    gi_buf_init(&text, 65536);
    gi_assert(gi_api_error_write(error, "r", &text, NULL) == GLINT_OK);
    gi_assert(gi_json_parse(text.data, text.len, "error", &root, NULL) == GLINT_OK);
    gi_assert(json_is_string(json_object_get(json_object_get(root, "error"), "code")));
    json_decref(root);
    gi_buf_done(&text);
}
