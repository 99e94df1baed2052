/* Written by this process or one like it; read as if by a stranger. */
#include "server/answer_record.h"

#include "base/little_endian.h"
#include "base/utf8.h"

#include <string.h>

enum { FORMAT = 1, N_USAGE = 5, N_TEXTS = 3, HEAD_BYTES = 4 * (2 + N_USAGE + N_TEXTS) + 8 };

static void put(uint8_t **io_to, uint64_t value, size_t n) {
    gi_le_put(*io_to, value, n);
    *io_to += n;
}

static uint64_t get(const uint8_t **io_from, size_t n) {
    const uint64_t value = gi_le_get(*io_from, n);
    *io_from += n;
    return value;
}

glint_status gi_answer_record_encode(const glint_result *r, gi_buf *out, glint_error *err) {
    const glint_usage *u = &r->usage;
    const int usage[N_USAGE] = {u->prompt_tokens, u->image_tokens, u->completion_tokens,
                                u->forced_tokens, u->cached_tokens};
    const char *texts[N_TEXTS] = {r->text, r->reasoning, r->data_json};
    const size_t n_texts[N_TEXTS] = {r->n_text_bytes, r->reasoning ? strlen(r->reasoning) : 0,
                                     r->data_json ? strlen(r->data_json) : 0};
    uint8_t head[HEAD_BYTES], *to = head;
    uint64_t confidence;
    if (r->n_tokens > 0) return gi_fail(err, GLINT_ERR_UNSUPPORTED, "an answer with its tokens");
    memcpy(&confidence, &r->confidence, sizeof confidence);
    put(&to, FORMAT, 4);
    put(&to, (uint64_t)r->finish, 4);
    for (size_t i = 0; i < N_USAGE; i++) put(&to, (uint32_t)usage[i], 4);
    put(&to, confidence, 8);
    for (size_t i = 0; i < N_TEXTS; i++) {
        if (n_texts[i] >= UINT32_MAX) return gi_fail(err, GLINT_ERR_LIMIT, "an endless answer");
        put(&to, n_texts[i] + (i > 0 && texts[i]), 4);
    }
    GI_TRY(gi_buf_push(out, head, sizeof head, err));
    for (size_t i = 0; i < N_TEXTS; i++)
        if (n_texts[i] > 0) GI_TRY(gi_buf_push(out, texts[i], n_texts[i], err));
    return GLINT_OK;
}

/* n bytes of text from *io_from on; false when they are not all there, or no text. */
static bool take_text(const uint8_t **io_from, const uint8_t *end, size_t n, const char **ret) {
    const uint8_t *text = *io_from;
    if (n > (size_t)(end - text) || memchr(text, 0, n) || !gi_utf8_is_valid(text, n, NULL))
        return false;
    *io_from = text + n;
    *ret = (const char *)text;
    return true;
}

bool gi_answer_record_decode(const uint8_t *bytes, size_t n, gi_answer_record *ret) {
    const uint8_t *at = bytes, *end = bytes + n;
    gi_answer_record r = {0};
    int usage[N_USAGE];
    size_t n_texts[N_TEXTS];
    if (n < HEAD_BYTES || get(&at, 4) != FORMAT) return false;
    const uint64_t finish = get(&at, 4);
    if (finish != GLINT_FINISH_STOP && finish != GLINT_FINISH_LENGTH) return false;
    r.finish = finish == GLINT_FINISH_STOP ? GLINT_FINISH_STOP : GLINT_FINISH_LENGTH;
    for (size_t i = 0; i < N_USAGE; i++) {
        const uint64_t value = get(&at, 4);
        if (value > INT32_MAX) return false;
        usage[i] = (int)value;
    }
    r.usage = (glint_usage){usage[0], usage[1], usage[2], usage[3], usage[4]};
    const uint64_t confidence = get(&at, 8);
    memcpy(&r.confidence, &confidence, sizeof confidence);
    if (!(r.confidence >= 0 && r.confidence <= 1)) return false;
    for (size_t i = 0; i < N_TEXTS; i++) n_texts[i] = (size_t)get(&at, 4);
    r.n_text = n_texts[0];
    r.n_reasoning = n_texts[1] > 0 ? n_texts[1] - 1 : 0;
    r.n_data_json = n_texts[2] > 0 ? n_texts[2] - 1 : 0;
    if (!take_text(&at, end, r.n_text, &r.text)) return false;
    if (n_texts[1] > 0 && !take_text(&at, end, r.n_reasoning, &r.reasoning)) return false;
    if (n_texts[2] > 0 && !take_text(&at, end, r.n_data_json, &r.data_json)) return false;
    if (at != end) return false;
    *ret = r;
    return true;
}
