/*
 * The reader's table is a tree of UTF-8 sequences and escapes. A range of code points becomes few
 * sequences of byte ranges: it is cut where the length of the encoding changes, and then so that
 * in each piece the last bytes run through all their values.
 *
 * U+0000 is left out: C programs that read the answer would take it for the end.
 */
#include "grammar/string_rule.h"

#include "base/utf8.h"

#include <string.h>

enum { STATES_MAX = 1024, SHORT_ESCAPES = 7 };

typedef struct maker {
    uint16_t (*next)[256]; /* [STATES_MAX] */
    uint32_t n;
    bool full;
} maker;

static uint16_t new_state(maker *m) {
    if (m->n == STATES_MAX) {
        m->full = true;
        return GI_READER_NONE;
    }
    memset(m->next[m->n], 0xFF, sizeof m->next[m->n]);
    return (uint16_t)m->n++;
}

/*
 * Sequences whose i-th byte is in lo[i]..hi[i] are class c. Where a byte has several values the
 * rest runs through all of its own, so the values share one state; where it has one, the state may
 * be there already.
 */
static void add_sequence(maker *m, const uint8_t *lo, const uint8_t *hi, int n, uint32_t c) {
    uint32_t state = 0;
    for (int i = 0; i < n && !m->full; i++) {
        uint16_t to = m->next[state][lo[i]];
        if (i == n - 1)
            to = (uint16_t)(GI_READER_CHAR | c);
        else if (to == GI_READER_NONE)
            to = new_state(m);
        for (int b = lo[i]; b <= hi[i]; b++) m->next[state][b] = to;
        state = to;
    }
}

/* Cut lo..hi (one length of encoding) so that each piece is one sequence of byte ranges. */
static void add_utf8(maker *m, uint32_t lo, uint32_t hi, uint32_t c) {
    while (lo <= hi && !m->full) {
        uint8_t a[4], b[4];
        const int n = gi_utf8_encode(lo, a);
        uint32_t end = hi;
        for (int i = n - 1; i > 0; i--) {
            const uint32_t mask = (1u << 6 * i) - 1;
            if ((lo & ~mask) == (end & ~mask)) continue;
            if ((lo & mask) != 0)
                end = lo | mask;
            else if ((end & mask) != mask)
                end = (end & ~mask) - 1;
        }
        (void)gi_utf8_encode(end, b);
        add_sequence(m, a, b, n, c);
        lo = end + 1;
    }
}

static void add_plain(maker *m, const gi_regex *regex) {
    static const uint32_t steps[] = {0x20, 0x22, 0x23, 0x5C, 0x5D, 0x80, 0x800, 0x10000, 0x110000};
    for (size_t i = 0; i < regex->n_ranges; i++) {
        const gi_char_range *r = &regex->ranges[i];
        for (size_t s = 0; s + 1 < sizeof steps / sizeof *steps; s++) {
            if (steps[s] == 0x22 || steps[s] == 0x5C) continue;
            const uint32_t lo = r->lo > steps[s] ? r->lo : steps[s];
            const uint32_t hi = r->hi < steps[s + 1] - 1 ? r->hi : steps[s + 1] - 1;
            if (lo <= hi) add_utf8(m, lo, hi, r->class_index);
        }
    }
}

static uint16_t class_entry(const gi_regex *regex, uint32_t cp) {
    for (size_t i = 0; i < regex->n_ranges; i++)
        if (cp >= regex->ranges[i].lo && cp <= regex->ranges[i].hi)
            return (uint16_t)(GI_READER_CHAR | regex->ranges[i].class_index);
    return GI_READER_NONE;
}

/* All hexadecimal digits lo..hi lead to `to`. */
static void add_hex(maker *m, uint16_t state, int lo, int hi, uint16_t to) {
    if (m->full) return;
    for (int d = lo; d <= hi; d++) {
        m->next[state][(uint8_t) "0123456789abcdef"[d]] = to;
        m->next[state][(uint8_t) "0123456789ABCDEF"[d]] = to;
    }
}

/* A state that reads n more digits of any value, then ends in `end`. */
static uint16_t any_hex(maker *m, int n, uint16_t end) {
    for (; n > 0; n--) {
        const uint16_t state = new_state(m);
        add_hex(m, state, 0, 15, end);
        end = state;
    }
    return end;
}

/* \u00XX for the control characters that have no short escape. */
static void add_control_escapes(maker *m, const gi_regex *regex, uint16_t u) {
    const uint16_t u0 = new_state(m), u00 = new_state(m), low = new_state(m), high = new_state(m);
    add_hex(m, u, 0, 0, u0);
    add_hex(m, u0, 0, 0, u00);
    add_hex(m, u00, 0, 0, low);
    add_hex(m, u00, 1, 1, high);
    for (int d = 0; d < 16; d++) {
        if (d > 0 && (d < 8 || d == 11 || d > 13))
            add_hex(m, low, d, d, class_entry(regex, (uint32_t)d));
        add_hex(m, high, d, d, class_entry(regex, (uint32_t)d + 16));
    }
}

/* \uXXXX for every character, those beyond the first plane as two. */
static void add_all_escapes(maker *m, uint16_t u) {
    const uint16_t done = GI_READER_CHAR;
    const uint16_t zeros1 = new_state(m), zeros2 = new_state(m), zeros3 = new_state(m);
    const uint16_t d = new_state(m), slash = new_state(m), letter = new_state(m);
    const uint16_t low1 = new_state(m), low2 = new_state(m);
    add_hex(m, u, 1, 12, any_hex(m, 3, done));
    add_hex(m, u, 14, 15, any_hex(m, 3, done));
    add_hex(m, u, 0, 0, zeros1);
    add_hex(m, zeros1, 1, 15, any_hex(m, 2, done));
    add_hex(m, zeros1, 0, 0, zeros2);
    add_hex(m, zeros2, 1, 15, any_hex(m, 1, done));
    add_hex(m, zeros2, 0, 0, zeros3);
    add_hex(m, zeros3, 1, 15, done);
    add_hex(m, u, 13, 13, d);
    add_hex(m, d, 0, 7, any_hex(m, 2, done));
    add_hex(m, d, 8, 11, any_hex(m, 2, slash));
    if (m->full) return;
    m->next[slash]['\\'] = letter;
    m->next[letter]['u'] = low1;
    add_hex(m, low1, 13, 13, low2);
    add_hex(m, low2, 12, 15, any_hex(m, 2, done));
}

static void add_escapes(maker *m, const gi_regex *regex, gi_spelling spelling) {
    static const char letters[] = "\"\\bfnrt", values[] = "\"\\\b\f\n\r\t";
    const uint16_t backslash = new_state(m), u = new_state(m);
    if (m->full) return;
    m->next[0]['\\'] = backslash;
    m->next[backslash]['u'] = u;
    for (int i = 0; i < SHORT_ESCAPES; i++)
        m->next[backslash][(uint8_t)letters[i]] = class_entry(regex, (uint8_t)values[i]);
    if (spelling == GI_SPELL_NEEDED) {
        add_control_escapes(m, regex, u);
        return;
    }
    m->next[backslash]['/'] = GI_READER_CHAR;
    add_all_escapes(m, u);
}

/* Which classes may come out of each state: to a fixed point. Sequences are short. */
static void find_reach(const maker *m, uint64_t *reach) {
    for (bool more = true; more;) {
        more = false;
        for (uint32_t s = m->n; s-- > 0;) {
            uint64_t r = 0;
            for (int b = 0; b < 256; b++) {
                const uint16_t to = m->next[s][b];
                if (to == GI_READER_NONE) continue;
                r |= to & GI_READER_CHAR ? UINT64_C(1) << (to & 63) : reach[to];
            }
            more |= r != reach[s];
            reach[s] = r;
        }
    }
}

glint_status gi_char_reader_create(gi_arena *arena, const gi_regex *regex, gi_spelling spelling,
                                   const gi_char_reader **ret, glint_error *err) {
    gi_arena scratch;
    gi_arena_init(&scratch, (size_t)1 << 20);
    glint_status st = GLINT_OK;
    maker m = {.n = 0};
    gi_char_reader *d = gi_arena_alloc(arena, 1, sizeof *d);
    m.next = gi_arena_alloc(&scratch, STATES_MAX, sizeof *m.next);
    if (!d || !m.next) GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "no memory for a string"));
    (void)new_state(&m);
    add_plain(&m, regex);
    if (spelling != GI_SPELL_PLAIN) add_escapes(&m, regex, spelling);
    if (m.full) GI_TRY_DONE(gi_fail(err, GLINT_ERR_LIMIT, "\"pattern\" is too large"));
    d->n_states = m.n;
    d->next = gi_arena_alloc(arena, m.n, sizeof *d->next);
    d->reach = gi_arena_alloc(arena, m.n, sizeof *d->reach);
    if (!d->next || !d->reach)
        GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "no memory for a string"));
    memcpy(d->next, m.next, m.n * sizeof *m.next);
    find_reach(&m, d->reach);
    *ret = d;
done:
    gi_arena_done(&scratch);
    return st;
}
