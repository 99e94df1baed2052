/*
 * The first line as a Content-Type, what follows as the body of its form. The parts lie in the body
 * one behind the other, and written as a form again are read as the same; what they ask for is
 * within the limits, or refused.
 */
#include "base/alloc.h"
#include "check_fields.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

typedef struct form {
    gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
    size_t n;
} form;

static void check_places(const form *f, const uint8_t *body, size_t n_bytes) {
    const uint8_t *behind = body, *const end = body + n_bytes;
    gi_assert(f->n <= GI_MULTIPART_PARTS_MAX);
    for (size_t i = 0; i < f->n; i++) {
        const gi_multipart_part *p = &f->parts[i];
        gi_assert(p->data >= behind && p->data <= end && p->n_bytes <= (size_t)(end - p->data));
        gi_assert(memchr(p->name, '\0', sizeof p->name) != NULL);
        behind = p->data + p->n_bytes;
    }
}

static bool put_part(gi_buf *b, const char *boundary, const gi_multipart_part *p) {
    bool ok = gi_buf_printf(b, NULL, "--%s\r\nContent-Disposition: form-data; name=\"", boundary) ==
              GLINT_OK;
    for (const char *c = p->name; *c; c++)
        ok &= gi_buf_printf(b, NULL, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c) == GLINT_OK;
    ok &= gi_buf_printf(b, NULL, "\"%s\r\n\r\n", p->is_file ? "; filename=x" : "") == GLINT_OK;
    return ok && gi_buf_push(b, p->data, p->n_bytes, NULL) == GLINT_OK &&
           gi_buf_puts(b, "\r\n", NULL) == GLINT_OK;
}

/* Parts that were decoded may hold the boundary; these cannot be written with it. */
static bool is_writable(const form *f, const char *boundary) {
    for (size_t i = 0; i < f->n; i++)
        if (memmem(f->parts[i].data, f->parts[i].n_bytes, boundary, strlen(boundary))) return false;
    return f->n > 0;
}

static void check_again(const form *f, const char *boundary) {
    static form again;
    gi_buf b;
    if (!is_writable(f, boundary)) return;
    gi_buf_init(&b, 1 << 20);
    bool ok = true;
    for (size_t i = 0; i < f->n; i++) ok &= put_part(&b, boundary, &f->parts[i]);
    gi_assert(ok && gi_buf_printf(&b, NULL, "--%s--", boundary) == GLINT_OK);
    gi_assert(gi_multipart_parse(boundary, b.data, b.len, again.parts, &again.n, NULL) == GLINT_OK);
    gi_assert(again.n == f->n);
    for (size_t i = 0; i < f->n; i++) {
        const gi_multipart_part *p = &f->parts[i], *q = &again.parts[i];
        gi_assert(strcmp(p->name, q->name) == 0 && p->is_file == q->is_file);
        gi_assert(p->n_bytes == q->n_bytes && memcmp(p->data, q->data, p->n_bytes) == 0);
    }
    gi_buf_done(&b);
}

static void check_request(const form *f) {
    gi_field_picture files[GLINT_IMAGES_MAX];
    gi_json_lifted body = {0};
    gi_infer_fields fields = {0};
    gi_api_error error = {0};
    size_t n_files = 0;
    if (gi_fields_from_form(&gi_infer_table, f->parts, f->n, &body.json, files, &n_files, &error) &&
        gi_fields_read(&gi_infer_table, &body, files, n_files, &CHECK_LIMITS, &fields, &error))
        check_fields(&gi_infer_table, &fields);
    else
        check_refusal(&error);
    gi_json_lift_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static form f;
    char boundary[GI_MULTIPART_BOUNDARY_BYTES] = "";
    const uint8_t *cut = n_bytes ? memchr(bytes, '\n', n_bytes) : NULL;
    const size_t n_type = cut ? (size_t)(cut - bytes) : n_bytes;
    const size_t n_body = cut ? n_bytes - n_type - 1 : 0;
    if (gi_multipart_boundary((const char *)bytes, n_type, boundary, NULL) != GLINT_OK) return 0;
    gi_assert(boundary[0] && strlen(boundary) < sizeof boundary);
    uint8_t *body = gi_alloc(n_body);
    if (!body) return 0;
    if (n_body > 0) memcpy(body, cut + 1, n_body);
    glint_error err = {0};
    const glint_status st = gi_multipart_parse(boundary, body, n_body, f.parts, &f.n, &err);
    if (st == GLINT_OK) {
        check_places(&f, body, n_body);
        check_again(&f, boundary);
        check_request(&f);
    } else {
        gi_assert(err.code == st && err.message[0]);
    }
    gi_free(body);
    return 0;
}
