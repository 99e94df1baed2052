/*
 * Bounds on length beside a pattern: from each state of the regex the shortest and the longest way
 * to an end are known; where both bounds count, the exact set of lengths is.
 */
#include "grammar/string_rule.h"

enum { LENGTH_BITS_MAX = 2 << 20 };

/* Whether some way from `state` to an end gives `count` and more characters a fitting length. */
static bool can_end(const gi_string_rule *r, uint32_t state, uint32_t count) {
    if (state == 0 || count > r->max) return false;
    if (r->is_open) return true;
    const uint32_t least = count < r->min ? r->min - count : 0;
    if (r->max == GI_UNLIMITED) return r->longest[state] >= least;
    const uint32_t most = r->max - count;
    if (least == 0) return r->shortest[state] <= most;
    const uint64_t *row = r->lengths + (size_t)state * r->n_words;
    for (uint32_t w = least / 64; w <= most / 64; w++) {
        uint64_t bits = row[w];
        if (w == least / 64) bits &= ~UINT64_C(0) << least % 64;
        if (w == most / 64) bits &= ~UINT64_C(0) >> (63 - most % 64);
        if (bits) return true;
    }
    return false;
}

bool gi_string_step(const gi_string_rule *r, gi_string_at *at, uint8_t byte) {
    const uint16_t to = r->reader->next[at->part][byte];
    if (to == GI_READER_NONE) return false;
    const uint16_t *row = r->regex->next + (size_t)at->state * r->regex->n_classes;
    const bool counts = r->min > 0 || r->max != GI_UNLIMITED;
    const uint32_t count = counts ? at->count + 1 : 0;
    if (to & GI_READER_CHAR) {
        const uint16_t state = row[to & 63];
        if (counts ? !can_end(r, state, count) : state == 0) return false;
        /* beyond the least there is no need to count when there is no most */
        const uint32_t kept = r->max == GI_UNLIMITED && count > r->min ? r->min : count;
        *at = (gi_string_at){state, 0, kept};
        return true;
    }
    uint64_t bits = r->reader->reach[to] & r->live[at->state];
    if (!counts) {
        if (bits) at->part = to;
        return bits != 0;
    }
    for (; bits; bits &= bits - 1) {
        if (!can_end(r, row[__builtin_ctzll(bits)], count)) continue;
        at->part = to;
        return true;
    }
    return false;
}

bool gi_string_may_end(const gi_string_rule *r, const gi_string_at *at) {
    return at->part == 0 && r->regex->accepts[at->state] && at->count >= r->min;
}

/* Shortest way to an end, by repeated relaxation; longest by n rounds: what still grows then has
 * a loop in it. */
static void find_shortest(const gi_regex *x, uint32_t *shortest) {
    for (uint32_t s = 0; s < x->n_states; s++) shortest[s] = x->accepts[s] ? 0 : UINT32_MAX;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t s = x->n_states - 1; s >= 1; s--) {
            for (uint32_t c = 0; c < x->n_classes; c++) {
                const uint32_t to = x->next[s * x->n_classes + c];
                if (!to || shortest[to] == UINT32_MAX || shortest[to] + 1 >= shortest[s]) continue;
                shortest[s] = shortest[to] + 1;
                more = true;
            }
        }
    }
}

/*
 * A state has no longest way when it can reach a loop (every state leads to an end). States
 * without are taken off one by one from the ends: all their successors are done.
 */
static void find_longest(const gi_regex *x, uint32_t *longest) {
    for (uint32_t s = 0; s < x->n_states; s++) longest[s] = GI_UNLIMITED;
    longest[0] = 0;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t s = x->n_states - 1; s >= 1; s--) {
            if (longest[s] != GI_UNLIMITED) continue;
            uint32_t most = 0;
            for (uint32_t c = 0; c < x->n_classes && most != GI_UNLIMITED; c++) {
                const uint32_t to = x->next[s * x->n_classes + c];
                if (!to) continue;
                if (longest[to] == GI_UNLIMITED)
                    most = GI_UNLIMITED;
                else if (longest[to] + 1 > most)
                    most = longest[to] + 1;
            }
            if (most == GI_UNLIMITED) continue;
            longest[s] = most;
            more = true;
        }
    }
}

static glint_status find_lengths(gi_arena *arena, gi_string_rule *r, const char *place,
                                 size_t *io_work, glint_error *err) {
    const gi_regex *x = r->regex;
    r->n_words = r->max / 64 + 1;
    const uint64_t work = (uint64_t)r->n_words * 64 * x->n_states;
    const bool fits = work <= LENGTH_BITS_MAX && work < *io_work;
    *io_work -= fits ? (size_t)work : *io_work;
    if (!fits)
        return gi_fail(err, GLINT_ERR_LIMIT, "%s: \"pattern\" and \"maxLength\" are too large",
                       place);
    uint64_t *bits = gi_arena_alloc(arena, (size_t)r->n_words * x->n_states, sizeof *bits);
    if (!bits) return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", place);
    for (uint32_t s = 1; s < x->n_states; s++) bits[(size_t)s * r->n_words] = x->accepts[s];
    for (uint32_t n = 1; n <= r->max; n++) {
        const uint32_t before = n - 1;
        for (uint32_t s = 1; s < x->n_states; s++) {
            for (uint32_t c = 0; c < x->n_classes; c++) {
                const uint32_t to = x->next[s * x->n_classes + c];
                if (!(bits[(size_t)to * r->n_words + before / 64] >> before % 64 & 1)) continue;
                bits[(size_t)s * r->n_words + n / 64] |= UINT64_C(1) << n % 64;
                break;
            }
        }
    }
    r->lengths = bits;
    return GLINT_OK;
}

/* Classes with a character that JSON writes as it is; U+2028 and U+2029 are none to the trie. */
static uint64_t plain_classes(const gi_regex *x) {
    static const gi_char_range plain[] = {{0x20, 0x21, 0},
                                          {0x23, 0x5B, 0},
                                          {0x5D, 0x2027, 0},
                                          {0x202A, 0xD7FF, 0},
                                          {0xE000, 0x10FFFF, 0}};
    uint64_t classes = 0;
    for (size_t i = 0; i < x->n_ranges; i++)
        for (size_t k = 0; k < sizeof plain / sizeof *plain; k++)
            if (x->ranges[i].lo <= plain[k].hi && plain[k].lo <= x->ranges[i].hi)
                classes |= UINT64_C(1) << x->ranges[i].class_index;
    return classes;
}

/* Live classes of each state, and the largest set of free states: those whose plain classes all
 * stay within the set. */
static void find_free(const gi_regex *x, uint64_t *live, bool *is_free) {
    const uint64_t plain = plain_classes(x);
    for (uint32_t s = 1; s < x->n_states; s++) {
        for (uint32_t c = 0; c < x->n_classes; c++)
            if (x->next[s * x->n_classes + c]) live[s] |= UINT64_C(1) << c;
        is_free[s] = (live[s] & plain) == plain;
    }
    for (bool more = true; more;) {
        more = false;
        for (uint32_t s = x->n_states - 1; s >= 1; s--) {
            bool stays = is_free[s];
            for (uint64_t bits = plain; bits && stays; bits &= bits - 1)
                stays = is_free[x->next[s * x->n_classes + (uint32_t)__builtin_ctzll(bits)]];
            more |= stays != is_free[s];
            is_free[s] = stays;
        }
    }
}

glint_status gi_string_rule_create(gi_arena *arena, const gi_regex *regex,
                                   const gi_char_reader *reader, uint32_t min, uint32_t max,
                                   const char *place, size_t *io_work, const gi_string_rule **ret,
                                   glint_error *err) {
    gi_string_rule *r = gi_arena_alloc(arena, 1, sizeof *r);
    uint32_t *shortest = gi_arena_alloc(arena, regex->n_states, sizeof *shortest);
    uint32_t *longest = gi_arena_alloc(arena, regex->n_states, sizeof *longest);
    uint64_t *live = gi_arena_alloc(arena, regex->n_states, sizeof *live);
    bool *is_free = gi_arena_alloc(arena, regex->n_states, sizeof *is_free);
    if (!r || !shortest || !longest || !live || !is_free)
        return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", place);
    if (gi_regex_is_empty(regex) || min > max) return GLINT_OK;
    find_shortest(regex, shortest);
    find_longest(regex, longest);
    find_free(regex, live, is_free);
    const bool is_open =
        regex->n_states == 2 && regex->n_classes == 1 && regex->accepts[1] && regex->next[1] == 1;
    *r = (gi_string_rule){.reader = reader,
                          .regex = regex,
                          .min = min,
                          .max = max,
                          .shortest = shortest,
                          .longest = longest,
                          .live = live,
                          .is_free = is_free,
                          .is_open = is_open};
    if (!r->is_open && min > 0 && max != GI_UNLIMITED)
        GI_TRY(find_lengths(arena, r, place, io_work, err));
    if (!can_end(r, regex->start, 0)) return GLINT_OK;
    *ret = r;
    return GLINT_OK;
}

bool gi_string_is_endless(const gi_string_rule *r) {
    if (r->max != GI_UNLIMITED) return false;
    for (uint32_t s = 1; s < r->regex->n_states; s++)
        if (r->longest[s] != GI_UNLIMITED) return false;
    return true;
}
