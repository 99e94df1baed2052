/*
 * The grammar, with D = "--" boundary:
 *
 *     body  = *CRLF D *WSP CRLF part *(CRLF D *WSP CRLF part) CRLF D "--" [anything]
 *     part  = *(name ":" value CRLF) CRLF data
 *
 * A D that is followed by anything but white space and CRLF, or "--", is data: "--boundary-x" does
 * not end a part of boundary "boundary".
 */
#include "server/multipart.h"

#include "server/base64.h"
#include "server/header_value.h"

#include <string.h>

enum { DELIMITER_BYTES = 4 + GI_MULTIPART_BOUNDARY_BYTES };

glint_status gi_multipart_boundary(const char *content_type, size_t n,
                                   char ret[GI_MULTIPART_BOUNDARY_BYTES], glint_error *err) {
    gi_header_value v = gi_header_value_begin(content_type, n);
    const char *word;
    gi_header_param param;
    char found[GI_MULTIPART_BOUNDARY_BYTES] = "";
    gi_header_value_word(&v, &word);
    while (gi_header_value_next(&v, &param)) {
        if (!gi_token_equals(param.name, param.n_name, "boundary")) continue;
        if (found[0] || param.n_value == 0 || param.n_value >= sizeof found)
            return gi_fail(err, GLINT_ERR_FORMAT, "form: the boundary is not valid");
        for (size_t i = 0; i < param.n_value; i++) {
            const char c = param.value[i];
            if (!gi_is_token_char(c) && !strchr(" (),/:=?", c))
                return gi_fail(err, GLINT_ERR_FORMAT, "form: the boundary is not valid");
        }
        if (param.value[param.n_value - 1] == ' ')
            return gi_fail(err, GLINT_ERR_FORMAT, "form: the boundary ends in a space");
        memcpy(found, param.value, param.n_value + 1);
    }
    if (v.bad || !found[0])
        return gi_fail(err, GLINT_ERR_FORMAT, "form: the Content-Type has no boundary");
    memcpy(ret, found, sizeof found);
    return GLINT_OK;
}

/* What follows a delimiter. */
typedef enum tail { TAIL_NONE, TAIL_PART, TAIL_END } tail;

/* Look behind a delimiter at p; *ret_next is where the part begins. */
static tail tail_at(const uint8_t *p, const uint8_t *end, const uint8_t **ret_next) {
    if (end - p >= 2 && p[0] == '-' && p[1] == '-') return TAIL_END;
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    if (end - p < 2 || p[0] != '\r' || p[1] != '\n') return TAIL_NONE;
    *ret_next = p + 2;
    return TAIL_PART;
}

/* What the headers of a part said. */
typedef struct part_headers {
    bool has_disposition, has_name, has_filename, has_type, has_encoding;
    bool is_text, is_base64;
} part_headers;

static glint_status read_disposition(const char *value, size_t n, part_headers *h,
                                     gi_multipart_part *part, glint_error *err) {
    gi_header_value v = gi_header_value_begin(value, n);
    const char *word;
    const size_t n_word = gi_header_value_word(&v, &word);
    if (h->has_disposition || v.bad || !gi_token_equals(word, n_word, "form-data"))
        return gi_fail(err, GLINT_ERR_FORMAT, "form: a part's Content-Disposition is not valid");
    h->has_disposition = true;
    gi_header_param param;
    while (gi_header_value_next(&v, &param)) {
        if (gi_token_equals(param.name, param.n_name, "filename")) {
            h->has_filename = true;
        } else if (gi_token_equals(param.name, param.n_name, "name")) {
            if (h->has_name || strlen(param.value) != param.n_value)
                return gi_fail(err, GLINT_ERR_FORMAT, "form: a part's name is not valid");
            if (param.n_value >= sizeof part->name)
                return gi_fail(err, GLINT_ERR_LIMIT, "form: a part's name is too long");
            memcpy(part->name, param.value, param.n_value + 1);
            h->has_name = true;
        }
    }
    if (v.bad || !h->has_name)
        return gi_fail(err, GLINT_ERR_FORMAT, "form: a part has no valid name");
    return GLINT_OK;
}

static glint_status read_encoding(const char *value, size_t n, part_headers *h, glint_error *err) {
    gi_header_value v = gi_header_value_begin(value, n);
    const char *word;
    const size_t n_word = gi_header_value_word(&v, &word);
    if (h->has_encoding || v.bad || v.p != v.end)
        return gi_fail(err, GLINT_ERR_FORMAT, "form: a transfer encoding is not valid");
    h->has_encoding = true;
    h->is_base64 = gi_token_equals(word, n_word, "base64");
    if (h->is_base64 || gi_token_equals(word, n_word, "7bit") ||
        gi_token_equals(word, n_word, "8bit") || gi_token_equals(word, n_word, "binary"))
        return GLINT_OK;
    return gi_fail(err, GLINT_ERR_UNSUPPORTED, "form: a transfer encoding is not known");
}

/* One header line of n bytes, without its CRLF. */
static glint_status read_header(const char *line, size_t n, part_headers *h,
                                gi_multipart_part *part, glint_error *err) {
    const char *colon = memchr(line, ':', n);
    if (!colon || !gi_is_token(line, (size_t)(colon - line)))
        return gi_fail(err, GLINT_ERR_FORMAT, "form: a part's header is not valid");
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7F)
            return gi_fail(err, GLINT_ERR_FORMAT, "form: a part's header is not valid");
    const size_t n_name = (size_t)(colon - line);
    const char *value = colon + 1;
    const size_t n_value = n - n_name - 1;
    if (gi_token_equals(line, n_name, "content-disposition"))
        return read_disposition(value, n_value, h, part, err);
    if (gi_token_equals(line, n_name, "content-transfer-encoding"))
        return read_encoding(value, n_value, h, err);
    if (gi_token_equals(line, n_name, "content-type")) {
        gi_header_value v = gi_header_value_begin(value, n_value);
        const char *word;
        const size_t n_word = gi_header_value_word(&v, &word);
        if (h->has_type || v.bad)
            return gi_fail(err, GLINT_ERR_FORMAT, "form: a part's Content-Type is not valid");
        h->has_type = true;
        h->is_text = n_word > 5 && gi_token_equals(word, 5, "text/");
    }
    return GLINT_OK;
}

/* Read the header lines at *p and leave *p at the data. */
static glint_status read_headers(uint8_t **p, uint8_t *end, part_headers *h,
                                 gi_multipart_part *part, glint_error *err) {
    uint8_t *const begin = *p;
    for (;;) {
        const size_t left = (size_t)(end - *p);
        uint8_t *eol = memmem(*p, left, "\r\n", 2);
        if (!eol) return gi_fail(err, GLINT_ERR_FORMAT, "form: a part's headers do not end");
        if (eol - begin > GI_MULTIPART_HEADER_BYTES_MAX)
            return gi_fail(err, GLINT_ERR_LIMIT, "form: a part's headers are too long");
        const size_t n = (size_t)(eol - *p);
        const char *line = (const char *)*p;
        *p = eol + 2;
        if (n == 0) break;
        GI_TRY(read_header(line, n, h, part, err));
    }
    if (!h->has_disposition)
        return gi_fail(err, GLINT_ERR_FORMAT, "form: a part has no Content-Disposition");
    return GLINT_OK;
}

/* Find the delimiter that ends the part whose data begins at `data`. The CRLF before it belongs to
 * the delimiter, and may be that of the blank line behind the headers when there is no data. */
static uint8_t *find_delimiter(uint8_t *from, uint8_t *end, const char *delimiter, size_t n,
                               tail *ret_tail, const uint8_t **ret_next) {
    for (uint8_t *p = from; (p = memmem(p, (size_t)(end - p), delimiter, n)); p++) {
        *ret_tail = tail_at(p + n, end, ret_next);
        if (*ret_tail != TAIL_NONE) return p;
    }
    return NULL;
}

static glint_status finish_part(const part_headers *h, gi_multipart_part *part, glint_error *err) {
    part->is_file = h->has_filename || (h->has_type && !h->is_text);
    if (!h->is_base64) return GLINT_OK;
    const char *text = (const char *)part->data;
    size_t n;
    GI_TRY(gi_base64_decoded_bytes(text, part->n_bytes, &n, err));
    GI_TRY(gi_base64_decode(text, part->n_bytes, part->data, err));
    part->n_bytes = n;
    return GLINT_OK;
}

glint_status gi_multipart_parse(const char *boundary, uint8_t *body, size_t n_bytes,
                                gi_multipart_part *ret_parts, size_t *ret_n_parts,
                                glint_error *err) {
    char delimiter[DELIMITER_BYTES];
    const size_t n_boundary = strlen(boundary), n = 4 + n_boundary;
    if (n_boundary == 0 || n_boundary >= GI_MULTIPART_BOUNDARY_BYTES)
        return gi_fail(err, GLINT_ERR_ARG, "form: no boundary");
    memcpy(delimiter, "\r\n--", 4);
    memcpy(delimiter + 4, boundary, n_boundary);

    uint8_t *p = body, *const end = body + n_bytes;
    while (end - p >= 2 && p[0] == '\r' && p[1] == '\n') p += 2;
    const uint8_t *next = NULL;
    if ((size_t)(end - p) < n - 2 || memcmp(p, delimiter + 2, n - 2) != 0)
        return gi_fail(err, GLINT_ERR_FORMAT, "form: the body does not begin with the boundary");
    tail t = tail_at(p + n - 2, end, &next);
    if (t == TAIL_NONE)
        return gi_fail(err, GLINT_ERR_FORMAT, "form: the body does not begin with the boundary");

    size_t n_parts = 0;
    while (t == TAIL_PART) {
        if (n_parts == GI_MULTIPART_PARTS_MAX)
            return gi_fail(err, GLINT_ERR_LIMIT, "form: more than %d parts",
                           GI_MULTIPART_PARTS_MAX);
        gi_multipart_part *part = &ret_parts[n_parts];
        *part = (gi_multipart_part){0};
        part_headers h = {0};
        p = body + (next - body);
        GI_TRY(read_headers(&p, end, &h, part, err));
        uint8_t *stop = find_delimiter(p - 2, end, delimiter, n, &t, &next);
        if (!stop) return gi_fail(err, GLINT_ERR_FORMAT, "form: a part does not end");
        part->data = p;
        part->n_bytes = stop > p ? (size_t)(stop - p) : 0;
        GI_TRY(finish_part(&h, part, err));
        n_parts++;
    }
    *ret_n_parts = n_parts;
    return GLINT_OK;
}
