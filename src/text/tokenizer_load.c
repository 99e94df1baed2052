/*
 * Reads tokenizer.json, the file of the Hugging Face tokenizers library. Its two large parts
 * (model.vocab, model.merges) are walked in place; the small ones are parsed.
 *
 * Everything that could change ids is either understood or refused by name: other models than
 * BPE, normalizers, dropout, subword prefixes and suffixes, byte fallback, unknown keys.
 * "truncation" and "padding" are settings of whoever saved the file, and post-processors put
 * special tokens around whole prompts, which is the chat template's work here: none of them
 * touches the ids of text.
 */
#include "text/tokenizer.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "base/utf8.h"
#include "text/jsonscan.h"
#include "text/tokenizer_parts.h"

#include <string.h>

/* Longest token as text: a byte is at most two bytes in the byte alphabet, or four literally. */
#define TOKEN_TEXT_MAX (4 * GI_TOKEN_BYTES_MAX)

/* The byte alphabet: printable Latin-1 stands for itself, the other 68 bytes for U+0100.. in
 * order (GPT-2's bytes_to_unicode). */
#define ALPHABET_END (256 + 68)

typedef struct span {
    const uint8_t *data; /* NULL: absent */
    size_t n;
} span;

typedef struct loader {
    gi_tokenizer *t;
    int16_t byte_of[ALPHABET_END];     /* code point -> byte, -1 */
    uint8_t text[TOKEN_TEXT_MAX];      /* the string being read; a merge's two, end to end */
    uint8_t bytes[2 * TOKEN_TEXT_MAX]; /* the same as bytes; a merge's two parts end to end */
    span vocab, merges;
    glint_error *err;
} loader;

static void alphabet_init(loader *l) {
    memset(l->byte_of, 0xFF, sizeof l->byte_of);
    int next = 256;
    for (int b = 0; b < 256; b++) {
        const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        l->byte_of[printable ? b : next++] = (int16_t)b;
    }
}

/*
 * Token text to bytes. Text with a character outside the byte alphabet stands for itself, as it
 * does for Hugging Face's decoder; *ret_literal is then set. FORMAT when it is not UTF-8.
 */
static glint_status to_bytes(loader *l, const uint8_t *text, size_t n, uint8_t *out, size_t *ret_n,
                             bool *ret_literal) {
    size_t n_out = 0;
    bool literal = false;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        const int len = gi_utf8_decode(text + i, n - i, &cp);
        if (len <= 0) return gi_fail(l->err, GLINT_ERR_FORMAT, "token is not UTF-8");
        if (cp >= ALPHABET_END || l->byte_of[cp] < 0)
            literal = true;
        else
            out[n_out++] = (uint8_t)l->byte_of[cp];
        i += (size_t)len;
    }
    if (literal) {
        memcpy(out, text, n);
        n_out = n;
    }
    *ret_n = n_out;
    *ret_literal = literal;
    return GLINT_OK;
}

static glint_status load_vocab(loader *l) {
    gi_vocab *v = &l->t->vocab;
    gi_jsonscan s;
    gi_jsonscan_init(&s, l->vocab.data, l->vocab.n, "model.vocab");
    GI_TRY(gi_jsonscan_open(&s, '{', l->err));
    for (size_t i = 0;; i++) {
        bool more = false, literal = false;
        size_t n_text = 0, n = 0;
        uint32_t id = 0;
        GI_TRY(gi_jsonscan_next(&s, '}', i, &more, l->err));
        if (!more) return GLINT_OK;
        GI_TRY(gi_jsonscan_key(&s, l->text, TOKEN_TEXT_MAX, &n_text, l->err));
        GI_TRY(gi_jsonscan_int(&s, GI_VOCAB_MAX - 1, &id, l->err));
        GI_TRY(to_bytes(l, l->text, n_text, l->bytes, &n, &literal));
        if (n == 0) return gi_fail(l->err, GLINT_ERR_FORMAT, "token %u is empty", id);
        if (id < v->count && v->entries[id].kind != GI_TOKEN_HOLE)
            return gi_fail(l->err, GLINT_ERR_FORMAT, "two tokens have id %u", id);
        GI_TRY(
            gi_vocab_put(v, id, l->bytes, n, literal ? GI_TOKEN_LITERAL : GI_TOKEN_TEXT, l->err));
    }
}

/* Read one added token. An id that the vocabulary has too must have the same text there. */
static glint_status load_added_token(loader *l, const json_t *obj) {
    gi_tokenizer *t = l->t;
    int64_t id = 0;
    const char *content = NULL;
    bool special = false, literal = false;
    size_t n = 0;
    GI_TRY(gi_json_get_int(obj, "added_tokens", "id", true, 0, GI_VOCAB_MAX - 1, &id, l->err));
    GI_TRY(gi_json_get_string(obj, "added_tokens", "content", true, &content, l->err));
    GI_TRY(gi_json_get_bool(obj, "added_tokens", "special", false, &special, l->err));
    const size_t n_content = strlen(content);
    if (n_content == 0 || n_content > GI_TOKEN_BYTES_MAX)
        return gi_fail(l->err, GLINT_ERR_FORMAT, "added token %d is empty or too long", (int)id);
    if (gi_tokenizer_special(t, content) >= 0)
        return gi_fail(l->err, GLINT_ERR_FORMAT, "added token \"%s\" comes twice", content);
    GI_TRY(to_bytes(l, (const uint8_t *)content, n_content, l->bytes, &n, &literal));
    if ((uint32_t)id < t->vocab.count && t->vocab.entries[id].kind != GI_TOKEN_HOLE) {
        const gi_vocab_entry *e = &t->vocab.entries[id];
        if (e->n_bytes != n || memcmp(t->vocab.blob + e->offset, l->bytes, n) != 0)
            return gi_fail(l->err, GLINT_ERR_FORMAT, "id %d of added token \"%s\" is taken",
                           (int)id, content);
    }
    GI_TRY(gi_vocab_put(&t->vocab, (uint32_t)id, (const uint8_t *)content, n_content,
                        special ? GI_TOKEN_SPECIAL : GI_TOKEN_ADDED, l->err));
    t->added[t->n_added++] = (uint32_t)id;
    return GLINT_OK;
}

static glint_status load_added(loader *l, const json_t *list) {
    if (list && !json_is_array(list))
        return gi_fail(l->err, GLINT_ERR_FORMAT, "added_tokens is not an array");
    const size_t n = json_array_size(list);
    if (n > GI_ADDED_TOKENS_MAX)
        return gi_fail(l->err, GLINT_ERR_LIMIT, "more than %d added tokens", GI_ADDED_TOKENS_MAX);
    l->t->added = gi_calloc(n ? n : 1, sizeof *l->t->added);
    if (!l->t->added) return gi_fail(l->err, GLINT_ERR_MEMORY, "no memory for added tokens");
    for (size_t i = 0; i < n; i++) GI_TRY(load_added_token(l, json_array_get(list, i)));
    return GLINT_OK;
}

/* No added token may be an ordinary token under another id: text could become it. */
static glint_status check_added(loader *l) {
    for (size_t i = 0; i < l->t->n_added; i++) {
        size_t n_content = 0, n = 0;
        bool literal = false;
        const int32_t id = (int32_t)l->t->added[i];
        const uint8_t *content = gi_tokenizer_bytes(l->t, id, &n_content);
        GI_TRY(to_bytes(l, content, n_content, l->bytes, &n, &literal));
        const int32_t other = literal ? -1 : gi_vocab_find(&l->t->vocab, l->bytes, n);
        if (other >= 0)
            return gi_fail(l->err, GLINT_ERR_FORMAT, "token %d is the added token %d", other, id);
    }
    return GLINT_OK;
}

/* The texts of a merge's two parts, in l->text: ["a","b"] or "a b". Empty when malformed. */
static glint_status read_pair(loader *l, gi_jsonscan *s, span *left, span *right) {
    size_t n = 0, n_left = 0;
    *left = *right = (span){l->text, 0};
    if (gi_jsonscan_peek(s) != '[') {
        GI_TRY(gi_jsonscan_string(s, l->text, TOKEN_TEXT_MAX, &n, l->err));
        const uint8_t *space = memchr(l->text, ' ', n);
        if (!space) return GLINT_OK;
        n_left = (size_t)(space - l->text);
        *left = (span){l->text, n_left};
        *right = (span){space + 1, n - n_left - 1};
        return GLINT_OK;
    }
    bool more = false;
    GI_TRY(gi_jsonscan_open(s, '[', l->err));
    GI_TRY(gi_jsonscan_string(s, l->text, TOKEN_TEXT_MAX, &n_left, l->err));
    GI_TRY(gi_jsonscan_next(s, ']', 1, &more, l->err));
    if (!more) return GLINT_OK;
    GI_TRY(gi_jsonscan_string(s, l->text + n_left, TOKEN_TEXT_MAX - n_left, &n, l->err));
    GI_TRY(gi_jsonscan_next(s, ']', 2, &more, l->err));
    if (more) return GLINT_OK;
    *left = (span){l->text, n_left};
    *right = (span){l->text + n_left, n};
    return GLINT_OK;
}

/* The ids that a merge joins and makes. */
static glint_status read_merge(loader *l, gi_jsonscan *s, size_t i, gi_merge *ret) {
    const gi_vocab *v = &l->t->vocab;
    bool left_literal = false, right_literal = false;
    size_t n_left = 0, n_right = 0;
    span left, right;
    GI_TRY(read_pair(l, s, &left, &right));
    GI_TRY(to_bytes(l, left.data, left.n, l->bytes, &n_left, &left_literal));
    GI_TRY(to_bytes(l, right.data, right.n, l->bytes + n_left, &n_right, &right_literal));
    if (left_literal || right_literal || n_left == 0 || n_right == 0)
        return gi_fail(l->err, GLINT_ERR_FORMAT, "merge %zu: not a pair of tokens", i);
    const gi_merge m = {gi_vocab_find(v, l->bytes, n_left),
                        gi_vocab_find(v, l->bytes + n_left, n_right),
                        gi_vocab_find(v, l->bytes, n_left + n_right)};
    if (m.left < 0 || m.right < 0 || m.whole < 0)
        return gi_fail(l->err, GLINT_ERR_FORMAT,
                       "merge %zu: its parts or its result are not ordinary tokens", i);
    *ret = m;
    return GLINT_OK;
}

static glint_status load_merge_list(loader *l, gi_merge **list, size_t *ret_n) {
    size_t cap = 0;
    gi_jsonscan s;
    gi_jsonscan_init(&s, l->merges.data, l->merges.n, "model.merges");
    GI_TRY(gi_jsonscan_open(&s, '[', l->err));
    for (size_t i = 0;; i++) {
        bool more = false;
        GI_TRY(gi_jsonscan_next(&s, ']', i, &more, l->err));
        if (!more) return GLINT_OK;
        if (i == cap) {
            cap = cap ? 2 * cap : 4096;
            gi_merge *p = i < GI_MERGES_MAX ? gi_realloc_array(*list, cap, sizeof *p) : NULL;
            if (!p)
                return gi_fail(l->err, i < GI_MERGES_MAX ? GLINT_ERR_MEMORY : GLINT_ERR_LIMIT,
                               "no room for %zu merges", cap);
            *list = p;
        }
        GI_TRY(read_merge(l, &s, i, &(*list)[i]));
        *ret_n = i + 1;
    }
}

static glint_status load_merges(loader *l) {
    gi_merge *list = NULL;
    size_t n = 0;
    glint_status st = load_merge_list(l, &list, &n);
    if (st == GLINT_OK) st = gi_merges_build(&l->t->merges, list, n, l->err);
    gi_free(list);
    return st;
}

static bool span_is(span s, const char *text) {
    return s.n == strlen(text) && memcmp(s.data, text, s.n) == 0;
}

/*
 * The small settings of "model": the spellings that are understood, and, where one of them means
 * "on", what it switches on.
 */
static glint_status model_setting(loader *l, const char *key, span value) {
    static const struct {
        const char *key;
        const char *values[4];
    } known[] = {
        {"type", {"\"BPE\""}},
        {"dropout", {"null", "0", "0.0"}},
        {"continuing_subword_prefix", {"null", "\"\""}},
        {"end_of_word_suffix", {"null", "\"\""}},
        {"byte_fallback", {"false", "null"}},
        {"fuse_unk", {"false", "true", "null"}}, /* every byte is a token: nothing is unknown */
        {"ignore_merges", {"false", "true", "null"}},
    };
    if (strcmp(key, "unk_token") == 0) return GLINT_OK; /* likewise */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(key, known[i].key) != 0) continue;
        for (size_t j = 0; j < 4 && known[i].values[j]; j++) {
            if (!span_is(value, known[i].values[j])) continue;
            if (strcmp(key, "ignore_merges") == 0) l->t->ignore_merges = span_is(value, "true");
            return GLINT_OK;
        }
        return gi_fail(l->err, GLINT_ERR_UNSUPPORTED, "model.%s is %.*s", key,
                       (int)(value.n < 40 ? value.n : 40), (const char *)value.data);
    }
    return gi_fail(l->err, GLINT_ERR_UNSUPPORTED, "model.%s is not understood", key);
}

/* The next `"key": value` of an object as a zero-terminated key and a span; false at its end. */
static glint_status next_member(loader *l, gi_jsonscan *s, size_t i, bool *ret_more, char key[64],
                                span *ret_value) {
    size_t n = 0;
    GI_TRY(gi_jsonscan_next(s, '}', i, ret_more, l->err));
    if (!*ret_more) return GLINT_OK;
    GI_TRY(gi_jsonscan_key(s, (uint8_t *)key, 63, &n, l->err));
    key[n] = '\0';
    return gi_jsonscan_span(s, &ret_value->data, &ret_value->n, l->err);
}

static glint_status set_once(loader *l, const char *key, span *to, span value) {
    if (to->data) return gi_fail(l->err, GLINT_ERR_FORMAT, "\"%s\" comes twice", key);
    *to = value;
    return GLINT_OK;
}

static glint_status load_model(loader *l, span model) {
    gi_jsonscan s;
    span type = {NULL, 0};
    gi_jsonscan_init(&s, model.data, model.n, "model");
    GI_TRY(gi_jsonscan_open(&s, '{', l->err));
    for (size_t i = 0;; i++) {
        char key[64];
        bool more = false;
        span value = {NULL, 0};
        GI_TRY(next_member(l, &s, i, &more, key, &value));
        if (!more) break;
        if (strcmp(key, "vocab") == 0)
            GI_TRY(set_once(l, key, &l->vocab, value));
        else if (strcmp(key, "merges") == 0)
            GI_TRY(set_once(l, key, &l->merges, value));
        else
            GI_TRY(model_setting(l, key, value));
        if (strcmp(key, "type") == 0) type = value;
    }
    if (!type.data || !l->vocab.data || !l->merges.data)
        return gi_fail(l->err, GLINT_ERR_FORMAT, "model lacks type, vocab or merges");
    return GLINT_OK;
}

/* Parse a small part; *ret stays NULL when it is absent or null. */
static glint_status parse_part(loader *l, span s, const char *name, json_t **ret) {
    if (!s.data || span_is(s, "null")) return GLINT_OK;
    return gi_json_parse(s.data, s.n, name, ret, l->err);
}

/* Refuse a part unless its type, or that of each of its parts, is in `known` (or it is absent). */
static glint_status check_types(loader *l, const json_t *part, const char *name, const char *list,
                                const char *const known[3]) {
    const char *type = NULL;
    if (!part) return GLINT_OK;
    GI_TRY(gi_json_get_string(part, name, "type", true, &type, l->err));
    for (int i = 0; i < 3 && known[i]; i++)
        if (strcmp(type, known[i]) == 0) return GLINT_OK;
    const json_t *parts = json_object_get(part, list);
    if (strcmp(type, "Sequence") != 0 || !json_is_array(parts))
        return gi_fail(l->err, GLINT_ERR_UNSUPPORTED, "%s \"%s\"", name, type);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *sub = json_array_get(parts, i);
        const char *sub_type = json_string_value(json_object_get(sub, "type"));
        if (sub_type && strcmp(sub_type, "Sequence") == 0)
            return gi_fail(l->err, GLINT_ERR_UNSUPPORTED, "%s: nested Sequence", name);
        GI_TRY(check_types(l, sub, name, list, known));
    }
    return GLINT_OK;
}

/* The parts of the file. The last three say nothing about ids. */
enum { ADDED, NORMALIZER, PRE, POST, DECODER, MODEL, VERSION, TRUNCATION, PADDING, N_PARTS };
static const char *const part_names[N_PARTS] = {"added_tokens",   "normalizer", "pre_tokenizer",
                                                "post_processor", "decoder",    "model",
                                                "version",        "truncation", "padding"};

/* Note where each top-level part lies. */
static glint_status find_parts(loader *l, const gi_filemap *map, span parts[N_PARTS]) {
    gi_jsonscan s;
    gi_jsonscan_init(&s, map->data, map->size_bytes, "top level");
    GI_TRY(gi_jsonscan_open(&s, '{', l->err));
    for (size_t i = 0;; i++) {
        char key[64];
        bool more = false;
        span value = {NULL, 0};
        GI_TRY(next_member(l, &s, i, &more, key, &value));
        if (!more) break;
        int part = 0;
        while (part < N_PARTS && strcmp(key, part_names[part]) != 0) part++;
        if (part == N_PARTS)
            return gi_fail(l->err, GLINT_ERR_UNSUPPORTED, "\"%s\" is not understood", key);
        GI_TRY(set_once(l, key, &parts[part], value));
    }
    if (gi_jsonscan_peek(&s) != 0 || s.at != s.end)
        return gi_fail(l->err, GLINT_ERR_FORMAT, "bytes after the end");
    if (!parts[MODEL].data) return gi_fail(l->err, GLINT_ERR_FORMAT, "\"model\" is missing");
    return GLINT_OK;
}

/* The parts that are parsed whole; json[i] is NULL for an absent one. */
static glint_status load_small(loader *l, json_t *const json[N_PARTS]) {
    static const char *const post[3] = {"ByteLevel", "TemplateProcessing"};
    static const char *const decoder[3] = {"ByteLevel"};
    static const char *const none[3] = {NULL};
    GI_TRY(check_types(l, json[NORMALIZER], "normalizer", "normalizers", none));
    GI_TRY(check_types(l, json[POST], "post_processor", "processors", post));
    GI_TRY(check_types(l, json[DECODER], "decoder", "decoders", decoder));
    if (!json[PRE]) return gi_fail(l->err, GLINT_ERR_UNSUPPORTED, "no pre_tokenizer");
    return gi_presplit_load(json[PRE], "pre_tokenizer", &l->t->presplit, l->err);
}

static glint_status load_parts(loader *l, const span parts[N_PARTS]) {
    json_t *json[N_PARTS] = {NULL};
    glint_status st = load_model(l, parts[MODEL]);
    for (int i = 0; i < MODEL && st == GLINT_OK; i++)
        st = parse_part(l, parts[i], part_names[i], &json[i]);
    if (st == GLINT_OK) st = load_small(l, json);
    if (st == GLINT_OK) st = load_vocab(l);
    if (st == GLINT_OK) st = load_added(l, json[ADDED]);
    for (int i = 0; i < MODEL; i++) json_decref(json[i]);
    GI_TRY(st);
    GI_TRY(gi_vocab_index(&l->t->vocab, l->err));
    GI_TRY(check_added(l));
    for (int b = 0; b < 256; b++) {
        const uint8_t byte = (uint8_t)b;
        const bool in_utf8 = b < 0xC0 || (b > 0xC1 && b < 0xF5);
        l->t->byte_ids[b] = gi_vocab_find(&l->t->vocab, &byte, 1);
        if (l->t->byte_ids[b] < 0 && in_utf8)
            return gi_fail(l->err, GLINT_ERR_UNSUPPORTED, "no token for byte 0x%02X", b);
    }
    return load_merges(l);
}

static glint_status load(gi_tokenizer *t, const gi_filemap *map, glint_error *err) {
    loader *l = gi_calloc(1, sizeof *l);
    if (!l) return gi_fail(err, GLINT_ERR_MEMORY, "no memory to load it");
    span parts[N_PARTS] = {{NULL, 0}};
    l->t = t;
    l->err = err;
    alphabet_init(l);
    glint_status st = find_parts(l, map, parts);
    if (st == GLINT_OK) st = load_parts(l, parts);
    gi_free(l);
    return st;
}

glint_status gi_tokenizer_load(const char *path, gi_tokenizer **ret, glint_error *err) {
    gi_filemap map = {0};
    glint_error inner = {0};
    GI_TRY(gi_filemap_open(path, &map, err));
    gi_tokenizer *t = gi_calloc(1, sizeof *t);
    glint_status st = t ? load(t, &map, &inner) : gi_fail(&inner, GLINT_ERR_MEMORY, "no memory");
    gi_filemap_close(&map);
    if (st != GLINT_OK) {
        gi_tokenizer_free(t);
        return gi_fail(err, st, "%s: %s", path, inner.message);
    }
    *ret = t;
    return GLINT_OK;
}
