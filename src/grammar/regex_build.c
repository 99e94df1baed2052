/*
 * Characters that no set of the patterns tells apart form one class, so an automaton over classes
 * stays small however large Unicode is. Each pattern's machine is made deterministic by itself;
 * several are then run side by side.
 */
#include "grammar/regex.h"

#include "base/utf8.h"
#include "grammar/regex_parts.h"

#include <stdlib.h>
#include <string.h>

#define SCRATCH_BYTES_MAX ((size_t)24 << 20)
enum { PATTERNS_MAX = 8, CUTS_MAX = 4096, TABLE_SLOTS = 16384 };
static const uint32_t SURROGATES[2] = {0xD800, 0xE000};

/* A deterministic automaton over the classes; `next` is [n][n_classes]. */
typedef struct machine {
    uint16_t *next;
    bool *accepts;
    uint32_t n, start;
} machine;

typedef struct builder {
    gi_nfa nfa;
    gi_arena *arena;
    gi_char_range *ranges; /* [n_ranges] */
    uint32_t n_ranges, n_classes;
    uint64_t set_classes[GI_NFA_SETS_MAX]; /* bit c: the set holds class c */
    size_t n_work, work_max;
} builder;

static glint_status too_large(const builder *b) {
    return gi_nfa_too_large(&b->nfa);
}

static int compare_u32(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool set_has(const gi_char_set *s, uint32_t cp) {
    for (size_t i = 0; i < s->n; i++)
        if (cp >= s->ranges[i].lo && cp <= s->ranges[i].hi) return true;
    return false;
}

/* Where the answer of some set changes: sorted, unique, from 0 to 0x110000. */
static glint_status find_cuts(const builder *b, uint32_t cuts[CUTS_MAX], size_t *ret_n) {
    size_t n = 0, kept = 0;
    cuts[n++] = 0;
    cuts[n++] = 0x110000;
    cuts[n++] = SURROGATES[0];
    cuts[n++] = SURROGATES[1];
    for (size_t i = 0; i < b->nfa.n_sets; i++) {
        const gi_char_set *s = &b->nfa.sets[i];
        if (s->n * 2 > CUTS_MAX - n) return too_large(b);
        for (size_t k = 0; k < s->n; k++) {
            cuts[n++] = s->ranges[k].lo;
            cuts[n++] = s->ranges[k].hi + 1;
        }
    }
    qsort(cuts, n, sizeof *cuts, compare_u32);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || cuts[i] != cuts[kept - 1]) cuts[kept++] = cuts[i];
    *ret_n = kept;
    return GLINT_OK;
}

/* Give each range between two cuts the class of its membership in the sets. */
static glint_status make_classes(builder *b) {
    static const size_t words = GI_NFA_SETS_MAX / 64;
    uint32_t cuts[CUTS_MAX];
    size_t n = 0;
    GI_TRY(find_cuts(b, cuts, &n));
    b->ranges = gi_arena_alloc(b->arena, n, sizeof *b->ranges);
    uint64_t *members = gi_arena_alloc(b->nfa.arena, GI_REGEX_CLASSES_MAX * words, 8);
    if (!b->ranges || !members) return gi_nfa_no_memory(&b->nfa);
    for (size_t i = 0; i + 1 < n; i++) {
        if (cuts[i] == SURROGATES[0]) {
            while (cuts[i + 1] < SURROGATES[1]) i++;
            continue;
        }
        uint64_t in[GI_NFA_SETS_MAX / 64] = {0};
        for (size_t s = 0; s < b->nfa.n_sets; s++)
            if (set_has(&b->nfa.sets[s], cuts[i])) in[s / 64] |= UINT64_C(1) << s % 64;
        uint32_t c = 0;
        while (c < b->n_classes && memcmp(members + c * words, in, sizeof in) != 0) c++;
        if (c == GI_REGEX_CLASSES_MAX) return too_large(b);
        if (c == b->n_classes) memcpy(members + b->n_classes++ * words, in, sizeof in);
        b->ranges[b->n_ranges++] = (gi_char_range){cuts[i], cuts[i + 1] - 1, c};
    }
    for (uint32_t c = 0; c < b->n_classes; c++)
        for (size_t s = 0; s < b->nfa.n_sets; s++)
            if (members[c * words + s / 64] >> s % 64 & 1) b->set_classes[s] |= UINT64_C(1) << c;
    return GLINT_OK;
}

/* The subset construction of one pattern. */
typedef struct subsets {
    builder *b;
    size_t words;      /* of one set of states */
    uint64_t **sets;   /* [GI_REGEX_STATES_MAX] by deterministic state; [0] is empty: dead */
    uint16_t *slots;   /* [TABLE_SLOTS] state or 0 */
    uint64_t *set;     /* the one being made */
    uint32_t *pending; /* [2 * GI_NFA_STATES_MAX + 2]: a state is followed once */
    machine *m;
} subsets;

/* Add what is reached from `from` without reading. At the end, only whether MATCH is. */
static bool close_over(subsets *s, uint32_t from, bool at_begin, bool at_end) {
    const gi_nfa_state *states = s->b->nfa.states;
    size_t n = 0;
    bool matched = false;
    s->pending[n++] = from;
    while (n > 0) {
        const uint32_t i = s->pending[--n];
        if (s->set[i / 64] >> i % 64 & 1) continue;
        s->set[i / 64] |= UINT64_C(1) << i % 64;
        s->b->n_work++;
        const gi_nfa_state *st = &states[i];
        matched |= st->kind == GI_NFA_MATCH;
        if (st->kind == GI_NFA_SPLIT) s->pending[n++] = st->b;
        if (st->kind == GI_NFA_SPLIT || (st->kind == GI_NFA_BEGIN && at_begin) ||
            (st->kind == GI_NFA_END && at_end))
            s->pending[n++] = st->a;
    }
    return matched;
}

/* The deterministic state of s->set; a new one when it has not been seen. */
static glint_status intern(subsets *s, uint16_t *ret) {
    uint64_t h = 0, any = 0;
    for (size_t w = 0; w < s->words; w++) {
        h = (h ^ s->set[w]) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29;
        any |= s->set[w];
    }
    *ret = 0;
    if (!any) return GLINT_OK;
    size_t at = h % TABLE_SLOTS;
    for (; s->slots[at]; at = (at + 1) % TABLE_SLOTS) {
        *ret = s->slots[at];
        if (memcmp(s->sets[*ret], s->set, s->words * 8) == 0) return GLINT_OK;
    }
    if (s->m->n == GI_REGEX_STATES_MAX) return too_large(s->b);
    uint64_t *copy = gi_arena_alloc(s->b->nfa.arena, s->words, 8);
    if (!copy) return gi_nfa_no_memory(&s->b->nfa);
    memcpy(copy, s->set, s->words * 8);
    *ret = (uint16_t)s->m->n++;
    s->sets[*ret] = copy;
    s->slots[at] = *ret;
    return GLINT_OK;
}

static glint_status build_row(subsets *s, uint32_t state) {
    builder *b = s->b;
    const gi_nfa_state *states = b->nfa.states;
    for (uint32_t c = 0; c < b->n_classes; c++) {
        memset(s->set, 0, s->words * 8);
        for (size_t w = 0; w < s->words; w++) {
            for (uint64_t bits = s->sets[state][w]; bits; bits &= bits - 1) {
                const gi_nfa_state *st = &states[w * 64 + (size_t)__builtin_ctzll(bits)];
                if (st->kind == GI_NFA_SET && b->set_classes[st->b] >> c & 1)
                    (void)close_over(s, st->a, false, false);
                b->n_work++;
            }
        }
        b->n_work += s->words;
        if (b->n_work > b->work_max) return too_large(b);
        GI_TRY(intern(s, &s->m->next[state * b->n_classes + c]));
    }
    memset(s->set, 0, s->words * 8);
    for (size_t w = 0; w < s->words; w++)
        for (uint64_t bits = s->sets[state][w]; bits; bits &= bits - 1)
            if (close_over(s, (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits), false, true))
                s->m->accepts[state] = true;
    return GLINT_OK;
}

static glint_status new_machine(const builder *b, machine *m) {
    m->next = gi_arena_alloc(b->nfa.arena, (size_t)GI_REGEX_STATES_MAX * b->n_classes, 2);
    m->accepts = gi_arena_alloc(b->nfa.arena, GI_REGEX_STATES_MAX, 1);
    m->n = 1;
    return m->next && m->accepts ? GLINT_OK : gi_nfa_no_memory(&b->nfa);
}

static glint_status determinise(builder *b, uint32_t start, machine *m) {
    gi_arena *scratch = b->nfa.arena;
    subsets s = {.b = b, .words = (b->nfa.n_states + 63) / 64, .m = m};
    s.sets = gi_arena_alloc(scratch, GI_REGEX_STATES_MAX, sizeof *s.sets);
    s.slots = gi_arena_alloc(scratch, TABLE_SLOTS, sizeof *s.slots);
    s.set = gi_arena_alloc(scratch, s.words, 8);
    s.pending = gi_arena_alloc(scratch, 2 * GI_NFA_STATES_MAX + 2, sizeof *s.pending);
    if (!s.sets || !s.slots || !s.set || !s.pending) return gi_nfa_no_memory(&b->nfa);
    GI_TRY(new_machine(b, m));
    uint16_t first = 0;
    (void)close_over(&s, start, true, false);
    GI_TRY(intern(&s, &first));
    m->start = first;
    for (uint32_t i = 1; i < m->n; i++) GI_TRY(build_row(&s, i));
    return GLINT_OK;
}

/* Both at once: state pairs, found by search from the two starts. */
static glint_status intersect(builder *b, const machine *x, const machine *y, machine *m) {
    gi_arena *scratch = b->nfa.arena;
    uint32_t *pairs = gi_arena_alloc(scratch, GI_REGEX_STATES_MAX, sizeof *pairs);
    uint16_t *slots = gi_arena_alloc(scratch, TABLE_SLOTS, sizeof *slots);
    if (!pairs || !slots) return gi_nfa_no_memory(&b->nfa);
    GI_TRY(new_machine(b, m));
    pairs[m->n] = x->start << 16 | y->start;
    m->start = m->n++;
    slots[pairs[1] * 2654435761u % TABLE_SLOTS] = 1;
    for (uint32_t i = 1; i < m->n; i++) {
        const uint32_t px = pairs[i] >> 16, py = pairs[i] & 0xFFFF;
        m->accepts[i] = x->accepts[px] && y->accepts[py];
        for (uint32_t c = 0; c < b->n_classes; c++) {
            const uint32_t nx = x->next[px * b->n_classes + c], ny = y->next[py * b->n_classes + c];
            if (!nx || !ny) continue;
            const uint32_t pair = nx << 16 | ny;
            size_t at = pair * 2654435761u % TABLE_SLOTS;
            while (slots[at] && pairs[slots[at]] != pair) at = (at + 1) % TABLE_SLOTS;
            if (!slots[at]) {
                if (m->n == GI_REGEX_STATES_MAX) return too_large(b);
                pairs[m->n] = pair;
                slots[at] = (uint16_t)m->n++;
            }
            m->next[i * b->n_classes + c] = slots[at];
        }
    }
    return GLINT_OK;
}

/* Renumber the states from which an accepting one can be reached; the others are dead. */
static glint_status trim(builder *b, const machine *m, gi_regex *r) {
    const uint32_t k = b->n_classes;
    uint16_t *number = gi_arena_alloc(b->nfa.arena, m->n, sizeof *number);
    if (!number) return gi_nfa_no_memory(&b->nfa);
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = m->n - 1; i >= 1; i--) {
            bool live = m->accepts[i];
            for (uint32_t c = 0; c < k && !live; c++) live = number[m->next[i * k + c]] != 0;
            if (!live || number[i]) continue;
            number[i] = 1;
            more = true;
        }
        b->n_work += (size_t)m->n * k;
        if (b->n_work > b->work_max) return too_large(b);
    }
    r->n_states = 1;
    for (uint32_t i = 1; i < m->n; i++)
        if (number[i]) number[i] = (uint16_t)r->n_states++;
    uint16_t *next = gi_arena_alloc(b->arena, (size_t)r->n_states * k, sizeof *next);
    bool *accepts = gi_arena_alloc(b->arena, r->n_states, sizeof *accepts);
    if (!next || !accepts) return gi_nfa_no_memory(&b->nfa);
    for (uint32_t i = 1; i < m->n; i++) {
        if (!number[i]) continue;
        accepts[number[i]] = m->accepts[i];
        for (uint32_t c = 0; c < k; c++) next[number[i] * k + c] = number[m->next[i * k + c]];
    }
    r->start = number[m->start];
    r->next = next;
    r->accepts = accepts;
    return GLINT_OK;
}

static glint_status build(builder *b, const char *const *patterns, size_t n, gi_regex *r) {
    uint32_t starts[PATTERNS_MAX] = {0};
    machine all = {0}, one = {0}, both = {0};
    if (n > PATTERNS_MAX) return too_large(b);
    b->nfa.states = gi_arena_alloc(b->nfa.arena, GI_NFA_STATES_MAX, sizeof *b->nfa.states);
    if (!b->nfa.states) return gi_nfa_no_memory(&b->nfa);
    if (n == 0) GI_TRY(gi_nfa_add(&b->nfa, "", &starts[0]));
    for (size_t i = 0; i < n; i++) GI_TRY(gi_nfa_add(&b->nfa, patterns[i], &starts[i]));
    GI_TRY(make_classes(b));
    GI_TRY(determinise(b, starts[0], &all));
    for (size_t i = 1; i < n; i++) {
        GI_TRY(determinise(b, starts[i], &one));
        GI_TRY(intersect(b, &all, &one, &both));
        all = both;
    }
    r->n_classes = b->n_classes;
    r->ranges = b->ranges;
    r->n_ranges = b->n_ranges;
    return trim(b, &all, r);
}

glint_status gi_regex_compile(gi_arena *arena, const char *const *patterns, size_t n,
                              const char *place, size_t *io_work, const gi_regex **ret,
                              glint_error *err) {
    gi_arena scratch;
    gi_arena_init(&scratch, SCRATCH_BYTES_MAX);
    glint_status st = GLINT_OK;
    builder *b = gi_arena_alloc(&scratch, 1, sizeof *b);
    gi_regex *r = gi_arena_alloc(arena, 1, sizeof *r);
    if (!b || !r) GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", place));
    b->nfa.arena = &scratch;
    b->nfa.place = place;
    b->nfa.err = err;
    b->arena = arena;
    b->work_max = *io_work;
    GI_TRY_DONE(build(b, patterns, n, r));
    *ret = r;
done:
    if (b) *io_work -= b->n_work < *io_work ? b->n_work : *io_work;
    gi_arena_done(&scratch);
    return st;
}

static uint32_t class_of(const gi_regex *r, uint32_t cp) {
    size_t lo = 0, hi = r->n_ranges;
    while (hi - lo > 1) {
        const size_t mid = (lo + hi) / 2;
        if (r->ranges[mid].lo <= cp)
            lo = mid;
        else
            hi = mid;
    }
    return r->ranges[lo].class_index;
}

bool gi_regex_matches(const gi_regex *r, const char *text, size_t n_bytes) {
    const uint8_t *at = (const uint8_t *)text, *end = at + n_bytes;
    uint32_t state = r->start;
    while (at < end && state) {
        uint32_t cp;
        const int n = gi_utf8_decode(at, (size_t)(end - at), &cp);
        if (n <= 0) return false;
        at += n;
        state = r->next[state * r->n_classes + class_of(r, cp)];
    }
    return state && r->accepts[state];
}

bool gi_regex_is_empty(const gi_regex *r) {
    return r->start == 0;
}
