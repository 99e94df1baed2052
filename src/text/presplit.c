/*
 * PCRE2 does the matching, compiled to machine code where the library can. Work and memory of a
 * match are limited: the published patterns need neither more than a few steps a byte, but a
 * checkpoint may bring its own.
 *
 * Refused by name: pre-tokenizers other than those in the header, Split behaviours other than
 * Isolated, inverted splits, patterns that match the empty string.
 */
#include "text/presplit.h"

#include "base/alloc.h"
#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

/* Backtracking steps of one match: eight a byte of the longest prompt (1 MiB). */
#define MATCH_STEPS_MAX (8u << 20)
#define MATCH_HEAP_KIB  (64u << 10)

/* What ByteLevel cuts by when use_regex is set: GPT-2's pattern. */
static const char GPT2_PATTERN[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                                   " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct gi_presplit {
    pcre2_general_context *memory;
    pcre2_code *stages[GI_PRESPLIT_STAGES_MAX]; /* [n_stages] */
    size_t n_stages;
    bool add_prefix_space;
    size_t prefix_stage; /* the space is put before the pieces that reach this stage */
};

static void *pcre_alloc(PCRE2_SIZE n_bytes, void *ctx) {
    (void)ctx;
    return gi_alloc(n_bytes);
}

static void pcre_free(void *p, void *ctx) {
    (void)ctx;
    gi_free(p);
}

static glint_status no_memory(glint_error *err) {
    return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the pre-tokenizer");
}

/* Compile `pattern` (PCRE2 syntax) as the next stage. */
static glint_status add_stage(gi_presplit *p, const gi_buf *pattern, const char *what,
                              glint_error *err) {
    if (p->n_stages == GI_PRESPLIT_STAGES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "%s: more than %d splits", what,
                       GI_PRESPLIT_STAGES_MAX);
    pcre2_compile_context *context = pcre2_compile_context_create(p->memory);
    if (!context) return no_memory(err);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled =
        pcre2_compile(pattern->data, pattern->len, PCRE2_UTF | PCRE2_UCP, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (!compiled && code == PCRE2_ERROR_HEAP_FAILED) return no_memory(err);
    if (!compiled)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: pattern does not compile (code %d)", what,
                       code);
    p->stages[p->n_stages++] = compiled;
    uint32_t matches_empty = 1;
    pcre2_pattern_info(compiled, PCRE2_INFO_MATCHEMPTY, &matches_empty);
    if (matches_empty)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: pattern matches the empty string", what);
    /* Without machine code (not built in, or memory may not be made executable) the interpreter
     * matches the same. */
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    return GLINT_OK;
}

static glint_status load_split(gi_presplit *p, const json_t *obj, const char *what,
                               glint_error *err) {
    const char *behavior = NULL, *regex = NULL, *literal = NULL;
    bool invert = false;
    const json_t *pattern = NULL;
    GI_TRY(gi_json_get_string(obj, what, "behavior", true, &behavior, err));
    GI_TRY(gi_json_get_bool(obj, what, "invert", false, &invert, err));
    GI_TRY(gi_json_get_object(obj, what, "pattern", true, &pattern, err));
    GI_TRY(gi_json_get_string(pattern, what, "Regex", false, &regex, err));
    GI_TRY(gi_json_get_string(pattern, what, "String", false, &literal, err));
    if (strcmp(behavior, "Isolated") != 0 || invert)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: split behaviour \"%s\"%s", what, behavior,
                       invert ? ", inverted" : "");
    if (!regex == !literal)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: \"pattern\" needs Regex or String", what);
    gi_buf b;
    gi_buf_init(&b, GI_PATTERN_BYTES_MAX);
    glint_status st =
        regex ? gi_pattern_translate(regex, &b, err) : gi_pattern_quote(literal, &b, err);
    if (st == GLINT_OK) st = add_stage(p, &b, what, err);
    gi_buf_done(&b);
    return st;
}

static glint_status load_byte_level(gi_presplit *p, const json_t *obj, const char *what,
                                    glint_error *err) {
    bool use_regex = true;
    GI_TRY(gi_json_get_bool(obj, what, "add_prefix_space", true, &p->add_prefix_space, err));
    GI_TRY(gi_json_get_bool(obj, what, "use_regex", false, &use_regex, err));
    p->prefix_stage = p->n_stages;
    if (!use_regex) return GLINT_OK;
    gi_buf b;
    gi_buf_init(&b, GI_PATTERN_BYTES_MAX);
    glint_status st = gi_pattern_translate(GPT2_PATTERN, &b, err);
    if (st == GLINT_OK) st = add_stage(p, &b, what, err);
    gi_buf_done(&b);
    return st;
}

/* The steps of a Sequence, or the one pre-tokenizer there is: Splits, then ByteLevel. */
static glint_status load_steps(gi_presplit *p, const json_t *pre_tokenizer, const char *what,
                               glint_error *err) {
    const char *type = NULL;
    const json_t *list = NULL;
    GI_TRY(gi_json_get_string(pre_tokenizer, what, "type", true, &type, err));
    const bool is_sequence = strcmp(type, "Sequence") == 0;
    if (is_sequence)
        GI_TRY(gi_json_get_array(pre_tokenizer, what, "pretokenizers", true, &list, err));
    const size_t n = is_sequence ? json_array_size(list) : 1;
    bool ended = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *step = is_sequence ? json_array_get(list, i) : pre_tokenizer;
        if (ended) return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: a step after ByteLevel", what);
        GI_TRY(gi_json_get_string(step, what, "type", true, &type, err));
        if (strcmp(type, "Split") == 0) {
            GI_TRY(load_split(p, step, what, err));
        } else if (strcmp(type, "ByteLevel") == 0) {
            GI_TRY(load_byte_level(p, step, what, err));
            ended = true;
        } else {
            return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: type \"%s\"", what, type);
        }
    }
    if (!ended) return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: no ByteLevel step", what);
    return GLINT_OK;
}

glint_status gi_presplit_load(const json_t *pre_tokenizer, const char *what, gi_presplit **ret,
                              glint_error *err) {
    gi_presplit *p = gi_calloc(1, sizeof *p);
    if (!p) return no_memory(err);
    glint_status st;
    p->memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    if (!p->memory)
        st = no_memory(err);
    else
        st = load_steps(p, pre_tokenizer, what, err);
    if (st != GLINT_OK) {
        gi_presplit_free(p);
        return st;
    }
    *ret = p;
    return GLINT_OK;
}

void gi_presplit_free(gi_presplit *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_stages; i++) pcre2_code_free(p->stages[i]);
    if (p->memory) pcre2_general_context_free(p->memory);
    gi_free(p);
}

/* One call of gi_presplit_run_in. */
typedef struct run {
    const gi_presplit *p;
    gi_presplit_memory *memory;
    gi_piece_fn fn;
    void *ctx;
    glint_error *err;
} run;

/*
 * Find the first match at or after `from`. A match that outgrows the fixed stack of the machine
 * code is done again by the interpreter, whose memory is on the heap.
 */
static glint_status find(run *r, const pcre2_code *code, const uint8_t *text, size_t n, size_t from,
                         bool *ret_found, size_t *ret_begin, size_t *ret_end) {
    int rc =
        pcre2_match(code, text, n, from, PCRE2_NO_UTF_CHECK, r->memory->match, r->memory->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, r->memory->match,
                         r->memory->limits);
    *ret_found = rc >= 0;
    if (rc >= 0) {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(r->memory->match);
        *ret_begin = at[0];
        *ret_end = at[1];
    }
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) return GLINT_OK;
    if (rc == PCRE2_ERROR_NOMEMORY) return no_memory(r->err);
    return gi_fail(r->err, GLINT_ERR_LIMIT, "text needs too much work to cut into pieces (code %d)",
                   rc);
}

static glint_status run_stage(run *r, size_t stage, const uint8_t *text, size_t n) {
    const bool prefix = r->p->add_prefix_space && stage == r->p->prefix_stage && text[0] != ' ';
    if (prefix) {
        gi_buf_clear(&r->memory->prefixed);
        GI_TRY(gi_buf_push(&r->memory->prefixed, " ", 1, r->err));
        GI_TRY(gi_buf_push(&r->memory->prefixed, text, n, r->err));
        text = r->memory->prefixed.data;
        n = r->memory->prefixed.len;
    }
    if (stage == r->p->n_stages) return r->fn(r->ctx, text, n, r->err);
    for (size_t at = 0; at < n;) {
        bool found;
        size_t begin = n, end = n;
        GI_TRY(find(r, r->p->stages[stage], text, n, at, &found, &begin, &end));
        if (!found) begin = end = n;
        if (begin > at) GI_TRY(run_stage(r, stage + 1, text + at, begin - at));
        if (end > begin) GI_TRY(run_stage(r, stage + 1, text + begin, end - begin));
        at = end;
    }
    return GLINT_OK;
}

glint_status gi_presplit_memory_init(gi_presplit_memory *m, const gi_presplit *p, size_t n_bytes,
                                     glint_error *err) {
    gi_buf_init(&m->prefixed, n_bytes + 1);
    m->match = pcre2_match_data_create(1, p->memory);
    m->limits = pcre2_match_context_create(p->memory);
    if (!m->match || !m->limits) {
        gi_presplit_memory_done(m);
        return no_memory(err);
    }
    pcre2_set_match_limit(m->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(m->limits, MATCH_HEAP_KIB);
    return GLINT_OK;
}

void gi_presplit_memory_done(gi_presplit_memory *m) {
    if (!m) return;
    pcre2_match_context_free(m->limits);
    pcre2_match_data_free(m->match);
    gi_buf_done(&m->prefixed);
    m->match = m->limits = NULL;
}

glint_status gi_presplit_run_in(const gi_presplit *p, gi_presplit_memory *m, const uint8_t *text,
                                size_t n_bytes, gi_piece_fn fn, void *ctx, glint_error *err) {
    if (n_bytes == 0) return GLINT_OK;
    run r = {.p = p, .memory = m, .fn = fn, .ctx = ctx, .err = err};
    return run_stage(&r, 0, text, n_bytes);
}

glint_status gi_presplit_run(const gi_presplit *p, const uint8_t *text, size_t n_bytes,
                             gi_piece_fn fn, void *ctx, glint_error *err) {
    if (n_bytes == 0) return GLINT_OK;
    gi_presplit_memory m = {NULL};
    GI_TRY(gi_presplit_memory_init(&m, p, n_bytes, err));
    const glint_status st = gi_presplit_run_in(p, &m, text, n_bytes, fn, ctx, err);
    gi_presplit_memory_done(&m);
    return st;
}
