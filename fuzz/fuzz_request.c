/*
 * Bytes as the JSON body of either route. Long strings are lifted out of a body before it is
 * parsed: that changes no verdict and no value. What is read is within the limits, or refused.
 *
 * A byte 1 stands for 1024 letters, so that a small input can have a string that is lifted.
 */
#include "check_fields.h"
#include "server/chat_turns.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { LETTERS = 1024, BODY_BYTES_MAX = 1 << 19 };

static bool expand(const uint8_t *bytes, size_t n_bytes, gi_buf *to) {
    static char letters[LETTERS];
    memset(letters, 'A', sizeof letters);
    bool ok = true;
    for (size_t i = 0; ok && i < n_bytes; i++)
        ok = (bytes[i] == 1 ? gi_buf_push(to, letters, sizeof letters, NULL)
                            : gi_buf_push(to, &bytes[i], 1, NULL)) == GLINT_OK;
    return ok && to->len > 0;
}

static void check_turns(const gi_chat_turns *turns, const gi_infer_fields *f,
                        const glint_image *images) {
    size_t n_pictures = 0;
    gi_assert(turns->n == json_array_size(f->messages));
    for (size_t i = 0; i < turns->n; i++) {
        const glint_message *m = &turns->messages[i];
        gi_assert(m->n_parts > 0);
        for (size_t j = 0; j < m->n_parts; j++) {
            const glint_part *p = &m->parts[j];
            gi_assert((p->text != NULL) != (p->image != NULL));
            if (p->image) gi_assert(p->image == &images[n_pictures++]);
        }
    }
    gi_assert(n_pictures == f->n_pictures);
}

static void read_as(const gi_field_table *table, const gi_buf *body) {
    glint_image images[GLINT_IMAGES_MAX] = {0};
    gi_json_lifted json = {0};
    gi_infer_fields f = {0};
    gi_chat_turns turns = {0};
    gi_api_error error = {0};
    json_t *plain = NULL;
    const char *text = (const char *)body->data;
    const glint_status st = gi_json_lift_parse(text, body->len, &json, NULL);
    gi_assert(st == gi_json_parse_any(text, body->len, "body", &plain, NULL));
    if (st != GLINT_OK) return;
    bool ok = gi_fields_read(table, &json, NULL, 0, &CHECK_LIMITS, &f, &error);
    if (ok && f.messages) {
        ok = gi_chat_turns_read(&json, &f, images, &turns, &error);
        if (ok) check_turns(&turns, &f, images);
    }
    if (ok)
        check_fields(table, &f);
    else
        check_refusal(&error);
    gi_assert(gi_json_lift_restore(&json, json.json) && json_equal(json.json, plain));
    gi_chat_turns_done(&turns);
    json_decref(plain);
    gi_json_lift_done(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    gi_buf body;
    gi_buf_init(&body, BODY_BYTES_MAX);
    if (expand(bytes, n_bytes, &body)) {
        read_as(&gi_infer_table, &body);
        read_as(&gi_chat_table, &body);
    }
    gi_buf_done(&body);
    return 0;
}
