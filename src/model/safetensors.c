/*
 * Reads a safetensors header. This file owns the one place where shape, dtype and offsets turn
 * into a byte range, and refuses every header whose ranges do not tile the file exactly: after
 * that no later code can be led outside the mapping.
 *
 * The JSON of a header is a small fixed grammar, so it is read by a cursor over the mapping. A
 * general parser would build a document many times the header's size, which the header's author
 * chooses; here memory grows with accepted tensors only, and those are capped.
 */
#include "model/safetensors.h"

#include "base/alloc.h"
#include "base/ascii.h"
#include "base/checked.h"
#include "base/little_endian.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_BYTES = 8,
    KEY_BYTES_MAX = 32, /* longer than "data_offsets" and every dtype */
    NAME_ARENA_BYTES = GI_ST_TENSORS_MAX * (GI_ST_NAME_BYTES_MAX + 32),
    QUOTE_BYTES = 100, /* of a name in a message */
};

static const struct {
    const char *name;
    uint32_t bytes;
} DTYPES[] = {
    {"BF16", 2}, {"F16", 2}, {"F32", 4},     {"F64", 8},     {"I8", 1},      {"U8", 1},
    {"I16", 2},  {"U16", 2}, {"I32", 4},     {"U32", 4},     {"I64", 8},     {"U64", 8},
    {"BOOL", 1}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
};

/* A position in the header, and what messages need. */
typedef struct cursor {
    const char *p, *end;
    const char *begin;
    const char *what;
    glint_error *err;
} cursor;

/* What one tensor's object says. */
typedef struct entry {
    bool has_dtype, has_shape, has_offsets;
    size_t dtype; /* index into DTYPES */
    size_t n_dims;
    uint64_t shape[GI_ST_DIMS_MAX];
    uint64_t begin, end;
} entry;

/* A name cut for a message, on a character boundary. */
typedef struct quoted {
    char text[QUOTE_BYTES + 4];
} quoted;

static quoted quote(const char *name) {
    quoted q;
    const size_t n = strlen(name);
    const size_t keep =
        n <= QUOTE_BYTES ? n : gi_utf8_complete_prefix((const uint8_t *)name, QUOTE_BYTES);
    memcpy(q.text, name, keep);
    memcpy(q.text + keep, keep < n ? "..." : "", keep < n ? 4 : 1);
    return q;
}

/* ---- JSON, as far as a header uses it ---- */

static glint_status syntax(const cursor *c, const char *expected) {
    return gi_fail(c->err, GLINT_ERR_FORMAT, "%s: header byte %zu: expected %s", c->what,
                   (size_t)(c->p - c->begin), expected);
}

static void skip_space(cursor *c) {
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t'))
        c->p++;
}

/* Take the next non-space character if it is `ch`. */
static bool take(cursor *c, char ch) {
    skip_space(c);
    if (c->p == c->end || *c->p != ch) return false;
    c->p++;
    return true;
}

static glint_status need(cursor *c, char ch, const char *expected) {
    return take(c, ch) ? GLINT_OK : syntax(c, expected);
}

/* After a member: true in *ret_more if another one follows, false if `close` ended the list. */
static glint_status next_member(cursor *c, char close, bool *ret_more) {
    *ret_more = take(c, ',');
    if (*ret_more || take(c, close)) return GLINT_OK;
    return syntax(c, close == '}' ? "',' or '}'" : "',' or ']'");
}

static bool take_hex4(cursor *c, uint32_t *ret) {
    if (c->end - c->p < 4) return false;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        const int d = gi_ascii_hex_value(c->p[i]);
        if (d < 0) return false;
        v = v << 4 | (uint32_t)d;
    }
    c->p += 4;
    *ret = v;
    return true;
}

/* After a backslash: the character it stands for, as UTF-8. Returns its length, 0 = not valid. */
static int take_escape(cursor *c, uint8_t out[4]) {
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (c->p == c->end) return 0;
    const char ch = *c->p++;
    if (ch != 'u') {
        const char *at = ch ? strchr(FROM, ch) : NULL;
        if (!at) return 0;
        out[0] = (uint8_t)TO[at - FROM];
        return 1;
    }
    uint32_t cp, low;
    if (!take_hex4(c, &cp)) return 0;
    if (cp >= 0xDC00 && cp <= 0xDFFF) return 0;
    if (cp >= 0xD800 && cp <= 0xDBFF) {
        if (c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u') return 0;
        c->p += 2;
        if (!take_hex4(c, &low) || low < 0xDC00 || low > 0xDFFF) return 0;
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    return gi_utf8_encode(cp, out);
}

/*
 * A string, decoded into out[cap] and zero-terminated; out NULL = checked and dropped. A zero
 * byte inside or a decoded length of cap or more is refused.
 */
static glint_status take_string(cursor *c, char *out, size_t cap) {
    GI_TRY(need(c, '"', "a string"));
    size_t n = 0;
    while (c->p < c->end && *c->p != '"') {
        const unsigned char ch = (unsigned char)*c->p;
        uint8_t bytes[4] = {ch};
        int len = 1;
        if (ch < 0x20) return syntax(c, "no control character in a string");
        c->p++;
        if (ch == '\\' && (len = take_escape(c, bytes)) == 0)
            return syntax(c, "a valid escape sequence");
        if (!out) continue;
        if (bytes[0] == 0) return syntax(c, "a string without zero bytes");
        if (n + (size_t)len >= cap)
            return gi_fail(c->err, GLINT_ERR_LIMIT,
                           "%s: header byte %zu: string longer than %zu bytes", c->what,
                           (size_t)(c->p - c->begin), cap - 1);
        memcpy(out + n, bytes, (size_t)len);
        n += (size_t)len;
    }
    if (out) out[n] = '\0';
    return need(c, '"', "the end of a string");
}

/* A whole number of at most 64 bits: no sign, fraction, exponent or leading zero. */
static glint_status take_u64(cursor *c, uint64_t *ret) {
    skip_space(c);
    const char *start = c->p;
    uint64_t v = 0;
    while (c->p < c->end && gi_ascii_is_digit(*c->p)) {
        if (!gi_mul_u64(v, 10, &v) || !gi_add_u64(v, (uint64_t)(*c->p - '0'), &v))
            return syntax(c, "a number below 2^64");
        c->p++;
    }
    if (c->p == start || (*start == '0' && c->p - start > 1))
        return syntax(c, "a whole number, 0 or more");
    *ret = v;
    return GLINT_OK;
}

/* [n, n, ...] of at most `cap` numbers. */
static glint_status take_numbers(cursor *c, uint64_t *out, size_t cap, size_t *ret_n) {
    GI_TRY(need(c, '[', "'['"));
    size_t n = 0;
    bool more = !take(c, ']');
    while (more) {
        if (n == cap)
            return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: header byte %zu: more than %zu numbers",
                           c->what, (size_t)(c->p - c->begin), cap);
        GI_TRY(take_u64(c, &out[n++]));
        GI_TRY(next_member(c, ']', &more));
    }
    *ret_n = n;
    return GLINT_OK;
}

/* ---- the header ---- */

static glint_status take_metadata(cursor *c) {
    GI_TRY(need(c, '{', "'{' after \"__metadata__\""));
    bool more = !take(c, '}');
    while (more) {
        GI_TRY(take_string(c, NULL, 0));
        GI_TRY(need(c, ':', "':'"));
        GI_TRY(take_string(c, NULL, 0));
        GI_TRY(next_member(c, '}', &more));
    }
    return GLINT_OK;
}

static glint_status take_dtype(cursor *c, entry *e) {
    char name[KEY_BYTES_MAX];
    GI_TRY(take_string(c, name, sizeof name));
    for (size_t i = 0; i < sizeof DTYPES / sizeof DTYPES[0]; i++) {
        if (strcmp(name, DTYPES[i].name) != 0) continue;
        e->dtype = i;
        return GLINT_OK;
    }
    return gi_fail(c->err, GLINT_ERR_UNSUPPORTED, "%s: header byte %zu: unknown dtype \"%s\"",
                   c->what, (size_t)(c->p - c->begin), name);
}

/* One member of a tensor's object. */
static glint_status take_field(cursor *c, entry *e) {
    char key[KEY_BYTES_MAX];
    GI_TRY(take_string(c, key, sizeof key));
    GI_TRY(need(c, ':', "':'"));
    bool *seen;
    if (strcmp(key, "dtype") == 0) {
        seen = &e->has_dtype;
        GI_TRY(take_dtype(c, e));
    } else if (strcmp(key, "shape") == 0) {
        seen = &e->has_shape;
        GI_TRY(take_numbers(c, e->shape, GI_ST_DIMS_MAX, &e->n_dims));
    } else if (strcmp(key, "data_offsets") == 0) {
        seen = &e->has_offsets;
        uint64_t offsets[2];
        size_t n = 0;
        GI_TRY(take_numbers(c, offsets, 2, &n));
        if (n != 2) return syntax(c, "two numbers in \"data_offsets\"");
        e->begin = offsets[0];
        e->end = offsets[1];
    } else {
        return syntax(c, "\"dtype\", \"shape\" or \"data_offsets\"");
    }
    if (*seen) return syntax(c, "each key once");
    *seen = true;
    return GLINT_OK;
}

static glint_status take_entry(cursor *c, entry *ret) {
    GI_TRY(need(c, '{', "'{' after a tensor's name"));
    entry e = {0};
    bool more = !take(c, '}');
    while (more) {
        GI_TRY(take_field(c, &e));
        GI_TRY(next_member(c, '}', &more));
    }
    if (!e.has_dtype || !e.has_shape || !e.has_offsets)
        return syntax(c, "\"dtype\", \"shape\" and \"data_offsets\" in each tensor");
    *ret = e;
    return GLINT_OK;
}

/* Bytes that shape and dtype call for; false when the product does not fit 64 bits. */
static bool tensor_bytes(const entry *e, uint64_t *ret) {
    /* A zero anywhere must not hide an overflow elsewhere, so zeros are set aside. */
    uint64_t n = DTYPES[e->dtype].bytes;
    bool is_empty = false;
    for (size_t i = 0; i < e->n_dims; i++) {
        if (e->shape[i] == 0)
            is_empty = true;
        else if (!gi_mul_u64(n, e->shape[i], &n))
            return false;
    }
    *ret = is_empty ? 0 : n;
    return true;
}

static glint_status check_range(const cursor *c, const char *name, const entry *e,
                                uint64_t data_bytes, uint64_t *ret_n_bytes) {
    uint64_t want;
    if (!tensor_bytes(e, &want))
        return gi_fail(c->err, GLINT_ERR_FORMAT, "%s: tensor \"%s\": shape is too large", c->what,
                       quote(name).text);
    if (e->begin > e->end || e->end > data_bytes)
        return gi_fail(c->err, GLINT_ERR_FORMAT,
                       "%s: tensor \"%s\": bytes %llu to %llu, but the file holds 0 to %llu",
                       c->what, quote(name).text, (unsigned long long)e->begin,
                       (unsigned long long)e->end, (unsigned long long)data_bytes);
    if (e->end - e->begin != want)
        return gi_fail(c->err, GLINT_ERR_FORMAT,
                       "%s: tensor \"%s\": %llu bytes, but shape and dtype need %llu", c->what,
                       quote(name).text, (unsigned long long)(e->end - e->begin),
                       (unsigned long long)want);
    *ret_n_bytes = want;
    return GLINT_OK;
}

static glint_status push_tensor(const cursor *c, gi_safetensors *st, size_t *cap, const char *name,
                                const entry *e, const uint8_t *data, uint64_t n_bytes) {
    if (st->n_tensors == GI_ST_TENSORS_MAX)
        return gi_fail(c->err, GLINT_ERR_LIMIT, "%s: more than %d tensors", c->what,
                       GI_ST_TENSORS_MAX);
    if (st->n_tensors == *cap) {
        const size_t more = *cap ? *cap * 2 : 64;
        gi_st_tensor *grown = gi_realloc_array(st->tensors, more, sizeof *grown);
        if (!grown) return gi_fail(c->err, GLINT_ERR_MEMORY, "%s: no memory", c->what);
        st->tensors = grown;
        *cap = more;
    }
    char *copy = gi_arena_strndup(&st->arena, name, strlen(name));
    if (!copy) return gi_fail(c->err, GLINT_ERR_MEMORY, "%s: no memory", c->what);
    gi_st_tensor *t = &st->tensors[st->n_tensors++];
    *t = (gi_st_tensor){.name = copy,
                        .dtype = DTYPES[e->dtype].name,
                        .data = data + e->begin,
                        .n_bytes = n_bytes,
                        .n_dims = e->n_dims};
    memcpy(t->shape, e->shape, e->n_dims * sizeof t->shape[0]);
    return GLINT_OK;
}

static glint_status take_header(cursor *c, gi_safetensors *st, const uint8_t *data,
                                uint64_t data_bytes) {
    char name[GI_ST_NAME_BYTES_MAX + 1];
    size_t cap = 0;
    bool has_metadata = false;
    GI_TRY(need(c, '{', "'{'"));
    bool more = !take(c, '}');
    while (more) {
        GI_TRY(take_string(c, name, sizeof name));
        GI_TRY(need(c, ':', "':'"));
        if (strcmp(name, "__metadata__") == 0) {
            if (has_metadata) return syntax(c, "\"__metadata__\" once");
            has_metadata = true;
            GI_TRY(take_metadata(c));
        } else {
            entry e;
            uint64_t n_bytes = 0;
            GI_TRY(take_entry(c, &e));
            GI_TRY(check_range(c, name, &e, data_bytes, &n_bytes));
            GI_TRY(push_tensor(c, st, &cap, name, &e, data, n_bytes));
        }
        GI_TRY(next_member(c, '}', &more));
    }
    skip_space(c);
    return c->p == c->end ? GLINT_OK : syntax(c, "nothing after the header's object");
}

/* ---- the whole file ---- */

static int by_range(const void *a, const void *b) {
    const gi_st_tensor *x = a, *y = b;
    if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const gi_st_tensor *)a)->name, ((const gi_st_tensor *)b)->name);
}

/* Tensors must tile the data without hole, overlap or rest; then sort them by name. */
static glint_status check_tiling(const cursor *c, gi_safetensors *st, const uint8_t *data,
                                 uint64_t data_bytes) {
    if (st->n_tensors) qsort(st->tensors, st->n_tensors, sizeof st->tensors[0], by_range);
    const uint8_t *at = data;
    for (size_t i = 0; i < st->n_tensors; i++) {
        const gi_st_tensor *t = &st->tensors[i];
        if ((const uint8_t *)t->data != at)
            return gi_fail(c->err, GLINT_ERR_FORMAT,
                           "%s: tensor \"%s\": begins at byte %zu of the data, expected %zu",
                           c->what, quote(t->name).text, (size_t)((const uint8_t *)t->data - data),
                           (size_t)(at - data));
        at += t->n_bytes;
    }
    if ((uint64_t)(at - data) != data_bytes)
        return gi_fail(c->err, GLINT_ERR_FORMAT,
                       "%s: the tensors end at byte %zu of the data, the file at %llu", c->what,
                       (size_t)(at - data), (unsigned long long)data_bytes);
    if (st->n_tensors) qsort(st->tensors, st->n_tensors, sizeof st->tensors[0], by_name);
    for (size_t i = 1; i < st->n_tensors; i++)
        if (strcmp(st->tensors[i - 1].name, st->tensors[i].name) == 0)
            return gi_fail(c->err, GLINT_ERR_FORMAT, "%s: tensor \"%s\" appears twice", c->what,
                           quote(st->tensors[i].name).text);
    return GLINT_OK;
}

static glint_status parse(gi_safetensors *st, const uint8_t *bytes, size_t n_bytes,
                          const char *what, glint_error *err) {
    if (n_bytes < LENGTH_BYTES)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: %zu bytes, too short for a safetensors file",
                       what, n_bytes);
    const uint64_t header_bytes = gi_le_get(bytes, LENGTH_BYTES);
    if (header_bytes > GI_ST_HEADER_BYTES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT,
                       "%s: header of %llu bytes, more than %d: not a safetensors file?", what,
                       (unsigned long long)header_bytes, GI_ST_HEADER_BYTES_MAX);
    if (header_bytes > n_bytes - LENGTH_BYTES)
        return gi_fail(err, GLINT_ERR_FORMAT,
                       "%s: header of %llu bytes, but the file ends after %zu: cut short?", what,
                       (unsigned long long)header_bytes, n_bytes - LENGTH_BYTES);
    const uint8_t *header = bytes + LENGTH_BYTES, *data = header + header_bytes;
    size_t bad;
    if (!gi_utf8_is_valid(header, header_bytes, &bad))
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: header byte %zu is not UTF-8", what, bad);
    if (header_bytes == 0 || header[0] != '{')
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: the header does not begin with '{'", what);
    cursor c = {.p = (const char *)header,
                .begin = (const char *)header,
                .end = (const char *)data,
                .what = what,
                .err = err};
    const uint64_t data_bytes = n_bytes - LENGTH_BYTES - header_bytes;
    GI_TRY(take_header(&c, st, data, data_bytes));
    return check_tiling(&c, st, data, data_bytes);
}

glint_status gi_safetensors_parse(const void *bytes, size_t n_bytes, const char *what,
                                  gi_safetensors *ret, glint_error *err) {
    gi_safetensors st = {0};
    gi_arena_init(&st.arena, NAME_ARENA_BYTES);
    const glint_status status = parse(&st, bytes, n_bytes, what, err);
    if (status != GLINT_OK) {
        gi_safetensors_close(&st);
        return status;
    }
    *ret = st;
    return GLINT_OK;
}

glint_status gi_safetensors_open(const char *path, gi_safetensors *ret, glint_error *err) {
    gi_filemap map;
    GI_TRY(gi_filemap_open(path, &map, err));
    const glint_status status = gi_safetensors_parse(map.data, map.size_bytes, path, ret, err);
    if (status != GLINT_OK) {
        gi_filemap_close(&map);
        return status;
    }
    ret->map = map;
    return GLINT_OK;
}

const gi_st_tensor *gi_safetensors_find(const gi_safetensors *st, const char *name) {
    if (!st->n_tensors) return NULL;
    const gi_st_tensor key = {.name = name};
    return bsearch(&key, st->tensors, st->n_tensors, sizeof key, by_name);
}

void gi_safetensors_close(gi_safetensors *st) {
    if (!st) return;
    gi_free(st->tensors);
    gi_arena_done(&st->arena);
    gi_filemap_close(&st->map);
    *st = (gi_safetensors){0};
}
