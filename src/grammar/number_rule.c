/*
 * The digits so far stand for a block of numbers: all that they can still become. A block within
 * the bounds for good needs no memory of its digits, one outside is dead, and one that a bound
 * cuts through remembers them; there is one of these for each digit of each bound. So the
 * automaton has a few dozen states whatever the bounds are, times the remainders of multipleOf.
 */
#include "grammar/bytes_rule.h"

#include <string.h>

enum { STATES_MAX = 16000, SLOTS = 32768, EDGES_PER_STATE = 14, INT_DIGITS_MAX = 19 };
static const int64_t SAFE_INTEGER = (INT64_C(1) << 53) - 1;

typedef enum phase { START, SIGN, WHOLE, POINT, FRACTION, EXP, EXP_SIGN, EXP_1, EXP_2 } phase;

/* What a state must remember; equal keys are one state. */
typedef struct key {
    gi_i128 value;      /* the digits so far, where a bound cuts through; scaled in FRACTION */
    uint32_t reach;     /* WHOLE: bit j: j more digits stay within the bounds */
    uint32_t remainder; /* of multiple_of */
    uint8_t phase, negative, exact, n_digits, zero;
} key;

typedef struct maker {
    const gi_number_spec *spec;
    gi_i128 lo[2], hi[2];               /* magnitudes for + and -; lo > hi: none */
    bool open;                          /* nothing bounds it: exponents are fine */
    key *keys;                          /* [STATES_MAX] */
    uint16_t *slots;                    /* [SLOTS] state + 1 */
    uint16_t (*edges)[EDGES_PER_STATE]; /* [STATES_MAX] target + 1 of 0-9 - . e + */
    uint32_t n;
} maker;

enum { EDGE_MINUS = 10, EDGE_POINT, EDGE_E, EDGE_PLUS };

static gi_i128 power(int n) {
    gi_i128 p = 1;
    while (n-- > 0) p *= 10;
    return p;
}

/* -1: outside; 1: inside; 0: a bound cuts through. */
static int compare_block(const maker *m, int negative, gi_i128 first, gi_i128 last) {
    const gi_i128 lo = m->lo[negative], hi = m->hi[negative];
    if (last < lo || first > hi) return -1;
    return first >= lo && last <= hi ? 1 : 0;
}

static gi_i128 max_whole_digits(const maker *m) {
    return m->spec->integer ? INT_DIGITS_MAX : GI_NUMBER_DIGITS;
}

/* Complete the key of the digits `value` before the point. False: nothing within the bounds. */
static bool settle_whole(const maker *m, key *k, gi_i128 value) {
    const int more = value == 0 ? 0 : (int)max_whole_digits(m) - k->n_digits;
    bool live = false;
    k->exact = 0;
    k->reach = 0;
    for (int j = 0; j <= more; j++) {
        const gi_i128 first = value * power(j) * GI_NUMBER_SCALE;
        const gi_i128 width =
            m->spec->integer ? (power(j) - 1) * GI_NUMBER_SCALE : power(j) * GI_NUMBER_SCALE - 1;
        const int in = compare_block(m, k->negative, first, first + width);
        if (in == 0) k->exact = 1;
        if (in > 0) k->reach |= 1u << j;
        live |= in >= 0;
    }
    k->zero = value == 0;
    k->value = k->exact ? value : 0;
    if (k->exact) k->reach = 0;
    if (!k->exact) k->n_digits = 0;
    return live;
}

static bool settle_fraction(const maker *m, key *k, gi_i128 value) {
    const gi_i128 width = power(GI_NUMBER_DIGITS - k->n_digits) - 1;
    const int in = compare_block(m, k->negative, value, value + width);
    k->exact = in == 0;
    k->value = k->exact ? value : 0;
    return in >= 0;
}

static uint64_t hash_key(const key *k) {
    uint64_t h = (uint64_t)k->value ^ (uint64_t)(k->value >> 64) * 31;
    const uint64_t rest[] = {k->reach, k->remainder, k->phase, k->negative,
                             k->exact, k->n_digits,  k->zero};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        h = (h ^ rest[i]) * UINT64_C(0x9E3779B97F4A7C15), h ^= h >> 31;
    return h;
}

static bool same_key(const key *a, const key *b) {
    return a->value == b->value && a->reach == b->reach && a->remainder == b->remainder &&
           a->phase == b->phase && a->negative == b->negative && a->exact == b->exact &&
           a->n_digits == b->n_digits && a->zero == b->zero;
}

/* The state of a key, plus one; 0 when there are too many. */
static uint16_t intern(maker *m, const key *k) {
    size_t at = hash_key(k) % SLOTS;
    for (; m->slots[at]; at = (at + 1) % SLOTS)
        if (same_key(&m->keys[m->slots[at] - 1], k)) return m->slots[at];
    if (m->n == STATES_MAX) return 0;
    m->keys[m->n++] = *k;
    return m->slots[at] = (uint16_t)m->n;
}

/*
 * The key behind digit `d`. A block that is inside remembers only how many digits may follow: bit
 * j of `reach` is bit j + 1 of the state before.
 */
static bool step_digit(const maker *m, const key *from, int d, key *ret) {
    *ret = *from;
    const int64_t mult = m->spec->multiple_of;
    if (mult) ret->remainder = (uint32_t)((from->remainder * INT64_C(10) + d) % mult);
    switch ((phase)from->phase) {
    case START:
    case SIGN:
        ret->phase = WHOLE;
        ret->n_digits = 1;
        return settle_whole(m, ret, d);
    case WHOLE:
        if (from->zero) return false;
        if (!from->exact) return (ret->reach = from->reach >> 1) != 0;
        ret->n_digits++;
        return ret->n_digits <= max_whole_digits(m) && settle_whole(m, ret, from->value * 10 + d);
    case POINT:
    case FRACTION:
        if (from->n_digits == m->spec->fraction_max) return false;
        ret->phase = FRACTION;
        ret->n_digits++;
        if (!from->exact) return true;
        return settle_fraction(m, ret, from->value + d * power(GI_NUMBER_DIGITS - ret->n_digits));
    case EXP:
    case EXP_SIGN:
        ret->phase = EXP_1;
        return true;
    case EXP_1:
        ret->phase = EXP_2;
        return true;
    case EXP_2:
        break;
    }
    return false;
}

static bool step_other(const maker *m, const key *from, int edge, key *ret) {
    *ret = *from;
    const bool in_number = from->phase == WHOLE || from->phase == FRACTION;
    if (edge == EDGE_MINUS && from->phase == START) {
        ret->phase = SIGN;
        ret->negative = 1;
        return true;
    }
    if (edge == EDGE_POINT && from->phase == WHOLE && !m->spec->integer &&
        m->spec->fraction_max > 0) {
        ret->phase = POINT;
        ret->n_digits = 0;
        ret->zero = 0;
        if (!from->exact) return from->reach & 1 ? (ret->reach = 0, true) : false;
        return settle_fraction(m, ret, from->value * GI_NUMBER_SCALE);
    }
    if (edge == EDGE_E && in_number && m->open) {
        *ret = (key){.phase = EXP};
        return true;
    }
    if ((edge == EDGE_MINUS || edge == EDGE_PLUS) && from->phase == EXP) {
        ret->phase = EXP_SIGN;
        return true;
    }
    return false;
}

static bool accepts(const maker *m, const key *k) {
    if (k->phase == EXP_1 || k->phase == EXP_2) return true;
    if (k->phase != WHOLE && k->phase != FRACTION) return false;
    if (k->remainder) return false;
    if (!k->exact) return k->phase == FRACTION || (k->reach & 1);
    const gi_i128 v = k->phase == WHOLE ? k->value * GI_NUMBER_SCALE : k->value;
    return compare_block(m, k->negative, v, v) > 0;
}

static bool explore(maker *m) {
    const key start = {.phase = START};
    (void)intern(m, &start);
    for (uint32_t i = 0; i < m->n; i++) {
        for (int e = 0; e < EDGES_PER_STATE; e++) {
            const key from = m->keys[i];
            key to;
            const bool live =
                e < EDGE_MINUS ? step_digit(m, &from, e, &to) : step_other(m, &from, e, &to);
            if (!live) continue;
            m->edges[i][e] = intern(m, &to);
            if (!m->edges[i][e]) return false;
        }
    }
    return true;
}

/* Number the states that can still become a number: number[i] is 1 + its number, or 0. */
static void find_live(const maker *m, uint16_t *number, uint32_t *ret_n) {
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = m->n; i-- > 0;) {
            if (number[i]) continue;
            bool live = accepts(m, &m->keys[i]);
            for (int e = 0; e < EDGES_PER_STATE && !live; e++)
                live = m->edges[i][e] && number[m->edges[i][e] - 1];
            if (live) number[i] = 1, more = true;
        }
    }
    *ret_n = 0;
    for (uint32_t i = 0; i < m->n; i++)
        if (number[i]) number[i] = (uint16_t)++ * ret_n;
}

static glint_status write_rule(const maker *m, gi_arena *arena, const uint16_t *number,
                               uint32_t n_live, const gi_bytes_rule **ret) {
    static const struct {
        char byte;
        int edge;
    } order[] = {{'+', EDGE_PLUS}, {'-', EDGE_MINUS}, {'.', EDGE_POINT}, {'0', 0},
                 {'1', 1},         {'2', 2},          {'3', 3},          {'4', 4},
                 {'5', 5},         {'6', 6},          {'7', 7},          {'8', 8},
                 {'9', 9},         {'E', EDGE_E},     {'e', EDGE_E}};
    gi_bytes_rule *r = gi_arena_alloc(arena, 1, sizeof *r);
    uint32_t *first = gi_arena_alloc(arena, n_live + 1, sizeof *first);
    bool *ends = gi_arena_alloc(arena, n_live, sizeof *ends);
    gi_bytes_edge *edges = gi_arena_alloc(arena, (size_t)n_live * 15, sizeof *edges);
    if (!r || !first || !ends || !edges) return GLINT_ERR_MEMORY;
    uint32_t n_edges = 0;
    for (uint32_t i = 0, at = 0; i < m->n; i++) {
        if (!number[i]) continue;
        first[at] = n_edges;
        ends[at++] = accepts(m, &m->keys[i]);
        for (size_t o = 0; o < sizeof order / sizeof *order; o++) {
            const uint16_t to = m->edges[i][order[o].edge];
            if (!to || !number[to - 1]) continue;
            const uint8_t byte = (uint8_t)order[o].byte;
            gi_bytes_edge *last = n_edges > first[at - 1] ? &edges[n_edges - 1] : NULL;
            if (last && last->to == number[to - 1] - 1 && last->hi + 1 == byte)
                last->hi = byte;
            else
                edges[n_edges++] = (gi_bytes_edge){byte, byte, (uint16_t)(number[to - 1] - 1)};
        }
        first[at] = n_edges;
    }
    *r = (gi_bytes_rule){first, edges, ends, n_live};
    *ret = r;
    return GLINT_OK;
}

static void set_bounds(maker *m) {
    const gi_number_spec *s = m->spec;
    gi_i128 lo, hi;
    if (s->integer) {
        const gi_i128 least = INT64_MIN * GI_NUMBER_SCALE, most = INT64_MAX * GI_NUMBER_SCALE;
        const gi_i128 safe = SAFE_INTEGER * GI_NUMBER_SCALE;
        lo = s->has_min ? s->min : s->has_max && s->max < -safe ? least : -safe;
        hi = s->has_max ? s->max : s->has_min && s->min > safe ? most : safe;
        if (lo < least) lo = least;
        if (hi > most) hi = most;
    } else {
        const gi_i128 most = power(GI_NUMBER_DIGITS) * GI_NUMBER_SCALE - 1;
        lo = s->has_min && s->min > -most ? s->min : -most;
        hi = s->has_max && s->max < most ? s->max : most;
    }
    m->open = !s->integer && !s->has_min && !s->has_max;
    m->lo[0] = lo > 0 ? lo : 0;
    m->hi[0] = hi;
    m->lo[1] = hi < 0 ? -hi : 1; /* no minus before a zero */
    m->hi[1] = -lo;
}

glint_status gi_number_rule(gi_arena *arena, const gi_number_spec *spec, const char *place,
                            const gi_bytes_rule **ret, glint_error *err) {
    gi_arena scratch;
    gi_arena_init(&scratch, (size_t)8 << 20);
    glint_status st = GLINT_OK;
    uint32_t n_live = 0;
    maker m = {.spec = spec};
    set_bounds(&m);
    m.keys = gi_arena_alloc(&scratch, STATES_MAX, sizeof *m.keys);
    m.slots = gi_arena_alloc(&scratch, SLOTS, sizeof *m.slots);
    m.edges = gi_arena_alloc(&scratch, STATES_MAX, sizeof *m.edges);
    uint16_t *number = gi_arena_alloc(&scratch, STATES_MAX, sizeof *number);
    if (!m.keys || !m.slots || !m.edges || !number)
        GI_TRY_DONE(gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", place));
    if (!explore(&m))
        GI_TRY_DONE(gi_fail(err, GLINT_ERR_LIMIT, "%s: \"multipleOf\" is too large", place));
    find_live(&m, number, &n_live);
    if (n_live == 0 || !number[0]) goto done;
    st = write_rule(&m, arena, number, n_live, ret);
    if (st != GLINT_OK) (void)gi_fail(err, st, "%s: no memory", place);
done:
    gi_arena_done(&scratch);
    return st;
}
